"""How often scans are called unlike the training data: held-out scans, and other ones.

    python benchmarks/likeness.py --training FOLDER --others FOLDER...

Ranges are taken from the scans of ``--training`` (case i of the sorted names is held out when
i % 5 == 4). Prints Markdown for docs/benchmarks.md.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from brain import table

from mmtool.io.readers import read_volume
from mmtool.pipelines.evaluation.label_maps import find_cases
from mmtool.pipelines.likeness import KEY, ranges_of, training_ranges, unlike_training


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--training", type=Path, required=True)
    parser.add_argument("--others", type=Path, nargs="*", default=[])
    args = parser.parse_args()
    paths = list(find_cases(args.training, images=True).values())
    kept = [p for i, p in enumerate(paths) if i % 5 != 4]
    volumes = (read_volume(p) for p in kept)
    ranges = ranges_of({KEY: training_ranges((v.data, v.affine) for v in volumes)}, {})
    groups = {f"{args.training.name}, held out": [p for p in paths if p not in kept]}
    for folder in args.others:
        groups[folder.name] = list(find_cases(folder, images=True).values())
    rows = []
    for name, scans in groups.items():
        told = []
        for path in scans:
            volume = read_volume(path)
            told.append(unlike_training(volume.data, volume.affine, ranges))
        shape = sum(any("intensities" in s for s in sentences) for sentences in told)
        rows.append((name, str(len(told)), str(sum(map(bool, told))), str(shape)))
    table(("scans", "n", "told unlike", "by intensities"), rows)


if __name__ == "__main__":
    main()
