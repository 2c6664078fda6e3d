"""Staging folders: where an item is written before it is published whole.

A staging folder lies on the target's file system and carries the process that made it in its
name, so that what a killed run left behind can be told from what another process is writing.
"""

from __future__ import annotations

import hashlib
import os
import platform
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from mmtool.errors import InputError

PREFIX = ".mmtool-"
_homes: dict[Path, Path] = {}  # of the staging folders that are in use


def _host() -> str:
    """The machine, hashed: a name that stays behind after a crash tells nobody's host name."""
    return hashlib.sha256(platform.node().encode()).hexdigest()[:8]


def _stem(target: Path) -> str:
    return f"{PREFIX}{target.name}.{_host()}."


@contextmanager
def staging_folder(target: Path) -> Iterator[Path]:
    """A fresh folder to write an item into; removed when the block ends, if still there.

    It lies in ``target`` if that exists (whose parent may be read-only, as for a volume mounted
    in a container), else beside it.

    Args:
        target: Absolute path of the item's output folder.

    Raises:
        InputError: Nothing can be written there.
    """
    parent = target if target.exists() else target.parent
    try:
        parent.mkdir(parents=True, exist_ok=True)
        remove_stale(target)
        staging = Path(tempfile.mkdtemp(prefix=f"{_stem(target)}{os.getpid()}.", dir=parent))
        staging.chmod(0o777 & ~_umask())
    except OSError as error:
        raise InputError(
            f"{target}: cannot write there ({error.strerror})", "choose another -o"
        ) from error
    _homes[staging] = target
    try:
        yield staging
    finally:
        del _homes[staging]
        shutil.rmtree(staging, ignore_errors=True)


def home_of(folder: Path) -> Path:
    """Where what lies in a staging folder will lie in the end; any other folder is its own home."""
    return _homes.get(folder, folder)


def _umask() -> int:
    mask = os.umask(0o022)
    os.umask(mask)
    return mask


def remove_stale(target: Path) -> None:
    """Remove staging folders of ``target`` whose process on this machine is gone."""
    stem = _stem(target)
    for parent in (target.parent, target):
        with suppress(OSError):
            for path in parent.iterdir():
                if path.name.startswith(stem) and _gone(path.name[len(stem) :]):
                    shutil.rmtree(path, ignore_errors=True)


def _gone(rest: str) -> bool:
    """Whether the process in ``<pid>.<random>`` no longer runs.

    One's own number counts as gone: a process writes one item at a time and removes its folder,
    so a folder with its number was left by an earlier process (in a container all are number 1).
    """
    pid = rest.partition(".")[0]
    if not pid.isdecimal():
        return False
    if int(pid) == os.getpid():
        return True
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return True
    except OSError:  # exists, but belongs to somebody else
        return False
    return False


def is_occupied(target: Path) -> bool:
    """Whether something other than staging folders lies at ``target``."""
    if target.is_dir():
        return any(not p.name.startswith(PREFIX) for p in target.iterdir())
    return target.exists() or target.is_symlink()
