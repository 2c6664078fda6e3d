"""The ``mmtool`` command. Importing this file imports nothing heavier than typer."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from mmtool import __version__
from mmtool.cli.doctor import doctor
from mmtool.cli.evaluate import evaluate_app
from mmtool.cli.models import models_app
from mmtool.cli.segment import segment
from mmtool.cli.train import train_app
from mmtool.errors import EXIT_DEVICE, EXIT_SIGINT, EXIT_UNEXPECTED, MMToolError

_HELP = """Clinical and biological prediction from the command line.

Example: mmtool segment scan.nii.gz --text report.txt -o out

Exit codes: 0 ok, 1 unexpected, 2 usage, 3 input, 4 model or weights, 5 device or memory,
6 some inputs of a batch failed, 130 interrupted, 143 terminated.
"""

app = typer.Typer(
    help=_HELP,
    no_args_is_help=True,
    pretty_exceptions_enable=False,  # locals in a traceback may hold patient data
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command()(segment)
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
            raise
        _complain(error.message, error.hint)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        _complain("interrupted", "--resume goes on with what is left")
        sys.exit(EXIT_SIGINT)
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(EXIT_UNEXPECTED)
    except MemoryError:
        _complain("not enough memory", "use a smaller input, or a machine with more")
        sys.exit(EXIT_DEVICE)
    except Exception as error:  # the last door: a user sees one line, never a traceback
        if debug:
            raise
        # The text of a foreign error may quote patient data; its type can't.
        _complain(f"unexpected error ({type(error).__name__})", "run it again with --debug")
        sys.exit(EXIT_UNEXPECTED)


def _complain(message: str, hint: str) -> None:
    typer.echo(f"mmtool: error: {message}", err=True)
    if hint:
        typer.echo(f"mmtool: hint: {hint}", err=True)
