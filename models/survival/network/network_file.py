"""A fusion network as named tensors and plain data, and back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mmtool.errors import ModelError, UsageError
from mmtool.models.survival.network.hazard_net import build
from mmtool.models.survival.network.hazards import Bins, Calibration
from mmtool.models.survival.network.model import NetworkModel
from mmtool.models.survival.network.tokens import Group, Tokeniser
from mmtool.models.survival.scaling import Scaler

NETWORK = "fusion"
_SCALER = ("centre", "scale", "shift", "spread")
_BINS = ("edges", "times", "share")


def pack_network(model: NetworkModel) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Tensors for ``model.safetensors`` and entries for ``config.json``."""
    tensors: dict[str, Tensor] = {}
    for t, tokeniser in enumerate(model.tokenisers):
        for name in _SCALER:
            tensors[f"token.{t}.{name}"] = _tensor(getattr(tokeniser.scaler, name), np.float64)
        for g, group in enumerate(tokeniser.groups):
            tensors[f"token.{t}.{g}.places"] = _tensor(group.places, np.int32)
            tensors[f"token.{t}.{g}.basis"] = _tensor(group.basis, np.float32)
    for k, network in enumerate(model.members):
        for name, value in network.state_dict().items():
            tensors[f"member.{k}.{name}"] = value.detach().cpu().contiguous().clone()
    for name in _BINS:
        tensors[f"bins.{name}"] = _tensor(getattr(model.bins, name), np.float64)
    numbers = [model.centre, model.calibration.slope, *model.calibration.shift]
    tensors["numbers"] = _tensor(np.array(numbers), np.float64)
    known = model.held_out[~np.isnan(model.held_out)]
    tensors["reference"] = _tensor(np.sort(known), np.float64)  # in no order of patients
    config = {
        "network": NETWORK,
        "method": model.method,
        "dim": model.dim,
        "members": len(model.members),
        "modalities": [_heading(t) for t in model.tokenisers],
    }
    return tensors, config


def _heading(tokeniser: Tokeniser) -> dict[str, Any]:
    return {
        "name": tokeniser.name,
        "kind": tokeniser.kind,
        "log": tokeniser.scaler.log,
        "columns": list(tokeniser.columns),
        "groups": [group.name for group in tokeniser.groups],
    }


def _tensor(values: Any, kind: Any) -> Tensor:
    return torch.from_numpy(np.array(values, kind, order="C"))


def unpack_network(
    tensors: Mapping[str, Tensor], config: Mapping[str, Any], where: str
) -> NetworkModel:
    """The model of a model's files.

    Raises:
        ModelError: They don't fit together.
    """
    try:
        return _unpacked(tensors, config)
    except (KeyError, TypeError, ValueError, IndexError, RuntimeError, UsageError) as error:
        raise ModelError(
            f"{where}: config and weights don't fit", "train the model again"
        ) from error


def _unpacked(tensors: Mapping[str, Tensor], config: Mapping[str, Any]) -> NetworkModel:
    tokenisers = tuple(
        _tokeniser(tensors, t, heading) for t, heading in enumerate(config["modalities"])
    )
    bins = Bins(*(tensors[f"bins.{name}"].numpy() for name in _BINS))
    numbers = tensors["numbers"].numpy()
    if len(numbers) != 2 + len(bins) or not len(tokenisers):
        raise ValueError("other intervals, or no modality")
    layout = tuple(t.shape for t in tokenisers)
    dim = int(config["dim"])
    members = []
    for k in range(int(config["members"])):
        with torch.random.fork_rng(devices=[]):
            network = build(str(config["method"]), layout, len(bins), dim)
        prefix = f"member.{k}."
        own = {n.removeprefix(prefix): v for n, v in tensors.items() if n.startswith(prefix)}
        network.load_state_dict(own)
        members.append(network.eval())
    return NetworkModel(
        *(str(config["method"]), tokenisers, tuple(members), bins),
        calibration=Calibration(float(numbers[1]), numbers[2:]),
        centre=float(numbers[0]),
        held_out=tensors["reference"].numpy(),
        dim=dim,
    )


def _tokeniser(tensors: Mapping[str, Tensor], t: int, heading: Mapping[str, Any]) -> Tokeniser:
    columns = tuple(str(c) for c in heading["columns"])
    parts = [tensors[f"token.{t}.{name}"].numpy() for name in _SCALER]
    groups = []
    for g, name in enumerate(heading["groups"]):
        places = tensors[f"token.{t}.{g}.places"].numpy().astype(np.int64)
        basis = tensors[f"token.{t}.{g}.basis"].numpy()
        if len(places) != len(basis) or places.min() < 0 or places.max() >= len(columns):
            raise ValueError("a token of other columns")
        groups.append(Group(str(name), places, basis))
    kind = str(heading["kind"])
    if kind not in ("clinical", "omics", "image", "bag") or any(
        len(part) != len(columns) for part in parts
    ):
        raise ValueError("another kind of block, or other columns")
    scaler = Scaler(bool(heading["log"]), *parts)
    return Tokeniser(str(heading["name"]), kind, columns, scaler, tuple(groups))  # type: ignore[arg-type]
