"""The ways to make a survival model, by name, and the models in files."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from mmtool.errors import ModelError
from mmtool.models.survival.network.hazard_net import methods, network_class
from mmtool.models.survival.network.learner import NetworkLearner
from mmtool.models.survival.network.model import NetworkModel
from mmtool.models.survival.network.network_file import NETWORK as FUSION
from mmtool.models.survival.network.network_file import pack_network, unpack_network
from mmtool.models.survival.network.tokens import Signatures
from mmtool.models.survival.stack import Stack, StackLearner
from mmtool.models.survival.stack_file import NETWORK as STACK
from mmtool.models.survival.stack_file import pack_stack, unpack_stack


def learner_names() -> tuple[str, ...]:
    """The default first, then the fusion networks."""
    return (STACK, *methods())


def named_learner(name: str, signatures: Signatures) -> StackLearner | NetworkLearner:
    """The learner of a name.

    Args:
        name: Of :func:`learner_names`.
        signatures: Group -> genes, which the networks take as tokens; empty for none.

    Raises:
        UsageError: There is none of that name.
    """
    if name == STACK:
        return StackLearner()
    network_class(name)  # refuses an unknown name before any table is read
    return NetworkLearner(name, signatures)


def pack(model: Stack | NetworkModel) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Tensors and config of a model's folder."""
    return pack_stack(model) if isinstance(model, Stack) else pack_network(model)


def unpack(
    tensors: Mapping[str, Tensor], config: Mapping[str, Any], where: str
) -> Stack | NetworkModel:
    """The model of a folder's files.

    Raises:
        ModelError: Another kind of model, or files that don't fit together.
    """
    network = str(config.get("network"))
    if network == STACK:
        return unpack_stack(tensors, config, where)
    if network == FUSION:
        return unpack_network(tensors, config, where)
    raise ModelError(f"{where}: unknown network '{network}'", "the model needs a newer mmtool")
