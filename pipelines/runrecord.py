"""``run.json``: what was run, with what, on what, and what came out.

Paths in it are relative to the folder that holds it. So a study folder that is moved or mounted
elsewhere still replays, and no name of a user's home is written down as long as inputs and outputs
lie in one tree. Host and user names are never recorded.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

from mmtool import __version__
from mmtool.errors import InputError, MMToolError
from mmtool.io.atomic import RECORD
from mmtool.io.writers.json_file import write_json
from mmtool.io.writers.rocrate import CrateFile, CrateRun, write_ro_crate

SCHEMA_VERSION = 1
_MAX_RECORD = 16 << 20  # bytes
_PACKAGES = (
    "torch",
    "monai",
    "numpy",
    "scipy",
    "nibabel",
    "pydicom",
    "highdicom",
    "imagecodecs",
    "pynrrd",
    "pillow",
    "safetensors",
    "typer",
    "rapidfuzz",
    "tidytcells",
    "rdkit",
    "biopython",
)


@dataclass(frozen=True)
class RunFacts:
    """What the batch runner knows of one item when it is done.

    Attributes:
        command: E.g. ``segment``.
        name: Name of the item.
        arguments: Resolved options by their long names (``snake_case``) that change the result;
            values that are `Path` are written relative to the record.
        inputs: The item's inputs, as arguments of a replay.
        words: What was given in their place, or "".
        channels: Further channels of the case by name; they are no inputs of their own.
        inputs_sha256: Path as the task named it -> hash.
        fingerprint: For ``--resume``.
        model: What the task said of its model.
        summary: What the task said of its result.
        outputs: File names relative to the folder.
        started: When work on the item began.
        seconds: How long it took.
        peak_memory_mb: See `mmtool.pipelines.devices.peak_memory_mb`.
        threads: Threads of torch, None where it was not used.
        seed: Seed of the run.
        error: Set when the outputs were kept but the item counts as failed.
        expected_memory: Peak memory as it was estimated before the run, bytes; None if it wasn't.
    """

    command: str
    name: str
    arguments: Mapping[str, Any]
    inputs: Sequence[Path]
    inputs_sha256: Mapping[str, str]
    fingerprint: str
    model: Mapping[str, Any]
    summary: Mapping[str, Any]
    outputs: Sequence[str]
    started: datetime
    seconds: float
    peak_memory_mb: Mapping[str, float]
    threads: int | None
    seed: int
    error: MMToolError | None = None
    expected_memory: int | None = None
    words: str = ""
    channels: Mapping[str, Path] = field(default_factory=dict)


def versions() -> dict[str, str]:
    """Python and the packages that decide on results; absent ones are left out."""
    found = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found


def write_record(folder: Path, target: Path, facts: RunFacts, record: str = RECORD) -> None:
    """Write ``ro-crate-metadata.json`` and, last, ``run.json`` into a staging folder.

    A record that lies deeper than the outputs has no crate: a crate holds what lies below it.

    Args:
        folder: Where the outputs lie now.
        target: Where they will lie.
        facts: What was run.
        record: Name of the run record in these folders: recorded paths are relative to its own
            folder, those of outputs to ``outputs_root``.

    Raises:
        FileNotFoundError: The task named an output that it did not write.
    """
    outputs = [_output(folder, name) for name in facts.outputs]
    home = (target / record).parent
    inputs = [
        {"path": _relative(Path(path), home), "sha256": digest}
        for path, digest in facts.inputs_sha256.items()
    ]
    content: dict[str, Any] = {
        "schema_version": SCHEMA_VERSION,
        "mmtool": __version__,
        "command": facts.command,
        "name": facts.name,
        "status": "failed" if facts.error else "ok",
        "error": _error(facts.error),
        "arguments": _arguments(facts, home),
        "seed": facts.seed,
        "fingerprint": facts.fingerprint,
        "model": dict(facts.model),
        "threads": facts.threads,
        "inputs": inputs,
        "outputs": outputs,
        "summary": dict(facts.summary),
        "started": facts.started.astimezone(UTC).isoformat(timespec="seconds"),
        "seconds": round(facts.seconds, 3),
        "peak_memory_mb": dict(facts.peak_memory_mb),
        "versions": versions(),
    }
    if facts.expected_memory is not None:
        content["expected_memory_mb"] = round(facts.expected_memory / 1e6, 1)
    if home == target:
        _write_crate(folder, facts, content)
    else:
        content["outputs_root"] = Path(os.path.relpath(target, home)).as_posix()
    (folder / record).parent.mkdir(parents=True, exist_ok=True)
    write_json(folder / record, content)


def _arguments(facts: RunFacts, home: Path) -> dict[str, Any]:
    given = [facts.words] if facts.words else [_relative(p, home) for p in facts.inputs]
    arguments: dict[str, Any] = {"inputs": given}
    for key, value in facts.arguments.items():
        arguments[key] = _relative(value, home) if isinstance(value, Path) else value
    if facts.channels:
        named = facts.channels.items()
        arguments["channel"] = [f"{name}={_relative(path, home)}" for name, path in named]
    return arguments


def _relative(path: Path, folder: Path) -> str:
    return Path(os.path.relpath(os.path.abspath(path), os.path.realpath(folder))).as_posix()


def _output(folder: Path, name: str) -> dict[str, Any]:
    path = folder / name
    return {"path": name, "sha256": _sha256(path), "bytes": path.stat().st_size}


def _error(error: MMToolError | None) -> dict[str, Any] | None:
    if error is None:
        return None
    return {
        "class": type(error).__name__,
        "exit_code": error.exit_code,
        "message": error.message,
        "hint": error.hint,
    }


def _write_crate(folder: Path, facts: RunFacts, record: Mapping[str, Any]) -> None:
    crate = CrateRun(
        name=f"{facts.command} of {facts.name}",
        command=f"mmtool {facts.command}",
        version=__version__,
        started=record["started"],
        ended=datetime.now(UTC).isoformat(timespec="seconds"),
        failed=facts.error is not None,
        inputs=[CrateFile(i["path"], i["sha256"]) for i in record["inputs"]],
        outputs=[
            *(CrateFile(o["path"], o["sha256"], o["bytes"]) for o in record["outputs"]),
            CrateFile(RECORD),
        ],
    )
    write_ro_crate(folder, crate)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_record(path: Path) -> dict[str, Any]:
    """Read a ``run.json``.

    Raises:
        InputError: Missing, too large, or not a run record that this version can read.
    """
    try:
        with path.open("rb") as file:
            raw = file.read(_MAX_RECORD + 1)
        value = json.loads(raw) if len(raw) <= _MAX_RECORD else None
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{path}: not a readable run record", "") from error
    if not isinstance(value, dict) or not isinstance(value.get("arguments"), dict):
        raise InputError(f"{path}: not a run record", "give the run.json of an earlier run")
    if value.get("schema_version") != SCHEMA_VERSION:
        raise InputError(
            f"{path}: run record of schema {value.get('schema_version')!r}, not {SCHEMA_VERSION}",
            "it was written by another version of mmtool",
        )
    return value


def matching_record(target: Path, fingerprint: str, record: str = RECORD) -> dict[str, Any] | None:
    """The record of a finished run, if it is the same run and nothing was altered since.

    Args:
        target: Output folder of an item.
        fingerprint: What the item's fingerprint is now.
        record: Name of the run record in that folder.
    """
    try:
        found = read_record(target / record)
    except InputError:
        return None
    if found.get("fingerprint") != fingerprint:
        return None
    outputs = recorded_outputs(found)
    if outputs is None:
        return None
    for name, digest in outputs.items():
        try:
            if _sha256(target / name) != digest:
                return None
        except OSError:
            return None
    return found


def recorded_outputs(record: Mapping[str, Any]) -> dict[str, str] | None:
    """Relative name -> SHA-256 of a record's outputs; None if one is no plain name inside."""
    outputs: dict[str, str] = {}
    rows = record.get("outputs")
    for row in rows if isinstance(rows, list) else [None]:
        if not isinstance(row, dict):
            return None
        name = row.get("path")
        if not isinstance(name, str) or Path(name).is_absolute() or ".." in Path(name).parts:
            return None
        outputs[name] = str(row.get("sha256"))
    return outputs


def recorded_error(record: Mapping[str, Any]) -> MMToolError | None:
    """The error that a kept but failed item had."""
    stored = record.get("error")
    if not isinstance(stored, dict):
        return None
    error = MMToolError(str(stored.get("message", "")), str(stored.get("hint", "")))
    error.exit_code = int(stored.get("exit_code", 1))
    return error
