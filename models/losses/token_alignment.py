"""MGCA's token loss: words find their patches, patches their words, inside one pair.

Source: doi 10.48550/arXiv.2210.06044.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

_TEMPERATURE = 0.1


def token_alignment(patches: Tensor, words: Tensor, there: Tensor, weights: Tensor) -> Tensor:
    """Mean loss of B pairs, both directions added.

    Args:
        patches: (B, P, dim) of length 1.
        words: (B, W, dim) of length 1.
        there: (B, W) bool: whether there is a word.
        weights: (B, W) how much a word counts, 0 where there is none.
    """
    alike = words @ patches.transpose(1, 2) / _TEMPERATURE  # (B, W, P)
    weights = _clipped(weights.detach(), there)
    seen = functional.normalize(alike.softmax(2) @ patches, dim=-1)
    by_word = _paired(words, seen, there) * weights
    back = alike.transpose(1, 2).masked_fill(~there[:, None], -torch.inf).softmax(2)
    said = functional.normalize(back @ words, dim=-1)
    all_there = torch.ones(patches.shape[:2], dtype=torch.bool, device=patches.device)
    by_patch = _paired(patches, said, all_there) / patches.shape[1]
    return (by_word.sum(1) + by_patch.sum(1)).mean()


def _paired(own: Tensor, attended: Tensor, there: Tensor) -> Tensor:
    """(B, N) cross entropy of each row with its own attended vector, both ways averaged."""
    logits = own @ attended.transpose(1, 2) / _TEMPERATURE
    hidden = logits.new_tensor(-1e4)
    aim = torch.arange(own.shape[1], device=own.device).expand(own.shape[:2])
    out = []
    for side in (logits, logits.transpose(1, 2)):
        side = torch.where(there[:, None], side, hidden)
        out.append(functional.cross_entropy(side.transpose(1, 2), aim, reduction="none"))
    return torch.where(there, (out[0] + out[1]) / 2, 0.0)


def _clipped(weights: Tensor, there: Tensor) -> Tensor:
    """Weights within the 10 % and 90 % quantiles of their text, with a sum of 1."""
    known = weights.masked_fill(~there, torch.nan)
    low, high = (torch.nanquantile(known, q, dim=1, keepdim=True) for q in (0.1, 0.9))
    kept = torch.where(there, weights.clamp(low, high), 0.0)
    return kept / kept.sum(1, keepdim=True).clamp(min=1e-8)
