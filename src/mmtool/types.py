"""Typed data that the rooms hand to each other.

Nothing here imports numpy or torch at run time, so that ``mmtool --help`` stays light.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Code:
    """A coded concept, e.g. ``Code("15926001", "SCT", "Brainstem")``."""

    value: str
    scheme: str
    meaning: str


@dataclass(frozen=True)
class Label:
    """One class of a label map.

    Attributes:
        index: Voxel value in the label map, > 0.
        name: Lower-case English name with its side, e.g. ``left hippocampus``.
        code: SNOMED CT concept of the structure without its side.
        laterality: SNOMED CT ``Left``/``Right``, or None for midline structures.
        category: SNOMED CT segmented property category (e.g. anatomical structure).
        color: sRGB 0-255.
    """

    index: int
    name: str
    code: Code
    laterality: Code | None
    category: Code
    color: tuple[int, int, int]


@dataclass(frozen=True)
class VolumeSource:
    """Where a volume came from, and what a writer needs to lie exactly on it.

    Attributes:
        path: The file, folder or archive that the user named.
        kind: ``nifti``, ``mgh``, ``nrrd`` or ``dicom``.
        sha256: Hash of the bytes read: of the file, or for DICOM over the sorted hashes of
            the files of the series that was used.
        modality: DICOM modality (``MR``, ``CT``, ...), or empty when the format has none.
        header: The native nibabel header for ``nifti``/``mgh`` (codes, units, extensions),
            the pynrrd header dict for ``nrrd``, None for ``dicom``.
        datasets: DICOM only: datasets without pixel data, in the order of axis K
            (one dataset for a multi-frame object).
        series_uid: DICOM only. Never log it.
        frame_order: DICOM multi-frame only: frame number (0-based) of each K.
        notes: Plain sentences on what the reader had to do (e.g. resampled a gantry tilt).
    """

    path: Path
    kind: str
    sha256: str
    modality: str = ""
    header: Any = None
    datasets: tuple[Any, ...] = ()
    series_uid: str = ""
    frame_order: tuple[int, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class ScanHeader:
    """What a reader knows of a scan before it reads the voxels.

    Attributes:
        shape: Voxels along I, J, K.
        affine: (4, 4) float64, voxel index to RAS+ mm.
        reading_bytes: Peak of memory while the voxels are read, the result included.
        held_bytes: What the voxels take when they are read.
    """

    shape: tuple[int, int, int]
    affine: NDArray[np.float64]
    reading_bytes: int
    held_bytes: int


@dataclass(frozen=True)
class Volume:
    """A scalar volume on a regular grid.

    Attributes:
        data: (I, J, K) array in the units of the file after rescale (HU for CT); integer or
            float32. For DICOM, I runs along columns, J along rows, K along slices.
        affine: (4, 4) float64, voxel index (i, j, k, 1) to RAS+ mm.
        source: Provenance.
    """

    data: NDArray[Any]
    affine: NDArray[np.float64]
    source: VolumeSource

    @property
    def shape(self) -> tuple[int, int, int]:
        """Number of voxels along I, J, K."""
        i, j, k = self.data.shape
        return int(i), int(j), int(k)


@dataclass(frozen=True)
class AlgorithmId:
    """Who made a segmentation: written into DICOM SEG and the run record."""

    name: str
    version: str
    weights_sha256: str


@dataclass(frozen=True)
class Measurement:
    """One row of ``measurements.tsv``.

    Attributes:
        label: The structure.
        voxels: Number of voxels on the input grid.
        volume_ml: Volume in mL.
        extra: Further columns (name with unit -> value), the same keys in every row.
    """

    label: Label
    voxels: int
    volume_ml: float
    extra: dict[str, float | int | str] = field(default_factory=dict)
