"""Start-up time of the command line, and time and memory of a scan of 512 x 512 x 800 voxels.

    python benchmarks/budgets.py SCAN [--work DIR]

SCAN is a T1 scan; it is resampled to 0.5 mm in a box of 256 x 256 x 400 mm. Prints Markdown for
docs/benchmarks.md.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

import nibabel
import numpy as np
from nibabel.processing import resample_from_to

_SHAPE = (512, 512, 800)
_MMTOOL = (sys.executable, "-m", "mmtool.cli")


def measured(*arguments: str | Path) -> tuple[float, float, float]:
    """Wall seconds, CPU seconds and peak memory (GB) of one command."""
    began = time.perf_counter()
    process = subprocess.Popen(
        [*_MMTOOL, *map(str, arguments)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"{arguments} ended with {process.returncode}")
    wall = time.perf_counter() - began
    return wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024 / 1e9


def large(scan: Path, work: Path) -> Path:
    """The scan in the middle of a large box, int16."""
    path = work / "large.nii"
    if not path.exists():
        image = nibabel.load(scan)
        middle = image.affine @ [*(np.array(image.shape) - 1) / 2, 1]
        affine = np.diag([0.5, 0.5, 0.5, 1.0])
        affine[:3, 3] = middle[:3] - (np.array(_SHAPE) - 1) / 4
        big = resample_from_to(image, (_SHAPE, affine), order=1)
        nibabel.save(nibabel.Nifti1Image(np.asarray(big.dataobj).astype(np.int16), affine), path)
    return path


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("scan", type=Path)
    parser.add_argument("--work", type=Path, default=Path("benchmarks_work"))
    args = parser.parse_args()
    args.work.mkdir(parents=True, exist_ok=True)
    print("| command | wall s | CPU s | peak memory, GB |\n|---|---|---|---|")
    for words in (("--version",), ("--help",), ("segment", "--help")):
        rows = [measured(*words) for _ in range(7)]
        wall, cpu = (statistics.median(row[n] for row in rows) for n in (0, 1))
        print(f"| `mmtool {' '.join(words)}` | {wall:.2f} | {cpu:.2f} | |", flush=True)
    out = args.work / "out"
    for name, scan in (("T1 of 1 mm", args.scan), ("512 x 512 x 800", large(args.scan, args.work))):
        wall, cpu, memory = measured("segment", scan, "-o", out, "--overwrite")
        print(f"| `mmtool segment`, {name} | {wall:.1f} | {cpu:.1f} | {memory:.2f} |", flush=True)


if __name__ == "__main__":
    main()
