"""Figures of ``brain-text``: runs side by side, and the card of the one that ships.

    for seed in 0 1; do
      mmtool train segment --recipe brain-text --data MAPS -o runs/seed-$seed --seed $seed \\
        --iterations 80 --precision bfloat16 --fusion sequential --workers 0 --threads 1
      mmtool evaluate segment --data MAPS --model runs/seed-$seed/model --scans 1 > seed-$seed.tsv
    done
    python benchmarks/brain_text.py seed-0.tsv seed-1.tsv [--card CARD]

Reads the tables that the command prints, prints Markdown for docs/benchmarks.md with the rules
beside them, and writes the figures of the first into a card.
"""

from __future__ import annotations

import argparse
import csv
import json
from pathlib import Path

from mmtool.io.writers.json_file import write_json

Rows = dict[tuple[str, str], dict[str, str]]
_BASELINES = {"Dice": "plain selection", "read right": "rules", "F1": "rules"}


def read(path: Path) -> Rows:
    """What was said and how it was measured -> its row."""
    lines = path.read_text().splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith("said\t"))
    table = [line for line in lines[start:] if line.count("\t") == lines[start].count("\t")]
    return {(r["said"], r["measure"]): r for r in csv.DictReader(table, delimiter="\t")}


def baseline(rows: Rows, said: str, measure: str) -> dict[str, str] | None:
    """The row of the rules beside a row of the network."""
    return rows.get((f"{said}, {_BASELINES.get(measure)}", measure))


def is_baseline(said: str) -> bool:
    """Whether a row is one of the rules."""
    return said.endswith(tuple(f", {name}" for name in _BASELINES.values()))


def metrics(rows: Rows) -> list[dict[str, object]]:
    """Metrics of the card."""
    out: list[dict[str, object]] = []
    for (said, measure), row in rows.items():
        if is_baseline(said) or measure == "F1":
            continue
        base = baseline(rows, said, measure)
        out.append(
            {
                "name": f"{measure}, {said}",
                **{k: float(row[c]) for k, c in _COLUMNS},
                "n": int(row["n"]),
                "set": _SETS[measure == "read right"],
                "baseline": base and {"name": "rules", "value": float(base["mean"])},
            }
        )
    return out


_SETS = (
    "texts for T1-like synthetic scans of 4 held-out label maps",
    "texts alone: share of which every structure is judged rightly",
)
_COLUMNS = (("value", "mean"), ("low", "low"), ("high", "high"))


def cell(row: dict[str, str] | None) -> str:
    """A mean with its interval."""
    return f"{row['mean']} [{row['low']}, {row['high']}]" if row else ""


def main() -> None:
    """Print, and write the card."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("tables", type=Path, nargs="+")
    parser.add_argument("--card", type=Path)
    args = parser.parse_args()
    tables = {path.stem: read(path) for path in args.tables}
    first = next(iter(tables.values()))
    head = ("said", "measure", "rules", *tables)
    print("| " + " | ".join(head) + " |\n" + "|---" * len(head) + "|")
    for said, measure in first:
        if not is_baseline(said):
            own = (t.get((said, measure)) for t in tables.values())
            found = [baseline(first, said, measure), *own]
            print("| " + " | ".join((said, measure, *map(cell, found))) + " |")
    if args.card:
        card = json.loads(args.card.read_text())
        card["metrics"] = metrics(first)
        write_json(args.card, card)


if __name__ == "__main__":
    main()
