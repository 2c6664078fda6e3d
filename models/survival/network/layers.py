"""Parts of networks that never look at masked tokens, and stay finite where all are masked."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from mmtool.models.survival.network.tokens import Part, Shape

_NEVER = -1e9


def masked_softmax(logits: Tensor, mask: Tensor) -> Tensor:
    """Softmax over the last axis; 0 where masked, rows of zeros where all are."""
    return logits.masked_fill(~mask, _NEVER).softmax(dim=-1) * mask


def masked_mean(x: Tensor, mask: Tensor) -> Tensor:
    """(B, D) mean of (B, T, D) over the tokens of (B, T); 0 where there is none."""
    weight = mask.to(x.dtype)[..., None]
    return (x * weight).sum(dim=1) / weight.sum(dim=1).clamp(min=1)


class ByName(nn.Module):
    """Modules under names of any kind; torch's own dictionary refuses dots and words of its own.

    Args:
        modules: Name -> module.
    """

    def __init__(self, modules: Mapping[str, nn.Module]) -> None:
        super().__init__()
        self.places = {name: i for i, name in enumerate(modules)}
        self.inside = nn.ModuleList(modules.values())

    def __getitem__(self, name: str) -> nn.Module:
        """The module of a name."""
        return self.inside[self.places[name]]


class Embed(nn.Module):
    """Tokens of a modality, (B, T, W) to (B, T, D): own weights for each, shared ones for tiles.

    Omics go through a self-normalising layer (ELU and alpha dropout: Klambauer et al.,
    arXiv 1706.02515), the others through ReLU and dropout.

    Args:
        shape: Of the modality.
        dim: D.
        dropout: Share.
    """

    def __init__(self, shape: Shape, dim: int, dropout: float) -> None:
        super().__init__()
        count = max(shape.tokens, 1)
        self.weight = nn.Parameter(torch.randn(count, shape.width, dim) / math.sqrt(shape.width))
        self.bias = nn.Parameter(torch.zeros(count, dim))
        normalising = shape.kind == "omics"
        self.after = (
            nn.Sequential(nn.ELU(), nn.AlphaDropout(dropout))
            if normalising
            else nn.Sequential(nn.ReLU(), nn.Dropout(dropout))
        )

    def forward(self, part: Part) -> Tensor:
        """(B, T, D), 0 where masked."""
        if len(self.weight) == 1:
            x = part.x @ self.weight[0]
        else:
            x = torch.einsum("btw,twd->btd", part.x, self.weight)
        out: Tensor = self.after(x + self.bias) * part.mask[..., None]
        return out


class Attention(nn.Module):
    """Attention with explicit weights.

    Args:
        dim: D.
        heads: Number of heads.
    """

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query, self.key = nn.Linear(dim, dim), nn.Linear(dim, dim)
        self.value, self.out = nn.Linear(dim, dim), nn.Linear(dim, dim)

    def forward(self, query: Tensor, context: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """What each query takes from the context.

        Args:
            query: (B, N, D).
            context: (B, M, D).
            mask: (B, M) bool, tokens of the context.

        Returns:
            (B, N, D), 0 where there is no context, and (B, heads, N, M) weights.
        """
        q, k, v = (
            layer(x).unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for layer, x in ((self.query, query), (self.key, context), (self.value, context))
        )
        logits = q @ k.transpose(-1, -2) / math.sqrt(q.shape[-1])
        weights = masked_softmax(logits, mask[:, None, None, :])
        out = self.out((weights @ v).transpose(1, 2).flatten(-2))
        return out * mask.any(dim=1)[:, None, None], weights


class Encoder(nn.Module):
    """Transformer layers with the norm first.

    Args:
        dim: D.
        layers: Number.
        heads: Number.
        dropout: Share.
    """

    def __init__(self, dim: int, layers: int, heads: int = 4, dropout: float = 0.25) -> None:
        super().__init__()
        self.attend = nn.ModuleList(Attention(dim, heads) for _ in range(layers))
        self.feed = nn.ModuleList(feed_forward(dim, nn.ReLU()) for _ in range(layers))
        self.norm = nn.ModuleList(nn.LayerNorm(dim) for _ in range(layers))
        self.last = nn.LayerNorm(dim)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """(B, T, D) of (B, T, D) and (B, T); 0 where masked."""
        for attend, feed, norm in zip(self.attend, self.feed, self.norm, strict=True):
            y = norm(x)
            x = x + self.dropout(attend(y, y, mask)[0])
            x = x + self.dropout(feed(x))
        out: Tensor = self.last(x) * mask[..., None]
        return out


class GatedPool(nn.Module):
    """Gated attention over a set (Ilse et al., arXiv 1802.04712).

    Args:
        dim: D.
        dropout: Share.
    """

    def __init__(self, dim: int, dropout: float) -> None:
        super().__init__()
        self.content = nn.Sequential(nn.Linear(dim, dim), nn.Tanh(), nn.Dropout(dropout))
        self.gate = nn.Sequential(nn.Linear(dim, dim), nn.Sigmoid(), nn.Dropout(dropout))
        self.score = nn.Linear(dim, 1)

    def forward(self, x: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """(B, D) and (B, T) weights of (B, T, D) and (B, T); 0 of an empty set."""
        weights = masked_softmax(self.score(self.content(x) * self.gate(x))[..., 0], mask)
        return (weights[..., None] * x).sum(dim=1), weights


def dense(inside: int, outside: int, dropout: float) -> nn.Sequential:
    """Linear, ReLU, dropout."""
    return nn.Sequential(nn.Linear(inside, outside), nn.ReLU(), nn.Dropout(dropout))


def feed_forward(dim: int, between: nn.Module) -> nn.Sequential:
    """Norm, and two layers with twice the width between them."""
    return nn.Sequential(
        nn.LayerNorm(dim), nn.Linear(dim, 2 * dim), between, nn.Linear(2 * dim, dim)
    )


def joined(parts: Sequence[Tensor], masks: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """Tokens of several modalities as one set: (B, T, D) and (B, T)."""
    return torch.cat(list(parts), dim=1), torch.cat(list(masks), dim=1)
