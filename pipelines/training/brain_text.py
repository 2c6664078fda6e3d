"""Train ``brain-text``: the network of ``brain``, steered by the words of a prompt or report.

First the text encoder learns to read: which structures does a drawn text ask for? Then, with
encoder and image network as they are, fusion, text decoder and head learn to find what is asked for
in synthetic scans.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from mmtool import __version__
from mmtool.anatomy import BRAIN_LABELS
from mmtool.models.losses.sampled_dice_ce import sampled_dice_ce
from mmtool.models.segmentation.subvoxel_unet import SubvoxelUNetConfig
from mmtool.models.segmentation.text_unet import TextUNet, TextUNetConfig
from mmtool.models.store import load_state, resolve_model
from mmtool.models.text.encoder import TextEncoderConfig, tokenise
from mmtool.pipelines.likeness import KEY
from mmtool.pipelines.training.brain import PAINTS, SyntheticScans, sample_blocks
from mmtool.pipelines.training.brain_card import TRAINING_RANGES, maps_row
from mmtool.pipelines.training.brain_labels import sided_table
from mmtool.pipelines.training.brain_options import BrainTraining
from mmtool.pipelines.training.prompts import Prompt, draw_prompt
from mmtool.pipelines.training.reading import BATCH, exact, train_reading
from mmtool.pipelines.training.run import Report, TrainingRun, command_of
from mmtool.pipelines.training.synthesis import Sample

INDICES = tuple(label.index for label in BRAIN_LABELS)
_EMPTY = 0.04  # share of texts that are left empty; then everything is asked for
_BLOCKS = 6000  # blocks whose loss is computed
_HIDDEN = ("near", "layers", "ask", "judge")  # of the text encoder
_GROWING = 2400  # steps of reading until texts of all lengths are kept


@dataclass(frozen=True, kw_only=True)
class TextTraining(BrainTraining):
    """One training run of ``brain-text``.

    Attributes:
        start: Name or folder of the image network.
        fusion: One of ``text_unet.FUSIONS``.
        reading: Steps of the text encoder alone; 32 texts each.
        prompts: Texts for each scan.
    """

    start: str = "brain"
    iterations: int = 1500
    fusion: str = "progressive"
    reading: int = 5000
    prompts: int = 6


def draw_texts(rng: np.random.Generator, count: int) -> tuple[list[Prompt], Tensor]:
    """Texts and what they ask for, (count, structures) float32 in the order of ``INDICES``."""
    prompts = []
    for _ in range(count):
        prompt = draw_prompt(rng, BRAIN_LABELS)
        if rng.random() < _EMPTY or not prompt.text.strip():
            prompt = Prompt("", frozenset(INDICES), frozenset(), "nothing")
        prompts.append(prompt)
    return prompts, wanted(prompts)


def _texts_to_read(rng: np.random.Generator, count: int) -> tuple[list[str], Tensor]:
    prompts, target = draw_texts(rng, count)
    return [prompt.text for prompt in prompts], target


def wanted(prompts: Sequence[Prompt]) -> Tensor:
    """(P, structures) float32: 1 where a prompt asks for a structure."""
    return torch.tensor([[float(i in p.asked) for i in INDICES] for p in prompts])


def train_brain_text(options: TextTraining, *, report: Report | None = None) -> Path:
    """Train, or go on from the checkpoints in ``options.out``.

    Returns:
        The folder with the exported model.
    """
    options.out.mkdir(parents=True, exist_ok=True)
    trunk = resolve_model("segment", options.start)
    reader = TextEncoderConfig(structures=len(INDICES))
    config = TextUNetConfig(
        SubvoxelUNetConfig.from_json(trunk.config["arguments"]), reader, options.fusion
    )
    read = train_reading(
        options,
        options.reading,
        reader,
        _texts_to_read,
        report,
        growing=_GROWING,
        matrices=_HIDDEN,
    )
    torch.manual_seed(options.seed)
    net = TextUNet(config)
    net.trunk.load_state_dict(load_state(trunk))
    net.text.load_state_dict(read)
    net.text.eval()  # reads as in use: no letters are lost
    table = sided_table()[1:]  # (classes, 2): right, left
    both = [*table[:, 1].tolist(), *table[:, 0].tolist()]
    net.start_as_selection([[n for n, label in enumerate(both) if label == i] for i in INDICES])
    run = TrainingRun(net, replace(options, start=""), config.to_json())
    loader = DataLoader(
        SyntheticScans(options, run.step // PAINTS),
        batch_size=None,
        num_workers=options.workers,
        prefetch_factor=4 if options.workers else None,
    )

    def loss(sample: Sample, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        return loss_of(net, sample, generator, options, run.device)

    run.train(loader, loss, ["asked", "texts read right"], report)
    described = trunk.config | {
        "network": "text_unet",
        "arguments": config.to_json(),
        "structures": list(INDICES),
    }
    return run.export(described, lambda facts: _card(options, facts, trunk.weights_sha256))


def loss_of(
    net: TextUNet,
    sample: Sample,
    generator: torch.Generator,
    options: TextTraining,
    device: torch.device,
) -> tuple[Tensor, Tensor]:
    """Loss of one scan under several texts, and (2,) Dice of what was asked, texts read right."""
    rng = np.random.default_rng([generator.initial_seed(), 13])
    prompts, target = draw_texts(rng, options.prompts)
    chosen, classes, side, weight = sample_blocks(sample, generator)
    some = torch.randperm(len(chosen), generator=generator)[:_BLOCKS]
    chosen, weight = chosen[some].to(device), weight[some]
    labels = torch.from_numpy(sided_table())[classes[:, some], (side[:, some] != 0).long()]
    asked = torch.zeros(len(prompts), 256)
    asked[:, list(INDICES)] = target
    truth = asked[:, labels.long()].long().to(device)  # (P, cells, N)
    image = sample.image[None, None].to(device).contiguous(memory_format=torch.channels_last_3d)
    half = options.precision == "bfloat16"
    with torch.autocast(device.type, dtype=torch.bfloat16, enabled=half):
        with torch.no_grad():
            seen = net.see(image)
        text = net.text(tokenise([p.text for p in prompts], net.config.text).to(device))
        logits = net.asked(seen, net.steer(seen, text), chosen).logits
    weights = weight.to(device).expand(truth.shape[1], -1).flatten()
    losses, dices = [], []
    for row, right in zip(logits.float().transpose(1, 2).flatten(1), truth.flatten(1), strict=True):
        two = torch.stack([torch.zeros_like(row), row])
        loss, dice = sampled_dice_ce(two, right, weights)
        losses.append(loss)
        dices.append(dice[1])
    scores = torch.stack([torch.stack(dices).nanmean(), exact(text.asked, target.to(device))])
    return torch.stack(losses).mean(), scores


def _card(options: TextTraining, facts: dict[str, Any], trunk: str) -> dict[str, Any]:
    words = ["--recipe brain-text --data synthseg_labels --output runs/brain-text"]
    training = {
        "command": command_of(options, words, ("fusion", "reading", "holdout", "workers")),
        "method": "drawn texts and synthetic scans; the image network stays as it is",
        "image_network_sha256": trunk,
        **facts["training"],
    }
    return {
        "task": "segment",
        "name": "brain-text",
        "version": __version__,
        "summary": "what a prompt or report asks for in MR head scans, read by a network",
        "licence": "Apache-2.0",
        "use": "any",
        "data": [
            maps_row(options),
            {
                "name": "drawn prompts and reports",
                "source": "mmtool.pipelines.training.prompts",
                "licence": "Apache-2.0",
                "use": "names and templates of the splits unseen and dev were left out",
                "n": options.reading * BATCH,
            },
        ],
        "training": training,
        "sha256": facts["sha256"],
        "metrics": facts["metrics"],
        "intended_use": "Masks of brain structures that a text asks for in MR scans of whole or "
        "skull-stripped heads, for research. Not a medical device; look at every result.",
        "limits": [
            "knows the 32 structures of 'brain' and no other; all limits of 'brain' hold",
            "reads English; was taught with drawn texts, not with reports of a hospital",
            "names that share no root with those drawn in training are mostly misread; the rules "
            "with model 'brain' know more of them",
            "a word that is spelled like a name may be taken for it: 'cortisol' is read as cortex",
            f"a text longer than {TextEncoderConfig.words} words and signs is cut",
        ],
        KEY: TRAINING_RANGES,
    }
