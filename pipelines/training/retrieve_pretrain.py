"""Pre-training of the joint encoder's visual side on pictures alone, after M3Ret.

Each step: of one view, the hidden patches are drawn from a quarter that is shown (masked
autoencoder); two other views, one large and one small, are drawn to what a teacher, the mean of
earlier students, makes of the first (SimDINO). Images are slabs of copies, volumes real slabs;
there is no branch for either. Source: doi 10.48550/arXiv.2509.01360.
"""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from mmtool.models.encoders.joint_input import DEPTH
from mmtool.models.encoders.masked_patches import PatchDecoder, drawn_rows, masked_patches
from mmtool.models.encoders.picture_net import PictureNet, firsts
from mmtool.models.losses.coding_rate import self_distillation
from mmtool.pipelines.training.checkpoints import resume, save
from mmtool.pipelines.training.retrieve_draws import rate
from mmtool.pipelines.training.retrieve_views import view

Tell = Callable[[str], None]
_LARGE, _SMALL = (0.4, 1.0), (0.1, 0.4)  # shares of the area that crops take


@dataclass(frozen=True)
class PretrainOptions:
    """How the visual side is pre-trained.

    Attributes:
        epochs, batch, rate, decay: Of AdamW; an epoch has every image and a slab of every volume.
        hidden: Share of the patches that the autoencoder does not see.
        teacher: Share of itself that the teacher keeps of a step at first; it rises to 1.
        dim: Of the vectors that views are compared by.
        masked, distilled: Weights of the two losses.
        seed: Of all that is drawn.
    """

    epochs: int = 0
    batch: int = 64
    rate: float = 1e-3
    decay: float = 0.05
    hidden: float = 0.75
    teacher: float = 0.97
    dim: int = 128
    masked: float = 1.0
    distilled: float = 1.0
    seed: int = 0


class _Student(nn.Module):
    """The visual side with what only pre-training needs."""

    def __init__(self, net: PictureNet, dim: int) -> None:
        super().__init__()
        pooled = net.pooled
        self.net = net
        self.decoder = PatchDecoder(net.size)
        self.projector = nn.Sequential(
            nn.LayerNorm(pooled), nn.Linear(pooled, 2 * dim), nn.GELU(), nn.Linear(2 * dim, dim)
        )

    def forward(self, parts: Sequence[Tensor]) -> Tensor:
        """(B, dim) of length 1, of slabs."""
        pooled = self.net.gathered(*firsts(self.net, parts)).pooled
        return functional.normalize(self.projector(pooled), dim=-1)


def pretrain(
    net: PictureNet,
    grey: NDArray[np.uint8],
    volumes: NDArray[np.uint8],
    options: PretrainOptions,
    *,
    device: torch.device | None = None,
    checkpoint: Path | None = None,
    tell: Tell = lambda line: None,
) -> tuple[PictureNet, float]:
    """Pre-train the visual side.

    Args:
        net: Where it starts.
        grey: (N, edge, edge) uint8 images.
        volumes: (V, S, 3, edge, edge) uint8: slabs of volumes; V may be 0.
        options: See there.
        device: Where to compute; the CPU if None.
        checkpoint: File that is written after each epoch, and that a stopped run goes on from.
        tell: Called with a line after each epoch.

    Returns:
        The teacher, and seconds in all.
    """
    device = device or torch.device("cpu")
    torch.manual_seed(options.seed)
    student = _Student(net, options.dim).to(device)
    teacher = copy.deepcopy(student)
    steps = max(1, (len(grey) + len(volumes)) // options.batch)
    optimiser = torch.optim.AdamW(student.parameters(), options.rate, weight_decay=options.decay)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimiser, lambda s: rate(s, steps * options.epochs)
    )
    parts: dict[str, Any] = {"student": student, "teacher": teacher}
    parts |= {"optimiser": optimiser, "schedule": schedule}
    done, spent = resume(checkpoint, parts, asdict(options))
    for epoch in range(done, options.epochs):
        begun = time.monotonic()
        draw = torch.Generator().manual_seed(options.seed * 1000 + epoch)
        torch.manual_seed(options.seed * 1000 + epoch)
        told = np.zeros(2)
        student.train()
        _fixed(teacher)
        for step, slabs in enumerate(_batches(grey, volumes, options.batch, draw)):
            losses = _losses(student, teacher, slabs, options, draw, device)
            loss = options.masked * losses[0] + options.distilled * losses[1]
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_(student.parameters(), 3.0)
            optimiser.step()
            schedule.step()
            done_share = (epoch * steps + step) / (steps * options.epochs)
            keep = 1 - (1 - options.teacher) * (math.cos(math.pi * done_share) + 1) / 2
            _follow(teacher, student, keep)
            told += [float(v.detach()) for v in losses]
        spent += time.monotonic() - begun
        masked, distilled = told / steps
        tell(
            f"pre-training, epoch {epoch + 1} of {options.epochs}: masked {masked:.3f}, "
            f"distilled {distilled:.3f}, {spent:.0f} s"
        )
        save(checkpoint, parts, asdict(options), epoch + 1, spent)
    return teacher.net.eval(), spent


def _batches(
    grey: NDArray[np.uint8], volumes: NDArray[np.uint8], size: int, draw: torch.Generator
) -> Iterator[list[Tensor]]:
    """(B, 1, edge, edge) of images and (B', 3, edge, edge) of volumes in 0..1, of each step."""
    count = len(grey) + len(volumes)
    order = torch.randperm(count, generator=draw).numpy()
    for begin in range(0, max(1, count - size + 1), size):
        rows = order[begin : begin + size]
        flat = grey[rows[rows < len(grey)]][:, None]
        deep = volumes[rows[rows >= len(grey)] - len(grey)]
        which = torch.randint(volumes.shape[1], (len(deep),), generator=draw).numpy()
        some = (flat, deep[np.arange(len(deep)), which])
        yield [torch.from_numpy(part).float() / 255 for part in some if len(part)]


def _losses(
    student: _Student,
    teacher: _Student,
    slabs: list[Tensor],
    options: PretrainOptions,
    draw: torch.Generator,
    device: torch.device,
) -> tuple[Tensor, Tensor]:
    """Of the masked autoencoder and of distillation."""

    def viewed(edge: int, shares: tuple[float, float]) -> list[Tensor]:
        return [view(s, edge, shares, draw).to(device).expand(-1, DEPTH, -1, -1) for s in slabs]

    edge = student.net.size.edge
    first, second, small = viewed(edge, _LARGE), viewed(edge, _LARGE), viewed(edge // 2, _SMALL)
    rows = drawn_rows(sum(map(len, slabs)), student.net.side**2, options.hidden, draw).to(device)
    with torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda"):
        with torch.no_grad():
            target = teacher(first)
        masked = masked_patches(student.net, student.decoder, first, rows)
        distilled = self_distillation([student(second), student(small)], target)
    return masked, distilled


def _fixed(teacher: nn.Module) -> None:
    """No dropout; batch norm as in training, which also keeps its running figures right."""
    teacher.eval()
    for module in teacher.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.train()


@torch.no_grad()
def _follow(teacher: nn.Module, student: nn.Module, keep: float) -> None:
    for old, new in zip(teacher.parameters(), student.parameters(), strict=True):
        old.lerp_(new, 1 - keep)
