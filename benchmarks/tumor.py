"""What stands beside ``tumor`` on real cases: label maps of thresholds, and reports of the truth.

    python benchmarks/tumor.py --maps synthseg_labels --cases brats2013 --output runs/tumor-bench

writes, for every folder ``CASE`` of ``--cases`` with ``flair``, ``t1c`` and ``label`` files,

- ``threshold/CASE.nii.gz``: thresholds fitted to drawn cases of the training maps,
- ``texts/right/CASE.txt``: a report drawn from the findings of the reference labels by the writer
  that training used (the data hold none), ``texts/other-side/CASE.txt``: the same with left and
  right exchanged.

``mmtool evaluate segment`` then scores all; see docs/benchmarks.md.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import nibabel
import numpy as np
import torch

from mmtool.io.limits import Limits
from mmtool.io.readers import read_volume
from mmtool.pipelines.channels import Reading, files_of, read_case
from mmtool.pipelines.evaluation.image_cases import find_image_cases
from mmtool.pipelines.evaluation.label_maps import find_cases
from mmtool.pipelines.evaluation.tumor import baseline
from mmtool.pipelines.file_grid import from_grid
from mmtool.pipelines.training.tumor_reports import findings_of, write_report
from mmtool.pipelines.training.tumor_scans import CHANNELS
from mmtool.pipelines.tumor_inference import brain_box
from mmtool.pipelines.world_grid import to_grid


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--maps", type=Path, required=True)
    parser.add_argument("--cases", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    folders = {n: options.output / n for n in ("threshold", "texts/right", "texts/other-side")}
    for folder in folders.values():
        folder.mkdir(parents=True, exist_ok=True)
    threshold = baseline(options.maps, seed=options.seed)
    print(f"thresholds: FLAIR {threshold.flair}, T1c {threshold.t1c}")
    truths = find_cases(options.cases)
    for number, (case, item) in enumerate(find_image_cases(options.cases, CHANNELS).items()):
        files = files_of(item, CHANNELS, Limits())
        read = read_case(files, CHANNELS, Reading(Limits()))
        box = brain_box(read.data, read.scan.affine, 2.0, 16)
        if box is None:
            print(f"{case}: no brain without a skull")
            continue
        found = torch.from_numpy(threshold(box.image, box.brain)).long()
        labels = np.zeros(read.scan.shape, np.uint8, "F")
        maps = torch.nn.functional.one_hot(found, 5).permute(3, 0, 1, 2).float()
        for piece in from_grid(maps, box.grid, labels.shape, read.scan.affine):
            piece.put(labels, read.scan.affine, piece.values.argmax(0).byte())
        image = nibabel.Nifti1Image(labels, read.scan.affine)
        nibabel.save(image, folders["threshold"] / f"{case}.nii.gz")
        truth = read_volume(truths[case])
        parts = [
            to_grid((truth.data == n).astype(np.float32), truth.affine, box.grid, box.image.device)
            for n in range(1, 5)
        ]
        stacked = torch.stack([1 - torch.stack(parts).sum(0), *parts]).argmax(0).byte()
        findings = findings_of(stacked, box.brain)
        for name, told in (("right", findings), ("other-side", findings.other_side())):
            text = write_report(told, np.random.default_rng([options.seed, number]))
            (folders[f"texts/{name}"] / f"{case}.txt").write_text(f"{text}\n")
        print(f"{case}: {findings}")


if __name__ == "__main__":
    main()
