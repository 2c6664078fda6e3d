"""``hits.html``: what a query found, as a gallery that runs no script and asks nobody."""

from __future__ import annotations

import base64
import re
from collections.abc import Collection, Iterator
from html import escape
from importlib.resources import files
from pathlib import Path
from string import Template
from urllib.parse import quote

from mmtool.io.atomic import replace_into
from mmtool.io.writers.hits import from_folder
from mmtool.io.writers.molecule_drawing import molecule_svg
from mmtool.retrieval import FACTS, Answer, Box, Hit

VOLUMES = "volumes.html"  # the page beside it
_SHORT = 220  # letters of an item's words that are shown at once
_LETTERS = 240  # of a protein
_DRAWN = 200  # letters of a SMILES beyond which a drawing shows nothing
_SCORES = {
    "bm25": "words {:.1f}",
    "late": "parts {:.2f}",
}


def write_hits_html(path: Path, answer: Answer, home: Path, volumes: Collection[int] = ()) -> None:
    """Write the gallery: thumbnails, reasons, the words of each item with the query's marked.

    Every word that comes from outside is escaped, and the page's own policy forbids scripts and
    all requests.

    Args:
        path: Target.
        answer: The answer.
        home: Folder that the page will lie in; its links to the files count from there.
        volumes: Ranks of the hits that the page of volumes beside it shows.
    """
    page = Template((files("mmtool.io") / "writers" / "hits_page.html").read_text(encoding="utf-8"))
    hits = "\n".join(_hit(hit, home, paged=hit.rank in volumes) for hit in answer.hits)
    text = page.substitute(
        title=f"{len(answer.hits)} hits",
        query="\n".join(_query(answer)),
        hits=f'<ol class="hits">{hits}</ol>' if hits else "<p>Nothing was found.</p>",
        footer=_footer(answer),
    )
    with replace_into(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def _query(answer: Answer) -> Iterator[str]:
    if answer.thumbnail:
        yield f'<div class="picture">{_image(answer.thumbnail, "the query")}</div>'
    elif answer.content and answer.kind == "molecule":
        yield f'<div class="picture drawn">{_drawing(answer.content)}</div>'
    yield '<div class="asked"><h1>What was asked</h1>'
    yield f"<blockquote>{escape(answer.query)}</blockquote>"
    if answer.kind == "protein":
        yield f'<p class="letters">{escape(answer.content[:_LETTERS])}</p>'
    lines = []
    if answer.left_out:
        lines.append(f"left out: {', '.join(answer.left_out)}")
    lines += [f"{name}: {value}" for name, value in answer.facts.items()]
    if answer.condition:
        lines.append(f"only: {answer.condition}")
    lines += answer.notes
    yield f'<p class="facts soft">{"<br>".join(escape(line) for line in lines)}</p></div>'


def _hit(hit: Hit, folder: Path, *, paged: bool) -> str:
    source = hit.item.source
    facts = " · ".join(
        [source.kind, *(source.facts[name] for name in FACTS if source.facts.get(name))]
    )
    link = quote(from_folder(source.path, folder))
    tag = f' <span class="tag warn">{escape(_copy(hit))}</span>' if hit.copy else ""
    page = f'<a href="{VOLUMES}#hit-{hit.rank}">in three planes</a>' if paged else ""
    why = "".join(f"<li>{escape(reason)}</li>" for reason in hit.why)
    return (
        f'<li id="hit-{hit.rank}">{_shown(hit)}'
        f'<h2>{hit.rank}. <a href="{escape(link)}">{escape(_name(hit))}</a>{tag}</h2>'
        f'<div class="facts soft">{escape(facts)}</div>'
        f'<div class="facts">{escape(_scores(hit))}</div>{page}'
        f'<ul class="why">{why}</ul>{_words(hit)}</li>'
    )


def _copy(hit: Hit) -> str:
    return {"same bytes": "the query itself"}.get(hit.copy, "copy?")


def _name(hit: Hit) -> str:
    _, mark, behind = hit.item.source.key.partition("#")
    name = Path(hit.item.source.path).name
    return f"{name} {behind}" if mark else name


def _scores(hit: Hit) -> str:
    told = [f"score {hit.score:.4f}"]
    if hit.similarity is not None:
        told.append(f"one case in {hit.similarity:.0%} of such pairs")
    told += [form.format(hit.scores[name]) for name, form in _SCORES.items() if name in hit.scores]
    return "; ".join(told)


def _shown(hit: Hit) -> str:
    source = hit.item.source
    if hit.item.thumbnail:
        return f'<div class="picture">{_image(hit.item.thumbnail, _name(hit), hit.region)}</div>'
    if source.kind == "molecule":
        return f'<div class="picture drawn">{_drawing(source.content)}</div>'
    if source.kind == "protein":
        return f'<p class="letters">{escape(source.content[:_LETTERS])}</p>'
    return ""


def _image(jpeg: bytes, words: str, region: Box | None = None) -> str:
    data = base64.b64encode(jpeg).decode("ascii")
    box = ""
    if region is not None:
        left, top, wide, high = (100 * share for share in region)
        box = (
            f'<span class="region" style="left:{left:.1f}%;top:{top:.1f}%;'
            f'width:{wide:.1f}%;height:{high:.1f}%"></span>'
        )
    image = f'<img alt="{escape(words)}" src="data:image/jpeg;base64,{data}">'
    return f'<span class="frame">{image}{box}</span>'


def _drawing(smiles: str) -> str:
    svg = molecule_svg(smiles) if len(smiles) <= _DRAWN else None
    if svg is None:
        return f'<p class="letters">{escape(smiles[:_LETTERS])}</p>'
    data = base64.b64encode(svg.encode()).decode("ascii")
    image = f'<img alt="{escape(smiles)}" src="data:image/svg+xml;base64,{data}">'
    return f'<span class="frame">{image}</span>'


def _words(hit: Hit) -> str:
    text = " ".join(hit.item.source.text.split())
    if not text:
        return ""
    if len(text) <= _SHORT:
        return f'<div class="facts">{_marked(text, hit.matched)}</div>'
    summary = _marked(text[:_SHORT].rpartition(" ")[0] or text[:_SHORT], hit.matched)
    return f"<details><summary>{summary} …</summary>{_marked(text, hit.matched)}</details>"


def _marked(text: str, words: tuple[str, ...]) -> str:
    """Escaped text with the words of the query marked."""
    if not words:
        return escape(text)
    pattern = re.compile(
        r"\b(" + "|".join(re.escape(w) for w in sorted(words, key=len, reverse=True)) + r")\w*",
        re.IGNORECASE,
    )
    out, at = [], 0
    for match in pattern.finditer(text):
        out += [escape(text[at : match.start()]), f"<mark>{escape(match[0])}</mark>"]
        at = match.end()
    return "".join([*out, escape(text[at:])])


def _footer(answer: Answer) -> str:
    encoders = answer.index.get("encoders")
    named = []
    if isinstance(encoders, dict):
        named = [f"{n} by {e['encoder']} {e['sha256'][:12]}" for n, e in encoders.items()]
    told = f"Index {answer.index.get('name')}, {answer.index.get('items')} items. "
    return escape(told + "; ".join(named))
