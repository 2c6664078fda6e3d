"""Visual tokens that cover a question and the picture best: MMTok.

Source: doi 10.48550/arXiv.2508.18264. A set of tokens covers a word, or another token, as well as
its member that is most like it does; the greedy choice covers at least 1 - 1/e of what the best set
would, since coverage is submodular (doi 10.1007/BF01588971). Nothing is trained.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

_VISUAL = 0.5  # what covering the picture counts against covering the words
_TEXT_HEAT, _PICTURE_HEAT = 0.02, 0.2


def likeness(words: Tensor, projected: Tensor, features: Tensor) -> Tensor:
    """(M + N, N): how well each token alone covers each word and each token.

    Args:
        words: (M, D) of the question.
        projected: (N, D) tokens where the words are.
        features: (N, E) the same tokens, as the picture's encoder gives them.
    """
    z, x, seen = (functional.normalize(t.float(), dim=-1) for t in (words, projected, features))
    asked = (z @ x.T / _TEXT_HEAT).softmax(1) / max(1, len(z))
    alike = (seen @ seen.T / _PICTURE_HEAT).softmax(1) / len(seen)
    return torch.cat([asked, _VISUAL * alike])


def covering(rows: Tensor, count: int) -> Tensor:
    """(count,) tokens, ascending, chosen one by one for what each adds to the coverage.

    Args:
        rows: (R, N), not negative: how well each token covers each row.
        count: At most N.
    """
    best = rows.new_zeros(len(rows), 1)
    free = torch.ones(rows.shape[1], dtype=torch.bool, device=rows.device)
    chosen = []
    for _ in range(count):
        gain = (rows - best).clamp_min(0).sum(0).masked_fill(~free, -1)
        token = int(gain.argmax())
        chosen.append(token)
        free[token] = False
        best = torch.maximum(best, rows[:, token : token + 1])
    return torch.tensor(sorted(chosen), dtype=torch.long, device=rows.device)
