"""The U-Nets of nnU-Net v2: plain, and with residual encoder; parameters are named as there.

Isensee et al. 2021, 10.1038/s41592-020-01008-z; Isensee et al. 2024, 10.1007/978-3-031-72114-4_47.
They are written here since the package that has them (dynamic-network-architectures) requires
torchvision, and with it another torch than the one that is installed.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from mmtool.errors import ModelError

_HINT = "mmtool knows PlainConvUNet and ResidualEncoderUNet in three dimensions"
_PLAIN, _RESIDUAL = "PlainConvUNet", "ResidualEncoderUNet"
_NORMS = {"InstanceNorm3d": nn.InstanceNorm3d, "BatchNorm3d": nn.BatchNorm3d}
_ACTIVATIONS = {"LeakyReLU": nn.LeakyReLU, "ReLU": nn.ReLU}
_MOST_STAGES = 12


Triple = tuple[int, int, int]


@dataclass(frozen=True)
class UNetPlan:
    """What a network is made of.

    Attributes:
        kind: ``PlainConvUNet`` or ``ResidualEncoderUNet``.
        inputs: Channels of the image.
        outputs: Classes or regions.
        features: Channels of each stage.
        kernels: (x, y, z) of each stage.
        strides: (x, y, z) with which each stage begins.
        blocks: Convolutions (plain) or residual blocks of each stage.
        decoder: Convolutions of each stage on the way up.
        bias: Whether convolutions have a bias.
        norm: Name of a layer of torch, or empty.
        norm_arguments: Its ``eps``, ``affine``, ...
        activation: Name of a layer of torch.
        slope: Of a leaky ReLU.
    """

    kind: str
    inputs: int
    outputs: int
    features: tuple[int, ...]
    kernels: tuple[Triple, ...]
    strides: tuple[Triple, ...]
    blocks: tuple[int, ...]
    decoder: tuple[int, ...]
    bias: bool
    norm: str
    norm_arguments: Mapping[str, Any]
    activation: str
    slope: float

    def normalise(self, channels: int) -> list[nn.Module]:
        """A layer of normalisation, or none."""
        return [_NORMS[self.norm](channels, **self.norm_arguments)] if self.norm else []

    def activate(self) -> nn.Module:
        """A layer of activation."""
        if self.activation == "LeakyReLU":
            return nn.LeakyReLU(self.slope, inplace=True)
        return nn.ReLU(inplace=True)


class _Conv(nn.Module):
    """Convolution, normalisation and, if asked for, activation."""

    def __init__(
        self,
        plan: UNetPlan,
        channels: tuple[int, int],
        kernel: Triple,
        stride: Triple = (1, 1, 1),
        *,
        bias: bool | None = None,
        active: bool = True,
    ) -> None:
        super().__init__()
        given, made = channels
        i, j, k = ((n - 1) // 2 for n in kernel)
        bias = plan.bias if bias is None else bias
        self.conv = nn.Conv3d(given, made, kernel, stride, (i, j, k), bias=bias)
        norm = plan.normalise(made)
        self.norm = norm[0] if norm else nn.Identity()
        self.after = plan.activate() if active else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.after(self.norm(self.conv(x)))
        return out


class _Convs(nn.Module):
    """Convolutions one after the other; the first may have a stride."""

    def __init__(
        self,
        plan: UNetPlan,
        channels: tuple[int, int],
        kernel: Triple,
        count: int,
        stride: Triple = (1, 1, 1),
    ) -> None:
        super().__init__()
        given, made = channels
        first = _Conv(plan, (given, made), kernel, stride)
        rest = (_Conv(plan, (made, made), kernel) for _ in range(count - 1))
        self.convs = nn.Sequential(first, *rest)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.convs(x)
        return out


class _Residual(nn.Module):
    """Two convolutions beside a shortcut that averages and projects where it must."""

    def __init__(
        self,
        plan: UNetPlan,
        channels: tuple[int, int],
        kernel: Triple,
        stride: Triple,
    ) -> None:
        super().__init__()
        given, made = channels
        self.conv1 = _Conv(plan, (given, made), kernel, stride)
        self.conv2 = _Conv(plan, (made, made), kernel, active=False)
        self.after = plan.activate()
        skip: list[nn.Module] = []
        if any(s != 1 for s in stride):
            skip.append(nn.AvgPool3d(stride, stride))
        if given != made:
            skip.append(_Conv(plan, (given, made), (1, 1, 1), bias=False, active=False))
        self.skip = nn.Sequential(*skip)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.after(self.conv2(self.conv1(x)) + self.skip(x))
        return out


class _Blocks(nn.Module):
    """Residual blocks one after the other."""

    def __init__(
        self,
        plan: UNetPlan,
        channels: tuple[int, int],
        kernel: Triple,
        count: int,
        stride: Triple,
    ) -> None:
        super().__init__()
        given, made = channels
        first = _Residual(plan, (given, made), kernel, stride)
        rest = (_Residual(plan, (made, made), kernel, (1, 1, 1)) for _ in range(count - 1))
        self.blocks = nn.Sequential(first, *rest)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.blocks(x)
        return out


class _Encoder(nn.Module):
    def __init__(self, plan: UNetPlan) -> None:
        super().__init__()
        given = plan.inputs
        residual = plan.kind == _RESIDUAL
        if residual:
            self.stem: nn.Module = _Convs(plan, (given, plan.features[0]), plan.kernels[0], 1)
            given = plan.features[0]
        else:
            self.stem = nn.Identity()
        stages: list[nn.Module] = []
        rows = zip(plan.features, plan.kernels, plan.strides, plan.blocks, strict=True)
        for made, kernel, stride, count in rows:
            if residual:
                stages.append(_Blocks(plan, (given, made), kernel, count, stride))
            else:
                convs = _Convs(plan, (given, made), kernel, count, stride)
                stages.append(nn.Sequential(convs))
            given = made
        self.stages = nn.Sequential(*stages)

    def forward(self, x: Tensor) -> list[Tensor]:
        x = self.stem(x)
        out = []
        for stage in self.stages:
            x = stage(x)
            out.append(x)
        return out


class _Decoder(nn.Module):
    def __init__(self, plan: UNetPlan) -> None:
        super().__init__()
        stages, ups, heads = [], [], []
        for step, count in enumerate(plan.decoder, start=1):
            below, beside = plan.features[-step], plan.features[-step - 1]
            stride = plan.strides[-step]
            ups.append(nn.ConvTranspose3d(below, beside, stride, stride, bias=plan.bias))
            stages.append(_Convs(plan, (2 * beside, beside), plan.kernels[-step - 1], count))
            heads.append(nn.Conv3d(beside, plan.outputs, 1))
        self.stages = nn.ModuleList(stages)
        self.transpconvs = nn.ModuleList(ups)
        self.seg_layers = nn.ModuleList(heads)  # the coarser ones serve training only

    def forward(self, skips: Sequence[Tensor]) -> Tensor:
        x = skips[-1]
        for step, (up, stage) in enumerate(zip(self.transpconvs, self.stages, strict=True)):
            x = stage(torch.cat((up(x), skips[-step - 2]), 1))
        out: Tensor = self.seg_layers[-1](x)
        return out


class NnunetUNet(nn.Module):
    """A U-Net of nnU-Net, on (B, inputs, x, y, z) to (B, outputs, x, y, z) logits."""

    def __init__(self, plan: UNetPlan) -> None:
        super().__init__()
        self.encoder = _Encoder(plan)
        self.decoder = _Decoder(plan)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.decoder(self.encoder(x))
        return out


def build_unet(plan: UNetPlan, state: Mapping[str, Tensor]) -> NnunetUNet:
    """A network with the weights of a checkpoint.

    Args:
        plan: What it is made of.
        state: ``network_weights`` of an nnU-Net checkpoint; it holds each tensor under several
            names, of which one is needed.

    Returns:
        The network, in evaluation; laid out without memory, it takes the tensors as they are.

    Raises:
        ModelError: The weights are those of another network.
    """
    needed = {
        name.removeprefix("module.").removeprefix("_orig_mod."): tensor
        for name, tensor in state.items()
        if ".all_modules." not in name and "decoder.encoder." not in name
    }
    try:
        with torch.device("meta"):
            net = NnunetUNet(plan)
        net.load_state_dict(needed, strict=True, assign=True)
    except (RuntimeError, ValueError, TypeError) as error:
        raise ModelError("the weights are not those of the network in plans.json", _HINT) from error
    return net.eval()


def read_plan(configuration: Mapping[str, Any], inputs: int, outputs: int) -> UNetPlan:
    """The network of a configuration in ``plans.json``, of any version of nnU-Net v2.

    Args:
        configuration: One of ``configurations``, with what it inherits.
        inputs: Channels of the image.
        outputs: Classes or regions.

    Raises:
        ModelError: A network, a layer or an argument that is not known here.
    """
    given = configuration.get("architecture")
    name, arguments = _of_old(configuration) if given is None else _of_new(given)
    kind = name.rpartition(".")[2]
    if kind not in (_PLAIN, _RESIDUAL):
        raise ModelError(f"plans.json names the network '{name}'", _HINT)
    layers = {
        key: str(arguments.get(key) or "").rpartition(".")[2]
        for key in ("conv_op", "norm_op", "nonlin")
    }
    known = layers["norm_op"] in ("", *_NORMS) and layers["nonlin"] in _ACTIVATIONS
    if layers["conv_op"] != "Conv3d" or not known:
        raise ModelError(f"plans.json names layers {sorted(filter(None, layers.values()))}", _HINT)
    try:
        features = tuple(int(n) for n in arguments["features_per_stage"])
        stages = len(features)
        blocks = arguments["n_conv_per_stage" if kind == _PLAIN else "n_blocks_per_stage"]
        plan = UNetPlan(
            kind,
            inputs,
            outputs,
            features,
            _triples(arguments["kernel_sizes"], stages),
            _triples(arguments["strides"], stages),
            _each(blocks, stages),
            _each(arguments["n_conv_per_stage_decoder"], stages - 1),
            bool(arguments.get("conv_bias", False)),
            layers["norm_op"],
            _norm_arguments(arguments.get("norm_op_kwargs") or {}),
            layers["nonlin"],
            float((arguments.get("nonlin_kwargs") or {}).get("negative_slope", 0.01)),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise ModelError("plans.json does not describe a network fully", _HINT) from error
    numbers = (*features, *plan.blocks, *plan.decoder, *itertools.chain(*plan.kernels))
    if not 2 <= stages <= _MOST_STAGES or not all(1 <= n <= 4096 for n in numbers):
        raise ModelError("plans.json describes a network of no usable size", _HINT)
    return plan


def _of_new(architecture: Any) -> tuple[str, Mapping[str, Any]]:
    if not isinstance(architecture, dict) or not isinstance(architecture.get("arch_kwargs"), dict):
        raise ModelError("plans.json describes no network", _HINT)
    return str(architecture.get("network_class_name")), architecture["arch_kwargs"]


def _of_old(plan: Mapping[str, Any]) -> tuple[str, Mapping[str, Any]]:
    """Plans from before nnU-Net 2.4 have the numbers beside each other."""
    try:
        blocks = plan["n_conv_per_stage_encoder"]
        name = str(plan["UNet_class_name"])
        base, most = int(plan["UNet_base_num_features"]), int(plan["unet_max_num_features"])
        return name, {
            "features_per_stage": [min(base * 2**n, most) for n in range(min(len(blocks), 32))],
            "conv_op": "Conv3d" if len(plan["patch_size"]) == 3 else "Conv2d",
            "kernel_sizes": plan["conv_kernel_sizes"],
            "strides": plan["pool_op_kernel_sizes"],
            "n_conv_per_stage": blocks,
            "n_blocks_per_stage": blocks,
            "n_conv_per_stage_decoder": plan["n_conv_per_stage_decoder"],
            "conv_bias": True,
            "norm_op": "InstanceNorm3d",
            "norm_op_kwargs": {"eps": 1e-5, "affine": True},
            "nonlin": "LeakyReLU",
        }
    except (KeyError, TypeError, ValueError) as error:
        raise ModelError("plans.json describes no network", _HINT) from error


def _norm_arguments(given: Mapping[str, Any]) -> dict[str, Any]:
    """Those that a layer of normalisation has; all are plain numbers."""
    return {k: given[k] for k in ("eps", "momentum", "affine", "track_running_stats") if k in given}


def _each(value: Any, count: int) -> tuple[int, ...]:
    """One number for each stage."""
    values = [value] * count if isinstance(value, int) else value
    out = tuple(int(n) for n in values)
    if len(out) != count:
        raise ValueError(count)
    return out


def _triples(value: Any, count: int) -> tuple[Triple, ...]:
    """Three numbers for each stage."""
    rows = [value] * count if isinstance(value, int) else value
    out = tuple((a, b, c) for a, b, c in (_each(row, 3) for row in rows))
    if len(out) != count:
        raise ValueError(count)
    return out
