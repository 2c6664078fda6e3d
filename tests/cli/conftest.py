"""Fixtures for the command line: the real program, and a command with a task that is light."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="session")
def mmtool() -> Run:
    """Run ``mmtool`` in a process of its own, with an environment that holds no user's home."""

    def run(*arguments: object, cwd: Path | None = None, **environment: str):
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("MMTOOL_", "SLURM_"))}
        return subprocess.run(
            [sys.executable, "-m", "mmtool.cli", *map(str, arguments)],
            cwd=cwd,
            env=kept | {"HOME": "/nonexistent", "OMP_NUM_THREADS": "1"} | environment,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )

    return run
