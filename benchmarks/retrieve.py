"""Figures of an encoder of pictures and words beside floors that are fitted in the same run.

    python benchmarks/retrieve.py --data vision_language [--model joint] [--card DIR]

Prints the rows of ``mmtool evaluate retrieve`` and what is left of them on changed images and
texts. ``--card`` writes both into the card of a model's folder.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import torch

from mmtool.pipelines.evaluation.retrieve import COLUMNS, RetrieveEvaluation, evaluate_retrieve
from mmtool.pipelines.evaluation.retrieve_probes import cells
from mmtool.pipelines.training.retrieve_card import metric


def main() -> None:
    """Measure, print, and write the card where asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--model", default="joint")
    parser.add_argument("--split", default="dev")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--card", type=Path)
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    found = evaluate_retrieve(asked.data, asked.model, split=asked.split)
    print("\t".join(COLUMNS))
    for row in found.rows:
        print("\t".join("" if v is None else str(v) for v in cells(row)))
    for line in found.stressed:
        print(json.dumps(line))
    if asked.card is not None:
        write_card(asked.card, found)


def write_card(folder: Path, found: RetrieveEvaluation) -> None:
    """Replace the measures of a card; robustness is one line a change and severity."""
    path = folder / "card.json"
    card = json.loads(path.read_text(encoding="utf-8"))
    reports = "Open-i validation reports that are not normal"
    slices = f"MedPix 2.0 {found.split}, slices"
    card["metrics"] = [
        metric(row, reports if "impression" in row.measure else slices) for row in found.rows
    ]
    card["robustness"] = [
        ", ".join(f"{name} {value}" for name, value in line.items()) for line in found.stressed
    ]
    path.write_text(json.dumps(card, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
