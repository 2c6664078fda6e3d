"""The text of one scan: read, parsed, and compared with what was found."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmtool.anatomy import BRAIN, BRAIN_LABELS
from mmtool.errors import InputError
from mmtool.io.limits import Limits
from mmtool.io.readers.text import read_text
from mmtool.models.text.request import TextRequest, parse_request
from mmtool.pipelines.text_audit import build_audit

_AVAILABLE = frozenset(label.index for label in (BRAIN, *BRAIN_LABELS))


@dataclass(frozen=True)
class Requested:
    """A parsed text.

    Attributes:
        request: What it asks for.
        sha256: Hash of its words.
    """

    request: TextRequest
    sha256: str

    @property
    def indices(self) -> frozenset[int] | None:
        """Label indices asked for; None for everything."""
        return self.request.asked

    @property
    def unknown(self) -> tuple[str, ...]:
        """What the model can't segment."""
        return self.request.unknown

    def audit(self, volumes_ml: Mapping[int, float]) -> dict[str, Any]:
        """Content of ``text_audit.json``; see :func:`build_audit`."""
        return build_audit(self.request, volumes_ml)


def read_request(text: str, limits: Limits) -> Requested:
    """Read a prompt or report, given as words or as the path of a file.

    Raises:
        InputError: An empty text, a missing file, or a prompt that names nothing known.
    """
    words = _words(text, limits)
    if not words.strip():
        raise InputError("the text is empty", "name structures, or leave --text out for all")
    request = parse_request(words, _AVAILABLE)
    if request.asked is not None and not request.asked:
        named = ", ".join(request.unknown[:5]) or "nothing"
        near = [b for r in request.readings for _, b in r.suggestions if b]
        raise InputError(
            f"the text asks for nothing that the model knows (it names: {named})",
            f"did you mean {near[0]}?" if near else "'mmtool models show brain' lists structures",
        )
    return Requested(request, hashlib.sha256(words.encode()).hexdigest())


def _words(text: str, limits: Limits) -> str:
    """Content of the file that ``text`` names, or ``text`` itself."""
    try:
        if len(text) < 4096 and "\n" not in text and Path(text).is_file():
            return read_text(Path(text), limits)
    except (OSError, ValueError):
        pass  # too long or odd for a file name: then it is words
    looks_like_path = " " not in text.strip() and text.lower().endswith((".txt", ".md", ".text"))
    if looks_like_path:
        raise InputError(f"{text}: no such text file", "check the path given to --text")
    if len(text.encode()) > limits.max_text_bytes:
        raise InputError("the text is too long", "raise MMTOOL_MAX_TEXT_BYTES")
    return text
