"""Where a Qdrant server is, as a command line names it; its key comes from the environment only."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from mmtool.errors import InputError, UsageError
from mmtool.io.index import IndexReader
from mmtool.pipelines.qdrant_neighbours import QdrantNeighbours, answers, connect

KEY = "MMTOOL_QDRANT_KEY"
EMBEDDED = "MMTOOL_QDRANT_EMBEDDED"  # 1 allows a folder
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,199}")
_HOST = re.compile(r"[A-Za-z0-9.-]+:\d{1,5}/?")
_HINT = "http://HOST:6333"


@dataclass(frozen=True)
class QdrantPlace:
    """A server, or a folder that acts as one, and the name of an index there.

    Attributes:
        address: ``http://HOST:PORT``, ``https://...``, or, if `EMBEDDED` allows it, a folder.
        name: First part of the collections' names; one index has it to itself.
    """

    address: str
    name: str

    @classmethod
    def of(cls, address: str, name: str | None, index: Path) -> QdrantPlace:
        """Check what was given.

        Args:
            address: As above.
            name: That of the index's folder, without its ending, when None.
            index: The index.

        Raises:
            UsageError: The address can't be one or holds a secret, or the name has letters that
                a collection can't have.
        """
        _check_address(address)
        chosen = Path(os.path.abspath(index)).stem if name is None else name
        if not _NAME.fullmatch(chosen):
            raise UsageError(
                f"{chosen[:60]!r} can't name a collection",
                "--qdrant-name NAME of letters, digits, dots, dashes and underscores",
            )
        return cls(address, chosen)

    def upload(self, index: Path, client: Any) -> tuple[int, int]:
        """Bring the server to what an index holds; returns vectors sent and deleted."""
        with IndexReader(index) as reader:
            return QdrantNeighbours(reader, client, self.name).upload_all()

    @contextmanager
    def opened(self, *, made: bool) -> Iterator[Any]:
        """A client of it that was heard from once; it is closed at the end.

        Args:
            made: Whether a folder that is absent is made.

        Raises:
            UsageError: The extra ``qdrant`` isn't installed.
            InputError: It can't be reached, or another process uses the folder.
        """
        client = self.client(made=made)
        try:
            yield client
        finally:
            client.close()

    def client(self, *, made: bool) -> Any:
        """As `opened`, for who closes it."""
        folder = Path(self.address)
        if not _is_url(self.address) and not made and not (folder / "meta.json").is_file():
            raise InputError(f"{folder}: no folder that 'mmtool index --qdrant' made", _HINT)
        client = connect(self.address, os.environ.get(KEY) or None)
        try:
            answers(client, self.address)
        except BaseException:
            client.close()
            raise
        return client


def _is_url(address: str) -> bool:
    return address.startswith(("http://", "https://"))


def _check_address(address: str) -> None:
    if not _is_url(address):
        if "://" in address or address in ("", ":memory:"):
            raise UsageError("--qdrant: not a server", _HINT)
        if _HOST.fullmatch(address) and not Path(address).exists():
            raise UsageError(f"--qdrant {address}: http:// or https:// is missing", _HINT)
        if os.environ.get(EMBEDDED) != "1":
            # Its points are pickles, which can run code when they are read.
            raise UsageError(
                "--qdrant: a folder is Qdrant's embedded mode, which unpickles what lies there",
                f"{_HINT}; for a trial with a folder of your own set {EMBEDDED}=1",
            )
        return
    try:
        parts = urlsplit(address)
        host, _ = parts.hostname, parts.port
    except ValueError:
        host = None
    if not host:
        raise UsageError("--qdrant: not an address", _HINT)
    if "@" in parts.netloc or parts.query or parts.fragment:
        # Not repeated here: addresses are kept in records and logs.
        raise UsageError("--qdrant: an address with a secret in it", f"a key goes into {KEY}")
