"""Slides of the patients, or features of them, as one more block of ``mmtool survive``."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from mmtool.io.limits import Limits
from mmtool.io.readers.patient_table import is_missing
from mmtool.pipelines.slide_bags import block_of
from mmtool.pipelines.slide_encoding import Tiling, bags_of
from mmtool.pipelines.survive_tables import Patients

SLIDES = "slides"  # name of the block
_COLUMNS = ("slide_id", "slide", "slides")
TILES = "tiles"  # folder in the output that keeps the features of slides


@dataclass(frozen=True)
class SlideOptions:
    """Where slides are.

    Attributes:
        folder: Of features (.h5, .pt, .npy) or of slides; None for none.
        mpp: µm a pixel of slides that don't say it.
        cache: Folder that keeps the features of slides; one in the output if None.
    """

    folder: Path | None = None
    mpp: float | None = None
    cache: Path | None = None

    def state(self) -> list[tuple[str, int, int]]:
        """Names, sizes and times of all files, to tell whether a result is still theirs."""
        if self.folder is None:
            return []
        files = sorted(p for p in self.folder.rglob("*") if p.is_file())
        kept = [(p.relative_to(self.folder).as_posix(), p.stat()) for p in files]
        return [(name, s.st_size, s.st_mtime_ns) for name, s in kept]


def with_slides(patients: Patients, options: SlideOptions, out: Path, limits: Limits) -> Patients:
    """The patients with a block of their slides, if a folder is given.

    Args:
        patients: As the tables have them.
        options: Where slides are.
        out: Folder of the output.
        limits: Bounds of the readers.

    Raises:
        InputError: As of `bags_of`.
    """
    if options.folder is None:
        return patients
    bags = bags_of(
        options.folder,
        patients.ids,
        cache=options.cache or out / TILES,
        tiling=Tiling(mpp=options.mpp),
        table=_named(patients),
        limits=limits,
    )
    block = block_of(bags, SLIDES)
    notes = [*patients.notes, *bags.notes]
    without = int((~block.present).sum())
    if without:
        notes.append(f"{options.folder.name}: {without} patients have no slide in it")
    blocks = {**patients.blocks, SLIDES: block}
    return replace(patients, blocks=blocks, bags=bags, notes=tuple(notes))


def _named(patients: Patients) -> dict[str, list[str]] | None:
    """Patient -> slides, of the table's column of slides, parted by semicolons; None without it."""
    columns = {name.strip().lower(): cells for name, cells in patients.clinical.items()}
    cells = next((columns[name] for name in _COLUMNS if name in columns), None)
    if cells is None:
        return None
    parts = zip(patients.ids, cells, strict=True)
    named = {i: [p.strip() for p in cell.split(";") if not is_missing(p)] for i, cell in parts}
    return {i: slides for i, slides in named.items() if slides}
