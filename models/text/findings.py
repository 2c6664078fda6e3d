"""Findings that a report or a caption names, and whether it says that they are there.

A labeller by rules, of our own. Each finding has phrases; a phrase counts where it stands as
words. What is said of it is decided by the trigger words of ``mentions.py`` and by the words of
doubt below, within its clause. A finding that a text names several times is present if any
mention says so, else uncertain if any doubts, else absent. What no mention names is not labelled.

Limits: a list of findings, not all of radiology; English; misspelt words are missed; a negation
that stands in another sentence is missed; "no change in the effusion" counts as an effusion.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from mmtool.models.text.mentions import PRESENT, said_of
from mmtool.models.text.sections import clauses, clean, sentences
from mmtool.reports import Presence
from mmtool.types import Code

_DOUBT = re.compile(
    r"\b(?:possible|possibly|probable|probably|may|might|could|questionable|suspicious|suspected|"
    r"suggest(?:s|ive|ing)?|likely|cannot|can't|not excluded|versus|vs|worrisome|concern(?:ing)? "
    r"for|equivocal|indeterminate|differential|rule out|r/o|not (?:be )?(?:\w+ )?(?:excluded|ruled "
    r"out))\b|\?"
)
# What ``mentions.py`` doesn't take for an end, since structures don't come and go.
_CLEARED = re.compile(
    r"\b(?:clear of|resolution of|resolved|cleared)\b(?:(?!\bwith\b|\band an?\b).)*$"
)
_CLEARS = re.compile(r"^\W*(?:has|have|is|are|now|since|completely|\s)*\b(?:resolved|cleared)\b")
_LEFT = re.compile(r"\b(?:left|lt|l)\b")
_RIGHT = re.compile(r"\b(?:right|rt|r)\b")
_BOTH = re.compile(r"\b(?:bilateral(?:ly)?|both|bibasilar|biapical)\b")
_NOT_INSIDE = re.compile(r"\b(?:not|no)\b")  # "heart is not enlarged"
_SCOPE = 300  # letters on either side in which a word of doubt or negation counts
_NEAR = 40  # letters on either side in which a side belongs to a finding


@dataclass(frozen=True)
class Term:
    """A finding.

    Attributes:
        name: In plain words.
        pattern: Regular expression over lower-case text.
        code: Of the finding, where one is known to us.
    """

    name: str
    pattern: str
    code: Code | None = None

    @property
    def words(self) -> re.Pattern[str]:
        """The compiled pattern, at the bounds of words."""
        return re.compile(rf"\b(?:{self.pattern})\b")


@dataclass(frozen=True)
class Named:
    """A finding in a sentence.

    Attributes:
        name: Of the finding.
        presence: What the sentence says of it.
        laterality: ``left``, ``right``, ``both`` or "".
        sentence: The sentence as written.
        reason: Words that decided, where it is not present.
    """

    name: str
    presence: Presence
    laterality: str
    sentence: str
    reason: str = ""


def _sct(value: str, meaning: str) -> Code:
    return Code(value, "SCT", meaning)


TERMS: tuple[Term, ...] = (
    Term("pleural effusion", r"(?:pleural )?effusions?(?! of the (?:knee|hip|joint))|hydrothorax|"
         r"pleural fluid", _sct("60046008", "Pleural effusion")),
    Term("pneumothorax", r"pneumothora(?:x|ces)", _sct("36118008", "Pneumothorax")),
    Term("consolidation", r"consolidat(?:ions?|ed|ive)|pneumonias?|air ?space disease"),
    Term("lung opacity", r"opacit(?:y|ies)|opacifications?|infiltrates?|ground[- ]?glass\w*"),
    Term("atelectasis", r"atelecta(?:sis|ses|tic)|lobar collapse|lung collapse",
         _sct("46621007", "Atelectasis")),
    Term("cardiomegaly", r"cardiomegaly|enlarged (?:heart|cardiac silhouette)|(?:heart|cardiac "
         r"silhouette) (?:\w+ ){0,3}enlarged|cardiac enlargement",
         _sct("8186001", "Cardiomegaly")),
    Term("pulmonary edema", r"pulmonary (?:o?edema|vascular congestion)|interstitial o?edema|"
         r"vascular congestion", _sct("19242006", "Pulmonary edema")),
    Term("emphysema", r"emphysema(?:tous)?|hyperinflat(?:ion|ed)|hyperexpan\w+|copd"),
    Term("interstitial change", r"interstitial (?:markings?|changes?|thickening|opacit\w+|disease|"
         r"lung disease|prominence|fibrosis)|pulmonary fibrosis|honeycombing|reticulations?"),
    Term("hiatal hernia", r"hiat(?:al|us) hernia", _sct("84089009", "Hiatal hernia")),
    Term("nodule", r"nodul(?:es?|ar)|granulomas?", _sct("27925004", "Nodule")),
    Term("mass", r"mass(?:es)?(?! effect)|tumou?rs?|neoplasms?|gliomas?|meningiomas?|carcinomas?|"
         r"sarcomas?|lymphomas?|adenomas?|schwannomas?", _sct("4147007", "Mass")),
    Term("lesion", r"lesions?|metastas[ie]s", _sct("52988006", "Lesion")),
    Term("cyst", r"cysts?|cystic", _sct("367643001", "Cyst")),
    Term("calcification", r"calcifi(?:ed|cations?|c)",
         _sct("18115005", "Pathologic calcification, calcified structure")),
    Term("enhancement", r"enhanc(?:es|ing|ement)"),
    Term("edema", r"(?<!pulmonary )(?<!interstitial )o?edema", _sct("79654002", "Edema")),
    Term("hemorrhage", r"ha?emorrhag(?:es?|ic)|ha?ematomas?|bleed(?:s|ing)?",
         _sct("50960005", "Hemorrhage")),
    Term("infarct", r"infarct(?:s|ions?|ed)?|strokes?|restricted diffusion|isch(?:a)?emi[ac]"),
    Term("hydrocephalus", r"hydrocephalus|(?:enlarged|dilated|dilatation of the) (?:\w+ ){0,3}"
         r"ventricles?|ventriculomegaly|ventricular (?:dilatation|dilation|enlargement)",
         _sct("230745008", "Hydrocephalus")),
    Term("mass effect", r"mass effect|midline shift|effacement"),
    Term("fracture", r"fractur(?:es?|ed)", _sct("125605004", "Fracture of bone")),
    Term("abscess", r"abscess(?:es)?|empyema", _sct("44132006", "Abscess")),
    Term("aneurysm", r"aneurysm(?:s|al)?|pseudoaneurysms?", _sct("85659009", "Aneurysm")),
    Term("thrombus", r"thromb(?:us|i|osis|osed)|emboli(?:sm)?|embolus",
         _sct("396339007", "Thrombus")),
    Term("enlarged lymph nodes", r"(?:lymph)?adenopathy|enlarged (?:lymph )?nodes?",
         _sct("30746006", "Lymphadenopathy")),
    Term("degenerative change", r"degenerative|spondylosis|osteophytes?|arthritic|osteoarthritis|"
         r"disc (?:bulge|protrusion|herniation|extrusion)|herniated disc"),
    Term("device", r"pacemakers?|catheters?|endotracheal tube|central (?:venous )?line|picc|"
         r"surgical clips?|sternotomy wires?|drains?|stents?|prosthes[ie]s|nasogastric tube"),
)  # fmt: skip
BY_NAME = {term.name: term for term in TERMS}
_WORDS = {term.name: term.words for term in TERMS}


def named_findings(text: str) -> list[Named]:
    """Every mention of a known finding, in order.

    Args:
        text: A report, a caption or a sentence.

    Example:
        >>> [(n.name, n.presence) for n in named_findings("No pneumothorax. Left effusion.")]
        [('pneumothorax', 'absent'), ('pleural effusion', 'present')]
    """
    out = []
    for sentence in sentences(clean(text)):
        if sentence.asks:
            for _, clause in clauses(sentence.text):
                out += _in_clause(clause, sentence.text)
    return out


def label(text: str) -> dict[str, Presence]:
    """What a text says of each finding that it names."""
    said: dict[str, set[Presence]] = {}
    for named in named_findings(text):
        said.setdefault(named.name, set()).add(named.presence)
    order: tuple[Presence, ...] = ("present", "uncertain", "absent")
    return {name: next(p for p in order if p in found) for name, found in said.items()}


def _in_clause(clause: str, sentence: str) -> list[Named]:
    lower = clause.lower()
    found = []
    for name, words in _WORDS.items():
        for match in words.finditer(lower):
            presence, reason = _presence(lower, match.start(), match.end())
            found.append((match.start(), name, presence, _side(lower, match), reason))
    return [
        Named(name, presence, side, sentence, reason)
        for _, name, presence, side, reason in sorted(found)
    ]


def _presence(clause: str, start: int, end: int) -> tuple[Presence, str]:
    inside = _NOT_INSIDE.search(clause, start, end)
    if inside:
        return "absent", inside.group()
    first = max(0, start - _SCOPE)
    near = clause[first : end + _SCOPE]  # a window: the time stays linear
    gone = _CLEARED.search(near[: start - first]) or _CLEARS.search(near[end - first :])
    if gone:
        return "absent", gone.group().strip()
    status, reason = said_of(near, start - first, end - first)
    if status != PRESENT:
        return "absent", reason
    before, behind = near[: start - first], near[end - first :]
    part = before[before.rfind(",") + 1 :] + near[start - first : end - first]
    doubt = _DOUBT.search(part + behind.partition(",")[0])  # "effusion, possible mass"
    return ("uncertain", doubt.group()) if doubt else ("present", "")


def _side(clause: str, match: re.Match[str]) -> str:
    near = clause[max(0, match.start() - _NEAR) : match.end() + _NEAR]
    left, right = bool(_LEFT.search(near)), bool(_RIGHT.search(near))
    if _BOTH.search(near) or (left and right):
        return "both"
    return "left" if left else "right" if right else ""
