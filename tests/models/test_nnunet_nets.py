"""Networks of nnU-Net: the same numbers as by nnU-Net's own, where these are installed."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from nnunet_weights import MODULE, PLAIN, RESIDUAL, fill, probe, reference

from mmtool.errors import ModelError
from mmtool.models.segmentation.nnunet_nets import NnunetUNet, build_unet, read_plan


def architecture(kind: str) -> dict[str, Any]:
    name, arguments = {
        "plain": ("PlainConvUNet", PLAIN),
        "residual": ("ResidualEncoderUNet", RESIDUAL),
    }[kind]
    return {"architecture": {"network_class_name": MODULE + name, "arch_kwargs": dict(arguments)}}


@pytest.mark.parametrize("kind", ["plain", "residual"])
def test_logits_are_those_of_nnunet(kind: str) -> None:
    pytest.importorskip(
        "dynamic_network_architectures",
        reason="nnU-Net's own networks are absent; they require torchvision and another torch",
    )
    plan = read_plan(architecture(kind), 2, 3)
    theirs = reference(kind)
    assert probe(build_unet(plan, theirs.state_dict())) == pytest.approx(probe(theirs), abs=2e-5)


@pytest.mark.parametrize("kind", ["plain", "residual"])
def test_names_of_checkpoints_are_understood(kind: str) -> None:
    plan = read_plan(architecture(kind), 2, 3)
    own = NnunetUNet(plan)
    state = fill(own.state_dict())
    own.load_state_dict(state)
    # nnU-Net's checkpoints hold each tensor under further names.
    state |= {f"decoder.{k}": v for k, v in state.items() if k.startswith("encoder.")}
    state |= {k.replace(".conv.", ".all_modules.0."): v for k, v in state.items()}
    assert probe(build_unet(plan, state)) == pytest.approx(probe(own.eval()), abs=1e-6)


def test_plans_of_earlier_versions() -> None:
    old = {
        "UNet_class_name": "PlainConvUNet",
        "UNet_base_num_features": 4,
        "unet_max_num_features": 6,
        "n_conv_per_stage_encoder": [2, 2, 2],
        "n_conv_per_stage_decoder": [2, 2],
        "pool_op_kernel_sizes": [[1, 1, 1], [2, 2, 2], [2, 2, 2]],
        "conv_kernel_sizes": [[3, 3, 3]] * 3,
        "patch_size": [16, 16, 16],
    }
    plan = read_plan(old, 1, 2)
    assert plan.features == (4, 6, 6)
    assert plan.bias
    net = build_unet(plan, NnunetUNet(plan).state_dict())
    with torch.inference_mode():
        assert net(torch.zeros(1, 1, 16, 16, 16)).shape == (1, 2, 16, 16, 16)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("conv_op", "os.system"),
        ("conv_op", "torch.nn.modules.conv.Conv2d"),
        ("norm_op", "evil.Norm"),
        ("nonlin", "evil.Act"),
        ("features_per_stage", [10**9] * 3),
        ("strides", [[1, 1, 1]]),
        ("n_conv_per_stage", None),
    ],
)
def test_unknown_parts_are_refused(key: str, value: Any) -> None:
    given = architecture("plain")
    given["architecture"]["arch_kwargs"][key] = value
    with pytest.raises(ModelError):
        read_plan(given, 1, 2)


def test_unknown_networks_are_refused_by_name() -> None:
    given = architecture("plain")
    given["architecture"]["network_class_name"] = "os.system"
    with pytest.raises(ModelError, match=r"os\.system"):
        read_plan(given, 1, 2)


def test_weights_of_another_network_are_refused() -> None:
    state = NnunetUNet(read_plan(architecture("plain"), 1, 2)).state_dict()
    with pytest.raises(ModelError, match="weights are not those"):
        build_unet(read_plan(architecture("residual"), 1, 2), state)
