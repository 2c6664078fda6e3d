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
from mmtool.models.encoders.fixed_side import FixedSide, FixedSize, features
from mmtool.models.encoders.joint_input import InputSettings, fitted_shape, slabs
from mmtool.models.encoders.picture_net import PictureNet, PictureSize, Seen
from mmtool.models.encoders.word_net import Read, WordNet, WordSize, words_of
from mmtool.models.store import ModelFiles, load_state, resolve_model
from mmtool.retrieval import Encoded, JointEncoder, Kind, Picture

TASK = "retrieve"
_BATCH = 32
_KINDS: frozenset[Kind] = frozenset({"image", "volume", "slide", "text"})


class Towers(nn.Module):
    """A picture side and a word side that were trained together, and log(1 / temperature)."""

    def __init__(self, picture: PictureSize, word: WordSize, vocabulary: Sequence[str]) -> None:
        super().__init__()
        self.pictures = PictureNet(picture)
        self.words = WordNet(word, vocabulary)
        self.scale = nn.Parameter(torch.tensor(2.66))  # log(1 / 0.07)


class JointNet(nn.Module):
    """Towers side by side, trained from different seeds, and what is fitted beside them.

    A similarity is the mean of the towers' own, so one tower's chance matters less.
    """

    def __init__(self, towers: Sequence[Towers], fixed: FixedSize) -> None:
        super().__init__()
        self.towers: Sequence[Towers] = nn.ModuleList(towers)  # type: ignore[assignment]
        self.fixed = FixedSide(fixed, towers[0].words.size.topics)

    @property
    def first(self) -> Towers:
        """The first; all know the same words and topics."""
        return self.towers[0]

    @property
    def dim(self) -> int:
        """Length of a vector."""
        return len(self.towers) * self.first.pictures.size.dim + self.fixed.dim

    def see(self, slabs: Tensor) -> list[Seen]:
        """What each tower makes of (S, 3, edge, edge)."""
        return [tower.pictures.see(slabs) for tower in self.towers]

    def learned(self, pooled: Sequence[Tensor]) -> Tensor:
        """(B, towers x D) of what each tower pooled, (B, P)."""
        each = [t.pictures.vector(p) for t, p in zip(self.towers, pooled, strict=True)]
        return side_by_side(each)

    def picture_vector(self, seen: Tensor, pooled: Sequence[Tensor]) -> Tensor:
        """(1, dim) of one picture of S slabs.

        Args:
            seen: (F,): what is counted in it, `fixed_side.features`.
            pooled: What each tower made of the slabs, (S, P).
        """
        components = self.fixed.components(seen[None])
        return self.fixed.of_picture(self.learned([_over_slabs(p) for p in pooled]), components)

    def read(self, texts: Sequence[str]) -> tuple[Tensor, Tensor]:
        """Learned vectors (B, towers x D) of B texts, and parts (B, T, towers x part_dim)."""
        numbers, groups = self.first.words.tokens(texts)
        device = self.first.scale.device
        read: list[Read] = [t.words(numbers.to(device), groups.to(device)) for t in self.towers]
        return side_by_side([r.vectors for r in read]), side_by_side([r.parts for r in read])

    def text_vectors(self, texts: Sequence[str], learned: Tensor) -> Tensor:
        """(B, dim) of B texts, with what `read` makes of them."""
        return self.fixed.of_text(learned, self.first.words.bag(texts))


def side_by_side(vectors: Sequence[Tensor]) -> Tensor:
    """(..., towers x D) of length 1, so that a product of two is the mean of the towers' own."""
    joined: Tensor = torch.cat(list(vectors), -1) / len(vectors) ** 0.5
    return joined


class OwnJointEncoder:
    """A `JointEncoder` that mmtool trained; attributes as there.

    Parts are those of its towers side by side: all see the same patches and words.

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

    @property
    def net(self) -> JointNet:
        """The network, in evaluation mode."""
        return self._net

    @torch.inference_mode()
    def encode_pictures(self, pictures: Sequence[Picture]) -> Encoded:
        """See `JointEncoder`; a volume is the mean over its slabs and their maximum.

        Parts are the patches of all slabs, one slab after the other; places are of the plane.
        """
        device = next(self._net.parameters()).device
        stacks = [slabs(p, self.settings) for p in pictures]
        if not stacks:
            return Encoded(np.zeros((0, self.dim), np.float32))
        counts = [len(s) for s in stacks]
        seen = [self._net.see(b.to(device)) for b in torch.split(torch.cat(stacks), _BATCH)]
        pooled = [
            torch.split(torch.cat([s[t].pooled for s in seen]), counts)
            for t in range(len(self._net.towers))
        ]
        vectors = torch.cat(
            [
                self._net.picture_vector(
                    features(picture, stack, self.settings).to(device), [p[k] for p in pooled]
                )
                for k, (picture, stack) in enumerate(zip(pictures, stacks, strict=True))
            ]
        )
        if not self.has_parts:
            return Encoded(vectors.cpu().numpy())
        every = [side_by_side([tower.parts for tower in s]) for s in seen]
        parts = torch.split(torch.cat(every).cpu(), counts)
        side = self._net.first.pictures.side
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
        learned, parts = self._net.read(texts)
        return self._net.text_vectors(texts, learned).cpu().numpy(), parts.cpu().numpy()

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
    if "upon" in files.config:
        return _upon(files, device)
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


def _upon(files: ModelFiles, device: torch.device | str) -> JointEncoder:
    """What was trained upon another encoder, with that one."""
    from mmtool.models.encoders.joint_upon import load_upon

    below = load_joint_encoder(files.config["upon"]["name"], device)
    if not isinstance(below, OwnJointEncoder):
        raise ModelError(f"{files.folder}: upon no encoder of this kind", "train it again")
    return load_upon(files, below, device)


def joint_net(config: Mapping[str, Any]) -> JointNet:
    """An untrained network of a config's sizes and vocabulary."""
    return JointNet([towers(config) for _ in range(config["towers"])], FixedSize(**config["fixed"]))


def towers(config: Mapping[str, Any]) -> Towers:
    """Untrained towers of a config's sizes and vocabulary."""
    picture: dict[str, Any] = {
        k: tuple(v) if isinstance(v, list) else v for k, v in config["picture"].items()
    }
    return Towers(PictureSize(**picture), WordSize(**config["word"]), config["vocabulary"])
