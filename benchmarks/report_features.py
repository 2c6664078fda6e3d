"""What encoders are worth to the gate of report, on folds of its training images.

    python benchmarks/report_features.py --data FOLDER -o OUT [ENCODER ...]

Kernel ridge regression stands for the heads, since it is quick: the same kernel, five folds of
cases, those with nearly the same image as one. ``+mirrored`` after an encoder also trains on the
mirrored images and asks both. Vectors are kept in OUT. Development images are not looked at.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import linalg

from mmtool.io.limits import Limits
from mmtool.io.readers.picture import picture_reader
from mmtool.models.report.model import GATE, INSIDE, KNOWN, likeness, unit
from mmtool.pipelines.report_encoder import load_encoder
from mmtool.pipelines.training.report_data import TRAIN, Labelled, labelled_images
from mmtool.pipelines.training.report_fit import joined
from mmtool.retrieval import JointEncoder

FOLDS, WIDTH, PENALTY = 5, 2.0, 0.2
MIRRORED = "+mirrored"
Vectors = NDArray[np.float32]


def main() -> None:
    """Print the share of right answers of each encoder and question."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("encoders", nargs="*", default=["hog", "blocks", "blocks-filters"])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("-o", "--output", type=Path, required=True)
    asked = parser.parse_args()
    asked.output.mkdir(parents=True, exist_ok=True)
    every = labelled_images(asked.data)
    images = [i for i in every if i.split == TRAIN and i.labels.get(INSIDE) == KNOWN]
    folds = folds_of(images, encoded(images, "blocks", asked.output, mirrored=False))
    print("encoder", *GATE, sep="\t")
    for name in asked.encoders:
        plain = name.removesuffix(MIRRORED)
        vectors = encoded(images, plain, asked.output, mirrored=False)
        other = None
        if plain != name:
            other = encoded(images, plain, asked.output, mirrored=True)
        shares = right(images, folds, vectors, other)
        print(name, *(f"{share:.4f}" for share in shares), sep="\t", flush=True)


def folds_of(images: Sequence[Labelled], vectors: Vectors) -> NDArray[np.int64]:
    """(N,) fold of each image; the images of a case, and copies, are in one."""
    names: dict[str, int] = {}
    groups = np.array([names.setdefault(image.group, len(names)) for image in images])
    groups = joined(groups, unit(vectors - vectors.mean(0)))
    return np.random.default_rng(0).permutation(groups.max() + 1)[groups] % FOLDS


def encoded(images: Sequence[Labelled], name: str, cache: Path, *, mirrored: bool) -> Vectors:
    """(N, dim) vectors, kept in a file."""
    path = cache / f"{name}{MIRRORED if mirrored else ''}.npy"
    if path.is_file():
        kept: Vectors = np.load(path, allow_pickle=False)
        if len(kept) == len(images):
            return kept
    encoder: JointEncoder = load_encoder(name)
    out = np.empty((len(images), encoder.dim), np.float32)
    with picture_reader(Limits.from_env()) as reader:
        for k, image in enumerate(images):
            picture = reader.read(image.path)
            if mirrored:
                turned = np.ascontiguousarray(picture.pixels[:, :, ::-1])
                picture = replace(picture, pixels=turned)
            out[k] = encoder.encode_pictures([picture]).vectors[0]
    np.save(path, out)
    return out


def right(
    images: Sequence[Labelled],
    folds: NDArray[np.int64],
    vectors: Vectors,
    other: Vectors | None = None,
) -> list[float]:
    """Share of images that are told rightly by the other folds, for each question.

    Args:
        images: N with their labels.
        folds: (N,).
        vectors: (N, dim).
        other: (N, dim) of the mirrored images, or None.
    """
    centre = vectors.mean(0)
    views = [unit(v - centre) for v in (vectors, other) if v is not None]
    shares = []
    for question in GATE:
        said = np.array([image.labels.get(question, "") for image in images])
        there = np.flatnonzero(said != "")
        names, target = np.unique(said[there], return_inverse=True)
        found = np.empty(len(there), np.int64)
        for fold in range(FOLDS):
            own, rest = (np.flatnonzero(m) for m in (folds[there] == fold, folds[there] != fold))
            seen = np.concatenate([view[there[rest]] for view in views])
            hot = np.tile(np.eye(len(names))[target[rest]], (len(views), 1))
            kernel = likeness(seen, seen, WIDTH) + PENALTY * np.eye(len(seen), dtype=np.float32)
            weight = linalg.solve(kernel, hot - hot.mean(0), assume_a="pos")
            told = sum(likeness(view[there[own]], seen, WIDTH) @ weight for view in views)
            found[own] = (told / len(views) + hot.mean(0)).argmax(1)
        shares.append(float((found == target).mean()))
    return shares


if __name__ == "__main__":
    main()
