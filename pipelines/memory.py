"""How much memory a run may take, and a plain refusal when it would take more.

A run that the kernel kills says nothing; one that is refused before the voxels are read says
what it needs. Imports nothing heavy.
"""

from __future__ import annotations

import os
import re
import resource
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from mmtool.errors import DeviceError, UsageError

_SIZE = re.compile(r"(\d{1,15}(?:\.\d{1,6})?)\s*(?:([kmgt])(i?b)?|b)?", re.ASCII | re.IGNORECASE)
_POWERS = {"k": 1, "m": 2, "g": 3, "t": 4}
_NO_LIMIT = 1 << 60  # cgroup v1 writes a number as large as this for none


@dataclass(frozen=True)
class MemoryLimit:
    """What the whole process may hold, in bytes, and who says so."""

    bytes: int
    source: str


def parse_memory(text: str) -> int:
    """Bytes of a size as users write it.

    ``6G`` and ``6GiB`` are 6 x 1024^3, as Slurm and Docker read them; ``6GB`` is 6 x 1000^3; a
    plain number is bytes.

    Raises:
        UsageError: No size, or none that is above zero.

    Example:
        >>> parse_memory("1.5G")
        1610612736
    """
    match = _SIZE.fullmatch(text.strip())
    size = 0
    if match:
        number, letter, ending = match.groups()
        base = 1000 if (ending or "").lower() == "b" else 1024
        size = int(float(number) * base ** _POWERS.get((letter or "").lower(), 0))
    if size < 1:
        raise UsageError(
            f"'{text}' is no size of memory", "write e.g. 6G, 500M or a number of bytes"
        )
    return size


def memory_limit(wanted: int | None, root: Path = Path("/")) -> MemoryLimit | None:
    """The limit of this process: what was asked for, else what there is.

    Args:
        wanted: Bytes, or None for the least of: memory that is available on the machine, what the
            cgroups (v2 or v1: containers, Slurm) leave, RLIMIT_AS (``ulimit -v``).
        root: Where ``proc`` and ``sys`` lie.

    Returns:
        None where the system tells nothing.
    """
    if wanted is not None:
        return MemoryLimit(wanted, "--max-memory")
    mine = resident_bytes(root)
    free = [*_machine(root), *_cgroups(root), *_address_space(root)]
    if not free:
        return None
    left, source = min(free)
    return MemoryLimit(max(0, left) + mine, source)


def resident_bytes(root: Path = Path("/")) -> int:
    """Memory that this process holds now; 0 where the system doesn't tell."""
    return _statm(root)[1]


def require_memory(need: int, limit: MemoryLimit | None, name: str) -> None:
    """Refuse what would not fit.

    Raises:
        DeviceError: ``need`` is above the limit.
    """
    if limit is not None and need > limit.bytes:
        raise DeviceError(
            f"{name} needs about {_shown(need)} of memory; the limit is {_shown(limit.bytes)} "
            f"({limit.source})",
            "give the job more memory, raise --max-memory, or crop or coarsen the scan",
        )


def _shown(size: int) -> str:
    return f"{size / 2**30:.2f} GiB"


def _number(path: Path) -> int | None:
    """The number in a file of one line; None when there is none."""
    with suppress(OSError, ValueError):
        return int(path.read_text())
    return None


def _statm(root: Path) -> tuple[int, int]:
    """Address space and resident set of this process, bytes."""
    with suppress(OSError, ValueError):
        pages = (root / "proc/self/statm").read_text().split()
        size = os.sysconf("SC_PAGE_SIZE")
        return int(pages[0]) * size, int(pages[1]) * size
    return 0, 0


def _machine(root: Path) -> Iterator[tuple[int, str]]:
    with suppress(OSError, ValueError):
        for line in (root / "proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                yield int(line.split()[1]) * 1024, "available on this machine"


def _address_space(root: Path) -> Iterator[tuple[int, str]]:
    soft, _ = resource.getrlimit(resource.RLIMIT_AS)
    if soft != resource.RLIM_INFINITY:
        yield soft - _statm(root)[0], "ulimit -v"


def _cgroups(root: Path) -> Iterator[tuple[int, str]]:
    """What each group that holds this process leaves; files that can be dropped count as free."""
    with suppress(OSError):
        for line in (root / "proc/self/cgroup").read_text().splitlines():
            _, controllers, path = line.split(":", 2)
            if controllers == "":
                top, names = root / "sys/fs/cgroup", ("max", "current", "inactive_file")
            elif "memory" in controllers.split(","):
                top = root / "sys/fs/cgroup/memory"
                names = ("limit_in_bytes", "usage_in_bytes", "total_inactive_file")
            else:
                continue
            group = top / path.strip("/")
            # In a container the path may be that of the host: then only the top is to be seen.
            for folder in (group, *group.parents):
                yield from _group(folder, *names)
                if folder == top:
                    break


def _group(folder: Path, limit: str, usage: str, cache: str) -> Iterator[tuple[int, str]]:
    most, used = _number(folder / f"memory.{limit}"), _number(folder / f"memory.{usage}")
    if most is None or used is None or most >= _NO_LIMIT:
        return
    spare = 0
    with suppress(OSError, ValueError):
        for line in (folder / "memory.stat").read_text().splitlines():
            name, value = line.split()
            if name == cache:
                spare = int(value)
    yield most - used + spare, "left in this job's or container's cgroup"
