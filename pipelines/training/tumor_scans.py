"""Synthetic skull-stripped FLAIR and contrast-enhanced T1 scans of heads with painted tumours."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor

from mmtool.models.segmentation.intensity import standardise
from mmtool.pipelines.training.brain_labels import CSF, T1_LIKE, TISSUES, build_lookup
from mmtool.pipelines.training.lesions import (
    ENHANCING,
    NECROSIS,
    OEDEMA,
    SOLID,
    Lesions,
    paint_lesions,
)
from mmtool.pipelines.training.random_fields import RandomTensors, blur
from mmtool.pipelines.training.synthesis import SynthesisOptions, deform, spoil
from mmtool.pipelines.training.tumor_reports import Findings, findings_of

CHANNELS = ("flair", "t1c")
_SIZE = (96, 112, 96)  # voxels of 2 mm that hold any head's brain before it is cut to its box
_OPTIONS = SynthesisOptions(thick=0.35)
_LOOKUP = build_lookup()
_TISSUE = torch.from_numpy(_LOOKUP.tissue).long()
_CLASS = torch.from_numpy(_LOOKUP.of_class).long()
_VENTRICLES = torch.tensor([t in ("ventricle", "third ventricle") for t in TISSUES])
_VESSELS = torch.tensor([t in ("artery", "choroid", "venous sinus") for t in TISSUES])
# FLAIR: grey matter a little above white, fluid dark. As fractions of twice the white matter.
_FLAIR_GREY = 0.6
_FLAIR = {
    "air": 0.0,
    "white matter": 0.5,
    "cerebellar white matter": 0.5,
    "brainstem": 0.52,
    "lesion": 0.75,
    "perivascular": 0.35,
    "ventricle": 0.12,
    "third ventricle": 0.18,
    "fourth ventricle": 0.16,
    "csf": 0.15,
    "choroid": 0.45,
    "artery": 0.2,
    "venous sinus": 0.25,
}


@dataclass(frozen=True)
class TumorSample:
    """One synthetic case.

    Attributes:
        image: (2, I, J, K) float32, channels as in ``CHANNELS``, standardised; 2 mm, RAS order,
            cut to the box of the brain.
        labels: (I, J, K) uint8, BraTS labels.
        brain: (I, J, K) bool.
        findings: What a report would say.
    """

    image: Tensor
    labels: Tensor
    brain: Tensor
    findings: Findings


def draw_cases(
    codes: NDArray[np.int16], multiple: int, rng: np.random.Generator, *, paints: int = 1
) -> list[TumorSample]:
    """Draw cases of one deformed map.

    Args:
        codes: (I, J, K) raw label codes in RAS order at 2 mm.
        multiple: Of the sizes of the samples.
        rng: Source of all chance.
        paints: How many heads, each with its own tumours and contrasts.
    """
    random = RandomTensors(rng)
    # Sides are told by the place in the array, which runs to the right, mirrored or not.
    deformed, _ = deform(codes, _SIZE, _OPTIONS, random)
    boxed = _cut(deformed, multiple)
    return [_case(boxed, random) for _ in range(paints)]


def mirrored(sample: TumorSample) -> TumorSample:
    """The same head seen in a mirror: a case more for hardly any work."""
    return TumorSample(
        sample.image.flip(1),
        sample.labels.flip(0),
        sample.brain.flip(0),
        sample.findings.other_side(),
    )


def _cut(codes: Tensor, multiple: int) -> Tensor:
    """The box of the brain, rounded up to a multiple."""
    spots = (_CLASS.take(codes) > 0).nonzero()
    out = codes
    for axis in range(3):
        low, high = int(spots[:, axis].min()), int(spots[:, axis].max()) + 1
        length = min(codes.shape[axis], -(-(high - low) // multiple) * multiple)
        start = max(0, min((low + high - length) // 2, codes.shape[axis] - length))
        out = out.narrow(axis, start, length)
    return out.contiguous()


def _case(codes: Tensor, random: RandomTensors) -> TumorSample:
    lesions = paint_lesions(codes, random)
    brain = _stripped(lesions, random)
    labels = lesions.labels * brain
    channels = [spoil(paint(lesions, random), _OPTIONS, random) for paint in (_flair, _t1c)]
    image = standardise(torch.stack(channels), brain)
    return TumorSample(
        image, labels, brain, findings_of(labels, brain, pushed_mm=lesions.pushed_mm)
    )


def _stripped(lesions: Lesions, random: RandomTensors) -> Tensor:
    """(I, J, K) bool as a tool would strip the skull: with the fluid, or close to the tissue."""
    tissue = _CLASS.take(lesions.codes)
    solid = (tissue > 0) & (tissue != CSF) | (lesions.labels > 0)
    brain = (tissue > 0) | solid
    if random.chance(0.5):
        brain = blur(solid.float(), random.uniform(1.0, 2.0)) > random.uniform(0.3, 0.6)
    if random.chance(0.2):  # a field of view that ends within the head
        height = brain.shape[2]
        brain[:, :, : int(random.uniform(0, 0.35) * height)] = False
        brain[:, :, int(random.uniform(0.85, 1) * height) :] = False
    return brain


def _flair(lesions: Lesions, random: RandomTensors) -> Tensor:
    means = torch.tensor([_FLAIR.get(name, _FLAIR_GREY) for name in TISSUES])
    contrast = random.uniform(0.3, 1.5)  # of grey against white
    bright = means > 0.4
    means = torch.where(bright, 0.5 + contrast * (means - 0.5), means * random.uniform(0.3, 2.0))
    means = means + 0.03 * random.normal(len(means))
    image = _healthy(lesions.codes, means, random)
    if random.chance(0.4):
        image = image + _caps(lesions.codes, random)
    glow = random.uniform(0.12, 0.8)
    base = 0.53
    fluid = random.chance(0.4)
    values = {
        OEDEMA: base + glow,
        SOLID: base + glow * random.uniform(0.4, 1.3),
        ENHANCING: base + glow * random.uniform(-0.1, 1.4),
        NECROSIS: random.uniform(0.05, 0.5) if fluid else base + glow * random.uniform(-0.2, 1.2),
    }
    # White matter at one, as in the other channel, for noise that is as strong.
    return 2 * _with_lesions(image, lesions.labels, values, random)


def _t1c(lesions: Lesions, random: RandomTensors) -> Tensor:
    means = torch.tensor([mean for _, mean, _ in T1_LIKE.values()])
    spread = torch.tensor([sd for _, _, sd in T1_LIKE.values()])
    contrast = random.uniform(0.5, 1.4)
    means = 1 - contrast * (1 - means) + spread * random.normal(len(means))
    means[_VESSELS] = random.uniform(0.6, 1.6)
    means[0] = 0.0
    image = _healthy(lesions.codes, means.clamp_min(0), random)
    if random.chance(0.4):  # vessels in the sulci
        vessel = random.smooth(1, 44, tuple(image.shape))[0] > random.uniform(1.3, 2.2)
        fluid = _CLASS.take(lesions.codes) == CSF
        image = torch.where(vessel & fluid, image + random.uniform(0.2, 1.0), image)
    values = {
        OEDEMA: 1 - contrast * random.uniform(0.0, 0.4),
        SOLID: 1 - contrast * random.uniform(0.05, 0.55),
        ENHANCING: 0.95 + random.uniform(0.1, 1.4),
        NECROSIS: 1 - contrast * random.uniform(0.25, 0.85),
    }
    return _with_lesions(image, lesions.labels, values, random)


def _healthy(codes: Tensor, means: Tensor, random: RandomTensors) -> Tensor:
    """(I, J, K) painted tissue with texture."""
    tissue, size = _TISSUE.take(codes), tuple(codes.shape)
    deviation = torch.from_numpy(random.rng.uniform(0.0, 0.07, len(means)).astype(np.float32))
    image = means.take(tissue) + deviation.take(tissue) * random.normal(*size)
    return image * (1 + random.uniform(0, 0.08) * random.smooth(1, 10, size)[0])


def _caps(codes: Tensor, random: RandomTensors) -> Tensor:
    """(I, J, K) what shines in the FLAIR of healthy heads: caps of ventricles, spots."""
    size = tuple(codes.shape)
    tissue = _TISSUE.take(codes)
    white = tissue == TISSUES.index("white matter")
    near = ndimage.binary_dilation(_VENTRICLES[tissue].numpy(), iterations=random.chance(0.5) + 1)
    cap = torch.from_numpy(near) & (random.smooth(1, 12, size)[0] > random.uniform(-0.5, 1.5))
    spot = random.smooth(1, 36, size)[0] > random.uniform(1.6, 2.4)
    return random.uniform(0.1, 0.4) * (white & (cap | spot))


def _with_lesions(
    image: Tensor, labels: Tensor, values: dict[int, float], random: RandomTensors
) -> Tensor:
    """Paint the parts of tumours; some of what was there shines through."""
    size = tuple(image.shape)
    coarse, fine = random.smooth(1, 14, size)[0], random.smooth(1, 30, size)[0]
    for label, value in values.items():
        opaque = random.uniform(0.6, 1.0) if label == OEDEMA else random.uniform(0.8, 1.0)
        textured = value + random.uniform(0, 0.14) * coarse + random.uniform(0, 0.12) * fine
        painted = opaque * textured + (1 - opaque) * image
        painted = painted + random.uniform(0, 0.06) * random.normal(*size)
        image = torch.where(labels == label, painted, image)
    return image
