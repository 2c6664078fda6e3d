"""`mmtool tcr-bind` beside SCEPTR, tcrdist3 and simple baselines on publications held out.

    python benchmarks/tcr_bind.py --data FOLDER -o OUT [--sceptr PYTHON] [--tcrdist3 PYTHON]
        [--titan]

FOLDER holds train.tsv.gz (known binders with epitope, reference, source, is_10x) and
background_paired_cd8mem.tsv.gz (receptors in general, with donor). PYTHON is that of an environment
with the peer in it: `pip install torch==2.13.0 sceptr==1.2.0`, `pip install tcrdist3==0.3`.
`--titan` trains TITAN's network on the beta chains of the training rows with the recipe's defaults,
which takes half an hour; it goes on from the checkpoint in OUT.

Test: binders with both chains whose publication has a PubMed number from 35000000 on (2022 and
later). Training: all other publications, less every receptor of the test (and, of rows with one
chain, less that chain with the same epitope). Peptide pools and what only the 10x set saw are in
neither. Scored are epitopes with 5 paired binders or more on both sides. Negatives of an epitope
are (a) the test's other receptors, (b) receptors of two donors; the other donors are the background
that a model may use. At most 100 test binders an epitope and 500 controls are drawn, and the
nearest-neighbour methods see at most 1000 paired binders an epitope, all the same ones.

Scores of the peers are kept in OUT with a hash of what they were given, and are not computed again.
Prints Markdown for docs/benchmarks.md.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import json
import re
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from mmtool.models.tcr.chain_space import CHAINS, codes_of, make_space
from mmtool.models.tcr.density import squared_distances
from mmtool.pipelines.binding_knn import LevenshteinKnn
from mmtool.pipelines.binding_model import BindingModel
from mmtool.pipelines.evaluation.binding_logistic import fit_logistic
from mmtool.pipelines.evaluation.binding_measures import (
    MEASURES,
    Estimate,
    Replicates,
    less,
    macro,
    macro_of_rows,
    resample,
)
from mmtool.pipelines.training.tcr_bind import train_binding
from mmtool.pipelines.training.tcr_data import (
    Controls,
    Split,
    donors_apart,
    hold_out,
    paired,
    publication,
    read_controls,
    read_known,
)
from mmtool.pipelines.training.tcr_fit import FitOptions, fit
from mmtool.pipelines.training.titan import train_titan, uncalibrated
from mmtool.pipelines.training.titan_pairs import TitanOptions, beta_only
from mmtool.receptors import Binder, Receptor

NEWEST = 35_000_000  # PubMed numbers from here on were given in 2022 and later
LOGISTIC = 2500  # receptors in general that the logistic regression takes for negatives
NEIGHBOURS = 1000  # binders of an epitope that nearest-neighbour methods compare with
TIMES = 1000  # replicates
FIELDS = ("v_a", "j_a", "cdr3_a", "v_b", "j_b", "cdr3_b")
PEERS = Path(__file__).parent / "peers"
OURS = "mmtool"

Matrix = NDArray[np.float64]


@dataclass(frozen=True)
class Task:
    """What every method is given.

    Attributes:
        split: Known binders of the training, and the epitopes.
        background: Receptors in general that a model may use.
        neighbours: Paired binders of the training, at most `NEIGHBOURS` of each epitope.
        asked: Q receptors to score against each epitope: test binders first, then controls.
        truth: (Q, E) whether it binds.
        controls: (Q,) whether it is a control.
    """

    split: Split
    background: Controls
    neighbours: tuple[Binder, ...]
    asked: tuple[Receptor, ...]
    truth: NDArray[np.bool_]
    controls: NDArray[np.bool_]


@dataclass(frozen=True)
class Answer:
    """(Q, E) scores, and the seconds that scoring took, loading and training left out."""

    scores: Matrix
    seconds: float


def new(binder: Binder) -> bool:
    """Whether its publication is held out."""
    number = re.fullmatch(r"PMID:\s*(\d+)", binder.reference)
    return number is not None and int(number.group(1)) >= NEWEST


def make_task(data: Path, positives: int, controls: int, seed: int) -> Task:
    """Read the tables and part them."""
    known = read_known(data / "train.tsv.gz")
    general = read_controls(data / "background_paired_cd8mem.tsv.gz")
    split = hold_out(known, frozenset(publication(b) for b in known if new(b)))
    background, apart = donors_apart(general)
    tested = {b.receptor for b in split.test}
    kept = [i for i, r in enumerate(background.receptors) if r not in tested]
    background = Controls(
        tuple(background.receptors[i] for i in kept), tuple(background.donors[i] for i in kept)
    )
    draw = np.random.default_rng(seed)
    some: list[Binder] = []
    near: list[Binder] = []
    for epitope in split.epitopes:
        some += _drawn([b for b in split.test if b.epitope == epitope], positives, draw)
        near += _drawn(
            [b for b in split.train if b.epitope == epitope and paired(b)], NEIGHBOURS, draw
        )
    binders = list(dict.fromkeys(b.receptor for b in some))
    binds = {(b.receptor, b.epitope) for b in split.test}
    free = [r for r in apart.receptors if r not in tested]
    others = [free[i] for i in draw.permutation(len(free))[:controls]]
    asked = [*binders, *others]
    truth = np.array([[(r, e) in binds for e in split.epitopes] for r in asked])
    marks = np.arange(len(asked)) >= len(binders)
    return Task(split, background, tuple(near), tuple(asked), truth, marks)


def _drawn(binders: Sequence[Binder], most: int, draw: np.random.Generator) -> list[Binder]:
    once = list({b.receptor: b for b in binders}.values())
    return [once[i] for i in sorted(draw.permutation(len(once))[:most])]


def default_models(task: Task, seed: int) -> tuple[BindingModel, BindingModel]:
    """What `mmtool train tcr-bind` makes of the training rows, with its own defaults.

    The second has the same settings and calibration, but only the binders that the
    nearest-neighbour methods compare with.
    """
    trained = train_binding(task.split.train, task.background, seed=seed, tell=print_err)
    fewer = fit(
        task.neighbours,
        task.background,
        trained.settings,
        FitOptions(seed=seed),
        trained.validation.calibration,
    )
    return trained.model, fewer


def print_err(line: str) -> None:
    """Progress."""
    print(line, file=sys.stderr, flush=True)


def by_model(task: Task, model: BindingModel) -> Answer:
    """Scores of one of our own models; of no evidence is 0."""
    model.score(task.asked[:2], task.split.epitopes)  # what is computed once for all rows
    began = time.perf_counter()
    scores = model.score(task.asked, task.split.epitopes).score
    return Answer(np.nan_to_num(scores.astype(np.float64)), time.perf_counter() - began)


def titan_model(task: Task, seed: int, out: Path) -> BindingModel:
    """TITAN's network as `mmtool train tcr-bind --recipe titan` makes it of the training rows."""
    how = TitanOptions(seed=seed)
    network = train_titan(
        task.split.train,
        how,
        device=torch.device("cpu"),
        checkpoint=out / "titan.pt",
        tell=print_err,
    )
    known = Counter(b.epitope for b in beta_only(task.split.train, how))
    return uncalibrated(network, how, known)


def logistic(task: Task, seed: int) -> Answer:
    """A logistic regression for each epitope, of the binders that the nearest neighbours see."""
    general = task.background.receptors
    drawn = np.random.default_rng(seed).permutation(len(general))[:LOGISTIC]
    model = fit_logistic(
        task.neighbours, [general[i] for i in drawn.tolist()], task.split.epitopes, seed
    )
    print_err(f"logistic regression: penalty {model.penalty:g}")
    began = time.perf_counter()
    return Answer(model.scores(task.asked), time.perf_counter() - began)


def nearest_tcrdist(task: Task) -> Answer:
    """Nearest binder by tcrdist's distance on fixed places, in our own matrix products."""
    once, thrice, never = ("cdr1", "cdr2", "cdr2.5"), ("middle", "join"), ("start", "end")
    weights = dict.fromkeys(once, 1.0) | dict.fromkeys(thrice, 3.0) | dict.fromkeys(never, 0.0)
    began = time.perf_counter()
    distance = torch.zeros(len(task.asked), len(task.neighbours))
    receptors = [b.receptor for b in task.neighbours]
    for chain in CHAINS:
        codes = codes_of(receptors, chain)
        space = make_space(codes[(codes >= 0).all(1)], weights, 1.0, 1000)
        asked = space.points(codes_of(task.asked, chain))
        distance += squared_distances(asked, space.points(codes))
    names = np.array([b.epitope for b in task.neighbours])
    scores = [-distance[:, names == e].min(1).values.numpy() for e in task.split.epitopes]
    return Answer(np.stack(scores, 1).astype(np.float64), time.perf_counter() - began)


def by_peer(task: Task, python: Path, name: str, out: Path) -> Answer:
    """Scores of a peer in its own environment, or those that were kept of the same input."""
    binders, asked = out / "binders.tsv", out / "receptors.tsv"
    _write(binders, [b.receptor for b in task.neighbours], [b.epitope for b in task.neighbours])
    _write(asked, task.asked)
    script = PEERS / f"nearest_{name}.py"
    given = hashlib.sha256()
    for file in (binders, asked, script):
        given.update(file.read_bytes())
    table, about = out / f"{name}.tsv", out / f"{name}.json"
    if not about.exists() or json.loads(about.read_text())["given"] != given.hexdigest():
        done = subprocess.run(
            [python, script, binders, asked, table], check=True, stdout=subprocess.PIPE, text=True
        )
        seconds = float(done.stdout.split()[-1])
        about.write_text(json.dumps({"given": given.hexdigest(), "seconds": seconds}))
    with table.open(newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    scores = np.array([[float(row[e]) for e in task.split.epitopes] for row in rows])
    return Answer(scores, json.loads(about.read_text())["seconds"])


def _write(path: Path, receptors: Sequence[Receptor], epitopes: Sequence[str] = ()) -> None:
    with path.open("w", newline="") as file:
        writer = csv.writer(file, delimiter="\t", lineterminator="\n")
        writer.writerow([*FIELDS, *(["epitope"] if epitopes else [])])
        for i, receptor in enumerate(receptors):
            writer.writerow([*(getattr(receptor, f) for f in FIELDS), *epitopes[i : i + 1]])


def measured(task: Task, answer: Answer, against: str, seed: int) -> list[dict[str, Replicates]]:
    """Measures of each epitope against one kind of negatives, on the same draws for all methods."""
    found = []
    for column in range(len(task.split.epitopes)):
        binds = task.truth[:, column]
        rows = binds | (task.controls if against == "controls" else ~task.controls)
        found.append(resample(answer.scores[rows, column], binds[rows], TIMES, seed=seed + column))
    return found


def report(task: Task, answers: Mapping[str, Answer], seed: int) -> None:
    """Print the tables."""
    pairs = task.truth.size
    binders = int((~task.controls).sum())
    print(
        f"{len(task.split.train)} training binders; {binders} test receptors, "
        f"{int(task.controls.sum())} controls, {len(task.split.epitopes)} epitopes, {pairs} pairs"
    )
    print("\n| method | AUC (a) | AUC0.1 (a) | AUC (b) | AUC0.1 (b) | pairs a second |")
    print("|---|---|---|---|---|---|")
    kinds = ("others", "controls")
    found = {n: {k: measured(task, a, k, seed) for k in kinds} for n, a in answers.items()}
    for name, answer in answers.items():
        cells = [
            _shown(macro([e[m] for e in found[name][k]], seed)) for k in kinds for m in MEASURES[:2]
        ]
        print(f"| {name} | {' | '.join(cells)} | {pairs / answer.seconds:.0f} |")
    print(f"\n| {OURS} less | measure | negatives | epitopes drawn | rows drawn |")
    print("|---|---|---|---|---|")
    for name in answers:
        for kind in kinds if name != OURS else ():
            for m in MEASURES[:2]:
                both = zip(found[name][kind], found[OURS][kind], strict=True)
                apart = [less(other[m], ours[m]) for other, ours in both]
                wide, narrow = macro(apart, seed), macro_of_rows(apart)
                print(f"| {name} | {m} | {kind} | {_shown(wide)} | {_shown(narrow)} |")


def _shown(value: Estimate) -> str:
    return f"{value.value:.3f} ({value.low:.3f} to {value.high:.3f})"


def main() -> None:
    """Run all methods on one task."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--sceptr", type=Path, help="python of an environment with SCEPTR")
    parser.add_argument("--tcrdist3", type=Path, help="python of an environment with tcrdist3")
    parser.add_argument("--titan", action="store_true", help="train and score TITAN's network")
    parser.add_argument("--positives", type=int, default=100, help="test binders of an epitope")
    parser.add_argument("--controls", type=int, default=500)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    options.output.mkdir(parents=True, exist_ok=True)
    task = make_task(options.data, options.positives, options.controls, options.seed)
    answers = {}
    for name in ("tcrdist3", "sceptr"):
        python = getattr(options, name)
        if python is not None:
            answers[name] = by_peer(task, python, name, options.output)
    answers["nearest by tcrdist, here"] = nearest_tcrdist(task)
    answers["logistic regression"] = logistic(task, options.seed)
    answers["Levenshtein k-NN"] = by_model(task, LevenshteinKnn({}, task.split.train))
    if options.titan:
        answers["TITAN's network"] = by_model(task, titan_model(task, options.seed, options.output))
    default, fewer = default_models(task, options.seed)
    answers["mmtool, the neighbours' binders"] = by_model(task, fewer)
    answers[OURS] = by_model(task, default)
    report(task, dict(reversed(answers.items())), options.seed)


if __name__ == "__main__":
    main()
