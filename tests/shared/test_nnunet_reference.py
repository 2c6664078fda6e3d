"""Labels by nnU-Net itself, for a model and scans of ``benchmarks/nnunet_reference.py``."""

from __future__ import annotations

import os
from pathlib import Path

import nibabel
import numpy as np
import pytest
import torch

from mmtool.models.store import resolve_model
from mmtool.pipelines.segmenter import Segmenter
from mmtool.pipelines.segmenters import load_segmenter

PLACE = Path(os.environ.get("MMTOOL_NNUNET_REFERENCE", "/nonexistent"))
SCANS = sorted(p.name for p in (PLACE / "scans").glob("*.nii.gz"))


@pytest.fixture(scope="module")
def segmenter() -> Segmenter:
    if not SCANS:
        pytest.skip("set MMTOOL_NNUNET_REFERENCE to the output of benchmarks/nnunet_reference.py")
    return load_segmenter(resolve_model("segment", str(PLACE / "model")), torch.device("cpu"))


@pytest.mark.parametrize("name", SCANS or ["none"])
def test_labels_are_those_of_nnunet(segmenter: Segmenter, name: str) -> None:
    image = nibabel.load(PLACE / "scans" / name)
    found = segmenter(np.asarray(image.dataobj), image.affine.astype(np.float64), uncertainty=True)
    expected = np.asarray(nibabel.load(PLACE / "reference" / name).dataobj)
    assert set(np.unique(expected)) == {0, 1, 2}  # a model that labels nothing shows nothing
    for index in (1, 2):
        # Nearly alike to the voxel: nnU-Net rounds to float16, where ties fall otherwise.
        ours, theirs = found.labels == index, expected == index
        assert 2 * (ours & theirs).sum() / (ours.sum() + theirs.sum()) > 0.98
    assert (found.labels == expected).mean() > 0.9995
    # (classes, slices, rows, columns) to (classes, I, J, K); kept in float16 by nnU-Net
    with np.load(PLACE / "reference" / name.replace(".nii.gz", ".npz")) as file:
        theirs = file["arr_0"].transpose(0, 3, 2, 1)
    values = np.clip(theirs, 1e-6, 1)
    entropy = -(values * np.log(values)).sum(0) / np.log(len(values))
    assert found.uncertainty is not None
    assert np.abs(found.uncertainty - entropy).max() < 0.02
    for index, mean in found.confidence.items():
        assert abs(mean - theirs[index][expected == index].mean()) < 0.01
