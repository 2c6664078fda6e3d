"""Pairs of images that look alike and are not: does a model tell them apart?

After MediConfusion (2409.15477): the same question with two options, of which one is true of each
image, is asked of both; a pair is told rightly only if both answers are right (set accuracy, 0.25
by chance), and a model is confused by it if both get the same answer (0.5 by chance). There, pairs
were found by one encoder and told apart by another; here they are those that the encoder of the
heads takes to be more alike than images of one answer, which is hardest for those heads.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mmtool.models.report.model import ReportModel
from mmtool.pipelines.report_answers import NAMES, named_kinds
from mmtool.pipelines.report_images import Seen, slice_at
from mmtool.pipelines.report_reader import Reader
from mmtool.retrieval import Picture

CHANCE = 0.25
ABOUT = ("modality", "plane", "region")
_QUESTIONS = {
    "modality": "Was this image made by {} or by {}?",
    "plane": "Is the plane of this image {} or {}?",
    "region": "Does this image show the {} or the {}?",
}
_FORM = " Answer with one of the two."
_PLANES = ("axial", "coronal", "sagittal")  # by the axis that is cut
Options = tuple[str, str]


@dataclass(frozen=True)
class Known:
    """A picture and what it truly is.

    Attributes:
        picture: One slice.
        vector: (dim,) of it.
        facts: One of `ABOUT` -> class, of what is known.
        group: Its case; no pair is of one case.
    """

    picture: Picture
    vector: NDArray[np.float32]
    facts: Mapping[str, str]
    group: str


Choose = Callable[[Known, str, Options], str]  # one of the options, or "" where it can't be read


@dataclass(frozen=True)
class Asked:
    """Pairs that were asked about.

    Attributes:
        pairs: Places of the images.
        truths: Of both images of each pair.
        answers: To both; "" where it could not be read.
    """

    pairs: Sequence[tuple[int, int]]
    truths: Sequence[Options]
    answers: Sequence[Options]

    @property
    def both(self) -> list[float]:
        """1 for each pair of which both answers are right, else 0."""
        return [float(t == a) for t, a in zip(self.truths, self.answers, strict=True)]

    @property
    def each(self) -> list[float]:
        """Share of right answers of each pair."""
        pairs = zip(self.truths, self.answers, strict=True)
        return [((t[0] == a[0]) + (t[1] == a[1])) / 2 for t, a in pairs]

    @property
    def same(self) -> list[float]:
        """1 for the same answer to both, else 0, of each pair whose answers could be read."""
        return [float(a == b) for a, b in self.answers if a and b]


def ask(images: Sequence[Known], about: str, choose: Choose) -> Asked:
    """Ask one question of both images of all pairs that look alike."""
    truth = [image.facts.get(about, "") for image in images]
    vectors = np.stack([image.vector for image in images])
    pairs = confusable_pairs(vectors, truth, [image.group for image in images])
    answers: list[Options] = []
    for one, two in pairs:
        low, high = sorted((truth[one], truth[two]))
        first, second = (choose(images[i], about, (low, high)) for i in (one, two))
        answers.append((first, second))
    return Asked(pairs, [(truth[i], truth[j]) for i, j in pairs], answers)


def by_heads(model: ReportModel) -> Choose:
    """The likelier of two classes by the heads, from the pixels alone."""

    def choose(image: Known, about: str, options: Options) -> str:
        chances = model.told(about, image.vector[None]).probabilities
        return max(options, key=chances.__getitem__)

    return choose


def by_reader(reader: Reader) -> Choose:
    """The option that an outside model names in words; "" if it names both or neither."""

    def choose(image: Known, about: str, options: Options) -> str:
        words = [NAMES.get(option, option) for option in options]
        said = reader.read(image.picture, _QUESTIONS[about].format(*words) + _FORM)
        named = named_kinds(about, said.lower()) & set(options)
        return named.pop() if len(named) == 1 else ""

    return choose


def planes_of(image: Seen) -> list[tuple[str, Picture]]:
    """The middle slice in each plane of a volume whose voxels are about cubes; else none.

    They are built-in pairs: of one patient and one scan, and the grid tells the plane.
    """
    if image.kind != "volume" or image.plane or image.picture.spacing is None:
        return []
    sizes = image.picture.pixels.shape
    return [
        (name, slice_at(image.picture, axis, sizes[axis] // 2)) for axis, name in enumerate(_PLANES)
    ]


def confusable_pairs(
    vectors: NDArray[np.float32], classes: Sequence[str], groups: Sequence[str]
) -> list[tuple[int, int]]:
    """Pairs that look alike and have different answers.

    Each image with the one of another case that looks most like it among those of another class;
    kept where that one is as near as the nearest of its own class or nearer, each pair once.

    Args:
        vectors: (N, dim) of length 1.
        classes: N answers, "" where nobody knows.
        groups: N cases.
    """
    similarity = vectors @ vectors.T
    names, cases = np.array(classes), np.array(groups)
    apart = (cases[:, None] != cases[None]) & (names != "")[None] & (names != "")[:, None]
    other = np.where(apart & (names[:, None] != names[None]), similarity, -np.inf)
    own = np.where(apart & (names[:, None] == names[None]), similarity, -np.inf)
    pairs = {
        (min(i, j), max(i, j))
        for i, j in enumerate(other.argmax(1).tolist())
        if np.isfinite(other[i, j]) and other[i, j] >= own[i].max()
    }
    return sorted(pairs)
