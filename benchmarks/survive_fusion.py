"""The fusion networks of ``mmtool survive`` on the published five folds of TCGA cohorts.

Usage: python benchmarks/survive_fusion.py DATA OUT [COHORT...] [--only METHOD...] [--flip]

DATA is the folder with ``tcga``, ``clinical``, ``hif``, ``splits`` and ``signatures.csv``. Each
figure is kept in OUT and not computed again. Every network is fitted to a fold's training patients:
scales, components, intervals, the epoch it stops at. Two networks (seeds) are averaged. Prints
tables in Markdown: mean and standard deviation of Harrell's C over the held-out parts, and of the
inner C, of training patients that a network was stopped by but not fitted to.

With ``--flip``: an image that is missing not at random, after MultiModN (arXiv 2309.14118). It is
taken from a share p of the training patients who died early; of the held-out patients it is taken
from the same share of the others.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from survive import load, score
from survive_cohorts import FIVE

from mmtool.io.limits import Limits
from mmtool.io.readers.signatures import read_signatures
from mmtool.models.survival.fusion import multimodn
from mmtool.models.survival.network.hazard_net import HazardNet
from mmtool.models.survival.network.learner import NetworkLearner
from mmtool.models.survival.network.training import Recipe
from mmtool.models.survival.stack import StackLearner
from mmtool.models.survival.statistics.concordance import harrell
from mmtool.pipelines.training.survive_data import Fold
from mmtool.survival import Cohort, Learner

RECIPE = Recipe(members=2)
METHODS: tuple[str, ...] = (
    *("concat", "concat + IEMF", "late", "snn", "abmil", "multimodn", "mcat", "motcat", "cmta"),
    *("itcfn", "lego-merge", "lego-fuse"),
)
INPUTS = {
    "omics + image": ("omics", "image"),
    "omics + image + clinical": ("omics", "image", "clinical"),
    "clinical": ("clinical",),
}
# MCAT's stored results on the same folds, recomputed: the last epoch, no stage and no grade.
PUBLISHED = {
    "SNN": (".541 ± .016", ".466 ± .058", ".598 ± .054", ".539 ± .069", ".493 ± .096"),
    "AttnMIL": (".536 ± .038", ".564 ± .050", ".787 ± .028", ".559 ± .060", ".625 ± .057"),
    "AttnMIL + omics": (".605 ± .045", ".551 ± .077", ".816 ± .011", ".563 ± .050", ".614 ± .052"),
    "MCAT": (".624 ± .034", ".580 ± .069", ".817 ± .021", ".620 ± .032", ".622 ± .019"),
}
PLAIN = ", loss as published"  # multimodn, whoever has a modality counting once
SHARES = (0.0, 0.4, 0.8)
FLIPPED = ("multimodn", "multimodn" + PLAIN, "concat", "late", "stack")
KINDS = ("complete", "flipped")
Figures = dict[str, list[float]]


def network_learner(
    method: str, signatures: Mapping[str, frozenset[str]], recipe: Recipe
) -> NetworkLearner:
    """The learner of a row."""
    name, _, rule = method.removesuffix(PLAIN).partition(" + ")
    return NetworkLearner(name, signatures, replace(recipe, iemf=bool(rule)))


def measure(
    cohort: Cohort, folds: Sequence[Fold], method: str, signatures: Mapping[str, frozenset[str]]
) -> Figures:
    """C of each fold's held-out patients, inner C, seconds."""
    out: Figures = {"c": [], "inner": [], "seconds": []}
    for fold in folds:
        begun = time.process_time()
        train = cohort.subset(fold.train)
        model = network_learner(method, signatures, RECIPE).fit(train, 0)
        out["seconds"].append(time.process_time() - begun)
        unseen = replace(cohort.subset(fold.held_out), outcome=None)
        out["c"].append(score(cohort, fold, model.risk(unseen)))
        held = model.held_out
        known = np.flatnonzero(~np.isnan(held))
        own = train.known_outcome().subset(known)
        out["inner"].append(harrell(own.time, own.event, held[known]))
    return out


def skipped(method: str, inputs: str, cohort: Cohort) -> bool:
    """Whether a row would be empty or that of another."""
    if inputs == "clinical":
        return method != "snn"
    if method == "abmil":
        return inputs != "omics + image" or "image" not in {b.kind for b in cohort.blocks.values()}
    return False


def compute(
    data: Path, out: Path, name: str, methods: Sequence[str], inputs_asked: Sequence[str]
) -> None:
    """Rows of a cohort that are not there yet."""
    signatures = read_signatures(data / "signatures.csv", Limits())
    cohort, folds = load(data, name, out / "tables")
    for inputs in inputs_asked:
        chosen = [b.name for b in cohort.blocks.values() if b.kind in INPUTS[inputs]]
        for method in methods:
            kept = out / f"{name} {inputs} {method}.json"
            if kept.exists() or skipped(method, inputs, cohort):
                continue
            found = measure(cohort.with_blocks(chosen), folds, method, signatures)
            kept.write_text(json.dumps(found))
            print(
                kept.stem,
                *(f"{k} {np.mean(v):.3f}" for k, v in found.items()),
                file=sys.stderr,
                flush=True,
            )


@contextmanager
def published_loss() -> Iterator[None]:
    """Meanwhile the loss of multimodn is the mean over the states that a patient went through."""
    kept = multimodn.as_if_present, multimodn.Network.finish
    multimodn.as_if_present = lambda _label, _event, there: (
        there * there.shape[1] / there.sum(dim=1, keepdim=True)
    )
    multimodn.Network.finish = HazardNet.finish  # type: ignore[method-assign]
    try:
        yield
    finally:
        multimodn.as_if_present, multimodn.Network.finish = kept  # type: ignore[method-assign]


def without_image(cohort: Cohort, rows: np.ndarray) -> Cohort:
    """The cohort, the image taken from the patients of ``rows`` (P,) bool."""
    block = cohort.blocks["hif"]
    values, present = block.values.copy(), block.present & ~rows
    values[rows] = np.nan
    image = replace(block, values=values, present=present)
    return replace(cohort, blocks={**cohort.blocks, "hif": image})


def flip(data: Path, out: Path, name: str, methods: Sequence[str]) -> None:
    """C against the share of early deaths without image in training, of two kinds of patients."""
    signatures = read_signatures(data / "signatures.csv", Limits())
    whole, folds = load(data, name, out / "tables")
    tables = [b.name for b in whole.blocks.values() if b.kind != "clinical"]
    cohort = whole.with_blocks(tables)
    imaged = cohort.blocks["hif"].present
    outcome = cohort.known_outcome()
    early = outcome.event & (outcome.time < np.median(outcome.time[outcome.event]))
    for method in methods:
        kept = out / f"flip {name} {method}.json"
        if kept.exists():
            continue
        made: Learner = StackLearner()
        if method != "stack":
            made = network_learner(method, signatures, replace(RECIPE, absent=0.0))
        found: dict[str, Figures] = {}
        for share in SHARES:
            figures = found.setdefault(str(share), {"complete": [], "flipped": []})
            for k, fold in enumerate(folds):
                gone = np.random.default_rng(k).random(len(cohort)) < share
                train = without_image(cohort, gone & early).subset(fold.train[imaged[fold.train]])
                with published_loss() if method.endswith(PLAIN) else nullcontext():
                    model = made.fit(train, 0)
                held = Fold(fold.name, fold.train, fold.held_out[imaged[fold.held_out]])
                for kind, rows in {"complete": gone & False, "flipped": gone & ~early}.items():
                    unseen = without_image(cohort, rows).subset(held.held_out)
                    risk = model.predict(replace(unseen, outcome=None)).risk
                    figures[kind].append(score(cohort, held, risk))
        kept.write_text(json.dumps(found))
        means = {p: {k: round(np.mean(v), 3) for k, v in f.items()} for p, f in found.items()}
        print(kept.stem, means, file=sys.stderr, flush=True)


def show_flip(out: Path, names: Sequence[str]) -> None:
    """Print the table from what is kept."""
    print("| cohort | model |", " | ".join(f"{p}, {k}" for p in SHARES for k in KINDS), "|")
    print("| --- | --- |" + " --- |" * (len(SHARES) * len(KINDS)))
    for name in names:
        for method in FLIPPED:
            kept = out / f"flip {name} {method}.json"
            if kept.exists():
                found = json.loads(kept.read_text())
                cells = [cell(found[str(p)][k]) for p in SHARES for k in KINDS]
                print(f"| {name.upper()} | {method} |", " | ".join(cells), "|")


def cell(values: Sequence[float], digits: int = 3) -> str:
    """Mean and spread."""
    return f"{np.mean(values):.{digits}f} ± {np.std(values):.{digits}f}"


def show(out: Path, names: Sequence[str]) -> None:
    """Print the tables from what is kept."""
    for inputs in INPUTS:
        print(f"\n### {inputs}\n\n| network |", " | ".join(n.upper() for n in names), "| CPU s |")
        print("| --- |" + " --- |" * (len(names) + 1))
        for method in METHODS:
            files = [out / f"{name} {inputs} {method}.json" for name in names]
            rows = [json.loads(f.read_text()) if f.exists() else None for f in files]
            if any(rows):
                cells = [f"{cell(r['c'])} ({np.mean(r['inner']):.3f})" if r else "" for r in rows]
                seconds = np.mean([s for r in rows if r for s in r["seconds"]])
                print(f"| {method} |", " | ".join(cells), f"| {seconds:.1f} |")
        if inputs == "omics + image":
            for method, figures in PUBLISHED.items():
                known = dict(zip(FIVE, figures, strict=True))
                print(f"| {method}, published |", " | ".join(known[n] for n in names), "| |")


def main() -> None:
    """Run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("cohorts", nargs="*", default=FIVE)
    parser.add_argument("--only", nargs="+", choices=(*METHODS, *FLIPPED), default=METHODS)
    parser.add_argument("--inputs", nargs="+", choices=INPUTS, default=tuple(INPUTS))
    parser.add_argument("--flip", action="store_true")
    parser.add_argument("--show", action="store_true", help="print what is kept, compute nothing")
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    for name in () if given.show else given.cohorts:
        if given.flip:
            flip(given.data, given.out, name, given.only)
        else:
            compute(given.data, given.out, name, given.only, given.inputs)
    if given.flip:
        show_flip(given.out, given.cohorts)
    else:
        show(given.out, given.cohorts)


if __name__ == "__main__":
    main()
