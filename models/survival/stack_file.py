"""A stack as named tensors and plain data, and back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mmtool.errors import ModelError
from mmtool.models.survival.expert import Expert
from mmtool.models.survival.forest import Forest
from mmtool.models.survival.linear import Linear
from mmtool.models.survival.scaling import Scaler
from mmtool.models.survival.stack import Joint, Stack
from mmtool.models.survival.statistics.breslow import Baseline

NETWORK = "stack"
_SCALER = ("centre", "scale", "shift", "spread")
_SMALL = 1 << 15


def pack_stack(stack: Stack) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Tensors for ``model.safetensors`` and entries for ``config.json``."""
    tensors: dict[str, Tensor] = {}
    for m, expert in enumerate(stack.experts):
        for name in _SCALER:
            tensors[f"{m}.{name}"] = _tensor(getattr(expert.scaler, name), np.float32)
    fits = [(stack.experts, stack.joint), *stack.replicates]
    for k, (experts, joint) in enumerate(fits):
        for m, expert in enumerate(experts):
            _pack_parts(f"{m}.{k}", expert, tensors, whole=k == 0)
        tensors[f"{k}.weights"] = _tensor(joint.weights, np.float32)
        tensors[f"{k}.offsets"] = _tensor(joint.offsets, np.float32)
        tensors[f"{k}.times"] = _tensor(joint.baseline.times, np.float64)
        tensors[f"{k}.hazard"] = _tensor(joint.baseline.hazard, np.float32)
        tensors[f"{k}.baseline_centre"] = _tensor(np.array([joint.baseline.centre]), np.float64)
    tensors["reference"] = _tensor(stack.reference, np.float32)
    config = {
        "network": NETWORK,
        "fits": len(fits),
        "experts": [
            {"name": e.name, "log": e.scaler.log, "columns": list(e.columns)} for e in stack.experts
        ],
    }
    return tensors, config


def _pack_parts(at: str, expert: Expert, tensors: dict[str, Tensor], *, whole: bool) -> None:
    linear, forest = expert.parts
    if not (isinstance(linear, Linear) and isinstance(forest, Forest)):
        raise TypeError("an expert of other parts")
    small = len(expert.columns) < _SMALL
    tensors[f"{at}.linear"] = _tensor(linear.weights, np.float32 if whole else np.float16)
    tensors[f"{at}.column"] = _tensor(forest.column, np.int16 if small else np.int32)
    tensors[f"{at}.cut"] = _tensor(forest.cut, np.float32 if whole else np.float16)
    tensors[f"{at}.left"] = _tensor(forest.left, np.int16)
    tensors[f"{at}.value"] = _tensor(forest.value, np.float16)
    numbers = np.array([*expert.factors, expert.shift, forest.centre])
    tensors[f"{at}.numbers"] = _tensor(numbers, np.float64)


def _tensor(values: Any, kind: Any) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(values, kind))


def unpack_stack(tensors: Mapping[str, Tensor], config: Mapping[str, Any], where: str) -> Stack:
    """The stack of a model's files.

    Raises:
        ModelError: They don't fit together.
    """
    try:
        return _unpacked({k: v.numpy() for k, v in tensors.items()}, config)
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise ModelError(
            f"{where}: config and weights don't fit", "train the model again"
        ) from error


def _unpacked(arrays: Mapping[str, Any], config: Mapping[str, Any]) -> Stack:
    fits = []
    heads = [(h["name"], tuple(h["columns"]), bool(h["log"])) for h in config["experts"]]
    for k in range(int(config["fits"])):
        experts = tuple(_expert(arrays, m, k, *head) for m, head in enumerate(heads))
        fits.append((experts, _joint(arrays, k, len(heads))))
    experts, joint = fits[0]
    return Stack(experts, joint, tuple(fits[1:]), arrays["reference"].astype(np.float64))


def _expert(
    arrays: Mapping[str, Any], m: int, k: int, name: str, columns: Sequence[str], log: bool
) -> Expert:
    scaler = Scaler(log, *(arrays[f"{m}.{part}"].astype(np.float64) for part in _SCALER))
    at = f"{m}.{k}"
    column = arrays[f"{at}.column"].astype(np.int32)
    left = arrays[f"{at}.left"].astype(np.int32)
    numbers = arrays[f"{at}.numbers"]
    fits = all(len(getattr(scaler, part)) == len(columns) for part in _SCALER)
    inside = column.max() < len(columns) and left.min() >= 0 and left.max() < column.shape[1]
    if not (fits and inside):
        raise ValueError("columns and trees don't fit")
    forest = Forest(
        *(column, arrays[f"{at}.cut"].astype(np.float32)),
        *(left, arrays[f"{at}.value"].astype(np.float32)),
        centre=float(numbers[3]),
    )
    linear = Linear(arrays[f"{at}.linear"].astype(np.float64))
    factors = (float(numbers[0]), float(numbers[1]))
    return Expert(name, tuple(columns), scaler, (linear, forest), factors, float(numbers[2]))


def _joint(arrays: Mapping[str, Any], k: int, count: int) -> Joint:
    weights = arrays[f"{k}.weights"].astype(np.float64)
    if weights.shape != (1 << count, count):
        raise ValueError("weights of other blocks")
    baseline = Baseline(
        arrays[f"{k}.times"].astype(np.float64),
        arrays[f"{k}.hazard"].astype(np.float64),
        float(arrays[f"{k}.baseline_centre"][0]),
    )
    return Joint(weights, arrays[f"{k}.offsets"].astype(np.float64), baseline)
