"""``report.txt``: the report as people read it."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from pathlib import Path

from mmtool.io.atomic import replace_into
from mmtool.io.writers.report_protein_lines import (
    PROTEINS,
    protein_facts,
    protein_line,
    relative_lines,
)
from mmtool.reports import Explanation, Report
from mmtool.studies import Gate, Said, StudyImage

_WIDTH = 88
GENERATED = "Generated text (rests on no evidence, no finding, may be wrong)"
PRELIMINARY = "PRELIMINARY REPORT, made by software. A clinician must read the images."


def write_report_text(path: Path, report: Report) -> None:
    """Write a report as plain text with headings.

    Args:
        path: Target.
        report: The report.
    """
    with replace_into(path) as temporary:
        temporary.write_text(report_text(report), encoding="utf-8")


def report_text(report: Report) -> str:
    """The report as plain text."""
    sections = _of_proteins(report) if report.proteins else _sections(report)
    blocks = [banner(report), *(f"{head}\n{body}" for head, body in sections)]
    return "\n\n".join(blocks) + "\n"


def _sections(report: Report) -> Iterator[tuple[str, str]]:
    if report.study.indication:
        yield "INDICATION:", _paragraph(report.study.indication)
    yield "IMAGES:", _lines(image_line(image) for image in report.study.images)
    told = [*(i.sentence for i in report.study.images), *(f.sentence for f in report.findings)]
    yield "FINDINGS:", _lines(s for s in told if s) or "  None told."
    yield "IMPRESSION:", _lines(report.impression)
    words = generated_lines(report)
    if words:
        yield f"{GENERATED.upper()}:", _lines(words)
    if report.comparison is not None:
        told = [c.sentence for c in report.comparison.changes]
        yield (
            f"COMPARISON ({_one_line(report.comparison.prior)}):",
            _lines([*told, *report.comparison.notes]),
        )
    if report.answers:
        answers = [f"{a.question} -> {a.answer.rstrip('.')} ({a.reason})" for a in report.answers]
        yield "ANSWERS:", _lines(answers)
    if report.checks:
        checks = [
            f"[{c.verdict}] {c.sentence} ({f'{c.about}: ' if c.about else ''}{c.reason})"
            for c in report.checks
        ]
        yield "THE GIVEN REPORT:", _lines(checks)
    if report.explanations:
        yield (
            "WHAT THE ANSWERS HANG ON:",
            _lines([explanation_line(e) for e in report.explanations]),
        )
    if report.similar:
        cases = [f'{s.score:.2f} {s.id}: "{s.quote}"' for s in report.similar]
        yield (
            f"SIMILAR CASES ({_one_line(report.provenance.index)}):",
            _lines(cases),
        )
    yield "HOW THIS WAS MADE:", _lines(report.provenance.statements)


def banner(report: Report) -> str:
    """What stands above all else."""
    return PROTEINS if report.proteins else PRELIMINARY


def _of_proteins(report: Report) -> Iterator[tuple[str, str]]:
    yield "IMPRESSION:", _lines(report.impression)
    for protein in report.proteins:
        lines = [protein_facts(protein), protein_line(protein), *protein.notes]
        yield f"{_one_line(protein.name)}:", _lines([*lines, *relative_lines(protein)])
    yield "HOW THIS WAS MADE:", _lines(report.provenance.statements)


def image_line(image: StudyImage) -> str:
    """What is said of one image, in one line."""
    size = " x ".join(str(n) for n in image.shape)
    return f"{image.name}: {gate_words(image.gate)}; {image.kind} of {size}"


def generated_lines(report: Report) -> list[str]:
    """What a generator wrote, a line for each image; what is contradicted is only counted."""
    lines = []
    for image in report.study.images:
        words = [f"“{image.generated}”"] if image.generated else []
        if image.contradicted:
            words.append(f"({len(image.contradicted)} contradicted and left out)")
        if words:
            lines.append(f"Image {image.number}: {' '.join(words)}")
    return lines


def explanation_line(explanation: Explanation) -> str:
    """A map and its deletion test, in one line."""
    e = explanation
    drops = ", ".join(f"{d.share:.0%}: {d.hot:.2f} / {d.random:.2f}" for d in e.deletion)
    return (
        f"Image {e.image}, {e.about} '{e.answer}', {e.method}: {e.path}. Log odds lost without "
        f"the hottest fields / without random ones: {drops}."
    )


def gate_words(gate: Gate) -> str:
    """The gate in words: ``MR, axial, head (by the model, 0.98)``."""
    named = (
        ("", gate.modality),
        ("", gate.plane),
        ("", gate.region),
        ("", gate.sequence),
        ("contrast: ", gate.contrast),
    )
    parts = [_said(head, said) for head, said in named if said.value]
    if not gate.known:
        return "; ".join([", ".join(parts) or "kind not known", "outside what the models know"])
    return ", ".join(parts)


def _said(head: str, said: Said) -> str:
    sure = "" if said.probability is None else f" ({said.probability:.2f})"
    return f"{head}{said.value}{sure}"


def _lines(sentences: Iterator[str] | Sequence[str]) -> str:
    return "\n".join(_paragraph(s) for s in sentences)


def _paragraph(text: str) -> str:
    return textwrap.fill(_one_line(text), _WIDTH, initial_indent="  ", subsequent_indent="    ")


def _one_line(text: str) -> str:
    """No line breaks and no control characters: a text can't make up a section."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())
