"""``mmtool report`` on real and on awkward inputs: each has a defined answer."""

from __future__ import annotations

import importlib.util
import json
from dataclasses import replace
from pathlib import Path

import jsonschema
import nibabel
import numpy as np
import pydicom
import pytest
from PIL import Image
from pydicom.data import get_testdata_file

from mmtool.errors import InputError, UsageError
from mmtool.io.limits import Limits
from mmtool.io.writers.report_json import schema_text
from mmtool.pipelines.report import ReportOptions, ReportTask
from mmtool.pipelines.report_answers import answer
from mmtool.pipelines.report_cases import enough, support_of, votes_of
from mmtool.pipelines.report_check import check_report
from mmtool.pipelines.report_images import key_slice, read_study, slices_of
from mmtool.pipelines.report_prior import compare
from mmtool.pipelines.report_views import parse_formats
from mmtool.pipelines.samplesheet import BatchItem
from mmtool.reports import Finding, Measurement, Report
from mmtool.retrieval import Hit, Item, Source
from mmtool.studies import Gate, Said

CT = get_testdata_file("CT_small.dcm")
MR = get_testdata_file("MR_small.dcm")


@pytest.fixture(scope="module")
def task() -> ReportTask:
    return ReportTask(ReportOptions(volumes=False))


def report_of(task: ReportTask, *paths: str | Path, **options: object) -> Report:
    chosen = ReportOptions(volumes=False, **options)  # type: ignore[arg-type]
    return task.report([Path(p) for p in paths], chosen)[0]


def film(path: Path, pixels: np.ndarray, **header: object) -> Path:
    """A film in DICOM with the given header."""
    data = pydicom.dcmread(CT)
    data.Modality = "DX"
    for name in ("ImageOrientationPatient", "ImagePositionPatient", "RescaleSlope",
                 "RescaleIntercept", "WindowCenter", "WindowWidth"):  # fmt: skip
        if name in data:
            delattr(data, name)
    data.Rows, data.Columns = pixels.shape
    data.PixelRepresentation = 0
    data.PixelData = pixels.astype(np.uint16).tobytes()
    for name, value in header.items():
        setattr(data, name, value)
    data.save_as(path)
    return path


def test_a_dicom_gets_every_view_and_a_valid_truth(task: ReportTask, tmp_path: Path) -> None:
    options = ReportOptions(volumes=False, formats=parse_formats("all"), question=("Is this CT?",))
    done = ReportTask(options).run_item(BatchItem("ct", (Path(CT),)), tmp_path)
    names = {p.name for p in tmp_path.iterdir()}
    assert {
        "report.json",
        "report.txt",
        "report.html",
        "report.fhir.json",
        "report_sr.dcm",
    } <= names
    truth = json.loads((tmp_path / "report.json").read_text())
    jsonschema.validate(truth, json.loads(schema_text()))
    header = pydicom.dcmread(CT, stop_before_pixels=True)
    (image,) = truth["study"]["images"]
    assert image["gate"]["modality"] == {"value": "CT", "by": "header", "probability": None}
    assert image["instances"][0]["sop_instance"] == header.SOPInstanceUID
    assert done.summary["answers"][0]["answer"] == "yes"
    every = "".join(p.read_text() for p in tmp_path.glob("report.[jthf]*"))
    assert str(header.PatientName) not in every
    assert header.PatientID not in every


def test_html_in_the_name_of_a_patient_is_shown_nowhere(tmp_path: Path) -> None:
    data = pydicom.dcmread(CT)
    data.PatientName = "<img src=x onerror=alert(1)>^A"
    data.save_as(tmp_path / "a.dcm")
    out = tmp_path / "out"
    out.mkdir()
    ReportTask(ReportOptions(volumes=False)).run_item(BatchItem("a", (tmp_path / "a.dcm",)), out)
    assert "onerror" not in (out / "report.html").read_text()
    assert str(pydicom.dcmread(out / "report_sr.dcm").PatientName) == str(data.PatientName)


def test_images_of_two_patients_are_refused_without_naming_them(
    task: ReportTask, tmp_path: Path
) -> None:
    one, two = pydicom.dcmread(CT), pydicom.dcmread(MR)
    with pytest.raises(InputError, match="2 patients") as caught:
        report_of(task, CT, MR)
    assert str(one.PatientID) not in str(caught.value)
    two.PatientID = one.PatientID
    two.save_as(tmp_path / "same.dcm")
    report = report_of(task, CT, tmp_path / "same.dcm")
    assert [i.gate.modality.value for i in report.study.images] == ["CT", "MR"]


@pytest.mark.parametrize("kind", ["black", "grey", "white"])
def test_a_blank_image_gets_no_report(task: ReportTask, tmp_path: Path, kind: str) -> None:
    value = {"black": 0, "grey": 128, "white": 255}[kind]
    Image.fromarray(np.full((200, 200), value, np.uint8)).save(tmp_path / "blank.png")
    report = report_of(task, tmp_path / "blank.png")
    assert report.abstained
    assert report.study.images[0].gate.reasons == ("the image is blank",)
    assert "No findings are told" in report.impression[0]


def test_noise_gets_no_report(task: ReportTask, tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (256, 256), np.uint8)
    Image.fromarray(noise).save(tmp_path / "noise.png")
    assert report_of(task, tmp_path / "noise.png").abstained


def test_a_colour_photograph_gets_no_report(task: ReportTask, tmp_path: Path) -> None:
    spec = importlib.util.find_spec("sklearn")
    assert spec is not None
    assert spec.origin is not None
    photograph = Path(spec.origin).parent / "datasets/images/china.jpg"
    report = report_of(task, photograph)
    assert report.abstained
    assert "in colour" in report.impression[0]


def test_a_scanned_document_and_a_drawing_get_no_report(task: ReportTask, tmp_path: Path) -> None:
    page = np.full((300, 220), 250, np.uint8)
    for line in range(30, 270, 12):
        page[line : line + 6, 20:200] = np.random.default_rng(line).choice([20, 250], (6, 180))
    Image.fromarray(page).save(tmp_path / "page.png")
    assert report_of(task, tmp_path / "page.png").abstained
    y, x = np.mgrid[:256, :256]
    drawing = np.where(np.abs(np.hypot(x - 128, y - 128) - 80) < 2, 0, 255).astype(np.uint8)
    Image.fromarray(drawing).save(tmp_path / "drawing.png")
    assert report_of(task, tmp_path / "drawing.png").abstained


def test_ultrasound_of_many_frames_is_told_and_not_read(task: ReportTask, tmp_path: Path) -> None:
    frames = np.random.default_rng(0).integers(0, 200, (5, 64, 64)).astype(np.uint16)
    path = film(tmp_path / "us.dcm", frames[0], Modality="US", NumberOfFrames=5)
    data = pydicom.dcmread(path)
    data.PixelData = frames.tobytes()
    data.save_as(path)
    report = report_of(task, path)
    (image,) = report.study.images
    assert report.abstained
    assert "the header says US; the models know CT, MR, XR" in image.gate.reasons
    assert any("5 frames" in note for note in image.notes)


def test_an_inverted_film_is_seen_as_the_plain_one(tmp_path: Path) -> None:
    pixels = np.add.outer(np.arange(80), np.arange(64)) * 10
    plain = film(tmp_path / "plain.dcm", pixels)
    other = film(tmp_path / "inverted.dcm", pixels.max() - pixels,
                 PhotometricInterpretation="MONOCHROME1")  # fmt: skip
    seen = [read_study([p], Limits())[0].picture.pixels for p in (plain, other)]
    assert seen[0] == pytest.approx(seen[1], abs=0.02)


def test_sixteen_bits_and_no_window_are_scaled(task: ReportTask, tmp_path: Path) -> None:
    deep = (np.random.default_rng(1).random((120, 100)) * 60_000).astype(np.uint16)
    Image.fromarray(deep).save(tmp_path / "deep.png")
    (seen,) = read_study([tmp_path / "deep.png"], Limits())
    assert 0 <= seen.picture.pixels.min() < 0.1
    assert 0.9 < seen.picture.pixels.max() <= 1
    assert (
        report_of(task, film(tmp_path / "a.dcm", deep)).study.images[0].gate.modality.value == "XR"
    )


def test_a_text_file_named_png_is_refused_in_one_line(task: ReportTask, tmp_path: Path) -> None:
    (tmp_path / "words.png").write_text("Findings: normal.")
    with pytest.raises(InputError, match=r"text, not an image"):
        report_of(task, tmp_path / "words.png")


def test_a_volume_is_looked_at_by_slices_seen_as_radiologists_do(tmp_path: Path) -> None:
    data = np.zeros((30, 40, 20), np.float32)
    data[20:] = 1  # the first axis of RAS runs to the patient's right
    nibabel.save(nibabel.Nifti1Image(data, np.diag([1.0, 1, 4, 1])), tmp_path / "v.nii.gz")
    (seen,) = read_study([tmp_path / "v.nii.gz"], Limits())
    slices = slices_of(seen)
    assert (seen.kind, seen.plane, len(slices)) == ("volume", "axial", 5)
    pixels, ratio = key_slice(slices[2][1])
    assert pixels.shape == (40, 30)
    assert ratio == 1
    assert (pixels[:, 0].mean(), pixels[:, -1].mean()) == (1, 0)  # right is left on the page


def test_formats_are_parsed_and_the_truth_is_always_written() -> None:
    assert parse_formats("html,sr") == ("json", "html", "sr")
    with pytest.raises(UsageError, match="not known"):
        parse_formats("docx")


HIPPOCAMPUS = Finding(
    "f1", "hippocampus", "present", "Hippocampus: left 3.00 mL, right 4.00 mL.", "segment/brain",
    measurements=(Measurement("left volume", 3.0, "mL"), Measurement("right volume", 4.0, "mL"),
                  Measurement("asymmetry", -28.6, "%")),
)  # fmt: skip
MASS = Finding("f2", "mass", "present", "A mass.", "report heads", probability=0.9)
HEAD = Gate(Said("MR", "header"), Said("axial", "header"), Said("head", "header"), known=True)


@pytest.mark.parametrize(
    ("sentence", "verdicts"),
    [
        ("Axial MRI of the head.", {"modality": "agrees", "plane": "agrees", "region": "agrees"}),
        ("CT of the head.", {"modality": "contradicts", "region": "agrees"}),
        ("Chest MRI.", {"modality": "agrees", "region": "contradicts"}),
        ("T2-weighted MRI without contrast.",
         {"modality": "agrees", "sequence": "not checked", "contrast": "not checked"}),
        ("The left hippocampus is smaller.", {"hippocampus, asymmetry": "agrees"}),
        ("The right hippocampus is atrophic.", {"hippocampus, asymmetry": "contradicts"}),
        ("Left hippocampus 3.1 mL.", {"left hippocampus, volume": "agrees"}),
        ("Left hippocampus 4.1 mL.", {"left hippocampus, volume": "contradicts"}),
        ("There is a mass.", {"mass": "agrees"}),
        ("There is a left mass of 3 cm.",
         {"mass": "agrees", "mass, side": "not checked", "mass, size": "not checked"}),
        ("There is a mass in the liver on MRI.", {"modality": "agrees", "mass": "agrees"}),
        ("No mass.", {"mass": "contradicts"}),
        ("Pleural effusion on the left.", {"pleural effusion": "contradicts"}),
        ("An abscess is seen.", {"abscess": "not checked"}),
        ("The patient is well.", {"": "not checked"}),
    ],
)  # fmt: skip
def test_a_given_report_is_checked_statement_by_statement(
    sentence: str, verdicts: dict[str, str]
) -> None:
    found = check_report(sentence, [HEAD], [HIPPOCAMPUS, MASS], {"mass"})
    assert {c.about: c.verdict for c in found} == verdicts


def test_what_is_not_known_of_an_image_does_not_agree() -> None:
    gate = Gate(Said("CT", "header"), known=True)
    found = check_report("Axial CT of the chest.", [gate], [], ())
    assert {c.about: (c.verdict, c.reason) for c in found} == {
        "modality": ("agrees", "the modality is CT, by the header"),
        "plane": ("not checked", "the plane is not known"),
        "region": ("not checked", "the region is not known"),
    }


def test_the_side_of_a_finding_is_checked_where_it_is_known() -> None:
    left = replace(MASS, laterality="left")
    for sentence, verdict in (("Mass on the left.", "agrees"), ("Right mass.", "contradicts")):
        checks = check_report(sentence, [HEAD], [left], {"mass"})
        assert {c.about: c.verdict for c in checks}["mass, side"] == verdict


@pytest.mark.parametrize(
    ("question", "expected"),
    [
        ("What modality is this?", "MRI"),
        ("Is this a CT scan?", "no"),
        ("Is this an axial image?", "yes"),
        ("Which part of the body is shown?", "head"),
        ("Is there a mass?", "yes"),
        ("Is there a pneumothorax?", "cannot tell"),
        ("What is the volume of the hippocampus?", HIPPOCAMPUS.sentence),
        ("Will the patient recover?", "cannot tell"),
    ],
)
def test_questions_are_answered_or_not(question: str, expected: str) -> None:
    assert answer(question, [HEAD], [HIPPOCAMPUS, MASS], {"mass"}).answer == expected


def test_a_prior_is_compared(task: ReportTask) -> None:
    prior = report_of(task, CT)
    before = replace(HIPPOCAMPUS, measurements=(Measurement("left volume", 3.6, "mL"),))
    found = compare([HIPPOCAMPUS, MASS], replace(prior, findings=(before,)), "p.json", "", ["x"])
    assert [c.sentence for c in found.changes] == [
        "left hippocampus: 3.60 mL before, 3.00 mL now, -16.7 %.",
        "mass: new, present.",
    ]
    assert "other models" in found.notes[0]


def hit(score: float, text: str) -> Hit:
    return Hit(1, Item(1, Source(f"case {score}", "", "image", "", text=text)), score)


def test_only_cases_about_as_alike_as_the_best_count() -> None:
    hits = [hit(0.9, "A mass."), hit(0.88, "No mass."), hit(0.7, "A cyst."), hit(-1, "")]
    kept = enough(hits, 8, usual=0.5)
    assert [h.score for h in kept] == [0.9, 0.88]
    votes = votes_of(kept)
    assert votes["mass"].belief[0, 1] > votes["mass"].belief[0, 0] > 0
    assert [s.quote for s in support_of(kept)["mass"]] == ["A mass."]
    assert enough([], 8) == []
    assert enough(hits, 8, usual=0.95) == []
