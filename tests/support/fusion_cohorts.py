"""Small cohorts with several modalities, and tokens for networks."""

from __future__ import annotations

import numpy as np
import torch

from mmtool.models.survival.network.tokens import Part, Parts, Shape
from mmtool.survival import Block, Cohort, Kind, Outcome

SIGNATURES = {
    "planted": frozenset(f"G{i}" for i in range(5)),
    "others": frozenset(f"G{i}" for i in range(3, 20)),
}
LAYOUT = (
    Shape("clinical", "clinical", 1, 3),
    Shape("rna.v2", "omics", 4, 6),
    Shape("keys", "image", 3, 5),  # names that torch keeps for itself
    Shape("tiles", "bag", 0, 5),
)


def block(
    name: str, kind: Kind, values: np.ndarray, columns: list[str], absent: np.ndarray
) -> Block:
    """A block; ``absent`` (P,) lack it."""
    values = values.astype(np.float32)
    values[absent] = np.nan
    return Block(name, kind, tuple(columns), values, ~absent)


def cohort(patients: int = 160, seed: int = 0, effect: float = 1.5) -> Cohort:
    """Hazards depend on the genes of one group; clinical and image columns are noise."""
    rng = np.random.default_rng(seed)
    genes = rng.normal(size=(patients, 30))
    risk = effect * genes[:, :5].mean(axis=1) * np.sqrt(5)
    time = rng.exponential(np.exp(-risk)) + 1e-3
    seen = rng.exponential(3.0, patients) + 1e-3
    nobody, some = np.zeros(patients, np.bool_), rng.random(patients) < 0.2
    words = [f"{word}.{i}" for word in ("CELL", "AREA", "DENSITY") for i in range(5)]
    blocks = [
        block("clinical", "clinical", rng.normal(size=(patients, 3)), list("abc"), nobody),
        block("rnaseq", "omics", genes, [f"G{i}" for i in range(30)], nobody),
        block("hif", "image", rng.normal(size=(patients, 15)), words, some),
    ]
    outcome = Outcome(np.minimum(time, seen), time <= seen)
    ids = tuple(f"p{i}" for i in range(patients))
    return Cohort(ids, {b.name: b for b in blocks}, outcome)


def bag(tiles: list[np.ndarray]) -> Block:
    """A bag of tiles (N_p, F) a patient."""
    width = max(t.shape[1] for t in tiles)
    means = np.array([t.mean(axis=0) if len(t) else np.full(width, np.nan) for t in tiles])
    columns = tuple(f"f{i}" for i in range(width))
    present = np.array([len(t) > 0 for t in tiles])
    own = tuple(t.astype(np.float32) for t in tiles)
    return Block("tiles", "bag", columns, means.astype(np.float32), present, own)


def parts(patients: int = 6, seed: int = 0) -> Parts:
    """Tokens for ``LAYOUT``; the first patients lack one modality each, tiles differ in number."""
    rng = np.random.default_rng(seed)
    out: Parts = {}
    for m, shape in enumerate(LAYOUT):
        count = shape.tokens or 7
        mask = np.ones((patients, count), np.bool_)
        if shape.tokens == 0:
            mask = np.arange(count)[None, :] < rng.integers(2, count + 1, patients)[:, None]
        mask[m] = False
        x = rng.normal(size=(patients, count, shape.width)) * mask[..., None]
        out[shape.name] = Part(torch.tensor(x, dtype=torch.float32), torch.tensor(mask))
    return out
