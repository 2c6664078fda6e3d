"""``mmtool train retrieve``: the joint encoder of pictures and words, from images with captions."""

from __future__ import annotations

import logging
import zlib
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import save_file

from mmtool.errors import ModelError
from mmtool.models.encoders.fixed_side import FixedSize
from mmtool.models.encoders.joint import JointNet, joint_net
from mmtool.models.encoders.joint_input import InputSettings
from mmtool.models.encoders.picture_net import PictureSize
from mmtool.models.encoders.word_net import WordSize, topics_of, vocabulary
from mmtool.models.store import load_state, resolve_model
from mmtool.pipelines.evaluation.retrieve_probes import Row, ranked
from mmtool.pipelines.picture_words import MODALITY, PLANE, REGION
from mmtool.pipelines.training.retrieve_card import write_encoder
from mmtool.pipelines.training.retrieve_data import Shown, shown_images, squares, text_pairs
from mmtool.pipelines.training.retrieve_fit import FitOptions, train_joint
from mmtool.pipelines.training.retrieve_shares import choose_shares, read_vectors, seen_vectors

log = logging.getLogger(__name__)
Tell = Callable[[str], None]
_HELD_OUT = 12  # every so many-th case is left out, to calibrate on
_LEVELS = 21  # of the calibration


@dataclass(frozen=True)
class RetrieveTraining:
    """What is trained, from what.

    Attributes:
        data: Folder with ``medpix2`` and, where they are there, ``covid_cxr``, ``openi_reports``
            and ``roco_captions``.
        out: Folder of checkpoint, cache, log and model.
        fit: See there.
        start: Name or folder of a model whose weights training starts from.
        device: Where to compute.
    """

    data: Path
    out: Path
    fit: FitOptions = field(default_factory=FitOptions)
    start: str | None = None
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))


def train_retrieve(options: RetrieveTraining, tell: Tell = log.info) -> Path:
    """Train, calibrate on cases left out, write the model's folder, and give its path.

    Raises:
        InputError: The data can't be used.
        ModelError: ``start`` is of other sizes.
    """
    options.out.mkdir(parents=True, exist_ok=True)
    settings = InputSettings()
    images = shown_images(options.data, "train")
    grey = squares(images, settings, options.out / f"train-{settings.size}.npy")
    kept = learned_from([i.case for i in images])
    learned = [i for i, k in zip(images, kept, strict=True) if k]
    left = [i for i, k in zip(images, kept, strict=True) if not k]
    pairs = text_pairs(options.data)
    texts = _texts(learned, pairs)
    config = _config(settings, texts)
    torch.manual_seed(options.fit.seed)
    net = _started(config, options.start)
    if options.start is None:
        topics = topics_of(texts, config["vocabulary"], net.words.size.topics)
        net.words.topics.copy_(torch.from_numpy(topics))
    tell(f"{len(learned)} images and {len(pairs)} pairs of texts; {len(left)} images to calibrate")
    net, seconds = train_joint(
        net,
        learned,
        grey[kept],
        pairs,
        options.fit,
        device=options.device,
        checkpoint=options.out / "checkpoint.pt",
        tell=tell,
    )
    net = net.cpu()
    net.fixed.fit(grey[kept], net.words.bag([i.full_text for i in learned]))
    ordered = np.concatenate([grey[~kept], grey[kept]])
    shares = choose_shares(net, ordered, [*left, *learned], len(left))
    tell("shares: " + ", ".join(f"{name} {value:.3g}" for name, value in shares.items()))
    vectors = seen_vectors(net, grey[~kept])
    config["calibration"] = _calibration(vectors, left)
    rows = _recall(net, vectors, left, options.fit.seed)
    folder = options.out / "model"
    _write_weights(net, folder)
    counts = (len(learned), len(pairs))
    write_encoder(folder, config, options.data, options.fit, counts, seconds, rows)
    return folder


def _write_weights(net: JointNet, folder: Path) -> None:
    folder.mkdir(exist_ok=True)
    state = {
        k: (v.half() if v.is_floating_point() else v).contiguous()
        for k, v in net.state_dict().items()
    }
    save_file(state, folder / "model.safetensors")


def learned_from(cases: Sequence[str]) -> NDArray[np.bool_]:
    """(N,) which images are learned from: all but those of one case in twelve, by its name."""
    numbers = np.array([zlib.crc32(case.encode()) for case in cases])
    kept: NDArray[np.bool_] = numbers % _HELD_OUT != 0
    return numbers != numbers.min() if kept.all() else kept


def _texts(images: Sequence[Shown], pairs: Sequence[tuple[str, str]]) -> list[str]:
    """All that words are counted in."""
    descriptions = [" ".join(w) for part in (MODALITY, PLANE, REGION) for w in part.values()] * 3
    return [i.full_text for i in images] + [t for pair in pairs for t in pair] + descriptions


def _config(settings: InputSettings, texts: Sequence[str]) -> dict[str, Any]:
    return {
        "input": settings.plain(),
        "picture": asdict(PictureSize(edge=settings.size)),
        "word": asdict(WordSize()),
        "fixed": asdict(FixedSize()),
        "vocabulary": vocabulary(texts),
    }


def _started(config: dict[str, Any], start: str | None) -> JointNet:
    """A new network, or one with another model's weights; then with that model's words."""
    if start is None:
        return joint_net(config)
    files = resolve_model("retrieve", start)
    config |= {
        key: files.config[key] for key in ("input", "picture", "word", "fixed", "vocabulary")
    }
    net = joint_net(config)
    try:
        net.load_state_dict(load_state(files))
    except RuntimeError as error:
        raise ModelError(f"{files.folder}: weights of other sizes", "start from another") from error
    return net


def _recall(
    net: JointNet, vectors: NDArray[np.float64], images: Sequence[Shown], seed: int
) -> list[Row]:
    """Recall of image to text among the images left out that have captions."""
    kept = [k for k, image in enumerate(images) if image.caption]
    shown = [images[k] for k in kept]
    texts = read_vectors(net, [i.full_text for i in shown])
    return ranked(shown, vectors[kept], texts, "facts and caption", seed)


def _calibration(vectors: NDArray[np.float64], images: Sequence[Shown]) -> dict[str, list[float]]:
    """Similarity of two images, and the share of pairs of it that are of one case.

    The share rises with similarity; it holds for a gallery of about so many cases.
    """
    first, second = np.triu_indices(len(images), 1)
    alike = (vectors @ vectors.T)[first, second]
    case = np.array([i.case for i in images])
    same = case[first] == case[second]
    if not same.any():
        return {}
    edges = np.unique(np.quantile(alike[same], np.linspace(0, 1, _LEVELS)))
    middles, shares = [], []
    for low, high in pairwise(edges):
        inside = (alike >= low) & (alike <= high)
        middles.append(float((low + high) / 2))
        shares.append(float(same[inside].mean()))
    return {"similarity": middles, "share": np.maximum.accumulate(shares).tolist()}
