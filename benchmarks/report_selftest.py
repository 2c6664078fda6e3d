"""The self-test of a report model on the development images, and into its card.

    python benchmarks/report_selftest.py --data FOLDER -o OUT [--model default] [--card DIR]

Writes OUT/truth.csv, what the images truly are, which ``mmtool report --self-test --truth`` takes
with the same images; prints the table; ``--card`` puts it into the card of a model's folder.
"""

from __future__ import annotations

import argparse
import csv
import json
from collections.abc import Sequence
from pathlib import Path

from mmtool.io.limits import Limits
from mmtool.io.readers.image_truths import CASE, FACTS, read_image_truths
from mmtool.io.writers.json_file import write_json
from mmtool.pipelines.report import ReportOptions, ReportTask
from mmtool.pipelines.report_selftest import COLUMNS, Row, self_test
from mmtool.pipelines.training.report_data import DEV, Labelled, labelled_images


def main() -> None:
    """Test, print, and write the card where asked."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--model", default="default")
    parser.add_argument("--card", type=Path)
    asked = parser.parse_args()
    asked.output.mkdir(parents=True, exist_ok=True)
    images = [i for i in labelled_images(asked.data) if i.caption and i.split == DEV]
    table = write_truths(asked.output / "truth.csv", images)
    limits = Limits.from_env()
    task = ReportTask(ReportOptions(model=asked.model), limits)
    rows = self_test(task, [i.path for i in images], read_image_truths(table, limits))
    for cells in (COLUMNS, *(row.cells() for row in rows)):
        print("\t".join(cells))
    if asked.card is not None:
        write_card(asked.card, rows)


def write_truths(path: Path, images: Sequence[Labelled]) -> Path:
    """The table of what they are."""
    with path.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["image", CASE, *FACTS])
        for image in images:
            facts = [image.labels.get(name, "") for name in FACTS]
            writer.writerow([image.path.name, image.group, *facts])
    return path


def write_card(folder: Path, rows: Sequence[Row]) -> None:
    """Replace the self-test of a card: one line a test."""
    path = folder / "card.json"
    card = json.loads(path.read_text(encoding="utf-8"))
    card["self_test"] = [f"{r.test}: {r.passed} of {r.n} ({r.note})" for r in rows]
    write_json(path, card)


if __name__ == "__main__":
    main()
