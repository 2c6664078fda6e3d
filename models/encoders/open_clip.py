"""Encoders of pictures and words that others made: folders as open_clip writes them.

``open_clip_config.json``, one ``open_clip*.safetensors`` and the tokenizer; BiomedCLIP and its
like. The package open_clip is not used: it asks for a version of torch of its own. Nothing is
loaded from elsewhere, no pickle is read, and no code that lies in the folder is run.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from mmtool.errors import ModelError
from mmtool.models.encoders.open_clip_config import CONFIG, OpenClipConfig, read_open_clip_config
from mmtool.models.encoders.open_clip_pictures import open_clip_preparation, open_clip_prepared
from mmtool.models.encoders.open_clip_towers import (
    BertTower,
    PictureTower,
    Shape,
    TextTower,
    Weights,
    of_timm,
)
from mmtool.models.files import hash_file
from mmtool.retrieval import Encoded, Kind, Picture

_HINT = f"a folder with {CONFIG}, open_clip_model.safetensors and the tokenizer"
_WEIGHTS = "open_clip*.safetensors"
_BATCH = 16
_KINDS: frozenset[Kind] = frozenset({"image", "volume", "slide", "text"})
_TOKENIZER = (
    *("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"),
    *("vocab.json", "merges.txt", "vocab.txt"),
)
_HEAD = 64  # numbers of a head in all ViT of timm and all BERT that are taken
_UNUSED = frozenset(
    "logit_scale logit_bias attn_mask text.attn_mask "
    "text.transformer.embeddings.position_ids".split()
)


def is_open_clip(folder: Path) -> bool:
    """Whether a folder is one of open_clip."""
    return (folder / CONFIG).is_file() and not (folder / "card.json").is_file()


class OpenClip:
    """A `mmtool.retrieval.JointEncoder` from a folder; it has no parts."""

    def __init__(self, folder: Path, device: torch.device | str = "cpu") -> None:
        """Load a folder.

        Raises:
            ModelError: It is not whole, holds what is not supported, or transformers is absent.
        """
        config = read_open_clip_config(folder)
        how = open_clip_preparation(config.preprocess, config.size, str(folder / CONFIG))
        path = _weights_of(folder)
        pictures, texts = _parted(_read(path), config)
        self._tokens = _tokenizer(folder, config)
        self._pictures = _picture_tower(pictures, config, how.size, path).to(device).eval()
        self._texts = _text_tower(texts, config, path).to(device).eval()
        self.name = folder.resolve().name
        self.sha256 = _digest(folder, path)
        self.preprocessing: Mapping[str, object] = asdict(how) | {"letters": config.context}
        self.kinds = _KINDS
        self.dim = config.dim
        self._how, self._device = how, device

    @torch.inference_mode()
    def encode_pictures(self, pictures: Sequence[Picture]) -> Encoded:
        """(N, dim) vectors; of a volume the mean over its slices."""
        rows = [self._of_slices(open_clip_prepared(p, self._how)) for p in pictures]
        return Encoded(np.stack(rows) if rows else np.zeros((0, self.dim), np.float32))

    def _of_slices(self, slices: Tensor) -> NDArray[np.float32]:
        found = [self._pictures(part.to(self._device)) for part in torch.split(slices, _BATCH)]
        each = functional.normalize(torch.cat(found), dim=-1)
        return np.asarray(functional.normalize(each.mean(0), dim=0).cpu().numpy(), np.float32)

    @torch.inference_mode()
    def encode_texts(self, texts: Sequence[str]) -> Encoded:
        """(N, dim) vectors; words beyond what the tower takes are left out."""
        rows = []
        for text in texts:  # one by one: no padding, which neither tower would look at
            ids = torch.tensor([self._tokens(text)], device=self._device)
            rows.append(functional.normalize(self._texts(ids), dim=-1)[0].cpu().numpy())
        return Encoded(np.stack(rows) if rows else np.zeros((0, self.dim), np.float32))


def _weights_of(folder: Path) -> Path:
    found = sorted(folder.glob(_WEIGHTS))
    if len(found) == 1:
        return found[0]
    pickled = sorted(folder.glob("*.bin")) + sorted(folder.glob("*.pt"))
    if not found and pickled:
        raise ModelError(
            f"{pickled[0]}: a pickle, which is not loaded",
            "convert it once: safetensors.torch.save_file(torch.load(FILE, weights_only=True), "
            "'open_clip_model.safetensors')",
        )
    raise ModelError(f"{folder}: {len(found)} files {_WEIGHTS}, not one", _HINT)


def _read(path: Path) -> Weights:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return {name: value.float() for name, value in load_file(path).items()}
    except (OSError, SafetensorError) as error:
        raise ModelError(f"{path}: can't be read ({type(error).__name__})", _HINT) from error


def _parted(weights: Weights, config: OpenClipConfig) -> tuple[Weights, Weights]:
    """Those of the tower of pictures, and those of the tower of words."""
    kept = {name: value for name, value in weights.items() if name not in _UNUSED}
    pictures = {n.removeprefix("visual."): v for n, v in kept.items() if n.startswith("visual.")}
    # Whether names of the text tower begin with "text." depends on who wrote the file.
    others = {n.removeprefix("text."): v for n, v in kept.items() if not n.startswith("visual.")}
    return (of_timm(pictures) if config.picture is None else pictures), others


def _picture_tower(
    weights: Weights, config: OpenClipConfig, size: tuple[int, int], path: Path
) -> nn.Module:
    def tower() -> nn.Module:
        high, wide = weights["conv1.weight"].shape[2:]
        plain = config.picture is None
        shape = config.picture or _vit_shape(weights)
        patches = (size[0] // high) * (size[1] // wide)
        with torch.device("meta"):
            return PictureTower(shape, config.dim, (high, wide), patches, plain=plain)

    return _filled(tower, weights, path, "of pictures")


def _vit_shape(weights: Weights) -> Shape:
    width = int(weights["class_embedding"].shape[0])
    hidden = int(weights["transformer.resblocks.0.mlp.c_fc.weight"].shape[0])
    return Shape(width, _count(weights, "transformer.resblocks."), width // _HEAD, hidden, eps=1e-6)


def _count(weights: Weights, prefix: str) -> int:
    """How many numbered layers there are."""
    return len({n.removeprefix(prefix).split(".")[0] for n in weights if n.startswith(prefix)})


def _text_tower(weights: Weights, config: OpenClipConfig, path: Path) -> nn.Module:
    def tower() -> nn.Module:
        if config.text is None:
            return _bert(weights, config)
        with torch.device("meta"):
            return TextTower(config.text, config.dim, config.words, config.context)

    return _filled(tower, weights, path, "of words")


def _bert(weights: Weights, config: OpenClipConfig) -> nn.Module:
    from transformers import BertConfig

    embedded = "transformer.embeddings."
    words, width = weights[embedded + "word_embeddings.weight"].shape
    kinds = weights[embedded + "token_type_embeddings.weight"].shape[0]
    if width % _HEAD or kinds != 2:
        raise ValueError("not BERT")
    inner = weights["transformer.encoder.layer.0.intermediate.dense.weight"].shape[0]
    first = weights.get("proj.0.weight")
    bert = BertConfig(
        vocab_size=words,
        hidden_size=width,
        num_hidden_layers=_count(weights, "transformer.encoder.layer."),
        num_attention_heads=width // _HEAD,
        intermediate_size=inner,
        max_position_embeddings=weights[embedded + "position_embeddings.weight"].shape[0],
    )
    return BertTower(bert, config.dim, None if first is None else len(first), mean=config.mean)


def _filled(make: Callable[[], nn.Module], weights: Weights, path: Path, which: str) -> nn.Module:
    try:
        tower = make()
        tower.load_state_dict(weights, strict=True, assign=True)
    except (KeyError, ValueError, RuntimeError) as error:
        told = str(error).strip().splitlines()[-1].strip()
        raise ModelError(
            f"{path}: its tower {which} is not as {CONFIG} says: {told[:120]}", _HINT
        ) from error
    return tower.requires_grad_(False)


def _tokenizer(folder: Path, config: OpenClipConfig) -> Callable[[str], list[int]]:
    """Gives the numbers of a text's tokens, no more than the tower takes."""
    try:
        import transformers
    except ImportError as error:
        raise ModelError(
            f"{folder}: needs the package transformers, which is absent",
            "pip install 'mmtool[hf]'",
        ) from error
    kind: Any = transformers.CLIPTokenizer if config.words else transformers.BertTokenizer
    try:
        if (folder / "tokenizer.json").is_file():
            file = str(folder / "tokenizer.json")
            made = transformers.PreTrainedTokenizerFast(tokenizer_file=file)
        else:
            made = kind.from_pretrained(folder, local_files_only=True)
        ids = made("")["input_ids"]
    except Exception as error:  # the reader of tokenizer.json raises bare exceptions
        raise ModelError(
            f"{folder}: no tokenizer that can be read ({type(error).__name__})", _HINT
        ) from error
    if config.words and ids[-1:] != [config.words - 1]:
        raise ModelError(
            f"{folder}: the tokenizer does not end a text with the last word of {config.words}",
            "take the tokenizer that the model was trained with",
        )

    def tokens(text: str) -> list[int]:
        found = made(text, truncation=True, max_length=config.context)["input_ids"]
        return [int(i) for i in found]

    return tokens


def _digest(folder: Path, weights: Path) -> str:
    """Hash over weights, configuration and tokenizer."""
    names = [weights.name, CONFIG, *(n for n in _TOKENIZER if (folder / n).is_file())]
    listing = "".join(f"{hash_file(folder / name)}  {name}\n" for name in sorted(names))
    return hashlib.sha256(listing.encode()).hexdigest()
