"""DICOM Structured Report by TID 1500 (PS3.16), by highdicom.

Each finding is a group of TID 1501: qualitative evaluations say whether it is there, measurements
give its numbers, and the images that it was read from are referred to. Patient and study are taken
over from those images. The report is neither complete nor verified.
"""

from __future__ import annotations

import copy
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path

import highdicom as hd
import numpy as np
from highdicom import sr
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes
from pydicom.uid import generate_uid

from mmtool import __version__
from mmtool.io.atomic import replace_into
from mmtool.io.writers.dicom_source import EMPTY, series_number
from mmtool.io.writers.report_codes import PRESENCE, SIDES
from mmtool.reports import Finding, Measurement, Report
from mmtool.studies import StudyImage
from mmtool.types import Code

_YES, _NO = Code("373066001", "SCT", "Yes"), Code("373067005", "SCT", "No")
_PRIVATE = "99MMTOOL"  # scheme of what no standard scheme is known for
_MOST_REFERENCES = 300  # images that one finding refers to
_MEANING = 64  # letters of a code's meaning


def write_report_sr(path: Path, report: Report, sources: Mapping[int, Sequence[Dataset]]) -> None:
    """Write a report as a DICOM SR document.

    Args:
        path: Target ``.dcm``.
        report: The report.
        sources: Headers of the DICOM objects that each image, by its number, was read from.

    Raises:
        ValueError: There is no source at all.
    """
    every = {
        number: [_completed(header) for header in headers] for number, headers in sources.items()
    }
    evidence = [header for headers in every.values() for header in headers]
    if not evidence:
        raise ValueError("a structured report needs DICOM images to refer to")
    groups = [
        _gate(image, every[image.number]) for image in report.study.images if image.number in every
    ]
    groups += [
        _group(number, finding, _images_of(finding, every))
        for number, finding in enumerate(report.findings, start=1)
    ]
    content = sr.MeasurementReport(
        observation_context=_observer(report),
        procedure_reported=sr.CodedConcept("363679005", "SCT", "Imaging procedure"),
        imaging_measurements=groups,
        title=codes.DCM.ImagingMeasurementReport,
        referenced_images=_described(evidence),
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about values of the source, which may name a person
        document = sr.Comprehensive3DSR(
            evidence=evidence,
            content=content,
            series_instance_uid=generate_uid(),
            series_number=series_number(evidence[0]),
            sop_instance_uid=generate_uid(),
            instance_number=1,
            manufacturer="mmtool",
            is_complete=False,
            is_final=False,
            is_verified=False,
            series_description="Preliminary report by mmtool",
        )
        document.ManufacturerModelName = "mmtool report"
        document.SoftwareVersions = __version__
        with replace_into(path) as temporary:
            document.save_as(temporary)


def write_secondary_capture(path: Path, pixels: NDArray[np.float32]) -> Dataset:
    """Write a picture that is no DICOM as one, so that a structured report can refer to it.

    Args:
        path: Target ``.dcm``.
        pixels: (H, W) or (H, W, 3) in 0..1.

    Returns:
        Its header.
    """
    grey = (np.nan_to_num(pixels).clip(0, 1) * 255).astype(np.uint8)
    image = hd.sc.SCImage(
        pixel_array=grey,
        photometric_interpretation="RGB" if grey.ndim == 3 else "MONOCHROME2",
        bits_allocated=8,
        coordinate_system="PATIENT",
        study_instance_uid=generate_uid(),
        series_instance_uid=generate_uid(),
        series_number=1,
        sop_instance_uid=generate_uid(),
        instance_number=1,
        manufacturer="mmtool",
        patient_orientation=("L", "F"),
        series_description="Picture that was not DICOM",
    )
    image.PatientOrientation = None  # nobody knows; highdicom wants one
    with replace_into(path) as temporary:
        image.save_as(temporary)
    return image


def _described(evidence: list[Dataset]) -> list[Dataset] | None:
    """Images for the image library; None where a header lacks what highdicom tells of them there.

    The library is optional; each finding refers to its images all the same.
    """
    try:
        sr.ImageLibrary(evidence)
    except (AttributeError, IndexError, KeyError, TypeError, ValueError):
        return None
    return evidence


def _completed(header: Dataset) -> Dataset:
    """A copy with the attributes that must be there, empty where the source has none."""
    out = copy.copy(header)
    for name in EMPTY:
        if name not in out:
            setattr(out, name, "")
    return out


def _images_of(finding: Finding, every: Mapping[int, Sequence[Dataset]]) -> list[Dataset]:
    """Objects that a finding was read from; all of them if it points at none."""
    numbers = [e.image for e in finding.evidence if e.image in every] or list(every)
    out = [header for number in dict.fromkeys(numbers) for header in every[number]]
    slices = {e.slice for e in finding.evidence if e.slice is not None and e.kind == "slice"}
    if len(slices) == 1 and len(out) > max(slices):
        return [out[slices.pop()]]
    return out[:_MOST_REFERENCES]


def _observer(report: Report) -> sr.ObservationContext:
    device = sr.DeviceObserverIdentifyingAttributes(
        uid=generate_uid(entropy_srcs=["mmtool report", report.provenance.tool_version]),
        name="mmtool report",
        manufacturer_name="mmtool",
        model_name="mmtool report",
    )
    context = sr.ObserverContext(codes.DCM.Device, device)
    return sr.ObservationContext(observer_device_context=context)


def _gate(
    image: StudyImage, sources: Sequence[Dataset]
) -> sr.MeasurementsAndQualitativeEvaluations:
    """TID 1501 of what an image is, and whether the models know such images."""
    gate = image.gate
    named = (
        ("Modality told", gate.modality),
        ("Plane told", gate.plane),
        ("Region told", gate.region),
        ("Sequence told", gate.sequence),
        ("Contrast agent told", gate.contrast),
    )
    said = [(name, _own(found.value)) for name, found in named if found.value]
    said.append(("Known to the models", _YES if gate.known else _NO))
    return sr.MeasurementsAndQualitativeEvaluations(
        tracking_identifier=sr.TrackingIdentifier(generate_uid(), f"image {image.number}"),
        finding_type=_concept(_own("Kind of image")),
        qualitative_evaluations=[
            sr.QualitativeEvaluation(_concept(_own(name)), _concept(value)) for name, value in said
        ],
        source_images=_references(sources[:_MOST_REFERENCES]),
    )


def _references(images: Sequence[Dataset]) -> list[sr.SourceImageForMeasurementGroup]:
    return [
        sr.SourceImageForMeasurementGroup(str(i.SOPClassUID), str(i.SOPInstanceUID)) for i in images
    ]


def _group(
    number: int, finding: Finding, images: Sequence[Dataset]
) -> sr.MeasurementsAndQualitativeEvaluations:
    """TID 1501 of one finding."""
    concept = _concept(finding.code or _own(finding.text))
    presence = sr.QualitativeEvaluation(
        name=codes.DCM.Finding if finding.code is None else concept,
        value=_concept(PRESENCE[finding.presence]),
    )
    numbers = [_measurement(m) for m in finding.measurements]
    sure = (("Probability", finding.probability), ("Evidential uncertainty", finding.uncertainty))
    numbers += [
        sr.Measurement(_concept(_own(name)), value, codes.UCUM.NoUnits)
        for name, value in sure
        if value is not None
    ]
    return sr.MeasurementsAndQualitativeEvaluations(
        tracking_identifier=sr.TrackingIdentifier(generate_uid(), f"{number} {finding.id}"),
        finding_type=concept,
        algorithm_id=sr.AlgorithmIdentification(name=finding.by[:64], version=__version__),
        finding_sites=_sites(finding),
        measurements=numbers or None,
        qualitative_evaluations=[presence],
        source_images=_references(images),
    )


def _sites(finding: Finding) -> list[sr.FindingSite] | None:
    if finding.site is None:
        return None
    side = _concept(SIDES[finding.laterality]) if finding.laterality else None
    return [sr.FindingSite(_concept(finding.site), laterality=side)]


def _measurement(found: Measurement) -> sr.Measurement:
    name = Code("118565006", "SCT", "Volume") if found.unit == "mL" else _own(found.name)
    unit = sr.CodedConcept(found.unit, "UCUM", found.unit)
    return sr.Measurement(_concept(name), found.value, unit)


def _own(text: str) -> Code:
    """A private code for words that no standard code is known for."""
    value = "".join(c if c.isalnum() and c.isascii() else "_" for c in text.lower()).strip("_")
    return Code(value[:16].strip("_") or "finding", _PRIVATE, text)


def _concept(code: Code) -> sr.CodedConcept:
    return sr.CodedConcept(code.value, code.scheme, code.meaning[:_MEANING] or "finding")
