"""What the columns of a table are: paths, words, molecules, facts. By their names, or as told."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from mmtool.errors import UsageError
from mmtool.facts import NOTHING, spelled
from mmtool.retrieval import FACTS

ROLES = ("path", "text", "smiles", "sequence", "id", "group", "ignore", "extra", *FACTS)
_NAMES: Mapping[str, tuple[str, ...]] = {
    "path": tuple(
        "path filepath file_path file filename file_name image image_path img image_file "
        "image_name scan volume slide dicom nifti".split()
    ),
    "text": tuple(
        "caption text report report_text title history indication comparison exam findings "
        "impression conclusion diagnosis case_diagnosis description abstract summary notes "
        "clinical_notes other_notes discussion question answer".split()
    ),
    "smiles": ("smiles", "canonical_smiles", "isomeric_smiles"),
    "sequence": ("sequence", "protein_sequence", "aa_sequence", "amino_acids", "seq"),
    "id": ("id", "uid", "image_id", "study_uid", "report_id", "cid", "qid", "accession_id"),
    "group": ("case_id", "case", "group", "study_id", "study", "patient_id", "patientid"),
    "modality": ("modality", "image_type", "type"),
    "plane": ("plane", "view", "projection", "view_position", "orientation"),
    "anatomy": tuple(
        "anatomy body_part bodypart body_part_examined location_category region organ "
        "image_organ".split()
    ),
    "sex": ("sex", "gender", "patient_sex"),
    "age": ("age", "patient_age", "age_years"),
    "date": ("date", "study_date", "exam_date", "studydate"),
    "source": ("source", "dataset", "collection"),
}
_MANY = ("text", "modality")  # roles that several columns may have
# Columns that may tell who a patient is (HIPAA Safe Harbor, 45 CFR 164.514).
_PERSON = re.compile(
    r"(patient|first|last|sur|family|given|full)_?names?|name_of.*|mrn|ssn|patient_?id\w*|"
    r".*birth.*|dob|.*phone.*|.*e_?mail.*|.*address.*|accession\w*|zip(_?code)?|.*insurance.*"
)
_LOOKED_AT = 50  # rows


@dataclass(frozen=True)
class Columns:
    """Columns by role.

    Attributes:
        path: Of files, or "".
        base: Folder that the paths count from.
        text: Of words, in the order in which they are read.
        smiles: Of molecules, or "".
        sequence: Of proteins, or "".
        id: Names a row, or "".
        group: Names a case, or "".
        facts: Columns of each fact; the first that tells something counts.
        dropped: Not kept.
    """

    path: str = ""
    base: Path = Path()
    text: tuple[str, ...] = ()
    smiles: str = ""
    sequence: str = ""
    id: str = ""
    group: str = ""
    facts: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    dropped: frozenset[str] = frozenset()

    @property
    def useful(self) -> bool:
        """Whether there is anything to index."""
        return bool(self.path or self.text or self.smiles or self.sequence)


def parse_columns(values: Sequence[str]) -> dict[str, str]:
    """``COLUMN=ROLE`` to column and role.

    Raises:
        UsageError: Not of that form.
    """
    out = {}
    for value in values:
        name, _, role = value.rpartition("=")
        if not name.strip() or role.strip() not in ROLES:
            raise UsageError(f"--columns {value}: not COLUMN=ROLE", f"roles are {', '.join(ROLES)}")
        out[name.strip()] = role.strip()
    return out


def recognise(
    rows: Sequence[Mapping[str, str]],
    folder: Path,
    told: Mapping[str, str],
    *,
    identifiers: bool = False,
) -> Columns:
    """Roles of the columns of a table.

    Args:
        rows: Some of its rows.
        folder: Where the table lies.
        told: Roles that a user gave.
        identifiers: Whether columns that may name a patient are kept.
    """
    names = list(dict.fromkeys(name for row in rows for name in row))
    looked = rows[:_LOOKED_AT]
    roles = {name: _role(name, told) for name in names}
    by: dict[str, list[str]] = {}
    for role in ROLES:
        having = [n for n in names if roles[n] == role]
        order = _NAMES.get(role, ())
        by[role] = sorted(having, key=lambda n: (n not in told, _rank(n, order)))
    path, base = _path_column(by["path"], looked, folder)
    person = [n for n in names if not identifiers and _PERSON.fullmatch(_plain(n))]
    unique = [n for n in by["id"] if _unique(n, looked)]
    return Columns(
        path=path,
        base=base,
        text=tuple(n for n in by["text"] if n not in person),
        smiles=_first(by["smiles"]),
        sequence=_first(by["sequence"]),
        id=_first(unique),
        group=_first(by["group"]),
        facts={fact: tuple(by[fact]) for fact in FACTS if by[fact]},
        dropped=frozenset((*by["ignore"], *person)),
    )


def fact_of(name: str, values: Sequence[str]) -> str:
    """A fact as the index spells it, from the columns that may tell it.

    Of a modality, one that is known by two letters goes before any other word.
    """
    found = [word for value in values if (word := spelled(name, value))]
    known = [word for word in found if name != "modality" or (len(word) == 2 and word.isupper())]
    return _first([*known, *found])


def _role(name: str, told: Mapping[str, str]) -> str:
    if name in told:
        return told[name]
    plain = _plain(name)
    return next((role for role, names in _NAMES.items() if plain in names), "extra")


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "_", name.strip().lower()).strip("_")


def _rank(name: str, order: Sequence[str]) -> int:
    plain = _plain(name)
    return order.index(plain) if plain in order else len(order)


def _first(names: Sequence[str]) -> str:
    return names[0] if names else ""


def _unique(name: str, rows: Sequence[Mapping[str, str]]) -> bool:
    values = [row.get(name, "") for row in rows]
    return all(values) and len(set(values)) == len(values)


def _path_column(
    names: Sequence[str], rows: Sequence[Mapping[str, str]], folder: Path
) -> tuple[str, Path]:
    """The column whose values are files, and the folder they count from: that of the table or
    one in it, whichever holds most of them.
    """
    places = [folder]
    if names:
        places += sorted(p for p in folder.iterdir() if p.is_dir() and not p.name.startswith("."))
    best = (0, "", folder)
    for name in names:
        values = [v for row in rows if (v := row.get(name, "").strip()).lower() not in NOTHING]
        for place in places:
            found = sum(_exists(place / value) for value in values)
            if found > best[0]:
                best = (found, name, place)
    return best[1], best[2]


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except (OSError, ValueError):
        return False
