"""Fewer visual tokens for an outside vision-language model, when it is run.

``evit``: the tokens that [CLS] attends to most in the last layer of the picture's encoder are kept,
and the others become one (2202.07800), but for its length: EViT adds the others up by their
attention, which suits a network that was trained so, and here it is their mean by it, so that it is
as long as a token that the network knows. ``vtc-cls``: those that [CLS] attends to most in the
second half of the layers together, and nothing of the others (2412.05819, which chooses the layers
for each task). ``mmtok``: those that cover the question's words and the picture best (2508.18264).

Only what transformers gives and takes in public is used: attentions and features of the encoder,
embeddings of the input, and hooks of torch on the encoder of models that attend to pictures
crosswise.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from mmtool.errors import ModelError
from mmtool.models.reducers.coverage import covering, likeness

Way = Literal["evit", "vtc-cls", "mmtok"]
_TAKEN = {"input_ids", "attention_mask", "pixel_values"}


@dataclass(frozen=True)
class Fewer:
    """How visual tokens are thinned out.

    Attributes:
        share: Of the tokens that is kept, above 0, rounded up.
        way: See the module.
        asked: (M,) numbers of the question's words, for ``mmtok``.
    """

    share: float
    way: Way = "evit"
    asked: Tensor | None = None


def fewer_tokens(features: Tensor, weights: Tensor, share: float) -> Tensor:
    """The heaviest tokens in their order, and behind them one that merges the others.

    Args:
        features: (N, D) visual tokens.
        weights: (N,) of each, not negative.
        share: Of the tokens that is kept, above 0, rounded up.

    Returns:
        (K + 1, D), or the features as they are where all are kept.
    """
    count = math.ceil(share * len(weights))
    if count >= len(weights):
        return features
    kept = torch.zeros(len(weights), dtype=torch.bool)
    kept[weights.topk(count).indices] = True
    rest = weights[~kept].clamp_min(1e-12)
    merged = (rest / rest.sum()) @ features[~kept]
    return torch.cat([features[kept], merged[None]])


def _kept(fewer: Fewer, features: Tensor, seen: Any, words: Tensor | None) -> Tensor:
    """(K, D) or (K + 1, D): what is left of (N, D) tokens.

    Args:
        fewer: How.
        features: As the network takes them.
        seen: What the picture's encoder gave, with attentions.
        words: (M, D) vectors of the question's words; None where the network has none beside them.
    """
    count = math.ceil(fewer.share * len(features))
    if count >= len(features):
        return features
    if fewer.way == "evit":
        return fewer_tokens(features, _attention(seen, len(features), layers=1), fewer.share)
    if fewer.way == "vtc-cls":
        half = max(1, len(seen.attentions or ()) // 2)
        order = _attention(seen, len(features), layers=half).topk(count).indices.sort().values
        return features[order]
    if words is None:
        raise ModelError(
            "mmtok needs an outside model whose pictures become tokens among the words",
            "take --token-reduction evit or vtc-cls",
        )
    states = seen.last_hidden_state.flatten(0, 1)[-len(features) :]  # without [CLS]
    return features[covering(likeness(words, features, states), count)]


def generate(network: Any, given: Mapping[str, Any], fewer: Fewer, **how: Any) -> Tensor:
    """What ``network.generate`` gives with a share of the visual tokens.

    Args:
        network: Of transformers, with attention that can be looked at (``eager``).
        given: What the processor made of one picture and a question.
        fewer: How tokens are thinned out.
        how: For ``generate``.

    Raises:
        ModelError: The model takes pictures in another way, or its encoder has no [CLS].
    """
    token = getattr(network.config, "image_token_id", None)
    if set(given) <= _TAKEN and "pixel_values" in given:
        if token is not None and hasattr(network, "get_image_features"):
            return _embedded(network, given, int(token), fewer, how)
        if hasattr(network, "vision_model") and hasattr(network, "text_decoder"):
            return _attended(network, given, fewer, how)
    raise _unfit()


def _embedded(
    network: Any, given: Mapping[str, Any], token: int, fewer: Fewer, how: Mapping[str, Any]
) -> Tensor:
    """Models whose input holds a place for each visual token, as LLaVA."""
    seen = network.get_image_features(
        pixel_values=given["pixel_values"], output_attentions=True, return_dict=True
    )
    features = torch.cat(list(seen.pooler_output))
    places = (given["input_ids"][0] == token).nonzero()[:, 0]
    if len(places) != len(features) or int(places[-1] - places[0]) + 1 != len(places):
        raise _unfit()
    embedded = network.get_input_embeddings()
    words = embedded(given["input_ids"])[0]
    left = given["input_ids"][0][given["input_ids"][0] != token]
    asked = embedded(left if fewer.asked is None else fewer.asked)
    kept = _kept(fewer, features, seen, asked).to(words.dtype)
    whole = torch.cat([words[: places[0]], kept, words[places[-1] + 1 :]])[None]
    mask = torch.ones(whole.shape[:2], dtype=torch.long)
    made: Tensor = network.generate(inputs_embeds=whole, attention_mask=mask, **how)
    return made


def _attended(
    network: Any, given: Mapping[str, Any], fewer: Fewer, how: Mapping[str, Any]
) -> Tensor:
    """Models whose decoder attends to all that the picture's encoder gives, as BLIP."""

    def look(_: Any, args: Any, kwargs: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        return args, kwargs | {"output_attentions": True}

    def thin(_: Any, __: Any, seen: Any) -> Any:
        states = seen.last_hidden_state[0]  # [CLS] is the first, and stays
        seen.last_hidden_state = torch.cat([states[:1], _kept(fewer, states[1:], seen, None)])[None]
        return seen

    hooks = (
        network.vision_model.register_forward_pre_hook(look, with_kwargs=True),
        network.vision_model.register_forward_hook(thin),
    )
    try:
        made: Tensor = network.generate(**given, **how)
    finally:
        for hook in hooks:
            hook.remove()
    return made


def _attention(seen: Any, count: int, *, layers: int) -> Tensor:
    """(N,) attention of [CLS] to each visual token in the last layers, mean of the heads."""
    found = list(getattr(seen, "attentions", None) or ())[-layers:]
    if not found or any(tuple(a.shape[::2]) != (1, count + 1) for a in found):
        raise _unfit()
    weights: Tensor = torch.stack([a[0].mean(0)[0, 1:] for a in found]).sum(0)
    return weights


def _unfit() -> ModelError:
    return ModelError(
        "the visual tokens of this outside model can't be thinned out: it takes pictures in "
        "another way, or its encoder has no [CLS] token",
        "leave out --keep-tokens",
    )
