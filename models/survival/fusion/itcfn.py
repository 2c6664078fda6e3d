"""Absent modalities made from those that are there, then co-attention (ITCFN, arXiv 2501.11276).

Each modality is embedded (B, D). The embedding of one that is absent is the mean of what linear
maps make of the others, learned where both are known. A query made of all embeddings asks the
tokens of each modality (a made one is its own only token); [embedding, what was taken] of all give
hazards. Besides the likelihood: the error of the maps, and similarity-distribution matching (SDM):
embeddings of patients of one class, interval and event, shall be alike across modalities.

Apart from the published, which is for two scans and nine clinical values and makes a whole PET
scan from MRI by a VQ-GAN: what is made is the embedding; classes are intervals and events instead
of diagnoses and the focal loss is the likelihood; gated attention for the channel self-attention,
no DenseNet.
"""

from __future__ import annotations

from itertools import combinations

import torch
from torch import Tensor, nn

from mmtool.models.survival.fusion.late import mean_over
from mmtool.models.survival.network.hazard_net import Fused, HazardNet, Layout, present
from mmtool.models.survival.network.hazards import nll
from mmtool.models.survival.network.layers import Attention, ByName, Embed, GatedPool, dense
from mmtool.models.survival.network.tokens import Parts

MAKE = 0.1  # weight of the maps' error
MATCH = 0.01  # weight of SDM, as published
SCALE = 2.0  # of cosine similarities, as published


class Network(HazardNet):
    """Embeddings, maps between them, co-attention, hazards."""

    def __init__(self, layout: Layout, bins: int, dim: int, dropout: float) -> None:
        super().__init__(layout, bins)
        names = [s.name for s in layout]
        self.embed = ByName({s.name: Embed(s, dim, dropout) for s in layout})
        self.pool = ByName({name: GatedPool(dim, dropout) for name in names})
        self.make = nn.ModuleList(nn.ModuleList(nn.Linear(dim, dim) for _ in names) for _ in names)
        self.query = nn.Linear(dim * len(names), dim)
        self.ask = ByName({name: Attention(dim, heads=4) for name in names})
        self.join = ByName({name: dense(2 * dim, dim, dropout) for name in names})
        self.mix = dense(dim * len(names), dim, dropout)
        self.head = nn.Linear(dim, bins)

    def forward(self, parts: Parts) -> Fused:
        """See :class:`HazardNet`; of the trace ``known`` and ``made`` are (B, M, D)."""
        there = present(parts, self.layout)
        tokens = {s.name: self.embed[s.name](parts[s.name]) for s in self.layout}
        known = torch.stack([self.pool[n](x, parts[n].mask)[0] for n, x in tokens.items()], dim=1)
        made = self._made(known, there)
        said = torch.where(there[..., None], known, made)
        query = self.query(said.flatten(1))[:, None]
        out = []
        for m, (name, x) in enumerate(tokens.items()):
            lone = ~there[:, m : m + 1]
            context = torch.cat([said[:, m : m + 1], x], dim=1)
            mask = torch.cat([lone, parts[name].mask], dim=1)
            taken, _ = self.ask[name](query, context, mask)
            out.append(self.join[name](torch.cat([said[:, m], taken[:, 0]], dim=1)))
        fused = self.mix(torch.cat(out, dim=1))
        alone = {s.name: said[:, m] for m, s in enumerate(self.layout)}
        trace = {"known": known, "made": made, "present": there}
        return Fused(self.head(fused), alone, trace)

    def _made(self, known: Tensor, there: Tensor) -> Tensor:
        """(B, M, D) what the other modalities make of each; 0 where there is no other."""
        out = []
        for m in range(len(self.layout)):
            others = there.clone()
            others[:, m] = False
            maps = [self.make[m][n](known[:, n]) for n in range(len(self.layout))]  # type: ignore[index]
            out.append(mean_over(torch.stack(maps, dim=1), others))
        return torch.stack(out, dim=1)

    def loss(self, fused: Fused, label: Tensor, event: Tensor) -> Tensor:
        """(B,) likelihood, error of the maps, SDM."""
        known, made, there = (fused.trace[k] for k in ("known", "made", "present"))
        both = there & (there.sum(dim=1, keepdim=True) > 1)
        error = mean_over((made - known.detach()).square().mean(dim=2), both)
        total = nll(fused.logits, label, event) + MAKE * error
        kinds = label * 2 + event.long()
        pairs = list(combinations(range(known.shape[1]), 2))
        for m, n in pairs:
            rows = (there[:, m] & there[:, n]).nonzero()[:, 0]
            if len(rows) > 1:
                matched = sdm(known[rows, m], known[rows, n], kinds[rows])
                total = total.index_add(0, rows, MATCH / len(pairs) * matched)
        return total


def sdm(a: Tensor, b: Tensor, kinds: Tensor) -> Tensor:
    """(B,) divergence of who is alike, across two embeddings, from who is of one class.

    Args:
        a: (B, D).
        b: (B, D).
        kinds: (B,) class of each patient.
    """
    a, b = (x / x.norm(dim=1, keepdim=True).clamp(min=1e-8) for x in (a, b))
    same = (kinds[:, None] == kinds[None, :]).to(a.dtype)
    wanted = same / same.sum(dim=1, keepdim=True)
    out = torch.zeros(len(a), device=a.device)
    for similarity in (SCALE * a @ b.T, SCALE * b @ a.T):
        log_p = similarity.log_softmax(dim=1)
        out = out + (log_p.exp() * (log_p - (wanted + 1e-8).log())).sum(dim=1)
    return out / 2
