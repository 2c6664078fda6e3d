"""``mmtool train retrieve --recipe rcar``: regulators of late interaction upon a frozen encoder."""

from __future__ import annotations

import copy
import logging
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mmtool.models.retrieval.regulators import Regulators, RegulatorSize
from mmtool.pipelines.evaluation.retrieve_both import by_ranks
from mmtool.pipelines.evaluation.retrieve_probes import Floats, Row, recall_rows
from mmtool.pipelines.training.retrieve import RetrieveTraining, Tell
from mmtool.pipelines.training.retrieve_data import Shown
from mmtool.pipelines.training.retrieve_parts import TextParts
from mmtool.pipelines.training.retrieve_rcar_fit import Pairs, RcarOptions, fit_rcar
from mmtool.pipelines.training.retrieve_upon import Frozen, frozen, write_upon

log = logging.getLogger(__name__)
_HALVED = 12  # words that a caption has at least, to be cut in two
_LOOKS = 3  # times that the cases left out are looked at


def wordings(image: Shown) -> list[str]:
    """Texts that an image is learned with, as its towers were: all facts, the caption, halves."""
    words = image.caption.split()
    half = len(words) // 2
    halves = [words[:half], words[half:]] if len(words) > _HALVED else [words, words]
    return [image.full_text, image.full_text, image.caption, *map(" ".join, halves)]


def train_rcar(options: RetrieveTraining, tell: Tell = log.info) -> Path:
    """Train regulators, choose their epoch on the cases left out, and write them.

    Raises:
        InputError: The data can't be used.
        ModelError: ``start`` is no encoder of towers.
    """
    below = frozen(options, tell)
    texts, number = below.texts(t for image in below.images for t in wordings(image))
    of = np.array([[number[t] for t in wordings(image)] for image in below.images])
    pairs = Pairs(below.images[: below.learned], below.pictures, texts, of)
    size = RegulatorSize(part_dim=texts.parts.shape[-1])
    fit = RcarOptions(epochs=options.fit.epochs, seed=options.fit.seed)
    held = _Held(below, texts, of[below.learned :, 0])
    best: dict[str, object] = {"value": -1.0}

    def after(net: Regulators, epoch: int) -> None:
        if (fit.epochs - epoch) % -(-fit.epochs // _LOOKS):
            return
        value = float(np.mean([r.value for r in held.rows(net, None)]))
        tell(f"epoch {epoch}: mean recall of the cases left out {value:.3f}")
        if value > best["value"]:  # type: ignore[operator]
            best.update(value=value, net=copy.deepcopy(net))

    net, seconds = fit_rcar(
        size, pairs, fit, options.out / f"checkpoint-rcar-{fit.seed}.pt", after, tell
    )
    chosen = best.get("net", net)
    assert isinstance(chosen, Regulators)
    rows = held.rows(chosen, fit.seed)
    added = {"regulators": asdict(size)}
    folder = options.out / "model"
    return write_upon(folder, below, chosen, added, fit, seconds, rows, options.data.name)


class _Held:
    """The cases that were left out: what the regulators are chosen by."""

    def __init__(self, below: Frozen, texts: TextParts, full: NDArray[np.int64]) -> None:
        self.cases = [i.case for i in below.left]
        captions = [i.caption for i in below.left]
        self.same = np.array([[a == b for b in captions] for a in captions])
        self.words: tuple[Tensor, Tensor] = texts.some(full)
        self.patches = torch.from_numpy(below.pictures.parts[below.learned :, 0]).float()
        seen = below.pictures.vectors[below.learned :, 0].astype(np.float64)
        self.cosines: Floats = texts.vectors[full].astype(np.float64) @ seen.T

    def rows(self, net: Regulators, seed: int | None) -> list[Row]:
        """Recall both ways by the regulators alone and by ranks with cosines, beside cosines."""
        own = net.similarities(*self.words, self.patches).double().numpy()
        rows: list[Row] = []
        for turn, way in ((False, "text to image"), (True, "image to text")):
            cosines, late = (s.T if turn else s for s in (self.cosines, own))
            floor = recall_rows(cosines, self.same, self.cases, way, None)
            for name, scores in (
                ("rcar", late),
                ("rcar and cosine by ranks", by_ranks(cosines, late)),
            ):
                found = recall_rows(scores, self.same, self.cases, f"{way}, {name}", seed)
                rows += [r.beside("cosine", f.value) for r, f in zip(found, floor, strict=True)]
        return rows
