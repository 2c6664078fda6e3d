"""Floors of a report, and the labeller beside headings."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

from mmtool.io.limits import Limits
from mmtool.models.text.findings import BY_NAME
from mmtool.pipelines.evaluation.report_floors import histories, nearest_by_words
from mmtool.pipelines.evaluation.report_labels import HEADINGS, label_counts


def test_the_text_that_reads_alike_is_found_by_its_rare_words() -> None:
    known = ["a man with pain", "a man with a cough", "a woman with pain"]
    assert nearest_by_words(["a man who coughs: cough", "woman", ""], known) == [1, 2, 0]


def test_histories_are_of_every_image_of_a_case(tmp_path: Path) -> None:
    assert histories(tmp_path, Limits()) == {}
    (tmp_path / "medpix2").mkdir()
    rows = [{"images": ["a", "b"], "history": "pain"}, {"images": ["c"]}]
    text = "\n".join(json.dumps(row) for row in rows)
    (tmp_path / "medpix2/cases.jsonl").write_text(text)
    assert histories(tmp_path, Limits()) == {"a": "pain", "b": "pain", "c": ""}


def test_the_labeller_is_counted_against_headings(tmp_path: Path) -> None:
    (tmp_path / "openi_reports").mkdir()
    rows = [
        ("Small effusion. No pneumothorax.", ["Pleural Effusion/right/small"]),
        ("Clear.", ["Pneumothorax"]),
        ("Possible effusion.", ["normal"]),
        ("Effusion.", ["No Indexing"]),
    ]
    with gzip.open(tmp_path / "openi_reports/reports.jsonl.gz", "wt") as file:
        for n, (text, majors) in enumerate(rows):
            row = {"uid": n, "findings": text, "impression": "", "mesh_major": majors}
            file.write(json.dumps(row) + "\n")
    counts = label_counts(tmp_path, Limits())
    assert counts["pleural effusion"].tolist() == [[1, 0, 0], [0, 0, 0], [0, 1, 0]]
    assert counts["pneumothorax"].sum(0).tolist() == [0, 0, 1]
    assert counts[""].sum(0).tolist() == [1, 1, 1]
    assert label_counts(tmp_path / "none", Limits()) == {}
    assert set(HEADINGS) <= set(BY_NAME)
