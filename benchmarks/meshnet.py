"""The peer: the 18-class MeshNet of brainchop (MIT), a network that others trained on real scans.

MeshNet: Fedorov et al. 2017, 10.1109/IJCNN.2017.7966333.
"""

from __future__ import annotations

import json
from pathlib import Path

import nibabel
import numpy as np
import torch
from nibabel.processing import conform
from safetensors.torch import load_file
from torch import Tensor
from torch.nn import functional as F  # noqa: N812


def _dilated(x: Tensor, weight: Tensor, bias: Tensor, dilation: int) -> Tensor:
    """conv3d with dilation as plain convolutions of interleaved sub-volumes.

    CPU kernels for dilated 3-D convolution are several times slower than this.
    """
    d = dilation
    if d == 1:
        return F.conv3d(x, weight, bias, padding=1)
    _, c, i, j, k = x.shape
    sub = x.reshape(c, i // d, d, j // d, d, k // d, d).permute(2, 4, 6, 0, 1, 3, 5)
    out = torch.empty(d, d, d, weight.shape[0], i // d, j // d, k // d)
    for a in range(d):
        piece = sub[a].reshape(d * d, c, i // d, j // d, k // d)
        out[a] = F.conv3d(piece, weight, bias, padding=1).reshape(out.shape[1:])
    return out.permute(3, 4, 0, 5, 1, 6, 2).reshape(1, -1, i, j, k)


# Class index of model18cls -> our name of the structure; sides are one class there.
STRUCTURES = dict(
    enumerate(
        (
            "cerebral white matter",
            "cerebral cortex",
            "lateral ventricle",
            "inferior lateral ventricle",
            "cerebellar white matter",
            "cerebellar cortex",
            "thalamus",
            "caudate",
            "putamen",
            "pallidum",
            "third ventricle",
            "fourth ventricle",
            "brainstem",
            "hippocampus",
            "amygdala",
            "nucleus accumbens",
            "ventral diencephalon",
        ),
        start=1,
    )
)


@torch.inference_mode()
def meshnet(folder: Path, image: nibabel.Nifti1Image) -> nibabel.Nifti1Image:
    """Label a scan: (256, 256, 256) at 1 mm, LIA, uint8."""
    box = conform(image, (256, 256, 256), (1.0, 1.0, 1.0), orientation="LIA")
    data = np.asarray(box.dataobj, np.float32)
    low, high = np.percentile(data, (0.1, 99.9))  # conform to 8 bits as FreeSurfer does
    scaled = ((data - low) / (high - low)).clip(0, 1).astype(np.float32)
    x = torch.from_numpy(scaled)[None, None]
    layers = json.loads((folder / "model.json").read_text())["layers"]
    state = list(load_file(folder / "model.safetensors").values())
    names = list(load_file(folder / "model.safetensors"))
    order = sorted(range(0, len(names)), key=lambda n: _key(names[n]))
    tensors = [state[n] for n in order]
    for number, layer in enumerate(layers):
        weight, bias = tensors[2 * number], tensors[2 * number + 1]
        if weight.dim() == 1:
            weight, bias = bias, weight
        if weight.shape[-1] == 1:
            x = F.conv3d(x, weight, bias)
        else:
            x = _dilated(x, weight, bias, int(layer["dilation"]))
        if number < len(layers) - 1:
            F.elu_(x)
    labels = x[0].argmax(0).to(torch.uint8).numpy()
    return nibabel.Nifti1Image(labels, box.affine)


def _key(name: str) -> tuple[int, str]:
    numbers = [int(part) for part in name.split(".") if part.isdigit()]
    return numbers[0], name
