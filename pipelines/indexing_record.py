"""``run.json`` of an index: what was asked, how long it took, what came of it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from mmtool.pipelines.devices import peak_memory_mb
from mmtool.pipelines.index import DUPLICATES, FAILURES, IndexRequest, IndexResult
from mmtool.pipelines.runrecord import RunFacts, write_record

_NOT_KEPT = ("sources", "output", "dry_run", "json", "verbose", "quiet", "debug", "config")


def record_run(request: IndexRequest, result: IndexResult, arguments: Mapping[str, Any]) -> None:
    """Write ``run.json`` into the index; that of the run before is replaced."""
    seconds = result.seconds["all"]
    names = ["manifest.json", DUPLICATES, *([FAILURES] if result.failures else [])]
    kept = {k: v for k, v in arguments.items() if k not in _NOT_KEPT}
    kept["table"] = [str(t) for t in request.tables]
    spaces = result.manifest["spaces"]
    facts = RunFacts(
        command="index",
        name=request.output.stem,
        arguments=kept,
        inputs=list(request.sources),
        inputs_sha256={},
        fingerprint="",
        model={name: {"model": s["encoder"], "sha256": s["sha256"]} for name, s in spaces.items()},
        summary=result.summary(),
        outputs=names,
        started=datetime.now(UTC) - timedelta(seconds=seconds),
        seconds=seconds,
        peak_memory_mb=peak_memory_mb(),
        threads=arguments.get("threads"),
        seed=0,
    )
    write_record(request.output, request.output, facts)
