"""A task without a model, run as a program: what is killed in the tests of the batch runner.

Usage: python fake_task.py OUT LOG SECONDS [--resume] INPUT...
Each execution of an item appends its name to LOG, so nothing that is done twice stays hidden.
"""

from __future__ import annotations

import hashlib
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mmtool.errors import InputError
from mmtool.pipelines.batch import BatchItem, BatchOptions, ItemResult, run_batch
from mmtool.pipelines.samplesheet import items_from_paths


class CopyTask:
    """Copies its input in upper case; the words ``bad`` and ``bug`` in it make it fail."""

    command = "copy"

    def __init__(self, log: Path, seconds: float = 0.0) -> None:
        self.log = log
        self.seconds = seconds
        self.loads = 0

    def load(self) -> Mapping[str, Any]:
        self.loads += 1
        return {"model": "none", "weights_sha256": "", "use": "any", "device": "cpu"}

    def fingerprint(self, item: BatchItem) -> str:
        words = item.inputs[0].read_bytes() + repr(sorted(item.params.items())).encode()
        return hashlib.sha256(words).hexdigest()

    def run_item(self, item: BatchItem, out: Path) -> ItemResult:
        source = item.inputs[0]
        text = source.read_text()
        (out / "half.txt").write_text("begun")
        if "bad" in text:
            raise InputError(f"{source}: bad words", "write better ones")
        if "bug" in text:
            raise ValueError("secret patient name")
        with self.log.open("a") as log:
            log.write(f"{item.name}\n")
        time.sleep(self.seconds)
        (out / "half.txt").unlink()
        (out / "copy.txt").write_text(text.upper() + item.params.get("text", ""))
        error = InputError("kept but wrong", "look") if "kept" in text else None
        digest = hashlib.sha256(source.read_bytes()).hexdigest()
        return ItemResult({"length": len(text)}, {str(source): digest}, error)


def main() -> int:
    out, log, seconds, *rest = sys.argv[1:]
    resume = "--resume" in rest
    items = items_from_paths([Path(p) for p in rest if p != "--resume"])
    options = BatchOptions(Path(out), nested=len(items) > 1, resume=resume)
    try:
        report = run_batch(items, CopyTask(Path(log), float(seconds)), options)
    except KeyboardInterrupt:
        return 130
    print(len(report.left))
    return report.exit_code


if __name__ == "__main__":
    raise SystemExit(main())
