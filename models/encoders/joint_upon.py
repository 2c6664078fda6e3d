"""A joint encoder with something trained upon it: regulators of late interaction, or prompt pools.

The model's folder holds only what was added; its config names the encoder below with the hash of
its weights.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from mmtool.errors import ModelError
from mmtool.models.encoders.joint import OwnJointEncoder
from mmtool.models.retrieval.prompt_pools import PromptPools, PromptSize, Side
from mmtool.models.retrieval.regulators import Regulators, RegulatorSize
from mmtool.models.store import ModelFiles, load_state
from mmtool.retrieval import Encoded, Picture

Net = TypeVar("Net", bound=nn.Module)
UPON = "upon"  # in the config: name and hash of the encoder below


class RegulatedEncoder(OwnJointEncoder):
    """A joint encoder that keeps its parts, and regulators that compare them.

    Its vectors are those of the encoder below.
    """

    def __init__(self, below: OwnJointEncoder, regulators: Regulators, name: str) -> None:
        self.__dict__.update(below.__dict__)
        self.name = name
        self.has_parts = True
        self.regulators = regulators.eval()


class PromptedEncoder(OwnJointEncoder):
    """A joint encoder whose vectors of pictures, texts, or both are corrected by prompt pools."""

    def __init__(self, below: OwnJointEncoder, pools: PromptPools, name: str, sha256: str) -> None:
        self.__dict__.update(below.__dict__)
        self.name, self.sha256 = name, sha256
        self.calibration = {}
        self.pools = pools.eval()
        self._below = below

    def encode_pictures(self, pictures: Sequence[Picture]) -> Encoded:
        """See `JointEncoder`; a volume's patches are those of all its slabs."""
        return self._corrected(self._sides(self._below.encode_pictures(pictures)), None)

    def encode_texts(self, texts: Sequence[str]) -> Encoded:
        """See `JointEncoder`."""
        return self._corrected(None, self._sides(self._below.encode_texts(texts)))

    def encode_both(self, pictures: Sequence[Picture], texts: Sequence[str]) -> Encoded:
        """Vectors of pictures each with a text."""
        seen = self._sides(self._below.encode_pictures(pictures))
        return self._corrected(seen, self._sides(self._below.encode_texts(texts)))

    def _sides(self, found: Encoded) -> list[Side]:
        device = self.pools.strength.device
        return [
            Side(*(t.to(device) for t in _of(vector, part)))
            for vector, part in zip(found.vectors, found.parts, strict=True)
        ]

    @torch.inference_mode()
    def _corrected(self, seen: list[Side] | None, read: list[Side] | None) -> Encoded:
        count = len(seen if seen is not None else read or ())
        rows = [
            self.pools(None if seen is None else seen[k], None if read is None else read[k])
            for k in range(count)
        ]
        if not rows:
            return Encoded(np.zeros((0, self.dim), np.float32))
        return Encoded(torch.cat([r.vectors for r in rows]).cpu().numpy())


def _of(vector: Any, parts: Any) -> tuple[Tensor, Tensor, Tensor]:
    """Vector, parts and which are there of one item; a text without words has one empty part."""
    own = torch.from_numpy(np.asarray(parts, np.float32))[None]
    there = torch.ones(own.shape[:2], dtype=torch.bool)
    return torch.from_numpy(vector)[None], own, there


def load_upon(
    files: ModelFiles, below: OwnJointEncoder, device: torch.device | str
) -> OwnJointEncoder:
    """The encoder of a model whose config says `UPON`.

    Args:
        files: Of the model.
        below: The encoder that it names.
        device: Where it shall work.

    Raises:
        ModelError: It was trained upon other weights, or its files are not whole.
    """
    if files.config[UPON]["sha256"] != below.sha256:
        raise ModelError(
            f"{files.folder}: was trained upon other weights of '{below.name}'",
            f"train it again: mmtool train retrieve --start {below.name} --recipe {files.name}",
        )
    try:
        if "regulators" in files.config:
            regulators = Regulators(RegulatorSize(**files.config["regulators"]))
            return RegulatedEncoder(below, _filled(regulators, files).to(device), files.name)
        pools = PromptPools(PromptSize(**files.config["prompts"]))
        below.has_parts = True
        filled = _filled(pools, files).to(device)
    except (KeyError, TypeError, RuntimeError) as error:
        raise ModelError(f"{files.folder}: no encoder of this kind", "train it again") from error
    return PromptedEncoder(below, filled, files.name, files.weights_sha256)


def _filled(net: Net, files: ModelFiles) -> Net:
    state = load_state(files)
    net.load_state_dict({k: v.float() if v.is_floating_point() else v for k, v in state.items()})
    return net
