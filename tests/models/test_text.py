"""Prompts and reports: what is asked for, what is not, and why."""

from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.sr.codedict import codes

from mmtool.anatomy import BRAIN, BRAIN_LABELS
from mmtool.models.text.request import parse_request
from mmtool.models.text.vocabulary import UNKNOWN_PHRASES, phrases

AVAILABLE = frozenset(label.index for label in (BRAIN, *BRAIN_LABELS))
INDEX = {label.name: label.index for label in (BRAIN, *BRAIN_LABELS)}
NAME = {index: name for name, index in INDEX.items()}


def both(*names: str) -> set[str]:
    return {f"{side} {name}" for name in names for side in ("left", "right")}


LATERAL = both("lateral ventricle", "inferior lateral ventricle")
VENTRICLES = LATERAL | {"third ventricle", "fourth ventricle"}
CEREBELLUM = both("cerebellar cortex", "cerebellar white matter")
DEEP = both("thalamus", "caudate", "putamen", "pallidum", "nucleus accumbens")
BASAL = both("caudate", "putamen", "pallidum", "nucleus accumbens")
ALL = {label.name for label in BRAIN_LABELS}

PROMPTS: list[tuple[str, set[str]]] = [
    # sides
    ("left hippocampus", {"left hippocampus"}),
    ("Left Hippocampus", {"left hippocampus"}),
    ("L hippocampus", {"left hippocampus"}),
    ("lt. hippocampus", {"left hippocampus"}),
    ("R amygdala", {"right amygdala"}),
    ("hippocampus", both("hippocampus")),
    ("hippocampi", both("hippocampus")),
    ("both hippocampi", both("hippocampus")),
    ("bilateral hippocampi", both("hippocampus")),
    ("hippocampi bilaterally", both("hippocampus")),
    ("hippocampus (left)", {"left hippocampus"}),
    ("hippocampus, left", {"left hippocampus"}),
    ("hippocampus left", {"left hippocampus"}),
    ("hippocampus on the left", {"left hippocampus"}),
    ("hippocampus L and R", both("hippocampus")),
    ("left and right hippocampus", both("hippocampus")),
    ("right or left hippocampus", both("hippocampus")),
    ("left/right putamen", both("putamen")),
    ("left-sided putamen", {"left putamen"}),
    ("right\u2010sided putamen", {"right putamen"}),
    # ventricles share their noun
    ("3rd and 4th ventricle", {"third ventricle", "fourth ventricle"}),
    ("third, and fourth ventricles", {"third ventricle", "fourth ventricle"}),
    ("lateral and third ventricles", LATERAL | {"third ventricle"}),
    ("right ventricle", {"right lateral ventricle", "right inferior lateral ventricle"}),
    # lists
    ("left hippocampus and both thalami", {"left hippocampus", *both("thalamus")}),
    ("left hippocampus and thalami", {"left hippocampus", *both("thalamus")}),
    ("left hippocampus and amygdala", {"left hippocampus", "left amygdala"}),
    ("hippocampus and left amygdala", {*both("hippocampus"), "left amygdala"}),
    ("hippocampus, left amygdala", {*both("hippocampus"), "left amygdala"}),
    ("left hippocampus, right amygdala", {"left hippocampus", "right amygdala"}),
    ("hippocampus left and amygdala right", {"left hippocampus", "right amygdala"}),
    (
        "left caudate, putamen and right thalamus",
        {"left caudate", "left putamen", "right thalamus"},
    ),
    ("caudate/putamen", both("caudate", "putamen")),
    ("brainstem; cerebellum", {"brainstem", *CEREBELLUM}),
    ("brain stem\ncerebellum", {"brainstem", *CEREBELLUM}),
    ("- left caudate\n- right putamen", {"left caudate", "right putamen"}),
    # synonyms and groups
    ("amygdalae", both("amygdala")),
    ("Thalamus proper", both("thalamus")),
    ("head of the left caudate", {"left caudate"}),
    ("caudate nuclei", both("caudate")),
    ("nucleus caudatus", both("caudate")),
    ("globus pallidus", both("pallidum")),
    ("putamina", both("putamen")),
    ("lentiform nucleus", both("putamen", "pallidum")),
    ("left lentiform nucleus", {"left putamen", "left pallidum"}),
    ("basal ganglia", BASAL),
    ("striatum", both("caudate", "putamen", "nucleus accumbens")),
    ("deep gray matter", DEEP),
    ("deep grey nuclei", DEEP),
    ("nucleus accumbens", both("nucleus accumbens")),
    ("accumbens area", both("nucleus accumbens")),
    ("ventral DC", both("ventral diencephalon")),
    ("ventricles", VENTRICLES),
    ("the ventricular system", VENTRICLES),
    ("lateral ventricles", LATERAL),
    ("right lateral ventricle", {"right lateral ventricle", "right inferior lateral ventricle"}),
    ("third ventricle", {"third ventricle"}),
    ("third ventricle and fourth ventricle", {"third ventricle", "fourth ventricle"}),
    ("temporal horns", both("inferior lateral ventricle")),
    ("left temporal horn", {"left inferior lateral ventricle"}),
    ("cerebellum", CEREBELLUM),
    ("cerebellar cortex", both("cerebellar cortex")),
    ("left cerebellar hemisphere", {"left cerebellar cortex", "left cerebellar white matter"}),
    ("white matter", both("cerebral white matter")),
    ("cerebellar white matter", both("cerebellar white matter")),
    ("cortex", both("cerebral cortex")),
    ("cortical grey matter", both("cerebral cortex")),
    ("CSF", {"cerebrospinal fluid"}),
    ("whole brain", {"brain"}),
    ("brain mask", {"brain"}),
    ("everything", ALL),
    ("all structures", ALL),
    # exclusion
    ("both hippocampi but not the amygdala", both("hippocampus")),
    ("hippocampus without amygdala", both("hippocampus")),
    ("ventricles without the fourth", VENTRICLES - {"fourth ventricle"}),
    ("ventricles except the third ventricle", VENTRICLES - {"third ventricle"}),
    ("all deep grey nuclei except the left caudate", DEEP - {"left caudate"}),
    ("basal ganglia excluding the accumbens", BASAL - both("nucleus accumbens")),
    ("everything except the cerebellum", ALL - CEREBELLUM),
    ("no ventricles", ALL - VENTRICLES),
    # wrapping
    ("Please segment the left hippocampus.", {"left hippocampus"}),
    ("show me the thalami, please", both("thalamus")),
    ("I want the volume of the right putamen", {"right putamen"}),
    ("\ufeffleft hippocampus\r\n", {"left hippocampus"}),
    ("left hippo-\ncampus", {"left hippocampus"}),
    ("both hippocampi except the left", {"right hippocampus"}),
    ("hippocampus but not the left one", {"right hippocampus"}),
    ("cortex of the left hemisphere", {"left cerebral cortex"}),
    ("hippocampus in the right cerebral hemisphere", {"right hippocampus"}),
]


@pytest.mark.parametrize(("text", "expected"), PROMPTS)
def test_prompts(text: str, expected: set[str]) -> None:
    request = parse_request(text, AVAILABLE)
    assert request.kind == "prompt"
    assert {NAME[i] for i in request.asked or ()} == expected
    assert request.unknown == ()


UNKNOWNS = [
    ("liver", set(), "liver"),
    ("temporal lobe and left hippocampus", {"left hippocampus"}, "temporal lobe"),
    ("left temporal lobe", set(), "temporal lobe"),
    ("tumour", set(), "tumor"),
    ("corpus callosum", set(), "corpus callosum"),
    ("left flurb and both thalami", both("thalamus"), "flurb"),
    ("hipocampus", set(), "hipocampus"),
    ("left hippocampus and skull", {"left hippocampus"}, "skull"),
]


@pytest.mark.parametrize(("text", "expected", "unknown"), UNKNOWNS)
def test_what_is_not_known_is_named(text: str, expected: set[str], unknown: str) -> None:
    request = parse_request(text, AVAILABLE)
    assert {NAME[i] for i in request.asked or ()} == expected
    assert unknown in request.unknown


@pytest.mark.parametrize(
    ("typo", "meant"),
    [("hipocampus", "hippocampus"), ("thallamus", "thalamus"), ("cerebelum", "cerebellum"),
     ("putaman", "putamen"), ("amygdalla", "amygdala")],
)  # fmt: skip
def test_misspellings_are_suggested_never_guessed(typo: str, meant: str) -> None:
    request = parse_request(f"left {typo}", AVAILABLE)
    assert request.asked == frozenset()
    assert (typo, meant) in request.readings[0].suggestions


# Text of the findings -> asked, absent.
REPORTS: list[tuple[str, set[str], set[str]]] = [
    ("The lesion of the left putamen is isodense to gray matter.", {"left putamen"}, set()),
    (
        "The left hippocampus is small compared to the right hippocampus.",
        {"left hippocampus"},
        set(),
    ),
    (
        "The right ventricle is compressed. The lead lies in the right ventricle of the heart.",
        {"right lateral ventricle", "right inferior lateral ventricle"},
        set(),
    ),
    ("Left hippocampal atrophy.", {"left hippocampus"}, set()),
    ("There is atrophy of the left hippocampus.", {"left hippocampus"}, set()),
    ("Bilateral hippocampal volume loss.", both("hippocampus"), set()),
    ("Left hippocampal atrophy. The right is normal.", {"left hippocampus"}, set()),
    (
        "The left hippocampus is small; the right hippocampus is normal.",
        {"left hippocampus"},
        set(),
    ),
    ("Hippocampi are unremarkable. Enlarged third ventricle.", {"third ventricle"}, set()),
    ("No hippocampal atrophy. Small left amygdala.", {"left amygdala"}, set()),
    ("Small left amygdala without hippocampal atrophy.", {"left amygdala"}, set()),
    ("Normal thalami. Old lacune in the right putamen.", {"right putamen"}, set()),
    ("Right caudate lacune, no lesion of the thalamus.", {"right caudate"}, set()),
    ("The ventricles are not enlarged. Left caudate lesion.", {"left caudate"}, set()),
    ("The ventricles are enlarged, but the cerebellum is normal.", VENTRICLES, set()),
    ("Cerebellum within normal limits. Brainstem glioma.", {"brainstem"}, set()),
    ("No evidence of a mass in the brainstem. Left thalamic bleed.", {"left thalamus"}, set()),
    ("Neither the caudate nor the putamen is affected. Left thalamic bleed.",
     {"left thalamus"}, set()),
    ("No change in the enlarged left amygdala.", {"left amygdala"}, set()),
    ("No significant interval change of the right putamen lesion.", {"right putamen"}, set()),
    ("Abnormal signal in the right putamen.", {"right putamen"}, set()),
    ("Asymmetric hippocampi.", both("hippocampus"), set()),
    ("The left hippocampus is absent. Enlarged third ventricle.",
     {"third ventricle"}, {"left hippocampus"}),
    ("Status post left amygdalohippocampectomy. Enlarged third ventricle.",
     {"third ventricle"}, {"left hippocampus", "left amygdala"}),
    ("The right hippocampus has been resected. Left caudate lesion.",
     {"left caudate"}, {"right hippocampus"}),
    ("The fourth ventricle is not visualized. Left caudate lesion.",
     {"left caudate"}, {"fourth ventricle"}),
    ("1. Left hippocampal atrophy.\n2. Normal ventricles.", {"left hippocampus"}, set()),
    ("Possible atrophy of the right amygdala.", {"right amygdala"}, set()),
    ("Seen by Dr. Left on 3.5 mm slices. Right putamen lesion.", {"right putamen"}, set()),
    ("Lesion 3.5 x 2.1 cm in the left thalamus.", {"left thalamus"}, set()),
    ("Chronic infarct of the left caudate and putamen.", {"left caudate", "left putamen"}, set()),
    ("Mildly dilated lateral ventricles.", LATERAL, set()),
    ("Cortical and cerebellar atrophy of the vermis. Small left thalamus.",
     both("cerebral cortex") | {"left thalamus"}, set()),
    ("Infarct in the left putamen with sparing of the caudate.", {"left putamen"}, set()),
    ("Cannot exclude an infarct in the left putamen. Right putamen spared.", {"left putamen"},
     set()),
    ("Infarct of the left thalamus has been ruled out. Left putamen small.", {"left putamen"},
     set()),
    ("Lesion in the left putamen with a normal right caudate.", {"left putamen"}, set()),
    ("Normal right caudate and lesion in the left putamen.", {"left putamen"}, set()),
    ("No midline shift and a lesion in the left thalamus.", {"left thalamus"}, set()),
    ("Left hippocampus is normal, right hippocampus is atrophic.", {"right hippocampus"}, set()),
    ("The cerebellum is small, except for the cerebellar white matter, which is normal.",
     {"left cerebellar cortex", "right cerebellar cortex"}, set()),
]  # fmt: skip


@pytest.mark.parametrize(("findings", "asked", "absent"), REPORTS)
def test_reports(findings: str, asked: set[str], absent: set[str]) -> None:
    request = parse_request(f"FINDINGS: {findings}", AVAILABLE)
    assert request.kind == "report"
    assert {NAME[i] for i in request.asked or ()} == asked
    assert {NAME[i] for i in request.absent} == absent


@pytest.mark.parametrize(
    "heading",
    ["INDICATION", "History", "Clinical information", "TECHNIQUE", "Comparison", "Reason for exam"],
)
def test_only_findings_and_impression_ask(heading: str) -> None:
    text = f"{heading}: left hippocampal sclerosis?\nFINDINGS: Right putamen lesion.\n"
    request = parse_request(text, AVAILABLE)
    assert {NAME[i] for i in request.asked or ()} == {"right putamen"}


@pytest.mark.parametrize("heading", ["FINDINGS", "Impression", "CONCLUSION", "Opinion", "Summary"])
def test_asking_sections(heading: str) -> None:
    request = parse_request(f"Technique: T1.\n\n{heading}: Right putamen lesion.", AVAILABLE)
    assert {NAME[i] for i in request.asked or ()} == {"right putamen"}


def test_a_report_that_asks_for_nothing_means_everything() -> None:
    request = parse_request("FINDINGS: Normal brain.\nIMPRESSION: No abnormality.", AVAILABLE)
    assert request.asked is None


def test_a_short_statement_is_a_report_and_a_short_question_is_not() -> None:
    request = parse_request("The left thalamus shows a lesion. None in the right.", AVAILABLE)
    assert request.kind == "report"
    assert {NAME[i] for i in request.asked or ()} == {"left thalamus"}
    question = parse_request("Is there a tumour?", AVAILABLE)
    assert (question.kind, question.asked) == ("prompt", frozenset())


def test_long_text_without_headings_is_a_report() -> None:
    text = "The left hippocampus is small. The ventricles are normal. No mass. " * 3
    request = parse_request(text, AVAILABLE)
    assert request.kind == "report"
    assert request.asked == {INDEX["left hippocampus"]}


def test_stated_volumes_and_comparisons_are_read() -> None:
    request = parse_request(
        "FINDINGS: Left hippocampal volume 3.1 mL. The left putamen is smaller than the right.",
        AVAILABLE,
    )
    assert request.readings[0].volumes_ml == ((3.1, (INDEX["left hippocampus"],)),)
    assert request.readings[1].compared == ((INDEX["left putamen"],), (INDEX["right putamen"],))


@pytest.mark.parametrize("text", ["", " ", "\n\n", "...", "12 34", "\0\0", "\U0001f9e0"])
def test_texts_without_words(text: str) -> None:
    assert parse_request(text, AVAILABLE).asked in (frozenset(), None)


@settings(max_examples=300, deadline=None)
@given(st.text(max_size=400))
def test_any_text_parses(text: str) -> None:
    request = parse_request(text, AVAILABLE)
    assert request.asked is None or request.asked <= AVAILABLE


_WORDS = [
    "left",
    "right",
    "both",
    "no",
    "not",
    "without",
    "hippocampus",
    "thalami",
    "and",
    ",",
    "but",
    "(",
    ")",
    "ventricle",
    "third",
    "normal",
    "absent",
    ".",
    ";",
    "FINDINGS:",
    "\n",
]


@settings(max_examples=300, deadline=None)
@given(st.lists(st.sampled_from(_WORDS), max_size=40))
def test_any_order_of_known_words_parses(words: list[str]) -> None:
    request = parse_request(" ".join(words), AVAILABLE)
    assert request.asked is None or request.asked <= AVAILABLE
    assert not (request.asked or frozenset()) & request.absent


@pytest.mark.parametrize(
    "text",
    [
        "no " * 100_000,
        "a" * 500_000,
        "left hippocampus, " * 20_000,
        "(" * 200_000,
        "- " * 100_000,
        "FINDINGS: " * 30_000,
        "FINDINGS: " + "normal hippocampus, lesion of the ventricle, " * 10_000,
        "not " * 5_000 + "hippocampus " * 5_000,
    ],
    ids=["negations", "one word", "list", "brackets", "bullets", "headings", "findings", "mixed"],
)
def test_adversarial_texts_take_little_time(text: str) -> None:
    began = time.process_time()
    parse_request(text, AVAILABLE)
    assert time.process_time() - began < 20


def test_codes_are_those_of_dicom() -> None:
    """Every code is one of CID 7140, or of pydicom's SNOMED CT table."""
    table = {getattr(codes.cid7140, n).value for n in codes.cid7140.dir()}
    others = {codes.SCT.Brain.value, codes.SCT.CerebrospinalFluid.value}
    for label in (BRAIN, *BRAIN_LABELS):
        assert label.code.value in table | others, label.name
        if label.laterality is not None:
            side = label.name.split()[0].capitalize()
            assert label.laterality.value == getattr(codes.SCT, side).value


def test_labels_are_distinct() -> None:
    assert len({label.color for label in BRAIN_LABELS}) == len(BRAIN_LABELS) == 32
    assert len(INDEX) == 33


def test_no_phrase_is_both_known_and_unknown() -> None:
    known = {p.words for entries in phrases().values() for p in entries if p.known}
    unknown = {tuple(p.split()) for p in UNKNOWN_PHRASES}
    assert not known & unknown
