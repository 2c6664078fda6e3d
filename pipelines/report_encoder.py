"""The encoder of the report's heads."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mmtool.errors import ModelError
from mmtool.models.encoders.blocks_filters import BlocksFilters
from mmtool.models.encoders.blocks_texture import BlocksTexture
from mmtool.models.encoders.histogram_gradients import HistogramGradients
from mmtool.retrieval import JointEncoder

_COUNTED = (HistogramGradients, BlocksTexture, BlocksFilters)  # nothing in them is learned


def load_encoder(name: str, device: str = "cpu") -> JointEncoder:
    """The encoder of a name or folder, as ``mmtool index`` knows it.

    Args:
        name: ``hog``, ``blocks``, ``blocks-filters``, or a model of ``retrieve``.
        device: Where it computes.

    Raises:
        ModelError: There is none.
    """
    for counted in _COUNTED:
        if name == counted.name:
            return counted()
    from mmtool.pipelines.index_spaces import load_encoders  # it looks for chemistry, which is slow

    return load_encoders(name, device).joint


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
