"""Intervals and missing blocks of ``mmtool survive`` on simulated cohorts whose truth is known.

Usage: python benchmarks/survive_missing.py [SEEDS]

Prints for each seed: the share of true survival probabilities inside the 95 % intervals and their
mean width; and Harrell's C on new patients when RNA is there, when half lack it at random, and when
it is missing not at random in training (of half of those who died early) and the other way round in
the new patients (of half of those who lived long), after 10.48550/arXiv.2309.14118.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np

from mmtool.models.survival.stack import Stack, StackLearner
from mmtool.models.survival.statistics.concordance import harrell
from mmtool.survival import Cohort

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "support"))
from survive_cohorts import simulated

TRAIN, TIMES = 250, np.array([5.0, 20.0])


def lacking(cohort: Cohort, rows: np.ndarray) -> Cohort:
    """The cohort without RNA of some patients."""
    block = cohort.blocks["rnaseq"]
    values, present = block.values.copy(), block.present.copy()
    values[rows], present[rows] = np.nan, False
    blocks = {**cohort.blocks, "rnaseq": replace(block, values=values, present=present)}
    return replace(cohort, blocks=blocks)


def score(model: Stack, cohort: Cohort) -> float:
    """Harrell's C."""
    outcome = cohort.known_outcome()
    return harrell(outcome.time, outcome.event, model.predict(cohort).risk)


def main() -> None:
    """Run."""
    print("seed\tinside\twidth\tC\tC, half at random\tC, MNAR complete\tC, MNAR flipped")
    for seed in range(int(sys.argv[1]) if len(sys.argv) > 1 else 5):
        cohort, risk = simulated(TRAIN + 200, seed=seed)
        rng = np.random.default_rng(seed)
        train, new = cohort.subset(range(TRAIN)), cohort.subset(range(TRAIN, TRAIN + 200))
        model = StackLearner().fit(train, 0)
        low, high = model.intervals(new, TIMES)
        truth = np.exp(-np.exp(risk[TRAIN:])[:, None] * TIMES / 20)
        inside = float(np.mean((low <= truth) & (truth <= high)))
        known, seen = train.known_outcome(), new.known_outcome()
        early = np.flatnonzero(known.event & (known.time < np.median(known.time)))
        late = np.flatnonzero(seen.time > np.median(seen.time))
        drawn = rng.random(TRAIN) < 0.5
        biased = StackLearner().fit(lacking(train, early[drawn[early]]), 0)
        half = rng.random(200) < 0.5
        figures = (
            inside,
            float((high - low).mean()),
            score(model, new),
            score(model, lacking(new, np.flatnonzero(half))),
            score(biased, new),
            score(biased, lacking(new, late[half[late]])),
        )
        print(seed, *(f"{f:.3f}" for f in figures), sep="\t", flush=True)


if __name__ == "__main__":
    main()
