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
from mmtool.models.text.vocabulary import Lexicon, lexicon_of
from mmtool.pipelines.text_audit import build_audit
from mmtool.types import Label

_NAMED = 12  # structures of the model that an error names


@dataclass(frozen=True)
class Requested:
    """A parsed text.

    Attributes:
        request: What it asks for.
        sha256: Hash of its words.
        lexicon: Vocabulary of the model's label table.
        words: The text.
    """

    request: TextRequest
    sha256: str
    lexicon: Lexicon
    words: str

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
        return build_audit(self.request, volumes_ml, self.lexicon)


def read_request(
    text: str,
    limits: Limits,
    labels: tuple[Label, ...] = BRAIN_LABELS,
    whole: Label | None = BRAIN,
    *,
    must_name: bool = True,
) -> Requested:
    """Read a prompt or report, given as words or as the path of a file.

    Args:
        text: The words, or the file.
        limits: Of the length of a text.
        labels: Every label that the model gives; those of the head if left out.
        whole: The model's label of the organ around them, or None.
        must_name: Refuse a prompt that names nothing known; not for a network that reads itself.

    Raises:
        InputError: An empty text, a missing file, or a prompt that names nothing known.
    """
    words = _words(text, limits)
    lexicon = lexicon_of(labels, whole)
    request = parse_request(words, lexicon=lexicon)
    if must_name and request.asked is not None and not request.asked:
        named = ", ".join(request.unknown[:5]) or "nothing"
        near = [b for r in request.readings for _, b in r.suggestions if b]
        raise InputError(
            f"the text asks for nothing that the model knows (it names: {named})",
            f"did you mean {near[0]}?" if near else _what_it_has(lexicon),
        )
    return Requested(request, _hash(words), lexicon, words)


def hash_text(text: str, limits: Limits) -> str:
    """SHA-256 of the words of a text, given as words or as the path of a file.

    Raises:
        InputError: An empty text or a missing file.
    """
    return _hash(_words(text, limits))


def _hash(words: str) -> str:
    return hashlib.sha256(words.encode()).hexdigest()


def _what_it_has(lexicon: Lexicon) -> str:
    names = lexicon.structures
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return (
        f"the model has: {', '.join(name[:40] for name in names[:_NAMED])}{more}"
        if names
        else "leave --text out"
    )


def _words(text: str, limits: Limits) -> str:
    words = _content(text, limits)
    if not words.strip():
        raise InputError("the text is empty", "name structures, or leave --text out for all")
    return words


def _content(text: str, limits: Limits) -> str:
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
