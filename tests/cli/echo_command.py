"""``mmtool echo``: the frame of a command around a light task, as the real commands use it.

Run as a program, so that streams, signals and exit codes are those of a real process.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from mmtool.cli import main as root
from mmtool.cli import options as shared
from mmtool.cli.run import run_task
from mmtool.errors import DeviceError, InputError, ModelError
from mmtool.pipelines.batch import ItemResult
from mmtool.pipelines.samplesheet import BatchItem


class EchoTask:
    command = "echo"

    def __init__(self, text: str | None, model: str) -> None:
        self.text = text
        self.model = model

    def load(self) -> Mapping[str, Any]:
        if self.model == "absent":
            raise ModelError("no such model", "see mmtool models list")
        return {"model": self.model, "device": "cpu"}

    def fingerprint(self, item: BatchItem) -> str:
        words = f"{item.inputs[0].read_text()}|{self._text(item)}|{self.model}"
        return hashlib.sha256(words.encode()).hexdigest()

    def _text(self, item: BatchItem) -> str:
        return item.params.get("text", self.text) or ""

    def run_item(self, item: BatchItem, out: Path) -> ItemResult:
        words = item.inputs[0].read_text()
        if words == "bad":
            raise InputError(f"{item.inputs[0]}: bad", "write better")
        if words == "bug":
            raise ValueError("John Doe")
        if words == "device":
            raise DeviceError("no device", "use cpu")
        if words == "interrupt":
            raise KeyboardInterrupt
        (out / "echo.txt").write_text(f"{words} {self._text(item)}")
        return ItemResult({"words": words}, {})


@root.app.command("echo")
def echo(
    inputs: Annotated[list[Path] | None, typer.Argument()] = None,
    text: str | None = None,
    model: Annotated[str, typer.Option(envvar="MMTOOL_MODEL")] = "parrot",
    output: shared.Output = None,
    device: shared.Device = "auto",
    threads: shared.Threads = None,
    seed: shared.Seed = 0,
    samplesheet: shared.SampleSheet = None,
    shard: shared.Shard = None,
    resume: shared.Resume = False,
    overwrite: shared.Overwrite = False,
    dry_run: shared.DryRun = False,
    json: shared.Json = False,
    config: shared.Config = None,
    verbose: shared.Verbose = 0,
    quiet: shared.Quiet = False,
    debug: shared.Debug = False,
) -> None:
    """Write the words of the inputs again."""
    arguments = dict(locals())
    run_task(
        EchoTask(text, model),
        inputs or [],
        shared.Common.of(arguments),
        columns=("text",),
        arguments=arguments,
    )


if __name__ == "__main__":
    sys.argv[0] = "mmtool"
    root.main()
