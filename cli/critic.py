"""``mmtool evaluate critic``."""

from __future__ import annotations

import json as json_module
from pathlib import Path
from typing import Annotated

import typer

from mmtool.cli import options as shared


def critic(
    scan: Annotated[Path, typer.Argument(metavar="SCAN", help="The scan.", show_default=False)],
    mask: Annotated[
        list[Path],
        typer.Option(metavar="FILE", help="A label map of the scan; give it twice to compare."),
    ],
    structures: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="What the labels are: brain, hippocampus, left-atrium, none; auto tells by "
            "labels.tsv beside the maps, or by their numbers.",
        ),
    ] = "auto",
    resample: Annotated[
        bool, typer.Option("--resample", help="Accept other grids (nearest neighbour).")
    ] = False,
    json: shared.Json = False,
    debug: shared.Debug = False,
) -> None:
    """Judge a label map without a reference, or tell which of two is better.

    Example: mmtool evaluate critic scan.nii.gz --mask a.nii.gz --mask b.nii.gz

    Rules, no network: see docs/evaluation.md. Swapping the masks swaps the answer.
    """
    del debug
    from mmtool.io.limits import Limits
    from mmtool.pipelines.critic import judge_files

    verdict = judge_files(
        scan, mask, structures=structures, resample=resample, limits=Limits.from_env()
    ).to_json()
    if json:
        typer.echo(json_module.dumps(verdict, indent=2, ensure_ascii=False))
        return
    named = list(verdict["total"])
    if "better" in verdict:
        typer.echo(f"better: {verdict['better']}")
    typer.echo("\t".join(["rule", "weight", *named]))
    for rule, row in verdict["rules"].items():
        typer.echo("\t".join([rule, f"{row['weight']:g}", *(f"{row[n]:.3f}" for n in named)]))
    typer.echo("\t".join(["total", "", *(f"{verdict['total'][n]:.3f}" for n in named)]))
    for name, doubts in verdict["doubts"].items():
        for doubt in doubts:
            typer.echo(f"doubt in {name}: {doubt}")
