"""FHIR R4: a Bundle with a DiagnosticReport and an Observation for each finding.

The patient is not named: whoever stores the report adds the subject. The study is named by its
DICOM identifier.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mmtool.io.writers.json_file import write_json
from mmtool.io.writers.report_codes import PRESENCE, SIDES
from mmtool.io.writers.report_text import PRELIMINARY
from mmtool.reports import Finding, Report
from mmtool.types import Code

# Names that FHIR gives to code systems.
_SYSTEMS = {
    "SCT": "http://snomed.info/sct",
    "RADLEX": "http://www.radlex.org",
    "DCM": "http://dicom.nema.org/resources/ontology/DCM",
    "LN": "http://loinc.org",
}
_UCUM = "http://unitsofmeasure.org"
_NAMES = uuid.UUID("6d0c3a3c-3d8e-5e1a-9a60-1b7a4f0a8e5d")  # of ids made from content


def write_report_fhir(path: Path, report: Report) -> None:
    """Write a report as a FHIR Bundle.

    Args:
        path: Target ``.json``.
        report: The report.
    """
    write_json(path, fhir_bundle(report))


def fhir_bundle(report: Report) -> dict[str, Any]:
    """The Bundle as plain data."""
    entries = [
        {"fullUrl": _urn(report, f.id), "resource": _observation(report, f)}
        for f in report.findings
    ]
    whole = {"fullUrl": _urn(report, "report"), "resource": _diagnostic_report(report)}
    return {
        "resourceType": "Bundle",
        "type": "collection",
        "timestamp": report.provenance.created,
        "entry": [whole, *entries],
    }


def _urn(report: Report, name: str) -> str:
    """The same report gives the same identifiers."""
    made = report.provenance
    base = "|".join((made.created, *(i.sha256 for i in report.study.images), name))
    return f"urn:uuid:{uuid.uuid5(_NAMES, base)}"


def _diagnostic_report(report: Report) -> dict[str, Any]:
    out: dict[str, Any] = {
        "resourceType": "DiagnosticReport",
        "status": "preliminary",
        "category": [
            {
                "coding": [
                    {
                        "system": "http://terminology.hl7.org/CodeSystem/v2-0074",
                        "code": "RAD",
                        "display": "Radiology",
                    }
                ]
            }
        ],
        "code": _concept(Code("18748-4", "LN", "Diagnostic imaging study")),
        "issued": report.provenance.created,
        "conclusion": " ".join((PRELIMINARY, *report.impression)),
    }
    results = [{"reference": _urn(report, f.id), "display": f.text} for f in report.findings]
    if results:
        out["result"] = results
    studies = dict.fromkeys(i.study_uid for i in report.study.images if i.study_uid)
    if studies:
        out["imagingStudy"] = [_study(uid) for uid in studies]
    return out


def _study(uid: str) -> dict[str, Any]:
    return {
        "type": "ImagingStudy",
        "identifier": {"system": "urn:dicom:uid", "value": f"urn:oid:{uid}"},
    }


def _observation(report: Report, finding: Finding) -> dict[str, Any]:
    out: dict[str, Any] = {
        "resourceType": "Observation",
        "status": "preliminary",
        "category": [
            {
                "coding": [
                    {
                        "system": "http://terminology.hl7.org/CodeSystem/observation-category",
                        "code": "imaging",
                        "display": "Imaging",
                    }
                ]
            }
        ],
        "code": _concept(finding.code, finding.text),
        "issued": report.provenance.created,
        "note": [{"text": finding.sentence}],
        "device": {"display": finding.by},
    }
    if len(finding.measurements) == 1:
        out["valueQuantity"] = _quantity(
            finding.measurements[0].value, finding.measurements[0].unit
        )
    else:
        out["valueCodeableConcept"] = _concept(PRESENCE[finding.presence])
    site = _site(finding)
    if site:
        out["bodySite"] = site
    components = list(_components(finding))
    if components:
        out["component"] = components
    uids = dict.fromkeys(i.study_uid for i in _images_of(report, finding) if i.study_uid)
    if uids:
        out["derivedFrom"] = [_study(uid) for uid in uids]
    return out


def _images_of(report: Report, finding: Finding) -> Iterator[Any]:
    wanted = {e.image for e in finding.evidence}
    return (i for i in report.study.images if not wanted or i.number in wanted)


def _components(finding: Finding) -> Iterator[dict[str, Any]]:
    if len(finding.measurements) > 1:
        for m in finding.measurements:
            yield {"code": {"text": m.name}, "valueQuantity": _quantity(m.value, m.unit)}
    named = (("probability", finding.probability), ("uncertainty", finding.uncertainty))
    for name, value in named:
        if value is not None:
            yield {"code": {"text": name}, "valueQuantity": _quantity(value, "1")}


def _quantity(value: float, unit: str) -> dict[str, Any]:
    return {"value": value, "unit": unit, "system": _UCUM, "code": unit}


def _site(finding: Finding) -> dict[str, Any] | None:
    codes = [finding.site] if finding.site else []
    codings = [c for code in codes for c in _concept(code)["coding"]]
    if finding.laterality:
        codings += _concept(SIDES[finding.laterality])["coding"]
    return {"coding": codings} if codings else None


def _concept(code: Code | None, text: str = "") -> dict[str, Any]:
    if code is None:
        return {"text": text}
    coding = {
        "system": _SYSTEMS.get(code.scheme, f"urn:mmtool:{code.scheme}"),
        "code": code.value,
        "display": code.meaning,
    }
    return {"coding": [coding], "text": text or code.meaning}
