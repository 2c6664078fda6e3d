"""Where the files of an item of a batch go: a folder of its own, or a dataset of many."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from mmtool.errors import UsageError
from mmtool.io.atomic import RECORD
from mmtool.io.bids import BidsScan
from mmtool.io.writers.bids import OTHERS, check_dataset, write_dataset
from mmtool.pipelines.samplesheet import BatchItem
from mmtool.pipelines.staging import is_occupied


@dataclass(frozen=True)
class Place:
    """Where one item goes.

    Attributes:
        folder: Absolute; the names of its outputs are relative to it.
        shown: The folder that the user is told of.
        record: Its ``run.json``, relative to ``folder``.
        marks: Names in a shared folder whose presence says that the item was written there; None
            when the folder is the item's own.
    """

    folder: Path
    shown: Path
    record: str = RECORD
    marks: tuple[str, ...] | None = None

    @property
    def staging(self) -> Path:
        """What the staging folder is named after: one for each item, also in a shared folder."""
        return self.folder if self.marks is None else self.folder / Path(self.record).parent.name

    @property
    def occupied(self) -> bool:
        """Whether something of the item is there already."""
        if self.marks is None:
            return is_occupied(self.folder)
        return any((self.folder / name).exists() for name in (self.record, *self.marks))


class Layout(Protocol):
    """How the items of a batch share an output folder."""

    def place(self, item: BatchItem) -> Place:
        """Where an item goes."""
        ...

    def prepare(self) -> None:
        """Write what belongs to no single item, before the first one is published."""
        ...


class BidsLayout:
    """A BIDS derivative dataset: all items share its root.

    Args:
        items: All items of the run.
        root: The dataset.

    Raises:
        UsageError: A name is none of BIDS, two are the same, the scans are of several datasets,
            or the root belongs to another dataset.
    """

    def __init__(self, items: Sequence[BatchItem], root: Path) -> None:
        self.root = root.absolute()
        scans = [bids_scan(item) for item in items]
        seen: dict[str, BatchItem] = {}
        for item, scan in zip(items, scans, strict=True):
            name = scan.derivative("dseg")
            if name in seen:
                raise UsageError(
                    f"{item.inputs[0]} and {seen[name].inputs[0]} have the same name in BIDS",
                    "add an entity that tells them apart, e.g. run-1 and run-2",
                )
            seen[name] = item
        found = (s.raw_dataset(i.inputs[0]) for i, s in zip(items, scans, strict=True))
        roots = sorted({os.path.realpath(raw) for raw in found if raw})
        if len(roots) > 1:
            raise UsageError(
                f"the scans lie in {len(roots)} datasets ({roots[0]} and others)",
                "run each dataset with an -o of its own",
            )
        self.raw = (
            Path(os.path.relpath(roots[0], os.path.realpath(self.root))).as_posix()
            if roots
            else None
        )
        check_dataset(self.root, self.raw)

    def place(self, item: BatchItem) -> Place:
        """Results under ``sub-.../``, all else with the record in ``mmtool/<scan>/``."""
        scan = bids_scan(item)
        return Place(
            self.root,
            self.root / scan.folder,
            f"{OTHERS}/{scan.stem}/{RECORD}",
            (f"{OTHERS}/{scan.stem}",),
        )

    def prepare(self) -> None:
        """Write ``dataset_description.json``."""
        write_dataset(self.root, self.raw)


def bids_scan(item: BatchItem) -> BidsScan:
    """The BIDS name of an item: its id, or the name of its file.

    Raises:
        UsageError: It is none.
    """
    path = item.inputs[0]
    scan = BidsScan.parse(item.name) or BidsScan.parse(path.name.partition(".")[0])
    if scan is None:
        raise UsageError(
            f"{path}: --bids needs a name of BIDS, such as sub-01_ses-02_T1w.nii.gz",
            "rename it, or give the name in the column id of a sample sheet",
        )
    return scan
