"""TITAN: a receptor and an epitope, each read in the other's light, to the odds of binding.

The bimodal network with multi-scale convolutions and context attention of Weber, Born and
Rodriguez Martinez 2021 (https://doi.org/10.1093/bioinformatics/btab294), made anew. Two things
differ: padding gets no attention, and each sequence is encoded once however many it is paired with.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

from mmtool.models.attention.context import ContextAttention
from mmtool.models.tcr.titan_input import residue_features


@dataclass(frozen=True)
class TitanSize:
    """How large a network is.

    Attributes:
        letters: Number of distinct epitope tokens, padding (0) among them.
        embedding: Channels of an epitope token.
        receptor_length, epitope_length: Most tokens of each.
        kernels: Widths of the convolutions, in tokens, odd.
        filters: Of each convolution.
        attention: Channels in which the sequences meet.
        dense: Widths of the layers behind.
        dropout: Share dropped, in convolutions and behind.
    """

    letters: int
    receptor_length: int
    epitope_length: int
    embedding: int = 32
    kernels: tuple[int, ...] = (3, 7, 13)
    filters: int = 32
    attention: int = 32
    dense: tuple[int, ...] = (128, 64)
    dropout: float = 0.3


class Encoded(NamedTuple):
    """N encoded sequences of one side, for each of S scales.

    Attributes:
        tokens: S tensors (N, T, channels).
        keys: S tensors (N, T, attention), the own half of the attention.
        asks: S tensors (N, T', attention), the half that this side gives to the other's.
        mask: (N, T) bool, True for real tokens.
    """

    tokens: tuple[Tensor, ...]
    keys: tuple[Tensor, ...]
    asks: tuple[Tensor, ...]
    mask: Tensor

    def take(self, rows: Tensor) -> Encoded:
        """Some of the sequences, or some of them several times."""
        return Encoded(
            tuple(t[rows] for t in self.tokens),
            tuple(k[rows] for k in self.keys),
            tuple(a[rows] for a in self.asks),
            self.mask[rows],
        )


class Pairs(NamedTuple):
    """What the network says of P pairs.

    Attributes:
        logit: (P,) log odds at the ratio of positives to negatives in training.
        receptor: (P, T) weight of each receptor token, mean of the scales, sums to 1.
        epitope: (P, T') weight of each epitope token.
    """

    logit: Tensor
    receptor: Tensor
    epitope: Tensor


class MultiScale(nn.Module):
    """Convolutions of several widths side by side; the tokens themselves are the first scale."""

    def __init__(self, channels: int, size: TitanSize) -> None:
        super().__init__()
        self.widths = (channels, *(size.filters for _ in size.kernels))
        self.convolutions = nn.ModuleList(
            nn.Conv1d(channels, size.filters, kernel, padding=kernel // 2)
            for kernel in size.kernels
        )
        self.norms = nn.ModuleList(nn.BatchNorm1d(size.filters) for _ in size.kernels)
        self.dropouts = nn.ModuleList(SharedDropout(size.dropout) for _ in size.kernels)

    def forward(self, x: Tensor, mask: Tensor) -> tuple[Tensor, ...]:
        """(N, T, channels), 0 at padding, to one (N, T, width) for each scale."""
        across = x.transpose(1, 2)
        scales = [x]
        layers = zip(self.convolutions, self.dropouts, self.norms, strict=True)
        for convolution, dropout, norm in layers:
            dropped = dropout(convolution(across).relu())
            scales.append(norm(dropped).transpose(1, 2) * mask[..., None])
        return tuple(scales)


class SharedDropout(nn.Module):
    """Dropout; while sampling, the same channels for all rows until the next draw.

    So a network with some channels dropped judges each row as if it stood alone.
    """

    def __init__(self, share: float) -> None:
        super().__init__()
        self.share = share
        self.generator: torch.Generator | None = None
        self.kept: Tensor | None = None

    def sample(self, generator: torch.Generator | None) -> None:
        """Draw anew at the next call; None ends the sampling."""
        self.generator, self.kept = generator, None

    def forward(self, x: Tensor) -> Tensor:
        """Drop values of (N, C, ...), or, while sampling, whole channels C of all rows alike."""
        if self.generator is None:
            return nn.functional.dropout(x, self.share, self.training)
        if self.kept is None:
            keep = torch.rand(x.shape[1], generator=self.generator) >= self.share
            self.kept = (keep / (1 - self.share)).to(x.device, x.dtype)
        return x * self.kept.reshape(-1, *(1 for _ in x.shape[2:]))


class Side(nn.Module):
    """Encoder of one side, and its halves of the attention in both directions.

    Args:
        channels: Of this side's tokens.
        widths: Channels of each scale of the other side.
        lengths: Most tokens of this side, and of the other.
        size: Of the network.
    """

    def __init__(
        self, channels: int, widths: tuple[int, ...], lengths: tuple[int, int], size: TitanSize
    ) -> None:
        super().__init__()
        self.scales = MultiScale(channels, size)
        self.attention = nn.ModuleList(
            ContextAttention(own, other, *lengths, size.attention)
            for own, other in zip(self.scales.widths, widths, strict=True)
        )

    def by_scale(self) -> list[ContextAttention]:
        """The attention of each scale."""
        return [layer for layer in self.attention if isinstance(layer, ContextAttention)]


class Titan(nn.Module):
    """Log odds that a receptor binds an epitope."""

    residues: Tensor

    def __init__(self, size: TitanSize) -> None:
        super().__init__()
        self.size = size
        scales = [size.filters] * len(size.kernels)
        features = residue_features()
        widths = (features.shape[1], *scales), (size.embedding, *scales)
        lengths = size.receptor_length, size.epitope_length
        self.register_buffer("residues", features, persistent=False)
        self.letters = nn.Embedding(size.letters, size.embedding, padding_idx=0)
        self.epitope = Side(size.embedding, widths[0], lengths[::-1], size)
        self.receptor = Side(features.shape[1], widths[1], lengths, size)
        width = sum(widths[0]) + sum(widths[1])
        layers: list[nn.Module] = [nn.BatchNorm1d(width)]
        for out in size.dense:
            layers += [nn.Linear(width, out), nn.BatchNorm1d(out), nn.ReLU()]
            layers += [SharedDropout(size.dropout)]
            width = out
        self.dense = nn.ModuleList([*layers, nn.Linear(width, 1)])

    def encode_receptors(self, codes: Tensor) -> Encoded:
        """Receptors by themselves.

        Args:
            codes: (N, T) integer, 0 at padding; T at most the length.
        """
        features = nn.functional.embedding(codes.long(), self.residues)
        return self._encode(self.receptor, self.epitope, features, codes != 0)

    def encode_epitopes(self, tokens: Tensor) -> Encoded:
        """Epitopes by themselves.

        Args:
            tokens: (N, T') long, 0 at padding; T' at most the length.
        """
        return self._encode(self.epitope, self.receptor, self.letters(tokens), tokens != 0)

    def _encode(self, own: Side, other: Side, x: Tensor, mask: Tensor) -> Encoded:
        scales = own.scales(x, mask)
        keys = [a.keys(x) for a, x in zip(own.by_scale(), scales, strict=True)]
        asks = [
            a.asks(x, mask, a.over_time.out_features)
            for a, x in zip(other.by_scale(), scales, strict=True)
        ]
        return Encoded(scales, tuple(keys), tuple(asks), mask)

    def forward(self, receptors: Encoded, epitopes: Encoded) -> Pairs:
        """Judge P pairs: receptor p with epitope p."""
        of_receptor, receptor = _pool(self.receptor, receptors, epitopes)
        of_epitope, epitope = _pool(self.epitope, epitopes, receptors)
        x = torch.cat([of_epitope, of_receptor], 1)
        for layer in self.dense:
            x = layer(x)
        return Pairs(x[:, 0], receptor, epitope)

    def sample_dropout(self, generator: torch.Generator | None) -> None:
        """Drop channels drawn from a generator in evaluation too; None ends it.

        Of each layer the same channels are dropped for all rows of a pass (Monte Carlo dropout,
        https://arxiv.org/abs/1506.02142).
        """
        for module in self.modules():
            if isinstance(module, SharedDropout):
                module.sample(generator)

    def free(self, tensors: int) -> None:
        """Train the last tensors only: those of the dense layers first, then the receptor's side,
        then the epitope's ("semi-frozen").
        """
        sides = (self.letters, self.epitope, self.receptor, self.dense)
        parameters = [p for side in sides for p in side.parameters()]
        for place, parameter in enumerate(reversed(parameters)):
            parameter.requires_grad_(place < tensors)


def _pool(side: Side, own: Encoded, other: Encoded) -> tuple[Tensor, Tensor]:
    """(P, sum of widths) pooled tokens of one side, and (P, T) mean weights of the scales."""
    pooled, weights = [], []
    for number, attention in enumerate(side.by_scale()):
        asks = other.asks[number][:, : own.mask.shape[1]]
        weight = attention.weights(own.keys[number], asks, own.mask)
        pooled.append(torch.einsum("pt,ptc->pc", weight, own.tokens[number]))
        weights.append(weight)
    return torch.cat(pooled, 1), torch.stack(weights).mean(0)
