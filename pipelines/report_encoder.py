"""The encoder of the report's heads."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mmtool.errors import ModelError
from mmtool.models.encoders.hog import HogEncoder
from mmtool.retrieval import JointEncoder

_ENCODERS = {HogEncoder.name: HogEncoder}


def load_encoder(name: str) -> JointEncoder:
    """The encoder of a name.

    Raises:
        ModelError: There is none.
    """
    if name not in _ENCODERS:
        raise ModelError(f"no encoder is named '{name}'", f"there is {', '.join(_ENCODERS)}")
    return _ENCODERS[name]()


def encoder_facts(encoder: JointEncoder) -> dict[str, Any]:
    """What decides on the vectors of an encoder."""
    return {
        "name": encoder.name,
        "sha256": encoder.sha256,
        "preprocessing": dict(encoder.preprocessing),
    }


def check_encoder(encoder: JointEncoder, wanted: Mapping[str, Any]) -> None:
    """Refuse an encoder other than the one that the heads were trained on.

    Raises:
        ModelError: Another hash, or another preprocessing.
    """
    there = encoder_facts(encoder)
    for name in ("sha256", "preprocessing"):
        if there[name] != wanted.get(name):
            raise ModelError(
                f"the report's heads were trained on encoder '{wanted.get('name')}', and this "
                f"'{encoder.name}' has another {name}",
                "train the heads again: mmtool train report",
            )
