"""``mmtool tcr-bind``: receptors and epitopes in, every row back with scores and evidence."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import torch

from mmtool import __version__
from mmtool.errors import InputError, UsageError
from mmtool.io.limits import Limits
from mmtool.io.readers.epitopes import Epitope
from mmtool.io.readers.receptor_layout import shown
from mmtool.models.store import ModelFiles
from mmtool.pipelines.binding_epitopes import given_epitopes, known_epitopes
from mmtool.pipelines.binding_model import AttendingModel, BindingModel
from mmtool.pipelines.binding_models import load_binding_model
from mmtool.pipelines.binding_outside import resolve_binding_model
from mmtool.pipelines.devices import choose_device
from mmtool.pipelines.receptor_rows import ReceptorTable
from mmtool.pipelines.samplesheet import BatchItem
from mmtool.pipelines.task import ItemResult, input_sha256, model_facts
from mmtool.pipelines.tcr_bind_result import BindingRun
from mmtool.pipelines.user_binders import read_binders

_HINT = "give a table of receptors"
COLUMNS = ("epitope", "epitope_column", "hla")  # options that a row of a sample sheet may set


@dataclass(frozen=True)
class BindOptions:
    """What a user can ask of ``mmtool tcr-bind``.

    Attributes:
        model: Name of a model, or a folder.
        device: ``auto``, ``cpu`` or ``cuda[:k]``.
        epitope: Peptides or SMILES of peptides.
        epitopes: File of more.
        epitope_column: Column with the epitope of each row.
        scan: All epitopes that the model knows.
        hla: Only those that one of these alleles presents.
        top: With ``scan``, so many of the best epitopes of each row.
        reference: Table of the user's own known binders.
        evidence: Known binders told for the best epitope of each row.
        gzip: Compress the large tables.
        attention: Tell what a network looked at.
        uncertainty: Tell how firm each score is.
    """

    model: str
    device: str = "auto"
    epitope: tuple[str, ...] = ()
    epitopes: Path | None = None
    epitope_column: str | None = None
    scan: bool = False
    hla: tuple[str, ...] = ()
    top: int = 5
    reference: Path | None = None
    evidence: int = 3
    gzip: bool = False
    attention: bool = False
    uncertainty: bool = False

    def check(self) -> None:
        """Refuse options that contradict each other.

        Raises:
            UsageError: They do.
        """
        ways = {
            "--epitope or --epitopes": bool(self.epitope or self.epitopes),
            "--scan or --hla": self.scan or bool(self.hla),
            "--epitope-column": self.epitope_column is not None,
        }
        given = [name for name, there in ways.items() if there]
        if len(given) > 1:
            raise UsageError(f"{' and '.join(given)} exclude each other", "choose one way")


@dataclass
class BindTask:
    """The work of ``mmtool tcr-bind`` for the batch runner.

    Attributes:
        options: What is asked for.
        limits: Bounds of the readers.
    """

    options: BindOptions
    limits: Limits = field(default_factory=Limits)
    command: str = "tcr-bind"
    _files: ModelFiles | None = None
    _model: BindingModel | None = None
    _device: torch.device | None = None
    _notes: Sequence[str] = ()

    def load(self) -> Mapping[str, Any]:
        """Load the model; say what it is."""
        self._loaded()
        return model_facts(self._model_files(), self._device)

    def _loaded(self) -> BindingModel:
        if self._model is None:
            self._device = choose_device(self.options.device)
            extra: Sequence[Any] = ()
            if self.options.reference is not None:
                extra, self._notes = read_binders(self.options.reference, self.limits)
            self._model = load_binding_model(self._model_files(), self._device, extra)
            self._check_abilities(self._model)
        return self._model

    def _check_abilities(self, model: BindingModel) -> None:
        for name in ("attention", "uncertainty"):
            if getattr(self.options, name) and not isinstance(model, AttendingModel):
                raise UsageError(
                    f"--{name}: the model {shown(self.options.model)} has none", "use --model titan"
                )

    def _model_files(self) -> ModelFiles:
        if self._files is None:
            self._files = resolve_binding_model(self.options.model)
        return self._files

    def fingerprint(self, item: BatchItem) -> str:
        """Hash over the table, the options, the files that they name, and the weights."""
        options = self._of(item)
        known: dict[str, Any] = asdict(options)
        known.pop("device")  # the same result is promised whatever computes it
        known["table"] = input_sha256(item.inputs[0], _HINT)
        for name in ("epitopes", "reference"):
            path = getattr(options, name)
            known[name] = None if path is None else input_sha256(path, _HINT)
        known["model_files"] = self._model_files().card["sha256"]
        known["version"] = __version__
        return hashlib.sha256(json.dumps(known, sort_keys=True).encode()).hexdigest()

    def _of(self, item: BatchItem) -> BindOptions:
        """Options of one item: those of the sample sheet's row go first.

        A row's own way of naming epitopes stands in place of that of the command line. Several
        epitopes or alleles in a cell are parted by semicolons.
        """
        own: dict[str, Any] = {k: v for k, v in item.params.items() if k in COLUMNS and v}
        if not own:
            return self.options
        for name in {"epitope", "hla"} & set(own):
            own[name] = tuple(part.strip() for part in own[name].split(";") if part.strip())
        none = BindOptions(self.options.model)
        ways = ("epitope", "epitopes", "epitope_column", "scan", "hla")
        own = {name: getattr(none, name) for name in ways} | own
        options = replace(self.options, **own)
        options.check()
        return options

    def run_item(self, item: BatchItem, out: Path) -> ItemResult:
        """Score one table into the folder ``out``."""
        options = self._of(item)
        model = self._loaded()
        table = ReceptorTable.open(item.inputs[0], self.limits)
        epitopes, column = self._asked(options, table, model)
        top = options.top if options.scan or options.hla else None
        run = BindingRun(
            table,
            model,
            epitopes,
            column,
            top,
            options.evidence,
            attention=options.attention,
            uncertainty=options.uncertainty,
        )
        run.write(out, packed=options.gzip)
        files = [item.inputs[0], options.epitopes, options.reference]
        summary = run.summary()
        summary["notes"] = [*summary["notes"], *self._notes]
        return ItemResult(
            summary=summary,
            inputs_sha256={str(p): input_sha256(p, _HINT) for p in files if p is not None},
            error=run.failure(),
        )

    def _asked(
        self, options: BindOptions, table: ReceptorTable, model: BindingModel
    ) -> tuple[list[Epitope] | None, int | None]:
        """The epitopes of every row, or the place of the column with each row's own."""
        if options.epitope or options.epitopes:
            return given_epitopes(options.epitope, options.epitopes, self.limits), None
        if options.scan or options.hla:
            return known_epitopes(model, options.hla), None
        columns = table.text.columns
        if options.epitope_column is not None:
            asked = options.epitope_column.strip()
            places = [i for i, name in enumerate(columns) if name.strip() == asked]
            if len(places) == 1:
                return None, places[0]
            many = "stands twice" if places else "is not there"
            raise InputError(
                f"{table.text.path}: the column '{shown(options.epitope_column)}' {many}",
                f"there are {', '.join(shown(c, 20) for c in columns[:12])}",
            )
        if len(table.layout.epitope) == 1:
            table.notes.append(f"epitopes are those of column '{columns[table.layout.epitope[0]]}'")
            return None, table.layout.epitope[0]
        raise UsageError(
            f"{table.text.path}: no epitope is given, and no one column of it holds them",
            "give --epitope GILGFVFTL, --epitopes FILE, --scan or --epitope-column NAME",
        )
