"""Labels by nnU-Net itself, for a model and scans of ``benchmarks/nnunet_reference.py``."""

from __future__ import annotations

import os
from pathlib import Path

import nibabel
import numpy as np
import pytest
import torch

from mmtool.models.store import resolve_model
from mmtool.pipelines.segmenters import load_segmenter


@pytest.fixture(scope="module")
def reference() -> Path:
    folder = Path(os.environ.get("MMTOOL_NNUNET_REFERENCE", "/nonexistent"))
    if not (folder / "model/plans.json").is_file():
        pytest.skip("set MMTOOL_NNUNET_REFERENCE to the output of benchmarks/nnunet_reference.py")
    return folder


@pytest.mark.parametrize(("scan", "truth"), [("scan", "reference"), ("coarse", "coarse_reference")])
def test_labels_are_those_of_nnunet(reference: Path, scan: str, truth: str) -> None:
    segmenter = load_segmenter(
        resolve_model("segment", str(reference / "model")), torch.device("cpu")
    )
    image = nibabel.load(reference / f"{scan}.nii.gz")
    found = segmenter(np.asarray(image.dataobj), image.affine.astype(np.float64)).labels
    expected = np.asarray(nibabel.load(reference / f"{truth}.nii.gz").dataobj)
    assert set(np.unique(expected)) == {0, 1, 2}
    for index in (1, 2):
        a, b = found == index, expected == index
        assert 2 * (a & b).sum() / (a.sum() + b.sum()) > 0.995
