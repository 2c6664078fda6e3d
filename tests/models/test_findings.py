"""The labeller of findings: negation, doubt, sides, and what it must not take for a finding."""

from __future__ import annotations

import pytest

from mmtool.models.text.findings import TERMS, label, named_findings


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("No pneumothorax or pleural effusion.",
         {"pneumothorax": "absent", "pleural effusion": "absent"}),
        ("Small left pleural effusion without pneumothorax.",
         {"pleural effusion": "present", "pneumothorax": "absent"}),
        ("Possible nodule in the right upper lobe.", {"nodule": "uncertain"}),
        ("There may be a fracture.", {"fracture": "uncertain"}),
        ("An effusion cannot be excluded.", {"pleural effusion": "uncertain"}),
        ("Ring-enhancing lesion with surrounding edema and mass effect.",
         {"enhancement": "present", "lesion": "present", "edema": "present",
          "mass effect": "present"}),
        ("Heart is mildly enlarged.", {"cardiomegaly": "present"}),
        ("The heart is not enlarged. Lungs are clear.", {"cardiomegaly": "absent"}),
        ("Negative for fracture, but there is a cyst.",
         {"fracture": "absent", "cyst": "present"}),
        ("Pulmonary edema.", {"pulmonary edema": "present"}),
        ("The lungs are clear of consolidation, pneumothorax, or effusion.",
         {"consolidation": "absent", "pneumothorax": "absent", "pleural effusion": "absent"}),
        ("The left pneumothorax has resolved.", {"pneumothorax": "absent"}),
        ("A nodule is not entirely excluded.", {"nodule": "uncertain"}),
        ("INDICATION: rule out pneumothorax. FINDINGS: Normal chest.", {}),
        ("Massive cardinal features of a table.", {}),
        ("", {}),
    ],
)  # fmt: skip
def test_a_text_is_labelled(text: str, expected: dict[str, str]) -> None:
    assert label(text) == expected


def test_one_mention_that_says_so_is_enough() -> None:
    assert label("No mass on the left. There is a mass on the right.")["mass"] == "present"


def test_sides_are_found_beside_the_finding() -> None:
    sides = {n.name: n.laterality for n in named_findings(
        "Left pleural effusion. Bilateral opacities. Nodule in the right lung. Cardiomegaly."
    )}  # fmt: skip
    assert sides == {
        "pleural effusion": "left",
        "lung opacity": "both",
        "nodule": "right",
        "cardiomegaly": "",
    }


def test_names_are_unique_and_codes_are_plain() -> None:
    assert len({t.name for t in TERMS}) == len(TERMS)
    assert all(t.code is None or t.code.value.isdigit() for t in TERMS)


def test_a_long_text_takes_linear_time() -> None:
    assert len(named_findings("there is a mass " * 5_000)) == 5_000
