"""The shape of a fusion network: tokens in, hazards out."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from mmtool.errors import UsageError
from mmtool.models.survival.network.hazards import nll
from mmtool.models.survival.network.tokens import Parts, Shape

_METHODS = "mmtool.models.survival.fusion"
Layout = tuple[Shape, ...]


@dataclass(frozen=True)
class Fused:
    """What a network says of B patients.

    Attributes:
        logits: (B, K) of the hazard of each interval.
        parts: Modality -> (B, D) what its encoder says of it alone, where a method has that.
        trace: Name -> attention, transport plan, logits after each step, ...; first axis B.
    """

    logits: Tensor
    parts: Mapping[str, Tensor] = field(default_factory=dict)
    trace: Mapping[str, Tensor] = field(default_factory=dict)


class HazardNet(nn.Module):
    """Base of the fusion networks.

    Attributes:
        stages: Names of the rounds of training, in order; `stage` is the one that runs.
        head: The last layer, from what is fused to (B, K).

    Args:
        layout: The modalities.
        bins: K.
    """

    stages: tuple[str, ...] = ("whole",)
    head: nn.Linear

    def __init__(self, layout: Layout, bins: int) -> None:
        super().__init__()
        self.layout = layout
        self.bins = bins
        self.stage = self.stages[-1]

    @classmethod
    def uses(cls, shape: Shape) -> bool:
        """Whether the method looks at a modality at all."""
        del shape
        return True

    def seen(self) -> tuple[list[str], list[str]]:
        """Modalities whose tokens ask, and those whose tokens are seen, of a map of attention."""
        return [], [shape.name for shape in self.layout]

    def begin(self, stage: str) -> None:
        """Called before each round of training."""
        self.stage = stage

    def finish(self, parts: Parts, label: Tensor, event: Tensor) -> None:
        """Called once after training, with the patients that stopped it."""
        del parts, label, event

    def forward(self, parts: Parts) -> Fused:
        """Hazards of the patients of ``parts``, which holds every modality of the layout."""
        raise NotImplementedError

    def loss(self, fused: Fused, label: Tensor, event: Tensor) -> Tensor:
        """(B,) what training makes small; see :func:`nll`."""
        return nll(fused.logits, label, event)


def present(parts: Parts, layout: Layout) -> Tensor:
    """(B, M) bool, which modalities each patient has."""
    return torch.stack([parts[shape.name].present for shape in layout], dim=1)


def sides(layout: Layout) -> tuple[list[str], list[str]]:
    """Modalities that ask and those that are asked, for methods of two sides.

    Images are asked by all others. Without an image, the first modality is asked by the rest, and
    one alone by itself.
    """
    asked = [s.name for s in layout if s.kind in ("image", "bag")]
    if not asked or len(asked) == len(layout):
        asked = [layout[0].name]
    asking = [s.name for s in layout if s.name not in asked]
    return asking or asked, asked


def methods() -> tuple[str, ...]:
    """Names of the methods: the files of their folder."""
    package = importlib.import_module(_METHODS)
    return tuple(sorted(m.name.replace("_", "-") for m in pkgutil.iter_modules(package.__path__)))


def network_class(method: str) -> type[HazardNet]:
    """The network of a method.

    Raises:
        UsageError: There is none of that name.
    """
    if method not in methods():
        raise UsageError(f"no network '{method}'", f"there are {', '.join(methods())}")
    module = importlib.import_module(f"{_METHODS}.{method.replace('-', '_')}")
    found: type[HazardNet] = module.Network
    return found


def build(
    method: str, layout: Layout, bins: int, dim: int = 64, dropout: float = 0.25
) -> HazardNet:
    """An untrained network of a method.

    Args:
        method: Of :func:`methods`.
        layout: Modalities that it uses, at least one.
        bins: K.
        dim: Width D inside.
        dropout: Share.
    """
    return network_class(method)(layout, bins, dim, dropout)  # type: ignore[call-arg]
