"""``mmtool retrieve`` on the command line: files, exit codes, batches, and its replay."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

import nibabel
import numpy as np
import pytest
from PIL import Image


@pytest.fixture(scope="module")
def built(mmtool, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an index of three pictures, a table of words and two molecules."""
    tmp_path = tmp_path_factory.mktemp("built")
    (tmp_path / "in").mkdir()
    rows = ["file,caption,modality,plane,age"]
    for k, words in enumerate(("Lung nodule.", "Brain tumour.", "No lung nodule.")):
        small = np.random.default_rng(k).integers(0, 255, (9, 9), np.uint8)
        Image.fromarray(small).resize((64, 64)).save(tmp_path / f"in/{k}.png")
        rows.append(f"{k}.png,{words},{'CT' if k else 'MR'},axial,{40 + k}")
    (tmp_path / "in/films.csv").write_text("\n".join(rows))
    (tmp_path / "in/drugs.smi").write_text("CCO ethanol\nCCN ethylamine\n")
    done = mmtool("index", "in", "-o", "x.mmidx", "--model", "hog", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    return tmp_path


@pytest.fixture
def study(built: Path, tmp_path: Path) -> Path:
    """A copy of it: paths in an index count from its own folder."""
    shutil.copytree(built, tmp_path / "study")
    return tmp_path / "study"


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "hits.tsv").open(newline="") as file:
        return list(csv.DictReader(file, delimiter="\t"))


def test_by_example(mmtool, study: Path) -> None:
    done = mmtool("retrieve", "in/1.png", "--index", "x.mmidx", "-k", "2", cwd=study)
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"{study / '1_retrieve'}\n"
    hits = rows(study / "1_retrieve")
    assert [hit["rank"] for hit in hits] == ["1", "2"]
    assert (hits[0]["copy"], hits[0]["cosine"]) == ("same bytes", "1.0")
    assert (study / "1_retrieve" / hits[0]["path"]).resolve() == (study / "in/1.png").resolve()
    kept = {p.name for p in (study / "1_retrieve").iterdir()}
    assert kept == {"hits.tsv", "hits.json", "hits.html", "run.json", "ro-crate-metadata.json"}


def test_by_words_and_again_from_the_record(mmtool, study: Path) -> None:
    words = ("retrieve", "lung nodule, no tumour", "--index", "x.mmidx", "-o", "out")
    done = mmtool(*words, "--filter", "age>=40 and plane=axial", "--json", cwd=study)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)["items"][0]
    assert told["input"] == "lung nodule, no tumour"
    assert told["summary"]["best"][0]["key"].endswith("0.png")
    assert "reads no words" in done.stderr
    record = json.loads((study / "out/run.json").read_text())
    assert record["arguments"]["inputs"] == ["lung nodule, no tumour"]
    assert record["arguments"]["index"] == "../x.mmidx"
    again = mmtool("retrieve", "--config", "out/run.json", "-o", "again", "-q", cwd=study)
    assert again.returncode == 0, again.stderr
    assert rows(study / "again") == rows(study / "out")
    resumed = mmtool(*words, "--filter", "age>=40 and plane=axial", "--resume", cwd=study)
    assert "there already" in resumed.stderr


def test_paths_stand_when_results_are_replaced(mmtool, study: Path) -> None:
    ask = ("retrieve", "in/0.png", "--index", "x.mmidx", "-o", "deep/out", "-q")
    assert mmtool(*ask, cwd=study).returncode == 0
    first = rows(study / "deep/out")
    assert mmtool(*ask, "--overwrite", cwd=study).returncode == 0  # now written from within
    assert rows(study / "deep/out") == first
    assert (study / "deep/out" / first[0]["path"]).exists()


def test_a_batch_of_files_and_words(mmtool, study: Path) -> None:
    sheet = "id,input,to,k\na,in/0.png,,1\nb,brain tumour,image,1\nc,in/none.png,,1\n"
    (study / "q.csv").write_text(sheet)
    done = mmtool(
        "retrieve", "--samplesheet", "q.csv", "--index", "x.mmidx", "-o", "out", cwd=study
    )
    assert done.returncode == 6, done.stderr
    assert [rows(study / "out" / n)[0]["key"][-5:] for n in ("a", "b")] == ["0.png", "1.png"]
    failures = (study / "out/failures.tsv").read_text()
    assert "in/none.png: no such file" in failures
    plan = mmtool(
        *("retrieve", "in/0.png", "brain", "--index", "x.mmidx", "-o", "o", "--dry-run"), cwd=study
    )
    assert [line.split("\t")[1] for line in plan.stdout.splitlines()[1:]] == ["in/0.png", "brain"]
    assert not (study / "o").exists()


@pytest.mark.parametrize(
    ("query", "options", "code", "said"),
    [
        ("lung", ("--to", "video"), 2, "--to video"),
        ("lung", ("--filter", "colour=red"), 2, "colour"),
        ("lung", ("--filter", "age>"), 2, "a value is expected"),
        ("lung", ("-k", "0"), 2, "-k 0"),
        ("lung", ("--rerank", "gpt"), 2, "filip"),
        ("lung", ("--rerank", "filip"), 2, "no parts"),
        ("lung", ("--rerank", "rcar"), 2, "no parts"),
        ("lung", ("--words", "nodule"), 2, "--words goes with a picture"),
        ("in/0.png", ("--words", "no nodule"), 2, "nothing is asked for"),
        ("lung", ("--roi", "0,0,1,1"), 2, "--roi goes with a picture"),
        ("in/0.png", ("--roi", "0,0,9"), 2, "not a region"),
        ("no nodule", (), 2, "nothing is asked for"),
        ("/dev/zero", (), 3, "no file and no folder"),
        ("gone.png", (), 3, "no such file"),
        ("in/broken.png", (), 3, "broken.png"),
        ("in/0.png", ("--to", "molecule"), 2, "no search leads"),
        ("in/0.png", ("--model", "absent"), 4, "absent"),
    ],
)
def test_bad_input(
    mmtool, study: Path, query: str, options: tuple[str, ...], code: int, said: str
) -> None:
    (study / "in/broken.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(50))
    done = mmtool("retrieve", query, "--index", "x.mmidx", "-o", "out", *options, cwd=study)
    assert done.returncode == code, done.stderr
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert not (study / "out").exists()


def test_a_bad_index(mmtool, study: Path) -> None:
    assert mmtool("retrieve", "lung", cwd=study).returncode == 2
    done = mmtool("retrieve", "lung", "--index", "in", cwd=study)
    assert (done.returncode, "in: " in done.stderr) == (3, True)
    shutil.copytree(study / "x.mmidx", study / "y.mmidx")
    with (study / "y.mmidx/items.sqlite").open("r+b") as file:
        file.truncate(5000)
    assert mmtool("retrieve", "lung", "--index", "y.mmidx", cwd=study).returncode == 3


def test_volumes_get_a_page_if_asked(mmtool, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    data = np.random.default_rng(0).normal(size=(20, 22, 18)).astype(np.float32)
    nibabel.Nifti1Image(data, np.eye(4)).to_filename(tmp_path / "in/a.nii.gz")
    built = mmtool("index", "in", "-o", "x.mmidx", "--model", "hog", cwd=tmp_path)
    assert built.returncode == 0, built.stderr
    ask = ("retrieve", "in/a.nii.gz", "--index", "x.mmidx", "-o", "out", "--html")
    done = mmtool(*ask, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    page = (tmp_path / "out/hits.html").read_text()
    assert '<a href="volumes.html#hit-1">' in page
    assert "<script" not in page
    assert (tmp_path / "out/volumes.html").stat().st_size < 3_000_000
    outputs = json.loads((tmp_path / "out/run.json").read_text())["outputs"]
    assert "volumes.html" in {file["path"] for file in outputs}


def test_molecules_by_words(mmtool, tmp_path: Path) -> None:
    (tmp_path / "drugs.csv").write_text(
        "smiles,description\n"
        "CCCCCC1OC1CCCCCCCCC(O)C(=O)O,\n"
        "CCCCCCCCCCCC(=O)O,A saturated fatty acid.\n"
        "c1ccc2ccccc2c1,\n"
        "NCC(=O)O,The simplest amino acid.\n"
        "C1CC,A ring that is never closed.\n"
    )
    done = mmtool("index", "drugs.csv", "-o", "x.mmidx", "--model", "hog", cwd=tmp_path)
    assert done.returncode == 6, done.stderr
    with (tmp_path / "x.mmidx/failures.tsv").open(newline="") as file:
        failed = list(csv.DictReader(file, delimiter="\t"))
    assert [row["reason"] for row in failed] == ["a SMILES that can't be read"]
    words = ("retrieve", "a hydroxy fatty acid with an epoxide", "--index", "x.mmidx")
    done = mmtool(*words, "--to", "molecule", "-o", "out", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    found = rows(tmp_path / "out")
    assert found[0]["key"].endswith("drugs.csv#2")
    assert float(found[0]["cosine"]) > 0.5
    assert "reads no words" not in done.stderr
    done = mmtool(
        *("retrieve", "NC(C)C(=O)O", "--index", "x.mmidx", "--to", "text", "-o", "texts"),
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    assert {hit["text"] for hit in rows(tmp_path / "texts")} == {
        "A saturated fatty acid.",
        "The simplest amino acid.",
    }
