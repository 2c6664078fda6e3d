"""SCEPTR (https://doi.org/10.1016/j.cels.2024.12.006) as a model of ``mmtool tcr-bind``.

Its own package and weights embed the receptors (extra ``mmtool[sceptr]``); an epitope's score is
minus the distance to the nearest of its known binders.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from types import ModuleType

import numpy as np
from numpy.typing import NDArray

from mmtool.errors import ModelError
from mmtool.pipelines.binding_model import BindingModel
from mmtool.receptors import Binder, BindingScores, Receptor

_ROWS = 1024
_COLUMNS = ("TRAV", "TRAJ", "TRBV", "TRBJ", "CDR3A", "CDR3B")


@dataclass
class SceptrNearest:
    """Nearest known binders by SCEPTR's distance.

    Attributes:
        package: Its imported package.
        binders: Known binders.
    """

    package: ModuleType
    binders: Sequence[Binder]
    purpose: str = "human alpha-beta T-cell receptors"
    few: int = 20
    unseen_skill: float | None = None
    _points: dict[str, NDArray[np.float32]] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        self._of: dict[str, list[int]] = {}
        for place, binder in enumerate(self.binders):
            self._of.setdefault(binder.epitope, []).append(place)
        self.epitopes = tuple(sorted(self._of, key=lambda e: (-len(self._of[e]), e)))

    def with_binders(self, extra: Sequence[Binder]) -> BindingModel:
        """The same model with more known binders."""
        return SceptrNearest(self.package, [*self.binders, *extra])

    def known(self, epitope: str) -> int:
        """Binders of an epitope."""
        return len(self._of.get(epitope, ()))

    def score(self, receptors: Sequence[Receptor], epitopes: Sequence[str]) -> BindingScores:
        """Minus the distance to the nearest known binder of each epitope."""
        shape = (len(receptors), len(epitopes))
        nearest, distance = np.full(shape, -1, np.int64), np.full(shape, np.nan, np.float32)
        rows = [i for i, r in enumerate(receptors) if r.usable]
        points = self._embed([receptors[i] for i in rows])
        for column, epitope in enumerate(epitopes):
            place, apart = self._nearest(points, epitope, 1)
            if place.size:
                nearest[rows, column], distance[rows, column] = place[:, 0], apart[:, 0]
        none = np.full(shape, np.nan, np.float32)
        return BindingScores(
            score=-distance,
            percentile=none,
            probability=none,
            nearest=nearest,
            distance=distance,
            known=np.array([self.known(e) for e in epitopes], np.int64),
            notes=("scores are minus SCEPTR's distance to the nearest binder, not likelihoods",),
        )

    def neighbours(
        self, receptors: Sequence[Receptor], epitope: str, k: int
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Known binders by SCEPTR's distance."""
        place = np.full((len(receptors), k), -1, np.int64)
        distance = np.full((len(receptors), k), np.nan, np.float32)
        rows = [i for i, r in enumerate(receptors) if r.usable]
        found, apart = self._nearest(self._embed([receptors[i] for i in rows]), epitope, k)
        place[rows, : found.shape[1]], distance[rows, : found.shape[1]] = found, apart
        return place, distance

    def _nearest(
        self, points: NDArray[np.float32], epitope: str, k: int
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Both (N, min(k, known)); of equals the earlier binder."""
        there = np.array(self._of.get(epitope, ()), np.int64)
        if not there.size or not len(points):
            return np.zeros((len(points), 0), np.int64), np.zeros((len(points), 0), np.float32)
        if epitope not in self._points:
            self._points[epitope] = self._embed([self.binders[p].receptor for p in there])
        others = self._points[epitope]
        squared = (points**2).sum(1)[:, None] + (others**2).sum(1) - 2 * points @ others.T
        apart = np.sqrt(np.maximum(squared, 0))
        order = np.argsort(apart, axis=1, kind="stable")[:, :k]
        return there[order], np.take_along_axis(apart, order, 1)

    def _embed(self, receptors: Sequence[Receptor]) -> NDArray[np.float32]:
        """(N, D) unit vectors."""
        import pandas

        parts = []
        for begin in range(0, len(receptors), _ROWS):
            some = receptors[begin : begin + _ROWS]
            cells = [
                (*map(_gene, (r.v_a, r.j_a, r.v_b, r.j_b)), r.cdr3_a or None, r.cdr3_b or None)
                for r in some
            ]
            frame = pandas.DataFrame(cells, columns=list(_COLUMNS), dtype=object)
            parts.append(self.package.calc_vector_representations(frame))
        return np.concatenate(parts) if parts else np.zeros((0, 1), np.float32)


def load_sceptr(binders: Sequence[Binder]) -> SceptrNearest:
    """The model with its default weights, which lie in its package.

    Raises:
        ModelError: The package is not installed.
    """
    try:
        import sceptr
    except ImportError as error:
        raise ModelError("sceptr is not installed", "pip install 'mmtool[sceptr]'") from error
    return SceptrNearest(sceptr, binders)


def _gene(name: str) -> str | None:
    """A gene as SCEPTR knows it: functional ones only."""
    from tidytcells import tr

    return tr.standardize(name, enforce_functional=True, log_failures=False) if name else None
