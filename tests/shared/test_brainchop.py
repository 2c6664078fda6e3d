"""The published MeshNets on a real head (weights: brainchop, MIT)."""

from __future__ import annotations

from pathlib import Path

import nibabel
import numpy as np
import pytest
import torch

from mmtool.models.store import resolve_model
from mmtool.pipelines.segmenters import load_segmenter

FOLDER = "data/segment/weights/brainchop"


def folder_of(shared: Path, name: str) -> Path:
    folder = shared / FOLDER / name
    if not folder.is_dir():
        pytest.skip("the weights of brainchop are not among the shared files")
    return folder


@pytest.mark.parametrize(
    ("name", "classes"),
    [
        ("mindgrab", 1),
        ("model11_gw_ae", 2),
        ("model18cls", 17),
        ("model20chan3cls", 2),
        ("model21_104class", 103),
        ("model30chan18cls", 17),
        ("model30chan50cls", 49),
        ("model5_gw_ae", 2),
        ("subcortical", 17),
    ],
)
def test_every_folder_loads(shared: Path, name: str, classes: int) -> None:
    files = resolve_model("segment", str(folder_of(shared, name)))
    segmenter = load_segmenter(files, torch.device("cpu"))
    assert len(segmenter.labels) == classes


def test_two_formats_of_one_network_are_equal(shared: Path) -> None:
    nets = [
        load_segmenter(
            resolve_model("segment", str(folder_of(shared, name))), torch.device("cpu")
        ).net
        for name in ("subcortical", "model30chan18cls")
    ]
    for one, other in zip(nets[0].layers, nets[1].layers, strict=True):
        assert torch.equal(one.weight, other.weight)
        assert one.dilation == other.dilation
        assert one.activation == other.activation


@pytest.mark.slow
def test_tissues_of_a_head(shared: Path, head: Path) -> None:
    """The template is about 1.3 times the size of a head."""
    segmenter = load_segmenter(
        resolve_model("segment", str(folder_of(shared, "model5_gw_ae"))), torch.device("cpu")
    )
    image = nibabel.load(head)
    found = segmenter(np.asarray(image.dataobj), image.affine)
    ml = np.bincount(found.labels.ravel(), minlength=3)[1:] * 8 / 1000
    assert 450 < ml[0] < 1100
    assert 500 < ml[1] < 1300
