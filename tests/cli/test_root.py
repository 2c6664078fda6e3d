"""The root command: quick, light, documented."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
HEAVY = ("numpy", "scipy", "torch", "monai", "nibabel", "pydicom", "highdicom", "PIL")


@pytest.mark.parametrize(
    "arguments", [["--version"], ["--help"], ["segment", "--help"], ["models", "show", "--help"]]
)
def test_help_and_version_import_nothing_heavy(arguments: list[str]) -> None:
    code = (
        "import sys; from mmtool.cli.main import app\n"
        f"try: app({arguments!r})\n"
        "except SystemExit as end: assert not end.code, end.code\n"
        f"print('HEAVY', [m for m in {HEAVY!r} if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "HEAVY []"


def test_version_is_one_line(mmtool) -> None:
    done = mmtool("--version")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.split()[0] == "mmtool"
    assert len(done.stdout.splitlines()) == 1


def test_root_help_lists_every_exit_code(mmtool) -> None:
    text = mmtool("--help").stdout
    for code in ("0", "1", "2", "3", "4", "5", "6", "130", "143"):
        assert f"\n    {code} " in text


def test_no_arguments_show_help_and_are_wrong_usage(mmtool) -> None:
    assert mmtool().returncode == 2


def test_every_command_gives_an_example_first(mmtool) -> None:
    for command in (["segment"], ["doctor"], ["models", "show"], ["train", "segment"]):
        assert "Example: mmtool" in mmtool(*command, "--help").stdout, command


def test_command_reference_is_fresh() -> None:
    script = ROOT / "docs" / "generate_cli.py"
    done = subprocess.run(
        [sys.executable, str(script), "--check"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_doctor_names_versions_and_device(mmtool, tmp_path: Path) -> None:
    done = mmtool(
        "doctor", "--json", "--device", "cpu", "-o", tmp_path, MMTOOL_MODELS=str(tmp_path)
    )
    found = json.loads(done.stdout)
    assert {"mmtool", "python", "torch", "device", "threads", "memory"} <= set(found)
    assert found["device"]["value"] == "cpu"


def test_doctor_finds_an_absent_device(mmtool) -> None:
    done = mmtool("doctor", "--device", "cuda:99")
    assert done.returncode == 5
    assert "cuda:99" in done.stderr
