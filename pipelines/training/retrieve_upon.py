"""What is trained upon a frozen joint encoder: regulators of late interaction, or prompt pools."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.torch import save_file
from torch import nn

from mmtool.errors import ModelError
from mmtool.models.encoders.joint import OwnJointEncoder, load_joint_encoder
from mmtool.models.encoders.joint_upon import UPON
from mmtool.pipelines.evaluation.retrieve_probes import Row
from mmtool.pipelines.training.retrieve import RetrieveTraining, Tell, learned_from
from mmtool.pipelines.training.retrieve_card import metric, write_described
from mmtool.pipelines.training.retrieve_data import Shown, read_pixels, shown_images
from mmtool.pipelines.training.retrieve_parts import (
    PictureParts,
    TextParts,
    picture_parts,
    text_parts,
)

VIEWS = 8  # of each image: as it is, and changed
_TOLD = {
    "rcar": "regulated cross attention of words over patches (10.1109/TIP.2023.3266887)",
    "prompts": "prompt pools for a missing side, and co-attention (10.1109/ICCV51070.2023.02139)",
}


@dataclass(frozen=True)
class Frozen:
    """A frozen encoder and what it makes of the training images that have captions.

    Attributes:
        encoder: The encoder.
        images: Those that are learned from, then those that were left out.
        learned: How many are learned from.
        pictures: Of all, in `VIEWS` views.
        out: Folder of the cache.
    """

    encoder: OwnJointEncoder
    images: Sequence[Shown]
    learned: int
    pictures: PictureParts
    out: Path

    @property
    def left(self) -> Sequence[Shown]:
        """Images that were left out."""
        return self.images[self.learned :]

    def texts(self, texts: Iterable[str]) -> tuple[TextParts, dict[str, int]]:
        """Parts of texts, each once, and the row of each."""
        every = sorted(set(texts))
        found = text_parts(self.encoder.net, every, self.out / "texts.npz", self.encoder.sha256)
        return found, {t: k for k, t in enumerate(every)}


def frozen(options: RetrieveTraining, tell: Tell) -> Frozen:
    """The encoder that ``start`` names, with its cache in the run folder.

    Raises:
        InputError: The data can't be used.
        ModelError: No such encoder, or not one of towers that mmtool trained.
    """
    options.out.mkdir(parents=True, exist_ok=True)
    name = options.start or "joint"
    encoder = load_joint_encoder(name)
    if type(encoder) is not OwnJointEncoder:
        raise ModelError(f"{name}: no encoder of towers", "start from one, as --start joint")
    images = shown_images(options.data, "train")
    cache = options.out / f"train-{encoder.settings.size}.npz"
    pixels = read_pixels(images, encoder.settings, cache)
    kept = learned_from([i.case for i in images])
    captioned = np.array([bool(i.caption) for i in images])
    order = np.concatenate([np.flatnonzero(captioned & kept), np.flatnonzero(captioned & ~kept)])
    shown = [images[k] for k in order]
    cache = options.out / "pictures.npz"  # of all images, and for every seed the same
    seen = picture_parts(encoder.net, images, pixels, VIEWS, 0, cache, encoder.sha256, tell)
    seen = PictureParts(seen.parts[order], seen.vectors[order])
    learned = int((captioned & kept).sum())
    tell(f"{learned} images to learn from, {len(shown) - learned} to choose by")
    return Frozen(encoder, shown, learned, seen, options.out)


def write_upon(
    folder: Path,
    below: Frozen,
    net: nn.Module,
    added: dict[str, Any],
    fit: Any,
    seconds: float,
    rows: Sequence[Row],
    data: str,
) -> Path:
    """Write the weights of what was added, with config and card.

    Args:
        folder: Of the model.
        below: What it was trained upon.
        net: What was added.
        added: Its sizes, under the name that the config has for them.
        fit: How it was trained; a dataclass with ``seed`` and ``epochs``.
        seconds: That it took.
        rows: Measures on the cases that were left out.
        data: Name of the folder of data.

    Returns:
        The folder.
    """
    folder.mkdir(parents=True, exist_ok=True)
    state = {k: v.detach().half().contiguous() for k, v in net.state_dict().items()}
    save_file(state, folder / "model.safetensors")
    known = {"name": below.encoder.name, "sha256": below.encoder.sha256}
    config = {UPON: known, **added}
    recipe = "rcar" if "regulators" in added else "prompts"
    card = _card(recipe, below, fit, seconds, data)
    card["metrics"] = [metric(row, "training cases left out") for row in rows]
    write_described(folder, config, card)
    return folder


def _card(recipe: str, below: Frozen, fit: Any, seconds: float, data: str) -> dict[str, Any]:
    return {
        "task": "retrieve",
        "name": recipe,
        "version": "0.1.0",
        "summary": f"upon '{below.encoder.name}': {_TOLD[recipe]}",
        "licence": "Apache-2.0",
        "use": "research",
        "data": [
            {
                "name": "MedPix 2.0: images with captions, and words of their cases",
                "source": "doi 10.1007/s41019-025-00297-8",
                "licence": "not stated",
                "use": "training; every 12th case left out to choose by",
                "n": below.learned,
            }
        ],
        "training": {
            "command": f"mmtool train retrieve --recipe {recipe} --start {below.encoder.name} "
            f"--data {data} -o runs/{recipe} --epochs {fit.epochs} --seed {fit.seed}",
            "method": f"upon the frozen encoder '{below.encoder.name}' "
            f"{below.encoder.sha256[:12]}: {_TOLD[recipe]}; {asdict(fit)}",
            "seed": fit.seed,
            "seconds": round(seconds),
            "hardware": "2 CPU cores (x86_64)",
            "iterations": fit.epochs,
        },
        "intended_use": "Finding similar pictures and texts in a collection, for research. "
        "Not a medical device.",
        "limits": [
            "the encoder below learned from the same images: what is learned here of their parts "
            "holds less for others",
            "what holds for the encoder below holds here, too",
        ],
    }
