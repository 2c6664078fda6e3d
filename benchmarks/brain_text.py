"""Figures of ``brain-text``: fusions side by side, and the card of the one that ships.

    for f in sequential progressive late; do
      mmtool evaluate segment --data MAPS --model runs/$f/model --scans 1 > $f.tsv
    done
    python benchmarks/brain_text.py sequential.tsv progressive.tsv late.tsv [--card CARD]

Reads the tables that the command prints, prints Markdown for docs/benchmarks.md, and writes the
figures of the first into a card.
"""

from __future__ import annotations

import argparse
import csv
import json
from pathlib import Path

from mmtool.io.writers.json_file import write_json

Rows = dict[str, dict[str, str]]
_BASELINES = {
    "right text": "right text, plain selection",
    "unseen wording": "unseen wording, plain selection",
}


def read(path: Path) -> Rows:
    """What was said -> its row."""
    lines = path.read_text().splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith("said\t"))
    table = [line for line in lines[start:] if line.count("\t") == lines[start].count("\t")]
    return {row["said"]: row for row in csv.DictReader(table, delimiter="\t")}


def metrics(rows: Rows) -> list[dict[str, object]]:
    """Metrics of the card."""
    out: list[dict[str, object]] = []
    for said, row in rows.items():
        if said.endswith("plain selection"):
            continue
        base = _BASELINES.get(said)
        out.append(
            {
                "name": f"{row['measure']}, {said}",
                **{k: float(row[c]) for k, c in _COLUMNS},
                "n": int(row["n"]),
                "set": "texts for T1-like synthetic scans of 4 held-out label maps",
                "baseline": base and {"name": "rules", "value": float(rows[base]["mean"])},
            }
        )
    return out


_COLUMNS = (("value", "mean"), ("low", "low"), ("high", "high"))


def main() -> None:
    """Print, and write the card."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("tables", type=Path, nargs="+")
    parser.add_argument("--card", type=Path)
    args = parser.parse_args()
    tables = {path.stem: read(path) for path in args.tables}
    first = next(iter(tables.values()))
    head = ("said", "measure", *tables)
    print("| " + " | ".join(head) + " |\n" + "|---" * len(head) + "|")
    for said, row in first.items():
        own = (t[said] for t in tables.values())
        cells = (f"{r['mean']} [{r['low']}, {r['high']}]" for r in own)
        print("| " + " | ".join((said, row["measure"], *cells)) + " |")
    if args.card:
        card = json.loads(args.card.read_text())
        card["metrics"] = metrics(first)
        write_json(args.card, card)


if __name__ == "__main__":
    main()
