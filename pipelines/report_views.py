"""The files of a report: its truth, and the views that are asked for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from mmtool.anatomy import BRAIN_LABELS
from mmtool.errors import UsageError
from mmtool.io.writers.key_image import Figure, key_image
from mmtool.io.writers.nifti import write_label_nifti
from mmtool.io.writers.report_fhir import write_report_fhir
from mmtool.io.writers.report_geojson import write_report_geojson
from mmtool.io.writers.report_html import write_report_html
from mmtool.io.writers.report_json import write_report_json
from mmtool.io.writers.report_sr import write_report_sr, write_secondary_capture
from mmtool.io.writers.report_text import write_report_text
from mmtool.pipelines.report_gate import Look
from mmtool.pipelines.report_heat import Heat
from mmtool.pipelines.report_images import key_slice
from mmtool.reports import Explanation, Report
from mmtool.types import Volume

FORMATS = ("json", "txt", "html", "sr", "fhir", "geojson")
DEFAULT = ("json", "txt", "html", "fhir")


def parse_formats(text: str | None) -> tuple[str, ...] | None:
    """Formats of a list such as ``json,html``; None for what suits the input.

    Raises:
        UsageError: One of them is not known.
    """
    if text is None:
        return None
    names = tuple(dict.fromkeys(part.strip().lower() for part in text.split(",") if part.strip()))
    unknown = [n for n in names if n not in (*FORMATS, "all")]
    if unknown or not names:
        raise UsageError(f"--format {text}: not known", f"there is all, {', '.join(FORMATS)}")
    return FORMATS if "all" in names else ("json", *(n for n in names if n != "json"))


@dataclass(frozen=True)
class Shown:
    """What the views need beside the report.

    Attributes:
        looks: The images.
        heats: Heat maps by finding.
        masks: Label maps of brains by image, with their volume.
        explained: Maps of `mmtool.reports.Explanation` by their path.
    """

    looks: Sequence[Look]
    heats: Mapping[str, Heat]
    masks: Mapping[int, tuple[Volume, NDArray[np.uint8]]]
    explained: Mapping[str, Heat] = field(default_factory=dict)


def write_views(out: Path, report: Report, shown: Shown, formats: tuple[str, ...] | None) -> None:
    """Write the report and its views into a folder.

    Args:
        out: The folder.
        report: The report.
        shown: Pictures and headers.
        formats: Names of `FORMATS`; None for `DEFAULT`, and DICOM SR where DICOM came in.
    """
    dicom = any(look.image.headers for look in shown.looks)
    wanted = formats or (
        *DEFAULT,
        *(["sr"] if dicom else []),
        *(["geojson"] if _slide(shown) else []),
    )
    figures = _figures(report, shown)
    maps = {f"evidence/{key}.png": key for key in shown.heats}
    maps |= {e.path: _key(e) for e in report.explanations}
    for path, key in maps.items():
        (out / path).parent.mkdir(exist_ok=True)
        (out / path).write_bytes(figures[key].png)
    for number, (volume, labels) in shown.masks.items():
        write_label_nifti(labels, volume, out / mask_name(number))
    write_report_json(out / "report.json", report)
    if "txt" in wanted:
        write_report_text(out / "report.txt", report)
    if "html" in wanted:
        write_report_html(out / "report.html", report, figures)
    if "fhir" in wanted:
        write_report_fhir(out / "report.fhir.json", report)
    if "sr" in wanted:
        write_report_sr(out / "report_sr.dcm", report, _sources(out, shown))
    if "geojson" in wanted and _slide(shown):
        write_report_geojson(out / "report.geojson", report, _slide(shown) or (1, 1))


def mask_name(number: int) -> str:
    """File of the label map of an image."""
    return f"structures-{number}.nii.gz"


def _slide(shown: Shown) -> tuple[int, int] | None:
    return next((look.image.size for look in shown.looks if look.image.size), None)


def _sources(out: Path, shown: Shown) -> dict[int, Sequence[Dataset]]:
    """Headers by image; what is no DICOM is written as a secondary capture to refer to."""
    sources: dict[int, Sequence[Dataset]] = {
        look.image.number: look.image.headers for look in shown.looks if look.image.headers
    }
    if not sources:
        for look in shown.looks:
            pixels = key_slice(look.slices[len(look.slices) // 2][1])[0]
            path = out / f"source-{look.image.number}.dcm"
            sources[look.image.number] = [write_secondary_capture(path, pixels)]
    return sources


def _figures(report: Report, shown: Shown) -> dict[str, Figure]:
    """One picture of each image, and one of each finding that has a heat map."""
    out: dict[str, Figure] = {}
    for look in shown.looks:
        number = look.image.number
        place, picture = look.slices[len(look.slices) // 2]
        if number in shown.masks:
            out[f"image-{number}"] = _brain(number, *shown.masks[number])
            continue
        pixels, ratio = key_slice(picture)
        caption = f"Image {number}: {look.image.name}"
        if look.image.kind == "volume":
            caption += f", slice {place + 1}"
        out[f"image-{number}"] = Figure(caption, key_image(pixels, ratio=ratio))
    for finding in report.findings:
        heat = shown.heats.get(finding.id)
        if heat is not None:
            pixels, ratio = key_slice(heat.picture)
            caption = f"{finding.text}: what the probability hangs on (orange)"
            out[finding.id] = Figure(caption, key_image(pixels, heat=heat.grid, ratio=ratio))
    for explanation in report.explanations:
        heat = shown.explained[explanation.path]
        pixels, ratio = key_slice(heat.picture)
        caption = (
            f"Image {explanation.image}: what {explanation.about} '{explanation.answer}' hangs on "
            f"(orange), by {explanation.method}"
        )
        out[_key(explanation)] = Figure(caption, key_image(pixels, heat=heat.grid, ratio=ratio))
    return out


def _key(explanation: Explanation) -> str:
    """Name of its figure."""
    return Path(explanation.path).stem


def _brain(number: int, volume: Volume, labels: NDArray[np.uint8]) -> Figure:
    """The axial slice that shows most structures, in colour."""
    from nibabel.orientations import apply_orientation, axcodes2ornt, io_orientation, ornt_transform

    turn = ornt_transform(io_orientation(volume.affine), axcodes2ornt("LPS"))
    data, mask = (
        np.transpose(apply_orientation(a, turn), (2, 1, 0)) for a in (volume.data, labels)
    )
    kinds = [len(np.unique(plane)) for plane in mask]
    best = int(np.argmax(kinds))
    plane = data[best].astype(np.float32)
    low, high = np.percentile(plane, (0.5, 99.5))
    steps = np.linalg.norm(volume.affine[:3, :3], axis=0)
    sides = {axis: float(steps[i]) for i, axis in enumerate(_axes(volume))}
    grey = ((plane - low) / max(float(high - low), 1e-6)).clip(0, 1)
    png = key_image(grey, labels=mask[best], table=BRAIN_LABELS, ratio=sides["A"] / sides["R"])
    return Figure(f"Image {number}: axial slice {best + 1} with its structures", png)


def _axes(volume: Volume) -> tuple[str, str, str]:
    """Anatomical axis of each array axis: R, A or S, whatever its direction."""
    from nibabel.orientations import io_orientation

    order = io_orientation(volume.affine)[:, 0].astype(int)
    return tuple("RAS"[k] for k in order)  # type: ignore[return-value]
