"""One spelling for each fact of an index: what headers, tables and users write in many ways.

A filter such as ``modality=MR`` finds a row only if the index and the filter agree on ``MR``. So
the readers, the index and the search put facts through these functions. A value that nobody knows
stays as it is, in lower case.
"""

from __future__ import annotations

import re

_MODALITIES = (  # first match wins
    (r"\b(mr|mri|mra|mrs|mrcp|flair|dwi|stir|fiesta)\b", "MR"),
    (r"\b(pet|pt)\b", "PT"),
    (r"\b(ct|cta|cbct)\b|colonoscopy, virtual|virtual colonoscopy|computed tomograph", "CT"),
    (r"\b(cr|dx|rg|xr|x-?rays?|cxr|radiographs?|radiography)\b", "XR"),
    (r"\b(us|ultrasound|sonograph\w*|echo\w*|doppler)\b", "US"),
    (r"\b(mg|mammogra\w*)\b", "MG"),
    (r"\b(nm|spect|scintigra\w*)\b", "NM"),
    (r"\b(xa|rf|angiogra\w*|fluorosco\w*)\b", "XA"),
    (r"\b(sm|gm|histolog\w*|microscop\w*|h&e)\b", "SM"),
    (r"\b(op|opt|oct|fundus)\b", "OP"),
    (r"\b(es|endoscop\w*)\b", "ES"),
)
_PLANES = (
    (r"axial|transverse|transaxial", "axial"),
    (r"coronal", "coronal"),
    (r"sagittal", "sagittal"),
    (r"\b(pa|ap|frontal)\b", "frontal"),
    (r"\b(lateral|ll|rl|lat|l)\b", "lateral"),
    (r"\b(oblique|lao|rao)\b", "oblique"),
)
# Body Part Examined is one word in DICOM (PS3.16 annex L).
_PARTS = {"cspine": "cervical spine", "tspine": "thoracic spine", "lspine": "lumbar spine"}
_PARTS |= {"sspine": "sacrum", "tlspine": "spine", "headneck": "head and neck"}
_PARTS |= {"chestabdomen": "chest and abdomen", "abdomenpelvis": "abdomen and pelvis"}
_SEXES = {"m": "male", "male": "male", "man": "male", "f": "female", "female": "female"}
_SEXES |= {"woman": "female", "o": "other", "other": "other"}
_AGE = re.compile(r"\s*(\d{1,3}(?:\.\d+)?)\s*(d|w|m|y)?[a-z .]*", re.I)
_PER_YEAR = {"d": 365.25, "w": 52.18, "m": 12.0, "y": 1.0}
_DATE = re.compile(r"(\d{4})[-/.]?(\d{2})?[-/.]?(\d{2})?\b")
_OLDEST = 90  # older people are so few that the age may tell who one is
NOTHING = frozenset(("", "?", "-", "n/a", "na", "nan", "none", "null", "unknown", "other view"))


def spelled(name: str, value: str) -> str:
    """The value of a fact as the index spells it; "" where it says nothing.

    Args:
        name: One of `mmtool.retrieval.FACTS`; values of another name are only trimmed.
        value: As a header, a table or a user writes it.
    """
    value = " ".join(value.split())
    if value.lower() in NOTHING:
        return ""
    known = {"modality": modality, "plane": plane, "anatomy": anatomy, "sex": sex}
    known |= {"age": age, "date": date}
    return known[name](value) if name in known else value


def modality(value: str) -> str:
    """Two letters as in DICOM, with ``XR`` for all plain films: CR, DX, RG."""
    return "" if value.lower() in ("ot", "other") else _first(_MODALITIES, value)


def plane(value: str) -> str:
    """``axial``, ``coronal``, ``sagittal``; of films ``frontal``, ``lateral``, ``oblique``."""
    return _first(_PLANES, value)


def anatomy(value: str) -> str:
    """A part of the body in lower case."""
    return _PARTS.get(value.lower(), value.lower())


def sex(value: str) -> str:
    """``female``, ``male`` or ``other``."""
    return _SEXES.get(value.lower(), "")


def age(value: str) -> str:
    """Years as a number, at most 90; of ``060Y``, ``18 months``, ``44``. "" for anything else."""
    match = _AGE.fullmatch(value)
    if match is None:
        return ""
    years = float(match[1]) / _PER_YEAR[(match[2] or "y").lower()]
    return f"{min(years, _OLDEST):.3g}" if years < 150 else ""


def date(value: str) -> str:
    """ISO 8601 as far as it is told: ``2019``, ``2019-04`` or ``2019-04-30``."""
    match = _DATE.match(value)
    return "-".join(part for part in match.groups() if part) if match else ""


def _first(patterns: tuple[tuple[str, str], ...], value: str) -> str:
    lower = value.lower()
    return next((name for pattern, name in patterns if re.search(pattern, lower)), lower)
