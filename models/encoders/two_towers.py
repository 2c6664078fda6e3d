"""Encoders of pictures and words that others made: folders as transformers writes them.

CLIP, SigLIP and their like, with a tower for pictures and one for words. How a picture is
prepared is read from the folder's own ``preprocessor_config.json`` and kept with the vectors: what
loads such a folder without it easily takes another size or another mean and never tells. Only
safetensors are loaded, and no code that lies in the folder is run.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.nn import functional

from mmtool.errors import ModelError
from mmtool.models.encoders.planes import even_planes
from mmtool.models.files import hash_file, read_json_object
from mmtool.retrieval import Encoded, Kind, Picture

KNOWN = ("clip", "siglip", "siglip2", "chinese_clip", "altclip", "metaclip_2")
_CONFIG, _HOW = "config.json", "preprocessor_config.json"
_HINT = "a folder with config.json, preprocessor_config.json, *.safetensors and the tokenizer"
_SLICES = 8  # of a volume, at even distances
_BATCH = 16
_KINDS: frozenset[Kind] = frozenset({"image", "volume", "slide", "text"})
_TOKENIZER = ("tokenizer.json", "tokenizer_config.json", "vocab.json", "merges.txt", "spiece.model")


@dataclass(frozen=True)
class Preparation:
    """How a picture becomes what the tower takes, as the folder says.

    Attributes:
        resize: Height and width; of a shortest edge both are None.
        shortest: Shortest edge, or None.
        resample: As PIL numbers them.
        crop: Height and width of the middle that is kept, or None.
        mean, std: Of the three colours, in 0..1; None where nothing is subtracted.
        slices: Most slices of a volume; their vectors are averaged.
    """

    resize: tuple[int, int] | None
    shortest: int | None
    resample: int
    crop: tuple[int, int] | None
    mean: tuple[float, ...] | None
    std: tuple[float, ...] | None
    slices: int = _SLICES


def is_two_towers(folder: Path) -> bool:
    """Whether a folder is of a kind that this module loads."""
    if not (folder / _CONFIG).is_file() or (folder / "card.json").is_file():
        return False
    return read_json_object(folder / _CONFIG).get("model_type") in KNOWN


def preparation(folder: Path) -> Preparation:
    """Read how pictures are prepared.

    Raises:
        ModelError: The folder does not say it, or in a way that is not known.
    """
    path = folder / _HOW
    if not path.is_file():
        raise ModelError(f"{folder}: does not say how pictures are prepared", _HINT)
    said = read_json_object(path)
    try:
        resize, shortest = None, None
        if said.get("do_resize", True):
            resize, shortest = _size(said["size"])
        crop = None
        if said.get("do_center_crop", "crop_size" in said):
            crop, edge = _size(said["crop_size"])
            crop = crop or (edge or 0, edge or 0)
        mean = std = None
        if said.get("do_normalize", True):
            mean = tuple(float(x) for x in said["image_mean"])
            std = tuple(float(x) for x in said["image_std"])
        scale = float(said.get("rescale_factor", 1 / 255))
        if abs(scale * 255 - 1) > 1e-3 or (mean is not None and len(mean) != 3):
            raise ValueError("another range or other colours")
        return Preparation(resize, shortest, int(said.get("resample", 3)), crop, mean, std)
    except (KeyError, TypeError, ValueError) as error:
        raise ModelError(f"{path}: prepares pictures in a way that is not known", _HINT) from error


def _size(value: Any) -> tuple[tuple[int, int] | None, int | None]:
    """Height and width, or the shortest edge."""
    if isinstance(value, int):
        return None, value
    if "shortest_edge" in value:
        return None, int(value["shortest_edge"])
    return (int(value["height"]), int(value["width"])), None


def prepared(picture: Picture, how: Preparation) -> Tensor:
    """(S, 3, H, W) float32: up to eight slices of a picture."""
    return torch.stack([_slice(plane, how) for plane in even_planes(picture, how.slices)])


def _slice(plane: NDArray[np.float32], how: Preparation) -> Tensor:
    image = Image.fromarray((plane * 255).round().astype(np.uint8)).convert("RGB")
    wide, high = image.size
    resample = Image.Resampling(how.resample)
    if how.resize is not None:
        image = image.resize(how.resize[::-1], resample)
    elif how.shortest is not None:
        short, long = min(wide, high), max(wide, high)
        other = int(how.shortest * long / short)
        size = (how.shortest, other) if wide <= high else (other, how.shortest)
        image = image.resize(size, resample)
    pixels = torch.from_numpy(np.asarray(image, np.float32) / 255).permute(2, 0, 1)
    if how.crop is not None:
        pixels = _cropped(pixels, how.crop)
    if how.mean is not None and how.std is not None:
        pixels = (pixels - torch.tensor(how.mean)[:, None, None]) / torch.tensor(how.std)[
            :, None, None
        ]
    return pixels


def _cropped(pixels: Tensor, size: tuple[int, int]) -> Tensor:
    """The middle; black around where the picture is smaller."""
    high, wide = size
    down, across = max(0, high - pixels.shape[1]), max(0, wide - pixels.shape[2])
    around = (across // 2, across - across // 2, down // 2, down - down // 2)
    pixels = functional.pad(pixels, around)
    top, left = (pixels.shape[1] - high) // 2, (pixels.shape[2] - wide) // 2
    return pixels[:, top : top + high, left : left + wide]


class TwoTowers:
    """A `mmtool.retrieval.JointEncoder` from a folder; it has no parts."""

    def __init__(self, folder: Path, device: torch.device | str = "cpu") -> None:
        """Load a folder.

        Raises:
            ModelError: transformers is absent, or the folder is not whole.
        """
        how = preparation(folder)
        model, tokenizer = _loaded(folder)
        self.name = folder.resolve().name
        self.sha256 = _digest(folder)
        self.preprocessing: Mapping[str, object] = asdict(how) | {"letters": _letters(model)}
        self.kinds = _KINDS
        self._how, self._tokenizer = how, tokenizer
        self._model = model.to(device).eval()
        self._device = device
        self.dim = int(self.encode_texts(["x"]).vectors.shape[1])

    @torch.inference_mode()
    def encode_pictures(self, pictures: Sequence[Picture]) -> Encoded:
        """(N, dim) vectors; of a volume the mean over its slices."""
        rows = [self._of_slices(prepared(picture, self._how)) for picture in pictures]
        return Encoded(np.stack(rows) if rows else np.zeros((0, self.dim), np.float32))

    def _of_slices(self, slices: Tensor) -> NDArray[np.float32]:
        found = [
            _features(self._model.get_image_features(pixel_values=part.to(self._device)))
            for part in torch.split(slices, _BATCH)
        ]
        each = functional.normalize(torch.cat(found).float(), dim=-1)
        return np.asarray(functional.normalize(each.mean(0), dim=0).cpu().numpy(), np.float32)

    @torch.inference_mode()
    def encode_texts(self, texts: Sequence[str]) -> Encoded:
        """(N, dim) vectors; words beyond what the tower takes are left out."""
        rows = []
        for text in texts:  # one by one: no padding beyond what the tower was trained with
            words = self._tokenizer(
                [text],
                padding="max_length",
                truncation=True,
                max_length=_letters(self._model),
                return_tensors="pt",
            )
            given = {k: v.to(self._device) for k, v in words.items() if k in _GIVEN}
            found = _features(self._model.get_text_features(**given))
            rows.append(functional.normalize(found.float(), dim=-1)[0].cpu().numpy())
        return Encoded(np.stack(rows).astype(np.float32))


_GIVEN = ("input_ids", "attention_mask")


def _features(found: Any) -> Tensor:
    """Versions of transformers differ in what they give."""
    features: Tensor = found if isinstance(found, Tensor) else found.pooler_output
    return features


def _letters(model: Any) -> int:
    """Most tokens of a text."""
    return int(model.config.text_config.max_position_embeddings)


def _loaded(folder: Path) -> tuple[Any, Any]:
    try:
        from transformers import AutoModel, AutoTokenizer
    except ImportError as error:
        raise ModelError(
            f"{folder}: needs the package transformers, which is absent",
            "pip install 'mmtool[hf]'",
        ) from error
    try:
        model = AutoModel.from_pretrained(
            folder, local_files_only=True, use_safetensors=True, trust_remote_code=False
        )
        tokenizer = AutoTokenizer.from_pretrained(
            folder, local_files_only=True, trust_remote_code=False
        )
    except (OSError, ValueError, KeyError, RuntimeError, ImportError) as error:
        raise ModelError(f"{folder}: can't be loaded ({type(error).__name__})", _HINT) from error
    return model, tokenizer


def _digest(folder: Path) -> str:
    """Hash over weights, configuration and tokenizer."""
    names = [p.name for p in folder.glob("*.safetensors")]
    names += [name for name in (_CONFIG, *_TOKENIZER) if (folder / name).is_file()]
    listing = "".join(f"{hash_file(folder / name)}  {name}\n" for name in sorted(names))
    return hashlib.sha256(listing.encode()).hexdigest()
