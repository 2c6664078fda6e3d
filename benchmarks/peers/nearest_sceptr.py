"""Nearest binder by SCEPTR's distance (https://doi.org/10.1016/j.cels.2024.12.006).

    VENV/bin/python benchmarks/peers/nearest_sceptr.py BINDERS.tsv RECEPTORS.tsv OUT.tsv

In an environment of its own with sceptr 1.2.0. Both tables have v_a, j_a, cdr3_a, v_b, j_b, cdr3_b;
the first has a column epitope too. Writes a column for each epitope and a row for each receptor:
the distance to the nearest binder, negated. The last line of stdout is the seconds it took,
without loading.
"""

from __future__ import annotations

import sys
import time

import numpy as np
import pandas
import sceptr
import tidytcells

_NAMES = {
    "v_a": "TRAV",
    "cdr3_a": "CDR3A",
    "j_a": "TRAJ",
    "v_b": "TRBV",
    "cdr3_b": "CDR3B",
    "j_b": "TRBJ",
}


def _gene(name: str | None) -> str | None:
    """What SCEPTR knows: functional genes only."""
    if not name:
        return None
    return tidytcells.tr.standardize(name, enforce_functional=True, log_failures=False)


def _table(frame: pandas.DataFrame) -> pandas.DataFrame:
    columns = {}
    for ours, theirs in _NAMES.items():
        cells = frame[ours].tolist()
        columns[theirs] = [c or None for c in cells] if "cdr3" in ours else list(map(_gene, cells))
    return pandas.DataFrame(columns, dtype=object)


def main() -> None:
    """Read, compare, write."""
    binders_file, receptors_file, out = sys.argv[1:]
    binders = pandas.read_csv(binders_file, sep="\t", dtype=str, keep_default_na=False)
    receptors = pandas.read_csv(receptors_file, sep="\t", dtype=str, keep_default_na=False)
    known, asked = _table(binders), _table(receptors)
    sceptr.calc_vector_representations(known.head(2))  # loads the weights
    began = time.perf_counter()
    ours = sceptr.calc_vector_representations(asked)
    theirs = sceptr.calc_vector_representations(known)
    cosine = ours @ theirs.T
    lengths = (ours**2).sum(1)[:, None] + (theirs**2).sum(1)[None]
    distance = np.sqrt(np.maximum(lengths - 2 * cosine, 0))
    found = {
        epitope: -distance[:, rows].min(1)
        for epitope, rows in binders.groupby("epitope", sort=True).indices.items()
    }
    seconds = time.perf_counter() - began
    pandas.DataFrame(found).to_csv(out, sep="\t", index=False)
    print(seconds)


if __name__ == "__main__":
    main()
