"""How much tissue lies on a slide: the only thing that is told of slides."""

from __future__ import annotations

import numpy as np

from mmtool.pipelines.report_images import Seen
from mmtool.pipelines.slide_tissue import tissue_mask
from mmtool.reports import Evidence, Finding, Measurement


def tissue_of(image: Seen, number: int) -> Finding | None:
    """Area of the tissue, by a threshold on colour; None for all that is no slide with tissue.

    Args:
        image: The image.
        number: Of the finding.
    """
    if image.kind != "slide" or image.picture.spacing is None:
        return None
    mm = image.picture.spacing[1]
    overview = (image.picture.pixels[0] * 255).round().astype(np.uint8)
    mask = tissue_mask(overview, mm * 1000)
    if not mask.any():
        return None
    area = float(mask.sum()) * mm * mm
    high, wide = mask.shape
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    top, bottom = int(rows[0]) / high, (int(rows[-1]) + 1) / high
    left, right = int(columns[0]) / wide, (int(columns[-1]) + 1) / wide
    box = tuple(round(v, 6) for v in (left, top, right - left, bottom - top))
    share = 100 * float(mask.mean())
    return Finding(
        f"f{number}",
        "tissue",
        "present",
        f"Tissue covers {area:.1f} mm\u00b2, {share:.0f} % of the slide.",
        "tissue threshold",
        measurements=(
            Measurement("area", round(area, 3), "mm2"),
            Measurement("share of the slide", round(share, 2), "%"),
        ),
        evidence=(Evidence("box", image.number, box=(box[0], box[1], box[2], box[3])),),
    )
