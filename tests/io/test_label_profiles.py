"""Counts of labels by slice."""

from __future__ import annotations

import numpy as np
import pytest

from mmtool.io import label_profiles as module
from mmtool.io.label_profiles import label_profiles


@pytest.mark.parametrize("order", ["C", "F", "mixed", "flipped"])
@pytest.mark.parametrize("chunk", [1, 100, 10**9])
def test_counts(order: str, chunk: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_CHUNK", chunk)
    labels = np.random.default_rng(0).integers(0, 6, (7, 11, 5)).astype(np.uint8)
    if order == "mixed":
        labels = labels.transpose(1, 2, 0).copy().transpose(2, 0, 1)
    elif order == "flipped":
        labels = labels[::-1, :, ::-1]
    else:
        labels = np.array(labels, order=order)
    found = label_profiles(labels)
    np.testing.assert_array_equal(found.counts[1:6], np.bincount(labels.ravel())[1:])
    assert found.counts[0] == 0
    for axis in range(3):
        for index in range(labels.shape[axis]):
            want = np.bincount(labels.take(index, axis).ravel(), minlength=256)
            np.testing.assert_array_equal(found.slices[axis][index, 1:], want[1:])


def test_a_mask() -> None:
    mask = np.zeros((4, 4, 4), bool)
    mask[1:3, 2, 3] = True
    found = label_profiles(mask, 2)
    assert found.counts.tolist() == [0, 2]
    assert [np.flatnonzero(s[:, 1]).tolist() for s in found.slices] == [[1, 2], [2], [3]]


def test_nothing() -> None:
    assert not label_profiles(np.zeros((3, 4, 5), np.uint8)).counts.any()
