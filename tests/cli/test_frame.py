"""What all commands share: streams, exit codes, configuration, sample sheets, shards."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ECHO = Path(__file__).with_name("echo_command.py")


@pytest.fixture
def echo(tmp_path: Path):
    """Run the echo command in an empty folder; HOME cannot be written."""

    def run(*arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("MMTOOL_", "SLURM_"))}
        return subprocess.run(
            [sys.executable, str(ECHO), "echo", *map(str, arguments)],
            cwd=tmp_path,
            env=kept | {"HOME": "/nonexistent"} | environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    return run


@pytest.fixture
def scans(tmp_path: Path) -> Path:
    folder = tmp_path / "in"
    folder.mkdir()
    for name in ("one", "two", "three"):
        (folder / f"{name}.txt").write_text(name)
    for name in ("bad", "bug", "device", "interrupt"):
        (folder / f"{name}.txt").write_text(name)
    return folder


def test_stdout_holds_the_output_path_only(tmp_path: Path, echo, scans: Path) -> None:
    done = echo("in/one.txt", "--text", "hi")
    assert done.returncode == 0
    assert done.stdout == f"{tmp_path / 'one_echo'}\n"
    assert "[1/1] one: done" in done.stderr
    assert "\x1b" not in done.stderr
    assert (tmp_path / "one_echo/echo.txt").read_text() == "one hi"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["in", "one_echo"]


def test_quiet_says_nothing(echo, scans: Path) -> None:
    assert echo("in/one.txt", "-q").stderr == ""


def test_json_is_all_of_stdout(echo, scans: Path) -> None:
    done = echo("in/one.txt", "in/bad.txt", "-o", "out", "--json")
    assert done.returncode == 6
    first, second = json.loads(done.stdout)["items"]
    assert (first["status"], first["summary"]) == ("ok", {"words": "one"})
    assert (second["status"], second["output"]) == ("failed", None)
    assert second["error"]["exit_code"] == 3


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["in/bug.txt"], 1, "unexpected"),
        ([], 2, "no input"),
        (["in/one.txt", "--resume", "--overwrite"], 2, "exclude each other"),
        (["in/one.txt", "--samplesheet", "s.csv"], 2, "exclude each other"),
        (["in/one.txt", "--shard", "3/2"], 2, "--shard 3/2"),
        (["in/one.txt", "--device", "gpu"], 2, "no device"),
        (["in/one.txt", "--threads", "0"], 2, "threads"),
        (["in/one.txt", "--no-such-flag"], 2, "--no-such-flag"),
        (["in/bad.txt"], 3, "in/bad.txt: bad"),
        (["in/gone.txt"], 3, "no such file"),
        (["--samplesheet", "gone.csv"], 3, "gone.csv"),
        (["in/one.txt", "--config", "gone.toml"], 3, "gone.toml"),
        (["in/one.txt", "--model", "absent"], 4, "no such model"),
        (["in/device.txt"], 5, "no device"),
        (["in/one.txt", "in/bad.txt", "-o", "o"], 6, "1 of 2 inputs failed"),
        (["in/interrupt.txt"], 130, ""),
    ],
)
def test_exit_codes(
    tmp_path: Path, echo, scans: Path, arguments: list[str], code: int, message: str
) -> None:
    done = echo(*arguments)
    assert done.returncode == code
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert "John Doe" not in done.stderr
    assert not list(tmp_path.rglob(".mmtool-*"))


def test_error_is_one_line_and_a_hint(echo, scans: Path) -> None:
    done = echo("in/bad.txt", "-q")
    assert done.stdout == ""
    assert done.stderr == "mmtool: error: in/bad.txt: bad\nhint: write better\n"


def test_debug_shows_the_traceback_and_keeps_the_code(echo, scans: Path) -> None:
    done = echo("in/bad.txt", "--debug")
    assert done.returncode == 3
    assert "Traceback" in done.stderr


def test_existing_output_is_exit_2_until_told(echo, scans: Path) -> None:
    assert echo("in/one.txt", "-o", "out").returncode == 0
    again = echo("in/one.txt", "-o", "out")
    assert again.returncode == 2
    assert "--resume" in again.stderr
    assert "there already" in echo("in/one.txt", "-o", "out", "--resume").stderr
    assert "done" in echo("in/one.txt", "-o", "out", "--overwrite").stderr


def test_precedence_flag_then_variable_then_config(tmp_path: Path, echo, scans: Path) -> None:
    (tmp_path / "run.toml").write_text('model = "from-file"\ntext = "file"\nseed = 7\n')

    def used(*arguments: str, **environment: str) -> tuple[str, str, int]:
        done = echo("in/one.txt", "-o", "out", "--overwrite", *arguments, **environment)
        assert done.returncode == 0, done.stderr
        record = json.loads((tmp_path / "out/run.json").read_text())
        return record["arguments"]["model"], record["arguments"]["text"], record["seed"]

    config = ("--config", "run.toml")
    assert used() == ("parrot", None, 0)
    assert used(*config) == ("from-file", "file", 7)
    assert used(*config, MMTOOL_MODEL="from-env", MMTOOL_SEED="8") == ("from-env", "file", 8)
    assert used(*config, "--model", "flag", "--seed", "9", MMTOOL_MODEL="env")[0] == "flag"
    assert used(MMTOOL_CONFIG="run.toml")[0] == "from-file"


def test_config_takes_tables_and_dashes_and_paths_from_its_folder(
    tmp_path: Path, echo, scans: Path
) -> None:
    (tmp_path / "conf").mkdir()
    (tmp_path / "conf/run.toml").write_text(
        'dry-run = false\n[echo]\ninputs = ["../in/one.txt"]\noutput = "../o"\n[segment]\nx = 1\n'
    )
    done = echo("--config", "conf/run.toml")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "o/echo.txt").exists()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("modle = 'x'", "did you mean 'model'?"),
        ("config = 'x'", "unknown option 'config'"),
        ("text = 1979-05-27", "'text' must be"),
        ("seed = 'many'", "--seed"),
    ],
)
def test_config_errors_are_usage_errors(
    tmp_path: Path, echo, scans: Path, content: str, message: str
) -> None:
    (tmp_path / "run.toml").write_text(content)
    done = echo("in/one.txt", "--config", "run.toml")
    assert done.returncode == 2
    assert message in done.stderr


def test_a_record_replays_from_anywhere(tmp_path: Path, echo, scans: Path) -> None:
    (tmp_path / "note.txt").write_text("words")
    assert echo("in/two.txt", "-o", "study/a", "--text", "note.txt", "--seed", 5).returncode == 0
    (tmp_path / "moved").mkdir()
    for name in ("study", "in", "note.txt"):
        (tmp_path / name).rename(tmp_path / "moved" / name)
    done = echo("--config", "moved/study/a/run.json", "-o", "again")
    assert done.returncode == 0, done.stderr
    first = json.loads((tmp_path / "moved/study/a/run.json").read_text())
    again = json.loads((tmp_path / "again/run.json").read_text())
    assert first["arguments"]["text"] == "../../note.txt"
    assert again["seed"] == 5
    assert again["arguments"]["inputs"] == ["../moved/in/two.txt"]
    assert again["arguments"]["text"] == "../moved/note.txt"


def test_a_record_of_another_command_is_refused(tmp_path: Path, echo, scans: Path) -> None:
    echo("in/one.txt", "-o", "out")
    record = json.loads((tmp_path / "out/run.json").read_text()) | {"command": "segment"}
    (tmp_path / "other.json").write_text(json.dumps(record))
    done = echo("--config", "other.json")
    assert done.returncode == 2
    assert "mmtool segment" in done.stderr


def test_sheet_rows_set_options_and_replay_alone(tmp_path: Path, echo, scans: Path) -> None:
    (tmp_path / "s.tsv").write_text("id\tinput\ttext\np1\tin/one.txt\tmine\np2\tin/two.txt\t\n")
    done = echo("--samplesheet", "s.tsv", "--text", "all")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [str(tmp_path / f"s_echo/{p}") for p in ("p1", "p2")]
    assert (tmp_path / "s_echo/p1/echo.txt").read_text() == "one mine"
    assert (tmp_path / "s_echo/p2/echo.txt").read_text() == "two all"
    assert echo("--config", "s_echo/p1/run.json", "-o", "again").returncode == 0
    assert (tmp_path / "again/echo.txt").read_text() == "one mine"


def test_slurm_tasks_share_the_inputs(tmp_path: Path, echo, scans: Path) -> None:
    slurm = {"SLURM_ARRAY_TASK_COUNT": "2", "SLURM_ARRAY_TASK_MIN": "0"}
    three = ("in/one.txt", "in/two.txt", "in/three.txt", "-o", "out")
    first = echo(*three, SLURM_ARRAY_TASK_ID="0", **slurm)
    assert "part 1 of 2: 2 of 3 inputs" in first.stderr
    assert echo(*three, SLURM_ARRAY_TASK_ID="1", **slurm).stdout == f"{tmp_path / 'out/two'}\n"
    alone = echo("in/one.txt", SLURM_ARRAY_TASK_ID="1", **slurm)
    assert alone.stdout == f"{tmp_path / 'one_echo'}\n"
    gaps = echo(*three, SLURM_ARRAY_TASK_ID="9", **slurm)
    assert (gaps.returncode, "gaps" in gaps.stderr) == (2, True)
    whole = echo(*three, "--shard", "1/1", "--resume", SLURM_ARRAY_TASK_ID="1", **slurm)
    assert len(whole.stdout.splitlines()) == 3


def test_output_into_a_closed_pipe_ends_quietly(tmp_path: Path, scans: Path) -> None:
    command = f"{sys.executable} {ECHO} echo in/one.txt in/two.txt -o out | true"
    done = subprocess.run(
        ["bash", "-c", command], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert "Traceback" not in done.stderr
