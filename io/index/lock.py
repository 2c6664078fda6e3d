"""One writer at a time."""

from __future__ import annotations

import fcntl
import json
import os
import platform
from pathlib import Path
from typing import IO

from mmtool.errors import InputError
from mmtool.io.index.layout import LOCK


class WriterLock:
    """The lock of an index; the system frees it when its process ends, however it ends.

    The file says who holds it, for the message of others. It is never deleted: two processes could
    then hold locks on two files of one name.

    Raises:
        InputError: Another process holds it.
    """

    def __init__(self, folder: Path) -> None:
        self._file: IO[str] = (folder / LOCK).open("a+", encoding="utf-8")
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            self._file.seek(0)
            who = _read(self._file.read(1000))
            self._file.close()
            raise InputError(
                f"{folder}: another process is writing to this index ({who})",
                "wait until it is done, or stop it: what it has indexed is kept",
            ) from error
        self._file.truncate(0)
        json.dump({"host": platform.node(), "pid": os.getpid()}, self._file)
        self._file.flush()

    def release(self) -> None:
        """Let others write."""
        if not self._file.closed:
            self._file.truncate(0)
            self._file.close()


def _read(text: str) -> str:
    try:
        said = json.loads(text)
        return f"process {int(said['pid'])} on {str(said['host'])[:80]}"
    except (ValueError, KeyError, TypeError):
        return "its name is not known"
