"""Fewer visual tokens for an outside vision-language model, when it is run.

The tokens that [CLS] attends to most in the last layer of the picture's encoder are kept, and the
others become one. The measure is that of VTC-CLS (2412.05819), which sums it over layers that are
chosen for each task; the merged token is that of EViT (2202.07800), but for its length: EViT adds
the others up by their attention, which suits a network that was trained so, and here it is their
mean by it, so that it is as long as a token that the network knows.

Only what transformers gives and takes in public is used: attentions and features of the encoder,
embeddings of the input, and hooks of torch on the encoder of models that attend to pictures
crosswise.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from mmtool.errors import ModelError

_TAKEN = {"input_ids", "attention_mask", "pixel_values"}


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


def generate(network: Any, given: Mapping[str, Any], share: float, **how: Any) -> Tensor:
    """What ``network.generate`` gives with a share of the visual tokens.

    Args:
        network: Of transformers, with attention that can be looked at (``eager``).
        given: What the processor made of one picture and a question.
        share: Of the visual tokens that is kept.
        how: For ``generate``.

    Raises:
        ModelError: The model takes pictures in another way, or its encoder has no [CLS].
    """
    token = getattr(network.config, "image_token_id", None)
    if set(given) <= _TAKEN and "pixel_values" in given:
        if token is not None and hasattr(network, "get_image_features"):
            return _embedded(network, given, int(token), share, how)
        if hasattr(network, "vision_model") and hasattr(network, "text_decoder"):
            return _attended(network, given, share, how)
    raise _unfit()


def _embedded(
    network: Any, given: Mapping[str, Any], token: int, share: float, how: Mapping[str, Any]
) -> Tensor:
    """Models whose input holds a place for each visual token, as LLaVA."""
    seen = network.get_image_features(
        pixel_values=given["pixel_values"], output_attentions=True, return_dict=True
    )
    features = torch.cat(list(seen.pooler_output))
    places = (given["input_ids"][0] == token).nonzero()[:, 0]
    if len(places) != len(features) or int(places[-1] - places[0]) + 1 != len(places):
        raise _unfit()
    fewer = fewer_tokens(features, _attention(seen, len(features)), share)
    words = network.get_input_embeddings()(given["input_ids"])[0]
    whole = torch.cat([words[: places[0]], fewer.to(words.dtype), words[places[-1] + 1 :]])[None]
    mask = torch.ones(whole.shape[:2], dtype=torch.long)
    made: Tensor = network.generate(inputs_embeds=whole, attention_mask=mask, **how)
    return made


def _attended(
    network: Any, given: Mapping[str, Any], share: float, how: Mapping[str, Any]
) -> Tensor:
    """Models whose decoder attends to all that the picture's encoder gives, as BLIP."""

    def look(_: Any, args: Any, kwargs: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        return args, kwargs | {"output_attentions": True}

    def thin(_: Any, __: Any, seen: Any) -> Any:
        states = seen.last_hidden_state[0]  # [CLS] is the first, and stays
        fewer = fewer_tokens(states[1:], _attention(seen, len(states) - 1), share)
        seen.last_hidden_state = torch.cat([states[:1], fewer])[None]
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


def _attention(seen: Any, count: int) -> Tensor:
    """(N,) attention of [CLS] to each visual token in the last layer, mean of the heads."""
    attention = seen.attentions[-1] if getattr(seen, "attentions", None) else None
    if attention is None or tuple(attention.shape[::2]) != (1, count + 1):
        raise _unfit()
    weights: Tensor = attention[0].mean(0)[0, 1:]
    return weights


def _unfit() -> ModelError:
    return ModelError(
        "the visual tokens of this outside model can't be thinned out: it takes pictures in "
        "another way, or its encoder has no [CLS] token",
        "leave out --keep-tokens",
    )
