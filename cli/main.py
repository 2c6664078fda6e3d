"""The ``mmtool`` command. Importing this file imports nothing heavier than typer."""

from __future__ import annotations

import sys
import traceback
from typing import Annotated

import typer

from mmtool import __version__
from mmtool.cli.doctor import doctor
from mmtool.cli.evaluate import evaluate_app
from mmtool.cli.index import index
from mmtool.cli.models import models_app
from mmtool.cli.report import report
from mmtool.cli.retrieve import retrieve
from mmtool.cli.segment import segment
from mmtool.cli.survive import survive
from mmtool.cli.tcr_bind import tcr_bind
from mmtool.cli.train import train_app
from mmtool.errors import EXIT_SIGINT, EXIT_UNEXPECTED, MMToolError
from mmtool.pipelines.devices import is_out_of_memory, out_of_memory

_HELP = """Clinical and biological prediction from the command line.

Example: mmtool segment scan.nii.gz --text report.txt -o out

Results go to stdout, messages to stderr. Nothing is downloaded at run time.

\b
Exit codes:
  0    ok
  1    unexpected error
  2    wrong usage
  3    input: missing, broken or refused
  4    model or weights: absent or altered
  5    device or memory
  6    some inputs of a batch failed, see failures.tsv
  130  interrupted (SIGINT)
  143  terminated (SIGTERM), after the input in hand
"""

app = typer.Typer(
    help=_HELP,
    no_args_is_help=True,
    pretty_exceptions_enable=False,  # locals in a traceback may hold patient data
    rich_markup_mode=None,  # plain help: the same in docs/cli.md, logs and terminals
    pretty_exceptions_show_locals=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command()(segment)
app.command()(survive)
app.command("tcr-bind")(tcr_bind)
app.command()(index)
app.command()(report)
app.command()(retrieve)
app.command()(doctor)
app.add_typer(models_app, name="models")
app.add_typer(train_app, name="train")
app.add_typer(evaluate_app, name="evaluate")


def _version(value: bool) -> None:
    if value:
        typer.echo(f"mmtool {__version__}")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_version, is_eager=True, help="Print the version."),
    ] = False,
) -> None:
    """Root of all commands."""
    del version


def main() -> None:
    """Entry point: errors become one line, one hint and an exit code."""
    debug = "--debug" in sys.argv
    try:
        app()
    except MMToolError as error:
        if debug:
            traceback.print_exception(error, file=sys.stderr)  # the exit code stays its own
        _complain(error.message, error.hint)
        sys.exit(error.exit_code)
    except SystemExit as end:  # typer turns an interrupt into this code, without a word
        if end.code == EXIT_SIGINT:
            _complain("interrupted", "what was finished is kept; a batch goes on with --resume")
        raise
    except KeyboardInterrupt:  # before typer is at work
        sys.exit(EXIT_SIGINT)
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(EXIT_UNEXPECTED)
    except Exception as error:  # the last door: a user sees one line, never a traceback
        if debug:
            raise
        if is_out_of_memory(error):
            short = out_of_memory()
            _complain(short.message, short.hint)
            sys.exit(short.exit_code)
        # The text of a foreign error may quote patient data; its type can't.
        _complain(f"unexpected error ({type(error).__name__})", "run it again with --debug")
        sys.exit(EXIT_UNEXPECTED)


def _complain(message: str, hint: str) -> None:
    typer.echo(f"mmtool: error: {message}", err=True)
    if hint:
        typer.echo(f"hint: {hint}", err=True)
