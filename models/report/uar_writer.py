"""The text generator at work: images in, words out, by its files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor

from mmtool.errors import ModelError
from mmtool.models.encoders.joint_input import InputSettings
from mmtool.models.report.uar import Uar, UarSize
from mmtool.models.report.uar_sight import Codebook, patch_features, squares_of
from mmtool.models.report.uar_words import END, OTHER, PAD, START, Vocabulary
from mmtool.models.store import ModelFiles, load_state, resolve_model
from mmtool.retrieval import Picture

TASK = "report-text"
_LENGTH = 0.7  # power of the length that the sum of logarithms is divided by


@dataclass(frozen=True)
class UarWriter:
    """A generator with what it needs.

    Attributes:
        net: The network.
        codebook: Of the patches.
        vocabulary: Of the words.
        settings: How a picture is taken.
        width: Texts that are kept in mind at once; 1 is greedy.
    """

    net: Uar
    codebook: Codebook
    vocabulary: Vocabulary
    settings: InputSettings
    width: int

    def write(self, pictures: Sequence[Picture]) -> list[str]:
        """A text of each picture, from its pixels alone; of a volume from the middle slice."""
        if not pictures:
            return []
        codes = self.codebook.numbers(patch_features(squares_of(pictures, self.settings)))
        return [self.vocabulary.text(generate(self.net, one, self.width)) for one in codes]

    def state(self) -> dict[str, Tensor]:
        """All tensors, floating ones in half precision."""
        found = {f"net.{name}": value for name, value in self.net.state_dict().items()}
        found |= {f"codebook.{n}": getattr(self.codebook, n) for n in ("mean", "axes", "codes")}
        return {name: value.half().contiguous() for name, value in found.items()}

    def config(self) -> dict[str, Any]:
        """All else, as JSON."""
        return {
            "kind": "uar",
            "size": asdict(self.net.size),
            "refined": self.net.refined,
            "width": self.width,
            "input": self.settings.plain(),
            "vocabulary": list(self.vocabulary.words),
        }


def writer_of(config: Mapping[str, Any], state: Mapping[str, Tensor]) -> UarWriter:
    """A generator from its config and its tensors.

    Raises:
        KeyError: Something is missing.
        TypeError: Something is of another kind.
        RuntimeError: Tensors of other sizes.
    """
    parts = {name: value.float() for name, value in state.items()}
    net = Uar(UarSize(**config["size"]), refined=bool(config["refined"]))
    net.load_state_dict({n.removeprefix("net."): v for n, v in parts.items() if n[:4] == "net."})
    book = Codebook(*(parts[f"codebook.{name}"] for name in ("mean", "axes", "codes")))
    words = Vocabulary(tuple(str(word) for word in config["vocabulary"]))
    settings = InputSettings(**config["input"])
    return UarWriter(net.eval(), book, words, settings, int(config["width"]))


def load_writer(name: str) -> tuple[UarWriter, ModelFiles]:
    """A text generator by its name or its folder.

    Raises:
        ModelError: None of that name, or its files are not whole.
    """
    files = resolve_model(TASK, name)
    try:
        writer = writer_of(files.config, load_state(files))
        if writer.vocabulary.size != writer.net.size.words:
            raise ValueError("vocabulary")
    except (KeyError, TypeError, ValueError, RuntimeError, AttributeError) as error:
        raise ModelError(f"{files.folder}: no text generator of this kind", "train it again: "
                         "mmtool train report --recipe uar") from error  # fmt: skip
    return writer, files


@torch.inference_mode()
def generate(net: Uar, codes: Tensor, width: int) -> list[int]:
    """Numbers of the words of one image, without start and end.

    Args:
        net: In evaluation mode.
        codes: (P, L) of the image.
        width: Beams.
    """
    image = net.see(codes[None])
    beams: list[tuple[float, list[int]]] = [(0.0, [START])]
    done: list[tuple[float, list[int]]] = []
    for _ in range(net.size.most - 1):
        words = torch.tensor([said for _, said in beams], device=codes.device)
        logits = net.write(image.expand(len(beams), -1, -1), words)[0][:, -1]
        logits[:, [PAD, START, OTHER]] = -torch.inf
        scores = logits.log_softmax(-1) + torch.tensor([s for s, _ in beams])[:, None].to(logits)
        best = scores.flatten().topk(width)
        grown = [
            (float(score), [*beams[place // scores.shape[1]][1], place % scores.shape[1]])
            for score, place in zip(best.values.tolist(), best.indices.tolist(), strict=True)
        ]
        done += [beam for beam in grown if beam[1][-1] == END]
        beams = [beam for beam in grown if beam[1][-1] != END]
        if not beams or len(done) >= width:
            break
    said = max(done or beams, key=lambda beam: beam[0] / (len(beam[1]) - 1) ** _LENGTH)[1]
    return [number for number in said[1:] if number != END]
