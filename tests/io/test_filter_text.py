"""The language of ``--filter``."""

from __future__ import annotations

import pytest

from mmtool.errors import UsageError
from mmtool.io.index import AllOf, AnyOf, Compare, Not, OneOf
from mmtool.io.index.filter_text import parse_filter

MR, AXIAL = Compare("modality", "=", "MR"), Compare("plane", "=", "axial")
OLD = Compare("age", ">=", "40")


@pytest.mark.parametrize(
    ("text", "condition"),
    [
        ("modality=MR", MR),
        ("modality == 'MR' AND plane=axial and age>=40", AllOf((MR, AXIAL, OLD))),
        ("modality=MR or plane=axial and age >= 40", AnyOf((MR, AllOf((AXIAL, OLD))))),
        ("(modality=MR or plane=axial) and not age>=40", AllOf((AnyOf((MR, AXIAL)), Not(OLD)))),
        ('sex in (female, "not told")', OneOf("sex", ("female", "not told"))),
        ("date>=2019-04-30", Compare("date", ">=", "2019-04-30")),
    ],
)
def test_reading(text: str, condition: object) -> None:
    assert parse_filter(text) == condition


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "letter 1: a name is expected"),
        ("modality=", "letter 10: a value is expected"),
        ("modality MR", "letter 10: one of"),
        ("modality=MR plane=axial", "letter 13: 'and' or 'or' is expected: modality=MR >>>plane"),
        ("(modality=MR", r"letter 13: '\)' is expected"),
        ("modality=MR and", "letter 16: a name"),
        ("sex in female", r"letter 8: '\(' is expected"),
        ('sex="fem', "letter 5: this can't be read"),
        ("(" * 100 + "a=b", "too many brackets"),
        ("a=" + "b" * 3000, "longer than"),
    ],
)
def test_errors_point_at_the_place(text: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        parse_filter(text)
