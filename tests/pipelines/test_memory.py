"""Sizes as users write them, limits as systems state them."""

from __future__ import annotations

import resource
import sys
from pathlib import Path

import pytest

from mmtool.errors import DeviceError, UsageError
from mmtool.pipelines.memory import (
    MemoryLimit,
    memory_limit,
    parse_memory,
    require_memory,
    resident_bytes,
)

GIB = 1 << 30


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("6G", 6 * GIB),
        ("6g", 6 * GIB),
        ("6 GiB", 6 * GIB),
        ("6GB", 6_000_000_000),
        ("1.5G", 3 * GIB // 2),
        ("500M", 500 << 20),
        ("64k", 65536),
        ("2T", 2 << 40),
        (" 123456789 ", 123456789),
        ("10B", 10),
    ],
)
def test_sizes(text: str, size: int) -> None:
    assert parse_memory(text) == size


@pytest.mark.parametrize(
    "text", ["", "G", "-1G", "0", "6X", "1e9", "6G6", "six", "1.G", "٣G", "0.1B"]
)
def test_no_sizes(text: str) -> None:
    with pytest.raises(UsageError):
        parse_memory(text)


def machine(root: Path, available: int, cgroup: str = "", mine: int = 0) -> Path:
    (root / "proc/self").mkdir(parents=True)
    (root / "proc/meminfo").write_text(
        f"MemTotal: 99999999 kB\nMemFree: 1 kB\nMemAvailable:   {available // 1024} kB\n"
    )
    (root / "proc/self/cgroup").write_text(cgroup)
    (root / "proc/self/statm").write_text(f"{mine // 2048} {mine // resource.getpagesize()} 1 1\n")
    return root


def group(root: Path, path: str, **values: int | str) -> None:
    folder = root / "sys/fs/cgroup" / path
    folder.mkdir(parents=True, exist_ok=True)
    for name, value in values.items():
        (folder / f"memory.{name}").write_text(f"{value}\n")


def limit(root: Path) -> MemoryLimit:
    found = memory_limit(None, root)
    assert found is not None
    return found


def test_the_machine(tmp_path: Path) -> None:
    found = limit(machine(tmp_path, 4 * GIB, mine=GIB))
    assert found.bytes == 5 * GIB  # what this process holds already is part of its need
    assert "machine" in found.source


def test_cgroup_v2_and_its_parents(tmp_path: Path) -> None:
    root = machine(tmp_path, 64 * GIB, "0::/slurm/job_7/step_0\n")
    group(root, "slurm/job_7/step_0", max="max", current=GIB)
    stat = f"anon 1\ninactive_file {GIB}\n"
    group(root, "slurm/job_7", max=4 * GIB, current=3 * GIB, stat=stat)
    group(root, "slurm", max=32 * GIB, current=5 * GIB)
    found = limit(root)
    assert found.bytes == 2 * GIB
    assert "cgroup" in found.source


def test_cgroup_v1(tmp_path: Path) -> None:
    root = machine(tmp_path, 64 * GIB, "5:cpu,cpuacct:/x\n4:memory:/docker/abc\n0::/\n")
    group(root, "memory/docker/abc", limit_in_bytes=3 * GIB, usage_in_bytes=GIB)
    group(root, "memory", limit_in_bytes=(1 << 63) - 4096, usage_in_bytes=60 * GIB)
    assert limit(root).bytes == 2 * GIB


def test_a_container_that_sees_only_the_top(tmp_path: Path) -> None:
    root = machine(tmp_path, 64 * GIB, "0::/host/path/that/is/not/here\n")
    group(root, "", max=2 * GIB, current=GIB // 2)
    assert limit(root).bytes == 3 * GIB // 2


def test_broken_files_are_passed_over(tmp_path: Path) -> None:
    root = machine(tmp_path, 8 * GIB, "0::/a\n")
    group(root, "a", max="many", current="few", stat="x")
    assert limit(root).bytes == 8 * GIB


def test_nothing_is_told(tmp_path: Path) -> None:
    assert memory_limit(None, tmp_path) is None
    require_memory(1 << 60, None, "scan")


def test_what_was_asked_for_goes_first(tmp_path: Path) -> None:
    assert limit(machine(tmp_path, GIB)).bytes == GIB
    assert memory_limit(7 * GIB, tmp_path) == MemoryLimit(7 * GIB, "--max-memory")


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_this_machine() -> None:
    assert 1 << 20 < resident_bytes() < limit(Path("/")).bytes


def test_the_refusal_states_both() -> None:
    require_memory(GIB, MemoryLimit(GIB, "x"), "a.nii")
    with pytest.raises(
        DeviceError, match=r"a\.nii needs about 3\.00 GiB .* 2\.00 GiB \(ulimit"
    ) as e:
        require_memory(3 * GIB, MemoryLimit(2 * GIB, "ulimit -v"), "a.nii")
    assert e.value.exit_code == 5
    assert "--max-memory" in e.value.hint
