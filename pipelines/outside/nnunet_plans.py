"""What ``plans.json`` of nnU-Net says of a scan: order of axes, spacing, windows, intensities."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmtool.errors import ModelError
from mmtool.models.files import read_json_object

_READERS = ("SimpleITKIO", "NibabelIO", "NibabelIOWithReorient")
_RESAMPLE = "resample_data_or_seg_to_shape"
_ORDERS_DATA = {"is_seg": False, "order": 3, "order_z": 0, "force_separate_z": None}
_LEAST = 1e-8  # standard deviation, as in nnU-Net
_HINT = "mmtool knows the steps of nnU-Net's own planners for three dimensions"


@dataclass(frozen=True)
class Plans:
    """A configuration of ``plans.json``.

    Attributes:
        configuration: With what it inherits.
        transpose: Order of nnU-Net's axes (slices, rows, columns) in which the network works.
        spacing: Voxel size of the working grid, mm, in that order.
        patch: Voxels of a window, in that order.
        schemes: How each channel is normalised.
        masked: For each channel whether only what is not zero counts.
        intensities: Of each channel, of the training set.
        orders_data: Order of the spline in the plane and across, for the image.
        separate_data: Whether the image is resampled slice by slice; None: by its spacing.
        separate_logits: The same for the logits.
        canonical: Whether scans are turned to right, anterior, superior.
        dataset: Name of the training set.
    """

    configuration: Mapping[str, Any]
    transpose: tuple[int, int, int]
    spacing: tuple[float, ...]
    patch: tuple[int, ...]
    schemes: tuple[str, ...]
    masked: tuple[bool, ...]
    intensities: tuple[Mapping[str, float], ...]
    orders_data: tuple[int, int]
    separate_data: bool | None
    separate_logits: bool | None
    canonical: bool
    dataset: str

    @classmethod
    def of(cls, path: Path, name: str, channels: int) -> Plans:
        """Read one configuration.

        Args:
            path: ``plans.json``.
            name: Of the configuration.
            channels: Of the image.

        Raises:
            ModelError: Missing, or with steps that mmtool has no counterpart for.
        """
        content = read_json_object(path)
        plan = _inherited(content, name)
        _check(content, plan)
        data, logits = (_arguments(plan, what) for what in ("data", "probabilities"))
        if (logits.get("order"), logits.get("order_z")) != (1, 0):
            raise ModelError(f"plans.json resamples logits by {dict(logits)}", _HINT)
        said: Any = content.get(
            "foreground_intensity_properties_per_channel",
            content.get("foreground_intensity_properties_by_modality"),
        )
        try:
            first, second, third = (int(v) for v in content["transpose_forward"])
            out = cls(
                plan,
                (first, second, third),
                tuple(float(v) for v in plan["spacing"]),
                tuple(int(v) for v in plan["patch_size"]),
                tuple(str(v) for v in plan["normalization_schemes"])[:channels],
                tuple(bool(v) for v in plan["use_mask_for_norm"])[:channels],
                tuple(said[str(n)] for n in range(channels)),
                (int(data["order"]), int(data["order_z"])),
                data["force_separate_z"],
                logits["force_separate_z"],
                content["image_reader_writer"] == "NibabelIOWithReorient",
                str(content.get("dataset_name", "")),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise ModelError(f"{path}: not complete", _HINT) from error
        out._check_numbers(channels)
        return out

    def _check_numbers(self, channels: int) -> None:
        good = (
            sorted(self.transpose) == [0, 1, 2]
            and len(self.spacing) == len(self.patch) == 3
            and all(1e-3 <= v <= 1e3 for v in self.spacing)
            and all(1 <= v <= 1024 for v in self.patch)
            and len(self.schemes) == len(self.masked) == channels
            and self.orders_data[0] in range(6)
            and self.orders_data[1] in range(6)
        )
        unknown = [s for s in self.schemes if s not in _NORMALISE]
        if not good or unknown:
            raise ModelError(
                f"plans.json asks for {', '.join(unknown) or 'sizes that cannot be'}", _HINT
            )

    def normalise(
        self, values: NDArray[np.float32], mask: NDArray[np.bool_]
    ) -> NDArray[np.float32]:
        """Bring each channel to the intensities that the network was trained on.

        Args:
            values: (C, X, Y, Z), cropped.
            mask: (X, Y, Z) where it is not zero.
        """
        out = np.array(values, np.float32)
        for channel, scheme in enumerate(self.schemes):
            where = mask if self.masked[channel] else None
            _NORMALISE[scheme](out[channel], where, self.intensities[channel])
        return out


def _inherited(content: Mapping[str, Any], name: str) -> dict[str, Any]:
    """A configuration with what it inherits."""
    known = content.get("configurations")
    chain: list[Mapping[str, Any]] = []
    wanted: Any = name
    while wanted is not None:
        plan = known.get(wanted) if isinstance(known, dict) else None
        if not isinstance(plan, dict) or len(chain) > 20:
            raise ModelError(f"plans.json has no configuration '{wanted}'", _HINT)
        chain.append(plan)
        wanted = plan.get("inherits_from")
    merged: dict[str, Any] = {}
    for plan in reversed(chain):
        merged |= plan
    return merged


def _check(content: Mapping[str, Any], plan: Mapping[str, Any]) -> None:
    """Refuse by name what has no counterpart."""
    reader = content.get("image_reader_writer")
    preprocessor = plan.get("preprocessor_name", "DefaultPreprocessor")
    patch = plan.get("patch_size")
    problems = {
        f"reads images by {reader}": reader not in _READERS,
        f"prepares images by {preprocessor}": preprocessor != "DefaultPreprocessor",
        "is of two dimensions": isinstance(patch, list) and len(patch) != 3,
        "needs the result of another model (a cascade)": plan.get("previous_stage") is not None,
    }
    for words, wrong in problems.items():
        if wrong:
            raise ModelError(f"the nnU-Net model {words}", _HINT)


def _arguments(plan: Mapping[str, Any], what: str) -> Mapping[str, Any]:
    """Arguments of a resampling step, which must be nnU-Net's usual one."""
    name = plan.get(f"resampling_fn_{what}", _RESAMPLE)
    given = plan.get(f"resampling_fn_{what}_kwargs", {})
    if name != _RESAMPLE or not isinstance(given, dict) or given.get("is_seg"):
        raise ModelError(f"plans.json resamples by {name}", _HINT)
    usual = _ORDERS_DATA if what == "data" else _ORDERS_DATA | {"order": 1}
    return usual | given


def _z_score(
    image: NDArray[np.float32], mask: NDArray[np.bool_] | None, said: Mapping[str, float]
) -> None:
    del said
    where: Any = ... if mask is None else mask
    mean, spread = image[where].mean(), image[where].std()
    image[where] = (image[where] - mean) / max(spread, _LEAST)


def _ct(
    image: NDArray[np.float32], mask: NDArray[np.bool_] | None, said: Mapping[str, float]
) -> None:
    del mask
    try:
        low, high = float(said["percentile_00_5"]), float(said["percentile_99_5"])
        mean, spread = float(said["mean"]), float(said["std"])
    except (KeyError, TypeError, ValueError) as error:
        raise ModelError("plans.json lacks the intensities of the training set", _HINT) from error
    np.clip(image, low, high, out=image)
    image -= mean
    image /= max(spread, _LEAST)


def _unchanged(
    image: NDArray[np.float32], mask: NDArray[np.bool_] | None, said: Mapping[str, float]
) -> None:
    del image, mask, said


def _to_one(
    image: NDArray[np.float32], mask: NDArray[np.bool_] | None, said: Mapping[str, float]
) -> None:
    del mask, said
    image -= image.min()
    image /= max(float(image.max()), _LEAST)


_NORMALISE = {
    "ZScoreNormalization": _z_score,
    "CTNormalization": _ct,
    "NoNormalization": _unchanged,
    "RescaleTo01Normalization": _to_one,
}
