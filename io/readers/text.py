"""Small text files: prompts, reports, sample sheets."""

from __future__ import annotations

from pathlib import Path

from mmtool.errors import InputError, LimitError
from mmtool.io.limits import Limits


def read_text(path: Path, limits: Limits | None = None) -> str:
    """Read UTF-8 (with or without BOM), or UTF-16 with BOM; line ends become LF.

    Raises:
        InputError: Missing, too large, or not text.
    """
    limits = limits or Limits()
    try:
        size = path.stat().st_size
        if size > limits.max_text_bytes:
            raise LimitError(
                f"{path}: {size:,} bytes are more than a text file may have",
                "raise MMTOOL_MAX_TEXT_BYTES if the file is what you expect",
            )
        raw = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: can't be read ({type(error).__name__})", "check the path") from (
            error
        )
    encoding = "utf-16" if raw[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    try:
        text = raw.decode(encoding)
    except UnicodeDecodeError:
        raise InputError(
            f"{path}: not a UTF-8 text file", "save it as UTF-8 (e.g. iconv -f latin1 -t utf-8)"
        ) from None
    if "\0" in text:
        raise InputError(f"{path}: binary data where text was expected", "give a text file")
    return text.replace("\r\n", "\n").replace("\r", "\n")
