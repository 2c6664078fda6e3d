"""Proteins for the tests: real chains that are in every textbook, and an index of them."""

from __future__ import annotations

from pathlib import Path

from typer.testing import CliRunner

from mmtool.cli.main import app

# Human haemoglobin alpha and beta, and myoglobin: facts of UniProt P69905, P68871 and P02144.
ALPHA = (
    "MVLSPADKTNVKAAWGKVGAHAGEYGAEALERMFLSFPTTKTYFPHFDLSHGSAQVKGHGKKVADALTNAVAHVDDMPNALSALSDLHAHK"
    "LRVDPVNFKLLSHCLLVTLAAHLPAEFTPAVHASLDKFLASVSTVLTSKYR"
)
BETA = (
    "MVHLTPEEKSAVTALWGKVNVDEVGGEALGRLLVVYPWTQRFFESFGDLSTPDAVMGNPKVKAHGKKVLGAFSDGLAHLDNLKGTFATLSE"
    "LHCDKLHVDPENFRLLGNVLVCVLAHHFGKEFTPPVQAAYQKVVAGVANALAHKYH"
)
MYOGLOBIN = (
    "MGLSDGEWQLVLNVWGKVEADIPGHGQEVLIRLFKGHPETLEKFDKFKHLKSEDEMKASEDLKKHGATVLTALGGILKKKGHHEAEIKPLA"
    "QSHATKHKIPVKYLEFISECIIQVLQSKHPGDFGADAQGAMNKALELFRKDMASNYKELGFQG"
)
DESCRIBED = {
    "sp|P69905|HBA_HUMAN": ("Hemoglobin subunit alpha OS=Homo sapiens OX=9606 PE=1 SV=2", ALPHA),
    "sp|P68871|HBB_HUMAN": ("Hemoglobin subunit beta OS=Homo sapiens OX=9606 PE=1 SV=2", BETA),
    "sp|P02144|MYG_HUMAN": ("Myoglobin OS=Homo sapiens OX=9606 PE=1 SV=2", MYOGLOBIN),
}


def fasta(path: Path, records: dict[str, str]) -> Path:
    """A file of headers and letters."""
    path.write_text("".join(f">{head}\n{letters}\n" for head, letters in records.items()))
    return path


def protein_index(folder: Path, source: Path | None = None) -> Path:
    """An index of `DESCRIBED`, or of a file."""
    if source is None:
        records = {f"{name} {words}": letters for name, (words, letters) in DESCRIBED.items()}
        source = fasta(folder / "known.fasta", records)
    index = folder / "known.mmidx"
    result = CliRunner().invoke(
        app, ["index", str(source), "--model", "hog", "-o", str(index), "-q"]
    )
    assert result.exit_code == 0, result.output
    return index
