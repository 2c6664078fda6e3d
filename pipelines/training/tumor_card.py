"""``config.json`` and card of ``tumor``, as far as training knows them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mmtool import __version__
from mmtool.pipelines.training.brain_card import maps_row
from mmtool.pipelines.training.run import command_of
from mmtool.pipelines.training.tumor_scans import CHANNELS

if TYPE_CHECKING:
    from mmtool.pipelines.training.tumor import TumorTraining

_NEOPLASM = {"code": "108369006", "meaning": "Neoplasm"}
LABELS: tuple[dict[str, Any], ...] = (
    {"index": 1, "name": "necrosis", "code": "6574001", "meaning": "Necrosis",
     "color": [40, 90, 255]},
    {"index": 2, "name": "oedema", "code": "79654002", "meaning": "Edema",
     "color": [80, 220, 120]},
    {"index": 3, "name": "non-enhancing tumour", **_NEOPLASM, "color": [255, 200, 0]},
    {"index": 4, "name": "enhancing tumour", **_NEOPLASM, "color": [230, 30, 30]},
)  # fmt: skip


def model_config(arguments: dict[str, Any], *, guided: bool) -> dict[str, Any]:
    """Content of ``config.json``.

    Args:
        arguments: Of the network.
        guided: Whether a report steers it.
    """
    return {
        "network": "guided_unet" if guided else "subvoxel_unet",
        "runner": "tumor",
        "arguments": arguments,
        "spacing_mm": 2.0,
        "channels": list(CHANNELS),
        "labels": list(LABELS),
        "modalities": ["MR"],
    }


def draft_card(options: TumorTraining, facts: dict[str, Any]) -> dict[str, Any]:
    """The card before evaluation.

    Args:
        options: Of the run.
        facts: What the run knows: ``training``, ``sha256``, ``metrics``.
    """
    words = ["--recipe tumor --data synthseg_labels --output runs/tumor"]
    names = ("fusion", "reading", "holdout", "workers")
    return {
        "task": "segment",
        "name": "tumor",
        "version": __version__,
        "summary": "parts of brain tumours in skull-stripped FLAIR and contrast-enhanced T1",
        "licence": "Apache-2.0",
        "use": "research",
        "channels": list(CHANNELS),
        "data": [maps_row(options)],
        "training": {
            "command": command_of(options, words, names),
            "method": "tumours painted into label maps of healthy heads, synthetic scans of both "
            "channels and drawn reports; cross-entropy and Dice of regions",
            **facts["training"],
        },
        "sha256": facts["sha256"],
        "metrics": facts["metrics"],
        "intended_use": "Parts of brain tumours in skull-stripped FLAIR and contrast-enhanced T1 "
        "scans of one head, for research. Not a medical device; look at every result.",
        "limits": [
            "trained without a single real tumour: painted ones are simpler",
            "needs both channels, registered, without the skull",
            "works at 2 mm inside: thin rims are coarse",
            "reads English reports in the manner of the drawn ones; trusts their side",
        ],
    }
