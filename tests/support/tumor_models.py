"""A model of tumours with random weights, and a case for it."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import nibabel
import numpy as np
import torch
from safetensors.torch import save_file
from scipy import ndimage

from mmtool.models.segmentation.guided_unet import GuidedUNet, GuidedUNetConfig
from mmtool.models.segmentation.subvoxel_unet import SubvoxelUNet, SubvoxelUNetConfig
from mmtool.models.text.encoder import TextEncoderConfig
from mmtool.pipelines.training.tumor_card import model_config
from mmtool.pipelines.training.tumor_reports import SLOTS

_METRIC = {"name": "none", "value": 0, "low": 0, "high": 0, "n": 0, "set": "-", "baseline": None}


def write_tumor_model(folder: Path, *, guided: bool = False) -> Path:
    """A model folder whose network was not trained."""
    torch.manual_seed(4)
    trunk = SubvoxelUNetConfig(classes=5, widths=(4, 8), head=8, inputs=2, sides=False)
    net: SubvoxelUNet | GuidedUNet = SubvoxelUNet(trunk)
    if guided:
        reader = TextEncoderConfig(structures=len(SLOTS), width=8, layers=1, heads=2, buckets=64)
        net = GuidedUNet(GuidedUNetConfig(trunk, reader))
        torch.nn.init.normal_(net.told.weight)
    folder.mkdir(parents=True)
    save_file(net.state_dict(), folder / "model.safetensors")
    config = model_config(net.config.to_json(), guided=guided)
    (folder / "config.json").write_text(json.dumps(config))
    names = ("model.safetensors", "config.json")
    card = {
        "task": "segment",
        "name": "tumor",
        "version": "0",
        "summary": "not trained",
        "licence": "Apache-2.0",
        "use": "research",
        "data": [{"name": "-", "source": "-", "licence": "-", "use": "-", "n": 0}],
        "training": {"command": "-", "seed": 0, "iterations": 0, "seconds": 0, "hardware": "-"},
        "sha256": {n: hashlib.sha256((folder / n).read_bytes()).hexdigest() for n in names},
        "metrics": [_METRIC],
        "intended_use": "tests",
        "limits": ["all"],
    }
    (folder / "card.json").write_text(json.dumps(card))
    return folder


def write_case(folder: Path, *, surround: int = 0) -> tuple[Path, Path]:
    """FLAIR and T1c of a ball without a skull, in LPS order at 4 mm."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(3)
    axes = np.meshgrid(*(np.linspace(-1, 1, n) for n in (32, 36, 30)), indexing="ij")
    inside = sum(a**2 for a in axes) < 0.8
    affine = np.diag([-4.0, -4.0, 4.0, 1.0])
    affine[:3, 3] = 60, 70, -50
    paths = []
    for name in ("flair", "t1c"):
        noise = ndimage.gaussian_filter(rng.normal(size=inside.shape), 2) * 3000 + 500
        data = np.where(inside, noise, surround).astype(np.int16)
        paths.append(folder / f"{name}.nii.gz")
        nibabel.save(nibabel.Nifti1Image(data, affine), paths[-1])
    return paths[0], paths[1]
