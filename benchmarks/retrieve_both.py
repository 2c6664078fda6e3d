"""Does a query by a picture and words together find more than either alone?

    python benchmarks/retrieve_both.py vision_language [--model joint] [--split left|dev]

The words are the history of the case, or the first half of the picture's caption; wanted are other
pictures of the case (among training images, too) and its diagnosis in words. Recall at 1, 5 and 10
of each side alone, of weighed sums of their cosines, of both orders by ranks, and, with the model
of ``mmtool train retrieve --recipe prompts``, of its one vector. ``--split left`` are the training
cases that nothing was learned from. Vectors of training images are those that the recipe keeps.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from mmtool.io.readers.captioned_images import read_grey
from mmtool.models.encoders.joint import load_joint_encoder
from mmtool.pipelines.evaluation.retrieve_both import (
    ASKED,
    WANTED,
    BothTasks,
    both_rows,
    both_tasks,
    plain_ways,
)
from mmtool.pipelines.training.retrieve import RetrieveTraining
from mmtool.pipelines.training.retrieve_data import Shown, shown_images
from mmtool.pipelines.training.retrieve_upon import frozen
from mmtool.retrieval import BothEncoder, JointEncoder

SHARES = (0.25, 0.5, 1.0, 1.5, 2.0)
_SOME = 32
Floats = NDArray[np.float64]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--model", default="joint")
    parser.add_argument("--split", choices=("dev", "left"), default="left")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--run", type=Path, default=Path("runs/prompts"), help="keeps the vectors")
    given = parser.parse_args()
    torch.set_num_threads(1)
    below = frozen(RetrieveTraining(given.data, given.run), print)
    learned, left = below.images[: below.learned], below.left
    held = list(left)
    if given.split == "dev":
        held = [i for i in shown_images(given.data, "dev") if i.caption]
    others = list(learned) if given.split == "left" else list(below.images)
    tasks = both_tasks(held, others, given.data)
    print(f"{given.model}, {given.split}: {len(held)} pictures, {len(tasks.gallery)} to be found")
    encoder = load_joint_encoder(given.model)
    if given.model == below.encoder.name:
        kept = below.pictures.vectors[:, 0].astype(np.float64)
        if given.split == "left":
            vectors = np.concatenate([kept[below.learned :], kept[: below.learned]])
        else:
            vectors = np.concatenate([seen(encoder, held), kept])
    else:
        vectors = seen(encoder, tasks.gallery)

    def read(texts: Sequence[str]) -> Floats:
        return encoder.encode_texts(texts).vectors.astype(np.float64)

    ways = plain_ways(tasks, vectors, read, SHARES)
    if isinstance(encoder, BothEncoder):
        ways["one vector"] = together(encoder, tasks, vectors, read(tasks.diagnoses))
    for way, scores in ways.items():
        found = [r for a in ASKED for r in both_rows(tasks, a, scores[a], way, given.seed)]
        for r in found:
            print(f"{r.measure}: {r.value:.3f} ({r.low:.3f} to {r.high:.3f}), n {r.n}")
        print(f"mean, {way}: {np.mean([r.value for r in found]):.3f}", flush=True)


def seen(encoder: JointEncoder, images: Sequence[Shown]) -> Floats:
    """(N, dim) of images."""
    parts = [
        encoder.encode_pictures([read_grey(i.row.path) for i in images[k : k + _SOME]]).vectors
        for k in range(0, len(images), _SOME)
    ]
    return np.concatenate(parts).astype(np.float64)


def together(
    encoder: JointEncoder,
    tasks: BothTasks,
    vectors: Floats,
    diagnoses: Floats,
) -> dict[str, dict[str, Floats]]:
    """Scores of the encoder's one vector."""
    assert isinstance(encoder, BothEncoder)
    held = [read_grey(i.row.path) for i in tasks.held]
    out = {}
    for asked, words in tasks.words.items():
        both = encoder.encode_both(held, words).vectors.astype(np.float64)
        out[asked] = {WANTED[0]: both @ vectors.T, WANTED[1]: both @ diagnoses.T}
    return out


if __name__ == "__main__":
    main()
