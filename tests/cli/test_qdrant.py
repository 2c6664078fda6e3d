"""``--qdrant`` of ``index`` and ``retrieve``: the same hits as from the files, and its errors."""

from __future__ import annotations

import csv
import json
import os
import socket
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("qdrant_client")
SECRET = "s3cr3t-k3y"


@pytest.fixture(scope="module", name="mmtool")
def with_folders(mmtool):
    """``mmtool`` that takes a folder for a server."""
    return partial(mmtool, MMTOOL_QDRANT_EMBEDDED="1")


def film(path: Path, seed: int) -> None:
    small = np.random.default_rng(seed).integers(0, 255, (9, 9), np.uint8)
    Image.fromarray(small).resize((64, 64)).save(path)


@pytest.fixture(scope="module")
def study(mmtool, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pictures and molecules, which have two vectors each, and a folder that acts as a server."""
    folder = tmp_path_factory.mktemp("study")
    (folder / "in").mkdir()
    for k in range(6):
        film(folder / f"in/{k}.png", k)
    (folder / "in/drugs.smi").write_text("CCO a\nCCN b\nCCCl c\nc1ccccc1O d\n")
    done = mmtool("index", "in", "-o", "x.mmidx", "--model", "hog", "--qdrant", "srv", cwd=folder)
    assert done.returncode == 0, done.stderr
    assert "server: 14 vectors sent, 0 deleted" in done.stderr
    return folder


def ask(mmtool, folder: Path, query: str, out: str, *options: str, **environment: str):
    given = ("retrieve", query, "--index", "x.mmidx", "-o", out, "--overwrite", *options)
    return mmtool(*given, cwd=folder, **environment)


def hits(folder: Path) -> list[dict]:
    return json.loads((folder / "hits.json").read_text())["hits"]


@pytest.mark.parametrize(
    ("query", "options"),
    [
        ("in/1.png", ()),
        ("CCO", ("--as", "molecule", "--filter", "text != c")),
    ],
)
def test_the_same_hits(mmtool, study: Path, query: str, options: tuple[str, ...]) -> None:
    plain = ask(mmtool, study, query, "plain", *options)
    served = ask(mmtool, study, query, "served", "--qdrant", "srv", *options)
    assert (plain.returncode, served.returncode) == (0, 0), served.stderr
    assert "note" not in served.stderr
    first, second = hits(study / "plain"), hits(study / "served")
    assert len(first) >= 3
    assert [h["id"] for h in first] == [h["id"] for h in second]
    for one, other in zip(first, second, strict=True):
        assert one["scores"] == pytest.approx(other["scores"], abs=1e-5)
        assert one["score"] == pytest.approx(other["score"], abs=1e-5)


def test_a_record_replays_and_holds_no_key(mmtool, study: Path) -> None:
    done = ask(
        mmtool, study, "in/2.png", "kept", "--qdrant", "srv", "-vv", MMTOOL_QDRANT_KEY=SECRET
    )
    assert done.returncode == 0, done.stderr
    written = "".join(p.read_text(errors="replace") for p in (study / "kept").iterdir())
    assert SECRET not in written + done.stdout + done.stderr
    assert json.loads((study / "kept/run.json").read_text())["arguments"]["qdrant"] == "../srv"
    again = mmtool("retrieve", "--config", "kept/run.json", "-o", "again", cwd=study)
    assert again.returncode == 0, again.stderr
    assert hits(study / "again") == hits(study / "kept")


def test_a_server_that_is_behind_is_told_and_brought_up(mmtool, study: Path) -> None:
    film(study / "in/9.png", 9)
    index = ("index", "in", "-o", "x.mmidx", "--prune")
    assert mmtool(*index, cwd=study).returncode == 0
    behind = ask(mmtool, study, "in/9.png", "behind", "--qdrant", "srv")
    assert "x-picture is not what the index holds now" in behind.stderr
    (study / "in/9.png").unlink()
    film(study / "in/8.png", 8)
    done = mmtool(*index, "--qdrant", "srv", "--json", cwd=study)
    assert "server: 1 vectors sent, 0 deleted" in done.stderr
    json.loads(done.stdout)
    now = ask(mmtool, study, "in/8.png", "now", "--qdrant", "srv")
    assert "note" not in now.stderr
    assert hits(study / "now")[0]["key"].endswith("8.png")


def test_an_index_that_is_built_anew_has_its_own_vectors(mmtool, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    film(tmp_path / "in/a.png", 0)
    film(tmp_path / "in/b.png", 1)
    index = ("index", "in", "-o", "x.mmidx", "--model", "hog", "--rebuild")
    assert mmtool(*index, "--qdrant", "srv", cwd=tmp_path).returncode == 0
    film(tmp_path / "in/b.png", 2)
    assert mmtool(*index, cwd=tmp_path).returncode == 0
    other = ask(mmtool, tmp_path, "in/b.png", "out", "--qdrant", "srv")
    assert (other.returncode, "x-picture: is of another index" in other.stderr) == (3, True)
    done = mmtool(*index, "--qdrant", "srv", cwd=tmp_path)
    assert "server: 1 vectors sent, 0 deleted" in done.stderr
    assert ask(mmtool, tmp_path, "in/b.png", "out", "--qdrant", "srv").returncode == 0
    with (tmp_path / "out/hits.tsv").open(newline="") as file:
        assert next(csv.DictReader(file, delimiter="\t"))["cosine"] == "1.0"


def test_nobody_answers(mmtool, study: Path, tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{free.getsockname()[1]}"
    done = ask(
        mmtool, study, "in/1.png", "bad", "--qdrant", address, "--debug", MMTOOL_QDRANT_KEY=SECRET
    )
    assert done.returncode == 3
    assert f"{address}: Qdrant doesn't answer" in done.stderr
    assert SECRET not in done.stderr
    index = ("index", "in", "-o", str(tmp_path / "new.mmidx"), "--qdrant", address)
    assert mmtool(*index, cwd=study).returncode == 3
    assert not (tmp_path / "new.mmidx").exists()  # asked before the work, not after it


def test_of_another_encoder_or_name(mmtool, study: Path) -> None:
    other = mmtool(
        *("index", "in/drugs.smi", "in/0.png", "-o", "y.mmidx", "--qdrant", "srv"),
        *("--qdrant-name", "x"),
        cwd=study,
    )
    assert (other.returncode, "not by the encoder" in other.stderr) == (4, True), other.stderr
    none = ask(mmtool, study, "in/1.png", "bad", "--qdrant", "srv", "--qdrant-name", "z")
    assert (none.returncode, "z-picture: no such collection" in none.stderr) == (3, True)


def test_without_the_package(mmtool, study: Path, tmp_path: Path) -> None:
    (tmp_path / "qdrant_client.py").write_text("raise ImportError('absent')")
    path = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    done = ask(mmtool, study, "in/1.png", "bad", "--qdrant", "srv", PYTHONPATH=path)
    assert (done.returncode, "mmtool[qdrant]" in done.stderr) == (2, True), done.stderr
