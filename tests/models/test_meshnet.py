"""A MeshNet in slabs gives what the whole network gives; foreign files are checked."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from outside_models import write_meshnet
from torch.nn import functional as F  # noqa: N812

from mmtool.errors import ModelError
from mmtool.models.segmentation.meshnet import MeshLayer, MeshNet, keras_layers, torch_layers
from mmtool.models.tensors import load_tensors

CPU = torch.device("cpu")
PLAIN = {"relu": F.relu, "elu": F.elu, "gelu": F.gelu, "linear": lambda x: x}


def layers_of(folder: Path) -> tuple[MeshLayer, ...]:
    config = json.loads((folder / "model.json").read_text())
    return torch_layers(config, load_tensors(folder / "model.safetensors"))


def whole(layers: tuple[MeshLayer, ...], image: torch.Tensor) -> torch.Tensor:
    x = image[None, None]
    for layer in layers:
        x = F.conv3d(x, layer.weight, layer.bias, padding=layer.reach, dilation=layer.dilation)
        x = PLAIN[layer.activation](F.group_norm(x, x.shape[1]) if layer.normalise else x)
    return x[0]


def in_slabs(layers: tuple[MeshLayer, ...], image: torch.Tensor, rows: int) -> torch.Tensor:
    given = image.clone()
    pieces = list(MeshNet(layers, CPU).logits(image, rows=rows))
    assert torch.equal(given, image)
    assert [start for start, _ in pieces] == list(range(0, image.shape[0], rows))
    return torch.cat([values for _, values in pieces], 1)


@pytest.mark.parametrize("rows", [1, 5, 8, 40])
@pytest.mark.parametrize("dilations", [(1, 2, 4), (16, 8, 1)])
def test_slabs_are_the_whole(tmp_path: Path, rows: int, dilations: tuple[int, ...]) -> None:
    layers = layers_of(write_meshnet(tmp_path / "mesh", dilations=dilations))
    image = torch.rand(19, 22, 17, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(
        in_slabs(layers, image, rows), whole(layers, image), rtol=1e-5, atol=1e-5
    )


def test_normalisation_is_that_of_the_whole_volume(tmp_path: Path) -> None:
    folder = write_meshnet(tmp_path / "mesh")
    config = json.loads((folder / "model.json").read_text()) | {"bnorm": True, "gelu": True}
    layers = torch_layers(config, load_tensors(folder / "model.safetensors"))
    assert [layer.normalise for layer in layers] == [True, True, True, False]
    image = torch.rand(19, 22, 17, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(
        in_slabs(layers, image, 4), whole(layers, image), rtol=1e-4, atol=1e-4
    )


def test_batch_normalisation_is_worked_into_the_weights(tmp_path: Path) -> None:
    folder = write_meshnet(tmp_path / "mesh", dilations=(1, 2))
    state = load_tensors(folder / "model.safetensors")
    generator = torch.Generator().manual_seed(4)
    norm = {k: torch.rand(4, generator=generator) + 0.5 for k in ("weight", "bias")}
    norm |= {k: torch.rand(4, generator=generator) + 0.5 for k in ("running_mean", "running_var")}
    state |= {f"model.1.{k}": v for k, v in norm.items()}
    state["model.1.num_batches_tracked"] = torch.tensor(3)
    config = json.loads((folder / "model.json").read_text()) | {"bnorm": True}
    layers = torch_layers(config, state)
    image = torch.rand(9, 8, 7, generator=generator)
    x = F.conv3d(image[None, None], state["model.0.weight"], state["model.0.bias"], padding=1)
    x = F.batch_norm(
        x, norm["running_mean"], norm["running_var"], norm["weight"], norm["bias"], eps=1e-5
    )
    expected = F.elu(x)[0]
    found = F.elu(F.conv3d(image[None, None], layers[0].weight, layers[0].bias, padding=1))[0]
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)
    assert not layers[0].normalise


def keras(kernel: np.ndarray, bias: np.ndarray, head: np.ndarray) -> tuple[dict[str, Any], bytes]:
    def conv(name: str, dilation: int) -> dict[str, Any]:
        return {
            "class_name": "Conv3D",
            "config": {
                "name": name,
                "dilation_rate": [dilation] * 3,
                "padding": "same",
                "strides": [1, 1, 1],
                "activation": "linear",
            },
        }

    stack = [
        {"class_name": "InputLayer", "config": {}},
        conv("one", 2),
        {"class_name": "Activation", "config": {"activation": "elu"}},
        conv("two", 1),
    ]
    entries = [
        {"name": name, "shape": list(values.shape), "dtype": "float32"}
        for name, values in (("one/kernel", kernel), ("one/bias", bias), ("two/kernel", head))
    ]
    config = {
        "modelTopology": {"model_config": {"config": {"layers": stack}}},
        "weightsManifest": [{"paths": ["model.bin"], "weights": entries}],
    }
    return config, b"".join(v.astype("<f4").tobytes() for v in (kernel, bias, head))


def test_tensorflow_js_folders() -> None:
    rng = np.random.default_rng(0)
    kernel, bias = rng.normal(size=(3, 3, 3, 1, 2)), rng.normal(size=2)
    config, raw = keras(kernel, bias, rng.normal(size=(1, 1, 1, 2, 3)))
    layers = keras_layers(config, raw)
    assert [(x.dilation, x.activation, x.weight.shape[0]) for x in layers] == [
        (2, "elu", 2),
        (1, "linear", 3),
    ]
    # The tap before the middle along the first axis is the first row of Keras' kernel.
    assert float(layers[0].weight[1, 0, 0, 1, 2]) == pytest.approx(kernel[0, 1, 2, 0, 1], rel=1e-6)
    with pytest.raises(ModelError):
        keras_layers(config, raw[:-4])
    config["weightsManifest"][0]["weights"][0]["shape"] = [10**6, 10**6]
    with pytest.raises(ModelError):
        keras_layers(config, raw)


@pytest.mark.parametrize(
    "change",
    [
        {"layers": []},
        {"layers": "none"},
        {"layers": [{"dilation": 1, "padding": 0}] * 4},
        {"layers": [{"dilation": 10**9, "padding": 10**9}] * 4},
        {"layers": [{"dilation": "$x", "padding": 1}] * 4},
    ],
)
def test_files_that_do_not_fit_are_refused(tmp_path: Path, change: dict[str, Any]) -> None:
    folder = write_meshnet(tmp_path / "mesh")
    config = json.loads((folder / "model.json").read_text()) | change
    with pytest.raises(ModelError):
        torch_layers(config, load_tensors(folder / "model.safetensors"))


def test_layers_must_follow_on_each_other(tmp_path: Path) -> None:
    layers = layers_of(write_meshnet(tmp_path / "mesh"))
    with pytest.raises(ModelError, match="follow on each other"):
        MeshNet((layers[1], *layers[1:]), CPU)
