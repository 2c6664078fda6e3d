"""Molecules and their descriptions in one space: found by words, and described by neighbours.

After MolFM (doi 10.48550/arXiv.2307.09484) and Text2Mol (doi 10.18653/v1/2021.emnlp-main.47). A
molecule is a weighted sum of its hashed fragments and counts, and what message passing over its
graph adds; a text is a weighted sum of its hashed words and groups of letters. The sums start as
the directions that correlate best (regularised canonical correlation, doi
10.1162/0899766042321814), then all is trained by contrast. There is no knowledge graph.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from mmtool.errors import ModelError
from mmtool.models.encoders.molecule_features import FRAGMENTS, Described, described
from mmtool.models.encoders.molecule_graph import GraphNet, Graphs, together
from mmtool.models.encoders.molecule_words import BUCKETS, bags
from mmtool.models.store import load_state, resolve_model
from mmtool.retrieval import Encoded, Kind

TASK, NAME = "retrieve", "molecule-text"
_BATCH = 64
_MOST_DEVIATIONS = 5.0  # of a count from its mean


@dataclass(frozen=True)
class MoleculeTextSize:
    """Length of a vector, of an atom's state, rounds of messages; 0 rounds: fragments alone."""

    dim: int = 160
    width: int = 64
    layers: int = 3
    dropout: float = 0.2
    share: float = 0.5  # of the counts beside the fragments


class MoleculeTextNet(nn.Module):
    """Both sides, and log(1 / temperature).

    Args:
        size: See there.
        counts: How many counts a molecule has.
    """

    def __init__(self, size: MoleculeTextSize, counts: int) -> None:
        super().__init__()
        self.size = size
        self.mean: Tensor
        self.spread: Tensor
        self.rarity: Tensor
        self.register_buffer("mean", torch.zeros(counts))
        self.register_buffer("spread", torch.ones(counts))
        self.register_buffer("rarity", torch.ones(BUCKETS))
        self.drop = nn.Dropout(size.dropout)
        self.of_parts = nn.Linear(FRAGMENTS + counts, size.dim)
        self.of_words = nn.Linear(BUCKETS, size.dim)
        self.graph = GraphNet(size.width, size.layers, size.dim, size.dropout)
        self.gate = nn.Parameter(torch.tensor(0.1))  # training starts near the fitted directions
        self.scale = nn.Parameter(torch.tensor(2.66))  # log(1 / 0.07)

    def parts(self, fragments: Tensor, counts: Tensor) -> Tensor:
        """(N, FRAGMENTS + K): fragments of length 1 beside scaled counts.

        Args:
            fragments: (N, FRAGMENTS).
            counts: (N, K).
        """
        scaled = ((counts - self.mean) / self.spread).clamp(-_MOST_DEVIATIONS, _MOST_DEVIATIONS)
        weight = self.size.share / max(1, counts.shape[1]) ** 0.5
        return torch.cat([functional.normalize(fragments, dim=-1), weight * scaled], 1)

    def weighed(self, counted: Tensor) -> Tensor:
        """(N, BUCKETS) of length 1: counts of `bags`, each times its rarity."""
        return functional.normalize(counted * self.rarity, dim=-1)

    def molecules(self, parts: Tensor, graphs: Graphs | None) -> Tensor:
        """(N, dim) of length 1; without the graphs, by fragments and counts alone."""
        fitted = functional.normalize(self.of_parts(self.drop(parts)), dim=-1)
        if graphs is None:
            return fitted
        return functional.normalize(fitted + self.gate * self.graph(graphs), dim=-1)

    def texts(self, weighed: Tensor) -> Tensor:
        """(N, dim) of length 1."""
        return functional.normalize(self.of_words(self.drop(weighed)), dim=-1)


class MoleculeText:
    """A `mmtool.retrieval.StringEncoder` that reads words."""

    kind: Kind = "molecule"
    reads_text = True

    def __init__(self, net: MoleculeTextNet, counts: Sequence[str], name: str, sha256: str) -> None:
        self.name, self.sha256 = name, sha256
        self.dim = net.size.dim
        self.preprocessing: Mapping[str, object] = {"counts": len(counts)} | asdict(net.size)
        self._counts = list(counts)
        self._net = net.eval()

    @torch.inference_mode()
    def encode(self, items: Sequence[str]) -> Encoded:
        """(N, dim) vectors of SMILES; see `StringEncoder`."""
        found = [np.zeros((0, self.dim), np.float32)]
        for start in range(0, len(items), _BATCH):
            some = [described(smiles, self._counts) for smiles in items[start : start + _BATCH]]
            found.append(molecule_vectors(self._net, some))
        return Encoded(np.concatenate(found))

    @torch.inference_mode()
    def encode_texts(self, texts: Sequence[str]) -> Encoded:
        """(N, dim) vectors of words in the same space."""
        found = [np.zeros((0, self.dim), np.float32)]
        for start in range(0, len(texts), _BATCH):
            found.append(text_vectors(self._net, bags(texts[start : start + _BATCH])))
        return Encoded(np.concatenate(found))


def molecule_vectors(net: MoleculeTextNet, some: Sequence[Described]) -> NDArray[np.float32]:
    """(N, dim) of described molecules."""
    device = net.scale.device
    fragments = torch.from_numpy(np.stack([d.fragments for d in some])).to(device)
    counts = torch.from_numpy(np.stack([d.counts for d in some])).to(device)
    graphs = None
    if net.size.layers:
        graphs = Graphs(*(t.to(device) for t in together([d.graph for d in some])))
    return np.asarray(net.molecules(net.parts(fragments, counts), graphs).cpu().numpy())


def text_vectors(net: MoleculeTextNet, counted: NDArray[np.float32]) -> NDArray[np.float32]:
    """(N, dim) of texts, counted by `bags`."""
    rows = torch.from_numpy(counted).to(net.scale.device)
    return np.asarray(net.texts(net.weighed(rows)).cpu().numpy())


def load_molecule_text(name: str = NAME, device: torch.device | str = "cpu") -> MoleculeText:
    """The encoder by its name or its folder.

    Raises:
        ModelError: None of that name, or its files are not whole.
    """
    files = resolve_model(TASK, name)
    try:
        config: Mapping[str, Any] = files.config
        net = MoleculeTextNet(MoleculeTextSize(**config["size"]), len(config["counts"]))
        net.load_state_dict({k: v.float() for k, v in load_state(files).items()})
    except (KeyError, TypeError, RuntimeError) as error:
        raise ModelError(f"{files.folder}: no encoder of molecules", "train it again") from error
    return MoleculeText(net.to(device), config["counts"], files.name, files.weights_sha256)
