"""``mmtool report``: the images of a study in; one truth and its views out."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from mmtool import __version__
from mmtool.errors import InputError
from mmtool.io.limits import Limits
from mmtool.io.readers import hash_input
from mmtool.io.readers.report_json import read_report
from mmtool.io.readers.text import read_text
from mmtool.models.report.admissibility import HEAD, MR
from mmtool.models.report.model import ReportModel, load_report_model
from mmtool.models.report.sentences import image_sentence, impression
from mmtool.models.store import ModelFiles, resolve_model
from mmtool.pipelines.devices import choose_device
from mmtool.pipelines.report_answers import answer
from mmtool.pipelines.report_brain import BrainMeasurer
from mmtool.pipelines.report_cases import CaseSearch, similar, support_of, votes_of
from mmtool.pipelines.report_check import check_report
from mmtool.pipelines.report_encoder import check_encoder, load_encoder
from mmtool.pipelines.report_explain import explained
from mmtool.pipelines.report_findings import findings_of
from mmtool.pipelines.report_gate import Look, gate_of
from mmtool.pipelines.report_generator import TextGenerator, vetted
from mmtool.pipelines.report_heat import Heat
from mmtool.pipelines.report_images import Seen, read_study, slices_of
from mmtool.pipelines.report_prior import compare
from mmtool.pipelines.report_reader import Reader, findings_of_words
from mmtool.pipelines.report_tissue import tissue_of
from mmtool.pipelines.report_views import Shown, mask_name, write_views
from mmtool.pipelines.samplesheet import BatchItem
from mmtool.pipelines.task import ItemResult, input_sha256, model_facts
from mmtool.reports import Comparison, Explanation, Finding, ModelUsed, Provenance, Report
from mmtool.retrieval import JointEncoder
from mmtool.studies import Gate, Study, StudyImage

COLUMNS = ("indication", "prior", "text", "question")  # that a row of a sample sheet may set
_HINT = "give images of one study"
_MOST_CASES = 8


@dataclass(frozen=True)
class ReportOptions:
    """What a user can ask of ``mmtool report``.

    Attributes:
        model: Name of a model, or a folder.
        device: For the brain's volumes.
        series: Which series of a DICOM folder.
        indication: Why the study was made.
        prior: An earlier report.json, or an earlier image.
        text: A given report that is to be checked, a file or the words.
        question: Questions.
        formats: Views that are wanted; None for what suits the input.
        volumes: Measure the brain of MR volumes of the head.
        explain: Methods by which what the models say is explained.
    """

    model: str = "default"
    device: str = "auto"
    series: str | None = None
    indication: str = ""
    prior: Path | None = None
    text: str | None = None
    question: tuple[str, ...] = ()
    formats: tuple[str, ...] | None = None
    volumes: bool = True
    explain: tuple[str, ...] = ()


@dataclass
class ReportTask:
    """The work of ``mmtool report`` for the batch runner.

    Attributes:
        options: What is asked for.
        limits: Bounds of the readers.
        cases: Search for similar cases, or None.
        reader: An outside model that writes of each image that the gate knows, or None.
        generator: Writes words of each such image that are no finding, or None.
    """

    options: ReportOptions
    limits: Limits = field(default_factory=Limits)
    cases: CaseSearch | None = None
    reader: Reader | None = None
    generator: TextGenerator | None = None
    command: str = "report"
    _files: ModelFiles | None = None
    _model: ReportModel | None = None
    _encoder: JointEncoder | None = None
    _brain: BrainMeasurer | None = None

    def load(self) -> Mapping[str, Any]:
        """Load the heads and their encoder; say what they are."""
        self.loaded()
        return model_facts(self._model_files(), "cpu")

    def loaded(self) -> tuple[ReportModel, JointEncoder]:
        """The heads, and the encoder that they were trained on."""
        if self._model is None or self._encoder is None:
            self._model = load_report_model(self._model_files())
            self._encoder = load_encoder(str(self._model.encoder.get("name")))
            check_encoder(self._encoder, self._model.encoder)
        return self._model, self._encoder

    def _model_files(self) -> ModelFiles:
        if self._files is None:
            self._files = resolve_model("report", self.options.model)
        return self._files

    def fingerprint(self, item: BatchItem) -> str:
        """Hash over the images, the options and the weights."""
        options = self._of(item)
        known: dict[str, Any] = asdict(options) | {"prior": None, "device": None}
        known["images"] = [self._hash(path) for path in item.inputs]
        known["prior_bytes"] = None if options.prior is None else self._hash(options.prior)
        if options.text is not None:
            known["text"] = _words(options.text, self.limits)
        known["model_files"] = self._model_files().card["sha256"]
        known["cases"] = None if self.cases is None else self.cases.state()
        reader = self.reader
        known["reader"] = None if reader is None else (reader.sha256, reader.keep, reader.way)
        text = self.generator
        known["generator"] = None if text is None else text.files.card["sha256"]
        known["version"] = __version__
        return hashlib.sha256(json.dumps(known, sort_keys=True).encode()).hexdigest()

    def _hash(self, path: Path) -> str:
        if path.is_dir():
            parts = sorted(p for p in path.rglob("*") if p.is_file())
            return hashlib.sha256(
                "".join(input_sha256(p, _HINT) for p in parts).encode()
            ).hexdigest()
        if not path.exists():
            return hash_input(path, limits=self.limits)  # says what is wrong
        return input_sha256(path, _HINT)

    def _of(self, item: BatchItem) -> ReportOptions:
        """Options of one item: those of the sample sheet's row go first."""
        own: dict[str, Any] = {k: v for k, v in item.params.items() if k in COLUMNS and v}
        if "prior" in own:
            own["prior"] = Path(own["prior"])
        if "question" in own:
            own["question"] = (own["question"],)
        return replace(self.options, **own)

    def run_item(self, item: BatchItem, out: Path) -> ItemResult:
        """Report one study into the folder ``out``."""
        options = self._of(item)
        report, shown = self.report(item.inputs, options)
        write_views(out, report, shown, options.formats)
        gates = [i.gate for i in report.study.images]
        notes = [n for i in report.study.images for n in (*i.gate.reasons, *i.notes)]
        summary = {
            "images": len(gates),
            "known": sum(g.known for g in gates),
            "findings": len(report.findings),
            "abstained": report.abstained,
            "answers": [asdict(a) for a in report.answers],
            "checks": {v: sum(c.verdict == v for c in report.checks)
                       for v in ("agrees", "contradicts", "unsupported", "not checked")},
            "notes": list(dict.fromkeys(notes)),
        }  # fmt: skip
        if self.reader is not None:
            summary["visual_tokens_kept"] = 1.0 if self.reader.keep is None else self.reader.keep
        hashes = {str(p): self._hash(p) for p in item.inputs}
        return ItemResult(summary=summary, inputs_sha256=hashes)

    def report(self, paths: Sequence[Path], options: ReportOptions) -> tuple[Report, Shown]:
        """The report of one study, and what its views are drawn from."""
        images = read_study(paths, self.limits, series=options.series)
        looks = [self._look(image) for image in images]
        model, _ = self.loaded()
        gates = [gate_of(look, model) for look in looks]
        findings, shown, cases = self._findings(looks, gates, options)
        told = self._told(options, gates, findings)
        study = Study(
            tuple(
                self._worded(_image(look.image, gate, len(looks) > 1), look, findings)
                for look, gate in zip(looks, gates, strict=True)
            ),
            options.indication,
        )
        report = Report(
            study=study,
            findings=tuple(findings),
            impression=impression(gates, findings, model.cuts),
            provenance=self._provenance(bool(shown.masks)),
            abstained=not any(g.known for g in gates),
            similar=similar(cases),
            **told,
        )
        report, shown = self._explained(report, shown, options.explain)
        if options.prior is not None:
            report = replace(report, comparison=self._compared(report, options.prior))
        return report, shown

    def _look(self, image: Seen) -> Look:
        model, encoder = self.loaded()
        slices = slices_of(image)
        vectors = model.projected(encoder.encode_pictures([p for _, p in slices]).vectors)
        return Look(image, slices, vectors)

    def _findings(
        self, looks: Sequence[Look], gates: Sequence[Gate], options: ReportOptions
    ) -> tuple[list[Finding], Shown, list[Any]]:
        """All findings of all images, in the order of the images."""
        model, encoder = self.loaded()
        findings: list[Finding] = []
        shown = Shown(looks, {}, {})
        hits: list[Any] = []
        for look, gate in zip(looks, gates, strict=True):
            near = self._near(look) if gate.known else []
            hits += near
            own, heats = findings_of(
                look, gate, model, encoder,
                first=len(findings) + 1, votes=votes_of(near), support=support_of(near),
            )  # fmt: skip
            findings += own
            shown = replace(shown, heats={**shown.heats, **heats})
            findings += self.outside_findings(look, gate, len(findings) + 1)
            tissue = tissue_of(look.image, len(findings) + 1)
            findings += [] if tissue is None else [tissue]
            measured = self._volumes(look, gate, len(findings) + 1) if options.volumes else None
            if measured is not None and look.image.volume is not None:
                findings += measured.findings
                mask = (look.image.volume, measured.labels)
                shown = replace(shown, masks={**shown.masks, look.image.number: mask})
        return findings, shown, hits

    def outside_findings(self, look: Look, gate: Gate, first: int) -> list[Finding]:
        """What an outside model says of an image that the gate knows."""
        if self.reader is None or not gate.known:
            return []
        words = self.reader.read(look.slices[len(look.slices) // 2][1])
        return findings_of_words(words, gate, self.reader, look.image.number, first)

    def _worded(self, image: StudyImage, look: Look, findings: Sequence[Finding]) -> StudyImage:
        """With the words of the generator, where there is one, that nothing speaks against."""
        if self.generator is None:
            return image
        own = [f for f in findings if any(e.image == image.number for e in f.evidence)]
        words = self.generator.of_image(look, image.gate)
        kept, left = vetted(words, image.gate, own, self.loaded()[0].cuts)
        return replace(image, generated=kept, contradicted=left)

    def _explained(
        self, report: Report, shown: Shown, methods: Sequence[str]
    ) -> tuple[Report, Shown]:
        """With the maps that are asked for."""
        model, encoder = self.loaded()
        found: list[tuple[Explanation, Heat]] = []
        for look, image in zip(shown.looks, report.study.images, strict=True):
            own = [f for f in report.findings if any(e.image == image.number for e in f.evidence)]
            found += explained(look, image.gate, own, methods, model, encoder)
        maps = {e.path: heat for e, heat in found}
        said = tuple(e for e, _ in found)
        return replace(report, explanations=said), replace(shown, explained=maps)

    def _near(self, look: Look) -> list[Any]:
        if self.cases is None:
            return []
        return list(self.cases.nearest(look.image.picture, _MOST_CASES, {look.image.sha256}))

    def _volumes(self, look: Look, gate: Gate, first: int) -> Any:
        """Brain volumes, where the image is an MR volume of a head."""
        said = gate.modality.value if gate.modality.by == "header" else ""
        is_head = said in (MR, "") and gate.region.value in (HEAD, "")
        if look.image.volume is None or not is_head:
            return None
        if self._brain is None:
            self._brain = BrainMeasurer(choose_device(self.options.device))
        number = look.image.number
        return self._brain(look.image.volume, number, mask_name(number), first)

    def _told(
        self, options: ReportOptions, gates: Sequence[Gate], findings: Sequence[Finding]
    ) -> dict[str, Any]:
        """Checks of a given report, and answers."""
        validated = self.loaded()[0].cuts
        checks = ()
        if options.text is not None:
            words = _words(options.text, self.limits)
            checks = check_report(words, gates, findings, validated)  # type: ignore[assignment]
        answers = tuple(answer(q, gates, findings, validated) for q in options.question)
        return {"checks": checks, "answers": answers}

    def _compared(self, report: Report, path: Path) -> Comparison:
        """Beside an earlier report, or an earlier image that is reported first."""
        if path.suffix.lower() == ".json":
            prior = read_report(path, self.limits)
        else:
            prior = self.report([path], replace(self.options, prior=None, question=(), text=None))[
                0
            ]
        hashes = [m.weights_sha256 for m in report.provenance.models]
        return compare(report.findings, prior, path.name, self._hash(path), hashes)

    def _provenance(self, measured: bool) -> Provenance:
        files = [self._model_files()]
        if measured and self._brain is not None:
            files.append(self._brain.files)
        used = tuple(
            ModelUsed(
                f.task, f.name, f.weights_sha256, str(f.card.get("use", "unknown")),
                tuple(str(d["name"]) for d in f.card.get("data", ())), str(f.card["version"]),
            )
            for f in files
        )  # fmt: skip
        used += () if self.generator is None else (self.generator.used(),)
        trained = "; ".join(
            f"{m.task}/{m.name} on {', '.join(m.trained_on)}" for m in used if m.trained_on
        )
        told = ", ".join(self.loaded()[0].cuts) or "none"
        if self.reader is not None:
            used += (ModelUsed("report", self.reader.name, self.reader.sha256),)
        statements = [
            "Made by software from the images alone; a clinician must read the images.",
            f"The models were trained on: {trained}.",
            f"Findings that a model here was validated for: {told}. "
            "What is not named is not thereby absent.",
        ]
        if self.reader is not None:
            statements.append(
                f"The outside model {self.reader.name} was neither trained nor measured here; what "
                "it says is there is told as uncertain, and what it says is not there is not told."
            )
            if self.reader.keep is not None:
                statements.append(
                    f"It was given {self.reader.keep:.0%} of the visual tokens, chosen by "
                    f"{self.reader.way}; what that costs is told by --self-test."
                )
        if self.generator is not None:
            statements.append(self.generator.statement())
        if any(m.use == "research" for m in used):
            statements.append("For research: the training data ask for it.")
        return Provenance(
            "mmtool",
            __version__,
            datetime.now(UTC).isoformat(timespec="seconds"),
            used,
            self.cases.name if self.cases is not None else "",
            tuple(statements),
        )


def _words(text: str, limits: Limits) -> str:
    """The words of a given report: of a file, or as they are."""
    path = Path(text)
    try:
        there = len(text) < 4096 and path.is_file()
    except (OSError, ValueError):
        there = False
    words = read_text(path, limits) if there else text
    if not words.strip():
        raise InputError("the given report is empty", "--text takes a file or the words")
    return words


def _image(seen: Seen, gate: Gate, several: bool) -> StudyImage:
    """What the report says of one image."""
    return StudyImage(
        number=seen.number,
        name=seen.name,
        sha256=seen.sha256,
        kind=seen.kind,
        shape=tuple(int(n) for n in seen.picture.pixels.shape[:3]),
        gate=gate,
        sentence=image_sentence(gate, seen.number, several),
        spacing=None if seen.picture.spacing is None else tuple(
            round(float(s), 4) for s in seen.picture.spacing
        ),
        study_uid=seen.uid("StudyInstanceUID"),
        series_uid=seen.uid("SeriesInstanceUID"),
        instances=seen.instances,
        notes=tuple(seen.picture.notes),
    )  # fmt: skip
