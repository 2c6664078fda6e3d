"""``mmtool survive``: tables of patients in; risks, curves and reasons out."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from mmtool import __version__
from mmtool.errors import UsageError
from mmtool.io.limits import Limits
from mmtool.io.readers.signatures import read_signatures
from mmtool.models.store import ModelFiles, list_models, resolve_model
from mmtool.pipelines.samplesheet import BatchItem
from mmtool.pipelines.survive_model import SurviveModel, load_survive_model
from mmtool.pipelines.survive_result import SurviveRun
from mmtool.pipelines.survive_slides import SlideOptions, with_slides
from mmtool.pipelines.survive_tables import TableOptions, named_path, read_patients
from mmtool.pipelines.task import ItemResult, input_sha256, model_facts

_HINT = "give a table of patients"
COLUMNS = ("omics",)  # options that a row of a sample sheet may set
_COHORT = "tcga-"  # shipped models are named after their cohort


@dataclass(frozen=True)
class SurviveOptions:
    """What a user can ask of ``mmtool survive``.

    Attributes:
        model: Name of a model, or a folder.
        tables: How the tables are to be read.
        omics: Further tables, each a path or ``NAME=PATH``.
        slides: Where slides or features of them are.
        horizons: Times at which survival is told; those of the model if empty.
        signatures: File of groups of features, for the attribution.
        top: Features told of each patient and modality.
        explain: Methods of explanation beside the attribution.
        seed: Of the bootstrap.
    """

    model: str
    tables: TableOptions = field(default_factory=TableOptions)
    omics: tuple[str, ...] = ()
    slides: SlideOptions = field(default_factory=SlideOptions)
    horizons: tuple[float, ...] = ()
    signatures: Path | None = None
    top: int = 10
    explain: tuple[str, ...] = ()
    seed: int = 0


def model_name(model: str | None, cohort: str | None) -> str:
    """Name of the model that is asked for.

    Args:
        model: A name or a folder.
        cohort: Of a shipped model, in any case: ``LUAD``.

    Raises:
        UsageError: Both, neither, or no such cohort.
    """
    there = [e.name.removeprefix(_COHORT) for e in list_models("survive")]
    shipped = ", ".join(n.upper() for n in there)
    if (model is None) == (cohort is None):
        raise UsageError(
            "which model is not clear", f"give --model DIR, or --cohort, one of {shipped or 'none'}"
        )
    if cohort is None:
        return str(model)
    if cohort.lower() not in there:
        raise UsageError(f"--cohort {cohort}: not known", f"there is {shipped or 'none'}")
    return _COHORT + cohort.lower()


@dataclass
class SurviveTask:
    """The work of ``mmtool survive`` for the batch runner.

    Attributes:
        options: What is asked for.
        limits: Bounds of the readers.
    """

    options: SurviveOptions
    limits: Limits = field(default_factory=Limits)
    command: str = "survive"
    _files: ModelFiles | None = None
    _model: SurviveModel | None = None
    _hashes: dict[Path, str] = field(default_factory=dict)

    def load(self) -> Mapping[str, Any]:
        """Load the model; say what it is."""
        self._loaded()
        return model_facts(self._model_files(), "cpu")

    def _loaded(self) -> SurviveModel:
        if self._model is None:
            self._model = load_survive_model(self._model_files())
        return self._model

    def _model_files(self) -> ModelFiles:
        if self._files is None:
            self._files = resolve_model("survive", self.options.model)
        return self._files

    def fingerprint(self, item: BatchItem) -> str:
        """Hash over the tables, the options and the weights."""
        options = self._of(item)
        known: dict[str, Any] = asdict(options)
        known["table"] = self._sha256(item.inputs[0])
        named = [named_path(given) for given in options.omics]
        known["omics"] = [(name, self._sha256(path)) for name, path in named]
        known["slides"] = options.slides.state()
        signatures = options.signatures
        known["signatures"] = None if signatures is None else self._sha256(signatures)
        known["model_files"] = self._model_files().card["sha256"]
        known["version"] = __version__
        return hashlib.sha256(json.dumps(known, sort_keys=True).encode()).hexdigest()

    def _sha256(self, path: Path) -> str:
        """Hash of a table; each is read for it once a run."""
        if path not in self._hashes:
            self._hashes[path] = input_sha256(path, _HINT)
        return self._hashes[path]

    def _of(self, item: BatchItem) -> SurviveOptions:
        """Options of one item.

        In a sheet, several tables are parted by semicolons, and their paths may count from the
        folder of the table of patients.
        """
        own = item.params.get("omics", "")
        parts = [part.strip() for part in own.split(";") if part.strip()]
        folder = item.inputs[0].parent
        tables = tuple(_from(folder, part) for part in parts)
        return replace(self.options, omics=tables) if tables else self.options

    def run_item(self, item: BatchItem, out: Path) -> ItemResult:
        """Predict the patients of one table into the folder ``out``."""
        options = self._of(item)
        model = self._loaded()
        patients = read_patients(item.inputs[0], options.omics, options.tables, self.limits)
        patients = with_slides(patients, options.slides, out, self.limits)
        cohort, notes = model.cohort(patients)
        run = SurviveRun(
            model=model,
            patients=patients,
            cohort=cohort,
            prediction=model.predictor.predict(cohort),
            horizons=options.horizons or model.horizons,
            signatures=read_signatures(options.signatures, self.limits),
            top=options.top,
            notes=(*patients.notes, *notes),
            explain=options.explain,
        )
        summary = run.write(out, options.seed)
        files = [item.inputs[0], *(named_path(g)[1] for g in options.omics), options.signatures]
        return ItemResult(
            summary=summary,
            inputs_sha256={str(p): self._sha256(p) for p in files if p is not None},
            error=run.failure(),
        )


def _from(folder: Path, given: str) -> str:
    """``NAME=PATH`` or a path, from a folder if it is there."""
    name, path = named_path(given)
    there = folder / path
    return f"{name}={there}" if not path.exists() and there.exists() else given
