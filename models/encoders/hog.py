"""Histograms of oriented gradients as an encoder of pictures: nothing in it is trained.

After Dalal and Triggs (2005, 10.1109/CVPR.2005.177), with two sizes of cells, beside coarse means
and a histogram of grey values. It reads no text.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mmtool.errors import UsageError
from mmtool.retrieval import Encoded, Kind, Picture

_SIDE = 128
_CELLS = (16, 32)
_TURNS = 9
_MEANS = 8
_GREYS = 16
_SOFT = 0.5  # keeps cells without edges small
# Burned-in marks stand at the top and the bottom; these shares of the height are blackened.
_TOP, _BOTTOM = 0.07, 0.09
_WEIGHTS = {"means": 2.0, "greys": 3.0}


class HogEncoder:
    """Pictures as vectors; see `mmtool.retrieval.JointEncoder`."""

    name = "hog"
    dim = sum((_SIDE // c) ** 2 * _TURNS for c in _CELLS) + _MEANS**2 + _GREYS
    kinds: frozenset[Kind] = frozenset({"image"})
    preprocessing: Mapping[str, object] = {
        "side": _SIDE,
        "cells": list(_CELLS),
        "turns": _TURNS,
        "blackened": [_TOP, _BOTTOM],
        "weights": _WEIGHTS,
    }
    sha256 = hashlib.sha256(json.dumps(preprocessing, sort_keys=True).encode()).hexdigest()

    def encode_pictures(self, pictures: Sequence[Picture]) -> Encoded:
        """Vectors of pictures, of a volume of its middle slice."""
        rows = [_features(_square(picture)) for picture in pictures]
        vectors = np.stack(rows) if rows else np.zeros((0, self.dim))
        length = np.linalg.norm(vectors, axis=1, keepdims=True)
        return Encoded(np.asarray(vectors / np.maximum(length, 1e-9), np.float32))

    def encode_texts(self, texts: Sequence[str]) -> Encoded:
        """Words have no gradients.

        Raises:
            UsageError: Always.
        """
        raise UsageError("the encoder 'hog' reads no text", "choose an encoder that reads text")


def _square(picture: Picture) -> NDArray[np.float32]:
    """(128, 128) grey of the middle slice, without marks at the top and the bottom."""
    plane = picture.pixels[len(picture.pixels) // 2]
    grey = plane.mean(-1) if plane.ndim == 3 else plane.copy()
    high = grey.shape[0]
    grey[: int(high * _TOP)] = 0
    grey[int(high * (1 - _BOTTOM)) :] = 0
    image = Image.fromarray((np.nan_to_num(grey).clip(0, 1) * 255).astype(np.uint8))
    small = image.resize((_SIDE, _SIDE), Image.Resampling.BILINEAR, reducing_gap=2.0)
    return np.asarray(small, np.float32) / np.float32(255)


def _features(grey: NDArray[np.float32]) -> NDArray[np.float64]:
    """(dim,) features of a square."""
    down, across = np.gradient(grey.astype(np.float64))
    size = np.hypot(across, down)
    turn = (np.arctan2(down, across) % np.pi) / np.pi * _TURNS
    apart = np.abs(turn[..., None] - np.arange(_TURNS))
    share = np.clip(1 - np.minimum(apart, _TURNS - apart), 0, 1) * size[..., None]
    parts = []
    for cell in _CELLS:
        n = _SIDE // cell
        found = share.reshape(n, cell, n, cell, _TURNS).sum((1, 3))
        parts.append((found / (np.linalg.norm(found, axis=-1, keepdims=True) + _SOFT)).ravel())
    step = _SIDE // _MEANS
    means = grey.reshape(_MEANS, step, _MEANS, step).mean((1, 3)).ravel()
    greys = np.histogram(grey, _GREYS, (0, 1))[0] / grey.size
    return np.concatenate([*parts, means * _WEIGHTS["means"], greys * _WEIGHTS["greys"]])
