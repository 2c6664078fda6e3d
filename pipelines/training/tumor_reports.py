"""What a radiologist would say of a tumour, from its label map, in many wordings.

The sentences follow the four parts of the reports of TextBraTS (Shi et al. 2025, arXiv 2506.16784):
where the lesion lies, its oedema, its necrosis, the compression of ventricles; enhancement is told
besides.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor

from mmtool.pipelines.training.prompt_pen import Pen

REGIONS = ("frontal", "parietal", "temporal", "occipital", "deep", "posterior fossa")
SLOTS = (
    *("lesion", "left", "right", *REGIONS),
    *("oedema", "extensive oedema", "necrosis", "enhancement"),
)
_SHARE = 0.15  # of the tumour that a region or side holds at least to be named
_EXTENSIVE = 2.0  # oedema is that many times larger than the rest of the tumour
_LEAST_ML = 0.3  # less is not told of
_ML = 0.008


@dataclass(frozen=True)
class Findings:
    """What a report tells.

    Attributes:
        places: (side, region) of every part that is named, the largest first; none in a head
            without a tumour.
        oedema: ``none``, ``some`` or ``extensive``.
        necrosis: Whether there is any.
        enhancement: ``none``, ``ring`` or ``solid``.
        compression: Whether ventricles are pressed; None if it isn't known.
    """

    places: tuple[tuple[str, str], ...] = ()
    oedema: str = "none"
    necrosis: bool = False
    enhancement: str = "none"
    compression: bool | None = None

    def slots(self) -> tuple[float, ...]:
        """1 or 0 for each of ``SLOTS``."""
        named = {word for place in self.places for word in place}
        named |= {"lesion"} if self.places else set()
        named |= {"oedema"} if self.oedema != "none" else set()
        named |= {"extensive oedema"} if self.oedema == "extensive" else set()
        named |= {"necrosis"} if self.necrosis else set()
        named |= {"enhancement"} if self.enhancement != "none" else set()
        return tuple(float(slot in named) for slot in SLOTS)

    def other_side(self) -> Findings:
        """The same with left and right exchanged."""
        swap = {"left": "right", "right": "left"}
        places = tuple((swap[side], region) for side, region in self.places)
        return Findings(places, self.oedema, self.necrosis, self.enhancement, self.compression)


def findings_of(labels: Tensor, brain: Tensor, *, pushed_mm: float | None = None) -> Findings:
    """Findings of a label map.

    Regions are told by the place in the box around the brain: rough, but the same for every head
    whose axes run along R, A and S.

    Args:
        labels: (I, J, K) uint8 BraTS labels, RAS order, 2 mm.
        brain: (I, J, K) bool.
        pushed_mm: How far tissue was displaced, if it is known.
    """
    parts = labels.numpy()
    sizes: NDArray[np.float64] = np.bincount(parts.ravel(), minlength=5).astype(np.float64) * _ML
    if sizes[1:].sum() < _LEAST_ML:
        return Findings()
    core = np.isin(parts, (1, 3, 4))
    tumour = core if core.sum() * _ML >= _LEAST_ML else parts > 0
    rest = max(float(sizes[[1, 3, 4]].sum()), 1e-6)
    oedema = "extensive" if sizes[2] > _EXTENSIVE * rest else "some"
    return Findings(
        _places(tumour, brain.numpy()),
        "none" if sizes[2] < _LEAST_ML else oedema,
        bool(sizes[1] >= _LEAST_ML),
        _enhancement(parts, sizes),
        None if pushed_mm is None else pushed_mm > 3.0,
    )


def draw_findings(rng: np.random.Generator) -> Findings:
    """Findings of no head in particular, to learn reading from."""
    if rng.random() < 0.12:
        return Findings()
    side = "left" if rng.random() < 0.5 else "right"
    regions = rng.choice(REGIONS, int(rng.integers(1, 4)), replace=False)
    places = [(side, str(region)) for region in regions]
    if rng.random() < 0.15:
        places.append(("left" if side == "right" else "right", str(rng.choice(REGIONS))))
    return Findings(
        tuple(places),
        str(rng.choice(["none", "some", "extensive"])),
        bool(rng.random() < 0.5),
        str(rng.choice(["none", "ring", "solid"])),
        (None, False, True)[int(rng.integers(3))],
    )


def _enhancement(parts: NDArray[np.uint8], sizes: NDArray[np.float64]) -> str:
    """A ring encloses more than it fills."""
    if sizes[4] < _LEAST_ML:
        return "none"
    shell = parts == 4
    closed = ndimage.binary_closing(np.pad(shell, 3), iterations=2)
    filled = ndimage.binary_fill_holes(closed)
    return "ring" if filled.sum() > 1.4 * shell.sum() else "solid"


def _places(tumour: NDArray[np.bool_], brain: NDArray[np.bool_]) -> tuple[tuple[str, str], ...]:
    spots = np.argwhere(brain)
    low, high = spots.min(0), spots.max(0)
    x, y, z = ((np.argwhere(tumour) - low) / np.maximum(1, high - low)).T
    lateral = np.abs(x - 0.5)
    region = np.select(
        [
            (z < 0.33) & (y < 0.48),
            (z < 0.48) & (lateral > 0.2) & (y > 0.25) & (y < 0.8),
            (lateral < 0.2) & (z > 0.35) & (z < 0.65) & (y > 0.38) & (y < 0.68),
            y < 0.27,
            (y > 0.58) | ((y > 0.5) & (z > 0.6)),
        ],
        [5, 2, 4, 3, 0],
        1,
    )
    counts = np.bincount(2 * region + (x > 0.5), minlength=12) / len(x)
    named = [int(n) for n in np.argsort(-counts, kind="stable") if counts[n] >= _SHARE]
    return tuple(("right" if n % 2 else "left", REGIONS[n // 2]) for n in named)


_NAMES = {
    "deep": ("basal ganglia", "thalamus and basal ganglia", "deep grey matter", "insular region"),
    "posterior fossa": ("cerebellum", "cerebellar hemisphere", "posterior fossa"),
}
_LESION = (
    "The lesion area is in the {p} with {t}.",
    "There is a mass in the {p} with {t}.",
    "{P}: space-occupying lesion.",
    "A tumour is seen in the {p}, showing {t}.",
    "Intra-axial mass centred in the {p}.",
    "Lesion of the {p} with {t}.",
    "Findings are in keeping with a glioma of the {p}.",
)
_TEXTURE = (
    "heterogeneous high and low signals",
    "a mixed pattern of high and low signal intensities",
    "mixed signals and spotty high signal areas",
    "irregular borders",
    "ill-defined margins",
)
_OEDEMA = {
    "none": ("There is no edema.", "No perifocal oedema.", "Edema is not observed.", ""),
    "some": (
        "Edema is observed around the lesion.",
        "Edema is mild, limited to the tissue around the lesion.",
        "Some vasogenic oedema in the {p}.",
        "Edema is mainly observed in the {p}.",
    ),
    "extensive": (
        "Edema is significant, concentrated in the {p} and extending into normal brain tissue.",
        "Extensive vasogenic oedema.",
        "Edema is significant with a relatively large extent.",
        "Marked perilesional edema spreading along the white matter of the {p}.",
    ),
}
_NECROSIS = {
    True: (
        "Necrosis is observed with low signal in the center of the lesion.",
        "Central necrosis.",
        "Necrosis is within the lesion of the {p}, appearing as mixed signal.",
        "There are necrotic parts.",
    ),
    False: ("There is no necrosis.", "Necrosis is not observed.", "No necrotic component.", ""),
}
_ENHANCEMENT = {
    "none": ("No contrast enhancement.", "The lesion does not enhance.", "Enhancement is absent."),
    "ring": ("Ring enhancement after contrast.", "There is irregular rim enhancement.",
             "The lesion shows a peripheral enhancing rim."),
    "solid": ("Solid contrast enhancement.", "The lesion enhances strongly.",
              "Enhancing nodule after contrast."),
}  # fmt: skip
_COMPRESSION = {
    True: (
        "Ventricular compression is observed with the {s} lateral ventricle compressed.",
        "Midline shift and compressed ventricle.",
        "Ventricular compression is pronounced.",
    ),
    False: (
        "Ventricular compression is not observed.",
        "No midline shift.",
        "Ventricles of normal size.",
    ),
}
_OTHER = (
    "No acute haemorrhage.",
    "No evidence of acute infarction.",
    "Mild mucosal thickening of the left maxillary sinus.",
    "Mastoid cells are clear on the right.",
    "The pituitary gland is unremarkable.",
    "Orbits are unremarkable.",
    "No hydrocephalus.",
    "Major intracranial vessels show normal flow voids.",
    "Clinical information: seizure.",
    "Comparison: none.",
    "Patient with right-sided weakness for two weeks.",
    "Patient with left-sided numbness.",
    "Small arachnoid cyst of the right temporal pole, without significance.",
)
_CLEAR = (
    "No mass lesion.",
    "No intracranial tumour is seen. No edema.",
    "Normal MRI of the brain.",
    "There is no lesion, no edema and no abnormal enhancement.",
    "No evidence of a space-occupying lesion in the left or right hemisphere.",
)


def write_report(findings: Findings, rng: np.random.Generator) -> str:
    """A report in words drawn at random.

    Args:
        findings: What it tells; all that it says of the tumour is true to them.
        rng: Source of all chance.
    """
    pen = Pen(rng)
    sentences = _told(findings, pen) if findings.places else [pen.pick(_CLEAR)]
    while pen.chance(0.3):
        sentences.insert(int(pen.random() * (len(sentences) + 1)), pen.pick(_OTHER))
    text = " ".join(s for s in sentences if s)
    return text.lower() if pen.chance(0.1) else text


def _told(findings: Findings, pen: Pen) -> list[str]:
    def filled(template: str) -> str:
        where = _where(findings, pen)
        template = template.replace("{P}", where[:1].upper() + where[1:]).replace("{p}", where)
        template = template.replace("{t}", pen.pick(_TEXTURE))
        return template.replace("{s}", findings.places[0][0])

    sentences = [filled(pen.pick(_LESION))]
    for options, share in (
        (_OEDEMA[findings.oedema], 0.9),
        (_NECROSIS[findings.necrosis], 0.9),
        (_ENHANCEMENT[findings.enhancement], 0.7),
    ):
        if pen.chance(share):
            sentences.append(filled(pen.pick(options)))
    if findings.compression is not None and pen.chance(0.7):
        sentences.append(filled(pen.pick(_COMPRESSION[findings.compression])))
    return sentences


def _where(findings: Findings, pen: Pen) -> str:
    """ "Left frontal and parietal lobes", "right temporal lobe and left thalamus"."""
    phrases = []
    for side in dict.fromkeys(side for side, _ in findings.places):
        regions = [region for own, region in findings.places if own == side]
        lobes = [region for region in regions if region not in _NAMES]
        if lobes:
            word = "lobe" if len(lobes) == 1 else "lobes"
            phrases.append(f"{side} {_listed(lobes)} {word}")
        phrases += [f"{side} {pen.pick(_NAMES[r])}" for r in regions if r in _NAMES]
    return _listed(phrases)


def _listed(words: list[str]) -> str:
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)
