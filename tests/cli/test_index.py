"""``mmtool index`` on the command line: what it prints, its exit codes, and being stopped."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mmtool.io.index import IndexReader, IndexWriter


@pytest.fixture
def films(tmp_path: Path) -> Path:
    """Two pictures and a text."""
    (tmp_path / "films").mkdir()
    for k in range(2):
        small = np.random.default_rng(k).integers(0, 255, (9, 9), np.uint8)
        Image.fromarray(small).resize((64, 64)).save(tmp_path / f"films/{k}.png")
    (tmp_path / "films/a.txt").write_text("A nodule.")
    return tmp_path / "films"


def test_an_index_is_built_and_told(mmtool, films: Path, tmp_path: Path) -> None:
    done = mmtool("index", str(films), "-o", str(tmp_path / "x.mmidx"), "--model", "hog")
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"{tmp_path / 'x.mmidx'}\n"
    assert "new: 2 image, 1 text" in done.stderr
    record = json.loads((tmp_path / "x.mmidx/run.json").read_text())
    assert record["command"] == "index"
    assert record["summary"]["items_per_second"] > 0
    again = mmtool("index", str(films), "-o", str(tmp_path / "x.mmidx"), "--json", "-q")
    assert json.loads(again.stdout)["unchanged"] == 3
    assert again.stderr == ""


def test_exit_codes(mmtool, films: Path, tmp_path: Path) -> None:
    out = ("-o", str(tmp_path / "x"), "--model", "hog")
    assert mmtool("index", str(films)).returncode == 2
    assert mmtool("index", str(films), *out, "--kinds", "movie").returncode == 2
    (tmp_path / "empty").mkdir()
    empty = mmtool("index", str(tmp_path / "empty"), *out)
    assert empty.returncode == 3
    assert "nothing to index" in empty.stderr
    assert mmtool("index", str(films), "-o", str(tmp_path / "z"), "--model", "no").returncode == 4
    (films / "broken.png").write_text("not a picture")
    broken = mmtool("index", str(films), *out)
    assert broken.returncode == 6
    assert "1 can't be read" in broken.stderr
    with IndexWriter(tmp_path / "x"):
        busy = mmtool("index", str(films), *out)
    assert busy.returncode == 3
    assert f"process {os.getpid()} on" in busy.stderr
    (tmp_path / "x/manifest.json").write_text('{"schema_version": 99}')
    newer = mmtool("index", str(films), *out)
    assert newer.returncode == 3
    assert "update mmtool" in newer.stderr


def test_a_dry_run_makes_nothing(mmtool, films: Path, tmp_path: Path) -> None:
    done = mmtool("index", str(films), "-o", str(tmp_path / "x"), "--dry-run")
    assert json.loads(done.stdout)["found"] == {"image": 2, "text": 1}
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130), (signal.SIGKILL, -9)]
)
def test_a_run_that_is_stopped_goes_on(tmp_path: Path, number: int, code: int) -> None:
    rows = "\n".join(json.dumps({"id": k, "text": f"Report {k}."}) for k in range(12_000))
    (tmp_path / "a.jsonl").write_text(rows)
    command = [sys.executable, "-m", "mmtool.cli", "index", "a.jsonl", "-o", "x", "--model", "hog"]
    with subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE) as process:
        while not (tmp_path / "x/items.sqlite").exists() and process.poll() is None:
            time.sleep(0.01)
        time.sleep(0.1)
        process.send_signal(number)
        process.communicate()
    assert process.returncode == code
    with IndexReader(tmp_path / "x") as reader:
        first = reader.select()
        assert len(first) < 12_000
    done = subprocess.run(command, cwd=tmp_path, check=False)
    assert done.returncode == 0
    with IndexReader(tmp_path / "x") as reader:
        assert len(reader.select()) == 12_000
        assert reader.select()[: len(first)].tolist() == first.tolist()
        assert reader.words(["11999"])
