"""What a process says of the memory that it used."""

from __future__ import annotations

import subprocess
import sys

import pytest

_CHILD = "from mmtool.pipelines.devices import peak_memory_mb; print(peak_memory_mb()['cpu'])"


@pytest.mark.skipif(sys.platform != "linux", reason="the peak of the parent is seen on Linux")
def test_the_peak_is_not_that_of_the_process_that_started_it() -> None:
    held = bytearray(b"x" * 400_000_000)
    done = subprocess.run(
        [sys.executable, "-c", _CHILD], capture_output=True, text=True, check=True, timeout=100
    )
    assert len(held) == 400_000_000
    assert 5 < float(done.stdout) < 300
