"""The steps before and after the network of a MONAI bundle, mapped by name.

Steps before it become MONAI's own array transforms, made from a list of names and plain arguments;
they run on a tensor that carries its affine, so the way back to the file's grid is known. Steps
after it become a plan: activation, choice of the class, and which of that happens on which grid.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from mmtool.errors import InputError
from mmtool.pipelines.outside.bundle_config import BundleConfig, Component

# What mmtool does itself: it reads the scan, adds the axis of channels, works in float32.
_DONE = tuple(
    "LoadImage EnsureChannelFirst AddChannel EnsureType ToTensor CastToType Identity "
    "ToDevice".split()
)
_INTENSITY = ("channel_wise", "dtype")
_PAD = ("mode", "method", "constant_values", "value")
_BEFORE: dict[str, tuple[str, ...]] = {
    "Orientation": ("axcodes", "as_closest_canonical"),
    "Spacing": (
        "pixdim",
        "diagonal",
        "mode",
        "padding_mode",
        "align_corners",
        "dtype",
        "scale_extent",
        "recompute_affine",
        "min_pixdim",
        "max_pixdim",
    ),
    "ScaleIntensity": ("minv", "maxv", "factor", *_INTENSITY),
    "ScaleIntensityRange": ("a_min", "a_max", "b_min", "b_max", "clip", "dtype"),
    "ScaleIntensityRangePercentiles": (
        "lower",
        "upper",
        "b_min",
        "b_max",
        "clip",
        "relative",
        *_INTENSITY,
    ),
    "NormalizeIntensity": ("subtrahend", "divisor", "nonzero", *_INTENSITY),
    "ThresholdIntensity": ("threshold", "above", "cval"),
    "CropForeground": ("channel_indices", "margin", "allow_smaller", "k_divisible", *_PAD),
    "SpatialPad": ("spatial_size", *_PAD),
    "DivisiblePad": ("k", *_PAD),
}
_CROPS = ("CropForeground",)
# Arguments of dictionary transforms that say nothing about the values.
_BOOKKEEPING = tuple(
    "allow_missing_keys meta_keys meta_key_postfix source_key lazy ensure_same_shape "
    "start_coord_key end_coord_key track_meta data_type".split()
)
_PER_KEY = ("mode", "padding_mode", "align_corners", "dtype")
_MOST_VOXELS = 2_000_000_000


Left = tuple[NDArray[np.float64], tuple[int, ...]]  # affine and shape of a part of a scan


@dataclass(frozen=True)
class Before:
    """Steps before the network.

    Attributes:
        transforms: Names, and array transforms on a (C, X, Y, Z) tensor that carries its affine.
        spacing: Voxel size that the scan is brought to, mm, or None.
    """

    transforms: tuple[tuple[str, Callable[[Any], Any]], ...]
    spacing: tuple[float, float, float] | None

    def __call__(self, image: Any) -> tuple[Any, Left | None]:
        """Bring a tensor with its affine to the working grid.

        Returns:
            It, and the affine and shape of what was left where a part was cut away, or None.
        """
        box = None
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # on changes between versions of MONAI
            for name, step in self.transforms:
                image = step(image)
                if name in _CROPS:
                    box = (image.affine.numpy(), tuple(image.shape[1:]))
        return image, box

    def size_of(self, shape: Sequence[int], affine: NDArray[np.float64]) -> list[int]:
        """(X, Y, Z) voxels of the working grid of a scan of (I, J, K) voxels."""
        size, mm = np.array(shape), np.linalg.norm(affine[:3, :3], axis=0)
        if any(name == "Orientation" for name, _ in self.transforms):
            order = np.abs(affine[:3, :3] / mm).argmax(1)  # axis of the file along R, A, S
            size, mm = size[order], mm[order]
        return [max(1, round(v)) for v in (size * mm / (self.spacing or mm)).tolist()]

    def check_size(self, shape: Sequence[int], mm: Sequence[float], where: str) -> None:
        """Refuse a scan that would become too large to work on.

        Raises:
            InputError: More than two thousand million voxels.
        """
        voxels = math.prod(shape) * math.prod(mm) / math.prod(self.spacing or mm)
        if voxels > _MOST_VOXELS:
            raise InputError(
                f"{where}: the model would work on {voxels:.2g} voxels of this scan",
                "crop the scan to what the model is made for",
            )


def steps_before(config: BundleConfig, chain: Component, key: str) -> Before:
    """Map the chain before the network.

    Args:
        config: The bundle's configuration.
        chain: A ``Compose``.
        key: Name of the image among the keys of dictionary transforms.

    Raises:
        ModelError: A step or an argument that mmtool has no counterpart for.
    """
    transforms: list[tuple[str, Callable[[Any], Any]]] = []
    spacing = None
    for part in _parts(config, chain):
        name, keys = _bare(config, part)
        if keys is not None and key not in keys:
            continue
        if name in _DONE:
            continue
        if name not in _BEFORE:
            raise config.refuse(part.where, f"is {part.bare}, a step that mmtool does not know")
        arguments = _arguments(config, part, _BEFORE[name], keys, key)
        transforms.append((name, _built(config, part, name, arguments)))
        if name == "Spacing":
            spacing = _three(config, part, arguments.get("pixdim"))
    return Before(tuple(transforms), spacing)


def _parts(config: BundleConfig, chain: Component) -> list[Component]:
    """Steps of a ``Compose``, inner ones among them."""
    if chain.bare != "Compose":
        return [chain]
    value = config.arguments(chain, ("transforms",)).get("transforms", [])
    items = value if isinstance(value, list) else [value]
    out: list[Component] = []
    for item in items:
        if item is None:  # disabled
            continue
        if not isinstance(item, Component):
            raise config.refuse(chain.where, "holds something that is no step")
        out += _parts(config, item)
    return out


def _bare(config: BundleConfig, part: Component) -> tuple[str, list[str] | None]:
    """Name of the array transform, and the keys that a dictionary transform works on."""
    module = part.target.rpartition(".")[0]
    if module and not module.startswith("monai.transforms"):
        raise config.refuse(part.where, f"is {part.target}, which is not MONAI's")
    keys = config.arguments(part, ("keys",)).get("keys")
    if keys is None:
        return part.bare, None
    listed = [str(k) for k in keys] if isinstance(keys, list | tuple) else [str(keys)]
    for ending in ("Dict", "d", "D"):
        if part.bare.endswith(ending):
            return part.bare.removesuffix(ending), listed
    return part.bare, listed


def _arguments(
    config: BundleConfig,
    part: Component,
    wanted: tuple[str, ...],
    keys: list[str] | None,
    key: str,
) -> dict[str, Any]:
    unknown = [k for k in part.arguments if k not in (*wanted, *_BOOKKEEPING, "keys")]
    if unknown:
        raise config.refuse(f"{part.where}#{unknown[0]}", "is an argument that mmtool cannot map")
    arguments = config.arguments(part, wanted)
    for name in _PER_KEY:
        value = arguments.get(name)
        if keys is not None and isinstance(value, list) and len(value) == len(keys):
            arguments[name] = value[keys.index(key)]
    if isinstance(arguments.get("dtype"), str):
        arguments["dtype"] = np.dtype(arguments["dtype"])
    for name, value in arguments.items():
        if isinstance(value, Component) or not _plain(value):
            raise config.refuse(f"{part.where}#{name}", "is no plain value")
    return arguments


def _plain(value: Any) -> bool:
    if isinstance(value, list | tuple):
        return all(_plain(v) for v in value)
    if isinstance(value, float):
        return math.isfinite(value)
    return value is None or isinstance(value, bool | int | str | np.dtype)


def _built(
    config: BundleConfig, part: Component, name: str, arguments: dict[str, Any]
) -> Callable[[Any], Any]:
    from monai import transforms

    made: Callable[[Any], Any]
    if name == "Orientation":
        arguments = {"labels": None, **arguments}  # left out, it makes MONAI warn
    try:
        made = getattr(transforms, name)(**arguments)
    except Exception as error:
        raise config.refuse(part.where, f"has wrong arguments ({type(error).__name__})") from error
    return made


def _three(config: BundleConfig, part: Component, value: Any) -> tuple[float, float, float]:
    values = value if isinstance(value, list | tuple) else [value]
    numbers = [float(v) for v in values if isinstance(v, int | float)]
    if len(numbers) not in (1, 3) or len(numbers) != len(values) or min(numbers) <= 0:
        raise config.refuse(f"{part.where}#pixdim", "must be one or three sizes above zero, in mm")
    one, two, three = numbers * 3 if len(numbers) == 1 else numbers
    return one, two, three


@dataclass(frozen=True)
class Largest:
    """Keep the largest connected pieces.

    Attributes:
        applied: Labels, or None for all.
        independent: Each label for itself, or all together.
        connectivity: 1 for faces, 3 for corners too.
        pieces: How many are kept.
    """

    applied: tuple[int, ...] | None
    independent: bool
    connectivity: int
    pieces: int

    def __call__(self, labels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """(X, Y, Z) labels with the smaller pieces set to 0."""
        present = [int(v) for v in np.unique(labels) if v]
        applied = present if self.applied is None else [v for v in self.applied if v in present]
        out = labels.copy()
        for group in [[v] for v in applied] if self.independent else [applied]:
            mask = np.isin(labels, group)
            structure = ndimage.generate_binary_structure(3, self.connectivity)
            pieces, number = ndimage.label(mask, structure)
            if number > self.pieces:
                sizes = np.bincount(pieces.ravel())[1:]
                kept = np.argsort(-sizes, kind="stable")[: self.pieces] + 1
                out[mask & ~np.isin(pieces, kept)] = 0
        return out


@dataclass(frozen=True)
class After:
    """Steps after the network.

    Attributes:
        activation: ``softmax``, ``sigmoid`` or empty: what the values are when they are inverted.
        argmax: Choose the most likely class; else those above ``threshold``.
        threshold: Probability from which a voxel belongs to a class.
        on_file: The class is chosen on the file's grid, from interpolated values.
        nearest: The values are brought back by the nearest voxel.
        before_back: What is done to labels on the working grid.
        after_back: What is done to labels on the file's grid.
    """

    activation: str = ""
    argmax: bool = False
    threshold: float | None = None
    on_file: bool = False
    nearest: bool = False
    before_back: tuple[Largest, ...] = ()
    after_back: tuple[Largest, ...] = ()

    @property
    def decided(self) -> bool:
        """Whether classes were chosen."""
        return self.argmax or self.threshold is not None


def steps_after(config: BundleConfig, chain: Component, key: str) -> After:
    """Map the chain after the network.

    Args:
        config: The bundle's configuration.
        chain: A ``Compose``.
        key: Name of the prediction among the keys.

    Raises:
        ModelError: A step or an argument that mmtool has no counterpart for, or another order.
    """
    plan, back = After(), False
    for part in _parts(config, chain):
        name, keys = _bare(config, part)
        if (keys is not None and key not in keys) or name in (*_DONE, "SaveImage"):
            continue
        if name == "Activations":
            plan = _activation(config, part, plan)
        elif name == "Invert":
            nearest = config.arguments(part, ("nearest_interp",)).get("nearest_interp", True)
            plan, back = replace(plan, on_file=not plan.decided, nearest=bool(_one(nearest))), True
        elif name == "AsDiscrete":
            plan = _discrete(config, part, plan)
        elif name == "KeepLargestConnectedComponent" and plan.decided:
            step = _largest(config, part)
            if back:
                plan = replace(plan, after_back=(*plan.after_back, step))
            else:
                plan = replace(plan, before_back=(*plan.before_back, step))
        else:
            raise config.refuse(part.where, f"is {part.bare}, a step that mmtool cannot do here")
    if not plan.decided:
        raise config.refuse(chain.where, "chooses no class (AsDiscrete with argmax or threshold)")
    if back and not plan.on_file and not plan.nearest:
        raise config.refuse(chain.where, "interpolates between numbers of labels (Invert)")
    return plan


def _one(value: Any) -> Any:
    """The value of a list of one, as dictionary transforms take it."""
    return value[0] if isinstance(value, list) and len(value) == 1 else value


def _activation(config: BundleConfig, part: Component, plan: After) -> After:
    given = config.arguments(part, ("softmax", "sigmoid", "other"))
    on = [name for name in ("softmax", "sigmoid") if _one(given.get(name))]
    if _one(given.get("other")) is not None or len(on) > 1 or plan.activation or plan.decided:
        raise config.refuse(part.where, "is an activation that mmtool cannot map")
    return replace(plan, activation=on[0] if on else "")


def _discrete(config: BundleConfig, part: Component, plan: After) -> After:
    given = {k: _one(v) for k, v in config.arguments(part, tuple(part.arguments)).items()}
    other = [k for k in ("to_onehot", "rounding") if given.get(k) not in (None, False)]
    threshold = given.get("threshold")
    # A threshold of True was that of 0.5 in earlier versions of MONAI.
    threshold = 0.5 if threshold is True else None if threshold is False else threshold
    number = threshold is None or isinstance(threshold, int | float)
    if other or plan.decided or not number or bool(given.get("argmax")) == (threshold is not None):
        raise config.refuse(part.where, "chooses classes in a way that mmtool cannot map")
    return replace(
        plan,
        argmax=bool(given.get("argmax")),
        threshold=None if threshold is None else float(threshold),
    )


def _largest(config: BundleConfig, part: Component) -> Largest:
    given = {
        k: _one(v) for k, v in config.arguments(part, tuple(part.arguments)).items() if k != "keys"
    }
    labels = config.arguments(part, ("applied_labels",)).get("applied_labels")
    labels = [labels] if isinstance(labels, int) else labels
    connectivity = given.get("connectivity") or 3
    pieces = given.get("num_components", 1)
    plain = labels is None or all(isinstance(v, int) for v in labels)
    if given.get("is_onehot") or not plain or connectivity not in (1, 2, 3) or pieces < 1:
        raise config.refuse(part.where, "keeps pieces in a way that mmtool cannot map")
    return Largest(
        None if labels is None else tuple(labels),
        bool(given.get("independent", True)),
        int(connectivity),
        int(pieces),
    )


def whole_numbers(value: Any, count: int) -> tuple[int, ...] | None:
    """One or ``count`` whole numbers as a tuple, or None."""
    values = value if isinstance(value, list | tuple) else [value]
    if not all(isinstance(v, int) and not isinstance(v, bool) for v in values):
        return None
    if len(values) not in (1, count):
        return None
    return tuple(values) * (count if len(values) == 1 else 1)
