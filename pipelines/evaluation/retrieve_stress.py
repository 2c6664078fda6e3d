"""Changed images and texts at five severities: what is left of the answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from mmtool.io.readers.captioned_images import read_grey
from mmtool.pipelines.evaluation.retrieve_measures import mid_ranks
from mmtool.pipelines.evaluation.retrieve_probes import Floats, Probe
from mmtool.pipelines.training.retrieve_data import Shown
from mmtool.retrieval import JointEncoder, Picture

Grey = NDArray[np.float32]
SEVERITIES = (1, 2, 3, 4, 5)
_UNRELATED = "The weather was mild and the train left the station on time"


def _blur(grey: Grey, severity: int) -> Grey:
    return np.asarray(gaussian_filter(grey, 0.004 * severity * max(grey.shape)), np.float32)


def _noise(grey: Grey, severity: int) -> Grey:
    draw = np.random.default_rng(severity)
    return np.clip(grey + draw.normal(0, 0.04 * severity, grey.shape), 0, 1).astype(np.float32)


def _contrast(grey: Grey, severity: int) -> Grey:
    changed = (grey - grey.mean()) * (1 - 0.16 * severity) + grey.mean()
    return np.asarray(np.clip(changed, 0, 1), np.float32)


def _crop(grey: Grey, severity: int) -> Grey:
    cut = [round(0.05 * severity * n) for n in grey.shape]
    return grey[cut[0] : grey.shape[0] - cut[0], cut[1] : grey.shape[1] - cut[1]]


def _masked(grey: Grey, severity: int) -> Grey:
    """Text rows blackened from 7 and 9 % on, further at each severity."""
    high, out = len(grey), grey.copy()
    out[: round((0.07 + 0.02 * (severity - 1)) * high)] = 0
    out[high - round((0.09 + 0.02 * (severity - 1)) * high) :] = 0
    return out


_CHANGES: dict[str, Callable[[Grey, int], Grey]] = {
    "blur": _blur,
    "noise": _noise,
    "contrast": _contrast,
    "crop": _crop,
    "masked text": _masked,
}


def stress(
    encoder: JointEncoder,
    held: Sequence[Shown],
    texts: Sequence[str],
    probes: Mapping[str, Probe],
    clean: Floats,
) -> tuple[dict[str, float | str], ...]:
    """Accuracy of the probes on changed images; recall of text to image with words added.

    Dilution adds captions of other cases of the same modality, interference adds sentences that
    have nothing to do with it: as many as the severity.
    """
    rows: list[dict[str, float | str]] = []
    grey = [read_grey(i.row.path).pixels[0] for i in held]
    for name, change in _CHANGES.items():
        for severity in SEVERITIES:
            seen = _encoded(encoder, [change(g, severity) for g in grey])
            row: dict[str, float | str] = {"change": name, "severity": severity}
            for label in ("type", "plane", "region"):
                hits = probes[label].hits(seen, [i.labels[label] for i in held])
                row[label] = round(float(hits.mean()), 4)
            row["cosine"] = round(float((seen * clean).sum(1).mean()), 4)
            rows.append(row)
    same = np.array([[a.caption == b.caption for b in held] for a in held])
    for name in ("dilution", "interference"):
        for severity in SEVERITIES:
            longer = [_longer(k, texts, held, name, severity) for k in range(len(held))]
            scores = encoder.encode_texts(longer).vectors.astype(np.float64) @ clean.T
            recall = float((mid_ranks(scores, same) <= 10).mean())
            rows.append({"change": name, "severity": severity, "R@10": round(recall, 4)})
    return tuple(rows)


def _encoded(encoder: JointEncoder, grey: Sequence[Grey]) -> Floats:
    parts = [
        encoder.encode_pictures([Picture(g[None]) for g in grey[k : k + 64]]).vectors
        for k in range(0, len(grey), 64)
    ]
    return np.concatenate(parts).astype(np.float64)


def _longer(
    place: int, texts: Sequence[str], held: Sequence[Shown], how: str, severity: int
) -> str:
    if how == "interference":
        return ". ".join([texts[place], *[_UNRELATED] * severity])
    own = held[place]
    others = [
        i.caption for i in held if i.case != own.case and i.labels["type"] == own.labels["type"]
    ]
    draw = np.random.default_rng((place, severity))
    chosen = draw.choice(len(others), min(severity, len(others)), replace=False)
    return ". ".join([texts[place], *(others[k] for k in chosen)])
