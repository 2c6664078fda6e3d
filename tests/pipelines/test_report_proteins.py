"""Reports of proteins: quoted from relatives, or silent with the reason."""

from __future__ import annotations

import gzip
import json
from dataclasses import replace
from pathlib import Path

import jsonschema
import numpy as np
import pytest
from proteins_made import ALPHA, BETA, DESCRIBED, MYOGLOBIN, fasta, protein_index
from typer.testing import CliRunner

from mmtool.cli.main import app
from mmtool.errors import InputError, UsageError
from mmtool.io.limits import Limits
from mmtool.io.readers.protein_records import read_proteins
from mmtool.io.readers.report_json import read_report
from mmtool.io.writers.report_json import plain_report, schema_text
from mmtool.pipelines import report_relatives
from mmtool.pipelines.report_functions import function_of
from mmtool.pipelines.report_proteins import ProteinTask
from mmtool.pipelines.report_relatives import ProteinIndex
from mmtool.pipelines.report_views import FORMATS
from mmtool.proteins import Protein, Relative

LETTERS = "ACDEFGHIKLMNPQRSTVWY"
DRAW = np.random.default_rng(0)


def made(length: int) -> str:
    """A protein that has no relatives."""
    return "".join(DRAW.choice(list(LETTERS), length))


def altered(letters: str, share: float) -> str:
    """A relative: that share of the letters drawn anew."""
    draw = np.random.default_rng(1)
    drawn = draw.choice(list(LETTERS), len(letters))
    change = draw.random(len(letters)) < share
    return "".join(d if c else a for a, d, c in zip(letters, drawn, change, strict=True))


@pytest.fixture(scope="module")
def task(tmp_path_factory: pytest.TempPathFactory) -> ProteinTask:
    return ProteinTask(ProteinIndex(protein_index(tmp_path_factory.mktemp("index"))))


def one(task: ProteinTask, folder: Path, letters: str, head: str = "p1") -> Protein:
    (protein,) = task.report(fasta(folder / "p.fasta", {head: letters})).proteins
    return protein


def test_a_relative_is_quoted_with_its_numbers(task: ProteinTask, tmp_path: Path) -> None:
    protein = one(task, tmp_path, altered(ALPHA, 0.3))
    assert protein.text == "Hemoglobin subunit alpha"
    assert protein.source.endswith("#sp|P69905|HBA_HUMAN")
    best, *others = protein.relatives
    assert best.organism == "Homo sapiens"
    assert 0.6 < best.identity < 0.8
    assert best.coverage > 0.9
    assert best.bits > 100
    assert all(r.bits <= best.bits for r in others)


def test_a_record_of_the_index_is_told_by_the_others(task: ProteinTask, tmp_path: Path) -> None:
    head = f"sp|P68871|HBB_HUMAN {DESCRIBED['sp|P68871|HBB_HUMAN'][0]}"
    protein = one(task, tmp_path, BETA, head)
    assert protein.text == "Hemoglobin subunit alpha"  # never its own evidence
    assert protein.relatives[0].identity == pytest.approx(0.434, abs=0.03)


def test_the_twilight_zone_is_silent(task: ProteinTask, tmp_path: Path) -> None:
    for letters in (made(150), altered(ALPHA, 0.85), ALPHA[:12]):
        protein = one(task, tmp_path, letters)
        assert not protein.told
        assert protein.text == protein.source == protein.sentence == ""
        assert protein.reasons
        assert not any(r.counts for r in protein.relatives)


def relative(text: str, bits: float, *, counts: bool = True) -> Relative:
    return Relative(f"db#{text[:5]}", text, "", bits, 0.5, 0.2, 200, 0.9, 0.9, counts)


def test_relatives_that_disagree_are_told_so() -> None:
    kinase, ligase = relative("Protein kinase", 300), relative("DNA ligase", 290)
    said = function_of("p", [kinase, ligase])
    assert said.text == "Protein kinase"
    assert said.agreement == 0
    assert "possibly" in said.sentence
    assert "DNA ligase" in said.sentence
    agreed = function_of("p", [kinase, replace(kinase, bits=100), ligase])
    assert agreed.agreement == pytest.approx(100 / 390, abs=1e-3)
    assert function_of("p", [kinase]).agreement is None


def test_words_that_say_nothing_are_passed_over() -> None:
    empty = relative("Uncharacterized protein", 500)
    assert function_of("p", [empty, relative("DNA ligase", 90)]).text == "DNA ligase"
    assert "none of the 1 relatives" in function_of("p", [empty]).reasons[0]
    assert function_of("p", [relative("DNA ligase", 40, counts=False)]).text == ""


@pytest.mark.parametrize(
    ("letters", "reason"),
    [
        ("ACGTACGTACGTACGTACGTACGTNN", "nucleotides"),
        ("acgtacgtacgtacgtacgtacgt", "nucleotides"),
        ("MKV1LLA", "no amino acids"),
        ("MKVÄLLA", "no amino acids"),
        ("MKV*LLA", "stop"),
        ("MKV-LLA", "gaps"),
        ("", "no letters"),
        ("XXXXXXXXM", "not known"),
    ],
)
def test_what_is_no_protein(task: ProteinTask, tmp_path: Path, letters: str, reason: str) -> None:
    with pytest.raises(InputError, match=reason):
        one(task, tmp_path, letters)
    both = fasta(tmp_path / "both.fasta", {"bad": letters, "good": ALPHA})
    bad, good = task.report(both).proteins
    assert not bad.told
    assert reason in bad.reasons[0]
    assert good.told


def test_empty_and_broken_files(tmp_path: Path) -> None:
    path = tmp_path / "p.fasta"
    for content in (b"", b"MKVLA\n", b"\n\n"):
        path.write_bytes(content)
        with pytest.raises(InputError, match="no record"):
            read_proteins(path, Limits())
    path.write_bytes(b"\0\1\2")
    with pytest.raises(InputError, match="binary"):
        read_proteins(path, Limits())
    path.write_bytes(gzip.compress(b">a\nMKV\n")[:-6])
    with pytest.raises(InputError):
        read_proteins(path, Limits())


def test_case_a_stop_at_the_end_and_gz_change_nothing(task: ProteinTask, tmp_path: Path) -> None:
    plain = one(task, tmp_path, MYOGLOBIN)
    assert one(task, tmp_path, MYOGLOBIN.lower() + "*") == plain
    assert one(task, tmp_path, "\n".join(MYOGLOBIN[i : i + 60] for i in (0, 60, 120))) == plain
    packed = tmp_path / "p.fasta.gz"
    packed.write_bytes(gzip.compress((tmp_path / "p.fasta").read_bytes()))
    assert task.report(packed).proteins == (plain,)


def test_two_of_one_name_are_both_told(task: ProteinTask, tmp_path: Path) -> None:
    path = tmp_path / "p.fasta"
    path.write_text(f">p\n{altered(ALPHA, 0.1)}\n>p\n{altered(MYOGLOBIN, 0.1)}\n")
    first, second = task.report(path).proteins
    assert (first.number, second.number) == (1, 2)
    assert (first.text, second.text) == ("Hemoglobin subunit alpha", "Myoglobin")
    assert "stands 2 times" in first.notes[0]


def test_a_protein_of_10_000_residues(task: ProteinTask, tmp_path: Path) -> None:
    protein = one(task, tmp_path, made(4_900) + ALPHA + made(5_100 - len(ALPHA)))
    assert protein.length == 10_000
    assert protein.text == "Hemoglobin subunit alpha"
    assert protein.relatives[0].coverage < 0.02


def test_what_is_too_long_to_align_is_told(
    task: ProteinTask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(report_relatives, "_CELLS", 100)
    protein = one(task, tmp_path, altered(ALPHA, 0.1))
    assert not protein.told
    assert "3 candidates were too long" in protein.notes[0]


def test_the_files_are_valid_and_come_back(task: ProteinTask, tmp_path: Path) -> None:
    source = fasta(
        tmp_path / "p.fasta", {"<b>p1</b> words <i>": altered(ALPHA, 0.2), "p2": made(90)}
    )
    out = tmp_path / "out"
    index = tmp_path / "index"
    index.mkdir()
    arguments = ["report", str(source), "--retrieve", str(protein_index(index)), "-o", str(out)]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    assert {p.name for p in out.iterdir() if p.name.startswith("report")} == {
        "report.json", "report.txt", "report.html",
    }  # fmt: skip
    report = read_report(out / "report.json")
    plain = json.loads(json.dumps(plain_report(report)))
    jsonschema.validate(plain, json.loads(schema_text()))
    assert [p.told for p in report.proteins] == [True, False]
    page = (out / "report.html").read_text()
    assert "<b>p1" not in page
    assert "&lt;b&gt;p1" in page
    text = (out / "report.txt").read_text()
    assert "Hemoglobin subunit alpha" in text
    assert "p2: nothing is told" in text
    record = json.loads((out / "run.json").read_text())
    assert record["model"]["model"] == "triples"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "no index"),
        (("--retrieve", "INDEX", "--question", "What?"), "--question is for images"),
        (("--retrieve", "INDEX", "--format", "json,fhir,sr"), "fhir,sr: not for proteins"),
    ],
)
def test_wrong_usage(
    task: ProteinTask, tmp_path: Path, arguments: tuple[str, ...], words: str
) -> None:
    source = fasta(tmp_path / "p.fasta", {"p": ALPHA})
    folder = str(task.index._folder)
    given = [folder if a == "INDEX" else a for a in arguments]
    result = CliRunner().invoke(app, ["report", str(source), *given, "-o", str(tmp_path / "o")])
    assert isinstance(result.exception, UsageError)
    assert words in result.exception.message
    assert result.exception.hint
    assert not (tmp_path / "o").exists()


def test_images_and_proteins_are_two_runs(tmp_path: Path) -> None:
    source = fasta(tmp_path / "p.fasta", {"p": ALPHA})
    sheet = tmp_path / "sheet.csv"
    sheet.write_text(f"input\n{source}\nscan.png\n")
    for given in ([str(source), "scan.png"], ["--samplesheet", str(sheet)]):
        result = CliRunner().invoke(app, ["report", *given])
        assert isinstance(result.exception, UsageError)
        assert "in one run" in result.exception.message


def test_all_formats_are_all_that_there_are(task: ProteinTask) -> None:
    ProteinTask(task.index, FORMATS)


def test_an_index_without_proteins_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.smi").write_text("CCO ethanol\n")
    index = protein_index(tmp_path, tmp_path / "a.smi")
    with pytest.raises(InputError, match="no proteins"):
        ProteinIndex(index)


def test_blank_lines_in_fasta_are_passed_over(task: ProteinTask, tmp_path: Path) -> None:
    (tmp_path / "p.fasta").write_text(f"\n>a one\n\n{ALPHA[:70]}\n\n{ALPHA[70:]}\n\n>b\n{BETA}\n\n")
    first, second = task.report(tmp_path / "p.fasta").proteins
    assert (first.length, second.length) == (len(ALPHA), len(BETA))
    assert first.given == "one"


ENTRY = """\
ID   {name}              Reviewed;         {n} AA.
AC   P0000{k};
DE   RecName: Full=Hemoglobin subunit alpha {{ECO:0000303}};
OS   Homo sapiens (Human).
CC   -!- FUNCTION: Involved in oxygen transport from the lung to the
CC       various peripheral tissues. {{ECO:0000305}}.
CC   -!- SUBUNIT: Heterotetramer.
SQ   SEQUENCE   {n} AA;  15258 MW;  15E13666573BBBAE CRC64;
     {letters}
//
"""


def test_swiss_prot_entries_are_indexed_with_their_function(tmp_path: Path) -> None:
    good = ENTRY.format(name="HBA_HUMAN", n=len(ALPHA), k=1, letters=ALPHA)
    broken = ENTRY.format(name="BAD_HUMAN", n=3, k=2, letters="").replace("SQ   ", "S?   ")
    (tmp_path / "known.dat").write_text(good + broken)
    (tmp_path / "other.dat").write_text("numbers of something else\n1 2 3\n")
    index = tmp_path / "known.mmidx"
    result = CliRunner().invoke(app, ["index", str(tmp_path), "--model", "hog", "-o", str(index)])
    assert result.exit_code == 6, result.output  # one entry can't be read
    assert "passed over: 1 .dat" in result.stderr
    protein = one(ProteinTask(ProteinIndex(index)), tmp_path, altered(ALPHA, 0.2))
    assert protein.text == (
        "Hemoglobin subunit alpha. Involved in oxygen transport from the lung to the various "
        "peripheral tissues"
    )
    assert protein.relatives[0].organism == "Homo sapiens (Human)"
