"""Networks of nnU-Net with weights by a formula."""

from __future__ import annotations

import math
from typing import Any

import torch

PLAIN: dict[str, Any] = {
    "n_stages": 3,
    "features_per_stage": [4, 6, 8],
    "conv_op": "torch.nn.modules.conv.Conv3d",
    "kernel_sizes": [[1, 3, 3], [3, 3, 3], [3, 3, 3]],
    "strides": [[1, 1, 1], [1, 2, 2], [2, 2, 2]],
    "n_conv_per_stage": [2, 2, 2],
    "n_conv_per_stage_decoder": [2, 1],
    "conv_bias": True,
    "norm_op": "torch.nn.modules.instancenorm.InstanceNorm3d",
    "norm_op_kwargs": {"eps": 1e-05, "affine": True},
    "dropout_op": None,
    "dropout_op_kwargs": None,
    "nonlin": "torch.nn.LeakyReLU",
    "nonlin_kwargs": {"inplace": True},
}
RESIDUAL = {k: v for k, v in PLAIN.items() if k != "n_conv_per_stage"} | {
    "n_blocks_per_stage": [1, 3, 2]
}
MODULE = "dynamic_network_architectures.architectures.unet."


def fill(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Tensors of the same names and shapes with values by a formula."""
    out = {}
    for name, tensor in state.items():
        plain = name.removeprefix("decoder.encoder.")
        plain = plain if plain == name else f"encoder.{plain}"
        plain = plain.replace(".all_modules.0.", ".conv.").replace(".all_modules.1.", ".norm.")
        phase = sum(map(ord, plain)) % 97
        steps = torch.arange(tensor.numel(), dtype=torch.float64)
        values = torch.sin(steps * 0.7391 + phase) / math.sqrt(max(1, tensor[0].numel()))
        out[name] = values.reshape(tensor.shape).float()
    return out


def image() -> torch.Tensor:
    """(1, 2, 4, 16, 16) values by a formula."""
    return torch.cos(torch.arange(2 * 4 * 16 * 16) * 0.113).reshape(1, 2, 4, 16, 16).float()


def probe(net: torch.nn.Module) -> list[float]:
    """Some of the logits, and their mean of squares."""
    with torch.inference_mode():
        logits = net(image())[0]
    picked = logits[:, ::2, ::7, ::9].flatten()[::5]
    return [round(float(v), 5) for v in (*picked, (logits**2).mean())]


def reference(kind: str) -> torch.nn.Module:
    """nnU-Net's own network, from dynamic-network-architectures."""
    from dynamic_network_architectures.architectures import unet
    from torch import nn

    layers = {
        "conv_op": nn.Conv3d,
        "norm_op": nn.InstanceNorm3d,
        "nonlin": nn.LeakyReLU,
        "dropout_op": None,
    }
    made = unet.PlainConvUNet if kind == "plain" else unet.ResidualEncoderUNet
    given = (PLAIN if kind == "plain" else RESIDUAL) | layers
    net = made(input_channels=2, num_classes=3, deep_supervision=False, **given)
    net.load_state_dict(fill(net.state_dict()))
    return net.eval()
