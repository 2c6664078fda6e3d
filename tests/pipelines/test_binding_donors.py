"""Donors of a test, and what is not known of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from mmtool.pipelines.evaluation.binding_donors import donor_of, donor_place, donor_sentences
from mmtool.pipelines.evaluation.binding_pairs import read_pairs


@pytest.mark.parametrize(
    ("names", "place"),
    [
        (["cell_id", "sample_id", "subject_id"], 2),
        (["meta.subject.id"], 0),
        (["x", "Donor"], 1),
        (["cdr3b", "Meta"], 1),
        (["cdr3b"], None),
    ],
)
def test_people_go_before_samples(names: list[str], place: int | None) -> None:
    assert donor_place(names) == place


def test_the_cell_of_vdjdb_is_json() -> None:
    assert donor_of('{"subject.id": "P7", "tissue": "PBMC"}') == "P7"
    assert donor_of("{broken") == donor_of("NA") == donor_of("{}") == ""
    assert donor_of(" d1 ") == "d1"


def _told(tmp_path: Path, rows: str, head: str = "cdr3b,epitope,label,pmid,donor") -> list[str]:
    path = tmp_path / "pairs.csv"
    path.write_text(f"{head}\n{rows}")
    return donor_sentences(read_pairs(path, None).pairs)


def test_donors_with_one_label_are_told(tmp_path: Path) -> None:
    binder = "CASSIRSSYEQYF,GILGFVFTL,1,1,d1\n"
    apart = _told(tmp_path, f"{binder}CASSPPPYEQYF,GILGFVFTL,0,1,d2\n")
    assert apart[0].startswith("2 donors, of 2 of 2 pairs: 1 have binders, 1 negatives, 0 both")
    assert "not known" in apart[0]
    assert "no donor has both labels" in apart[1]
    both = _told(tmp_path, f"{binder}CASSPPPYEQYF,GILGFVFTL,0,1,d1\n")
    assert len(both) == 1
    other_study = _told(tmp_path, f"{binder}CASSPPPYEQYF,GILGFVFTL,0,2,d1\n")
    assert len(other_study) == 2


def test_unknown_donors_are_told(tmp_path: Path) -> None:
    told = _told(tmp_path, "CASSIRSSYEQYF,GILGFVFTL,1\n", "cdr3b,epitope,label")
    assert told == ["donor overlap is not known: the table names no donors"]
