"""Cross attention of words over patches, regulated over a few steps, to one similarity.

RCAR (Diao et al. 2023, doi 10.1109/TIP.2023.3266887), built on the attention of SCAN (doi
10.1007/978-3-030-01225-0_13). The correspondence regulator reads how a word and what it attended
to agree, and gives the word's temperature and a factor for each channel for the next look. The
aggregation regulator reads the aggregate and each word's agreement, and weighs the words anew. With
no steps of either, the similarity is the plain one: the mean over words of the cosine of a word and
what it attends to.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from mmtool.models.retrieval.standard import Standard

_HEAT = 9.0  # of the first look, as SCAN's
_GROUP = 16  # texts that are scored together


@dataclass(frozen=True)
class RegulatorSize:
    """Sizes of the regulators.

    Attributes:
        part_dim: Of a patch and of a word, as they come.
        width: Of both, after a linear map that is learned.
        hidden: Of the regulators.
        looks: Steps of the correspondence regulator.
        weighings: Steps of the aggregation regulator.
    """

    part_dim: int = 48
    width: int = 48
    hidden: int = 24
    looks: int = 1
    weighings: int = 1


class Regulated(NamedTuple):
    """Of T texts and I pictures.

    Attributes:
        similarity: (T, I).
        attention: (I, N, P): shares of the patches of each of the N words of all texts, of the last
            look.
        weights: (I, N): shares of the words in their texts.
    """

    similarity: Tensor
    attention: Tensor
    weights: Tensor


class Regulators(nn.Module):
    """Both regulators; untrained they change nothing."""

    def __init__(self, size: RegulatorSize) -> None:
        super().__init__()
        self.size = size
        self.picture, self.word = _side(size), _side(size)
        self.heat = nn.Parameter(torch.tensor(math.log(_HEAT)))
        self.look = _regulator(size.width, size.hidden, 1 + size.width)
        self.weigh = _regulator(2 * size.width, size.hidden, 1)

    def forward(self, words: Tensor, there: Tensor, patches: Tensor) -> Regulated:
        """Score every text with every picture.

        Args:
            words: (T, W, part_dim).
            there: (T, W) bool: whether there is a word; at least one in each text.
            patches: (I, P, part_dim).
        """
        words = functional.normalize(self.word(words[there]), dim=-1)  # (N, D): of all texts
        patches = functional.normalize(self.picture(patches), dim=-1)  # (I, P, D)
        text = there.nonzero()[:, 0]  # (N,) of each word
        heat: Tensor = self.heat.exp()
        asked = words.expand(len(patches), -1, -1)  # (I, N, D)
        for step in range(self.size.looks + 1):
            attention = (heat * (asked @ patches.transpose(1, 2))).softmax(-1)  # (I, N, P)
            agreement = words * functional.normalize(attention @ patches, dim=-1)
            if step < self.size.looks:
                said = self.look(agreement)
                heat = self.heat.exp() * functional.softplus(said[..., :1]) / math.log(2)
                asked = words * (1 + said[..., 1:].tanh())
        weights = (1 / there.sum(1))[text].expand(len(patches), -1)  # (I, N)
        whole = _by_text(weights, agreement, text, len(there))
        for _ in range(self.size.weighings):
            scores = self.weigh(torch.cat([whole.index_select(1, text), agreement], -1))[..., 0]
            weights = _softmax(scores, there)
            whole = _by_text(weights, agreement, text, len(there))
        return Regulated(whole.sum(-1).T, attention, weights)

    def fit(self, words: Tensor, patches: Tensor) -> None:
        """Take the means and spreads of words and of patches, (N, part_dim) each."""
        for side, rows in ((self.word, words), (self.picture, patches)):
            standard = side[0]
            assert isinstance(standard, Standard)
            standard.fit(rows)

    @torch.inference_mode()
    def similarities(self, words: Tensor, there: Tensor, patches: Tensor) -> Tensor:
        """(T, I) of many, a few texts at a time; arguments as of `forward`."""
        parts = zip(torch.split(words, _GROUP), torch.split(there, _GROUP), strict=True)
        return torch.cat([self(w, t, patches).similarity for w, t in parts])


def plain_similarity(words: Tensor, there: Tensor, patches: Tensor, heat: float = _HEAT) -> Tensor:
    """(T, I): mean over words of the cosine of a word and what it attends to; no step of either.

    Args:
        words: (T, W, D) of length 1.
        there: (T, W) bool.
        patches: (I, P, D) of length 1.
        heat: What cosines are multiplied with before the softmax over patches.
    """
    attention = (heat * torch.einsum("twd,ipd->tiwp", words, patches)).softmax(-1)
    attended = functional.normalize(torch.einsum("tiwp,ipd->tiwd", attention, patches), dim=-1)
    cosines = torch.einsum("twd,tiwd->tiw", words, attended)
    return (cosines * there[:, None]).sum(2) / there.sum(1)[:, None]


def hardest_hinge(similarity: Tensor, same: Tensor, margin: float, hardest: bool = True) -> Tensor:
    """Hinge of each pair against its hardest negative, both ways (doi 10.48550/arXiv.1707.05612).

    Args:
        similarity: (B, B) of texts and pictures; the pairs lie on the diagonal.
        same: (B, B) bool: which belong together, and are no negatives of each other.
        margin: By which a pair shall be ahead.
        hardest: Or else the mean over all negatives.
    """
    own = similarity.diagonal()
    lost = []
    for rows in (similarity, similarity.T):
        behind = (margin + rows - own[:, None]).clamp(min=0).masked_fill(same, 0)
        lost.append(behind.amax(1) if hardest else behind.sum(1) / (~same).sum(1).clamp(min=1))
    return (lost[0] + lost[1]).mean()


def _side(size: RegulatorSize) -> nn.Sequential:
    linear = nn.Linear(size.part_dim, size.width, bias=False)
    start = nn.init.orthogonal_ if size.part_dim != size.width else nn.init.eye_
    start(linear.weight)
    return nn.Sequential(Standard(size.part_dim), linear)


def _by_text(weights: Tensor, agreement: Tensor, text: Tensor, count: int) -> Tensor:
    """(I, T, D): weighed sums of (I, N, D) over the words of each text."""
    whole = agreement.new_zeros(len(agreement), count, agreement.shape[-1])
    return whole.index_add(1, text, weights[..., None] * agreement)


def _softmax(scores: Tensor, there: Tensor) -> Tensor:
    """(I, N) shares within each text, of (I, N) scores of the words that are ``there``."""
    place = there.flatten().nonzero()[:, 0]
    padded = scores.new_full((len(scores), there.numel()), -torch.inf)
    filled = padded.index_copy(1, place, scores).view(len(scores), *there.shape)
    shares: Tensor = filled.softmax(-1).flatten(1).index_select(1, place)
    return shares


def _regulator(before: int, hidden: int, after: int) -> nn.Sequential:
    last = nn.Linear(hidden, after)
    nn.init.zeros_(last.weight)
    nn.init.zeros_(last.bias)
    return nn.Sequential(nn.LayerNorm(before), nn.Linear(before, hidden), nn.Tanh(), last)
