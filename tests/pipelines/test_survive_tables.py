"""From tables to patients and from words to numbers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mmtool.errors import InputError, UsageError
from mmtool.io.limits import Limits
from mmtool.pipelines.survive_outcomes import in_unit, usable
from mmtool.pipelines.survive_schema import Schema, infer_schema
from mmtool.pipelines.survive_tables import Patients, TableOptions, read_patients
from mmtool.survival import Outcome


def read(folder: Path, patients: str, *omics: str, **options: object) -> Patients:
    (folder / "p.csv").write_text(patients)
    names = []
    for k, text in enumerate(omics):
        (folder / f"o{k}.csv").write_text(text)
        names.append(folder / f"o{k}.csv")
    return read_patients(folder / "p.csv", names, TableOptions(**options), Limits())


CLINICAL = {
    "age": ["61", "72.5", "", "55", "48", "80"] * 5,
    "sex": ["MALE", "FEMALE", "FEMALE", "MALE", "[Not Available]", "MALE"] * 5,
    "stage": ["Stage IA", "Stage IIB", "Stage X", "Stage IV", "Stage III", "Stage I"] * 5,
    "N": ["N0", "N1", "NX", "N2", "N0", "N0"] * 5,
    "type": ["a", "b", "c", "a", "b", "c"] * 4 + ["a", "b", "c", "d", "e", "f"],
    "pure": ["x"] * 30,
    "blank": [""] * 30,
    "words": [f"patient number {i}" for i in range(30)],
    "row": [str(i) for i in range(30)],
    "seen": ["2012-03-0" + str(1 + i % 9) for i in range(30)],
    "flag": ["1", "0", "1.0", "0", "", "1"] * 5,
}


def test_kinds_of_columns() -> None:
    schema = infer_schema(CLINICAL, {"flag": "you asked for it"})
    kinds = {c.name: c.kind for c in schema.columns}
    assert [
        n for n, k in kinds.items() if k == "ignored"
    ] == "pure blank words row seen flag".split()
    assert kinds["age"] == "numeric"
    assert kinds["sex"] == "binary"
    assert kinds["stage"] == kinds["N"] == "ordinal"
    assert schema.names() == (
        *("age", "sex=male", "stage", "N"),
        *("type=a", "type=b", "type=c", "type=other"),
    )
    x = schema.encode(CLINICAL, 30)
    by_name = dict(zip(schema.names(), x.T, strict=True))
    assert by_name["sex=male"][:5].tolist()[:4] == [1, 0, 0, 1]
    assert np.isnan(by_name["sex=male"][4])
    stage = by_name["stage"]
    assert stage[0] < stage[5] < stage[1] < stage[4] < stage[3]
    assert np.isnan(stage[2])
    assert np.isnan(by_name["N"][2])
    assert by_name["type=other"].sum() == 3
    assert Schema.from_json(schema.to_json(), "here") == schema


def test_words_that_training_never_saw() -> None:
    schema = infer_schema({"grade": ["low", "mid", "top"] * 10, "T": ["T1", "T2a", "T3"] * 10}, {})
    new = {"grade": ["mid", "huge", ""], "T": ["T4", "T2", "what"]}
    x = schema.encode(new, 3)
    assert x[0, :3].tolist() == [0, 1, 0]
    assert np.isnan(x[1, :3]).all()
    assert x[0, 3] > 3 > x[1, 3]
    assert np.isnan(x[2, 3])
    notes = schema.notes(new)
    assert any("'grade': 1 cells" in n for n in notes)
    assert any("'T': 1 cells" in n for n in notes)
    assert np.isnan(schema.encode({}, 2)).all()
    assert schema.notes({"T": ["T1"]}) == [
        "columns that the model knows and the table lacks: grade"
    ]


def test_a_patient_of_several_rows_counts_once(tmp_path: Path) -> None:
    text = (
        "case_id,slide_id,survival_months,censorship,age,G_rnaseq\n"
        "A,s1,10,0,50,1\nA,s2,10,0,,3\nB,s3,7,1,60,NA\n"
    )
    found = read(tmp_path, text)
    assert found.ids == ("A", "B")
    assert found.outcome is not None
    assert found.outcome.event.tolist() == [True, False]
    assert found.unit == "months"
    assert found.clinical["age"] == ("50", "60")
    block = found.blocks["rnaseq"]
    assert block.columns == ("G",)
    assert block.values[0, 0] == 2
    assert block.present.tolist() == [True, False]
    with pytest.raises(InputError, match="different outcomes"):
        read(tmp_path, text.replace("A,s2,10", "A,s2,11"))


def test_names_that_stand_in_one_table_only(tmp_path: Path) -> None:
    found = read(
        tmp_path,
        "id,time,event\nTCGA-05-0001,1,1\nTCGA-05-0002,2,0\nTCGA-05-0003,3,0\n",
        "sample,G1\nTCGA-05-0002-01A,5\nTCGA-05-0001-11A,7\nTCGA-05-0009-01A,6\n",
    )
    assert found.blocks["o0"].values[:, 0].tolist()[1] == 5
    assert found.blocks["o0"].present.tolist() == [False, True, False]
    assert {(u.name, u.reason) for u in found.unmatched} == {
        ("TCGA-05-0001-11A", "normal tissue, left out"),
        ("TCGA-05-0009-01A", "not in the table of patients"),
        ("TCGA-05-0001", "patient without a row here"),
        ("TCGA-05-0003", "patient without a row here"),
    }
    assert not any("TCGA" in note for note in found.notes)


def test_patients_in_columns(tmp_path: Path) -> None:
    found = read(tmp_path, "id,time,event\nA,1,1\nB,2,0\n", "gene,B,A,C\nTP53,1,2,3\nMYC,4,5,6\n")
    assert found.blocks["o0"].columns == ("TP53", "MYC")
    assert found.blocks["o0"].values.tolist() == [[2, 5], [1, 4]]


def test_no_name_in_common_is_refused_without_telling_names(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="none of its 1 rows") as error:
        read(tmp_path, "id,time,event\nSecret-12,1,1\n", "id,G1\nother_7,1\n")
    assert "'AAAAAA-99'" in error.value.hint
    assert "Secret" not in str(error.value) + error.value.hint


def test_two_blocks_of_one_name_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="'cnv' is there already"):
        read(tmp_path, "id,time,event,A_cnv\nP,1,1,0\n", "id,B_cnv\nP,1\n")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("id,time,event\nA,soon,1\n", "times that are no numbers"),
        ("id,time,event\nA,1,perhaps\n", "neither event nor censored"),
        ("id,time,event\n,1,1\n", "1 rows have no name"),
    ],
)
def test_tables_that_are_refused(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(InputError, match=words):
        read(tmp_path, text)


def test_events_coded_as_one_and_two(tmp_path: Path) -> None:
    found = read(tmp_path, "id,time,status\nA,1,1\nB,2,2\n")
    assert found.outcome is not None
    assert found.outcome.event.tolist() == [False, True]
    assert any("2 is taken as the event" in n for n in found.notes)


def test_times_that_are_none() -> None:
    outcome = Outcome(np.array([0.0, -3.0, np.nan, 4.0]), np.array([True, True, False, False]))
    found, keep, notes = usable(outcome)
    assert keep.tolist() == [0, 3]
    assert found.time[0] == 2
    assert len(notes) == 3


def test_times_of_another_unit() -> None:
    event = np.ones(3, np.bool_)
    days = Outcome(np.array([365.25, 730.5, 1461.0]), event)
    months = Outcome(np.array([10.0, 20.0, 30.0]), event)
    found, notes = in_unit(days, "days", months, "months")
    assert found.time.tolist() == [12, 24, 48]
    assert notes == ["days are taken as months"]
    assert in_unit(months, "months", months, "months") == (months, [])
    found, notes = in_unit(days, "", months, "months")
    assert found is days
    assert "another unit" in notes[0]
    assert in_unit(months, "", months, "months")[1] == []
