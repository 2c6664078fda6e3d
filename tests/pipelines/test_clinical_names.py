"""Columns and words of other names that mean the same."""

from __future__ import annotations

import numpy as np
import pytest

from mmtool.pipelines.clinical_names import by_other_names
from mmtool.pipelines.survive_schema import infer_schema


def test_gender_is_sex_and_it_is_told() -> None:
    found, notes = by_other_names({"Gender": ("M",), "pT": ("T2",)}, ["age", "sex", "pathologic_T"])
    assert found == {"sex": ("M",), "pathologic_T": ("T2",)}
    assert notes == ["column 'Gender' is taken as 'sex'", "column 'pT' is taken as 'pathologic_T'"]


def test_the_very_name_goes_first_and_a_known_column_is_not_taken_away() -> None:
    table = {"gender": ("M",), "sex": ("F",), "stage": ("I",)}
    assert by_other_names(table, ["sex", "stage"]) == (table, [])
    assert by_other_names(table, ["tumor_stage", "stage", "sex"])[0] == table


def test_days_are_no_age() -> None:
    found, notes = by_other_names({"age_at_diagnosis": ("24000", "")}, ["age"])
    assert "age" not in found
    assert "no years" in notes[0]
    assert "age" in by_other_names({"age_at_diagnosis": ("66", "")}, ["age"])[0]


@pytest.mark.parametrize("levels", [("MALE", "FEMALE"), ("M", "F")])
def test_words_of_sex(levels: tuple[str, str]) -> None:
    schema = infer_schema({"sex": levels * 10}, {})
    cells = ("M", "male", "MALE", "woman", "f", "other")
    numbers = schema.encode({"sex": cells}, len(cells))[:, 0]
    assert np.array_equal(numbers, [1, 1, 1, 0, 0, np.nan], equal_nan=True)
