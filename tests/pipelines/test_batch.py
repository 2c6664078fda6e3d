"""Many inputs, one load, nothing half-written, resumable after any end."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from types import ModuleType

import pytest

from mmtool.errors import MMToolError, ModelError, UsageError
from mmtool.pipelines.batch import BatchOptions, BatchReport, run_batch
from mmtool.pipelines.samplesheet import BatchItem, Shard, items_from_paths
from mmtool.pipelines.staging import staging_folder

FAKE = Path(__file__).with_name("fake_task.py")


def make(folder: Path, *texts: str) -> list[BatchItem]:
    folder.mkdir(exist_ok=True)
    paths = []
    for number, text in enumerate(texts):
        path = folder / f"s{number:02d}.txt"
        path.write_text(text)
        paths.append(path)
    return items_from_paths(paths)


@pytest.fixture
def run(tmp_path: Path, fake_task: ModuleType):
    """Run items; give the report, the task and the names of what was executed."""

    def runner(items: list[BatchItem], **options: object) -> tuple[BatchReport, object, list[str]]:
        log = tmp_path / "log.txt"
        log.unlink(missing_ok=True)
        task = fake_task.CopyTask(log)
        chosen = {"output": tmp_path / "out", "nested": len(items) > 1} | options
        report = run_batch(items, task, BatchOptions(**chosen))
        return report, task, log.read_text().split() if log.exists() else []

    return runner


def no_staging(folder: Path) -> bool:
    return not list(folder.rglob(".mmtool-*"))


def test_one_input_goes_straight_into_the_output(tmp_path: Path, run) -> None:
    report, _, _ = run(make(tmp_path / "in", "hello"))
    assert report.exit_code == 0
    out = tmp_path / "out"
    names = {"copy.txt", "run.json", "ro-crate-metadata.json"}
    assert {p.name for p in out.iterdir()} == names
    assert (out / "copy.txt").read_text() == "HELLO"


def test_failures_are_rows_and_the_rest_goes_on(tmp_path: Path, run) -> None:
    items = make(tmp_path / "in", "a", "bad", "bug", "b")
    items.append(BatchItem("gone", (tmp_path / "gone.txt",)))
    report, task, done = run(items)
    assert report.exit_code == 6
    assert task.loads == 1
    assert done == ["s00", "s03"]
    rows = [r.split("\t") for r in (tmp_path / "out/failures.tsv").read_text().splitlines()]
    assert rows[0] == ["input", "name", "error", "exit_code", "message"]
    assert [r[1:4] for r in rows[1:]] == [
        ["s01", "InputError", "3"],
        ["s02", "ValueError", "1"],
        ["gone", "InputError", "3"],
    ]
    assert "secret" not in (tmp_path / "out/failures.tsv").read_text()
    assert not (tmp_path / "out/s01").exists()
    assert no_staging(tmp_path)


def test_a_single_failure_has_its_own_code(tmp_path: Path, run) -> None:
    report, _, _ = run(make(tmp_path / "in", "bad"))
    assert report.exit_code == 3
    assert not (tmp_path / "out").exists()


def test_kept_outputs_of_a_failed_item_are_not_made_again(tmp_path: Path, run) -> None:
    items = make(tmp_path / "in", "kept", "good")
    assert run(items)[0].exit_code == 6
    record = json.loads((tmp_path / "out/s00/run.json").read_text())
    assert record["status"] == "failed"
    assert record["error"]["exit_code"] == 3
    report, task, done = run(items, resume=True)
    assert (report.exit_code, task.loads, done) == (6, 0, [])


def test_existing_outputs_stop_the_run_before_any_work(tmp_path: Path, run) -> None:
    items = make(tmp_path / "in", "a", "b", "c")
    (tmp_path / "out/s02").mkdir(parents=True)
    (tmp_path / "out/s02/mine.txt").write_text("keep me")
    with pytest.raises(UsageError, match="s02"):
        run(items)
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["s02"]
    assert run(items, overwrite=True)[2] == ["s00", "s01", "s02"]
    assert (tmp_path / "out/s02/mine.txt").read_text() == "keep me"


def test_overwrite_drops_what_only_the_earlier_run_wrote(tmp_path: Path, run) -> None:
    items = make(tmp_path / "in", "a")
    run(items)
    record_path = tmp_path / "out/run.json"
    record = json.loads(record_path.read_text())
    record["outputs"].append({"path": "old.txt", "sha256": "0", "bytes": 1})
    record_path.write_text(json.dumps(record))
    (tmp_path / "out/old.txt").write_text("stale")
    run(items, overwrite=True)
    assert not (tmp_path / "out/old.txt").exists()


@pytest.mark.parametrize("damage", ["input", "output", "record", "lost output"])
def test_resume_redoes_what_changed_and_only_that(tmp_path: Path, run, damage: str) -> None:
    items = make(tmp_path / "in", "a", "b", "c")
    run(items)
    target = tmp_path / "out/s01"
    if damage == "input":
        items[1].inputs[0].write_text("new")
    elif damage == "output":
        (target / "copy.txt").write_text("altered")
    elif damage == "record":
        (target / "run.json").write_text("{")
    else:
        (target / "copy.txt").unlink()
    report, _, done = run(items, resume=True)
    assert done == ["s01"]
    assert [r.status for r in report.items] == ["skipped", "ok", "skipped"]
    assert run(items, resume=True)[2] == []


def test_failures_file_vanishes_when_nothing_fails(tmp_path: Path, run) -> None:
    items = make(tmp_path / "in", "a", "bad")
    assert run(items)[0].failures == tmp_path / "out/failures.tsv"
    items[1].inputs[0].write_text("good")
    assert run(items, resume=True)[0].exit_code == 0
    assert not (tmp_path / "out/failures.tsv").exists()


def test_shards_share_the_items_and_keep_their_own_failures(tmp_path: Path, run) -> None:
    items = make(tmp_path / "in", *"abcd", "bad", "bad", "g")
    seen = []
    for index in (1, 2, 3):
        report, _, done = run(items, shard=Shard(index, 3))
        seen += done
        assert report.exit_code == (0 if index == 1 else 6)
    assert Counter(seen) == Counter(["s00", "s01", "s02", "s03", "s06"])
    assert {p.name for p in (tmp_path / "out").glob("failures*")} == {
        "failures.2-of-3.tsv",
        "failures.3-of-3.tsv",
    }


@pytest.mark.parametrize("where", ["load", "fingerprint"])
def test_without_a_model_no_item_is_tried(
    tmp_path: Path, fake_task: ModuleType, where: str
) -> None:
    task = fake_task.CopyTask(tmp_path / "log")

    def broken(*_: object) -> str:
        raise ModelError("no weights", "install them")

    setattr(task, where, broken)
    with pytest.raises(ModelError, match="no weights"):
        run_batch(make(tmp_path / "in", "a", "b"), task, BatchOptions(tmp_path / "out", True))
    assert no_staging(tmp_path)


def test_memory_that_runs_out_is_exit_5(tmp_path: Path, fake_task: ModuleType) -> None:
    task = fake_task.CopyTask(tmp_path / "log")

    def greedy(*_: object) -> None:
        raise MemoryError

    task.run_item = greedy
    report = run_batch(make(tmp_path / "in", "a"), task, BatchOptions(tmp_path / "out", False))
    assert report.exit_code == 5


def test_unwritable_output_is_an_input_error(tmp_path: Path, run) -> None:
    (tmp_path / "file").write_text("")
    report, _, _ = run(make(tmp_path / "in", "a"), output=tmp_path / "file/out")
    assert report.exit_code == 3


def test_record_is_relative_and_names_no_host(tmp_path: Path, run) -> None:
    run(make(tmp_path / "in", "a", "b"), arguments={"model": "x", "text": "words"})
    record = json.loads((tmp_path / "out/s00/run.json").read_text())
    assert record["arguments"] == {
        "inputs": ["../../in/s00.txt"],
        "model": "x",
        "text": "words",
    }
    assert record["inputs"][0]["path"] == "../../in/s00.txt"
    assert {o["path"] for o in record["outputs"]} == {"copy.txt"}
    text = json.dumps(record)
    assert os.uname().nodename not in text
    assert str(tmp_path) not in text
    assert record["versions"]["python"]
    assert record["peak_memory_mb"]["cpu"] > 0


def test_crate_links_inputs_software_and_results(tmp_path: Path, run) -> None:
    run(make(tmp_path / "in", "a"))
    crate = json.loads((tmp_path / "out/ro-crate-metadata.json").read_text())
    entities = {e["@id"]: e for e in crate["@graph"]}
    assert entities["ro-crate-metadata.json"]["about"] == {"@id": "./"}
    assert {"name", "description", "datePublished", "license"} <= set(entities["./"])
    action = entities["#run"]
    assert action["instrument"] == {"@id": "#mmtool"}
    assert entities[action["object"][0]["@id"]]["name"] == "s00.txt"
    results = [r["@id"] for r in action["result"]]
    assert results == ["copy.txt", "run.json"]
    assert all(r in entities for r in results)
    assert [p["@id"] for p in entities["./"]["hasPart"]] == results


def test_stale_staging_goes_and_that_of_the_living_stays(tmp_path: Path) -> None:
    target = tmp_path / "out" / "a"
    target.parent.mkdir()
    with staging_folder(target) as mine:
        prefix = mine.name.rpartition(".")[0].rpartition(".")[0]
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    left = target.parent / f"{prefix}.{dead.pid}.x"
    living = target.parent / f"{prefix}.{os.getppid()}.x"
    elsewhere = target.parent / ".mmtool-a.00000000.1.x"
    for folder in (left, living, elsewhere):
        folder.mkdir()
    with staging_folder(target):
        pass
    assert not left.exists()
    assert living.exists()
    assert elsewhere.exists()


def test_a_mounted_output_folder_needs_no_writable_parent(tmp_path: Path) -> None:
    target = tmp_path / "mounted"
    target.mkdir()
    with staging_folder(target) as staging:
        assert staging.parent == target


def start(tmp_path: Path, *extra: str) -> subprocess.Popen[str]:
    inputs = sorted(map(str, (tmp_path / "in").iterdir()))
    command = [sys.executable, str(FAKE), str(tmp_path / "out"), str(tmp_path / "log")]
    return subprocess.Popen([*command, *extra, *inputs], stdout=subprocess.PIPE, text=True)


def wait_for_lines(log: Path, count: int, process: subprocess.Popen[str]) -> None:
    end = time.monotonic() + 60
    while time.monotonic() < end and process.poll() is None:
        if log.exists() and len(log.read_text().split()) >= count:
            return
        time.sleep(0.01)
    raise AssertionError(f"the batch did not reach item {count}")


@pytest.mark.parametrize(
    ("number", "code"),
    [(signal.SIGKILL, -9), (signal.SIGTERM, 143), (signal.SIGINT, 130)],
)
def test_twenty_items_killed_and_resumed(tmp_path: Path, number: int, code: int) -> None:
    make(tmp_path / "in", *(f"item {i}" for i in range(20)))
    log, out = tmp_path / "log", tmp_path / "out"
    process = start(tmp_path, "0.15")
    wait_for_lines(log, 8, process)
    process.send_signal(number)
    printed, _ = process.communicate(timeout=60)
    assert process.returncode == code
    begun = log.read_text().split()
    whole = {p.parent.name for p in out.glob("*/run.json")}
    assert len(begun) < 20
    if number == signal.SIGTERM:
        assert whole == set(begun)  # the item in hand was finished
        assert printed.strip() == str(20 - len(begun))
    if number != signal.SIGKILL:
        assert no_staging(tmp_path)
    for folder in (p for p in out.iterdir() if not p.name.startswith(".")):
        assert (folder / "run.json").exists()  # nothing is there by half
    again = start(tmp_path, "0", "--resume")
    again.communicate(timeout=60)
    assert again.returncode == 0
    assert no_staging(tmp_path)
    runs = Counter(log.read_text().split())
    assert set(runs) == {f"s{i:02d}" for i in range(20)}
    repeated = {name for name, times in runs.items() if times > 1}
    assert not repeated & whole  # what was whole was not done again
    assert len(repeated) <= 1  # only the item that was in hand
    for i in range(20):
        assert (out / f"s{i:02d}/copy.txt").read_text() == f"ITEM {i}"


def test_errors_stay_mmtool_errors(tmp_path: Path, run) -> None:
    report, _, _ = run(make(tmp_path / "in", "bug"))
    assert report.exit_code == 1
    assert isinstance(report.failed[0].error, MMToolError)
    assert isinstance(report.failed[0].cause, ValueError)
