"""How well ``brain-text`` obeys words, on synthetic scans of maps that it never saw."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmtool.anatomy import BRAIN_LABELS
from mmtool.pipelines.evaluation.brain import CONTRASTS, sided_labels
from mmtool.pipelines.evaluation.overlap import Interval, bootstrap_mean, dice_per_label
from mmtool.pipelines.evaluation.reading import (
    INDICES,
    Text,
    by_rules,
    read_right,
    reading_sets,
    real_prompt,
    rules,
)
from mmtool.pipelines.evaluation.text_sentences import handwritten
from mmtool.pipelines.text_inference import BrainTextSegmenter, Look
from mmtool.pipelines.training.brain import SIZE, load_codes
from mmtool.pipelines.training.brain_options import split_maps
from mmtool.pipelines.training.synthesis import synthesise

_AFFINE = np.diag([2.0, 2.0, 2.0, 1.0])
_ML = 0.008  # mL of a voxel
_SWAP = {"left": "right", "right": "left"}
_NAMES = {label.index: label.name for label in BRAIN_LABELS}
# Structures of other parts of the body: nothing is to be segmented.
_ABSENT = ("liver", "segment the spleen", "left kidney and right kidney", "the aortic arch")
_DRAWN = ("right text", "unseen templates", "unseen names")
_READ = 500  # texts of each wording for reading alone

Row = dict[str, float]


@dataclass(frozen=True)
class TextScore:
    """One line of the table.

    Attributes:
        test: What was said.
        measure: ``Dice``, ``mL``, ``read right`` (share of texts of which every structure is judged
            rightly) or ``F1`` (of the structures of a text).
        value: Mean over scans and texts, with its interval over maps; of the last two, over texts.
    """

    test: str
    measure: str
    value: Interval

    def to_json(self) -> dict[str, Any]:
        """Plain dict."""
        return asdict(self)


def evaluate_text(
    segmenter: BrainTextSegmenter,
    maps: Path,
    *,
    holdout: int = 4,
    scans: int = 2,
    texts: int = 8,
    seed: int = 1,
    report: Callable[[str], None] | None = None,
) -> list[TextScore]:
    """Ask for structures in many ways and compare with the truth.

    Args:
        segmenter: The loaded model.
        maps: Folder of label maps as for training.
        holdout: As in training: every ``holdout``-th map is used.
        scans: Scans drawn from each map.
        texts: Texts of each wording for each scan.
        seed: Of scans and texts.
        report: Called with a line for each scan.

    Returns:
        Reading alone, by the network and by the rules. Dice of the union asked for with the right
        text (wordings of training, unseen ones, sentences by hand), another request's text and an
        empty one; Dice with the truth when the text names the other side; mL for structures that
        are not there; and beside them the rules with ``brain`` (plain selection) and ``brain``
        told the true set of labels (no reading at all).
    """
    scores = score_reading(segmenter, seed)
    _, held = split_maps(maps, holdout)
    tables: list[list[Row]] = []
    for number, path in enumerate(held):
        codes, rows = load_codes(path), []
        for scan in range(scans):
            rng = np.random.default_rng([seed, 17, number, scan])
            sample = synthesise(codes, SIZE, CONTRASTS["T1-like"], rng)[0]
            look = segmenter.look(sample.image.numpy(), _AFFINE)
            asker = _Asker(segmenter, look, sided_labels(sample), rng)
            rows += asker.all_rows(texts, handwritten()[number :: len(held)])
            if report:
                report(f"{path.name} scan {scan}: Dice {_mean(rows, 'right text'):.3f}")
        tables.append(rows)
    for test in dict.fromkeys(key for rows in tables for row in rows for key in row):
        measure = "mL" if test == _NOT_THERE else "Dice"
        scores.append(
            TextScore(test, measure, bootstrap_mean([_values(rows, test) for rows in tables]))
        )
    return scores


def score_reading(segmenter: BrainTextSegmenter, seed: int) -> list[TextScore]:
    """How well the network and the rules read, without any scan."""
    scores = []
    for said, texts in reading_sets(_READ, seed).items():
        for name, reader in ((said, segmenter.understand), (f"{said}, rules", rules)):
            for measure, values in zip(_MEASURES, read_right(reader, texts), strict=True):
                scores.append(TextScore(name, measure, bootstrap_mean([[v] for v in values])))
    return scores


_MEASURES = ("read right", "F1")
_NOT_THERE = "absent structure"


def _values(rows: list[Row], test: str) -> list[float]:
    return [row[test] for row in rows if test in row]


def _mean(rows: list[Row], test: str) -> float:
    return float(np.mean(_values(rows, test)))


class _Asker:
    """Asks for structures of one scan and compares with the truth."""

    def __init__(
        self,
        segmenter: BrainTextSegmenter,
        look: Look,
        truth: NDArray[np.uint8],
        rng: np.random.Generator,
    ) -> None:
        self.segmenter, self.look, self.truth, self.rng = segmenter, look, truth, rng
        self.everything = self._found("")

    def all_rows(self, count: int, written: list[Text]) -> list[Row]:
        """Scores of ``count`` texts of each wording, of sentences, of sides, of what is absent."""
        rows: list[Row] = []
        for said in _DRAWN:
            drawn = [real_prompt(self.rng, said) for _ in range(count)]
            rows += self._said(said, [(p.text, p.asked) for p in drawn])
        rows += self._said("handwritten", written)
        for index in self.rng.choice([i for i, n in _NAMES.items() if n.split()[0] in _SWAP], 4):
            side, _, rest = _NAMES[int(index)].partition(" ")
            found = self._found(f"{_SWAP[side]} {rest}")
            rows.append({"other side named": _dice(self.truth == index, found)})
        return rows + [{_NOT_THERE: float(self._found(text).sum()) * _ML} for text in _ABSENT]

    def _said(self, said: str, texts: list[Text]) -> list[Row]:
        rows: list[Row] = []
        given = [self._found(text) for text, _ in texts]
        chosen = by_rules([text for text, _ in texts])
        for number, ((_, meant), ruled) in enumerate(zip(texts, chosen, strict=True)):
            wanted = self._of(self.truth, meant)
            plain = self._of(self.look.found.labels, INDICES if ruled is None else ruled)
            row = {
                said: _dice(wanted, given[number]),
                f"{said}, plain selection": _dice(wanted, plain),
            }
            if said == _DRAWN[0]:
                row["true labels told"] = _dice(wanted, self._of(self.look.found.labels, meant))
                row["another text"] = _dice(wanted, given[(number + 1) % len(given)])
                row["empty text"] = _dice(wanted, self.everything)
            rows.append(row)
        return rows

    def _found(self, text: str) -> NDArray[np.bool_]:
        return self.segmenter.read(self.look, text).labels > 0

    @staticmethod
    def _of(labels: NDArray[np.uint8], meant: frozenset[int]) -> NDArray[np.bool_]:
        return np.isin(labels, tuple(meant))


def _dice(truth: NDArray[np.bool_], found: NDArray[np.bool_]) -> float:
    return dice_per_label(truth.view(np.uint8), found.view(np.uint8), [1])[1]
