"""The model of ``mmtool report``: heads over an encoder's vectors, beside votes of neighbours."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mmtool.errors import ModelError
from mmtool.models.report.evidential import Opinion, fuse, opinion, vote
from mmtool.models.report.head import Head
from mmtool.models.store import ModelFiles, load_state

INSIDE = "inside"  # the head that knows images of the kinds trained on from all else
KNOWN = "known"
GATE = ("modality", "plane", "region", "sequence", "contrast")
NEIGHBOURS = 15


@dataclass(frozen=True)
class Reference:
    """Training images.

    Attributes:
        vectors: (M, dim) float32 of length 1.
        classes: Question -> (M,) int64 class number, -1 where it is not known.
    """

    vectors: NDArray[np.float32]
    classes: Mapping[str, NDArray[np.int64]]


@dataclass(frozen=True)
class Projection:
    """Principal axes of the training vectors, for an encoder whose vectors are long.

    Attributes:
        mean: (D,) of the training vectors.
        basis: (D, dim) axes.
    """

    mean: NDArray[np.float32]
    basis: NDArray[np.float32]

    @classmethod
    def of(cls, vectors: NDArray[np.float32], dim: int) -> Projection:
        """The axes along which (N, D) vectors differ most."""
        mean = vectors.mean(0)
        axes = np.linalg.svd(vectors - mean, full_matrices=False)[2][:dim].T
        return cls(mean, np.asarray(axes, np.float16).astype(np.float32))

    def __call__(self, vectors: NDArray[np.float32]) -> NDArray[np.float32]:
        """(N, dim) of length 1 from (N, D)."""
        return unit(np.asarray((vectors - self.mean) @ self.basis, np.float32))


@dataclass(frozen=True)
class Told:
    """What the model says to one question about one image.

    Attributes:
        value: The likeliest class.
        probability: Of it, calibrated.
        probabilities: Of each class.
        uncertainty: Evidential, 0 to 1.
    """

    value: str
    probability: float
    probabilities: Mapping[str, float]
    uncertainty: float


@dataclass(frozen=True)
class Thresholds:
    """Chosen on training images only.

    Attributes:
        inside: Probability of being of a known kind below which the model is silent.
        nearest: Cosine to the nearest training image below which it is silent.
        uncertainty: Of the modality, above which it is silent.
    """

    inside: float
    nearest: float
    uncertainty: float


@dataclass(frozen=True)
class ReportModel:
    """Heads, and the training images that vote beside them.

    Attributes:
        heads: By question; findings are questions with the classes ``absent`` and ``present``.
        cuts: Of each question that is a finding, the probabilities from which on it is told as
            possible and as present.
        reference: Training images.
        thresholds: When to be silent.
        sharpness: Of the votes.
        width: Of the heads' kernel; the larger, the nearer an image must be to a training image
            to be judged by it.
        pairs: Modality and region that were trained on together.
        encoder: Name, hash and preprocessing of the encoder that the vectors must come from.
        projection: What an encoder's vectors go through first, or None.
    """

    heads: Mapping[str, Head]
    cuts: Mapping[str, tuple[float, float]]
    reference: Reference
    thresholds: Thresholds
    sharpness: float
    width: float
    pairs: frozenset[tuple[str, str]]
    encoder: Mapping[str, Any]
    projection: Projection | None = None

    def projected(self, vectors: NDArray[np.float32]) -> NDArray[np.float32]:
        """(N, dim) vectors that all other methods take, from those of the encoder."""
        return vectors if self.projection is None else self.projection(vectors)

    def told(self, question: str, vectors: NDArray[np.float32], *extra: Opinion) -> Told:
        """The answer to a question about one image.

        Args:
            question: A key of ``heads``.
            vectors: (S, dim) of its slices; their opinions are averaged.
            extra: Further opinions, such as the vote of retrieved cases.
        """
        head = self.heads[question]
        each = self.opinions(question, vectors)
        found = Opinion(each.belief.mean(0, keepdims=True), each.uncertainty.mean(keepdims=True))
        for other in extra:
            found = fuse(found, other)
        chances = head.calibrated(found.probability)[0]
        best = int(chances.argmax())
        named = {name: float(p) for name, p in zip(head.classes, chances, strict=True)}
        return Told(head.classes[best], float(chances[best]), named, float(found.uncertainty[0]))

    def opinions(self, question: str, vectors: NDArray[np.float32]) -> Opinion:
        """Head and neighbours on (N, dim) vectors, fused."""
        head = self.heads[question]
        if question not in self.reference.classes:
            return head.opinion(self.features(vectors))
        known = self.reference.classes[question]
        there = np.flatnonzero(known >= 0)
        voted = neighbour_opinion(
            vectors, self.reference.vectors[there], known[there], len(head.classes), self.sharpness
        )
        return fuse(head.opinion(self.features(vectors)), voted)

    def features(self, vectors: NDArray[np.float32]) -> NDArray[np.float32]:
        """(N, M) what the heads take: the likeness of (N, dim) vectors to each training image."""
        return likeness(vectors, self.reference.vectors, self.width)

    def inside(self, vectors: NDArray[np.float32]) -> tuple[float, float]:
        """Mean probability that (S, dim) slices are of a known kind, and best cosine to one."""
        head = self.heads[INSIDE]
        place = head.classes.index(KNOWN)
        chance = head.calibrated(head.opinion(self.features(vectors)).probability)[:, place].mean()
        return float(chance), float((vectors @ self.reference.vectors.T).max())

    def logit(self, question: str, value: str, vectors: NDArray[np.float32]) -> NDArray[np.float64]:
        """(N,) log odds of a class by head and neighbours, for heat maps."""
        head = self.heads[question]
        chance = self.opinions(question, vectors).probability[:, head.classes.index(value)]
        return np.asarray(np.log(chance.clip(1e-9)) - np.log((1 - chance).clip(1e-9)))


def likeness(
    vectors: NDArray[np.float32], reference: NDArray[np.float32], width: float
) -> NDArray[np.float32]:
    """(N, M) Gaussian kernel of (N, dim) and (M, dim) vectors of length 1."""
    return np.asarray(np.exp(width * (vectors @ reference.T - 1)), np.float32)


def neighbour_opinion(
    vectors: NDArray[np.float32],
    reference: NDArray[np.float32],
    classes: NDArray[np.int64],
    count: int,
    sharpness: float,
    *,
    apart: NDArray[np.bool_] | None = None,
) -> Opinion:
    """Votes of the nearest training images.

    Args:
        vectors: (N, dim).
        reference: (M, dim).
        classes: (M,) class numbers.
        count: K.
        sharpness: See `vote`.
        apart: (N, M) True where an image may not vote, such as one of the same case.
    """
    similarity = (vectors @ reference.T).astype(np.float64)
    if apart is not None:
        similarity[apart] = -1
    near = min(NEIGHBOURS, similarity.shape[1])
    best = np.argpartition(-similarity, near - 1, axis=1)[:, :near]
    rows = np.arange(len(vectors))[:, None]
    return opinion(vote(similarity[rows, best], classes[best], count, sharpness=sharpness))


def state_of(model: ReportModel) -> dict[str, Tensor]:
    """Tensors of a model, for safetensors."""
    out = {"reference.vectors": torch.from_numpy(model.reference.vectors).half()}
    for question, classes in model.reference.classes.items():
        out[f"reference.{question}"] = torch.from_numpy(classes.astype(np.int8))
    for question, head in model.heads.items():
        out[f"head.{question}.weight"] = torch.from_numpy(head.weight)  # large ones cancel out
        out[f"head.{question}.bias"] = torch.from_numpy(head.bias)
    if model.projection is not None:
        out["projection.mean"] = torch.from_numpy(model.projection.mean)
        out["projection.basis"] = torch.from_numpy(model.projection.basis).half()
    return {name: tensor.contiguous() for name, tensor in out.items()}


def config_of(model: ReportModel) -> dict[str, Any]:
    """The rest of a model, for ``config.json``."""
    return {
        "runner": "report_heads",
        "heads": {
            name: {"classes": list(head.classes), "temperature": head.temperature}
            for name, head in model.heads.items()
        },
        "cuts": {name: list(cuts) for name, cuts in model.cuts.items()},
        "thresholds": vars(model.thresholds),
        "sharpness": model.sharpness,
        "width": model.width,
        "pairs": sorted(map(list, model.pairs)),
        "encoder": dict(model.encoder),
    }


def load_report_model(files: ModelFiles) -> ReportModel:
    """Build the model from its files.

    Raises:
        ModelError: The files are of another kind, or don't fit together.
    """
    config = files.config
    if config.get("runner") != "report_heads":
        raise ModelError(f"{files.folder}: no model of report", "see mmtool models list")
    state = {name: tensor.numpy() for name, tensor in load_state(files).items()}
    try:
        return _built(config, state)
    except (KeyError, TypeError, ValueError) as error:
        raise ModelError(
            f"{files.folder}: its config and weights don't fit together", "train it again"
        ) from error


def _built(config: Mapping[str, Any], state: Mapping[str, NDArray[Any]]) -> ReportModel:
    heads = {
        name: Head(
            name,
            tuple(map(str, about["classes"])),
            state[f"head.{name}.weight"].astype(np.float32),
            state[f"head.{name}.bias"].astype(np.float32),
            float(about["temperature"]),
        )
        for name, about in config["heads"].items()
    }
    vectors = unit(state["reference.vectors"].astype(np.float32))
    classes = {
        name: state[f"reference.{name}"].astype(np.int64)
        for name in heads
        if f"reference.{name}" in state
    }
    for name, head in heads.items():
        if head.weight.shape != (len(head.classes), len(vectors)):
            raise ValueError(name)
    return ReportModel(
        heads,
        {name: (float(low), float(high)) for name, (low, high) in config["cuts"].items()},
        Reference(vectors, classes),
        Thresholds(**config["thresholds"]),
        float(config["sharpness"]),
        float(config["width"]),
        frozenset((str(m), str(r)) for m, r in config["pairs"]),
        config["encoder"],
        _projection(state),
    )


def _projection(state: Mapping[str, NDArray[Any]]) -> Projection | None:
    if "projection.basis" not in state:
        return None
    mean, basis = (state[f"projection.{n}"].astype(np.float32) for n in ("mean", "basis"))
    return Projection(mean, basis)


def unit(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Rows of length 1."""
    length = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return np.asarray(vectors / np.maximum(length, 1e-12), np.float32)
