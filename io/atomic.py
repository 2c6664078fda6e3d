"""Files and folders that appear whole or not at all."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

RECORD = "run.json"  # published last: its presence says that all the rest is there


@contextmanager
def replace_into(path: Path) -> Iterator[Path]:
    """Give a temporary name to write to; move it over ``path`` when the block ends well.

    The temporary file keeps the suffixes of ``path``, since some libraries choose the format by
    them. On an error it is removed and ``path`` is as before.
    """
    suffix = "".join(path.suffixes)
    descriptor, name = tempfile.mkstemp(prefix=".mmtool-", suffix=suffix, dir=path.parent)
    os.close(descriptor)
    temporary = Path(name)
    try:
        yield temporary
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        temporary.chmod(0o666 & ~_umask())
        os.replace(temporary, path)
    finally:
        with suppress(FileNotFoundError):
            temporary.unlink()


def _umask() -> int:
    """The process's umask (it can only be read by setting it)."""
    mask = os.umask(0o022)
    os.umask(mask)
    return mask


def publish_folder(staging: Path, target: Path, record: str = RECORD) -> None:
    """Move a finished folder to its place.

    Args:
        staging: Folder on the same file system as ``target``; it is gone afterwards.
        target: If absent, it appears by one rename. If present, the files are moved into it
            one by one, the run record last, and what else lies there is left alone.
        record: Name of the run record in them.
    """
    if not target.exists():
        os.replace(staging, target)
        return
    (target / record).unlink(missing_ok=True)
    files = sorted(p for p in staging.rglob("*") if p.is_file())
    files.sort(key=lambda p: p == staging / record)
    for file in files:
        place = target / file.relative_to(staging)
        place.parent.mkdir(parents=True, exist_ok=True)
        os.replace(file, place)
    for folder in sorted((p for p in staging.rglob("*") if p.is_dir()), reverse=True):
        folder.rmdir()
    staging.rmdir()
