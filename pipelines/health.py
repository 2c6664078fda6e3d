"""What ``mmtool doctor`` looks at."""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

import torch

from mmtool import __version__
from mmtool.errors import InputError, MMToolError
from mmtool.models.store import list_models, verify
from mmtool.pipelines.devices import available_threads, choose_device
from mmtool.pipelines.runrecord import versions


@dataclass(frozen=True)
class Finding:
    """One line of the report; ``error`` says what is wrong, if anything."""

    name: str
    value: str
    error: MMToolError | None = None


def examine(device: str, output: Path) -> list[Finding]:
    """Look at versions, device, memory, folders and weights."""
    found = [Finding("mmtool", __version__)]
    found += [Finding(name, version) for name, version in versions().items()]
    found.append(_device(device))
    found.append(Finding("threads", str(available_threads())))
    found.append(Finding("memory", _memory()))
    found.append(_writable("output folder", output))
    found.append(_writable("temporary folder", Path(tempfile.gettempdir())))
    found += _models()
    return found


def _device(name: str) -> Finding:
    try:
        device = choose_device(name)
    except MMToolError as error:
        return Finding("device", name, error)
    if device.type == "cuda":
        return Finding("device", f"{device} ({torch.cuda.get_device_name(device)})")
    return Finding("device", str(device))


def _memory() -> str:
    pages, size = os.sysconf("SC_AVPHYS_PAGES"), os.sysconf("SC_PAGE_SIZE")
    total = os.sysconf("SC_PHYS_PAGES") * size
    return f"{pages * size / 1e9:.1f} GB free of {total / 1e9:.1f} GB"


def _writable(name: str, folder: Path) -> Finding:
    place = folder
    while not place.exists() and place != place.parent:
        place = place.parent
    try:
        with tempfile.TemporaryFile(dir=place):
            return Finding(name, f"{folder} is writable")
    except OSError as error:
        problem = InputError(f"{folder} is not writable ({type(error).__name__})", "choose another")
        return Finding(name, str(folder), problem)


def _models() -> list[Finding]:
    found = []
    for entry in list_models():
        name = f"model {entry.task}/{entry.name}"
        try:
            verify(entry.folder)
            found.append(Finding(name, "intact"))
        except MMToolError as error:
            found.append(Finding(name, error.message, error))
    return found
