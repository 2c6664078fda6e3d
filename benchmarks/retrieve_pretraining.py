"""Does pre-training on pictures alone help the joint encoder?

    python benchmarks/retrieve_pretraining.py vision_language --pictures checkpoint-pictures.pt
        [--model runs/retrieve/model ...]

All on training cases that nothing was learned from. First M3Ret's protocol: the visual side as it
is, vectors of what it pools, cosine to the other images; random weights, those that were
pre-trained, and gradients on principal components beside it. Then models that were trained with
words: their learned vectors alone, the sides that are fitted left out.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from mmtool.models.encoders.joint import joint_net
from mmtool.models.encoders.joint_input import DEPTH, InputSettings
from mmtool.models.encoders.picture_net import PictureNet, PictureSize
from mmtool.models.store import load_state, resolve_model
from mmtool.pipelines.evaluation.retrieve_floors import Components, gradient_features
from mmtool.pipelines.evaluation.retrieve_probes import (
    Row,
    neighbours,
    probes,
    ranked,
    same_case,
    zero_shot,
)
from mmtool.pipelines.training.retrieve import learned_from
from mmtool.pipelines.training.retrieve_data import Shown, read_pixels, shown_images

Floats = NDArray[np.float64]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--pictures", type=Path, help="checkpoint-pictures.pt of a training")
    parser.add_argument("--model", action="append", default=[], help="NAME or DIR; repeatable")
    parser.add_argument("--cache", type=Path, default=Path("runs/train-128.npz"))
    given = parser.parse_args()
    torch.set_num_threads(1)
    images = shown_images(given.data, "train")
    grey = read_pixels(images, InputSettings(), given.cache).grey
    kept = [k for k, image in enumerate(images) if image.caption]
    used = learned_from([images[k].case for k in kept])
    order = [k for k, u in zip(kept, used, strict=True) if not u]
    left = len(order)
    order += [k for k, u in zip(kept, used, strict=True) if u]
    shown, pixels = [images[k] for k in order], torch.from_numpy(grey[order])
    print(f"{left} images of cases left out, {len(order) - left} others")
    for name, vectors in sides(given.pictures, pixels, left):
        rows = [*same_case(shown[:left], shown, vectors, 0)]
        rows += neighbours(shown[:left], shown, vectors, 0)
        rows += probes(shown[left:], shown[:left], vectors[left:], vectors[:left], 0)[0]
        tell(name, rows)
    for model in given.model:
        with_words(model, shown, pixels, left)


def sides(checkpoint: Path | None, pixels: torch.Tensor, left: int) -> list[tuple[str, Floats]]:
    """Names and vectors of the visual side that know no words."""
    torch.manual_seed(0)
    found = [("random weights", pooled(PictureNet(PictureSize()), pixels))]
    if checkpoint is not None:
        state = torch.load(checkpoint, weights_only=True)["teacher"]
        net = PictureNet(PictureSize())
        net.load_state_dict(
            {k.removeprefix("net."): v for k, v in state.items() if k.startswith("net.")}
        )
        found.append(("pre-trained", pooled(net, pixels)))
    rows = gradient_features(pixels.numpy())
    found.append(("gradients, PCA", Components.of(rows[left:])(rows)))
    return found


@torch.inference_mode()
def pooled(net: PictureNet, pixels: torch.Tensor) -> Floats:
    """(N, P) of length 1: what the net pools, each number to mean 0 and spread 1 first."""
    net.eval()
    parts = [
        net.see((p.float() / 255)[:, None].expand(-1, DEPTH, -1, -1)).pooled
        for p in torch.split(pixels, 64)
    ]
    rows = torch.cat(parts).double().numpy()
    return unit((rows - rows.mean(0)) / (rows.std(0) + 1e-6))


def unit(rows: Floats) -> Floats:
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True))


@torch.inference_mode()
def with_words(model: str, shown: Sequence[Shown], pixels: torch.Tensor, left: int) -> None:
    """Measures of each tower of a model, and of all together."""
    files = resolve_model("retrieve", model)
    net = joint_net(files.config)
    net.load_state_dict({k: v.float() for k, v in load_state(files).items()})
    net.eval()
    slabs = [(p.float() / 255)[:, None].expand(-1, DEPTH, -1, -1) for p in torch.split(pixels, 64)]
    held = shown[:left]
    every = list(net.towers)
    each = [
        torch.cat([tower.pictures.vector(tower.pictures.see(s).pooled) for s in slabs])
        for tower in every
    ]

    def read(which: Sequence[int], texts: Sequence[str]) -> Floats:
        numbers, groups = net.first.words.tokens(list(texts))
        rows = [every[k].words(numbers, groups).vectors for k in which]
        return np.asarray((torch.cat(rows, 1) / len(rows) ** 0.5).double().numpy())

    groups = [[k] for k in range(len(every))]
    for which in [*groups, list(range(len(every)))] if len(every) > 1 else groups:
        vectors = (torch.cat([each[k] for k in which], 1) / len(which) ** 0.5).double().numpy()
        rows = [*same_case(held, shown, vectors, 0), *neighbours(held, shown, vectors, 0)]
        for kind, texts in (
            ("facts and caption", [i.full_text for i in held]),
            ("caption alone", [i.caption for i in held]),
        ):
            rows += ranked(held, vectors[:left], read(which, texts), kind, 0)

        def words(texts: Sequence[str], which: Sequence[int] = which) -> Floats:
            return read(which, texts)

        rows += zero_shot(held, vectors[:left], words, 0)
        tell(f"{model}, network {', '.join(map(str, which))}", rows)


def tell(name: str, rows: Sequence[Row]) -> None:
    for row in rows:
        print(f"{name}\t{row.measure}\t{row.value:.3f} ({row.low:.3f} to {row.high:.3f})")


if __name__ == "__main__":
    main()
