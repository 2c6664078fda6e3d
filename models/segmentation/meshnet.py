"""MeshNet: a stack of dilated 3-D convolutions without any change of resolution.

Fedorov et al. 2017, 10.1109/IJCNN.2017.7966333. The network is small and its maps are large: 21
channels of 256^3 voxels are 1.4 GB. Layers are therefore computed in place, slab by slab, which
gives what the whole network gives on the whole volume: a slab sees all that its kernel reaches, and
only the outside of the volume is padded with zeros.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from mmtool.errors import ModelError

_HINT = "the folder is damaged, or of a kind of MeshNet that mmtool does not know"
_EPSILON = 1e-5  # of normalisation layers, as in PyTorch
_ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "linear": lambda x: x,
    "relu": F.relu_,
    "elu": F.elu_,
    "gelu": F.gelu,
}


@dataclass(frozen=True)
class MeshLayer:
    """A convolution and what follows it.

    Attributes:
        weight: (out, in, k, k, k) float32, k odd.
        bias: (out,) float32, or None.
        dilation: Distance of the kernel's taps, voxels.
        activation: A name of ``linear``, ``relu``, ``elu``, ``gelu``.
        normalise: Bring each channel to mean 0 and variance 1 over the volume before activation.
    """

    weight: Tensor
    bias: Tensor | None
    dilation: int
    activation: str
    normalise: bool = False

    @property
    def reach(self) -> int:
        """How far the kernel sees, voxels."""
        return int(self.dilation * (self.weight.shape[-1] // 2))


class MeshNet:
    """A loaded network.

    Args:
        layers: At least one; the last gives the logits.
        device: Where to work.

    Raises:
        ModelError: The layers do not follow on each other.
    """

    def __init__(self, layers: tuple[MeshLayer, ...], device: torch.device) -> None:
        channels = 1
        for layer in layers:
            out, given, *kernel = layer.weight.shape
            if given != channels or len(set(kernel)) != 1 or kernel[0] % 2 == 0:
                raise ModelError("the layers of the MeshNet do not follow on each other", _HINT)
            channels = out
        if not layers:
            raise ModelError("the MeshNet has no layers", _HINT)
        self.layers = tuple(
            replace(
                layer,
                weight=layer.weight.to(device).contiguous(memory_format=torch.channels_last_3d),
                bias=None if layer.bias is None else layer.bias.to(device),
            )
            for layer in layers
        )

    @property
    def classes(self) -> int:
        """Number of classes, background included."""
        return int(self.layers[-1].weight.shape[0])

    @property
    def widest(self) -> int:
        """Most channels of a map that is held whole."""
        return max((int(layer.weight.shape[0]) for layer in self.layers[:-1]), default=1)

    @torch.inference_mode()
    def logits(self, image: Tensor, *, rows: int = 8) -> Iterator[tuple[int, Tensor]]:
        """Logits of a volume, slab by slab.

        Args:
            image: (I, J, K) float32.
            rows: Thickness of a slab; any value gives the same.

        Yields:
            First row of the slab and its (classes, rows, J, K) logits.
        """
        maps = image[None, None]
        for layer in self.layers[:-1]:
            maps = _whole(maps, layer, rows)
        for start, values in _slabs(maps, self.layers[-1], rows):
            yield start, values[0]


def _whole(maps: Tensor, layer: MeshLayer, rows: int) -> Tensor:
    """(1, in, I, J, K) to (1, out, I, J, K), in place where the numbers of channels agree."""
    out = maps
    if layer.weight.shape[0] != maps.shape[1] or maps.shape[1] == 1:
        out = _empty(maps, int(layer.weight.shape[0]), maps.shape[2])
    activate = _ACTIVATIONS[layer.activation]
    sums = torch.zeros(2, layer.weight.shape[0], dtype=torch.float64, device=maps.device)
    for start, values in _slabs(maps, layer, rows):
        if layer.normalise:
            wide = values.double()
            sums += torch.stack([wide.sum((0, 2, 3, 4)), (wide**2).sum((0, 2, 3, 4))])
        else:
            values = activate(values)
        out[:, :, start : start + values.shape[2]] = values
    if layer.normalise:
        mean, square = (sums / math.prod(maps.shape[2:])).float()
        scale = (square - mean**2).clamp_min(0).add(_EPSILON).rsqrt()
        for start in range(0, out.shape[2], rows):
            piece = out[:, :, start : start + rows]
            piece.copy_(activate((piece - _wide(mean)) * _wide(scale)))
    return out


def _wide(channels: Tensor) -> Tensor:
    return channels[None, :, None, None, None]


def _empty(like: Tensor, channels: int, rows: int) -> Tensor:
    """(1, channels, rows, J, K), channels last: CPU kernels are twice as fast on it."""
    shape = (1, channels, rows, *like.shape[3:])
    return torch.empty(shape, device=like.device, memory_format=torch.channels_last_3d)


def _slabs(maps: Tensor, layer: MeshLayer, rows: int) -> Iterator[tuple[int, Tensor]]:
    """Convolve slab by slab; rows up to the end of a slab may be overwritten once it is given."""
    reach, length = layer.reach, int(maps.shape[2])
    above = _empty(maps, maps.shape[1], reach).zero_()
    for start in range(0, length, rows):
        stop = min(length, start + rows)
        seen = min(length, stop + reach)
        block = _empty(maps, maps.shape[1], stop - start + 2 * reach)
        block[:, :, :reach] = above
        block[:, :, reach : reach + seen - start] = maps[:, :, start:seen]
        block[:, :, reach + seen - start :] = 0
        above = block[:, :, stop - start : stop - start + reach].clone()
        yield (
            start,
            F.conv3d(
                block,
                layer.weight,
                layer.bias,
                padding=(0, reach, reach),
                dilation=layer.dilation,
            ),
        )


def torch_layers(config: Mapping[str, Any], state: Mapping[str, Tensor]) -> tuple[MeshLayer, ...]:
    """Layers of a ``model.json`` with a list ``layers``, as brainchop's trainer writes it.

    The activation is ELU or GELU if the file says ``elu`` or ``gelu``, else ReLU. Where it says
    ``bnorm`` and the weights hold no statistics, each channel is normalised over the volume.

    Args:
        config: Content of ``model.json``.
        state: Tensors, named after their place in the network.

    Raises:
        ModelError: File and weights do not describe one network.
    """
    activation = next((name for name in ("gelu", "elu") if config.get(name)), "relu")
    rows = config.get("layers")
    blocks: list[tuple[Mapping[str, Tensor], list[Mapping[str, Tensor]]]] = []
    for group in _grouped(state):
        if group["weight"].dim() == 5:
            blocks.append((group, []))
        elif blocks:
            blocks[-1][1].append(group)
    if not isinstance(rows, list) or len(rows) != len(blocks):
        raise ModelError(
            f"model.json has {len(rows) if isinstance(rows, list) else 'no'} layers, the weights "
            f"have {len(blocks)}",
            _HINT,
        )
    layers = []
    for number, (row, (kernel, norms)) in enumerate(zip(rows, blocks, strict=True), start=1):
        last = number == len(blocks)
        layer = MeshLayer(
            kernel["weight"].float(),
            kernel["bias"].float() if "bias" in kernel else None,
            _dilation(row, int(kernel["weight"].shape[-1])),
            "linear" if last else activation,
            normalise=bool(config.get("bnorm")) and not norms and not last,
        )
        for norm in norms:
            layer = _folded(layer, norm)
        layers.append(layer)
    return tuple(layers)


def _grouped(state: Mapping[str, Tensor]) -> list[dict[str, Tensor]]:
    """Tensors of one module together, modules in the order of their numbers."""
    groups: dict[tuple[int, ...], dict[str, Tensor]] = {}
    for name, tensor in state.items():
        *path, kind = name.split(".")
        numbers = tuple(int(part) for part in path if part.isdigit())
        groups.setdefault(numbers, {})[kind] = tensor
    return [groups[key] for key in sorted(groups) if "weight" in groups[key]]


def _dilation(row: Any, kernel: int) -> int:
    """Dilation of a layer whose output must be as large as its input."""
    values = [row.get(key) if isinstance(row, dict) else None for key in ("dilation", "padding")]
    dilation, padding = (
        v if isinstance(v, int) and not isinstance(v, bool) else -1 for v in values
    )
    same = dilation >= 1 and padding == dilation * (kernel // 2)
    if not same or dilation > 64 or row.get("stride", 1) != 1:
        raise ModelError("model.json has a layer that changes the size of its maps", _HINT)
    return dilation


def _folded(layer: MeshLayer, norm: Mapping[str, Tensor]) -> MeshLayer:
    """The layer with the batch normalisation after it worked into its weights.

    Raises:
        ModelError: The tensors are not those of a batch normalisation.
    """
    try:
        scale = norm["weight"] * (norm["running_var"] + _EPSILON).rsqrt()
        shift = norm["bias"] - norm["running_mean"] * scale
        bias = shift if layer.bias is None else layer.bias * scale + shift
        weight = layer.weight * scale[:, None, None, None, None]
    except (KeyError, RuntimeError) as error:
        raise ModelError("the weights hold a layer of an unknown kind", _HINT) from error
    return replace(layer, weight=weight.float(), bias=bias.float())


def keras_layers(config: Mapping[str, Any], raw: bytes) -> tuple[MeshLayer, ...]:
    """Layers of a TensorFlow.js ``model.json`` and its one file of float32 weights.

    Args:
        config: Content of ``model.json``.
        raw: Content of ``model.bin``.

    Raises:
        ModelError: Not a plain stack of convolutions and activations, or of another length.
    """
    try:
        stack = config["modelTopology"]["model_config"]["config"]["layers"]
        entries = [e for group in config["weightsManifest"] for e in group["weights"]]
        tensors, offset = {}, 0
        for entry in entries:
            shape = tuple(int(n) for n in entry["shape"])
            count = math.prod(shape)
            if entry["dtype"] != "float32" or "quantization" in entry or min(shape) < 1:
                raise ValueError(entry["dtype"])
            values = np.frombuffer(raw, "<f4", count, offset).reshape(shape)
            tensors[str(entry["name"])] = torch.from_numpy(values.copy())
            offset += 4 * count
        if offset != len(raw):
            raise ValueError(offset)
        layers: list[MeshLayer] = []
        for item in stack:
            layers = _keras_step(layers, item["class_name"], item["config"], tensors)
    except (KeyError, TypeError, ValueError) as error:
        raise ModelError("model.json and model.bin do not describe a MeshNet", _HINT) from error
    return tuple(layers)


def _keras_step(
    layers: list[MeshLayer], kind: str, config: Mapping[str, Any], tensors: Mapping[str, Tensor]
) -> list[MeshLayer]:
    """One more item of a Keras stack."""
    if kind == "InputLayer":
        return layers
    if kind == "Activation" and layers and config["activation"] in _ACTIVATIONS:
        return [*layers[:-1], replace(layers[-1], activation=str(config["activation"]))]
    name, dilation = str(config["name"]), {int(d) for d in config["dilation_rate"]}
    plain = config["padding"] == "same" and set(config["strides"]) == {1}
    if kind != "Conv3D" or not plain or len(dilation) != 1 or config["activation"] != "linear":
        raise ValueError(kind)
    # Keras kernels are (depth, height, width, in, out).
    weight = tensors[f"{name}/kernel"].permute(4, 3, 0, 1, 2).contiguous()
    return [*layers, MeshLayer(weight, tensors.get(f"{name}/bias"), dilation.pop(), "linear")]
