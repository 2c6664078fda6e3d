"""What a query of ``retrieve`` is taken for, and what its words ask for."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mmtool.errors import InputError, UsageError
from mmtool.io.limits import Limits
from mmtool.pipelines.retrieval_query import parse_roi, read_query
from mmtool.pipelines.retrieval_terms import affirms, read_terms

LIMITS = Limits()


def ask(query: object, taken_as: str | None = None, roi: str | None = None):
    return read_query(str(query), taken_as, parse_roi(roi) if roi else None, LIMITS)


def test_words_negation_and_facts() -> None:
    terms = read_terms("axial T2, ring-enhancing lesion, no hydrocephalus or shift, old infarct")
    assert terms.affirmed == ("axial", "t2", "ring-enhancing", "lesion", "infarct")
    assert terms.negated == ("hydrocephalus", "shift")
    assert terms.facts == {"modality": "MR", "plane": "axial"}
    assert "hydrocephalus" not in terms.positive


def test_of_a_report_the_findings_count() -> None:
    terms = read_terms("HISTORY: fever.\nFINDINGS: A nodule. The effusion is absent.")
    assert terms.affirmed == ("nodule",)
    assert terms.negated == ("effusion",)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("Large pleural effusions on the left.", True),
        ("No pleural effusion.", False),
        ("Pleural effusion is not seen.", False),
        ("No pneumothorax, but a pleural effusion.", True),
        ("A pleural plaque. An effusion of the knee.", False),
    ],
)
def test_a_text_affirms_or_not(text: str, said: bool) -> None:
    assert affirms(text, "pleural effusion") is said


def test_strings() -> None:
    molecule = ask("CC(=O)Oc1ccccc1C(=O)O")
    assert (molecule.kind, bool(molecule.notes)) == ("molecule", True)
    assert ask("CC(=O)O", "text").kind == "text"
    assert ask("CCO").kind == "text"  # letters alone are words unless it is said otherwise
    assert ask("CCO", "molecule").content == "CCO"
    assert ask("mktay", "protein").content == "MKTAY"


@pytest.mark.parametrize(
    ("query", "taken_as", "kind"),
    [
        ("absent.png", None, InputError),
        ("C1CC", "molecule", InputError),
        ("no oedema", None, UsageError),
        ("film", "image", InputError),
    ],
)
def test_strings_that_ask_for_nothing(query: str, taken_as: str | None, kind: type) -> None:
    with pytest.raises(kind):
        ask(query, taken_as)


def test_files_by_their_bytes(tmp_path: Path) -> None:
    values = np.add.outer(np.arange(40), np.arange(60)).astype(np.uint8)
    picture = tmp_path / "film.dat"
    Image.fromarray(values).save(picture, "PNG")
    (tmp_path / "report").write_text("Findings: a nodule")
    (tmp_path / "two.smi").write_text("CCO ethanol\nCC ethane\n")
    (tmp_path / "one.fasta").write_text(">x\nMKTAY\n")
    film = ask(picture)
    assert (film.kind, film.picture.pixels.shape) == ("image", (1, 40, 60))
    assert film.thumbnail
    assert ask(picture, roi="0.5,0.5,0.5,0.5").picture.pixels.shape == (1, 20, 30)
    assert ask(picture, roi="10,10,20,10").picture.pixels.shape == (1, 10, 20)
    assert ask(tmp_path / "report").kind == "text"
    two = ask(tmp_path / "two.smi")
    assert (two.content, len(two.notes)) == ("CCO", 1)
    assert ask(tmp_path / "one.fasta").content == "MKTAY"
    with pytest.raises(UsageError, match="not within the picture of 60 x 40"):
        ask(picture, roi="30,30,40,40")
    with pytest.raises(UsageError, match="goes with a picture"):
        ask(tmp_path / "report", roi="0,0,1,1")


def test_a_broken_picture(tmp_path: Path) -> None:
    path = tmp_path / "broken.png"
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(50))
    with pytest.raises(InputError, match="broken"):
        ask(path)
