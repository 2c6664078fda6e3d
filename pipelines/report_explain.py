"""``--explain``: maps of what a model says of an image as a whole, beside those of its findings."""

from __future__ import annotations

from collections.abc import Sequence

from mmtool.errors import UsageError
from mmtool.models.report.model import GATE, ReportModel
from mmtool.pipelines.report_gate import Look
from mmtool.pipelines.report_heat import METHODS, Heat, heat_of
from mmtool.reports import Explanation, Finding
from mmtool.retrieval import JointEncoder
from mmtool.studies import Gate


def check_methods(methods: Sequence[str]) -> None:
    """Refuse what is no method.

    Raises:
        UsageError: One of them is not known.
    """
    for method in methods:
        if method not in METHODS:
            raise UsageError(f"--explain {method}: not known", f"one of {', '.join(METHODS)}")


def explained(
    look: Look,
    gate: Gate,
    findings: Sequence[Finding],
    methods: Sequence[str],
    model: ReportModel,
    encoder: JointEncoder,
) -> list[tuple[Explanation, Heat]]:
    """A map of every answer that a model gave about one image, by each method.

    Args:
        look: The image.
        gate: What was said of it; what a header said has no map.
        findings: Told of it by the heads.
        methods: Of `METHODS`.
        model: The heads.
        encoder: Theirs.
    """
    said = [(q, getattr(gate, q)) for q in GATE]
    answers = [(q, s.value, q, s.value) for q, s in said if s.by == "model"]
    answers += [(f.text, "present", f.id, f.text) for f in findings if f.text in model.cuts]
    out = []
    for method in methods:
        for question, value, about, words in answers:
            heat = heat_of(look, question, value, model, encoder, method)
            path = f"evidence/{method}-{look.image.number}-{about}.png"
            out.append((
                Explanation(
                    about, words, method, look.image.number, heat.slice, path,
                    round(heat.agreement, 4), heat.deletion,
                ),
                heat,
            ))  # fmt: skip
    return out
