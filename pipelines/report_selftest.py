"""``mmtool report --self-test``: does the report hang on the image, and on nothing else?"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

import numpy as np

from mmtool.errors import InputError
from mmtool.io.readers.image_truths import CASE
from mmtool.models.report.sentences import image_sentence
from mmtool.models.text.findings import label
from mmtool.pipelines.evaluation.report_metrics import token_f1
from mmtool.pipelines.report import ReportTask
from mmtool.pipelines.report_answers import named_kinds
from mmtool.pipelines.report_cases import votes_of
from mmtool.pipelines.report_check import check_report
from mmtool.pipelines.report_findings import findings_of
from mmtool.pipelines.report_gate import Look, gate_of
from mmtool.pipelines.report_images import Seen, read_images, slices_of
from mmtool.pipelines.report_pairs import (
    ABOUT,
    CHANCE,
    Asked,
    Known,
    ask,
    by_heads,
    by_reader,
    planes_of,
)
from mmtool.pipelines.report_reader import FolderReader, Reader
from mmtool.pipelines.report_strangers import STRANGERS, stranger
from mmtool.retrieval import Hit, Item, Picture, Source
from mmtool.studies import Gate

COLUMNS = ("test", "n", "passed", "share", "note")
_EACH = 10  # made images of each kind
_SEED = 7_000  # far from the seeds of training
_MARK = 0.06  # of the height: where burned-in words are put
# True of any image of the kind, and of no use for what is asked.
_PADDING = "The examination was tolerated well. Images were acquired in the usual way. "
_GIVEN = "CT of the head. There is a mass. No pleural effusion."
_CASES = ("Ring-enhancing mass with edema.", "No mass. Small cyst.", "Fracture of the femur.")


@dataclass(frozen=True)
class Row:
    """One line of the table.

    Attributes:
        test: What was done.
        n: How often.
        passed: How often the answer was as it must be.
        note: What must be.
    """

    test: str
    n: int
    passed: int
    note: str

    def cells(self) -> tuple[str, ...]:
        """As words, in the order of `COLUMNS`."""
        share = f"{self.passed / self.n:.3f}" if self.n else ""
        return self.test, str(self.n), str(self.passed), share, self.note


def self_test(
    task: ReportTask, paths: Sequence[Path], truths: Mapping[str, Mapping[str, str]]
) -> list[Row]:
    """Run all tests.

    Args:
        task: With the model that is tested.
        paths: Radiological images for those tests that need real ones.
        truths: What some of them truly are, by the names of their files; see
            `mmtool.io.readers.image_truths.read_image_truths`.

    Raises:
        InputError: An image can't be read, or the truths are of none of the images.
    """
    if truths and not truths.keys() & {path.name for path in paths}:
        raise InputError(
            "the table of truths names none of the images", "its column 'image' holds file names"
        )
    rows = list(_strangers(task))
    looks = [_look(task, image) for image in read_images(paths, task.limits)]
    tests: tuple[Callable[[ReportTask, Sequence[Look]], Row], ...] = (
        _wrong_modality,
        _burned_in,
        _swapped,
        _diluted,
        _interfered,
        _reordered,
    )
    if not looks:
        return rows
    rows += [test(task, looks) for test in tests]
    return [*rows, *_confusable(task, looks, truths), *_thinned(task, looks)]


def _look(task: ReportTask, image: Seen) -> Look:
    model, encoder = task.loaded()
    slices = slices_of(image)
    vectors = encoder.encode_pictures([p for _, p in slices]).vectors
    return Look(image, slices, model.projected(vectors))


def _gate(task: ReportTask, look: Look) -> Gate:
    return gate_of(look, task.loaded()[0])


def _alone(task: ReportTask, picture: Picture) -> Look:
    """A picture with no file behind it."""
    return _look(task, Seen(1, "made", "", "image", picture))


def _strangers(task: ReportTask) -> Iterator[Row]:
    blank = [Picture(np.full((1, 128, 128), v, np.float32)) for v in (0, 0.5, 1)]
    silent = sum(not _gate(task, _alone(task, p)).known for p in blank)
    yield Row("blank image", len(blank), silent, "must be silent")
    for kind in STRANGERS:
        made = [stranger(kind, _SEED + i) for i in range(_EACH)]
        silent = sum(not _gate(task, _alone(task, p)).known for p in made)
        yield Row(f"made image: {kind}", len(made), silent, "must be silent")


def _with(look: Look, **facts: str) -> Look:
    """The same look with other facts in the header; without any if none is given."""
    picture = replace(look.image.picture, facts=facts)
    return replace(look, image=replace(look.image, picture=picture))


def _wrong_modality(task: ReportTask, looks: Sequence[Look]) -> Row:
    """A header that names a modality which the models don't know."""
    passed = sum(not _gate(task, _with(look, modality="US")).known for look in looks)
    return Row("header of another modality (US)", len(looks), passed, "must be refused")


def _burned_in(task: ReportTask, looks: Sequence[Look]) -> Row:
    """White marks at the top and the bottom, and no header to lean on."""
    passed = 0
    for look in looks:
        picture = look.slices[len(look.slices) // 2][1]
        marked = picture.pixels.copy()
        high, wide = marked.shape[1:3]
        rows = max(1, int(high * _MARK))
        marks = (np.arange(wide) // 3 % 2).astype(np.float32)
        marked[:, :rows, :] = marked[:, -rows:, :] = marks if marked.ndim == 3 else marks[:, None]
        plain = _alone(task, replace(picture, facts={}))
        other = _alone(task, replace(picture, pixels=marked, facts={}))
        passed += _words(task, plain) == _words(task, other)
    return Row("burned-in marks", len(looks), passed, "must tell the same")


def _words(task: ReportTask, look: Look, cases: Sequence[Hit] = ()) -> tuple[str, ...]:
    """All that is told of one image."""
    model, encoder = task.loaded()
    gate = gate_of(look, model)
    found, _ = findings_of(look, gate, model, encoder, first=1, votes=votes_of(cases), support={})
    found += task.outside_findings(look, gate, len(found) + 1)
    return image_sentence(gate, 1, False), *(f"{f.text} {f.presence}" for f in found)


def _cases() -> list[Hit]:
    return [
        Hit(i, Item(i, Source(f"case {i}", "", "image", "", text=text)), 0.9 - i / 100)
        for i, text in enumerate(_CASES, start=1)
    ]


def _swapped(task: ReportTask, looks: Sequence[Look]) -> Row:
    """Another image with the same similar cases."""
    told = [(_gate(task, look), _words(task, look, _cases())) for look in looks]
    pairs = [
        (one, two)
        for (gate, one), (other, two) in pairwise(told)
        if (gate.modality.value, gate.region.value) != (other.modality.value, other.region.value)
    ]
    passed = sum(one != two for one, two in pairs)
    return Row("swapped image, same cases", len(pairs), passed, "must tell something else")


def _verdicts(task: ReportTask, look: Look, text: str) -> dict[tuple[str, str], str]:
    model, encoder = task.loaded()
    gate = gate_of(look, model)
    found, _ = findings_of(look, gate, model, encoder, first=1, votes={}, support={})
    return {(c.sentence, c.about): c.verdict for c in check_report(text, [gate], found, model.cuts)}


def _diluted(task: ReportTask, looks: Sequence[Look]) -> Row:
    """A given report among sentences that say nothing."""
    passed = 0
    for look in looks:
        plain = _verdicts(task, look, _GIVEN)
        padded = _verdicts(task, look, _PADDING + _GIVEN + " " + _PADDING)
        passed += all(padded.get(stated) == verdict for stated, verdict in plain.items())
    return Row("diluted text", len(looks), passed, "must judge each sentence the same")


def _interfered(task: ReportTask, looks: Sequence[Look]) -> Row:
    """Another patient's report beside the image changes nothing that is told of the image."""
    passed = 0
    for look in looks:
        before = _words(task, look)
        _verdicts(task, look, " ".join(_CASES))
        passed += _words(task, look) == before
    return Row("interfering text", len(looks), passed, "must tell the same")


def _reordered(task: ReportTask, looks: Sequence[Look]) -> Row:
    """The similar cases in reverse."""
    cases = _cases()
    passed = sum(_words(task, x, cases) == _words(task, x, cases[::-1]) for x in looks)
    return Row("order of similar cases", len(looks), passed, "must tell the same")


def _confusable(
    task: ReportTask, looks: Sequence[Look], truths: Mapping[str, Mapping[str, str]]
) -> Iterator[Row]:
    """Pairs that look alike, one row for each question and each model that is asked."""
    model, _ = task.loaded()
    images = list(_knowns(task, looks, truths))
    choosers = {"": by_heads(model)}
    if task.reader is not None:
        choosers[f", {task.reader.name}"] = by_reader(task.reader)
    if (whole := _whole(task.reader)) is not None:
        choosers[f", {whole.name} with all visual tokens"] = by_reader(whole)
    for name, choose in choosers.items():
        for about in ABOUT:
            yield _set_accuracy(f"confusable pairs: {about}{name}", ask(images, about, choose))


def _whole(reader: Reader | None) -> Reader | None:
    """The same outside model with all visual tokens, where it is given a share of them."""
    if not isinstance(reader, FolderReader) or reader.keep is None:
        return None
    return replace(reader, keep=None)


def _thinned(task: ReportTask, looks: Sequence[Look]) -> Iterator[Row]:
    """What fewer visual tokens cost: words of the outside model beside those with all tokens."""
    whole = _whole(task.reader)
    if task.reader is None or task.reader.keep is None or whole is None:
        return
    same, named, likeness, spent = 0, 0, 0.0, [0.0, 0.0]
    for look in looks:
        picture = look.slices[len(look.slices) // 2][1]
        said = []
        for k, reader in enumerate((task.reader, whole)):
            begun = time.monotonic()
            said.append(reader.read(picture))
            spent[k] += time.monotonic() - begun
        same += said[0] == said[1]
        named += label(said[0]) == label(said[1])
        likeness += token_f1(*said) / len(looks)
    note = (
        f"the same words as with all ({task.reader.way}); F1 of the words {likeness:.2f}, the same "
        f"findings in {named} of {len(looks)}; {spent[0]:.1f} s in place of {spent[1]:.1f} s"
    )
    yield Row(f"{task.reader.keep:.0%} of the visual tokens", len(looks), same, note)


def _set_accuracy(test: str, asked: Asked) -> Row:
    pairs, read = len(asked.pairs), len(asked.same)
    if not pairs:
        return Row(test, 0, 0, "no two images that look alike and are known to differ")
    note = f"both must be right, chance {CHANCE}; each alone {np.mean(asked.each):.3f}"
    note += f"; same answer to both {sum(asked.same):.0f} of {read}"
    note += f"; {pairs - read} not readable" if read < pairs else ""
    return Row(test, pairs, int(sum(asked.both)), note)


def _knowns(
    task: ReportTask, looks: Sequence[Look], truths: Mapping[str, Mapping[str, str]]
) -> Iterator[Known]:
    """The middle slice of each image, and the planes of volumes that have none of their own.

    What the table says goes before the header. The facts are of classes that the heads know, and
    no picture shows its own to a model.
    """
    model, _ = task.loaded()
    classes = {about: model.heads[about].classes for about in ABOUT if about in model.heads}
    for place, look in enumerate(looks):
        middle = len(look.slices) // 2
        picture, gate = replace(look.slices[middle][1], facts={}), _gate(task, look)
        header = {about: getattr(gate, about) for about in ABOUT}
        facts = {about: said.value for about, said in header.items() if said.by == "header"}
        table = truths.get(look.image.name, {})
        facts |= {about: _class(about, table[about]) for about in ABOUT if about in table}
        facts = {k: v for k, v in facts.items() if v in classes.get(k, ())}
        yield Known(picture, look.vectors[middle], facts, table.get(CASE, f"image {place}"))
        for plane, cut in planes_of(look.image):
            vector = _alone(task, replace(cut, facts={})).vectors[0]
            yield Known(cut, vector, {"plane": plane}, f"image {place}, {plane}")


def _class(about: str, words: str) -> str:
    """The class that the words of a table mean: as they are, or the one kind that they name."""
    named = named_kinds(about, words.lower())
    return named.pop() if len(named) == 1 else words
