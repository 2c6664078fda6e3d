"""Where the work is done: device, threads and the memory that was used."""

from __future__ import annotations

import os
import re
import resource
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from mmtool.errors import DeviceError, UsageError

if TYPE_CHECKING:
    import torch

_NAME = re.compile(r"auto|cpu|cuda(:\d{1,3})?")


def check_device_name(name: str) -> str:
    """Refuse a word that names no device, before anything heavy is imported.

    Raises:
        UsageError: Not ``auto``, ``cpu``, ``cuda`` or ``cuda:k``.
    """
    if not _NAME.fullmatch(name):
        raise UsageError(f"'{name}' is no device", "use auto, cpu, cuda or cuda:k with k from 0")
    return name


def choose_device(name: str) -> torch.device:
    """Device of a name.

    Args:
        name: ``auto`` (first CUDA device if there is one, else the processor), ``cpu``,
            ``cuda`` or ``cuda:k``, k counted among the visible devices.

    Raises:
        DeviceError: A CUDA device was asked for and is absent. There is no fall-back: a run
            that is fifty times slower than planned is no service.
        UsageError: The name is no device.

    Example:
        >>> choose_device("cpu")
        device(type='cpu')
    """
    import torch

    check_device_name(name)
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if name == "cpu" or (name == "auto" and count == 0):
        return torch.device("cpu")
    index = int(name.partition(":")[2] or 0)
    if index >= count:
        seen = "no CUDA device is visible" if count == 0 else f"{count} CUDA device(s) visible"
        raise DeviceError(
            f"device {name} was asked for, but {seen}",
            "use --device cpu, or --device auto to take what is there; see mmtool doctor",
        )
    return torch.device("cuda", index)


def available_threads(environ: Mapping[str, str] = os.environ) -> int:
    """Threads this process may use: what Slurm granted, else the processors it is bound to."""
    granted = environ.get("SLURM_CPUS_PER_TASK", "")
    bound = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    allowed = bound or 1
    return min(int(granted), allowed) if granted.isdigit() and int(granted) else allowed


def set_threads(threads: int | None, environ: Mapping[str, str] = os.environ) -> int | None:
    """Limit torch to so many threads.

    torch takes all cores of the machine unless told; on a shared node that is theft. A task
    that has not imported torch does not pay for it here.

    Args:
        threads: Asked for by the user, or None: then ``OMP_NUM_THREADS`` stands if it is set,
            else all that this process may use.
        environ: Environment.

    Returns:
        Number of threads that torch uses, or None where torch is not loaded.
    """
    if "torch" not in sys.modules:
        return None
    import torch

    if threads is not None:
        torch.set_num_threads(threads)
    elif "OMP_NUM_THREADS" not in environ:
        torch.set_num_threads(available_threads(environ))
    return torch.get_num_threads()


def peak_memory_mb() -> dict[str, float]:
    """Peak memory of this process so far, MB: ``cpu`` (resident set) and, if used, ``cuda``."""
    peak = {"cpu": round(_peak_resident() / 1e6, 1)}
    if "torch" in sys.modules:
        import torch

        if torch.cuda.is_available():
            peak["cuda"] = round(torch.cuda.max_memory_allocated() / 1e6, 1)
    return peak


def _peak_resident() -> int:
    """Bytes. On Linux not of ``ru_maxrss``, which begins at the peak of the parent process."""
    with suppress(OSError, ValueError):
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    unit = 1 if sys.platform == "darwin" else 1024  # ru_maxrss: bytes on macOS, else KiB
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error means that memory ran out, on the processor or on a device."""
    if isinstance(error, MemoryError):
        return True
    if isinstance(error, RuntimeError):  # torch.OutOfMemoryError is one
        words = str(error).lower()
        return "out of memory" in words or "can't allocate memory" in words
    return False


def out_of_memory() -> DeviceError:
    """The error for a process whose memory ran out."""
    return DeviceError(
        "memory ran out",
        "give the job more memory, use --device cpu, or a smaller or coarser input",
    )
