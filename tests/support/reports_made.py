"""A report with something in every field, for the tests of the views."""

from __future__ import annotations

from mmtool.reports import (
    Answer,
    Change,
    Check,
    Comparison,
    Evidence,
    Finding,
    Measurement,
    ModelUsed,
    Provenance,
    Report,
    Support,
)
from mmtool.studies import Gate, Instance, Said, Study, StudyImage
from mmtool.types import Code

EVIL = '<script>alert("x")</script>'
DIGEST = "ab" * 32


def made_report(instances: tuple[Instance, ...] = (), study_uid: str = "1.2.3") -> Report:
    """Two findings on one image; every string from outside holds HTML."""
    gate = Gate(
        modality=Said("X-ray", "header"),
        plane=Said("frontal", "model", 0.98),
        region=Said("chest", "model", 0.91),
        known=True,
        uncertainty=0.05,
    )
    image = StudyImage(
        1, f"film{EVIL}.dcm", DIGEST, "image", (1, 64, 48), gate, "A frontal X-ray image.",
        (1.0, 0.5, 0.5), study_uid, "1.2.4", instances, (f"note {EVIL}",),
    )  # fmt: skip
    effusion = Finding(
        id="f1",
        text="pleural effusion",
        presence="uncertain",
        sentence=f"A pleural effusion is possible {EVIL}.",
        by="report/default",
        code=Code("60046008", "SCT", "Pleural effusion"),
        site=Code("3120008", "SCT", "Pleura"),
        laterality="left",
        probability=0.41,
        uncertainty=0.3,
        evidence=(Evidence("heat map", 1, "evidence/f1.png", None, 0, 0.2),),
        support=(Support(f"case{EVIL}", 0.8, f"Small left effusion {EVIL}."),),
    )
    volume = Finding(
        id="f2",
        text="left hippocampus",
        presence="present",
        sentence="Left hippocampus: 3.1 mL.",
        by="segment/brain",
        laterality="left",
        site=Code("5366008", "SCT", "Hippocampus"),
        measurements=(Measurement("volume", 3.1, "mL"), Measurement("share of brain", 0.2, "%")),
        evidence=(Evidence("box", 1, box=(0.25, 0.25, 0.5, 0.25)),),
    )
    return Report(
        study=Study((image,), f"cough {EVIL}"),
        findings=(effusion, volume),
        impression=("One finding is uncertain.",),
        provenance=Provenance(
            "mmtool", "0.1.0", "2026-11-25T05:00:00+00:00",
            (ModelUsed("report", "default", DIGEST, "research", ("MedPix",), "1"),),
            "cases.mmidx", ("A clinician must read it.",),
        ),
        comparison=Comparison(
            f"prior{EVIL}", DIGEST, (Change("pleural effusion", "absent", "uncertain", "New."),)
        ),
        checks=(
            Check(f"No effusion {EVIL}.", "contradicts", "the model says so", "f1", f"x{EVIL}"),
        ),
        answers=(Answer(f"Is there {EVIL}?", "cannot tell", False, "no head was validated"),),
        similar=(Support("case 2", 0.7, "Clear lungs."),),
    )  # fmt: skip
