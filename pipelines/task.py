"""What the batch runner asks of the work of a command."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from mmtool.errors import InputError, MMToolError
from mmtool.models.store import ModelFiles
from mmtool.pipelines.samplesheet import BatchItem


@dataclass(frozen=True)
class ItemResult:
    """What a task says of one finished item.

    Attributes:
        summary: Plain data for ``run.json`` and ``--json``.
        inputs_sha256: Path of each file read -> hash.
        error: Set when the outputs are kept but the item must count as failed.
        expected_memory: Peak of the process's memory as it was estimated beforehand, bytes.
    """

    summary: dict[str, Any] = field(default_factory=dict)
    inputs_sha256: dict[str, str] = field(default_factory=dict)
    error: MMToolError | None = None
    expected_memory: int | None = None


class Task(Protocol):
    """The work of one command."""

    command: str

    def load(self) -> Mapping[str, Any]:
        """Load the model, once; give what ``run.json`` says of it."""
        ...

    def fingerprint(self, item: BatchItem) -> str:
        """Hash over all that decides on the item's result: input bytes, options, weights."""
        ...

    def run_item(self, item: BatchItem, out: Path) -> ItemResult:
        """Write the item's files into the folder ``out``."""
        ...


def model_facts(files: ModelFiles, device: object) -> dict[str, Any]:
    """What ``run.json`` says of a model and of what computed it."""
    return {
        "model": files.name,
        "weights_sha256": files.weights_sha256,
        "use": files.card.get("use", "unknown"),
        "format": files.format,
        "files_sha256": files.card["sha256"],
        "device": str(device),
    }


@runtime_checkable
class Foreseeing(Task, Protocol):
    """A task that can tell beforehand what an item will need."""

    def foresee(self, item: BatchItem) -> int:
        """Peak of the process's memory, bytes; refuses what :meth:`run_item` would refuse for it.

        Called after :meth:`load`.
        """
        ...


def input_sha256(path: Path, hint: str) -> str:
    """Hash of an input file.

    Args:
        path: The file.
        hint: What to give in its place.

    Raises:
        InputError: It can't be read.
    """
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise InputError(f"{path}: can't be read ({type(error).__name__})", hint) from error
