"""What reading and writing cost in ``mmtool tcr-bind``: a large table, a model that idles.

python benchmarks/tcr_bind_io.py --rows 1000000
"""

from __future__ import annotations

import argparse
import random
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from mmtool.io.readers.epitopes import Epitope
from mmtool.pipelines.devices import peak_memory_mb
from mmtool.pipelines.receptor_rows import ReceptorTable
from mmtool.pipelines.tcr_bind_result import BindingRun
from mmtool.receptors import AMINO_ACIDS, Binder, BindingScores, Receptor

_GENES = ("TRBV19*01", "TRBV6-2", "TCRBV06-05*01", "TRBV20-1", "TRBV29-1*01")


class Idle:
    """A model that answers at once."""

    epitopes = ("GILGFVFTL",)
    binders = (Binder(Receptor(v_b="TRBV19", cdr3_b="CASSIRSSYEQYF"), "GILGFVFTL"),)
    few = 1
    unseen_skill = None
    purpose = "nothing"

    def known(self, epitope: str) -> int:
        """One."""
        return len(epitope) > 0

    def score(self, receptors: Sequence[Receptor], epitopes: Sequence[str]) -> BindingScores:
        """Zeros."""
        zeros = np.zeros((len(receptors), len(epitopes)), np.float32)
        return BindingScores(
            zeros, zeros, zeros, zeros.astype(np.int64), zeros, np.ones(len(epitopes), np.int64)
        )


def write_table(path: Path, rows: int) -> None:
    """An AIRR table with random junctions."""
    draw = random.Random(0)
    with path.open("w") as file:
        file.write("sequence_id\tv_call\tj_call\tjunction_aa\tproductive\tduplicate_count\tnote\n")
        for row in range(rows):
            middle = "".join(draw.choices(AMINO_ACIDS, k=7))
            file.write(f"s{row}\t{draw.choice(_GENES)}\tTRBJ2-7\tCASS{middle}EQYF\tT\t1\t{row}\n")


def main() -> None:
    """Print processor seconds and peak memory."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--gzip", action="store_true")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "table.tsv"
        write_table(path, asked.rows)
        before, begun = peak_memory_mb()["cpu"], time.process_time()
        table = ReceptorTable.open(path)
        opened = time.process_time()
        run = BindingRun(table, Idle(), [Epitope("GILGFVFTL")], evidence=0)  # type: ignore[arg-type]
        run.write(Path(folder), packed=asked.gzip)
        done = time.process_time()
    print(f"rows {asked.rows:,}: first reading {opened - begun:.1f} s, reading and writing")
    print(f"{done - opened:.1f} s of one core; peak {peak_memory_mb()['cpu']:.0f} MB,")
    print(f"{before:.0f} MB of it before the table was opened")


if __name__ == "__main__":
    main()
