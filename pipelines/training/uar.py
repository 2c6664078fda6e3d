"""``mmtool train report --recipe uar``: the text generator, from captions of training images.

One case in twelve is left out: on these the epochs and the number of beams are chosen.
"""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

from mmtool.errors import InputError
from mmtool.io.limits import Limits
from mmtool.io.readers.picture import picture_reader
from mmtool.io.writers.json_file import write_json
from mmtool.models.card import CARD, CONFIG, WEIGHTS
from mmtool.models.encoders.joint_input import InputSettings
from mmtool.models.files import hash_file
from mmtool.models.report.model import INSIDE, KNOWN
from mmtool.models.report.uar import UarSize
from mmtool.models.report.uar_sight import Codebook, fit_codebook, patch_features, squares_of
from mmtool.models.report.uar_words import Vocabulary
from mmtool.models.report.uar_writer import UarWriter, generate, writer_of
from mmtool.pipelines.evaluation.report_metrics import rouge_l
from mmtool.pipelines.training.report import Tell
from mmtool.pipelines.training.report_card import ReportTraining
from mmtool.pipelines.training.report_data import TRAIN, Labelled, labelled_images
from mmtool.pipelines.training.retrieve import learned_from
from mmtool.pipelines.training.retrieve_data import numbered
from mmtool.pipelines.training.uar_card import Chosen, card_of
from mmtool.pipelines.training.uar_fit import Pairs, UarFit, train_uar

_LEVELS, _CODES, _AXES = 2, 256, 24
_WIDTHS = (1, 3)
_SHIFTS = ((0, 0), (-5, -3), (4, -4), (-3, 5), (5, 4))  # pixels by which an image is moved
_BATCH = 64
_PLACEHOLDER = re.compile(r"replace this\b", re.I)  # of a form that was never filled in


def train_uar_model(
    options: ReportTraining, fit: UarFit, limits: Limits, tell: Tell, device: torch.device
) -> Path:
    """Train, choose on the cases left out, and write a model folder.

    Args:
        options: Data, place, name and seed; no encoder is used.
        fit: Epochs and rates.
        limits: Of the readers.
        tell: Progress.
        device: Where it is trained.

    Returns:
        The model folder.

    Raises:
        InputError: No image with a caption.
    """
    started = time.monotonic()
    options.out.mkdir(parents=True, exist_ok=True)
    images = captioned(options.data)
    kept = learned_from([image.group for image in images])
    learned = [image for image, k in zip(images, kept, strict=True) if k]
    left = [image for image, k in zip(images, kept, strict=True) if not k]
    tell(f"{len(learned)} images with captions to learn from, {len(left)} to choose on")
    settings = InputSettings()
    squares, others = (_squares(part, settings, limits) for part in (learned, left))
    book = fit_codebook(
        patch_features(squares), levels=_LEVELS, codes=_CODES, axes=_AXES, seed=options.seed
    )
    vocabulary = Vocabulary.of(image.caption for image in learned)
    side = settings.size // 16
    dim, shared, written = fit.sizes
    size = UarSize(
        vocabulary.size, book.count, patches=side**2, dim=dim, shared=shared, written=written,
        basis=dim // 2,
    )  # fmt: skip
    pairs = _pairs(learned, moved_codes(squares, book), vocabulary, size.most)
    held = _pairs(left, book.numbers(patch_features(others))[None], vocabulary, size.most)
    found = train_uar(
        size, pairs, held, replace(fit, seed=options.seed), options.out / "checkpoint.pt",
        device=device, tell=tell,
    )  # fmt: skip
    writer = UarWriter(found.net.cpu(), book, vocabulary, settings, 1)
    writer, chosen = _with_width(_rounded(writer), held.codes[0], [i.caption for i in left], tell)
    chosen = replace(chosen, curve=found.curve, epochs=found.epochs)
    return _write(options, fit, writer, chosen, len(learned), time.monotonic() - started)


def captioned(data: Path) -> list[Labelled]:
    """Training images of known kinds with a caption that is not the placeholder of a form.

    Raises:
        InputError: There are none.
    """
    found = [
        image
        for image in labelled_images(data)
        if image.split == TRAIN
        and image.caption
        and not _PLACEHOLDER.match(image.caption.strip())
        and image.labels.get(INSIDE) == KNOWN
    ]
    if not found:
        raise InputError(f"{data}: no training images with captions", "see docs/report.md")
    return found


def _squares(images: Sequence[Labelled], settings: InputSettings, limits: Limits) -> Tensor:
    """(N, size, size)."""
    with picture_reader(limits) as reader:
        parts = [
            squares_of([reader.read(i.path) for i in images[k : k + _BATCH]], settings)
            for k in range(0, len(images), _BATCH)
        ]
    return torch.cat(parts)


def moved_codes(squares: Tensor, book: Codebook) -> Tensor:
    """(V, N, P, L) codes of the images as they are and moved by some pixels."""
    return torch.stack(
        [
            book.numbers(patch_features(torch.roll(squares, shift, (1, 2))))
            for shift in _SHIFTS
        ]
    )  # fmt: skip


def _pairs(images: Sequence[Labelled], codes: Tensor, vocabulary: Vocabulary, most: int) -> Pairs:
    texts = [torch.tensor(vocabulary.numbers(i.caption, most - 1)) for i in images]
    words = torch.nn.utils.rnn.pad_sequence(texts, batch_first=True)
    return Pairs(codes, words, torch.tensor(numbered(strangers_of(images))))


def strangers_of(images: Sequence[Labelled]) -> list[str]:
    """One name for all images of a case, and of cases that share a caption."""
    name: dict[str, str] = {}
    for image in images:
        first = name.setdefault(f"caption {image.caption}", image.group)
        name.setdefault(f"case {image.group}", first)
    return [name[f"case {image.group}"] for image in images]


def _rounded(writer: UarWriter) -> UarWriter:
    """The generator as its file will have it, in half precision."""
    return writer_of(writer.config(), writer.state())


def _with_width(
    writer: UarWriter, codes: Tensor, captions: Sequence[str], tell: Tell
) -> tuple[UarWriter, Chosen]:
    """With the number of beams whose texts are most like the captions left out."""
    likeness: dict[int, list[float]] = {}
    for width in _WIDTHS:
        said = [writer.vocabulary.text(generate(writer.net, one, width)) for one in codes]
        likeness[width] = [rouge_l(a, b) for a, b in zip(said, captions, strict=True)]
        tell(f"beams {width}: ROUGE-L {sum(likeness[width]) / len(captions):.4f} of cases left out")
    best = max(_WIDTHS, key=lambda width: sum(likeness[width]))
    return replace(writer, width=best), Chosen(tuple(likeness[best]))


def _write(
    options: ReportTraining, fit: UarFit, writer: UarWriter, chosen: Chosen, n: int, seconds: float
) -> Path:
    folder = options.out / "model"
    folder.mkdir(parents=True, exist_ok=True)
    save_file(writer.state(), folder / WEIGHTS)
    write_json(folder / CONFIG, writer.config())
    hashes = {name: hash_file(folder / name) for name in (WEIGHTS, CONFIG)}
    card = card_of(options, fit, writer, chosen, n, seconds)
    write_json(folder / CARD, card | {"sha256": hashes})
    return folder
