"""What is trained on crops: labels, grid, network, data and the words of the card."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class CropRecipe:
    """One model on crops.

    Attributes:
        name: Of the model.
        folder: Of the data, in the recorded command.
        summary: For the card.
        codes: Label values of the data, in the order of ``labels``.
        labels: ``index``, ``name``, ``code``, ``meaning``, ``color``; the code is SNOMED CT.
        spacing_mm: Of the model's grid.
        window: Voxels that the network sees at once, along R, A, S.
        widths: Channels of the levels.
        depth: Convolutions of each level.
        head: Hidden channels for each block.
        mirrored: Mirrored crops are as good as others.
        axes: Where the axes of the data's arrays really point, if their affines lie; else empty.
        modalities: DICOM modalities.
        purpose: What scans it is for, in the plural.
        locate: How to find the crop in a whole head, or None: ``model``, ``labels`` of the left
            and right structure, ``margin_mm`` around it.
        use: ``any`` or ``research``.
        data: Row of the card, without the number of cases.
        intended_use: For the card.
        limits: For the card.
    """

    name: str
    folder: str
    summary: str
    codes: tuple[int, ...]
    labels: tuple[dict[str, Any], ...]
    spacing_mm: float
    window: tuple[int, int, int]
    widths: tuple[int, ...]
    depth: int
    head: int
    mirrored: bool
    modalities: tuple[str, ...]
    purpose: str
    use: str
    data: dict[str, str]
    intended_use: str
    limits: tuple[str, ...]
    axes: str = ""
    locate: dict[str, Any] | None = None


_RESEARCH = "for research. Not a medical device; look at every result."

HIPPOCAMPUS = CropRecipe(
    name="hippocampus",
    folder="hippocampus",
    summary="anterior and posterior hippocampus in MR crops around it, or in T1-weighted heads",
    codes=(1, 2),
    labels=(
        {
            "index": 1,
            "name": "anterior hippocampus",
            "code": "5366008",
            "meaning": "Hippocampus",
            "color": [220, 216, 20],
        },
        {
            "index": 2,
            "name": "posterior hippocampus",
            "code": "5366008",
            "meaning": "Hippocampus",
            "color": [103, 200, 255],
        },
    ),
    spacing_mm=1.0,
    window=(48, 64, 48),
    widths=(40, 80, 128),
    depth=2,
    head=96,
    mirrored=True,
    modalities=("MR",),
    purpose="MR crops around a hippocampus, and MR scans of the head",
    use="any",
    data={
        "name": "Medical Segmentation Decathlon Task04, training part",
        "source": "github.com/udacity/nd320-c3-3d-imaging-starter, data/TrainingSet",
        "licence": "CC-BY-SA 4.0 (of the Decathlon)",
        "use": "training, without every fifth case by name",
    },
    intended_use="Volumes of the anterior and posterior hippocampus in T1-weighted MR, "
    f"{_RESEARCH}",
    limits=(
        "trained on crops of about 35 x 50 x 35 mm around one hippocampus; in a whole head the "
        "model 'brain' finds the place first",
        "left and right hippocampus of one person may be two cases, so training and held-out "
        "cases may share people",
        "one site's protocol of drawing; other protocols end the tail elsewhere",
    ),
    locate={"model": "brain", "labels": [17, 53], "margin_mm": [6.0, 6.0, 6.0]},
)

LEFT_ATRIUM = CropRecipe(
    name="left-atrium",
    folder="left_atrium",
    summary="cavity of the left atrium in late-gadolinium MR crops around it",
    codes=(1,),
    labels=(
        {
            "index": 1,
            "name": "left atrium",
            "code": "82471001",
            "meaning": "Left atrium",
            "color": [214, 60, 80],
        },
    ),
    spacing_mm=1.25,
    window=(112, 80, 48),
    widths=(32, 64, 96, 128),
    depth=2,
    head=64,
    mirrored=True,
    axes="LPS",
    modalities=("MR",),
    purpose="late-gadolinium MR crops around the left atrium",
    use="research",
    data={
        "name": "2018 Left Atrium Segmentation Challenge, cropped, 1.25 mm",
        "source": "github.com/yulequan/UA-MT",
        "licence": "none stated; challenge data",
        "use": "training, without every fifth case by name",
    },
    intended_use=f"The cavity of the left atrium in late-gadolinium MR, {_RESEARCH}",
    limits=(
        "the crops were made around the label, so the figures are optimistic for whole scans",
        "never saw a scan without contrast, nor another part of the body",
        "the files of the data call their axes right, anterior, superior; by the position of the "
        "descending aorta they run left, posterior, superior, and were read so",
    ),
)

RECIPES = {recipe.name: recipe for recipe in (HIPPOCAMPUS, LEFT_ATRIUM)}
