"""Tables of patients, of features, of folds and of groups of genes, well made and otherwise."""

from __future__ import annotations

import gzip
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

from mmtool.errors import InputError
from mmtool.io.limits import Limits
from mmtool.io.readers.fold_files import read_folds
from mmtool.io.readers.outcome_columns import id_column, outcome_columns, parse_event
from mmtool.io.readers.patient_table import patient_of, read_patient_table, suffix_of
from mmtool.io.readers.signatures import read_signatures

HERE = Path("patients.csv")


def written(folder: Path, text: str, name: str = "table.csv") -> Path:
    path = folder / name
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    ("header", "time", "event", "inverted", "unit"),
    [
        ("id,time,event", 1, 2, False, ""),
        ("id,OS,OS.time,PFI,PFI.time", 2, 1, False, ""),
        ("PATIENT_ID,OS_STATUS,OS_MONTHS,AGE", 2, 1, False, "months"),
        ("case_id,survival_months,censorship", 1, 2, True, "months"),
        ("id,futime,fustat", 1, 2, False, ""),
        ("id,DFS_days,DFS_event", 1, 2, False, "days"),
        ("id,age,status", None, None, False, ""),
    ],
)
def test_outcome_columns(
    header: str, time: int | None, event: int | None, inverted: bool, unit: str
) -> None:
    found = outcome_columns(header.split(","), None, None, HERE)
    assert (found.time, found.event, found.inverted, found.unit) == (time, event, inverted, unit)


def test_what_is_known_only_afterwards() -> None:
    names = "id,OS,OS.time,PFI.time,vital_status,days_to_death,tumor_status,age,stage".split(",")
    assert outcome_columns(names, None, None, HERE).later == {1, 2, 3, 4, 5, 6}


def test_columns_that_are_asked_for() -> None:
    names = ["id", "months", "gone"]
    found = outcome_columns(names, "months", "gone", HERE)
    assert (found.time, found.event) == (1, 2)
    with pytest.raises(InputError, match="is not there"):
        outcome_columns(names, "year", "gone", HERE)
    with pytest.raises(InputError, match="one of time and event alone"):
        outcome_columns(names, "months", None, HERE)
    assert id_column(["", "age"], None, HERE) == 0
    assert id_column(["age", "case_id"], None, HERE) == 1
    assert id_column(["age", "x"], None, HERE) is None


@pytest.mark.parametrize(
    ("cell", "event"),
    [
        *((c, True) for c in ("1", "1.0", "TRUE", "Dead", "1:DECEASED", "yes")),
        *((c, False) for c in ("0", "0.0", "false", "Alive", "0:LIVING", "censored")),
        *((c, None) for c in ("3", "maybe", "")),
    ],
)
def test_events(cell: str, event: bool | None) -> None:
    assert parse_event(cell) is event


def test_features_by_suffix_and_words_beside(tmp_path: Path) -> None:
    text = "case_id,age,TP53_rnaseq,TP53_mut\nA,61,0.5,1\nB,,NA,0\nC,[Not Available],inf,\n"
    table = read_patient_table(written(tmp_path, text), Limits())
    assert table.names == ("case_id", "age")
    assert table.cells == (("A", "61"), ("B", ""), ("C", "[Not Available]"))
    assert table.features == ("TP53_rnaseq", "TP53_mut")
    expected = np.array([[0.5, 1], [np.nan, 0], [np.nan, np.nan]])
    assert np.array_equal(table.values, expected, equal_nan=True)
    assert [suffix_of(n) for n in ("A_CNV", "A_b", "mut", "_mut")] == ["cnv", "", "", "mut"]


@pytest.mark.parametrize("packing", ["plain", "gzip", "zip"])
def test_any_packing(tmp_path: Path, packing: str) -> None:
    text = "sample\tG1\tG2\nA\t1\t2\nB\t3\t\n"
    path = tmp_path / "t.tsv"
    if packing == "plain":
        path.write_text(text)
    elif packing == "gzip":
        path.write_bytes(gzip.compress(text.encode()))
    else:
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("./t.tsv", text)
            archive.writestr("__MACOSX/._t.tsv", b"\0")
    table = read_patient_table(path, Limits(), omics=True)
    assert table.features == ("G1", "G2")
    assert np.array_equal(table.values, [[1, 2], [3, np.nan]], equal_nan=True)


def test_a_row_of_forty_thousand_genes(tmp_path: Path) -> None:
    names = ",".join(f"GENE{i}" for i in range(40_000))
    rows = "".join(f"P{i}," + ",".join(["-0.12345"] * 40_000) + "\n" for i in range(2))
    table = read_patient_table(written(tmp_path, f"id,{names}\n{rows}"), Limits(), omics=True)
    assert table.values.shape == (2, 40_000)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("id,a\n", "no rows"),
        ("id,a,a\nA,1,2\n", "stands twice"),
        ("id,a_mut\nA,word\n", "line 2: no number under 'a_mut'"),
        ("id,a\nA,1,2,3\n", "4 cells under 2 columns"),
    ],
)
def test_tables_that_are_refused(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(InputError, match=words) as error:
        read_patient_table(written(tmp_path, text), Limits())
    assert error.value.hint


def test_archives_that_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "t.zip"
    for names, words in ((("a.csv", "b.csv"), "2 files"), (("[Content_Types].xml",), "Excel")):
        with zipfile.ZipFile(path, "w") as archive:
            for name in names:
                archive.writestr(name, "id,a\n")
        with pytest.raises(InputError, match=words):
            read_patient_table(path, Limits())


def test_parquet_without_its_library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "t.parquet"
    path.write_bytes(b"PAR1" + bytes(100))
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(InputError, match="pyarrow is not installed") as error:
        read_patient_table(path, Limits())
    assert "mmtool[parquet]" in error.value.hint


def test_parquet(tmp_path: Path) -> None:
    arrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    path = tmp_path / "t.parquet"
    parquet.write_table(
        arrow.table({"id": ["A", "B"], "G_cnv": [1.5, None], "sex": ["F", None]}), path
    )
    table = read_patient_table(path, Limits())
    assert table.cells == (("A", "F"), ("B", ""))
    assert np.array_equal(table.values, [[1.5], [np.nan]], equal_nan=True)


def test_samples_of_patients() -> None:
    assert patient_of("TCGA-05-4244-01A-01R") == ("TCGA-05-4244", True)
    assert patient_of("TCGA-05-4244-11") == ("TCGA-05-4244", False)
    assert patient_of("TCGA-05-4244") == ("TCGA-05-4244", True)
    assert patient_of(" P-01-02 ") == ("P-01-02", True)


def test_folds(tmp_path: Path) -> None:
    for k in range(2):
        written(tmp_path, f",train,val\n0,A{k},B{k}\n1,C{k},\n", f"splits_{k}.csv")
    folds = read_folds(tmp_path, Limits())
    assert [f.name for f in folds] == ["splits_0.csv", "splits_1.csv"]
    assert folds[1].train == {"A1", "C1"}
    assert folds[1].held_out == {"B1"}
    written(tmp_path, ",train,val\n0,A,A\n", "splits_2.csv")
    with pytest.raises(InputError, match="1 patients are on both sides"):
        read_folds(tmp_path, Limits())
    with pytest.raises(InputError, match="no folder"):
        read_folds(tmp_path / "none", Limits())
    written(tmp_path, "a,b\n1,2\n", "splits_0.csv")
    with pytest.raises(InputError, match="no columns train and val"):
        read_folds(tmp_path, Limits())


def test_groups_of_genes(tmp_path: Path) -> None:
    path = written(tmp_path, "Oncogenes,Kinases\nABL1,AAK1\nMYC,\n")
    assert read_signatures(path, Limits()) == {
        "Oncogenes": frozenset({"ABL1", "MYC"}),
        "Kinases": frozenset({"AAK1"}),
    }
    assert read_signatures(None, Limits()) == {}
