"""The peer: the 18-class MeshNet of brainchop (MIT), a network that others trained on real scans.

MeshNet: Fedorov et al. 2017, 10.1109/IJCNN.2017.7966333.
"""

from __future__ import annotations

from pathlib import Path

import nibabel
import torch

from mmtool.io.readers import read_volume
from mmtool.models.store import resolve_model
from mmtool.pipelines.segmenters import load_segmenter

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


def meshnet(folder: Path, scan: Path) -> nibabel.Nifti1Image:
    """Label a scan on its own grid."""
    segmenter = load_segmenter(resolve_model("segment", str(folder)), torch.device("cpu"))
    volume = read_volume(scan)
    return nibabel.Nifti1Image(segmenter(volume.data, volume.affine).labels, volume.affine)
