"""Descriptions of proteins by their neighbours, each protein left out of its own index.

    mmtool index PROTEINS... -o INDEX.mmidx
    python benchmarks/report_protein.py INDEX.mmidx [--n 300] [--seed 0]

Of a random sample of the described proteins, each is asked about without itself and without copies
of its letters. Half of the sample may be used to choose on; figures are of the other half. With
``--only WORD`` the sample holds proteins whose key begins so behind its file, such as ``sp``.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from mmtool.io.index import IndexReader
from mmtool.models.text.protein_names import described, says_something
from mmtool.pipelines.evaluation.report_metrics import exact_match, rouge_l, token_f1
from mmtool.pipelines.report_functions import disagree, function_of, short_id
from mmtool.pipelines.report_relatives import ProteinIndex, relatives_of
from mmtool.proteins import Relative
from mmtool.retrieval import Item

METRICS: dict[str, Callable[[str, str], float]] = {
    "ROUGE-L": rouge_l, "token F1": token_f1, "exact": lambda a, b: float(exact_match(a, b)),
}  # fmt: skip
_TIMES = 2_000


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("index", type=Path)
    parser.add_argument("--n", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", default="")
    asked = parser.parse_args()
    draw = np.random.default_rng(asked.seed)
    items = all_items(asked.index)
    named = [i for i in items if says_something(text_of(i))]
    may = [i for i in named if short_id(i.source.key).startswith(asked.only)]
    chosen = [may[k] for k in draw.permutation(len(may))[: asked.n]]
    texts = [text_of(i) for i in named]
    frequent = Counter(texts).most_common(1)[0][0]
    index = ProteinIndex(asked.index)
    rows = []
    near = index.near([i.source.content for i in chosen])
    for item, candidates in zip(chosen, near, strict=True):
        others = [c for c in candidates if c.source.content != item.source.content]
        said = answers(item, others)
        said["most frequent"] = frequent
        said["random"] = texts[int(draw.integers(len(texts)))]
        rows.append((text_of(item), said))
    half = len(rows) // 2
    print(f"{len(items)} proteins, {len(named)} described, {len(set(texts))} descriptions")
    for part, some in (("to choose on", rows[:half]), ("figures", rows[half:])):
        print(f"\n{part}: {len(some)}")
        show(some, draw)


def all_items(folder: Path) -> list[Item]:
    """The proteins of an index."""
    with IndexReader(folder) as reader:
        ids, _ = reader.vectors("protein")
        return reader.items(sorted(int(i) for i in ids if i))


def text_of(item: Item) -> str:
    """Description without the fields of a header."""
    return described(item.source.text).text


def answers(item: Item, others: Sequence[Item]) -> dict[str, str]:
    """What each way says; "" where it is silent."""
    relatives, _ = relatives_of(item.source.content, "", others)
    said = function_of("it", relatives)
    told = [r for r in relatives if says_something(r.text)]
    far = next((text_of(o) for o in others if says_something(text_of(o))), "")
    borne = "told, others agree"
    if said.agreement is None:
        borne = "told, no other"
    elif disagree(said.agreement):
        borne = "told, others disagree"
    return {
        "report: nearest above the twilight zone": said.text,
        "middle of those above it": middle([r for r in told if r.counts]),
        "nearest by alignment, never silent": told[0].text if told else "",
        "nearest by triples, never silent": far,
        borne: said.text,
    }


def middle(relatives: Sequence[Relative]) -> str:
    """The description most like those of the others, weighted by bits."""
    best, most = "", -1.0
    for one in relatives:
        likeness = sum(o.bits * token_f1(one.text, o.text) for o in relatives)
        if likeness > most:
            best, most = one.text, likeness
    return best


def show(rows: Sequence[tuple[str, dict[str, str]]], draw: np.random.Generator) -> None:
    """A line for each way: share told, scores of what is told, and over all with silence as 0."""
    names = list(dict.fromkeys(name for _, said in rows for name in said))
    print("\t".join(["way", "n", "told", *METRICS, *(f"{m}, all" for m in METRICS)]))
    for name in sorted(names):
        pairs = [(said[name], truth) for truth, said in rows if name in said]
        told = [bool(words) for words, _ in pairs]
        cells = [name, str(len(pairs)), f"{np.mean(told):.3f}"]
        scored = [np.array([m(a, b) for a, b in pairs]) for m in METRICS.values()]
        cells += [interval(s[np.array(told)], draw) for s in scored]
        cells += [interval(s, draw) for s in scored]
        print("\t".join(cells))


def interval(values: np.ndarray, draw: np.random.Generator) -> str:
    """Mean with a bootstrap interval of 95 % over proteins."""
    if not len(values):
        return "-"
    means = values[draw.integers(len(values), size=(_TIMES, len(values)))].mean(1)
    low, high = np.percentile(means, (2.5, 97.5))
    return f"{values.mean():.3f} ({low:.3f} to {high:.3f})"


if __name__ == "__main__":
    main()
