"""Fit and measure the critic of label maps on maps that were spoiled on purpose.

    python benchmarks/critic.py --maps MAPS --hippocampus FOLDER --left-atrium FOLDER [--write]

References (volumes, places) and weights come from training cases; every fourth brain map and every
case i of the others with i % 5 == 4 is held out. Brain maps get a drawn scan (no real one belongs
to them); the others have their real scan. A pair is a map and a spoiled one, or two spoiled ones;
the better one has the higher mean Dice with the truth, by 0.02 at least. ``--write`` replaces
pipelines/critic_reference.py. Prints Markdown for docs/benchmarks.md.
"""

from __future__ import annotations

import argparse
import pprint
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise, product
from pathlib import Path
from typing import Any

import numpy as np
from brain import table
from numpy.typing import NDArray
from scipy import ndimage, optimize

from mmtool.anatomy import BRAIN_LABELS
from mmtool.io.readers import read_volume
from mmtool.pipelines.critic_rules import (
    RULES,
    Reference,
    intensity_scores,
    measure_shapes,
    score_shapes,
)
from mmtool.pipelines.evaluation.brain import CONTRASTS, sided_labels
from mmtool.pipelines.evaluation.label_maps import find_cases, read_label_map
from mmtool.pipelines.evaluation.overlap import dice_per_label
from mmtool.pipelines.training.brain import SIZE, load_codes
from mmtool.pipelines.training.brain_options import split_maps
from mmtool.pipelines.training.synthesis import synthesise

Labels = NDArray[np.uint8]
DRAWS = 2  # scans of a label map
KEPT_GAP, LEAST_GAP = 0.002, 0.02  # of Dice, between the maps of a pair: made, and counted
TARGET = Path(__file__).parents[1] / "pipelines/critic_reference.py"
HEAD = '''"""What training cases say of structures, and the fitted weights of the critic's rules.

Written by benchmarks/critic.py; don't edit by hand. Only means and deviations over cases:
brain from 12 label maps of SynthSeg (github.com/BBillot/SynthSeg, Apache-2.0), hippocampus from
167 cases of the Medical Segmentation Decathlon, left atrium from 64 of the 2018 challenge.
"""

from __future__ import annotations

from mmtool.pipelines.critic_rules import Reference

'''
NAMES = {
    "hippocampus": {1: "anterior hippocampus", 2: "posterior hippocampus"},
    "left-atrium": {1: "left atrium"},
    "brain": {label.index: label.name for label in BRAIN_LABELS},
}


@dataclass
class Case:
    """A scan with its true labels."""

    kind: str
    data: NDArray[Any]
    labels: Labels
    affine: NDArray[np.float64]


def brain_cases(paths: Sequence[Path], draws: int, seed: int) -> Iterator[Case]:
    """T1-like and other scans drawn from label maps."""
    affine = np.diag([2.0, 2.0, 2.0, 1.0])
    for number, path in enumerate(paths):
        for draw in range(draws):
            rng = np.random.default_rng([seed, number, draw])
            options = CONTRASTS["T1-like" if draw % 2 == 0 else "random"]
            sample = synthesise(load_codes(path), SIZE, options, rng)[0]
            yield Case("brain", sample.image.numpy(), sided_labels(sample), affine)


def crop_cases(kind: str, images: Path, labels: Path, held: bool, most: int) -> Iterator[Case]:
    """Real scans with their labels."""
    scans, maps = find_cases(images, images=True), find_cases(labels)
    chosen = [c for i, c in enumerate(maps) if (i % 5 == 4) == held and c in scans]
    for case in chosen[:most]:
        volume = read_volume(scans[case])
        mask = read_label_map(maps[case]).labels.astype(np.uint8)
        yield Case(kind, volume.data, mask, volume.affine)


def reference_of(cases: Sequence[Case], names: dict[int, str]) -> dict[int, Reference]:
    """Means and deviations over cases."""
    shapes = [measure_shapes(c.labels, c.affine) for c in cases]
    centres = [np.mean([s[i].centre_mm for i in names if i in s], axis=0) for s in shapes]
    out = {}
    for index, name in names.items():
        own = [(s[index], c) for s, c in zip(shapes, centres, strict=True) if index in s]
        logs = [np.log(s.ml) for s, _ in own]
        off = np.array([s.centre_mm - c for s, c in own])
        loose = float(np.quantile([s.loose for s, _ in own], 0.95))
        mean, sd = off.mean(0).round(2).tolist(), off.std(0).round(2).tolist()
        size = (round(float(np.mean(logs)), 4), round(float(np.std(logs)), 4))
        out[index] = Reference(name, size, tuple(mean), tuple(sd), round(loose, 4))
    return out


def drop_slices(m: Labels, rng: np.random.Generator) -> Labels:
    out = m.copy()
    slices = np.moveaxis(out, int(rng.integers(3)), 0)  # a view
    filled = np.flatnonzero(slices.any((1, 2)))
    at = int(rng.choice(filled[1:-2])) if len(filled) > 3 else int(filled[0])
    slices[at : at + int(rng.integers(1, 3))] = 0
    return out


def mirror(m: Labels, rng: np.random.Generator) -> Labels:
    return m[::-1].copy() if rng.random() < 0.7 else m[:, ::-1].copy()


def swap(m: Labels, rng: np.random.Generator) -> Labels:
    """Two labels change places: a left one and its right twin if there are any."""
    held = np.unique(m)[1:]
    names = NAMES["brain"]
    one, two = (int(v) for v in rng.choice(held, 2, replace=False)) if len(held) > 1 else (1, 0)
    if len(held) > 5 and rng.random() < 0.7:
        one = int(rng.choice([i for i in held if names[int(i)].startswith("left")]))
        twin = f"right {names[one].removeprefix('left ')}"
        two = next(i for i, n in names.items() if n == twin)
    table_ = np.arange(256, dtype=np.uint8)
    table_[one], table_[two] = two, one
    table_[0] = 0
    return table_[m]


def erode(m: Labels, rng: np.random.Generator) -> Labels:
    times = int(rng.integers(1, 3))
    return np.where(ndimage.grey_erosion(m > 0, size=1 + 2 * times), m, 0).astype(np.uint8)


def dilate(m: Labels, rng: np.random.Generator) -> Labels:
    grown = ndimage.grey_dilation(m, size=1 + 2 * int(rng.integers(1, 3)))
    return np.where(m > 0, m, grown)


def shift(m: Labels, rng: np.random.Generator) -> Labels:
    by = rng.integers(-4, 5, 3)
    return ndimage.shift(m, by if by.any() else (3, 0, 0), order=0)


def islands(m: Labels, rng: np.random.Generator) -> Labels:
    out = m.copy()
    for _ in range(int(rng.integers(1, 5))):
        at, size = [int(rng.integers(n)) for n in m.shape], int(rng.integers(2, 6))
        out[tuple(slice(a, a + size) for a in at)] = rng.choice(np.unique(m)[1:])
    return out


def lose(m: Labels, rng: np.random.Generator) -> Labels:
    """A structure is missing, or half of what there is."""
    held = np.unique(m)[1:]
    if len(held) > 1:
        return np.where(np.isin(m, rng.choice(held, max(1, len(held) // 6))), 0, m).astype(np.uint8)
    middle = int(np.argwhere(m)[:, 1].mean())
    out = m.copy()
    out[:, :middle] = 0
    return out


SPOILERS: dict[str, Callable[[Labels, np.random.Generator], Labels]] = {
    "slices dropped": drop_slices,
    "mirrored": mirror,
    "labels swapped": swap,
    "eroded": erode,
    "dilated": dilate,
    "shifted": shift,
    "islands": islands,
    "parts lost": lose,
}


@dataclass
class Pair:
    """Scores of two maps of a case; A is the better one."""

    kind: str
    case: int
    what: str
    gap: float  # mean Dice of A less that of B
    change: NDArray[np.float64]  # rules: score of A less score of B
    pieces: int  # pieces of B less those of A
    voxels: int  # voxels of A less those of B


def pairs_of(
    case: Case, number: int, reference: dict[int, Reference], rng: np.random.Generator
) -> Iterator[Pair]:
    """The true map against each spoiled one, and each spoiled one against the next."""
    kinds = (
        list(SPOILERS)
        if len(np.unique(case.labels)) > 2
        else [k for k in SPOILERS if k != "labels swapped"]
    )
    spoiled = {kind: SPOILERS[kind](case.labels, rng) for kind in kinds}
    maps = {"": case.labels, **spoiled}
    found = {k: measure_shapes(m, case.affine) for k, m in maps.items()}
    held = [i for i in np.unique(case.labels).tolist() if i]
    dice = {
        k: np.nanmean([*dice_per_label(case.labels, m, held).values()]) for k, m in maps.items()
    }
    order = list(rng.permutation(kinds))
    chosen = [("", k, k) for k in kinds]
    chosen += [(a, b, "two spoiled") for a, b in pairwise(order)]
    for one, two, what in chosen:
        gap = abs(dice[one] - dice[two])
        if gap < KEPT_GAP:
            continue
        good, bad = (one, two) if dice[one] > dice[two] else (two, one)
        fits = intensity_scores(case.data, [maps[good], maps[bad]])
        asked = set(found[good]) | set(found[bad])
        scores = [
            score_shapes(found[k], reference, asked, case.labels.shape, case.affine)
            | {"intensity": fit}
            for k, fit in zip((good, bad), fits, strict=True)
        ]
        change = np.array([scores[0][r] - scores[1][r] for r in RULES])
        counts = [sum(s.pieces for s in found[k].values()) for k in (good, bad)]
        sizes = [int((maps[k] > 0).sum()) for k in (good, bad)]
        yield Pair(case.kind, number, what, gap, change, counts[1] - counts[0], sizes[0] - sizes[1])


def fit(pairs: Sequence[Pair], least: float = 0.0) -> NDArray[np.float64]:
    """Logistic regression without intercept, no weight below ``least``; sets count alike."""
    x = np.array([p.change for p in pairs])
    kinds = [p.kind for p in pairs]
    w = np.array([1 / kinds.count(k) for k in kinds])

    def loss(weights: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        z = x @ weights
        value = float((w * np.logaddexp(0, -z)).sum() + 1e-4 * (weights**2).sum())
        slope = -(w / (1 + np.exp(z))) @ x + 2e-4 * weights
        return value, slope

    start = np.ones(len(RULES))
    found = optimize.minimize(loss, start, jac=True, bounds=[(least, None)] * len(RULES))
    return np.asarray(found.x).round(2)


def refits(pairs: Sequence[Pair]) -> None:
    """Other ways to fit, on training cases alone: each fifth is judged by the fit of the others."""
    rows = []
    for gap, least in product((0.02, 0.005, 0.002), (0.0, 0.5, 1.0)):
        used = [p for p in pairs if p.gap >= gap]
        right: dict[str, list[float]] = {}
        for fold in range(5):
            weights = fit([p for p in used if p.case % 5 != fold], least)
            for p in pairs:
                if p.case % 5 == fold:
                    score = float(np.sign(p.change @ weights) + 1) / 2
                    if p.gap >= LEAST_GAP:
                        right.setdefault(p.kind, []).append(score)
                    if p.what == "islands":
                        right.setdefault(p.what, []).append(score)
        whole = float(fit(used, least)[RULES.index("whole")])
        shown = (float(np.mean(right[k])) for k in (*NAMES, "islands"))
        rows.append((str(gap), str(least), whole, *shown))
    table(("gap of Dice", "least weight", "weight of whole", *NAMES, "islands"), rows)


def report(pairs: Sequence[Pair], weights: NDArray[np.float64], margin: float) -> None:
    """Accuracy by kind of scan and of damage, beside two baselines (a tie counts half)."""
    groups: dict[tuple[str, str], list[Pair]] = {}
    for pair in pairs:
        for key in ((pair.kind, "all pairs"), (pair.kind, pair.what)):
            groups.setdefault(key, []).append(pair)
    rows = []
    for (kind, what), own in sorted(groups.items()):
        lead = np.array([p.change @ weights for p in own])
        sure = np.abs(lead) >= margin
        right = float((lead[sure] > 0).mean()) if sure.any() else float("nan")
        simple = [
            (np.sign([getattr(p, n) for p in own]) + 1).mean() / 2 for n in ("pieces", "voxels")
        ]
        forced = float(((np.sign(lead) + 1) / 2).mean())
        rows.append((kind, what, str(len(own)), forced, right, float(1 - sure.mean()), *simple))
    table(
        (
            *("scan", "damage", "pairs", "right, forced", "right, when sure", "unsure"),
            *("fewer pieces wins", "larger wins"),
        ),
        rows,
    )


def main() -> None:
    """Fit, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--maps", type=Path, required=True)
    parser.add_argument("--hippocampus", type=Path, required=True, help="holds images and labels")
    parser.add_argument("--left-atrium", type=Path, required=True)
    parser.add_argument("--write", action="store_true")
    args = parser.parse_args()
    kept, held = split_maps(args.maps, 4)
    hippocampus = (args.hippocampus / "images", args.hippocampus / "labels")
    atrium = (args.left_atrium, args.left_atrium)
    training = {
        "brain": list(brain_cases(kept, DRAWS, 21)),
        "hippocampus": list(crop_cases("hippocampus", *hippocampus, False, 999)),
        "left-atrium": list(crop_cases("left-atrium", *atrium, False, 999)),
    }
    references = {k: reference_of(cases, NAMES[k]) for k, cases in training.items()}
    rng = np.random.default_rng(5)
    most = {"brain": 24, "hippocampus": 80, "left-atrium": 24}
    made = [
        p
        for k, cs in training.items()
        for n, c in enumerate(cs[: most[k]])
        for p in pairs_of(c, n // DRAWS if k == "brain" else n, references[k], rng)
    ]
    refits(made)
    pairs = [p for p in made if p.gap >= LEAST_GAP]
    weights = fit(pairs)
    lead = np.array([p.change @ weights for p in pairs])
    # Unsure below the margin at which training pairs are right nine times of ten.
    margins = np.linspace(0, 3, 61)
    margin = float(next(m for m in margins if _band(lead, m) >= 0.9))
    print(dict(zip(RULES, weights.tolist(), strict=True)), "margin", margin)
    unseen = [
        *brain_cases(held, DRAWS, 22),
        *crop_cases("hippocampus", *hippocampus, True, 999),
        *crop_cases("left-atrium", *atrium, True, 999),
    ]
    found = [p for n, c in enumerate(unseen) for p in pairs_of(c, n, references[c.kind], rng)]
    report([p for p in found if p.gap >= LEAST_GAP], weights, margin)
    if args.write:
        write(references, weights, margin)


def _band(lead: NDArray[np.float64], margin: float) -> float:
    """Share of right answers among training pairs whose lead is just above a margin."""
    near = np.abs(lead)[(np.abs(lead) >= margin) & (np.abs(lead) < margin + 0.5)]
    right = lead[(np.abs(lead) >= margin) & (np.abs(lead) < margin + 0.5)] > 0
    return float(right.mean()) if len(near) else 1.0


def write(
    references: dict[str, dict[int, Reference]], weights: NDArray[np.float64], margin: float
) -> None:
    """Replace the module with what was fitted."""
    lines = [HEAD + "WEIGHTS = {"]
    lines += [f'    "{r}": {w},' for r, w in zip(RULES, weights.tolist(), strict=True)]
    lines += [
        "}",
        f"MARGIN = {round(margin, 3)}  # lead in the log odds below which it is unsure",
        "",
    ]
    lines += ["STRUCTURES: dict[str, dict[int, Reference]] = {"]
    for kind, own in references.items():
        lines.append(f'    "{kind}": {{')
        for index, r in own.items():
            values = pprint.pformat(tuple(asdict(r).values())[1:], width=300)
            lines.append(f'        {index}: Reference("{r.name}", {values[1:-1]}),')
        lines.append("    },")
    TARGET.write_text("\n".join([*lines, "}"]) + "\n")


if __name__ == "__main__":
    main()
