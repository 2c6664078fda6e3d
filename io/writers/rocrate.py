"""RO-Crate 1.1 metadata: what was made, by which software, from which inputs.

https://w3id.org/ro/crate/1.1
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from mmtool.io.writers.json_file import write_json

RO_CRATE = "ro-crate-metadata.json"
_MEDIA = {
    ".gz": "application/gzip",
    ".json": "application/json",
    ".tsv": "text/tab-separated-values",
    ".png": "image/png",
    ".dcm": "application/dicom",
    ".txt": "text/plain",
    ".html": "text/html",
}


@dataclass(frozen=True)
class CrateFile:
    """A file of a crate.

    Attributes:
        path: Relative to the crate, POSIX.
        sha256: Hash of its bytes, or empty for a file that is written later.
        size: Bytes, or None when not known.
    """

    path: str
    sha256: str = ""
    size: int | None = None


@dataclass(frozen=True)
class CrateRun:
    """One run of a command, for the crate's ``CreateAction``.

    Attributes:
        name: Short title.
        command: Command as typed, e.g. ``mmtool segment``.
        version: Version of mmtool.
        started: ISO 8601, UTC.
        ended: ISO 8601, UTC.
        failed: Whether the run ended with an error though files were kept.
        inputs: What was read.
        outputs: What lies in the folder.
    """

    name: str
    command: str
    version: str
    started: str
    ended: str
    failed: bool
    inputs: Sequence[CrateFile]
    outputs: Sequence[CrateFile]


def write_ro_crate(folder: Path, run: CrateRun) -> None:
    """Write ``ro-crate-metadata.json`` beside the outputs of a run.

    Args:
        folder: The crate's root; the outputs lie in it.
        run: What was run.
    """
    outputs = [_file(f) for f in run.outputs]
    inputs = [_file(f) for f in run.inputs]
    software = "#mmtool"
    status = "FailedActionStatus" if run.failed else "CompletedActionStatus"
    root = {
        "@id": "./",
        "@type": "Dataset",
        "name": run.name,
        "description": f"Output of {run.command}, mmtool {run.version}",
        "datePublished": run.ended,
        "license": {"@id": "#licence"},
        "hasPart": [{"@id": f["@id"]} for f in outputs],
        "mentions": [{"@id": "#run"}],
    }
    action = {
        "@id": "#run",
        "@type": "CreateAction",
        "name": run.command,
        "startTime": run.started,
        "endTime": run.ended,
        "actionStatus": {"@id": f"http://schema.org/{status}"},
        "instrument": {"@id": software},
        "object": [{"@id": f["@id"]} for f in inputs],
        "result": [{"@id": f["@id"]} for f in outputs],
    }
    graph: list[dict[str, Any]] = [
        {
            "@id": RO_CRATE,
            "@type": "CreativeWork",
            "conformsTo": {"@id": "https://w3id.org/ro/crate/1.1"},
            "about": {"@id": "./"},
        },
        root,
        {
            "@id": "#licence",
            "@type": "CreativeWork",
            "name": "Not stated",
            "description": "The owner of the input decides on the use of what was made from it.",
        },
        {
            "@id": software,
            "@type": "SoftwareApplication",
            "name": "mmtool",
            "version": run.version,
        },
        action,
        *inputs,
        *outputs,
    ]
    context = "https://w3id.org/ro/crate/1.1/context"
    write_json(folder / RO_CRATE, {"@context": context, "@graph": graph})


def _file(file: CrateFile) -> dict[str, Any]:
    name = file.path.rstrip("/").rpartition("/")[2]
    entity: dict[str, Any] = {"@id": _uri(file.path), "@type": "File", "name": name}
    if file.sha256:
        entity["sha256"] = file.sha256
    if file.size is not None:
        entity["contentSize"] = str(file.size)
    media = _MEDIA.get(Path(file.path).suffix)
    if media:
        entity["encodingFormat"] = media
    return entity


def _uri(path: str) -> str:
    """A relative path as a URI reference (blanks and the like escaped)."""
    return quote(path, safe="/.~-_")
