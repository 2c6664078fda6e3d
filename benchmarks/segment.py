"""``mmtool segment`` and its sliding window beside MONAI's ``sliding_window_inference``.

    python benchmarks/segment.py SCAN [--work DIR] [--cases CASE ...]

SCAN is a T1 scan. It is resampled to 256^3 voxels of 1 mm and to 512 x 512 x 800 of 0.5 mm (int16).
Every row is a process of its own, Python's start and the files included; what is compared:

- ``brain``: the shipped model. Ours is the whole command with its four passes. MONAI's way is one
  pass: read, ``Spacing`` to 2 mm, windows of the same size with a bell, argmax, and labels brought
  back to the file by nearest neighbour, which is the cheapest that it can be.
- ``full``: 20 classes at the file's own resolution by a small MONAI ``UNet`` (random weights,
  windows of 96^3, overlap a quarter), both engines to a NIfTI file of labels, which are compared.

Prints Markdown for docs/benchmarks.md. A row that would need more memory than there is says so.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import budgets
import nibabel
import numpy as np
from nibabel.processing import resample_from_to

CLASSES = 20
WINDOW = (96, 96, 96)
OVERLAP = 0.25
CASES = ("brain", "full", "brain-large", "full-large")


def cube(scan: Path, work: Path) -> Path:
    """The scan in the middle of 256^3 voxels of 1 mm, int16."""
    path = work / "cube.nii.gz"
    if not path.exists():
        image = nibabel.load(scan)
        middle = image.affine @ [*(np.array(image.shape) - 1) / 2, 1]
        affine = np.eye(4)
        affine[:3, 3] = middle[:3] - 127.5
        out = resample_from_to(image, ((256,) * 3, affine), order=1)
        nibabel.save(nibabel.Nifti1Image(np.asarray(out.dataobj).astype(np.int16), affine), path)
    return path


def unet() -> Any:
    """The network of the ``full`` cases."""
    import torch
    from monai.networks.nets import UNet

    torch.manual_seed(0)
    return UNet(3, 1, CLASSES, (8, 16, 32), (2, 2), num_res_units=0, norm="INSTANCE").eval()


def read(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Voxels as stored, and the affine."""
    image = nibabel.load(path)
    return np.asarray(image.dataobj), image.affine


def save(labels: np.ndarray, affine: np.ndarray, out: Path) -> None:
    """Labels as NIfTI."""
    nibabel.save(nibabel.Nifti1Image(labels.astype(np.uint8, copy=False), affine), out)


def full_ours(path: Path, out: Path) -> None:
    """Our engine."""
    import torch

    from mmtool.pipelines.sliding import sliding_labels

    data, affine = read(path)
    found = sliding_labels(
        unet(),
        data,
        affine,
        spacing=tuple(float(n) for n in np.linalg.norm(affine[:3, :3], axis=0)),
        window=WINDOW,
        overlap=OVERLAP,
        classes=range(CLASSES),
        device=torch.device("cpu"),
        normalise=lambda x: x / 500,
    )
    save(found.labels, affine, out)


def full_monai(path: Path, out: Path) -> None:
    """MONAI's engine, its logits at the file's resolution."""
    import torch
    from monai.inferers import sliding_window_inference

    data, affine = read(path)
    with torch.inference_mode():
        x = torch.as_tensor(data.astype(np.float32))[None, None] / 500
        logits = sliding_window_inference(x, WINDOW, 1, unet(), OVERLAP, mode="gaussian")
        labels = logits.argmax(1)[0].to(torch.uint8).numpy()
    save(labels, affine, out)


def brain_monai(path: Path, out: Path) -> None:
    """The shipped network by MONAI: a scan in RAS, as these are."""
    import torch
    from monai.data import MetaTensor
    from monai.inferers import sliding_window_inference
    from monai.transforms import Spacing

    from mmtool.models.segmentation.intensity import scale_intensity
    from mmtool.models.store import load_state, resolve_model
    from mmtool.pipelines.inference import WINDOW as window  # noqa: N811
    from mmtool.pipelines.inference import BrainSegmenter

    files = resolve_model("segment", "brain")
    net = BrainSegmenter(files.config, load_state(files), torch.device("cpu")).net
    data, affine = read(path)
    with torch.inference_mode():
        image = MetaTensor(data.astype(np.float32)[None], affine=torch.as_tensor(affine))
        small = Spacing((2.0, 2.0, 2.0), mode="bilinear")(image)
        x = scale_intensity(small.as_tensor()[0])[None, None]
        logits = sliding_window_inference(x, window, 1, net, 0.5, mode="gaussian")
        labels = logits[:, :-1].argmax(1, keepdim=True).float()
        back = torch.nn.functional.interpolate(labels, size=data.shape, mode="nearest")
    save(back[0, 0].to(torch.uint8).numpy(), affine, out)


WAYS = {"full-ours": full_ours, "full-monai": full_monai, "brain-monai": brain_monai}


def measured(*command: str | Path) -> str:
    """Wall and CPU seconds and peak memory (GB) of a process, as cells of a table."""
    began = time.perf_counter()
    process = subprocess.Popen([*map(str, command)], stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        return f"ended with {process.returncode} | | "
    wall, cpu = time.perf_counter() - began, usage.ru_utime + usage.ru_stime
    return f"{wall:.1f} | {cpu:.1f} | {usage.ru_maxrss * 1024 / 1e9:.2f}"


def row(way: str, scan: Path, out: Path) -> str:
    """Measure one way in a fresh process."""
    if way == "brain-ours":
        command = (sys.executable, "-m", "mmtool.cli", "segment", scan, "-o", out, "--overwrite")
        return measured(*command)
    if way == "full-monai":
        voxels = int(np.prod(nibabel.load(scan).shape))
        need = 4 * voxels * (2 * CLASSES + 3) / 2**30  # sums, and MONAI's quotient or argmax beside
        free = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30
        if need > free:
            return f"not run: about {need:.0f} GiB for its maps, {free:.0f} GiB free | | "
    return measured(sys.executable, __file__, scan, "--way", way, "--out", out.with_suffix(".nii"))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("scan", type=Path)
    parser.add_argument("--work", type=Path, default=Path("benchmarks_work"))
    parser.add_argument("--cases", nargs="+", choices=CASES, default=CASES)
    parser.add_argument("--way", choices=WAYS, help=argparse.SUPPRESS)
    parser.add_argument("--out", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.way:
        WAYS[args.way](args.scan, args.out)
        return
    args.work.mkdir(parents=True, exist_ok=True)
    print(f"Load of the machine: {os.getloadavg()[0]:.1f} on {os.cpu_count()} processors.\n")
    print("| case | way | wall s | CPU s | peak memory, GB |\n|---|---|---|---|---|")
    for case in args.cases:
        large = case.endswith("-large")
        scan = (budgets.large if large else cube)(args.scan, args.work)
        kind = case.removesuffix("-large")
        for way in ("ours", "monai"):
            cells = row(f"{kind}-{way}", scan, args.work / f"{case}-{way}")
            print(f"| {case} | {way} | {cells} |", flush=True)
        files = [args.work / f"{case}-{way}.nii" for way in ("ours", "monai")]
        if kind == "full" and all(f.exists() for f in files):
            ours, monai = (np.asarray(nibabel.load(f).dataobj) for f in files)
            print(f"\nLabels that differ: {int((ours != monai).sum()):,} of {ours.size:,}.\n")


if __name__ == "__main__":
    main()
