"""Nearest binder by tcrdist3 (https://doi.org/10.7554/eLife.68605).

    VENV/bin/python benchmarks/peers/nearest_tcrdist3.py BINDERS.tsv RECEPTORS.tsv OUT.tsv

In an environment of its own with tcrdist3 0.3. Input, output and stdout as in nearest_sceptr.py.
tcrdist3 can't compare receptors whose V gene it doesn't know: such binders are left out, and such
receptors get the score of the farthest one.
"""

from __future__ import annotations

import sys
import time

import numpy as np
import pandas
from tcrdist.repertoire import TCRrep

_LOOPS = ["cdr1_a_aa", "cdr2_a_aa", "pmhc_a_aa", "cdr1_b_aa", "cdr2_b_aa", "pmhc_b_aa"]


def _table(frame: pandas.DataFrame) -> TCRrep:
    columns = {}
    for chain in "ab":
        for gene in "vj":
            names = frame[f"{gene}_{chain}"]
            columns[f"{gene}_{chain}_gene"] = [n if "*" in n else f"{n}*01" for n in names]
        columns[f"cdr3_{chain}_aa"] = frame[f"cdr3_{chain}"].tolist()
    cells = pandas.DataFrame(columns | {"count": 1, "row": range(len(frame))})
    return TCRrep(
        cell_df=cells,
        organism="human",
        chains=["alpha", "beta"],
        deduplicate=False,
        compute_distances=False,
    )


def _compared(known: TCRrep, asked: TCRrep) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rows of both that have all loops, and the distances between them."""
    left = asked.clone_df.dropna(subset=_LOOPS).reset_index(drop=True)
    right = known.clone_df.dropna(subset=_LOOPS).reset_index(drop=True)
    asked.compute_rect_distances(df=left, df2=right)
    distance = asked.rw_alpha.astype(float) + asked.rw_beta.astype(float)
    return left["row"].to_numpy(), right["row"].to_numpy(), distance


def main() -> None:
    """Read, compare, write."""
    binders_file, receptors_file, out = sys.argv[1:]
    binders = pandas.read_csv(binders_file, sep="\t", dtype=str, keep_default_na=False)
    receptors = pandas.read_csv(receptors_file, sep="\t", dtype=str, keep_default_na=False)
    _compared(_table(binders.head(5)), _table(receptors.head(5)))  # compiles
    began = time.perf_counter()
    rows, known, distance = _compared(_table(binders), _table(receptors))
    names = binders["epitope"].to_numpy()[known]
    found = {}
    for epitope in sorted(set(binders["epitope"])):
        scores = np.full(len(receptors), -distance.max())
        if (names == epitope).any():
            scores[rows] = -distance[:, names == epitope].min(1)
        found[epitope] = scores
    seconds = time.perf_counter() - began
    pandas.DataFrame(found).to_csv(out, sep="\t", index=False)
    missing = f"{len(binders) - len(known)} binders, {len(receptors) - len(rows)} receptors"
    print(f"left out: {missing}", file=sys.stderr)
    print(seconds)


if __name__ == "__main__":
    main()
