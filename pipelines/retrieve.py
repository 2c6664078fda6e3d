"""``mmtool retrieve``: what in an index is like a picture, words, a molecule or a protein."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from mmtool.errors import UsageError
from mmtool.io.index import IndexReader
from mmtool.io.index.filter_text import parse_filter
from mmtool.io.limits import Limits
from mmtool.io.writers.hits import write_hits_json, write_hits_tsv
from mmtool.io.writers.hits_html import VOLUMES, write_hits_html
from mmtool.io.writers.niivue_source import niivue_source
from mmtool.pipelines.qdrant_neighbours import QdrantNeighbours
from mmtool.pipelines.qdrant_place import QdrantPlace
from mmtool.pipelines.retrieval_hits import Asking, answer, check_rerank
from mmtool.pipelines.retrieval_query import AS, Query, parse_roi, read_query, with_words
from mmtool.pipelines.retrieval_rerank import RERANKERS
from mmtool.pipelines.retrieval_search import Searcher, Wanted
from mmtool.pipelines.samplesheet import BatchItem
from mmtool.pipelines.staging import home_of
from mmtool.pipelines.task import ItemResult
from mmtool.retrieval import KINDS, Answer

COLUMNS = (
    "to",
    "filter",
    "k",
    "roi",
    "series",
    "as",
    "words",
)  # that a row of a sample sheet may set
_BEST = 5  # hits that the summary names
_MOST = 10_000


@dataclass(frozen=True)
class RetrieveOptions:
    """What a user can ask of ``mmtool retrieve``.

    Attributes:
        index: The index.
        to: Kind of what is wanted, see `Wanted`.
        condition: A filter as it was given.
        k: Hits at most.
        taken_as: What a query is, one of `AS`; found out when None.
        roi: Part of a picture, ``x,y,w,h``.
        series: Which series of a DICOM folder.
        words: That are asked together with a picture.
        rerank: Name of a re-ranker.
        without_copies: See `Asking`.
        model: Encoder of pictures and words; that of the index when None.
        device: Of the encoder.
        threads: Of the encoder. One query is too little to share: on a busy machine two threads
            wait for each other.
        view: Whether the volumes among the hits get a page to look at.
        qdrant: Server whose vectors are searched in place of the index's files.
    """

    index: Path
    to: str | None = None
    condition: str = ""
    k: int = 10
    taken_as: str | None = None
    roi: str | None = None
    series: str | None = None
    words: str | None = None
    rerank: str | None = None
    without_copies: bool = False
    model: str | None = None
    device: str = "auto"
    threads: int = 1
    view: bool = False
    qdrant: QdrantPlace | None = None

    def checked(self) -> RetrieveOptions:
        """Itself, once it is known to make sense.

        Raises:
            UsageError: It does not.
        """
        for name, value, known in (("--to", self.to, KINDS), ("--as", self.taken_as, AS)):
            if value is not None and value not in known:
                raise UsageError(f"{name} {value}: not known", f"one of {', '.join(known)}")
        if not 1 <= self.k <= _MOST:
            raise UsageError(f"-k {self.k}: not from 1 to {_MOST}", "say how many hits you want")
        check_rerank(self.rerank, RERANKERS)
        if self.roi:
            parse_roi(self.roi)
        if self.condition:
            parse_filter(self.condition)
        return self

    def asking(self) -> Asking:
        """How an answer is made."""
        condition = parse_filter(self.condition) if self.condition else None
        wanted = Wanted(self.to, condition)
        depth = max(wanted.depth, self.k * (4 if self.without_copies else 1))
        return Asking(
            wanted=replace(wanted, depth=depth),
            most=self.k,
            rerank=self.rerank,
            without_copies=self.without_copies,
            condition=self.condition,
        )


@dataclass
class RetrieveTask:
    """The work of ``mmtool retrieve`` for the batch runner.

    Attributes:
        options: What is asked for.
        limits: Bounds of the readers.
    """

    options: RetrieveOptions
    limits: Limits = field(default_factory=Limits)
    command: str = "retrieve"
    _searcher: Searcher | None = None
    _client: Any = None  # of a server
    _last: tuple[BatchItem, Query] | None = None  # read once for its hash and for its answer

    @property
    def searcher(self) -> Searcher:
        """The index, opened once.

        Raises:
            InputError: It is absent, damaged or of a newer version, or the server can't be
                reached.
        """
        if self._searcher is None:
            options = self.options
            reader = IndexReader(options.index)
            near = None
            if options.qdrant is not None:
                self._client = options.qdrant.client(made=False)
                near = QdrantNeighbours(reader, self._client, options.qdrant.name)
            self._searcher = Searcher(reader, options.model, options.device, options.threads, near)
        return self._searcher

    def close(self) -> None:
        """Let go of the server."""
        if self._client is not None:
            self._client.close()

    def load(self) -> Mapping[str, Any]:
        """Open the index; say what it is. Encoders are loaded by the first query that needs one."""
        if self.options.view:
            niivue_source()  # an absent package is told of before any work
        manifest = self.searcher.reader.manifest
        spaces = manifest["spaces"]
        return {
            "model": spaces.get("picture", {}).get("encoder", ""),
            "weights_sha256": spaces.get("picture", {}).get("sha256", ""),
            "index": {"items": manifest["items"], "kinds": manifest["kinds"], "spaces": spaces},
        }

    def fingerprint(self, item: BatchItem) -> str:
        """Hash over the query, the options and the state of the index."""
        options = self._of(item)
        known = asdict(options) | {"device": "", "threads": 0, "index": self._state()}
        known["query"] = self._query(item, options).sha256
        return hashlib.sha256(json.dumps(known, sort_keys=True, default=str).encode()).hexdigest()

    def _state(self) -> dict[str, Any]:
        """What the index holds, without when it was asked."""
        manifest = dict(self.searcher.reader.manifest)
        return {k: v for k, v in manifest.items() if k not in ("written", "mmtool")}

    def _of(self, item: BatchItem) -> RetrieveOptions:
        """Options of one item: those of the sample sheet's row go first."""
        own: dict[str, Any] = {}
        for column, name in (
            ("to", "to"),
            ("filter", "condition"),
            ("roi", "roi"),
            ("series", "series"),
            ("words", "words"),
        ):
            if item.params.get(column):
                own[name] = item.params[column]
        if item.params.get("as"):
            own["taken_as"] = item.params["as"]
        if item.params.get("k"):
            own["k"] = _whole(item.params["k"])
        return replace(self.options, **own).checked() if own else self.options

    def _query(self, item: BatchItem, options: RetrieveOptions) -> Query:
        if self._last is None or self._last[0] is not item:
            given = item.words or str(item.inputs[0])
            roi = parse_roi(options.roi) if options.roi else None
            query = read_query(given, options.taken_as, roi, self.limits, options.series)
            if options.words is not None:
                query = with_words(query, options.words)
            self._last = item, query
        return self._last[1]

    def run_item(self, item: BatchItem, out: Path) -> ItemResult:
        """Answer one query into the folder ``out``."""
        options = self._of(item)
        query = self._query(item, options)
        found = answer(self.searcher, query, options.asking())
        home = home_of(out)
        write_hits_tsv(out / "hits.tsv", found, home)
        write_hits_json(out / "hits.json", found, home)
        shown, notes = self._volumes(found, out) if options.view else ([], [])
        write_hits_html(out / "hits.html", found, home, shown)
        hashes = {str(query.path): query.sha256} if query.path is not None else {}
        return ItemResult(summary=_summary(found, notes), inputs_sha256=hashes)

    def _volumes(self, found: Answer, out: Path) -> tuple[list[int], list[str]]:
        """Write the page of volumes, if there are any; their ranks, and notes."""
        from mmtool.io.writers.hits_volumes import write_hits_volumes  # brings nibabel and scipy
        from mmtool.pipelines.retrieval_volumes import volumes_of

        volumes, notes = volumes_of(found.hits, self.limits)
        if volumes:
            write_hits_volumes(out / VOLUMES, volumes, niivue_source())
        return [volume.rank for volume in volumes], notes


def _summary(found: Answer, notes: Sequence[str]) -> dict[str, Any]:
    return {
        "kind": found.kind,
        "hits": len(found.hits),
        "searches": list(found.searches),
        "best": [
            {"rank": h.rank, "key": h.item.source.key, "score": round(h.score, 4)}
            for h in found.hits[:_BEST]
        ],
        "notes": [*found.notes, *notes] + ([] if found.hits else ["nothing was found"]),
    }


def _whole(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise UsageError(f"k {text[:20]}: not a whole number", "say how many hits") from None
