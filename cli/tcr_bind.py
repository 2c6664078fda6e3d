"""``mmtool tcr-bind``."""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from mmtool.cli import options as shared
from mmtool.cli.run import run_task

DEFAULT_MODEL = "kernel-ratio"
_EPITOPES = "Epitopes"
_STDIN = Path("-")


def tcr_bind(
    inputs: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="TABLE...",
            help="AIRR TSV, VDJdb, 10x contig annotations, McPAS, immunoSEQ, IEDB, any CSV or TSV "
            "with CDR3s; plain or .gz; - for stdin.",
            show_default=False,
        ),
    ] = None,
    epitope: Annotated[
        list[str] | None,
        typer.Option(
            metavar="PEPTIDE|SMILES",
            help="Peptide, in letters or as SMILES; give it as often as you like.",
            rich_help_panel=_EPITOPES,
        ),
    ] = None,
    epitopes: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="FASTA, or one peptide or SMILES a line.",
            rich_help_panel=_EPITOPES,
        ),
    ] = None,
    epitope_column: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Column with the epitope of each row; found by itself where its name is clear.",
            rich_help_panel=_EPITOPES,
        ),
    ] = None,
    scan: Annotated[
        bool,
        typer.Option(
            "--scan", help="All epitopes that the model knows.", rich_help_panel=_EPITOPES
        ),
    ] = False,
    hla: Annotated[
        list[str] | None,
        typer.Option(
            metavar="ALLELE",
            help="As --scan, but only epitopes that are presented by this allele (A*02:01, A2); "
            "give it as often as you like.",
            rich_help_panel=_EPITOPES,
        ),
    ] = None,
    top: Annotated[
        int,
        typer.Option(
            min=1,
            help="With --scan or --hla: so many of the best epitopes of each row.",
            rich_help_panel=_EPITOPES,
        ),
    ] = 5,
    model: Annotated[
        str,
        typer.Option(
            metavar="NAME|DIR",
            help="See 'mmtool models list'; or sceptr, or mammal:DIR (extras of that name).",
            envvar="MMTOOL_MODEL",
        ),
    ] = DEFAULT_MODEL,
    reference: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Your own known binders, any such table with a column of epitopes: used beside "
            "those of the model, with no training.",
        ),
    ] = None,
    evidence: Annotated[
        int,
        typer.Option(min=0, help="Known binders in evidence.tsv for each row's best epitope."),
    ] = 3,
    gzip: Annotated[
        bool, typer.Option("--gzip", help="Write binding.tsv.gz and evidence.tsv.gz.")
    ] = False,
    attention: Annotated[
        bool,
        typer.Option(
            "--attention",
            help="Of a network (titan): what it looked at, per residue and atom, in attention.tsv "
            "and as drawings of the epitopes.",
        ),
    ] = False,
    uncertainty: Annotated[
        bool,
        typer.Option(
            "--uncertainty",
            help="Of a network (titan): how firm each score is, under dropout and under other "
            "spellings of the molecule.",
        ),
    ] = False,
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
    """Score T-cell receptors against epitopes; every row comes back.

    Example: mmtool tcr-bind repertoire.tsv --epitope GILGFVFTL --epitope NLVPMVATV -o out

    Writes binding.tsv (the rows as they came, with scores, nearest known binder and status),
    evidence.tsv (known binders nearest to each row), epitopes.tsv (what is known of each epitope),
    run.json.
    """
    arguments = dict(locals())
    from mmtool.io.limits import Limits
    from mmtool.pipelines.tcr_bind import COLUMNS, BindOptions, BindTask

    known = BindOptions.__dataclass_fields__
    asked = {k: v for k, v in arguments.items() if k in known}
    options = BindOptions(**asked | {k: tuple(asked[k] or ()) for k in ("epitope", "hla")})
    options.check()
    with _spooled(inputs or []) as files:
        run_task(
            BindTask(options, Limits.from_env()),
            files,
            shared.Common.of(arguments),
            columns=COLUMNS,
            arguments=arguments,
        )


@contextmanager
def _spooled(inputs: Sequence[Path]) -> Iterator[list[Path]]:
    """The inputs; what comes from stdin lies in a file meanwhile, since it is read twice."""
    if _STDIN not in inputs:
        yield list(inputs)
        return
    with tempfile.TemporaryDirectory(prefix="mmtool-") as folder:
        file = Path(folder) / "stdin.tsv"
        with file.open("wb") as out:
            shutil.copyfileobj(sys.stdin.buffer, out, 1 << 20)
        yield [file if path == _STDIN else path for path in inputs]
