"""How fast an index answers, next to FAISS and numpy in the same run.

    OMP_NUM_THREADS=1 python benchmarks/retrieve_speed.py --sizes 10000 100000 1000000

Vectors of 128 numbers around 2,000 centres are written into an index as ``mmtool index`` does it,
without encoders. Then rounds of ten queries, one query at a time, go through each method in turn,
so that whatever else the machine does meets all of them; p10 is what it takes undisturbed. Needs
the extra ``ann``.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import faiss
import numpy as np
from numpy.typing import NDArray

from mmtool.io.index import IndexReader, IndexWriter, NewItem, Space
from mmtool.pipelines.indexing_approximate import refresh_lists
from mmtool.pipelines.neighbours import MEASURED, Neighbours, lists_path
from mmtool.retrieval import Source

DIM, CENTRES, K = 128, 2_000, 10
ROUNDS, A_ROUND = 30, 10
COMMIT = 20_000
COLUMNS = ("vectors", "method", "p10_ms", "p50_ms", "p95_ms", "recall_at_10")

Method = Callable[[NDArray[np.float32]], NDArray[np.int64]]


def main() -> None:
    """Print a table of each size."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=[10_000, 100_000])
    parser.add_argument("--folder", type=Path, help="where indexes are kept; else in none")
    asked = parser.parse_args()
    print("\t".join(COLUMNS))
    for size in asked.sizes:
        with tempfile.TemporaryDirectory() as folder:
            measure(size, (asked.folder or Path(folder)) / f"{size}.mmidx")


def measure(size: int, folder: Path) -> None:
    """Build an index of so many vectors, and ask it."""
    rng = np.random.default_rng(0)
    centres = rng.standard_normal((CENTRES, DIM), dtype=np.float32)
    vectors = around(centres, size, rng)
    queries = around(centres, ROUNDS * A_ROUND, rng)
    if not folder.exists():
        build(folder, vectors)
    with IndexReader(folder) as reader:
        begun = time.perf_counter()
        near = Neighbours(reader)
        near.nearest("picture", queries[:1], K)
        print(f"# first query, opening included: {time.perf_counter() - begun:.2f} s", flush=True)
        record = reader.spaces()["picture"].measured.get(MEASURED)
        methods: dict[str, Method] = {
            "mmtool": lambda q: near.nearest("picture", q, K)[0][0],
            "numpy": lambda q: np.argpartition(vectors @ q[0], -K)[-K:] + 1,
            **of_faiss(vectors),
        }
        if isinstance(record, Mapping):
            path = lists_path(folder, "picture", str(record["sha256"]))
            methods.update(of_faiss_lists(path, int(record["probes"]), vectors))
        truth = [methods["FAISS flat"](queries[k : k + 1]) for k in range(len(queries))]
        report(size, methods, queries, truth)


def around(
    centres: NDArray[np.float32], rows: int, rng: np.random.Generator
) -> NDArray[np.float32]:
    """(rows, DIM) of length 1."""
    found = rng.standard_normal((rows, DIM), dtype=np.float32)
    found += centres[rng.integers(0, len(centres), rows)]
    return np.asarray(found / np.linalg.norm(found, axis=1, keepdims=True))


def build(folder: Path, vectors: NDArray[np.float32]) -> None:
    """Write the index and tell how long it took and how large it is."""
    begun = time.perf_counter()
    with IndexWriter(folder) as writer:
        writer.use_space(Space("picture", "none", "0" * 64, {}, DIM))
        for start in range(0, len(vectors), COMMIT):
            writer.add(items(vectors[start : start + COMMIT], start))
            writer.commit()
        writer.compact()
        written = time.perf_counter() - begun
        made = refresh_lists(writer)
    lists = time.perf_counter() - begun - written
    size = sum(p.stat().st_size for p in folder.rglob("*") if p.is_file())
    told = f"; lists in {lists:.1f} s" if made else ""
    print(
        f"# {len(vectors)}: {len(vectors) / written:,.0f} items/s written, {size / 1e6:,.0f} MB, "
        f"{size / vectors.nbytes:.2f} times the vectors{told}",
        flush=True,
    )


def items(vectors: NDArray[np.float32], start: int) -> Iterator[NewItem]:
    """Items without words."""
    for number, row in enumerate(vectors, start):
        source = Source(f"{number}", f"{number}.png", "image", f"{number:064x}")
        yield NewItem(source, vectors={"picture": row})


def of_faiss(vectors: NDArray[np.float32]) -> dict[str, Method]:
    """An exact index of FAISS."""
    flat = faiss.IndexFlatIP(DIM)
    flat.add(vectors)
    return {"FAISS flat": lambda q: flat.search(q, K)[1][0] + 1}


def of_faiss_lists(path: Path, probes: int, vectors: NDArray[np.float32]) -> dict[str, Method]:
    """Our lists by FAISS alone, and with its own second look at the float32 vectors."""
    lists = faiss.read_index(str(path))
    lists.nprobe = probes
    plain = faiss.read_index(str(path))
    rows = faiss.IndexFlatIP(DIM)
    rows.add(np.concatenate([np.zeros((1, DIM), np.float32), vectors]))  # ids count from 1
    lists.ntotal = rows.ntotal
    refined = faiss.IndexRefine(lists, rows)
    refined.k_factor = 4
    plain.nprobe = probes
    return {
        "FAISS IVF,SQ8": lambda q: plain.search(q, K)[1][0],
        "FAISS IVF,SQ8,Refine": lambda q: refined.search(q, K)[1][0],
    }


def report(
    size: int,
    methods: Mapping[str, Method],
    queries: NDArray[np.float32],
    truth: list[NDArray[np.int64]],
) -> None:
    """Ask all methods in turn and print their times."""
    times: dict[str, list[float]] = {name: [] for name in methods}
    right = dict.fromkeys(methods, 0)
    for start in range(0, len(queries), A_ROUND):
        for name, method in methods.items():
            method(queries[start : start + 1])
            for k in range(start, start + A_ROUND):
                begun = time.perf_counter()
                found = method(queries[k : k + 1])
                times[name].append((time.perf_counter() - begun) * 1e3)
                right[name] += int(np.isin(truth[k], found).sum())
    for name, taken in times.items():
        spread = "\t".join(f"{np.quantile(taken, q):.3f}" for q in (0.1, 0.5, 0.95))
        recall = right[name] / (K * len(queries))
        print(f"{size}\t{name}\t{spread}\t{recall:.3f}", flush=True)


if __name__ == "__main__":
    main()
