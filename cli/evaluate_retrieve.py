"""``mmtool evaluate retrieve``."""

from __future__ import annotations

import json as json_module
from pathlib import Path
from typing import Annotated

import typer

from mmtool.cli import options as shared


def evaluate_retrieve(
    data: Annotated[
        Path,
        typer.Option(metavar="DIR", help="Images with captions, as for 'mmtool train retrieve'."),
    ],
    model: Annotated[
        str, typer.Option(metavar="NAME|DIR", help="The encoder.", envvar="MMTOOL_MODEL")
    ] = "joint",
    split: Annotated[
        str, typer.Option(metavar="NAME", help="Part to measure; floors are fitted on train.")
    ] = "dev",
    stress: Annotated[
        bool, typer.Option("--stress/--no-stress", help="Also change images and texts.")
    ] = True,
    output: shared.Output = None,
    device: shared.Device = "auto",
    threads: shared.Threads = None,
    seed: shared.Seed = 0,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace earlier measures in --output.")
    ] = False,
    json: shared.Json = False,
    quiet: shared.Quiet = False,
    debug: shared.Debug = False,
) -> None:
    """Recall, zero-shot and probe accuracy of an encoder, beside floors fitted in the same run.

    Example: mmtool evaluate retrieve --data vision_language --model joint -o scores

    Intervals are of a bootstrap over cases. -o writes metrics.json.
    """
    del debug
    shared.check_scores_folder(output, overwrite)
    from mmtool.io.writers.tables import cell
    from mmtool.pipelines.devices import choose_device, set_threads
    from mmtool.pipelines.evaluation.retrieve import COLUMNS
    from mmtool.pipelines.evaluation.retrieve import evaluate_retrieve as evaluate
    from mmtool.pipelines.evaluation.retrieve_probes import cells

    set_threads(threads)

    def tell(line: str) -> None:
        if not quiet:
            typer.echo(line, err=True)

    found = evaluate(
        data,
        model,
        split=split,
        device=choose_device(device),
        seed=seed,
        with_stress=stress,
        tell=tell,
    )
    if output is not None:
        found.write(output)
    if json:
        typer.echo(json_module.dumps(found.to_json(), indent=2))
        return
    typer.echo("\t".join(COLUMNS))
    for row in found.rows:
        typer.echo("\t".join(cell(v) for v in cells(row)))
