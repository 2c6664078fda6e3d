"""What ``mmtool report`` says of a study: the one truth that every view of it is written from.

Nothing here imports numpy or torch at run time.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from mmtool.proteins import Protein
from mmtool.studies import Study
from mmtool.types import Code

SCHEMA: Final = "mmtool-report"
VERSION = 1  # of the schema; a reader refuses a newer one

Presence = Literal["present", "absent", "uncertain"]
EvidenceKind = Literal["heat map", "mask", "box", "slice"]
Verdict = Literal["agrees", "contradicts", "unsupported", "not checked"]


@dataclass(frozen=True)
class Measurement:
    """A number.

    Attributes:
        name: What was measured.
        value: How much.
        unit: By UCUM: ``mL``, ``%``, ``mm``.
    """

    name: str
    value: float
    unit: str


@dataclass(frozen=True)
class Evidence:
    """Where a finding can be seen.

    Attributes:
        kind: What points at it.
        image: Number of the image.
        path: File beside the report, or "".
        box: x, y, width and height as shares of the image, or None.
        slice: Counted from 0 along the first axis of the image's shape, or None.
        agreement: Of a heat map: the drop of the finding's log odds when its hottest fifth is
            hidden, less that when random fifths are; above 0 it points at what decided.
    """

    kind: EvidenceKind
    image: int
    path: str = ""
    box: tuple[float, float, float, float] | None = None
    slice: int | None = None
    agreement: float | None = None


@dataclass(frozen=True)
class Support:
    """A similar case that speaks for a sentence.

    Attributes:
        id: Key in the index.
        score: Likeness; comparable within one report.
        quote: Sentence of that case, word for word.
        sha256: Of the case's file, or "".
    """

    id: str
    score: float
    quote: str = ""
    sha256: str = ""


@dataclass(frozen=True)
class Finding:
    """One statement about the study.

    Attributes:
        id: Unique within the report; the views link by it.
        text: Name of the finding, e.g. ``pleural effusion`` or ``left hippocampus``.
        presence: Whether it is there.
        sentence: As it is told.
        by: Model or measurement that it comes from.
        code: Of the finding, where one is known.
        site: Where, where that is known.
        laterality: ``left``, ``right``, ``both`` or "".
        probability: Calibrated, 0 to 1, or None for what was measured.
        uncertainty: Evidential, 0 to 1, or None.
        measurements: Numbers that belong to it.
        evidence: Where it can be seen.
        support: Similar cases that speak for it.
    """

    id: str
    text: str
    presence: Presence
    sentence: str
    by: str
    code: Code | None = None
    site: Code | None = None
    laterality: Literal["left", "right", "both", ""] = ""
    probability: float | None = None
    uncertainty: float | None = None
    measurements: tuple[Measurement, ...] = ()
    evidence: tuple[Evidence, ...] = ()
    support: tuple[Support, ...] = ()


@dataclass(frozen=True)
class Deletion:
    """What an answer loses when a part of the picture is hidden.

    Attributes:
        share: Of the fields that are hidden.
        hot: Drop of the log odds without those that a map calls hottest.
        random: Mean drop without as many random ones.
    """

    share: float
    hot: float
    random: float


@dataclass(frozen=True)
class Explanation:
    """A map of where an answer hangs on an image, and its test.

    Attributes:
        about: ``modality``, ``plane``, ..., or the id of a finding.
        answer: What was said.
        method: That made the map.
        image: Number of the image.
        slice: Counted from 0.
        path: The map over the slice, beside the report.
        agreement: As of `Evidence`.
        deletion: The test at several shares.
    """

    about: str
    answer: str
    method: str
    image: int
    slice: int
    path: str
    agreement: float
    deletion: tuple[Deletion, ...] = ()


@dataclass(frozen=True)
class Change:
    """What became of one finding since the prior.

    Attributes:
        text: Name of the finding.
        before: Presence or number then.
        now: Presence or number now.
        sentence: As it is told.
    """

    text: str
    before: str
    now: str
    sentence: str


@dataclass(frozen=True)
class Comparison:
    """The study beside an earlier one.

    Attributes:
        prior: Name of the file.
        sha256: Of its bytes.
        changes: Of what both tell.
        notes: What can't be compared, and why.
    """

    prior: str
    sha256: str
    changes: tuple[Change, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Check:
    """One statement of a given report beside the image.

    Attributes:
        sentence: As given; it may state several things.
        verdict: How they go together.
        reason: Why.
        finding: Id of the finding that it was compared with, or "".
        about: What the sentence states: modality, plane, region, sequence, contrast, a finding, or
            a detail of one; "" where it states nothing known here.
    """

    sentence: str
    verdict: Verdict
    reason: str
    finding: str = ""
    about: str = ""


@dataclass(frozen=True)
class Answer:
    """The answer to a question of the user.

    Attributes:
        question: As given.
        answer: In words; ``cannot tell`` where nothing here can tell.
        told: Whether there is an answer.
        reason: What the answer rests on, or why there is none.
        probability: Of the answer, where a model gives one.
    """

    question: str
    answer: str
    told: bool
    reason: str
    probability: float | None = None


@dataclass(frozen=True)
class ModelUsed:
    """A model that took part.

    Attributes:
        task: Command that it was made for.
        name: As its card says.
        weights_sha256: Hash of its weights.
        use: Terms: ``any``, ``research`` or ``unknown``.
        trained_on: Names of the data sets.
        version: As its card says.
    """

    task: str
    name: str
    weights_sha256: str
    use: str = "unknown"
    trained_on: tuple[str, ...] = ()
    version: str = ""


@dataclass(frozen=True)
class Provenance:
    """Who made the report, with what.

    Attributes:
        tool: ``mmtool``.
        tool_version: Of it.
        created: ISO 8601 with time zone.
        models: That took part.
        index: Name of the index that similar cases come from, or "".
        statements: What a reader must be told of how the report came about.
    """

    tool: str
    tool_version: str
    created: str
    models: tuple[ModelUsed, ...] = ()
    index: str = ""
    statements: tuple[str, ...] = ()


@dataclass(frozen=True)
class Report:
    """A preliminary report.

    Attributes:
        study: What was given.
        findings: What is said, in the order in which it is told.
        impression: Sentences.
        provenance: Who made it.
        abstained: Whether the models were silent on every image.
        comparison: With a prior, where one was given.
        checks: Of a given report.
        answers: To questions.
        similar: Cases that look alike, best first.
        explanations: Maps that were asked for.
        proteins: That were given in place of images.
        schema: Name of this layout.
        version: Of this layout.
        status: Always ``preliminary``: a clinician must read it.
    """

    study: Study
    findings: tuple[Finding, ...]
    impression: tuple[str, ...]
    provenance: Provenance
    abstained: bool = False
    comparison: Comparison | None = None
    checks: tuple[Check, ...] = ()
    answers: tuple[Answer, ...] = ()
    similar: tuple[Support, ...] = ()
    explanations: tuple[Explanation, ...] = ()
    proteins: tuple[Protein, ...] = ()
    schema: Literal["mmtool-report"] = SCHEMA
    version: int = VERSION
    status: Literal["preliminary"] = "preliminary"
