"""Memory that is stated of a model beside the scan, and what segmenting it really takes.

    python benchmarks/outside_memory.py MODEL SCAN

One model and one scan a process, since memory that was once taken is kept. Mirror images of nnU-Net
are left out: they take time and no memory. Prints a row of Markdown for docs/benchmarks.md.
"""

from __future__ import annotations

import resource
import sys
from pathlib import Path

import torch

from mmtool.io.readers import read_volume
from mmtool.models.store import resolve_model
from mmtool.pipelines.memory import resident_bytes
from mmtool.pipelines.outside.nnunet import NnunetSegmenter
from mmtool.pipelines.segmenters import load_segmenter


def main() -> None:
    """Measure and print."""
    model, scan = sys.argv[1:]
    torch.set_num_threads(1)
    segmenter = load_segmenter(resolve_model("segment", model), torch.device("cpu"))
    if isinstance(segmenter, NnunetSegmenter):
        segmenter.mirrored = ()
    volume = read_volume(Path(scan))
    stated = segmenter.memory_bytes(volume.shape, volume.affine)
    before = resident_bytes()
    segmenter(volume.data, volume.affine)
    taken = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 - before
    shape = " x ".join(map(str, volume.shape))
    numbers = f"{stated / 1e6:.0f} | {taken / 1e6:.0f} | {stated / taken:.2f}"
    print(f"| {Path(model).name} | {shape} | {numbers} |")


if __name__ == "__main__":
    main()
