"""``mmtool train retrieve``: the joint encoder of pictures and words, from images with captions."""

from __future__ import annotations

import copy
import logging
import zlib
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import save_file
from torch import nn

from mmtool.errors import ModelError
from mmtool.models.encoders.fixed_side import FixedSize
from mmtool.models.encoders.joint import JointNet, Towers, towers
from mmtool.models.encoders.joint_input import DEPTH, InputSettings
from mmtool.models.encoders.picture_net import PictureSize
from mmtool.models.encoders.word_net import WordSize, topics_of, vocabulary
from mmtool.models.store import load_state, resolve_model
from mmtool.pipelines.evaluation.retrieve_probes import Row, ranked
from mmtool.pipelines.picture_words import MODALITY, PLANE, REGION
from mmtool.pipelines.training.retrieve_card import write_encoder
from mmtool.pipelines.training.retrieve_data import Shown, read_pixels, shown_images, text_pairs
from mmtool.pipelines.training.retrieve_fit import FitOptions, train_joint
from mmtool.pipelines.training.retrieve_pretrain import PretrainOptions, pretrain
from mmtool.pipelines.training.retrieve_shares import choose_shares, read_vectors, seen_vectors
from mmtool.pipelines.training.retrieve_views import volume_slabs

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
        towers: How many are trained, each from the next seed.
        start: Name or folder of a model whose weights training starts from.
        pretrain: How the visual side is pre-trained on pictures alone; not at all with 0 epochs.
        volumes: Folders of NIfTI volumes that it is pre-trained on too.
        device: Where to compute.
    """

    data: Path
    out: Path
    fit: FitOptions = field(default_factory=FitOptions)
    towers: int = 3
    start: str | None = None
    pretrain: PretrainOptions = field(default_factory=PretrainOptions)
    volumes: Sequence[Path] = ()
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
    pixels = read_pixels(images, settings, options.out / f"train-{settings.size}.npz")
    kept = learned_from([i.case for i in images])
    learned = [i for i, k in zip(images, kept, strict=True) if k]
    left = [i for i, k in zip(images, kept, strict=True) if not k]
    pairs = text_pairs(options.data)
    tell(f"{len(learned)} images and {len(pairs)} pairs of texts; {len(left)} images to calibrate")
    config, begin = _begun(options, settings, _texts(learned, pairs))
    volumes = _volumes(options, settings)
    if options.pretrain.epochs:
        begin = _pretrained(options, begin, pixels.grey[kept], volumes, tell)
    every, seconds = _trained(options, begin, learned, pixels.grey[kept], pairs, tell)
    net = JointNet(every, FixedSize(**config["fixed"])).eval()
    topics = net.first.words.bag([i.full_text for i in learned])
    net.fixed.fit(pixels[kept].counted, [i.case for i in learned], topics)
    ordered = pixels[np.argsort(kept, kind="stable")]
    shares = choose_shares(net, ordered, [*left, *learned], len(left))
    tell("shares: " + ", ".join(f"{name} {value:.3g}" for name, value in shares.items()))
    vectors = seen_vectors(net, pixels[~kept])
    config["calibration"] = _calibration(vectors, left)
    rows = _recall(net, vectors, left, options.fit.seed)
    folder = options.out / "model"
    _write_weights(net, folder)
    counts = (len(learned), len(pairs))
    before = (options.pretrain, options.volumes, len(volumes))
    write_encoder(folder, config, options.data, options.fit, counts, seconds, rows, before)
    return folder


def _volumes(options: RetrieveTraining, settings: InputSettings) -> NDArray[np.uint8]:
    """Slabs of the volumes to pre-train on, (V, S, 3, size, size)."""
    if not options.volumes or not options.pretrain.epochs:
        return np.empty((0, 1, DEPTH, settings.size, settings.size), np.uint8)
    return volume_slabs(options.volumes, settings, options.out / f"volumes-{settings.size}.npy")


def _pretrained(
    options: RetrieveTraining,
    begin: Callable[[int], Towers],
    grey: NDArray[np.uint8],
    volumes: NDArray[np.uint8],
    tell: Tell,
) -> Callable[[int], Towers]:
    """What makes towers whose visual side was pre-trained, the same of all."""
    tell(f"pre-training on {len(grey)} images and {len(volumes)} volumes")
    torch.manual_seed(options.pretrain.seed)
    pictures, _ = pretrain(
        begin(0).pictures,
        grey,
        volumes,
        options.pretrain,
        device=options.device,
        checkpoint=options.out / "checkpoint-pictures.pt",
        tell=tell,
    )
    state = {name: value.cpu() for name, value in pictures.state_dict().items()}

    def begin_there(number: int) -> Towers:
        new = begin(number)
        new.pictures.load_state_dict(state)
        return new

    return begin_there


def _trained(
    options: RetrieveTraining,
    begin: Callable[[int], Towers],
    images: Sequence[Shown],
    grey: NDArray[np.uint8],
    pairs: Sequence[tuple[str, str]],
    tell: Tell,
) -> tuple[list[Towers], float]:
    """Towers from a seed each, and the seconds that they took."""
    every, seconds = [], 0.0
    for number in range(options.towers):
        seed = options.fit.seed + number
        tell(f"towers {number + 1} of {options.towers}, seed {seed}")
        torch.manual_seed(seed)
        net, spent = train_joint(
            begin(number),
            images,
            grey,
            pairs,
            replace(options.fit, seed=seed),
            device=options.device,
            checkpoint=options.out / f"checkpoint-{seed}.pt",
            tell=tell,
        )
        every.append(net.cpu())
        seconds += spent
    return every, seconds


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


def _begun(
    options: RetrieveTraining, settings: InputSettings, texts: Sequence[str]
) -> tuple[dict[str, Any], Callable[[int], Towers]]:
    """The config, and what makes the towers of a number: new ones, or those of another model."""
    if options.start is not None:
        files = resolve_model("retrieve", options.start)
        every = [towers(files.config) for _ in range(files.config["towers"])]
        state = load_state(files)
        try:
            nn.ModuleList(every).load_state_dict(
                {k.removeprefix("towers."): v for k, v in state.items() if k.startswith("towers.")}
            )
        except RuntimeError as error:
            raise ModelError(
                f"{files.folder}: weights of other sizes", "start from another"
            ) from error
        config = {key: files.config[key] for key in ("input", "picture", "word", "vocabulary")}
        config |= {"fixed": asdict(FixedSize()), "towers": options.towers}
        return config, lambda k: copy.deepcopy(every[k % len(every)])
    config = {
        "input": settings.plain(),
        "picture": asdict(PictureSize(edge=settings.size)),
        "word": asdict(WordSize()),
        "fixed": asdict(FixedSize()),
        "vocabulary": vocabulary(texts),
        "towers": options.towers,
    }
    topics = torch.from_numpy(topics_of(texts, config["vocabulary"], WordSize().topics))

    def begin(_: int) -> Towers:
        new = towers(config)
        new.words.topics.copy_(topics)
        return new

    return config, begin


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
