"""Other names of clinical columns, and other words of sex, that mean the same."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

# A column of one of these names is taken for a column of another of them, first come first taken.
_SAME = (
    "sex gender patient_sex patient_gender",
    "age age_at_initial_pathologic_diagnosis age_at_diagnosis diagnosis_age age_years patient_age",
    "stage ajcc_pathologic_tumor_stage ajcc_pathologic_stage pathologic_stage pathological_stage "
    "tumor_stage tumour_stage ajcc_stage",
    "clinical_stage ajcc_clinical_stage figo_stage",
    "pathologic_t ajcc_pathologic_t pathological_t path_t_stage pt t_stage",
    "pathologic_n ajcc_pathologic_n pathological_n path_n_stage pn n_stage",
    "pathologic_m ajcc_pathologic_m pathological_m path_m_stage pm m_stage",
    "grade histological_grade histologic_grade neoplasm_histologic_grade tumor_grade tumour_grade",
    "histology histological_type histologic_type histological_subtype",
    "residual_tumor residual_tumour residual_disease",
    "margin margin_status",
    "menopause menopause_status",
    "estrogen_receptor er_status er estrogen_receptor_status",
    "progesterone_receptor pr_status pr progesterone_receptor_status",
    "her2 her2_status",
    "pack_years number_pack_years_smoked pack_years_smoked tobacco_smoking_pack_years",
)
_GROUP = {name: k for k, names in enumerate(_SAME) for name in names.split()}
_SEX = {"m": "male", "man": "male", "f": "female", "w": "female", "woman": "female"}
_OLDEST = 130.0


def plain_name(name: str) -> str:
    """Lower case, with single underscores for all that is no letter or digit."""
    return re.sub(r"[^a-z0-9]+", "_", name.strip().lower()).strip("_")


def by_other_names(
    table: Mapping[str, tuple[str, ...]], wanted: Sequence[str]
) -> tuple[dict[str, tuple[str, ...]], list[str]]:
    """The table with columns under the names that are wanted, and notes of what was taken as what.

    A column of the very name goes before all others. Ages that can't be years (of days, as GDC
    has them) are not taken.

    Args:
        table: Column -> cells.
        wanted: Names that a model asks for.
    """
    out, notes = dict(table), []
    for name in wanted:
        if name in out:
            continue
        for other in table:
            if other in wanted or other not in out or not _same(name, other):
                continue
            if _GROUP.get(plain_name(other)) == _GROUP["age"] and _no_years(table[other]):
                notes.append(f"column '{other}' is not taken as '{name}': it holds no years")
                continue
            out[name] = out.pop(other)
            notes.append(f"column '{other}' is taken as '{name}'")
            break
    return out, notes


def _same(name: str, other: str) -> bool:
    a, b = plain_name(name), plain_name(other)
    return a == b or (a in _GROUP and _GROUP[a] == _GROUP.get(b))


def _no_years(cells: Sequence[str]) -> bool:
    numbers = [float(c) for c in cells if re.fullmatch(r"\s*-?[0-9]+(\.[0-9]*)?\s*", c)]
    return bool(numbers) and max(map(abs, numbers)) > _OLDEST


def word_of_sex(word: str) -> str:
    """``male`` or ``female`` for the words that mean so; any other word as it is."""
    return _SEX.get(word, word)
