"""``mmtool report`` of FASTA files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mmtool.cli import options as shared
from mmtool.cli.run import run_task
from mmtool.errors import UsageError
from mmtool.pipelines.samplesheet import items_from_sheet

_OF_IMAGES = (
    *("study", "series", "indication", "prior", "text", "question", "reader", "keep_tokens"),
    *("text_model", "explain", "self_test", "truth"),
)


def of_proteins(inputs: Sequence[Path], sheet: Path | None) -> bool:
    """Whether all inputs are FASTA files; a sample sheet is looked into.

    Raises:
        UsageError: Some are and some are not.
        InputError: The sample sheet can't be read.
    """
    from mmtool.io.readers.protein_records import is_protein_file
    from mmtool.pipelines.report import COLUMNS

    paths = list(inputs)
    if sheet is not None and not paths:
        items = items_from_sheet(sheet, params=COLUMNS, path_params=("prior",))
        paths = [path for item in items for path in item.inputs]
    kinds = {is_protein_file(path) for path in paths}
    if len(kinds) == 2:
        raise UsageError(
            "FASTA files and images in one run", "report proteins and images in runs of their own"
        )
    return kinds == {True}


def report_proteins(arguments: Mapping[str, Any]) -> None:
    """Run the command on proteins.

    Args:
        arguments: All parameters of ``mmtool report``.

    Raises:
        UsageError: No index, or an option that is for images.
    """
    if named := [name for name in _OF_IMAGES if arguments[name]]:
        option = named[0].replace("_", "-")
        raise UsageError(f"--{option} is for images, and proteins were given", "leave it out")
    if arguments["retrieve"] is None:
        raise UsageError(
            "a protein is told by the proteins most like it, and no index of these is given",
            "mmtool index described.fasta -o INDEX.mmidx, then --retrieve INDEX.mmidx",
        )
    from mmtool.io.limits import Limits
    from mmtool.pipelines.report_proteins import ProteinTask
    from mmtool.pipelines.report_relatives import ProteinIndex
    from mmtool.pipelines.report_views import parse_formats

    task = ProteinTask(
        ProteinIndex(arguments["retrieve"]), parse_formats(arguments["format_"]), Limits.from_env()
    )
    run_task(
        task,
        arguments["inputs"] or [],
        shared.Common.of(dict(arguments)),
        columns=(),
        arguments={**arguments, "model": None},
    )
