"""How well ``brain-text`` obeys words, on synthetic scans of maps that it never saw."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmtool.anatomy import BRAIN_LABELS
from mmtool.models.text.request import parse_request
from mmtool.models.text.vocabulary import lexicon_of
from mmtool.pipelines.evaluation.brain import CONTRASTS, sided_labels
from mmtool.pipelines.evaluation.overlap import Interval, bootstrap_mean, dice_per_label
from mmtool.pipelines.text_inference import BrainTextSegmenter, Look
from mmtool.pipelines.training.brain import SIZE, load_codes
from mmtool.pipelines.training.brain_options import split_maps
from mmtool.pipelines.training.prompts import Prompt, draw_prompt
from mmtool.pipelines.training.synthesis import synthesise

_AFFINE = np.diag([2.0, 2.0, 2.0, 1.0])
_ML = 0.008  # mL of a voxel
_INDICES = frozenset(label.index for label in BRAIN_LABELS)
_SWAP = {"left": "right", "right": "left"}
_NAMES = {label.index: label.name for label in BRAIN_LABELS}
# Structures of other parts of the body: nothing is to be segmented.
_ABSENT = ("liver", "segment the spleen", "left kidney and right kidney", "the aortic arch")

Row = dict[str, float]


@dataclass(frozen=True)
class TextScore:
    """One line of the table.

    Attributes:
        test: What was said.
        measure: ``Dice`` or ``mL``.
        value: Mean over scans and texts, with its interval over maps.
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
        Dice of the union asked for with the right text (wordings of training, unseen wordings),
        another scan's text and an empty one; Dice with the truth when the text names the other
        side; mL for structures that are not there; and beside them the rules with ``brain``
        (plain selection) and ``brain`` told the true set of labels (no reading at all).
    """
    _, held = split_maps(maps, holdout)
    tables: list[list[Row]] = []
    for number, path in enumerate(held):
        codes, rows = load_codes(path), []
        for scan in range(scans):
            rng = np.random.default_rng([seed, 17, number, scan])
            sample = synthesise(codes, SIZE, CONTRASTS["T1-like"], rng)[0]
            truth = sided_labels(sample)
            look = segmenter.look(sample.image.numpy(), _AFFINE)
            rows += _ask_all(segmenter, look, truth, texts, rng)
            if report:
                report(f"{path.name} scan {scan}: Dice {_mean(rows, 'right text'):.3f}")
        tables.append(rows)
    return [
        TextScore(test, measure, bootstrap_mean([_values(rows, test) for rows in tables]))
        for test, measure in _TESTS.items()
    ]


_TESTS = {
    "right text": "Dice",
    "right text, plain selection": "Dice",
    "unseen wording": "Dice",
    "unseen wording, plain selection": "Dice",
    "true labels told": "Dice",
    "another text": "Dice",
    "empty text": "Dice",
    "other side named": "Dice",
    "absent structure": "mL",
}


def _values(rows: list[Row], test: str) -> list[float]:
    return [row[test] for row in rows if test in row]


def _mean(rows: list[Row], test: str) -> float:
    return float(np.mean(_values(rows, test)))


def _ask_all(
    segmenter: BrainTextSegmenter,
    look: Look,
    truth: NDArray[np.uint8],
    texts: int,
    rng: np.random.Generator,
) -> list[Row]:
    def found(text: str) -> NDArray[np.bool_]:
        return segmenter.read(look, text).labels > 0

    rows: list[Row] = []
    everything = found("")
    for split, name in (("train", "right text"), ("unseen", "unseen wording")):
        drawn = [_real_prompt(rng, split) for _ in range(texts)]
        for number, prompt in enumerate(drawn):
            wanted = np.isin(truth, tuple(prompt.asked))
            ruled = np.isin(look.found.labels, tuple(_by_rules(prompt.text)))
            row = {
                name: _dice(wanted, found(prompt.text)),
                f"{name}, plain selection": _dice(wanted, ruled),
            }
            if split == "train":
                told = np.isin(look.found.labels, tuple(prompt.asked))
                row["true labels told"] = _dice(wanted, told)
                other = drawn[(number + 1) % len(drawn)]
                row["another text"] = _dice(wanted, found(other.text))
                row["empty text"] = _dice(wanted, everything)
            rows.append(row)
    for index in rng.choice([i for i, n in _NAMES.items() if n.split()[0] in _SWAP], 4):
        side, _, rest = _NAMES[int(index)].partition(" ")
        rows.append({"other side named": _dice(truth == index, found(f"{_SWAP[side]} {rest}"))})
    rows += [{"absent structure": float(found(text).sum()) * _ML} for text in _ABSENT]
    return rows


def _real_prompt(rng: np.random.Generator, split: Any) -> Prompt:
    """A prompt that asks for something, but not for everything."""
    while True:
        prompt = draw_prompt(rng, BRAIN_LABELS, split=split)
        if prompt.asked and prompt.asked != _INDICES:
            return prompt


def _by_rules(text: str) -> frozenset[int]:
    """Labels as the rules of ``mmtool segment`` read a text; all for a report without findings."""
    asked = parse_request(text, lexicon=lexicon_of(BRAIN_LABELS, None)).asked
    return _INDICES if asked is None else asked


def _dice(truth: NDArray[np.bool_], found: NDArray[np.bool_]) -> float:
    return dice_per_label(truth.view(np.uint8), found.view(np.uint8), [1])[1]
