"""How well the vectors of molecules stand for exact Tanimoto similarity.

    python benchmarks/molecules.py chebi20/validation.jsonl.gz

Of 300 molecules of the file: which of the ten nearest by exact Tanimoto (fragments of radius 2,
unfolded) are among the first ten and the first hundred by the inner product of their vectors.
"""

from __future__ import annotations

import argparse
import gzip
import json
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from mmtool.models.encoders.molecule import fragments, hashed

QUERIES, NEAREST, FIRST = 300, 10, (10, 100)


def main() -> None:
    """Print a share for each of `FIRST`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", type=Path, help="JSON lines with a column smiles, gzip")
    with gzip.open(parser.parse_args().file, "rt", encoding="utf-8") as lines:
        found = [fragments(json.loads(line)["smiles"]) for line in lines]
    vectors = np.stack([hashed(f) for f in found])
    chosen = np.random.default_rng(0).choice(len(found), QUERIES, replace=False)
    exact, near = tanimoto(found, chosen), vectors[chosen] @ vectors.T
    for own, row in enumerate(chosen):
        exact[own, row] = near[own, row] = -1
    least = np.sort(exact, axis=1)[:, -NEAREST]  # all that tie with the tenth count
    order = np.argsort(-near, axis=1, kind="stable")
    for first in FIRST:
        hits = np.take_along_axis(exact, order[:, :first], 1) >= least[:, None]
        wanted = np.minimum((exact >= least[:, None]).sum(1), first)
        print(f"{len(found)} molecules, first {first}: {(hits.sum(1) / wanted).mean():.3f}")


def tanimoto(found: list[NDArray[np.uint32]], chosen: NDArray[np.int64]) -> NDArray[np.float64]:
    """(Q, N) of the chosen molecules with all."""
    every, columns = np.unique(np.concatenate(found), return_inverse=True)
    rows = np.repeat(np.arange(len(found)), [len(f) for f in found])
    held = sparse.csr_matrix((np.ones(len(rows)), (rows, columns)), (len(found), len(every)))
    shared = (held[chosen] @ held.T).toarray()
    counts = np.array([len(f) for f in found])
    return np.asarray(shared / (counts[chosen, None] + counts - shared))


if __name__ == "__main__":
    main()
