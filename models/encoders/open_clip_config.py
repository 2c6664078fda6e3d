"""``open_clip_config.json``: which towers a folder of open_clip has, and whether they are known.

What changes the result and is not known is refused by its name; what only matters in training is
passed over.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmtool.errors import ModelError
from mmtool.models.encoders.open_clip_towers import Shape
from mmtool.models.files import read_json_object

CONFIG = "open_clip_config.json"
_TRAINING = frozenset(
    "patch_dropout timm_model_pretrained timm_drop timm_drop_path hf_model_pretrained "
    "hf_tokenizer_name init_logit_scale init_logit_bias".split()
)
_ONLY: Mapping[
    str, tuple[object, ...]
] = {  # values that are computed; of all else the name is told
    **dict.fromkeys(("ls_init_value", "multimodal_cfg", "act_kwargs", "norm_kwargs"), (None, {})),
    **dict.fromkeys(("attentional_pool", "no_ln_pre", "final_ln_after_pool"), (False,)),
    **dict.fromkeys(("output_tokens", "embed_cls", "no_causal_mask", "proj_bias"), (False,)),
    "pos_embed_type": ("learnable",),
    "timm_pool": ("", None, "token"),
    "timm_proj": ("linear",),
    "timm_proj_bias": (False,),
    "proj_type": ("linear",),
    "hf_pooler_type": ("cls_last_hidden_state_pooler", "mean_pooler"),
    "hf_proj_type": ("mlp", "linear"),
}
_POOL = {"vision_cfg": ("tok",), "text_cfg": ("argmax",)}
_SIZES: Mapping[str, frozenset[str]] = {
    "vision_cfg": frozenset(
        "image_size layers width patch_size head_width mlp_ratio timm_model_name".split()
    ),
    "text_cfg": frozenset(
        "context_length vocab_size width heads layers mlp_ratio hf_model_name".split()
    ),
    "model_cfg": frozenset("embed_dim vision_cfg text_cfg quick_gelu custom_text".split()),
}
_VIT = re.compile(r"vit_(?:tiny|small|base|large)_patch\d+_\d+")
_HINT = "known: CLIP with ViT towers, and a timm ViT with BERT, as BiomedCLIP"


@dataclass(frozen=True)
class OpenClipConfig:
    """What a folder says of its model.

    Attributes:
        dim: Of the common space.
        size: Of the pictures: one number, or height and width.
        picture: Of the tower of pictures; None for a ViT of timm, known by its weights.
        text: Of the tower of words; None for BERT, known by its weights.
        context: Most tokens of a text.
        words: Of the vocabulary; 0 for BERT.
        mean: Whether the mean of BERT's tokens is taken, or the first one.
        preprocess: ``preprocess_cfg``.
    """

    dim: int
    size: Any
    picture: Shape | None
    text: Shape | None
    context: int
    words: int
    mean: bool
    preprocess: Mapping[str, Any]


def read_open_clip_config(folder: Path) -> OpenClipConfig:
    """Read ``open_clip_config.json``.

    Raises:
        ModelError: Not readable, or of a model that is not known; the message names what.
    """
    path = folder / CONFIG
    said = read_json_object(path)
    try:
        model, how = said["model_cfg"], said.get("preprocess_cfg", {})
        vision, text = model["vision_cfg"], model["text_cfg"]
        for name, part in (("model_cfg", model), ("vision_cfg", vision), ("text_cfg", text)):
            _check(path, name, part)
        timm, bert = vision.get("timm_model_name"), text.get("hf_model_name")
        if timm is not None and not _VIT.fullmatch(timm):
            raise _refused(path, f"vision_cfg.timm_model_name {timm}")
        if bert is not None and "roberta" in bert.lower():
            raise _refused(path, f"text_cfg.hf_model_name {bert}")
        quick = bool(model.get("quick_gelu", False))
        return OpenClipConfig(
            dim=int(model["embed_dim"]),
            size=vision.get("image_size", 224),
            picture=None if timm is not None else _vision_shape(vision, quick=quick),
            text=None if bert is not None else _text_shape(text, quick=quick),
            context=int(text.get("context_length", 77)),
            words=0 if bert is not None else int(text.get("vocab_size", 49408)),
            mean=text.get("hf_pooler_type") == "mean_pooler",
            preprocess=dict(how),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ModelError(f"{path}: not a configuration of open_clip", _HINT) from error


def _check(path: Path, name: str, part: Mapping[str, Any]) -> None:
    for key, value in part.items():
        only = _POOL.get(name) if key == "pool_type" else _ONLY.get(key)
        if only is not None:
            if value not in only:
                raise _refused(path, f"{name}.{key} {value}")
        elif key not in _SIZES[name] | _TRAINING:
            raise _refused(path, f"{name}.{key}")


def _refused(path: Path, what: str) -> ModelError:
    return ModelError(f"{path}: {what[:80]} is not supported", _HINT)


def _vision_shape(said: Mapping[str, Any], *, quick: bool) -> Shape:
    width, layers = int(said.get("width", 768)), said.get("layers", 12)
    if not isinstance(layers, int):
        raise ModelError("a tower of convolutions (vision_cfg.layers) is not supported", _HINT)
    heads = width // int(said.get("head_width", 64))
    return Shape(width, layers, heads, int(width * float(said.get("mlp_ratio", 4.0))), quick)


def _text_shape(said: Mapping[str, Any], *, quick: bool) -> Shape:
    width = int(said.get("width", 512))
    hidden = int(width * float(said.get("mlp_ratio", 4.0)))
    return Shape(width, int(said.get("layers", 12)), int(said.get("heads", 8)), hidden, quick)
