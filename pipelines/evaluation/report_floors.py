"""Floors of a report: words of the case that reads alike."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from mmtool.io.limits import Limits
from mmtool.io.readers.json_lines import read_json_lines
from mmtool.pipelines.evaluation.report_metrics import words_of

_CASES = Path("medpix2") / "cases.jsonl"


def histories(data: Path, limits: Limits) -> dict[str, str]:
    """History of the case of each image by the image's name; empty where there are no cases.

    Raises:
        InputError: The cases can't be read.
    """
    path = data / _CASES
    if not path.is_file():
        return {}
    return {
        name: case.get("history", "")
        for _, case in read_json_lines(path, limits)
        for name in case.get("images", "").split("; ")
    }


def nearest_by_words(asked: Sequence[str], known: Sequence[str]) -> list[int]:
    """Place of the known text that is most like each asked one, by TF-IDF and cosine."""
    counts = [Counter(words_of(text)) for text in known]
    documents = Counter(word for row in counts for word in row)
    weight = {w: math.log(len(known) / n) + 1 for w, n in documents.items()}
    rows = [_weighted(row, weight) for row in counts]
    found = []
    for text in asked:
        query = _weighted(Counter(words_of(text)), weight)
        scores = [sum(v * row.get(w, 0.0) for w, v in query.items()) for row in rows]
        found.append(int(np.argmax(scores)))
    return found


def _weighted(row: Mapping[str, int], weight: Mapping[str, float]) -> dict[str, float]:
    values = {w: n * weight[w] for w, n in row.items() if w in weight}
    length = math.sqrt(sum(v * v for v in values.values())) or 1.0
    return {w: v / length for w, v in values.items()}
