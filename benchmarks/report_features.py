"""What encoders are worth to the gate of report, on folds of its training images.

    python benchmarks/report_features.py --data FOLDER -o OUT [ENCODER ...] [--heads SEED ...]

Kernel ridge regression stands for the heads, since it is quick: the same kernel, five folds of
cases, those with nearly the same image as one. ``+mirrored`` after an encoder also trains on the
mirrored images and asks both. ``--heads`` fits the heads themselves, with folds drawn by each
seed, and compares ``blocks-filters`` with ``blocks``, image by image. Vectors are kept in OUT.
Development images are not looked at.
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
from mmtool.models.report.model import GATE, INSIDE, KNOWN, Projection, likeness, unit
from mmtool.pipelines.report_encoder import load_encoder
from mmtool.pipelines.training.calibration import (
    calibration_error,
    error_by_chance,
    unbiased_error,
)
from mmtool.pipelines.training.report_data import TRAIN, Labelled, labelled_images
from mmtool.pipelines.training.report_fit import Kernel, Rows, fitted, folds_drawn, joined
from mmtool.retrieval import JointEncoder

FOLDS, WIDTH, PENALTY = 5, 2.0, 0.2
MIRRORED = "+mirrored"
AXES = 128  # as the training of the heads keeps
BEFORE, AFTER = "blocks", "blocks-filters"
COMPARED = (AFTER, BEFORE)
QUESTIONS = ("modality", "plane", "region")
Vectors = NDArray[np.float32]


def main() -> None:
    """Print the share of right answers of each encoder and question."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("encoders", nargs="*", default=["hog", "blocks", "blocks-filters"])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--heads", type=int, nargs="+", default=[], metavar="SEED")
    parser.add_argument("-o", "--output", type=Path, required=True)
    asked = parser.parse_args()
    asked.output.mkdir(parents=True, exist_ok=True)
    every = labelled_images(asked.data)
    images = [i for i in every if i.split == TRAIN and i.labels.get(INSIDE) == KNOWN]
    if asked.heads:
        compare_heads(images, asked.output, asked.heads)
        return
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


def compare_heads(images: Sequence[Labelled], cache: Path, seeds: Sequence[int]) -> None:
    """Print accuracy and calibration of the heads on folds, and the gain with its interval."""
    rows = {
        name: rows_of(images, encoded(images, name, cache, mirrored=False)) for name in COMPARED
    }
    groups = joined(rows[BEFORE].groups, rows[BEFORE].vectors)
    print("seed", "encoder", "question", "accuracy", "ECE", "by chance", "unbiased", sep="\t")
    for seed in seeds:
        folds = folds_drawn(groups, seed)
        right_by = {}
        for name, row in rows.items():
            features = Kernel.of(row.vectors)(row.vectors)
            for question in QUESTIONS:
                head, there, held = fitted(question, row, features, folds, votes=True)
                chance = head.calibrated(held.probability)
                hit = np.array(head.classes)[chance.argmax(1)] == row.labels[question][there]
                ok, sure = hit.astype(np.float64), chance.max(1)
                right_by[name, question] = ok, groups[there]
                found = (ok.mean(), calibration_error(sure, ok), error_by_chance(sure, 0))
                figures = (*found, unbiased_error(sure, ok, 0))
                print(seed, name, question, *(f"{f:.4f}" for f in figures), sep="\t", flush=True)
        for question in QUESTIONS:
            (after, cases), (before, _) = (right_by[name, question] for name in COMPARED)
            low, high = interval(after - before, cases)
            gain = (after - before).mean()
            print(seed, "gain", question, f"{gain:.4f} ({low:.4f} to {high:.4f})", sep="\t")


def rows_of(images: Sequence[Labelled], vectors: Vectors) -> Rows:
    """Images as the training of the heads takes them, along as many axes."""
    names: dict[str, int] = {}
    groups = np.array([names.setdefault(image.group, len(names)) for image in images])
    labels = {q: np.array([image.labels.get(q, "") for image in images]) for q in GATE}
    return Rows(Projection.of(vectors, AXES)(vectors), groups, labels)


def interval(
    gain: NDArray[np.float64], groups: NDArray[np.int64]
) -> tuple[np.floating, np.floating]:
    """95 % of the mean of (N,) gains over draws of the (N,) cases."""
    total, count = np.bincount(groups, gain), np.bincount(groups)
    there = np.flatnonzero(count)
    rng = np.random.default_rng(0)
    drawn = rng.choice(there, (2000, len(there)))
    low, high = np.percentile(total[drawn].sum(1) / count[drawn].sum(1), (2.5, 97.5))
    return low, high


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
