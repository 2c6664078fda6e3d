"""The text generator beside the report: its words stand for themselves, and are no evidence."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from mmtool.models.report.uar_writer import load_writer
from mmtool.models.store import ModelFiles
from mmtool.models.text.sections import clean, sentences
from mmtool.pipelines.report_check import check_report
from mmtool.pipelines.report_gate import Look
from mmtool.reports import Finding, ModelUsed
from mmtool.retrieval import Picture
from mmtool.studies import Contradicted, Gate


@dataclass(frozen=True)
class TextGenerator:
    """A generator by its files.

    Attributes:
        files: Of it.
        write: A text of each picture.
    """

    files: ModelFiles
    write: Callable[[Sequence[Picture]], list[str]]

    def of_image(self, look: Look, gate: Gate) -> str:
        """Words of the middle slice of an image that the gate knows; "" of another."""
        if not gate.known:
            return ""
        return self.write([look.slices[len(look.slices) // 2][1]])[0]

    def used(self) -> ModelUsed:
        """For the provenance."""
        card = self.files.card
        trained = tuple(str(row["name"]) for row in card["data"])
        hash_ = self.files.weights_sha256
        return ModelUsed(self.files.task, self.files.name, hash_, card["use"], trained,
                         str(card["version"]))  # fmt: skip

    def statement(self) -> str:
        """What a reader must be told."""
        return (
            f"Words under 'Generated text' were written by {self.files.task}/{self.files.name}. "
            "They rest on no evidence, are no finding, have no code, and may be wrong."
        )


def vetted(
    words: str, gate: Gate, findings: Sequence[Finding], validated: Collection[str]
) -> tuple[str, tuple[Contradicted, ...]]:
    """Generated words without the sentences that contradict what is known, and these.

    Args:
        words: Of one image.
        gate: Of it.
        findings: Of it.
        validated: Findings that a model here can tell.
    """
    kept: list[str] = []
    left: list[Contradicted] = []
    for sentence in sentences(clean(words)):
        checks = check_report(sentence.text, [gate], findings, validated)
        against = next((c for c in checks if c.verdict == "contradicts"), None)
        if against is None:
            kept.append(sentence.text.rstrip(".") + ".")
        else:
            left.append(Contradicted(sentence.text, against.about, against.reason))
    return (" ".join(kept) if left else words), tuple(left)


def load_generator(name: str) -> TextGenerator:
    """A generator by its name or its folder.

    Raises:
        ModelError: None of that name, or its files are not whole.
    """
    writer, files = load_writer(name)
    return TextGenerator(files, writer.write)
