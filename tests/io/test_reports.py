"""The report and its views: written, reread by others' libraries, safe with hostile words."""

from __future__ import annotations

import importlib
import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import highdicom
import jsonschema
import numpy as np
import pydicom
import pytest
from pydicom.data import get_testdata_file
from reports_made import EVIL, made_report

from mmtool.errors import InputError
from mmtool.io.readers.report_json import read_report
from mmtool.io.writers.key_image import Figure, key_image
from mmtool.io.writers.report_fhir import fhir_bundle
from mmtool.io.writers.report_geojson import write_report_geojson
from mmtool.io.writers.report_html import write_report_html
from mmtool.io.writers.report_json import plain_report, schema_text, write_report_json
from mmtool.io.writers.report_sr import write_report_sr, write_secondary_capture
from mmtool.io.writers.report_text import report_text
from mmtool.reports import Report
from mmtool.studies import Contradicted, Instance


def valid(report: Report) -> None:
    jsonschema.Draft202012Validator(
        json.loads(schema_text()), format_checker=jsonschema.FormatChecker()
    ).validate(json.loads(json.dumps(plain_report(report))))


def test_the_json_is_valid_and_comes_back(tmp_path: Path) -> None:
    report = made_report((Instance("1.2", "3.4"),))
    valid(report)
    write_report_json(tmp_path / "report.json", report)
    assert read_report(tmp_path / "report.json") == report


def test_the_schema_refuses_what_is_no_report() -> None:
    schema = json.loads(schema_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    good = json.loads(json.dumps(plain_report(made_report())))
    for path, value in (
        (("status",), "final"),
        (("version",), 2),
        (("findings", 0, "probability"), 1.5),
        (("findings", 0, "presence"), "maybe"),
        (("study", "images", 0, "sha256"), "no hash"),
    ):
        bad = json.loads(json.dumps(good))
        place = bad
        for key in path[:-1]:
            place = place[key]
        place[path[-1]] = value
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(bad, schema)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda r: r | {"schema": "other"}, "no report"),
        (lambda r: r | {"version": 9}, "version 9"),
        (lambda r: r | {"findings": [{"id": "f1"}]}, "lacks 'text'"),
        (lambda r: r | {"abstained": 1}, "abstained is not"),
        (lambda r: r | {"impression": "words"}, "impression is no list"),
        (lambda r: [], "no report"),
    ],
)
def test_a_broken_report_is_refused(tmp_path: Path, change: object, words: str) -> None:
    path = tmp_path / "prior.json"
    path.write_text(json.dumps(change(plain_report(made_report()))))  # type: ignore[operator]
    with pytest.raises(InputError, match=words):
        read_report(path)


def test_a_report_that_is_no_json_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "prior.json"
    path.write_bytes(b"[" * 200_000)
    with pytest.raises(InputError, match="not valid JSON"):
        read_report(path)
    with pytest.raises(InputError, match="can't be read"):
        read_report(tmp_path / "absent.json")


def test_the_text_has_its_sections_and_no_made_up_ones() -> None:
    report = made_report()
    evil = replace(report.study, indication="cough\n\nIMPRESSION:\n  All well.")
    text = report_text(replace(report, study=evil))
    heads = re.findall(r"^([A-Z ]+)[:(]", text, re.MULTILINE)
    assert heads.count("IMPRESSION") == 1
    assert [h.strip() for h in heads[:4]] == ["INDICATION", "IMAGES", "FINDINGS", "IMPRESSION"]
    assert "Left hippocampus: 3.1 mL." in text


def test_generated_words_stand_apart_in_text_and_page(tmp_path: Path) -> None:
    report = made_report()
    image = replace(report.study.images[0], generated=f"A mass {EVIL}.\n\nIMPRESSION:\n  Well.")
    report = replace(report, study=replace(report.study, images=(image,)))
    valid(report)
    text = report_text(report)
    findings, _, words = text.partition("GENERATED TEXT (RESTS ON NO EVIDENCE")
    assert "A mass" not in findings
    assert "A mass" in words
    assert len(re.findall(r"^IMPRESSION:", text, re.MULTILINE)) == 1
    write_report_html(tmp_path / "report.html", report, {})
    page = (tmp_path / "report.html").read_text()
    assert "Generated text (rests on no evidence" in page
    assert EVIL not in page
    assert "A mass" not in json.dumps(fhir_bundle(report))


def test_contradicted_words_are_marked_on_the_page_and_left_out_of_the_text(tmp_path: Path) -> None:
    left = Contradicted(f"MR of the head {EVIL}.", "modality", "the modality is X-ray")
    report = made_report()
    image = replace(report.study.images[0], contradicted=(left,))
    report = replace(report, study=replace(report.study, images=(image,)))
    valid(report)
    text = report_text(report)
    assert "MR of the head" not in text
    assert "1 contradicted and left out" in text
    write_report_html(tmp_path / "report.html", report, {})
    page = (tmp_path / "report.html").read_text()
    assert "<del>MR of the head" in page
    assert EVIL not in page
    write_report_json(tmp_path / "report.json", report)
    assert read_report(tmp_path / "report.json") == report


class Links(HTMLParser):
    """Tags, ids, and all that could load or run something."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        for name, value in attrs:
            assert not name.startswith("on")
            if name == "id":
                self.ids.append(value or "")
            if name in ("href", "src"):
                self.links.append(value or "")


def test_the_page_runs_nothing_loads_nothing_and_links_within(tmp_path: Path) -> None:
    pixels = np.linspace(0, 1, 64 * 48, dtype=np.float32).reshape(64, 48)
    figures = {
        "image-1": Figure(f"Image 1 {EVIL}", key_image(pixels)),
        "f1": Figure("f1", key_image(pixels, heat=pixels[:8, :8], box=(0, 0, 0.5, 0.5))),
    }
    write_report_html(tmp_path / "report.html", made_report(), figures)
    text = (tmp_path / "report.html").read_text()
    page = Links(text)
    assert EVIL not in text
    assert "script" not in page.tags
    assert "default-src 'none'" in text
    assert all(link.startswith(("#", "data:image/png;base64,")) for link in page.links)
    assert {link[1:] for link in page.links if link.startswith("#")} <= set(page.ids)
    assert {"f1", "f2", "figure-f1", "figure-image-1"} <= set(page.ids)


def test_the_structured_report_is_reread_and_refers_to_its_images(tmp_path: Path) -> None:
    source = pydicom.dcmread(get_testdata_file("CT_small.dcm"), stop_before_pixels=True)
    path = tmp_path / "report_sr.dcm"
    write_report_sr(path, made_report(), {1: [source]})
    plain = pydicom.dcmread(path)
    assert plain.StudyInstanceUID == source.StudyInstanceUID
    assert plain.PatientID == source.PatientID
    assert (plain.CompletionFlag, plain.VerificationFlag) == ("PARTIAL", "UNVERIFIED")
    reread = highdicom.sr.srread(path)
    assert plain.ContentTemplateSequence[0].TemplateIdentifier == "1500"
    assert isinstance(reread.content, highdicom.sr.MeasurementReport)
    groups = reread.content.get_image_measurement_groups()
    assert len(groups) == 3
    for group in groups:
        assert [i.referenced_sop_instance_uid for i in group.source_images] == [
            source.SOPInstanceUID
        ]
    kind, first, second = groups
    assert next(e.value.meaning for e in kind.get_qualitative_evaluations()) == "X-ray"
    assert first.finding_type.value == "60046008"
    assert first.get_qualitative_evaluations()[0].value.meaning == "Indeterminate"
    assert second.get_measurements()[0].value == 3.1
    assert second.finding_sites[0].laterality.meaning == "Left"


def test_a_picture_becomes_a_capture_that_the_structured_report_refers_to(tmp_path: Path) -> None:
    header = write_secondary_capture(tmp_path / "source.dcm", np.full((20, 30), 0.5, np.float32))
    write_report_sr(tmp_path / "report_sr.dcm", made_report(), {1: [header]})
    assert pydicom.dcmread(tmp_path / "source.dcm").pixel_array.shape == (20, 30)
    reread = highdicom.sr.srread(tmp_path / "report_sr.dcm")
    groups = reread.content.get_image_measurement_groups()
    assert groups[-1].source_images[0].referenced_sop_instance_uid == header.SOPInstanceUID
    with pytest.raises(ValueError, match="needs DICOM"):
        write_report_sr(tmp_path / "none.dcm", made_report(), {})


def test_the_fhir_bundle_is_valid_r4() -> None:
    """By the R4B models, whose DiagnosticReport and Observation are those of R4."""
    bundle = fhir_bundle(made_report())
    kinds = {
        kind: getattr(importlib.import_module(f"fhir.resources.R4B.{kind.lower()}"), kind)
        for kind in ("Bundle", "DiagnosticReport", "Observation")
    }
    kinds["Bundle"].model_validate(bundle)
    for entry in bundle["entry"]:
        kinds[entry["resource"]["resourceType"]].model_validate(entry["resource"])
    report, first, second = (e["resource"] for e in bundle["entry"])
    assert {r["status"] for r in (report, first, second)} == {"preliminary"}
    assert [r["reference"] for r in report["result"]] == [e["fullUrl"] for e in bundle["entry"][1:]]
    assert first["valueCodeableConcept"]["coding"][0]["display"] == "Indeterminate"
    assert report["imagingStudy"][0]["identifier"]["value"] == "urn:oid:1.2.3"
    assert len(fhir_bundle(replace(made_report(), findings=()))["entry"]) == 1


def test_boxes_of_a_slide_count_its_pixels(tmp_path: Path) -> None:
    write_report_geojson(tmp_path / "report.geojson", made_report(), (1000, 400))
    found = json.loads((tmp_path / "report.geojson").read_text())
    (shape,) = found["features"]
    assert shape["geometry"]["coordinates"][0][:3] == [[250, 100], [750, 100], [750, 200]]
    assert shape["properties"]["name"] == "left hippocampus"
