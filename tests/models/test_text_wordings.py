"""Wordings that generated prompts showed to be misread once; the table is that of the head."""

from __future__ import annotations

import pytest

from mmtool.anatomy import BRAIN_LABELS
from mmtool.models.text.request import parse_request

NAME = {label.index: label.name for label in BRAIN_LABELS}
ALL = set(NAME.values())
CAUDATES = {"left caudate", "right caudate"}
CEREBELLUM = {name for name in ALL if "cerebell" in name}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        # what is left out
        ("striatum, leave out the putamen", CAUDATES | {"left nucleus accumbens",
                                                        "right nucleus accumbens"}),
        ("everything other than the cerebellum", ALL - CEREBELLUM),
        ("everything but the cerebellum", ALL - CEREBELLUM),
        ("both caudates but not the left one, please", {"right caudate"}),
        ("Segment both caudates. The left one is not to be segmented.", {"right caudate"}),
        ("segment the cerebellum. Both cerebellar cortices are not to be segmented.",
         {"left cerebellar white matter", "right cerebellar white matter"}),
        ("ignore the noise, and segment the left thalamus", {"left thalamus"}),
        ("leave out the cerebellum", ALL - CEREBELLUM),
        # short findings
        ("Unremarkable thalami.", set()),
        ("No lesion in the left thalamus.", set()),
        ("Normal thalami and a lesion in the brainstem.", {"brainstem"}),
        # sides
        ("Infarct in the left-sided putamen.", {"left putamen"}),
        ("A lesion in the left and right putamen.", {"left putamen", "right putamen"}),
        ("fourth ventricle, left and right thalamus",
         {"fourth ventricle", "left thalamus", "right thalamus"}),
        ("thalami bilaterally and left putamen",
         {"left thalamus", "right thalamus", "left putamen"}),
        ("thalamus on the left\nbrainstem\nright caudate",
         {"left thalamus", "brainstem", "right caudate"}),
        ("white matter of the left cerebellum", {"left cerebellar white matter"}),
        ("Gliosis of the putamen R. The left caudate is bright.",
         {"right putamen", "left caudate"}),
        ("Gliosis in the R. Putamen. The brainstem is bright.", {"right putamen", "brainstem"}),
        ("AMMON'S HORN", {"left hippocampus", "right hippocampus"}),
        ("nuclei caudati", CAUDATES),
        # what reports say
        ("FINDINGS: The left thalamus is free of disease. Small brainstem.", {"brainstem"}),
        ("FINDINGS: Infarct of the brainstem with sparing of the left-sided thalamus.",
         {"brainstem"}),
        ("CLINICAL  HISTORY: Stroke of the left thalamus.\nFINDINGS: Small brainstem.",
         {"brainstem"}),
        ("FINDINGS: The left caudate is isointense to the left-sided putamen.", {"left caudate"}),
        # abbreviations that are also words
        ("GM and VDC", {"left cerebral cortex", "right cerebral cortex", "left thalamus",
                        "right thalamus", *CAUDATES, "left putamen", "right putamen",
                        "left pallidum", "right pallidum", "left hippocampus",
                        "right hippocampus", "left amygdala", "right amygdala",
                        "left nucleus accumbens", "right nucleus accumbens",
                        "left ventral diencephalon", "right ventral diencephalon"}),
        ("FINDINGS: Referred by the gp. Small brainstem.", {"brainstem"}),
        ("The brainstem is small. The left thalamus has been removed.", {"brainstem"}),
        ("Normal brainstem and a lesion in the left caudate.", {"left caudate"}),
        # groups and parts
        ("limbic system", {"left hippocampus", "right hippocampus", "left amygdala",
                           "right amygdala"}),
        ("left hippocampal head", {"left hippocampus"}),
    ],
)  # fmt: skip
def test_wordings(text: str, expected: set[str]) -> None:
    asked = parse_request(text, NAME).asked
    assert {NAME[i] for i in asked or ()} == expected
