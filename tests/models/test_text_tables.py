"""Texts for any label table: names as models spell them, known concepts, odd tables."""

from __future__ import annotations

import time

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from mmtool.anatomy import BRAIN, BRAIN_LABELS
from mmtool.models.text.request import TextRequest, parse_request
from mmtool.models.text.vocabulary import lexicon_of
from mmtool.types import Code, Label

CODE = Code("91723000", "SCT", "Anatomical Structure")


def table(*names: str) -> tuple[Label, ...]:
    return tuple(Label(i, name, CODE, None, CODE, (i, 0, 0)) for i, name in enumerate(names, 1))


def read(labels: tuple[Label, ...], text: str) -> TextRequest:
    return parse_request(text, lexicon=lexicon_of(labels))


def ask(labels: tuple[Label, ...], text: str) -> set[str]:
    names = {label.index: label.name for label in labels}
    return {names[i] for i in read(labels, text).asked or ()}


HIPPOCAMPUS = table("anterior hippocampus", "posterior hippocampus")
SIDED = table(
    *(f"{s} {p} hippocampus" for s in ("left", "right") for p in ("anterior", "posterior"))
)
ATRIUM = table("left atrium")
TUMOR = table("tumour core", "oedema", "enhancing tumour")
FRONT, BACK = {"anterior hippocampus"}, {"posterior hippocampus"}

KNOWN: list[tuple[tuple[Label, ...], str, set[str]]] = [
    (HIPPOCAMPUS, "hippocampal head", FRONT),
    (HIPPOCAMPUS, "head of the hippocampus", FRONT),
    (HIPPOCAMPUS, "body and tail of the hippocampus", BACK),
    (HIPPOCAMPUS, "both hippocampi", FRONT | BACK),
    (HIPPOCAMPUS, "hippocampus without the tail", FRONT),
    (HIPPOCAMPUS, "Atrophy of the hippocampal head. The tail is normal.", FRONT),
    (HIPPOCAMPUS, "MRI of the head. The posterior hippocampus is bright.", BACK),
    (HIPPOCAMPUS, "amygdala", set()),
    (SIDED, "left hippocampal head", {"left anterior hippocampus"}),
    (SIDED, "head of the right hippocampus", {"right anterior hippocampus"}),
    (SIDED, "left hippocampus", {"left anterior hippocampus", "left posterior hippocampus"}),
    (ATRIUM, "left atrium", {"left atrium"}),
    (ATRIUM, "LA", {"left atrium"}),
    (ATRIUM, "left atrial cavity", {"left atrium"}),
    (ATRIUM, "cavity of the left atrium", {"left atrium"}),
    (ATRIUM, "left atrium and pulmonary veins", {"left atrium"}),
    (ATRIUM, "The left atrium is enlarged.", {"left atrium"}),
    (ATRIUM, "The LA is dilated, la la.", {"left atrium"}),
    (ATRIUM, "right atrium", set()),
    (ATRIUM, "left ventricle", set()),
    (TUMOR, "enhancing", {"enhancing tumour"}),
    (TUMOR, "ET", {"enhancing tumour"}),
    (TUMOR, "necrosis", {"tumour core"}),
    (TUMOR, "core", {"tumour core"}),
    (TUMOR, "peritumoral edema", {"oedema"}),
    (TUMOR, "whole tumor", {"tumour core", "oedema", "enhancing tumour"}),
    (TUMOR, "tumour without oedema", {"tumour core", "enhancing tumour"}),
    (TUMOR, "everything but the edema", {"tumour core", "enhancing tumour"}),
    (TUMOR, "FINDINGS: Large edema without enhancement, Smith et al.", {"oedema"}),
    (table("necrosis", "edema", "enhancing tumor"), "tumor core", {"necrosis", "enhancing tumor"}),
    (table("LV cavity", "RV cavity", "myocardium"), "left ventricle", {"LV cavity"}),
    (table("LV cavity", "RV cavity", "myocardium"), "FINDINGS: Dilated RV.", {"RV cavity"}),
    (table("Cerebellum", "Ventricle"), "cerebellar hemispheres", {"Cerebellum"}),
    (table("Left-Inf-Lat-Vent", "Left-VentralDC"), "left temporal horn", {"Left-Inf-Lat-Vent"}),
    (table("Left-Inf-Lat-Vent", "Left-VentralDC"), "ventral DC", {"Left-VentralDC"}),
]  # fmt: skip


@pytest.mark.parametrize(("labels", "text", "expected"), KNOWN)
def test_known_concepts_bring_their_synonyms(
    labels: tuple[Label, ...], text: str, expected: set[str]
) -> None:
    assert ask(labels, text) == expected


def test_left_of_the_left_atrium_is_no_side_for_what_follows() -> None:
    labels = table("left atrium", "kidney_left", "kidney_right")
    assert ask(labels, "left atrium and kidney") == {x.name for x in labels}
    assert ask(labels, "right kidney and left atrium") == {"left atrium", "kidney_right"}
    pair = table("heart_atrium_left", "heart_atrium_right", "kidney_left", "kidney_right")
    assert ask(pair, "left and right atrium") == {"heart_atrium_left", "heart_atrium_right"}
    assert ask(pair, "left atrium") == ask(pair, "LA") == {"heart_atrium_left"}


def body() -> tuple[Label, ...]:
    """A table as large as that of TotalSegmentator v2, spelt as there."""
    sided = (
        "kidney adrenal_gland humerus scapula clavicula femur hip gluteus_maximus gluteus_medius "
        "gluteus_minimus autochthon iliopsoas iliac_artery iliac_vena subclavian_artery "
        "common_carotid_artery brachiocephalic_vein heart_atrium heart_ventricle"
    ).split()
    single = (
        "spleen gallbladder liver stomach pancreas esophagus trachea thyroid_gland small_bowel "
        "duodenum colon urinary_bladder prostate sacrum heart_myocardium aorta pulmonary_artery "
        "superior_vena_cava inferior_vena_cava portal_vein_and_splenic_vein spinal_cord brain "
        "skull sternum costal_cartilages brachiocephalic_trunk kidney_cyst_left"
    ).split()
    lobes = ["upper_lobe_left", "lower_lobe_left", "upper_lobe_right", "middle_lobe_right",
             "lower_lobe_right"]  # fmt: skip
    spine = [f"{part}{n}" for part, most in (("C", 7), ("T", 12), ("L", 5), ("S", 1))
             for n in range(1, most + 1)]  # fmt: skip
    return table(
        *single,
        *(f"{name}_{side}" for name in sided for side in ("left", "right")),
        *(f"lung_{lobe}" for lobe in lobes),
        *(f"vertebrae_{name}" for name in spine),
        *(f"rib_{side}_{n}" for side in ("left", "right") for n in range(1, 13)),
    )


BODY = body()


@pytest.mark.parametrize("label", BODY, ids=lambda label: label.name)
def test_each_name_as_the_model_spells_it_means_that_label(label: Label) -> None:
    assert ask(BODY, label.name) == {label.name}
    assert ask(BODY, label.name.replace("_", " ")) == {label.name}
    assert read(BODY, label.name).unknown == ()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("kidneys", {"kidney_left", "kidney_right"}),
        ("left kidney and adrenal gland", {"kidney_left", "adrenal_gland_left"}),
        ("adrenals", {"adrenal_gland_left", "adrenal_gland_right"}),
        ("left lung", {"lung_upper_lobe_left", "lung_lower_lobe_left"}),
        ("upper lobe of the left lung", {"lung_upper_lobe_left"}),
        ("right middle lobe", {"lung_middle_lobe_right"}),
        ("left lung but not the upper lobe", {"lung_lower_lobe_left"}),
        ("L1 vertebra", {"vertebrae_L1"}),
        ("vertebrae T11, T12 and L1", {"vertebrae_T11", "vertebrae_T12", "vertebrae_L1"}),
        ("left first rib", {"rib_left_1"}),
        ("right ribs 3 and 4", {"rib_right_3", "rib_right_4"}),
        ("bladder", {"urinary_bladder"}),
        ("IVC", {"inferior_vena_cava"}),
        ("oesophagus", {"esophagus"}),
        ("left iliac vein", {"iliac_vena_left"}),
        ("left clavicle", {"clavicula_left"}),
        ("portal vein", {"portal_vein_and_splenic_vein"}),
        ("left ventricle", {"heart_ventricle_left"}),
        ("renal vein", set()),
        ("hippocampus", set()),
        ("The spleen is enlarged. Small bowel is normal. Kidneys are unremarkable.", {"spleen"}),
    ],
)
def test_a_table_of_the_body(text: str, expected: set[str]) -> None:
    assert ask(BODY, text) == expected


def test_groups_of_a_table_of_the_body() -> None:
    assert len(ask(BODY, "vertebrae")) == 25
    assert len(ask(BODY, "left ribs")) == 12
    assert len(ask(BODY, "everything except the ribs")) == len(BODY) - 24


FREESURFER = table(
    "Left-Thalamus-Proper", "Right-Thalamus-Proper", "Left-Cerebral-White-Matter",
    "Right-Cerebral-White-Matter", "Left-Cerebellum-Cortex", "Right-Cerebellum-Cortex",
    "Brain-Stem", "4th-Ventricle", "CSF", "Left-Accumbens-area", "ctx-lh-superiorfrontal",
    "ctx-rh-superiorfrontal", "WM-hypointensities", "Optic-Chiasm",
)  # fmt: skip


@pytest.mark.parametrize("label", FREESURFER, ids=lambda label: label.name)
def test_names_of_freesurfer(label: Label) -> None:
    assert ask(FREESURFER, label.name) == {label.name}


def test_names_of_freesurfer_by_their_synonyms() -> None:
    both = {"Left-Thalamus-Proper", "Right-Thalamus-Proper"}
    assert ask(FREESURFER, "thalami") == both
    assert ask(FREESURFER, "left nucleus accumbens") == {"Left-Accumbens-area"}
    assert ask(FREESURFER, "brainstem and 4th ventricle") == {"Brain-Stem", "4th-Ventricle"}
    assert ask(FREESURFER, "optic chiasm") == {"Optic-Chiasm"}


def test_a_misspelt_name_is_suggested() -> None:
    request = read(BODY, "pancraes and left kidney")
    assert "pancraes" in request.unknown
    assert dict(request.readings[0].suggestions)["pancraes"] == "pancreas"


def test_names_without_words_and_of_other_tongues() -> None:
    labels = table("???", "", "肝臓", "Niere_links", "class 3", "class 4", "_", "a" * 5000)
    assert ask(labels, "肝臓") == {"肝臓"}
    assert ask(labels, "class 3") == {"class 3"}
    assert ask(labels, "classes 3 and 4") == {"class 3", "class 4"}
    assert ask(labels, "everything") == {x.name for x in labels}


def test_the_whole_organ_is_not_part_of_everything() -> None:
    lexicon = lexicon_of(BRAIN_LABELS, BRAIN)
    assert parse_request("everything", lexicon=lexicon).asked == lexicon.indices - {BRAIN.index}
    head = Label(200, "head", CODE, None, CODE, (1, 1, 1))
    lexicon = lexicon_of(TUMOR, head)
    assert parse_request("everything", lexicon=lexicon).asked == {1, 2, 3}
    assert parse_request("head", lexicon=lexicon).asked == {200}


def test_twins() -> None:
    lexicon = lexicon_of(BODY)
    index = {label.name: label.index for label in BODY}
    assert lexicon.twin(index["kidney_left"]) == index["kidney_right"]
    assert lexicon.twin(index["spleen"]) is None
    assert lexicon.side_of(index["rib_right_3"]) == "right"


@settings(max_examples=60, deadline=None)
@given(st.lists(st.text(max_size=30), max_size=12), st.text(max_size=80))
@example(["vertebra ²"], "second vertebra")
def test_any_table_and_text(names: list[str], text: str) -> None:
    labels = table(*names)
    request = read(labels, text)
    assert request.asked is None or request.asked <= {x.index for x in labels}
    for label in labels:
        read(labels, label.name)


@pytest.mark.parametrize(
    "text",
    ["vertebra " * 20_000, "rib of the left " * 10_000, "rib 3 and 4, " * 8_000,
     "".join(f"wordno{chr(97 + i % 26)}{chr(97 + i // 26 % 26)}{chr(97 + i // 676)} "
             for i in range(15_000))],
    ids=["one word", "joints", "numbers", "different words"],
)  # fmt: skip
def test_long_texts_and_large_tables_take_little_time(text: str) -> None:
    labels = (*BODY, *table(*(f"class {i} of {i}" for i in range(len(BODY) + 1, 256))))
    began = time.process_time()
    read(labels, text)
    assert time.process_time() - began < 20
