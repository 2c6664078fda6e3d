"""Figures of the encoder of molecules and descriptions, by folds, beside floors of the same folds.

    python benchmarks/retrieve_molecules.py --data vision_language -o runs/molecules [--card DIR]

Five folds of ChEBI-20's validation part; each is the gallery once, for what was learned from the
other four. Whether passes of contrast help is chosen for each fold on a fifth of its training part;
floors choose their penalties there, too. Three seeds. Ranks are kept in the output folder, so a run
that was stopped goes on. ``--card`` writes the figures into the card of a model's folder.
"""

from __future__ import annotations

import argparse
import copy
import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from mmtool.models.encoders.molecule_text import (
    MoleculeTextNet,
    molecule_vectors,
    text_vectors,
)
from mmtool.pipelines.evaluation.retrieve_measures import interval
from mmtool.pipelines.evaluation.retrieve_molecules import (
    DIRECTIONS,
    RIDGE_WORDS,
    MoleculeFloors,
    both_ranks,
    chance,
    measures,
)
from mmtool.pipelines.training.molecules_data import MoleculeTexts, molecule_texts
from mmtool.pipelines.training.molecules_fit import MoleculeFit, Pairs, contrast, fitted, restarted

FOLDS, SEEDS, PASSES = 5, 3, (3,)
# What in a description tells the structure: the compound it stems from, or parts of a name.
RELATED = re.compile(
    r"derives from|conjugate (?:acid|base)|enantiomer of|tautomer of|obtained by|resulting from|"
    r"consisting of|functional parent|that is |substituted|replaced|carrying"
)
NAME = re.compile(
    r"\d.*-|-\d|\(\d|[a-z]{2}yl\b|oxy|amino|azol|(?:ate|[aei]ne|one|ol)\b|oside|oyl|acid|hydr|"
    r"meth|phosph|sulf|chlor|bromo|fluor|keto|glyc",
    re.I,
)
OURS, ALONE = "molecule-text", "directions alone"
Ranks = dict[str, dict[str, list[float]]]  # by method and direction


def main() -> None:
    """Measure the folds that are not measured yet, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--output", "-o", type=Path, required=True)
    parser.add_argument("--card", type=Path)
    parser.add_argument("--folds", type=int, default=FOLDS, help="only the first so many of five")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    asked.output.mkdir(parents=True, exist_ok=True)
    read = molecule_texts(asked.data)
    print("descriptions that tell of relatives or parts:", share_told(read.texts))
    words = [word for text in read.texts for word in text.split()]
    print(
        "words with a locant or a part of a name:", np.mean([bool(NAME.search(w)) for w in words])
    )
    floors = MoleculeFloors(read.smiles, read.texts)
    order = np.random.default_rng(0).permutation(len(read.texts))
    folds = [np.sort(order[fold::FOLDS]) for fold in range(asked.folds)]
    for fold, test in enumerate(folds):  # what is quick first
        kept(asked.output / f"floors-{fold}.json", lambda t=test: of_floors(read, floors, t))
    for fold, test in enumerate(folds):
        kept(asked.output / f"learned-{fold}.json", lambda t=test: of_network(read, t))
    found = []
    for fold in range(len(folds)):
        both = [
            json.loads((asked.output / f"{name}-{fold}.json").read_text(encoding="utf-8"))
            for name in ("floors", "learned")
        ]
        found.append({"ranks": both[0] | both[1]["ranks"], "tried": both[1]["tried"]})
    rows = table(found)
    for row in rows:
        print("\t".join(str(value) for value in row.values()))
    print("mean MRR on inner splits by passes:", [one["tried"] for one in found])
    if asked.card is not None:
        write_card(asked.card, rows, len(folds))


def share_told(texts: list[str]) -> float:
    """Share of descriptions that name a related compound, or what the molecule is made of."""
    return float(np.mean([bool(RELATED.search(text)) for text in texts]))


def kept(path: Path, make: Callable[[], dict[str, Any]]) -> None:
    """Make what a file shall hold, where it isn't there yet."""
    if not path.exists():
        path.write_text(json.dumps(make()), encoding="utf-8")


def parted(count: int, test: NDArray[np.int64]) -> tuple[NDArray[np.int64], ...]:
    """Training rows of a fold, and the same in four fifths to learn from and one to choose on."""
    train = np.setdiff1d(np.arange(count), test)
    mixed = np.random.default_rng(1).permutation(train)
    return train, np.sort(mixed[len(mixed) // 5 :]), np.sort(mixed[: len(mixed) // 5])


def of_floors(read: MoleculeTexts, floors: MoleculeFloors, test: NDArray[np.int64]) -> Ranks:
    """Ranks of one fold by each floor."""
    train, learned, left = parted(len(read.texts), test)
    scores = floors.scores(train, (learned, left), test)
    return {name: _named(both_ranks(s, read.pairs.texts[test])) for name, s in scores.items()}


def of_network(read: MoleculeTexts, test: NDArray[np.int64]) -> dict[str, Any]:
    """Ranks of one fold by the directions alone and by each seed, and what was tried for it."""
    train, *inner = parted(len(read.texts), test)
    tried = passes_tried(read.pairs.some(inner[0]), read.pairs.some(inner[1]))
    passes = max(tried, key=lambda p: tried[p])
    learned, asked = read.pairs.some(train), read.pairs.some(test)
    start = fitted(learned, MoleculeFit())
    ranks: Ranks = {ALONE: _named(ranks_of(start, asked, graphs=False))}
    for seed in range(SEEDS):
        net = restarted(start, seed)
        contrast(net, learned, MoleculeFit(epochs=passes, seed=seed), lambda *_: None)
        ranks[f"{OURS} {seed}"] = _named(ranks_of(net, asked, graphs=passes > 0))
    return {"ranks": ranks, "tried": tried}


def passes_tried(learned: Pairs, left: Pairs) -> dict[int, float]:
    """Mean MRR of both directions on what is left, by passes; 0 is the directions alone."""
    start = fitted(learned, MoleculeFit())
    tried = {0: _mrr(ranks_of(start, left, graphs=False))}
    for passes in PASSES:
        net = restarted(start, 0)
        contrast(net, learned, MoleculeFit(epochs=passes), lambda *_: None)
        tried[passes] = _mrr(ranks_of(net, left))
    return tried


def _mrr(ranks: NDArray[np.float64]) -> float:
    return float(np.mean([measures(row)["MRR"] for row in ranks]))


def ranks_of(net: MoleculeTextNet, pairs: Pairs, graphs: bool = True) -> NDArray[np.float64]:
    """(2, N) of a gallery; without graphs, by the fitted directions alone."""
    net = copy.deepcopy(net).eval()
    if not graphs:
        net.size = replace(net.size, layers=0)
    with torch.inference_mode():
        seen, words = molecule_vectors(net, pairs.molecules), text_vectors(net, pairs.bags)
    return both_ranks((seen @ words.T).astype(np.float64), pairs.texts)


def _named(ranks: NDArray[np.float64]) -> dict[str, list[float]]:
    return {name: row.tolist() for name, row in zip(DIRECTIONS, ranks, strict=True)}


def table(found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """One row a method, direction and measure: value, interval over molecules, sd over seeds."""
    rows = []
    names = [n for n in found[0]["ranks"] if not n.startswith(OURS + " ")]
    sizes = [len(one["ranks"][names[0]][DIRECTIONS[0]]) for one in found]
    for direction in DIRECTIONS:
        low = [chance(size) for size in sizes]
        for measure in low[0]:
            value = np.average([c[measure] for c in low], weights=sizes)
            rows.append(_row("chance", direction, measure, (value, value, value), 0.0, sum(sizes)))
        for name in [*names, OURS]:
            seeds = [f"{OURS} {k}" for k in range(SEEDS)] if name == OURS else [name]
            every = np.array(
                [[r for one in found for r in one["ranks"][s][direction]] for s in seeds]
            ).T
            for measure in low[0]:
                each = [measures(column)[measure] for column in every.T]
                cases = [str(k) for k in range(len(every))]
                bounds = interval(every, cases, 0, lambda v, m=measure: _mean(v, m))
                spread = float(np.std(each, ddof=1)) if len(each) > 1 else 0.0
                rows.append(_row(name, direction, measure, bounds, spread, len(every)))
    return rows


def _mean(ranks: NDArray[np.float64], measure: str) -> float:
    return float(np.mean([measures(column)[measure] for column in ranks.T]))


def _row(
    name: str,
    direction: str,
    measure: str,
    bounds: tuple[float, float, float],
    spread: float,
    count: int,
) -> dict[str, Any]:
    numbers = dict(zip(("value", "low", "high"), (round(float(b), 2) for b in bounds), strict=True))
    known = {"method": name, "direction": direction, "measure": measure}
    return known | numbers | {"sd of seeds": round(spread, 2), "n": count}


def write_card(folder: Path, rows: list[dict[str, Any]], folds: int) -> None:
    """Put the figures into a model's card, the strongest floor beside each."""
    floors = {
        (r["direction"], r["measure"]): r["value"] for r in rows if r["method"] == RIDGE_WORDS
    }
    path = folder / "card.json"
    card = json.loads(path.read_text(encoding="utf-8"))
    card["metrics"] = [
        {
            "name": f"{r['measure']}, {r['direction']}",
            **{key: r[key] for key in ("value", "low", "high", "n")},
            "set": f"{folds} of {FOLDS} folds, galleries of {r['n'] // folds}; "
            f"mean of {SEEDS} seeds, sd {r['sd of seeds']}",
            "baseline": {
                "name": "ridge from fragments to TF-IDF",
                "value": floors[r["direction"], r["measure"]],
            },
        }
        for r in rows
        if r["method"] == OURS
    ]
    path.write_text(json.dumps(card, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
