"""``report.html``: the report as a page that runs no script and asks nobody for anything."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Iterator, Mapping
from html import escape
from importlib.resources import files
from pathlib import Path
from string import Template

from mmtool.io.atomic import replace_into
from mmtool.io.writers.key_image import Figure
from mmtool.io.writers.report_protein_lines import (
    HEAD,
    protein_facts,
    protein_line,
    relative_cells,
)
from mmtool.io.writers.report_text import GENERATED, banner, generated_lines, image_line
from mmtool.proteins import Protein
from mmtool.reports import Finding, Report, Support
from mmtool.studies import Contradicted

_CASES = "From the index {}. What their words say is no finding of this study."


def write_report_html(path: Path, report: Report, figures: Mapping[str, Figure]) -> None:
    """Write a report as a page.

    Every word that comes from outside is escaped, and the page's own policy forbids scripts and
    all requests.

    Args:
        path: Target.
        report: The report.
        figures: Pictures by ``image-N`` or by the id of the finding that they show.
    """
    page = Template(
        (files("mmtool.io") / "writers" / "report_page.html").read_text(encoding="utf-8")
    )
    text = page.substitute(
        banner=escape(banner(report)),
        body="\n".join(_proteins(report) if report.proteins else _sections(report, figures)),
        footer=_footer(report),
    )
    with replace_into(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def _sections(report: Report, figures: Mapping[str, Figure]) -> Iterator[str]:
    if report.study.indication:
        yield _section("Indication", f"<p>{escape(report.study.indication)}</p>")
    yield _section("Impression", _list(escape(s) for s in report.impression))
    kinds = _list(escape(i.sentence) for i in report.study.images if i.sentence)
    told = _list((_finding(f, figures) for f in report.findings), ids=report.findings)
    yield _section("Findings", kinds + (told if report.findings else "<p>None told.</p>"))
    shown = "".join(_figure(name, figure, report) for name, figure in figures.items())
    yield _section("Images", f'<div class="figures">{shown}</div>' + _images(report))
    words = generated_lines(report)
    if words:
        left = [c for image in report.study.images for c in image.contradicted]
        yield _section(GENERATED, _list([*map(escape, words), *map(_contradicted, left)]))
    if report.comparison is not None:
        changes = [c.sentence for c in report.comparison.changes]
        lines = _list(escape(s) for s in (*changes, *report.comparison.notes))
        yield _section(f"Compared with {report.comparison.prior}", lines)
    if report.answers:
        rows = ((a.question, a.answer, a.reason) for a in report.answers)
        yield _section("Answers", _table(("question", "answer", "why"), rows))
    if report.checks:
        yield _section("The given report", _checks(report))
    if report.explanations:
        yield _section("What the answers hang on", _explanations(report))
    if report.similar:
        cases = _list(_case(s) for s in report.similar)
        source = f"<p class='facts'>{escape(_CASES.format(report.provenance.index))}</p>"
        yield _section("Similar cases", source + cases)
    yield _section("How this was made", _list(escape(s) for s in report.provenance.statements))


def _proteins(report: Report) -> Iterator[str]:
    """One section for each protein that was given."""
    yield _section("Impression", _list(escape(s) for s in report.impression))
    for protein in report.proteins:
        yield _section(protein.name, _protein(protein))
    yield _section("How this was made", _list(escape(s) for s in report.provenance.statements))


def _protein(protein: Protein) -> str:
    """What is said of it, and its relatives."""
    said = f"<p>{escape(protein_line(protein))}</p>"
    facts = [protein_facts(protein), *protein.notes]
    said += f"<p class='facts'>{'<br>'.join(escape(f) for f in facts)}</p>"
    if not protein.relatives:
        return said
    return said + _table(HEAD, (relative_cells(r) for r in protein.relatives))


def _section(title: str, body: str) -> str:
    return f"<section><h2>{escape(title)}</h2>\n{body}</section>"


def _list(entries: Iterable[str], ids: Iterable[Finding] = ()) -> str:
    names = [f' id="{escape(f.id)}"' for f in ids]
    lines = [
        f"<li{names[i] if i < len(names) else ''}>{entry}</li>" for i, entry in enumerate(entries)
    ]
    return f"<ul>{''.join(lines)}</ul>"


def _finding(finding: Finding, figures: Mapping[str, Figure]) -> str:
    """A sentence, how sure it is, and links to what it rests on."""
    facts: list[str] = [finding.presence]
    if finding.probability is not None:
        facts.append(f"probability {finding.probability:.2f}")
    if finding.uncertainty is not None:
        facts.append(f"uncertainty {finding.uncertainty:.2f}")
    if finding.code is not None:
        facts.append(f"{finding.code.scheme} {finding.code.value}")
    facts.append(f"by {finding.by}")
    links = []
    if finding.id in figures:
        links.append(_link(f"figure-{finding.id}", "show"))
    links += [
        _link(f"figure-image-{e.image}", f"image {e.image}")
        for e in finding.evidence[:1]
        if f"image-{e.image}" in figures
    ]
    quotes = "".join(f"<blockquote>{_case(s)}</blockquote>" for s in finding.support)
    said = escape(finding.sentence)
    return f'{said} <span class="facts">{escape("; ".join(facts))} {" ".join(links)}</span>{quotes}'


def _link(target: str, words: str) -> str:
    return f'<a href="#{escape(target)}">{escape(words)}</a>'


def _figure(name: str, figure: Figure, report: Report) -> str:
    data = base64.b64encode(figure.png).decode("ascii")
    back = ""
    if any(f.id == name for f in report.findings):
        back = f" {_link(name, 'sentence')}"
    caption = escape(figure.caption)
    return (
        f'<figure id="figure-{escape(name)}">'
        f'<img alt="{caption}" src="data:image/png;base64,{data}">'
        f"<figcaption>{caption}{back}</figcaption></figure>"
    )


def _images(report: Report) -> str:
    lines = []
    for image in report.study.images:
        notes = "".join(f"<br>{escape(s)}" for s in (*image.gate.reasons, *image.notes))
        lines.append(f"{escape(image_line(image))}<span class='facts'>{notes}</span>")
    return _list(lines)


def _checks(report: Report) -> str:
    known = {f.id for f in report.findings}
    rows = []
    for check in report.checks:
        link = f" {_link(check.finding, 'finding')}" if check.finding in known else ""
        verdict = f'<span class="tag">{escape(check.verdict)}</span>'
        about = escape(check.about)
        rows.append((escape(check.sentence), about, verdict, escape(check.reason) + link))
    return _rows(("sentence", "what it states", "", "why"), rows)


def _contradicted(left: Contradicted) -> str:
    """A generated sentence that is left out, struck, and why."""
    why = escape(f"{left.about}: {left.reason}")
    tag = '<span class="tag">contradicted</span>'
    return f'<del>{escape(left.sentence)}</del> {tag} <span class="facts">{why}</span>'


def _explanations(report: Report) -> str:
    """Each map with its deletion test."""
    shares = [f"{d.share:.0%}" for d in report.explanations[0].deletion]
    rows = [
        (
            f"{escape(e.answer)} ({escape(e.about)})",
            f"{escape(e.method)} {_link(f'figure-{Path(e.path).stem}', 'show')}",
            *(f"{d.hot:.2f} / {d.random:.2f}" for d in e.deletion),
        )
        for e in report.explanations
    ]
    note = (
        "Log odds that the answer loses without the hottest part of the picture / without a "
        "random part of that size. A map is worth something where the first is larger."
    )
    table = _rows(("answer", "map", *shares), rows)
    return f"<p class='facts'>{note}</p>{table}"


def _case(support: Support) -> str:
    """A case by where it comes from, how alike it is and its words."""
    words = f": “{escape(support.quote)}”" if support.quote else ""
    source = f"SHA-256 {support.sha256[:12]}" if support.sha256 else ""
    facts = "; ".join(filter(None, (f"likeness {support.score:.2f}", source)))
    return f'{escape(support.id)} <span class="facts">{escape(facts)}</span>{words}'


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    return _rows(head, [tuple(escape(cell) for cell in row) for row in rows])


def _rows(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    """A table of cells that are HTML already."""
    top = "".join(f"<th>{escape(h)}</th>" for h in head)
    body = "".join("<tr>" + "".join(f"<td>{c}</td>" for c in row) + "</tr>" for row in rows)
    return f"<table><tr>{top}</tr>{body}</table>"


def _footer(report: Report) -> str:
    made = report.provenance
    models = "; ".join(
        f"{m.task}/{m.name} {m.version} {m.weights_sha256[:12]}" for m in made.models
    )
    return escape(f"{made.tool} {made.tool_version}, {made.created}. Models: {models or 'none'}.")
