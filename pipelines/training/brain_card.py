"""The model card of ``brain``, as far as training knows it; evaluation adds the metrics."""

from __future__ import annotations

from typing import Any

from mmtool import __version__
from mmtool.pipelines.training.brain_options import BrainTraining, split_maps
from mmtool.pipelines.training.run import command_of

# No range of intensities: any contrast is meant. Voxels of 0.5 to 2 mm, slices of 5 mm and upper
# halves of heads were measured; less than 60 x 120 mm is no field of view that holds a brain.
TRAINING_RANGES: dict[str, Any] = {
    "from": "what docs/benchmarks.md measured: training draws grids and contrasts at random",
    "finest_mm": [0.4, 2.2],
    "coarsest_mm": [0.4, 6.0],
    "shortest_extent_mm": [60.0, 420.0],
    "longest_extent_mm": [120.0, 420.0],
}


def maps_row(options: BrainTraining) -> dict[str, Any]:
    """The label maps, as a row of the card's data."""
    return {
        "name": "SynthSeg training label maps, every second voxel (2 mm)",
        "source": "github.com/BBillot/SynthSeg, data/training_label_maps",
        "licence": "Apache-2.0",
        "use": f"every {options.holdout}-th map, by name, was held out; no real image was used",
        "n": len(split_maps(options.maps, options.holdout)[0]),
    }


def draft_card(options: BrainTraining, facts: dict[str, Any]) -> dict[str, Any]:
    """Card before evaluation: its only metric is that of training.

    Args:
        options: Of the run.
        facts: What the run knows: ``training``, ``sha256``, ``metrics``.
    """
    words = ["--data", "synthseg_labels", "--output", "runs/brain"]
    command = command_of(options, words, ("holdout", "workers"))
    return {
        "task": "segment",
        "name": "brain",
        "version": __version__,
        "summary": "32 structures and the brain mask in MR head scans of any contrast",
        "licence": "Apache-2.0",
        "use": "any",
        "data": [maps_row(options)],
        "training": {
            "command": command,
            "method": "synthetic scans by domain randomisation (10.1016/j.media.2023.102789); "
            "Muon and AdamW; averaged weights",
            **facts["training"],
        },
        "sha256": facts["sha256"],
        "metrics": facts["metrics"],
        "intended_use": "Volumes and masks of brain structures in MR scans of whole or "
        "skull-stripped heads, for research. Not a medical device; look at every result.",
        "limits": [
            "works at 2 mm inside: sulci and small structures (accumbens, temporal horn) are "
            "coarse",
            "trained on the label maps of 12 adult heads: tumours, operations, infants and strong "
            "atrophy were never seen",
            "not for CT, and not for animals",
            "white matter lesions count as white matter",
        ],
        "training_ranges": TRAINING_RANGES,
    }
