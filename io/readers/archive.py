"""Zip archives, unpacked without trusting a name or a size in them."""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import IO

from mmtool.errors import InputError, LimitError
from mmtool.io.limits import Limits


def unpack(path: Path, target: Path, limits: Limits) -> None:
    """Unpack a zip of DICOM files, flat, under names of our own.

    Raises:
        InputError: Not a zip, unsafe names, encrypted, or over a limit.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            members = [m for m in archive.infolist() if not m.is_dir()]
            _check_members(members, path, limits)
            for number, member in enumerate(members):
                with archive.open(member) as packed, (target / f"{number:06d}").open("wb") as out:
                    _copy(packed, out, member.file_size, path)
    except (
        zipfile.BadZipFile,
        NotImplementedError,
        RuntimeError,
        EOFError,
        OSError,
        ValueError,
    ) as error:
        raise InputError(
            f"{path}: the archive can't be read ({type(error).__name__})",
            "unpack it yourself and give the folder",
        ) from error


def _check_members(members: Sequence[zipfile.ZipInfo], path: Path, limits: Limits) -> None:
    if len(members) > limits.max_zip_members:
        raise LimitError(f"{path}: {len(members):,} files in the archive", "unpack it yourself")
    names = [m.filename for m in members]
    for name in names:
        parts = name.replace("\\", "/").split("/")
        if ".." in parts or name.startswith(("/", "\\")) or ":" in parts[0]:
            raise InputError(f"{path}: the archive holds names that lead out of it", "unsafe file")
    if len(set(names)) != len(names):
        raise InputError(f"{path}: the archive holds a name twice", "pack it again")
    if any((m.external_attr >> 28) == 0xA for m in members):
        raise InputError(f"{path}: the archive holds links", "pack the files themselves")
    total = sum(m.file_size for m in members)
    packed = sum(m.compress_size for m in members)
    if total > limits.max_inflated_bytes or total > max(64 << 20, limits.max_inflation * packed):
        raise LimitError(
            f"{path}: {packed:,} bytes unpack to {total:,}",
            "raise MMTOOL_MAX_INFLATION if the archive is what you expect",
        )


def _copy(packed: IO[bytes], out: IO[bytes], size: int, path: Path) -> None:
    left = size
    while chunk := packed.read(min(1 << 20, left + 1)):
        left -= len(chunk)
        if left < 0:
            raise LimitError(f"{path}: a member is larger than the archive says", "unsafe file")
        out.write(chunk)
