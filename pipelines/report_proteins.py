"""``mmtool report`` of a FASTA file: what the nearest proteins of an index are said to do."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from mmtool import __version__
from mmtool.errors import InputError, UsageError
from mmtool.io.limits import Limits
from mmtool.io.readers.protein_records import ProteinRecord, is_protein_file, read_proteins
from mmtool.io.writers.report_html import write_report_html
from mmtool.io.writers.report_json import write_report_json
from mmtool.io.writers.report_text import write_report_text
from mmtool.pipelines.report_functions import disagree, function_of
from mmtool.pipelines.report_relatives import ProteinIndex, relatives_of
from mmtool.pipelines.report_views import FORMATS
from mmtool.pipelines.samplesheet import BatchItem
from mmtool.pipelines.task import ItemResult, input_sha256
from mmtool.proteins import Protein
from mmtool.reports import ModelUsed, Provenance, Report
from mmtool.studies import Study

_WRITTEN = ("json", "txt", "html")
_SHOWN = 10  # relatives of each protein
_STATEMENTS = (
    "Made by software from the sequences alone; no function was measured.",
    "What is said of a protein's function are the words of the relative that is nearest by local "
    "alignment, where it lies above the twilight zone. Relatives may differ in function, and "
    "descriptions of an index may be wrong.",
)


@dataclass
class ProteinTask:
    """The work of ``mmtool report`` on FASTA files, for the batch runner.

    Attributes:
        index: Where relatives are looked for.
        formats: Views that are wanted; None for all that there are of proteins.
        limits: Bounds of the readers.
    """

    index: ProteinIndex
    formats: tuple[str, ...] | None = None
    limits: Limits = field(default_factory=Limits)
    command: str = "report"

    def __post_init__(self) -> None:
        """Refuse views that there are not.

        Raises:
            UsageError: One of them is asked for by name.
        """
        asked = () if self.formats in (None, FORMATS) else self.formats or ()
        if no := [name for name in asked if name not in _WRITTEN]:
            raise UsageError(
                f"--format {','.join(no)}: not for proteins", f"there is {', '.join(_WRITTEN)}"
            )

    def load(self) -> Mapping[str, Any]:
        """Say what looks for relatives."""
        encoder = self.index.encoder
        return {"model": encoder.name, "weights_sha256": encoder.sha256, "use": "any",
                "device": "cpu"}  # fmt: skip

    def fingerprint(self, item: BatchItem) -> str:
        """Hash over the file, the index and the options."""
        known = {
            "inputs": [self._hash(path) for path in item.inputs],
            "index": self.index.state(),
            "formats": self.formats,
            "encoder": self.index.encoder.sha256,
            "version": __version__,
        }
        return hashlib.sha256(json.dumps(known, sort_keys=True).encode()).hexdigest()

    def _hash(self, path: Path) -> str:
        return input_sha256(path, "give a FASTA file")

    def run_item(self, item: BatchItem, out: Path) -> ItemResult:
        """Report the proteins of one file into the folder ``out``."""
        (path,) = item.inputs
        report = self.report(path)
        wanted = self.formats or _WRITTEN
        write_report_json(out / "report.json", report)
        if "txt" in wanted:
            write_report_text(out / "report.txt", report)
        if "html" in wanted:
            write_report_html(out / "report.html", report, {})
        told = [p for p in report.proteins if p.told]
        summary = {
            "proteins": len(report.proteins),
            "told": len(told),
            "disagreeing": sum(disagree(p.agreement) for p in told),
            "abstained": report.abstained,
            "notes": list(dict.fromkeys(n for p in report.proteins for n in p.notes)),
        }
        return ItemResult(summary=summary, inputs_sha256={str(path): self._hash(path)})

    def report(self, path: Path) -> Report:
        """The report of one file.

        Raises:
            InputError: It can't be read, or has no protein.
        """
        if not is_protein_file(path):
            raise InputError(f"{path}: no FASTA by its name", "images are another run")
        proteins = self._proteins(read_proteins(path, self.limits))
        encoder = self.index.encoder
        return Report(
            study=Study(()),
            findings=(),
            impression=_impression(proteins, self.index.name),
            provenance=Provenance(
                "mmtool", __version__, datetime.now(UTC).isoformat(timespec="seconds"),
                (ModelUsed("retrieve", encoder.name, encoder.sha256, "any"),),
                self.index.name, _STATEMENTS,
            ),
            abstained=not any(p.told for p in proteins),
            proteins=tuple(proteins),
        )  # fmt: skip

    def _proteins(self, records: Sequence[ProteinRecord]) -> list[Protein]:
        names = Counter(r.name for r in records)
        near = iter(self.index.near([r.letters for r in records if r.letters]))
        out = []
        for record in records:
            notes = []
            if names[record.name] > 1:
                notes.append(
                    f"the name {record.name} stands {names[record.name]} times; the proteins are "
                    "told apart by their numbers"
                )
            if record.reason:
                out.append(_silent(record, notes))
                continue
            relatives, unaligned = relatives_of(record.letters, record.words, next(near))
            if unaligned:
                notes.append(f"{record.name}: {unaligned} candidates were too long to be aligned")
            said = function_of(record.name, relatives)
            out.append(
                Protein(
                    record.number, record.name, record.words, record.length,
                    hashlib.sha256(record.letters.encode()).hexdigest(), bool(said.text),
                    said.text, said.source, said.sentence, said.agreement,
                    tuple(relatives[:_SHOWN]), said.reasons, tuple(notes),
                )
            )  # fmt: skip
        return out


def _silent(record: ProteinRecord, notes: Sequence[str]) -> Protein:
    """A record that can't be read."""
    return Protein(
        record.number, record.name, record.words, record.length, "", False,
        reasons=(record.reason,), notes=tuple(notes),
    )  # fmt: skip


def _impression(proteins: Sequence[Protein], index: str) -> tuple[str, ...]:
    told = [p for p in proteins if p.told]
    out = [
        f"Of {len(told)} of {len(proteins)} proteins a function is told, by relatives in {index}; "
        "of the others nothing is known here."
        if len(told) < len(proteins)
        else f"A function is told of {len(told)} proteins, by relatives in {index}."
    ]
    doubtful = [p.name for p in told if disagree(p.agreement)]
    if doubtful:
        out.append(f"Relatives disagree on {', '.join(doubtful[:_SHOWN])}.")
    return tuple(out)
