"""Scans of a folder by the name of their case, for models of one channel or of several."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from mmtool.pipelines.channels import plain
from mmtool.pipelines.evaluation.label_maps import find_cases
from mmtool.pipelines.samplesheet import VOLUME_SUFFIXES, BatchItem, numbered_cases, stem_of


def find_image_cases(place: Path, channels: Sequence[str]) -> dict[str, BatchItem]:
    """Cases of a folder, or of one file, by name.

    A case of several channels is a folder with a file for each, files named after case and channel
    (``case_flair.nii.gz``, ``case_0001.nii.gz``), or one file whose fourth axis is channels.

    Args:
        place: The folder.
        channels: Of the model.

    Raises:
        InputError: Nothing is there, or two files have the name of one case.
    """
    if len(channels) > 1 and place.is_dir():
        named = {item.name: item for item in numbered_cases(place)} or _named(place, channels)
        if named:
            return named
    found = find_cases(place, images=True)
    return {case: BatchItem(case, (path,)) for case, path in found.items()}


def _named(folder: Path, channels: Sequence[str]) -> dict[str, BatchItem]:
    """Files such as ``case_flair.nii.gz``; a case counts when its first channel is there."""
    order = [plain(channel) for channel in channels]
    cases: dict[str, dict[int, Path]] = {}
    for path in sorted(folder.iterdir()):
        case, _, last = stem_of(path).rpartition("_")
        is_volume = path.is_file() and path.name.lower().endswith(VOLUME_SUFFIXES)
        if is_volume and case and plain(last) in order:
            cases.setdefault(case, {})[order.index(plain(last))] = path
    items = {}
    for case, files in cases.items():
        places = sorted(files)
        if places[0] == 0:
            inputs = tuple(files[n] for n in places)
            items[case] = BatchItem(case, inputs, channels=tuple(channels[n] for n in places[1:]))
    return items
