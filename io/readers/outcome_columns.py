"""Which columns of a table of patients name them, and which say how they fared."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mmtool.errors import InputError

_IDS = (
    *("patientid", "caseid", "patient", "case", "bcrpatientbarcode", "casesubmitterid"),
    *("submitterid", "subjectid", "subject", "participantid", "participant", "pid", "id"),
    *("sampleid", "sample", "barcode", "patientbarcode"),
)
# Names of one pair, letters and digits only; the first pair that is there is taken. Overall
# survival stands before what is narrower.
_PAIRS = (
    ("time", "event"),
    ("ostime osmonths osdays os", "osevent osstatus os event status"),
    (
        "survivalmonths survivaltime survivaldays overallsurvival overallsurvivalmonths "
        "overallsurvivaldays overallsurvivaltime",
        "censorship censored censor event status vitalstatus dead death overallsurvivalstatus "
        "overallsurvivalevent",
    ),
    (
        "time futime followuptime followupmonths followup duration lenfol",
        "status fustat death dead died deceased observed vitalstatus censorship censored censor "
        "event",
    ),
    *(
        (f"{end}time {end}months {end}days", f"{end}event {end}status {end} cens")
        for end in ("dss", "pfi", "pfs", "dfi", "dfs", "rfs", "efs", "mfs", "ttr")
    ),
)
_INVERTED = frozenset({"censorship", "censored", "censor"})
# What is known only after the time of prediction: never a covariate.
_LATER = re.compile(
    r"(os|dss|pfi|pfs|dfi|dfs|rfs|efs|mfs|ttr|survival|overallsurvival|diseasespecificsurvival|"
    r"diseasefree|progressionfree)"
    r"(time|months?|days|years?|status|event|cr|1|cens|censorship)?([0-9]?)|"
    r"survival.*|.*vitalstatus.*|.*daysto(death|last.*|new.*)|.*lastcontact.*|.*followup.*|"
    r"censor(ship|ed)?|tumorstatus|.*newtumorevent.*|causeofdeath.*|death.*|deceased|fustat|futime|"
    r".*treatmentoutcome.*|personneoplasmcancerstatus"
)
_EVENTS = frozenset("1 true t yes y dead deceased died death event relapse progression".split())
_NO_EVENTS = frozenset("0 false f no n alive living censored none lost".split())
_UNITS = (("months", "month"), ("days", "day"), ("years", "year"))


@dataclass(frozen=True)
class OutcomeColumns:
    """Places of the columns that tell an outcome.

    Attributes:
        time: Of the time, or None.
        event: Of the event, or None.
        inverted: Whether 1 means censored.
        unit: ``months``, ``days``, ``years``, or ``""`` where the name does not say.
        later: All columns that tell what came after, those two among them.
    """

    time: int | None
    event: int | None
    inverted: bool
    unit: str
    later: frozenset[int]


def plain(name: str) -> str:
    """A column's name in lower case, letters and digits only."""
    return re.sub(r"[^a-z0-9]", "", name.lower())


def id_column(columns: Sequence[str], asked: str | None, path: Path) -> int | None:
    """Place of the column with the patients' names.

    Args:
        columns: Header.
        asked: Its name, if the user gave it.
        path: For the message.

    Returns:
        The column; None if none has a name that says so.

    Raises:
        InputError: The asked column is not there.
    """
    if asked is not None:
        return named_column(columns, asked, path)
    names = [plain(c) for c in columns]
    for known in _IDS:
        if known in names:
            return names.index(known)
    return next((i for i, c in enumerate(columns) if not c.strip()), None)


def named_column(columns: Sequence[str], asked: str, path: Path) -> int:
    """Place of a column that the user named.

    Raises:
        InputError: It is not there, or twice.
    """
    places = [i for i, name in enumerate(columns) if name.strip() == asked.strip()]
    if len(places) == 1:
        return places[0]
    there = ", ".join(c[:20] for c in columns[:12])
    raise InputError(
        f"{path}: the column '{asked[:60]}' {'stands twice' if places else 'is not there'}",
        f"there are {there}",
    )


def outcome_columns(
    columns: Sequence[str], time: str | None, event: str | None, path: Path
) -> OutcomeColumns:
    """Find the columns of time and event by their names.

    Args:
        columns: Header.
        time: Name of the column of times, if the user gave it.
        event: Name of the column of events, if the user gave it.
        path: For the message.

    Raises:
        InputError: A column that was asked for is not there, or one of the two is.
    """
    names = [plain(c) for c in columns]
    found = _pair(names)
    if time is not None or event is not None:
        found = (
            named_column(columns, time, path) if time is not None else found[0],
            named_column(columns, event, path) if event is not None else found[1],
        )
        if None in found:
            raise InputError(
                f"{path}: one of time and event alone tells no outcome",
                "name both: --time COLUMN --event COLUMN",
            )
    later = {i for i, name in enumerate(names) if _LATER.fullmatch(name)}
    later |= {i for i in found if i is not None}
    inverted = found[1] is not None and names[found[1]] in _INVERTED
    unit = "" if found[0] is None else _unit(names[found[0]])
    return OutcomeColumns(found[0], found[1], inverted, unit, frozenset(later))


def _pair(names: Sequence[str]) -> tuple[int | None, int | None]:
    for times, events in _PAIRS:
        for time in (t for t in times.split() if t in names):
            for event in (e for e in events.split() if e in names and e != time):
                return names.index(time), names.index(event)
    return None, None


def _unit(name: str) -> str:
    return next((unit for unit, word in _UNITS if word in name), "")


def parse_event(text: str) -> bool | None:
    """Whether a cell says that the event was seen; None if it says neither.

    Takes 1 and 0, true and false, dead and alive, and forms such as ``1:DECEASED``.
    """
    word = text.strip().lower()
    if re.fullmatch(r"[01]\.0*", word):
        word = word[0]
    word = word.partition(":")[0] or word
    if word in _EVENTS:
        return True
    return False if word in _NO_EVENTS else None
