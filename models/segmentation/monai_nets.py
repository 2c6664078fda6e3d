"""Networks of MONAI by name: only those listed here, with plain arguments, never by import path."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from mmtool.errors import ModelError

# In evaluation each takes (B, C, X, Y, Z) and gives one tensor of logits. Networks that fetch
# weights, or that take other networks or functions as arguments, are left out.
NETWORKS = (
    "AttentionUnet",
    "BasicUNet",
    "DynUNet",
    "HighResNet",
    "MedNeXt",
    "SegResNet",
    "SegResNetDS",
    "SwinUNETR",
    "UNet",
    "UNETR",
    "VNet",
)
_OTHER_NAMES = {"Unet": "UNet", "BasicUnet": "BasicUNet", "Basicunet": "BasicUNet"}
_OTHER_NAMES |= {"DynUnet": "DynUNet", "Dynunet": "DynUNet"}
# Arguments of earlier versions of MONAI that changed nothing of the network.
_DROPPED = {"SwinUNETR": ("img_size",)}
_PREFIX = "monai.networks.nets."
_MOST_NUMBER = 1 << 16  # of channels, sizes and the like


def build_network(
    target: str, arguments: Mapping[str, Any], state: Mapping[str, Tensor]
) -> nn.Module:
    """A network of MONAI with weights.

    It is laid out without memory first and takes the tensors of ``state`` as they are, so that a
    config cannot ask for more memory than its weights have.

    Args:
        target: Class name, bare or in ``monai.networks.nets``.
        arguments: Plain JSON values.
        state: Its state dict.

    Returns:
        The network, in evaluation.

    Raises:
        ModelError: Not listed, wrong arguments, or weights of another network.
    """
    from monai.networks import nets

    bare = target.rpartition(".")[2]
    name = _OTHER_NAMES.get(bare, bare)
    if name not in NETWORKS or (bare != target and not target.startswith(_PREFIX)):
        raise ModelError(
            f"network '{target}' is not one of those that are built by name",
            f"known: {', '.join(NETWORKS)}",
        )
    _check_numbers(arguments, name)
    arguments = {k: v for k, v in arguments.items() if k not in _DROPPED.get(name, ())}
    try:
        if name == "SwinUNETR":  # it reads numbers from tensors while it is laid out
            net = getattr(nets, name)(**arguments)
        else:
            with torch.device("meta"):
                net = getattr(nets, name)(**arguments)
    except ImportError as error:  # MONAI's OptionalImportError is one
        raise ModelError(f"network {name} needs a further package", "install einops") from error
    except Exception as error:
        raise ModelError(
            f"network {name} cannot be built from its arguments ({type(error).__name__})",
            "the configuration of the bundle is damaged, or made for another version of MONAI",
        ) from error
    try:
        net.load_state_dict(dict(state), strict=True, assign=True)
    except RuntimeError as error:
        raise ModelError(
            f"the weights are not those of the {name} that the configuration describes",
            "use the weights that came with the configuration",
        ) from error
    module: nn.Module = net
    if any(t.is_meta for t in (*module.parameters(), *module.buffers())):
        raise ModelError(f"network {name} has parts that its weights lack", "use other weights")
    return module.eval()


def _check_numbers(value: Any, name: str) -> None:
    if isinstance(value, Mapping):
        value = list(value.values())
    if isinstance(value, list | tuple):
        for item in value:
            _check_numbers(item, name)
    elif isinstance(value, int | float) and abs(value) > _MOST_NUMBER:
        raise ModelError(f"network {name} has an argument above {_MOST_NUMBER}", "it is damaged")
