"""Pictures and words in one space: the encoder of ``index`` and ``retrieve``, from its files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from mmtool.errors import ModelError
from mmtool.models.encoders.fixed_side import FixedSide, FixedSize, counted
from mmtool.models.encoders.joint_input import DEPTH, InputSettings, fitted_shape, slabs
from mmtool.models.encoders.picture_net import PictureNet, PictureSize, Seen
from mmtool.models.encoders.word_net import WordNet, WordSize, words_of
from mmtool.models.store import load_state, resolve_model
from mmtool.retrieval import Encoded, JointEncoder, Kind, Picture

TASK = "retrieve"
_BATCH = 32
_KINDS: frozenset[Kind] = frozenset({"image", "volume", "slide", "text"})


class JointNet(nn.Module):
    """Both sides with the logarithm of 1 / temperature, and what is fitted beside them."""

    def __init__(
        self,
        picture: PictureSize,
        word: WordSize,
        fixed: FixedSize,
        vocabulary: Sequence[str],
    ) -> None:
        super().__init__()
        self.pictures = PictureNet(picture)
        self.words = WordNet(word, vocabulary)
        self.fixed = FixedSide(fixed, word.topics)
        self.scale = nn.Parameter(torch.tensor(2.66))  # log(1 / 0.07)

    @property
    def dim(self) -> int:
        """Length of a vector."""
        components, topics = self.fixed.bridge.shape
        return self.pictures.size.dim + topics + components

    def picture_vector(self, slabs: Tensor, seen: Seen) -> Tensor:
        """(1, dim) of the S slabs of one picture.

        Args:
            slabs: (S, 3, edge, edge).
            seen: What `PictureNet.see` makes of them.
        """
        learned = self.pictures.vector(_over_slabs(seen.pooled))
        each = self.fixed.components(counted(slabs[:, DEPTH // 2]))
        components = functional.normalize(each.mean(0, keepdim=True), dim=-1)
        return self.fixed.of_picture(learned, components)

    def text_vectors(self, texts: Sequence[str], learned: Tensor) -> Tensor:
        """(B, dim) of B texts, with what `WordNet` makes of them."""
        return self.fixed.of_text(learned, self.words.bag(texts))


class OwnJointEncoder:
    """A `JointEncoder` that mmtool trained; attributes as there.

    Attributes:
        calibration: Sorted similarities and shares of pairs of one case at each.
        has_parts: Whether its config says ``parts``: that late interaction by them helps.
    """

    def __init__(self, net: JointNet, config: Mapping[str, Any], name: str, sha256: str) -> None:
        self.name, self.sha256 = name, sha256
        self.settings = InputSettings(**config["input"])
        self.preprocessing: Mapping[str, object] = self.settings.plain()
        self.dim = net.dim
        self.kinds = _KINDS
        self.calibration: Mapping[str, list[float]] = config.get("calibration", {})
        self.has_parts = bool(config.get("parts", False))
        self._net = net.eval()

    @torch.inference_mode()
    def encode_pictures(self, pictures: Sequence[Picture]) -> Encoded:
        """See `JointEncoder`; a volume is the mean over its slabs and their maximum.

        Parts are the patches of all slabs, one slab after the other; places are of the plane.
        """
        device = next(self._net.parameters()).device
        stacks = [slabs(p, self.settings) for p in pictures]
        if not stacks:
            return Encoded(np.zeros((0, self.dim), np.float32))
        every = torch.cat(stacks)
        seen = [self._net.pictures.see(b.to(device)) for b in torch.split(every, _BATCH)]
        counts = [len(s) for s in stacks]
        pooled = torch.split(torch.cat([s.pooled for s in seen]), counts)
        parts = torch.split(torch.cat([s.parts for s in seen]).cpu(), counts)
        vectors = torch.cat(
            [
                self._net.picture_vector(s.to(device), Seen(p, parts[k]))
                for k, (s, p) in enumerate(zip(stacks, pooled, strict=True))
            ]
        )
        if not self.has_parts:
            return Encoded(vectors.cpu().numpy())
        side = self._net.pictures.side
        return Encoded(
            vectors.cpu().numpy(),
            tuple(p.flatten(0, 1).numpy() for p in parts),
            tuple(_places(p, side, len(s)) for p, s in zip(pictures, stacks, strict=True)),
        )

    @torch.inference_mode()
    def encode_texts(self, texts: Sequence[str]) -> Encoded:
        """See `JointEncoder`; a text without words is the mean of nothing, a fixed vector."""
        words = [words_of(text) for text in texts]
        vectors = np.zeros((len(texts), self.dim), np.float32)
        parts = [np.zeros((0, 0), np.float32)] * len(texts)
        order = sorted(range(len(texts)), key=lambda k: len(words[k]))  # little is padded
        for start in range(0, len(order), _BATCH):
            some = order[start : start + _BATCH]
            found, rows = self._read([texts[k] for k in some])
            vectors[some] = found
            for k, row in zip(some, rows, strict=True):
                parts[k] = row[: len(words[k])]
        if not self.has_parts:
            return Encoded(vectors)
        places = [np.zeros((len(found), 4), np.float32) for found in words]
        for place, found_words in zip(places, words, strict=True):
            place[:, :2] = np.array([w[1:] for w in found_words], np.float32).reshape(-1, 2)
        return Encoded(vectors, tuple(parts), tuple(places))

    def _read(self, texts: Sequence[str]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Vectors and parts of some texts."""
        device = next(self._net.parameters()).device
        numbers, groups = self._net.words.tokens(texts)
        read = self._net.words(numbers.to(device), groups.to(device))
        return self._net.text_vectors(texts, read.vectors).cpu().numpy(), read.parts.cpu().numpy()

    def likelihood(self, similarity: float) -> float | None:
        """Share of pairs of this similarity that are of one case; None without calibration."""
        known = self.calibration
        if not known:
            return None
        return float(np.interp(similarity, known["similarity"], known["share"]))


def _over_slabs(pooled: Tensor) -> Tensor:
    """(1, P) of (S, P): half the mean and half the vector that is nearest to it.

    Of one slab both are the slab itself.
    """
    mean = pooled.mean(0, keepdim=True)
    nearest = functional.cosine_similarity(pooled, mean).argmax()
    return (mean + pooled[nearest : nearest + 1]) / 2


def _places(picture: Picture, side: int, slabs_there: int) -> NDArray[np.float32]:
    """(S x side², 4): x, y, width, height of each patch as shares of the picture."""
    high, wide = picture.pixels.shape[1:3]
    aspect = 1.0 if picture.spacing is None else picture.spacing[1] / picture.spacing[2]
    fit = fitted_shape(high * aspect, wide, 1 << 20)
    tall, broad = (1 << 20) / fit[0], (1 << 20) / fit[1]
    rows, columns = np.divmod(np.arange(side * side), side)
    top, left = (rows / side - 0.5) * tall + 0.5, (columns / side - 0.5) * broad + 0.5
    ends = np.clip(np.stack([left, top, left + broad / side, top + tall / side], 1), 0, 1)
    ends[:, 2:] -= ends[:, :2]
    return np.tile(ends.astype(np.float32), (slabs_there, 1))


def load_joint_encoder(name: str, device: torch.device | str = "cpu") -> JointEncoder:
    """An encoder of retrieve by its name or its folder.

    Args:
        name: Of a model, or path of its folder.
        device: Where it shall work.

    Raises:
        ModelError: None of that name, or its files are not whole.
    """
    files = resolve_model(TASK, name)
    try:
        net = joint_net(files.config)
        state = load_state(files)
        net.load_state_dict(
            {k: v.float() if v.is_floating_point() else v for k, v in state.items()}
        )
    except (KeyError, TypeError, RuntimeError) as error:
        raise ModelError(f"{files.folder}: no encoder of this kind", "train it again") from error
    encoder = OwnJointEncoder(net.to(device), files.config, files.name, files.weights_sha256)
    return encoder


def joint_net(config: Mapping[str, Any]) -> JointNet:
    """An untrained network of a config's sizes and vocabulary."""
    picture: dict[str, Any] = {
        k: tuple(v) if isinstance(v, list) else v for k, v in config["picture"].items()
    }
    return JointNet(
        PictureSize(**picture),
        WordSize(**config["word"]),
        FixedSize(**config["fixed"]),
        config["vocabulary"],
    )
