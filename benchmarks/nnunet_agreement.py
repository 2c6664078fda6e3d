"""How well ``mmtool segment`` agrees with nnU-Net's own predictor, model and scans being the same.

    python benchmarks/nnunet_agreement.py OUT

OUT is what ``benchmarks/nnunet_reference.py`` left. Prints Markdown for docs/benchmarks.md.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import nibabel
import numpy as np
import torch
from brain import table

from mmtool.models.store import resolve_model
from mmtool.pipelines.evaluation.overlap import dice_per_label
from mmtool.pipelines.segmenters import load_segmenter


def main() -> None:
    """Run ours on every scan and compare."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("output", type=Path, metavar="OUT")
    out: Path = parser.parse_args().output
    segmenter = load_segmenter(resolve_model("segment", str(out / "model")), torch.device("cpu"))
    names = [label.name for label in segmenter.labels]
    rows = []
    for scan in sorted((out / "scans").glob("*.nii.gz")):
        image = nibabel.load(scan)
        theirs = np.asarray(nibabel.load(out / "reference" / scan.name).dataobj)
        ours = segmenter(np.asarray(image.dataobj), image.affine.astype(np.float64)).labels
        dice = dice_per_label(theirs, ours, [label.index for label in segmenter.labels])
        differ = int((ours != theirs).sum())
        voxels = [str(int((theirs == label.index).sum())) for label in segmenter.labels]
        name = scan.name.removesuffix(".nii.gz")
        shown = (f"{value:.5f}" for value in dice.values())
        rows.append((name, *voxels, *shown, str(differ), str(ours.size)))
    table(
        (
            "scan",
            *(f"{n}, voxels of nnU-Net" for n in names),
            *(f"{n}, Dice" for n in names),
            "voxels that differ",
            "of",
        ),
        rows,
    )


if __name__ == "__main__":
    main()
