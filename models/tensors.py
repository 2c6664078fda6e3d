"""Read weights that others saved: safetensors first, torch files as tensors only, pickles never."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from mmtool.errors import ModelError

# Where common trainers put the state dict of a checkpoint.
_NESTS = ("state_dict", "model", "net", "network", "network_weights", "model_state_dict")
_HINT = "save the tensors as safetensors; files that need unpickling are never opened"


def load_tensors(path: Path, *, device: str = "cpu") -> dict[str, Tensor]:
    """State dict of a ``.safetensors`` file, or of a torch file that holds tensors only.

    A checkpoint may hold the state dict under one of the usual names (``state_dict``, ``model``,
    ...). Names lose the prefix ``module.`` that data-parallel training adds.

    Args:
        path: File of weights.
        device: Where the tensors shall lie.

    Raises:
        ModelError: Unreadable, no state dict, or more than tensors.
    """
    if path.suffix == ".safetensors":
        try:
            return dict(load_file(str(path), device=device))
        except (SafetensorError, OSError) as error:
            raise ModelError(f"{path}: cannot be read as safetensors", _HINT) from error
    return state_of(load_checkpoint(path, device=device), str(path))


def load_checkpoint(path: Path, *, device: str = "cpu", numbers: bool = False) -> dict[str, Any]:
    """Content of a torch file, loaded with ``weights_only=True``.

    Args:
        path: File of weights.
        device: Where the tensors shall lie.
        numbers: Allow numpy's numbers too, which some trainers keep in their logs.

    Raises:
        ModelError: Unreadable, or it holds objects other than tensors and plain values.
    """
    try:
        with torch.serialization.safe_globals(_numbers() if numbers else []):
            content = torch.load(path, map_location=device, weights_only=True)
    except pickle.UnpicklingError as error:
        raise ModelError(f"{path}: holds more than tensors and plain values", _HINT) from error
    except (OSError, RuntimeError, ValueError, EOFError, KeyError, AttributeError) as error:
        raise ModelError(f"{path}: cannot be read as a torch file of tensors", _HINT) from error
    if not isinstance(content, dict):
        raise ModelError(f"{path}: holds no dictionary of tensors", _HINT)
    return content


def _numbers() -> list[Any]:
    """What makes a numpy number: plain data, under the names of numpy 1 and 2."""
    scalar = np.float64(0).__reduce__()[0]
    kinds = {type(np.dtype(kind)) for kind in ("f8", "f4", "f2", "i8", "i4", "?")}
    names = ("numpy.core.multiarray.scalar", "numpy._core.multiarray.scalar")
    return [np.dtype, *kinds, *((scalar, name) for name in names)]


def state_of(content: dict[str, Any], where: str) -> dict[str, Tensor]:
    """The state dict in a checkpoint.

    Args:
        content: What was loaded.
        where: File for the message.

    Raises:
        ModelError: There is none.
    """
    nests = (content[name] for name in _NESTS if isinstance(content.get(name), dict))
    for candidate in (content, *nests):
        tensors = {str(k): v for k, v in candidate.items() if isinstance(v, Tensor)}
        if tensors and len(tensors) == len(candidate):
            return {k.removeprefix("module."): v for k, v in tensors.items()}
    raise ModelError(f"{where}: holds no state dict", f"looked at the top and in {list(_NESTS)}")
