"""``mmtool train retrieve --recipe prompts``: prompt pools upon a frozen encoder."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from mmtool.models.retrieval.prompt_pools import PromptPools, PromptSize, Side
from mmtool.pipelines.evaluation.retrieve_both import (
    ASKED,
    WANTED,
    BothTasks,
    CaseWords,
    both_rows,
    both_tasks,
    case_words,
    first_half,
    plain_ways,
)
from mmtool.pipelines.evaluation.retrieve_probes import Floats, Row
from mmtool.pipelines.training.retrieve import RetrieveTraining, Tell
from mmtool.pipelines.training.retrieve_data import Shown
from mmtool.pipelines.training.retrieve_parts import TextParts
from mmtool.pipelines.training.retrieve_prompts_fit import (
    Cases,
    PromptOptions,
    fit_prompts,
    text_side,
)
from mmtool.pipelines.training.retrieve_upon import Frozen, frozen, write_upon

log = logging.getLogger(__name__)
STRENGTHS = (0.0, 0.1, 0.25, 0.5, 1.0)
SHARES = (0.25, 0.5, 1.0, 1.5)  # of words, against 1 of the picture
_SOME = 64


def train_prompts(options: RetrieveTraining, tell: Tell = log.info) -> Path:
    """Train pools, choose how much they count on the cases left out, and write them.

    Raises:
        InputError: The data can't be used.
        ModelError: ``start`` is no encoder of towers.
    """
    below = frozen(options, tell)
    known = case_words(options.data)
    words = [known.get(i.case, CaseWords()) for i in below.images]
    texts, number = below.texts(
        t for i, w in zip(below.images, words, strict=True) for t in _texts(i, w)
    )
    learned = list(zip(below.images, words, strict=True))[: below.learned]
    cases = Cases(
        below.images[: below.learned],
        below.pictures,
        texts,
        np.array([[number[i.full_text], number[i.caption]] for i, _ in learned]),
        np.array([[number[w.history or i.caption], number[_half(i)]] for i, w in learned]),
        np.array([number[w.diagnosis or i.caption] for i, w in learned]),
    )
    size = PromptSize(part_dim=texts.parts.shape[-1], dim=below.encoder.dim)
    fit = PromptOptions(epochs=options.fit.epochs, seed=options.fit.seed)
    net, seconds = fit_prompts(
        size, cases, fit, options.out / f"checkpoint-prompts-{fit.seed}.pt", tell=tell
    )
    tasks = both_tasks(below.left, below.images[: below.learned], options.data)
    held = HeldBoth(below, texts, number, tasks)
    strength, share = held.choose(net, tell)
    rows = held.rows(net, fit.seed)
    tell(f"strength {strength:g}, words x {share:g}")
    folder = options.out / "model"
    added = {"prompts": asdict(size)}
    return write_upon(folder, below, net, added, fit, seconds, rows, options.data.name)


def _half(image: Shown) -> str:
    return first_half(image.caption) or image.caption


def _texts(image: Shown, words: CaseWords) -> tuple[str, ...]:
    asked = (image.full_text, image.caption, _half(image), first_half(image.caption))
    return (*asked, words.history, words.diagnosis)


class HeldBoth:
    """Queries of pictures with words on the cases that were left out.

    Args:
        below: The frozen encoder's vectors and parts.
        texts: Parts of texts.
        number: Row of each text.
        tasks: Whose gallery is the images left out and then those learned from.
    """

    def __init__(
        self, below: Frozen, texts: TextParts, number: Mapping[str, int], tasks: BothTasks
    ) -> None:
        self.tasks = tasks
        self._texts, self._number = texts, number
        order = np.r_[below.learned : len(below.images), : below.learned]
        self._parts = below.pictures.parts[order, 0]
        self._vectors = below.pictures.vectors[order, 0]

    def plain(self, shares: Sequence[float]) -> dict[str, dict[str, dict[str, Floats]]]:
        """See `plain_ways`."""

        def read(texts: Sequence[str]) -> Floats:
            return self._texts.vectors[self._rows(texts)].astype(np.float64)

        return plain_ways(self.tasks, self._vectors.astype(np.float64), read, shares)

    def choose(self, net: PromptPools, tell: Tell) -> tuple[float, float]:
        """Set strength and share of words to those of the best mean recall; 0 is no correction."""
        corrected = self._corrections(net)
        best = (-1.0, 0.0, 1.0)
        for strength in STRENGTHS:
            values = [
                float(np.mean([r.value for r in self._measured(corrected, strength, s, None)]))
                for s in SHARES
            ]
            place = int(np.argmax(values))
            tell(f"strength {strength:g}: {values[place]:.3f} with words x {SHARES[place]:g}")
            if values[place] > best[0]:
                best = (values[place], strength, SHARES[place])
        net.strength.fill_(best[1])
        net.words.fill_(best[2])
        return best[1], best[2]

    def rows(self, net: PromptPools, seed: int | None) -> list[Row]:
        """Recall by the pools, beside the plain sum with the same share of words."""
        share = float(net.words)
        found = self._measured(self._corrections(net), float(net.strength), share, seed)
        plain = self.plain((share,))[f"sum, words x {share:g}"]
        floor = [r for a in ASKED for r in both_rows(self.tasks, a, plain[a], "", None)]
        return [r.beside("sum of cosines", f.value) for r, f in zip(found, floor, strict=True)]

    def _rows(self, texts: Sequence[str]) -> NDArray[np.int64]:
        return np.array([self._number[t] for t in texts])

    def _corrections(self, net: PromptPools) -> dict[str, tuple[Tensor, Tensor, Tensor]]:
        """Of gallery, diagnoses and queries: picture's and words' vectors, and the correction."""
        held = len(self.tasks.held)
        out = {"gallery": self._corrected(net, len(self._vectors), None)}
        out["diagnoses"] = self._corrected(net, 0, self._rows(self.tasks.diagnoses))
        for asked, words in self.tasks.words.items():
            out[asked] = self._corrected(net, held, self._rows(words))
        return out

    @torch.inference_mode()
    def _corrected(
        self, net: PromptPools, pictures: int, texts: NDArray[np.int64] | None
    ) -> tuple[Tensor, Tensor, Tensor]:
        seen, read, found = [], [], []
        every = pictures or len(texts if texts is not None else ())
        for begin in range(0, every, _SOME):
            rows = slice(begin, min(begin + _SOME, every))
            picture = self._picture(rows) if pictures else None
            text = None if texts is None else text_side(self._texts, texts[rows])
            count = len((picture or text).vectors)  # type: ignore[union-attr]
            nothing = torch.zeros(count, net.size.dim)
            seen.append(nothing if picture is None else picture.vectors)
            read.append(nothing if text is None else text.vectors)
            found.append(net.correction(picture, text)[0])
        return torch.cat(seen), torch.cat(read), torch.cat(found)

    def _picture(self, rows: slice) -> Side:
        parts = torch.from_numpy(self._parts[rows]).float()
        there = torch.ones(parts.shape[:2], dtype=torch.bool)
        return Side(torch.from_numpy(self._vectors[rows]).float(), parts, there)

    def _measured(
        self,
        corrected: Mapping[str, tuple[Tensor, Tensor, Tensor]],
        strength: float,
        share: float,
        seed: int | None,
    ) -> list[Row]:
        vectors = {name: _joined(*of, strength, share) for name, of in corrected.items()}
        there = dict(zip(WANTED, (vectors["gallery"], vectors["diagnoses"]), strict=True))
        rows = []
        for asked in ASKED:
            scores = {wanted: vectors[asked] @ v.T for wanted, v in there.items()}
            rows += both_rows(self.tasks, asked, scores, "prompts", seed)
        return rows


def _joined(seen: Tensor, read: Tensor, found: Tensor, strength: float, share: float) -> Floats:
    base = functional.normalize(seen + share * read, dim=-1)
    if not seen.any():  # texts alone
        base = read
    return functional.normalize(base + strength * found, dim=-1).double().numpy()
