"""Every row comes back, in order and unaltered, with what the model says beside it."""

from __future__ import annotations

import csv
import gzip
import io
from pathlib import Path

import numpy as np
import pytest
from binding_models import CMV, EBV, FLU, KNOWN
from hypothesis import given, settings
from hypothesis import strategies as st

from mmtool.errors import InputError, UsageError
from mmtool.io.readers.epitopes import Epitope
from mmtool.pipelines.binding_knn import LevenshteinKnn
from mmtool.pipelines.receptor_rows import ReceptorTable
from mmtool.pipelines.tcr_bind import BindOptions
from mmtool.pipelines.tcr_bind_result import COLUMNS, BindingRun

MODEL = LevenshteinKnn({"k": 3, "few": 3}, KNOWN)
HEAD = "sequence_id\tv_call\tj_call\tjunction_aa\tlocus\tepitope\n"
ROWS = (
    f"a\tTRBV19\tTRBJ2-7\tCASSIRSSYEQYF\tTRB\t{FLU}\n"
    f"b\tTCRBV20-01\t\tCSARDQTGNGYTF\tTRB\t{EBV}\n"
    "c\tTRBV19\t\tCASS*F\tTRB\tAAAAAAAAA\n"
    f"d\tTRAV27\tTRAJ42\tCAGAGSQGNLIF\tTRA\t{FLU}\n"
)


def table_of(text: str, folder: Path) -> ReceptorTable:
    path = folder / "in.tsv"
    path.write_text(text, encoding="utf-8", newline="")
    return ReceptorTable.open(path)


def rows_of(path: Path) -> list[list[str]]:
    raw = path.read_bytes()
    text = (gzip.decompress(raw) if path.suffix == ".gz" else raw).decode()
    return list(csv.reader(io.StringIO(text, newline=""), delimiter="\t", strict=True))


def dicts(path: Path) -> list[dict[str, str]]:
    head, *rows = rows_of(path)
    return [dict(zip(head, row, strict=True)) for row in rows]


_CELL = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0\ufeff"), max_size=8)


@settings(max_examples=60, deadline=None)
@given(
    head=st.lists(_CELL, max_size=3, unique=True),
    rows=st.lists(st.lists(_CELL, min_size=4, max_size=4), min_size=1, max_size=6),
    delimiter=st.sampled_from("\t,;"),
    end=st.sampled_from(["\n", "\r\n"]),
    packed=st.booleans(),
)
def test_the_cells_of_any_table_come_back(
    head: list[str],
    rows: list[list[str]],
    delimiter: str,
    end: str,
    packed: bool,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    folder = tmp_path_factory.mktemp("any")
    columns = ["cdr3b", *(f"x{i}{name}" for i, name in enumerate(head))]
    text = io.StringIO(newline="")
    writer = csv.writer(text, delimiter=delimiter, lineterminator=end, quoting=csv.QUOTE_ALL)
    writer.writerow(columns)
    cells = [row[: len(columns)] for row in rows]
    writer.writerows(cells)
    run = BindingRun(table_of(text.getvalue(), folder), MODEL, [Epitope(FLU), Epitope(CMV)])
    run.write(folder, packed=packed)
    found = rows_of(folder / ("binding.tsv.gz" if packed else "binding.tsv"))
    assert found[0][: len(columns)] == columns
    assert [row[: len(columns)] for row in found[1::2]] == cells
    assert [row[: len(columns)] for row in found[2::2]] == cells
    assert len(found) == 1 + 2 * len(cells)
    assert all(len(row) == len(found[0]) for row in found)


def test_rows_by_epitopes_in_order(tmp_path: Path) -> None:
    epitopes = [Epitope(FLU), Epitope("A" * 30), Epitope("AAAAAAAAA"), Epitope(CMV)]
    run = BindingRun(table_of(HEAD + ROWS, tmp_path), MODEL, epitopes, evidence=2)
    run.write(tmp_path)
    found = dicts(tmp_path / "binding.tsv")
    assert [r["sequence_id"] for r in found] == list("aaaabbbbccccdddd")
    assert [r["mmtool_epitope"] for r in found[:4]] == [e.sequence for e in epitopes]
    assert [r["mmtool_status"] for r in found[:4]] == [
        "seen 3",
        "unusable: epitope of 30 residues, 7 to 25 are known",
        "unseen: no evidence",
        "few 2",
    ]
    assert float(found[0]["mmtool_score"]) > float(found[3]["mmtool_score"])
    assert found[0]["mmtool_nearest_cdr3b"] == "CASSIRSSYEQYF"
    assert found[0]["mmtool_nearest_distance"] == "0.0000"
    assert found[2]["mmtool_score"] == ""
    assert found[4]["mmtool_changes"] == "v_call: TCRBV20-01 -> TRBV20-1"
    assert found[4]["v_call"] == "TCRBV20-01"
    assert found[4]["mmtool_v_b"] == "TRBV20-1"
    assert {r["mmtool_status"] for r in found[8:12]} == {"unusable: stop codon"}
    evidence = dicts(tmp_path / "evidence.tsv")
    assert [(r["row"], r["rank"]) for r in evidence][:2] == [("1", "1"), ("1", "2")]
    assert "3" not in {r["row"] for r in evidence}
    listed = dicts(tmp_path / "epitopes.tsv")
    assert [r["status"].split()[0] for r in listed] == ["seen", "unusable:", "unseen:", "few"]
    summary = run.summary()
    assert summary["rows"] == 4
    assert summary["unusable_rows"] == {"stop codon": 1}
    assert summary["changed_rows"] == {"gene renamed": 1}
    assert run.failure() is None


def test_each_row_with_its_own_epitope(tmp_path: Path) -> None:
    more = "e\tTRBV19\t\tCASSIRSSYEQYF\tTRB\t\nf\tTRBV19\t\tCASSIRSSYEQYF\tTRB\tGILX\n"
    run = BindingRun(table_of(HEAD + ROWS + more, tmp_path), MODEL, None, column=5)
    run.write(tmp_path)
    found = dicts(tmp_path / "binding.tsv")
    assert [r["sequence_id"] for r in found] == list("abcdef")
    assert [r["mmtool_epitope"] for r in found] == [FLU, EBV, "AAAAAAAAA", FLU, "", "GILX"]
    assert [r["mmtool_status"] for r in found] == [
        "seen 3",
        "few 2",
        "unusable: stop codon",
        "seen 3",
        "unusable: no epitope in this row",
        "unusable: epitope GILX: 'X' is no amino acid",
    ]
    alone = MODEL.score([KNOWN[0].receptor], [FLU]).score[0, 0]
    np.testing.assert_allclose(float(found[0]["mmtool_score"]), alone, atol=1e-4)
    assert [(r["epitope"], r["rows"]) for r in dicts(tmp_path / "epitopes.tsv")] == [
        (FLU, "2"),
        (EBV, "1"),
        ("AAAAAAAAA", "1"),
    ]


def test_a_scan_keeps_the_best(tmp_path: Path) -> None:
    epitopes = [Epitope(e) for e in MODEL.epitopes]
    run = BindingRun(table_of(HEAD + ROWS, tmp_path), MODEL, epitopes, top=2)
    run.write(tmp_path)
    found = dicts(tmp_path / "binding.tsv")
    assert [r["sequence_id"] for r in found] == list("aabbcdd")
    assert (found[0]["mmtool_epitope"], found[2]["mmtool_epitope"]) == (FLU, EBV)
    assert found[4]["mmtool_epitope"] == ""
    for first, second in ((found[0], found[1]), (found[2], found[3])):
        assert float(first["mmtool_score"]) >= float(second["mmtool_score"])


def test_unseen_epitopes_are_scored_where_skill_was_shown(tmp_path: Path) -> None:
    for skill, status in ((0.6, "unseen"), (0.5, "unseen: no evidence")):
        model = LevenshteinKnn({"k": 3, "unseen_skill": skill}, KNOWN)
        run = BindingRun(table_of(HEAD + ROWS, tmp_path), model, [Epitope("GILGFVFTV")])
        run.write(tmp_path)
        first = dicts(tmp_path / "binding.tsv")[0]
        assert first["mmtool_status"] == status
        assert bool(first["mmtool_score"]) == (status == "unseen")
        assert len(dicts(tmp_path / "evidence.tsv")) == 0


def test_airr_columns_are_added_to_other_tables_of_one_chain(tmp_path: Path) -> None:
    text = "aminoAcid,vGeneName,vMaxResolved,mmtool_score\nassirssyeqy,TCRBV19-01,x,7\n"
    run = BindingRun(table_of(text, tmp_path), MODEL, [Epitope(FLU)])
    run.write(tmp_path)
    (row,) = dicts(tmp_path / "binding.tsv")
    assert (row["v_call"], row["junction_aa"], row["locus"]) == ("TRBV19", "CASSIRSSYEQYF", "TRB")
    assert row["earlier_mmtool_score"] == "7"
    assert list(row)[-len(COLUMNS) :] == list(COLUMNS)


def test_the_same_bytes_again_and_chunks_do_not_matter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def once(packed: bool) -> bytes:
        table = table_of(HEAD + ROWS * 5, tmp_path)
        BindingRun(table, MODEL, [Epitope(FLU)]).write(tmp_path, packed=packed)
        return (tmp_path / ("binding.tsv.gz" if packed else "binding.tsv")).read_bytes()

    whole, packed = once(False), once(True)
    assert once(True) == packed
    assert gzip.decompress(packed) == whole
    monkeypatch.setattr("mmtool.pipelines.tcr_bind_result._ROWS", 3)
    assert once(False) == whole


def test_no_usable_row_is_a_failure_whose_outputs_are_kept(tmp_path: Path) -> None:
    run = BindingRun(table_of("cdr3b\nCASS*F\n", tmp_path), MODEL, [Epitope(FLU)])
    run.write(tmp_path)
    failure = run.failure()
    assert isinstance(failure, InputError)
    assert "none of 1 rows can be scored (stop codon)" in failure.message


def test_ways_to_name_epitopes_exclude_each_other() -> None:
    for options in (
        BindOptions("m", epitope=(FLU,), scan=True),
        BindOptions("m", hla=("A2",), epitope_column="x"),
        BindOptions("m", epitopes=Path("x"), hla=("A2",)),
    ):
        with pytest.raises(UsageError, match="exclude each other"):
            options.check()
    BindOptions("m", scan=True, hla=("A2",)).check()
