"""nnU-Net v2 folders: steps and windows by the rules of nnU-Net, nothing unpickled."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
import torch
from outside_models import write_nnunet, write_scan

from mmtool.errors import ModelError
from mmtool.models.store import resolve_model
from mmtool.pipelines.outside.nnunet import nonzero_box
from mmtool.pipelines.outside.nnunet_windows import ensemble_logits, windows
from mmtool.pipelines.outside.resizing import resize, separate_axis
from mmtool.pipelines.segmenter import Segmented
from mmtool.pipelines.segmenters import channels_of, load_segmenter

CPU = torch.device("cpu")


def segment(folder: Path, scan: Path, **options: Any) -> Segmented:
    image = nibabel.load(scan)
    segmenter = load_segmenter(resolve_model("segment", str(folder)), CPU)
    return segmenter(np.asarray(image.dataobj), image.affine.astype(np.float64), **options)


def test_a_scan_is_labelled_on_its_own_grid(tmp_path: Path) -> None:
    folder = write_nnunet(tmp_path / "model")
    scan = write_scan(tmp_path / "scan.nii.gz")
    found = segment(folder, scan, uncertainty=True)
    assert found.labels.shape == nibabel.load(scan).shape
    assert set(np.unique(found.labels)) <= {0, 1, 2}
    assert len(np.unique(found.labels)) > 1
    assert found.uncertainty is not None
    assert 0 <= float(found.uncertainty.min()) <= float(found.uncertainty.max()) <= 1
    files = resolve_model("segment", str(folder))
    segmenter = load_segmenter(files, CPU)
    assert segmenter.modalities == ("CT",)
    assert [x.name for x in segmenter.labels] == ["anterior", "posterior"]
    assert set(files.card["sha256"]) == {
        "plans.json",
        "dataset.json",
        "fold_0/checkpoint_final.pth",
        "fold_1/checkpoint_final.pth",
    }


def test_several_channels_are_taken_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    names = tuple(f"channel{n}" for n in range(11))
    folder = write_nnunet(tmp_path / "many", folds=("0",), channels=names)
    assert channels_of(resolve_model("segment", str(folder))) == names
    folder = write_nnunet(tmp_path / "model", folds=("0",), channels=("FLAIR", "T1c"))
    segmenter = load_segmenter(resolve_model("segment", str(folder)), CPU)
    scans = [nibabel.load(write_scan(tmp_path / f"c_{n}.nii.gz", seed=n)) for n in range(2)]
    data = np.stack([np.asarray(scan.dataobj, np.float32) for scan in scans])
    affine = scans[0].affine.astype(np.float64)
    found = segmenter(data, affine).labels
    assert len(np.unique(found)) > 1
    # Each channel is brought to mean zero and unit spread by itself, as nnU-Net does.
    scaled = segmenter(data * np.float32([[[[3.0]]], [[[0.25]]]]), affine).labels
    assert (scaled == found).mean() > 0.999
    assert (segmenter(data[::-1], affine).labels == found).mean() < 0.999


def test_folds_are_averaged(tmp_path: Path) -> None:
    both = write_nnunet(tmp_path / "both")
    one = write_nnunet(tmp_path / "one", folds=("0",))
    segmenters = [load_segmenter(resolve_model("segment", str(f)), CPU) for f in (both, one)]
    assert [len(s.nets) for s in segmenters] == [2, 1]
    image = torch.rand(1, 16, 24, 24, generator=torch.Generator().manual_seed(0))
    patch = (16, 24, 24)
    nets = segmenters[0].nets
    pair = ensemble_logits(nets, image, patch, (), CPU)
    single = [ensemble_logits((net,), image, patch, (), CPU) for net in nets]
    torch.testing.assert_close(pair, (single[0] + single[1]) / 2)


def test_mirror_images_make_the_result_symmetric(tmp_path: Path) -> None:
    folder = write_nnunet(tmp_path / "model", folds=("0",))
    nets = load_segmenter(resolve_model("segment", str(folder)), CPU).nets
    image = torch.rand(1, 16, 24, 24, generator=torch.Generator().manual_seed(0))
    there = ensemble_logits(nets, image, (16, 24, 24), (0, 2), CPU)
    back = ensemble_logits(nets, image.flip(1, 3), (16, 24, 24), (0, 2), CPU).flip(1, 3)
    torch.testing.assert_close(there, back, rtol=1e-4, atol=1e-4)


def test_a_smaller_image_than_the_window_is_padded(tmp_path: Path) -> None:
    folder = write_nnunet(tmp_path / "model", folds=("0",))
    nets = load_segmenter(resolve_model("segment", str(folder)), CPU).nets
    logits = ensemble_logits(nets, torch.zeros(1, 5, 30, 7), (16, 24, 24), (), CPU)
    assert logits.shape == (3, 5, 30, 7)


def test_windows_are_those_of_nnunet() -> None:
    # The example in nnU-Net's source: 110 voxels, windows of 64 that overlap by half.
    starts = sorted({w[0].start for w in windows((110, 8, 8), (64, 8, 8))})
    assert starts == [0, 23, 46]


def test_thick_slices_are_resampled_apart() -> None:
    assert separate_axis((5.0, 1.0, 1.0), (1.0, 1.0, 1.0), force=None) == 0
    assert separate_axis((1.0, 1.0, 1.0), (1.0, 1.0, 4.0), force=None) == 2
    assert separate_axis((3.0, 1.0, 1.0), (1.0, 1.0, 1.0), force=None) is None
    assert separate_axis((0.2, 1.0, 1.0), (1.0, 1.0, 1.0), force=None) is None
    assert separate_axis((5.0, 1.0, 1.0), (1.0, 1.0, 1.0), force=False) is None
    image = np.random.default_rng(0).normal(size=(3, 6, 6)).astype(np.float32)
    out = resize(image, (6, 6, 6), 3, 0, 0)
    np.testing.assert_array_equal(out, np.repeat(image, 2, 0))
    assert resize(image, (3, 9, 12), 3, 0, 0).shape == (3, 9, 12)


def test_resampling_keeps_a_slope_and_the_range() -> None:
    ramp = np.arange(8, dtype=np.float32)[:, None, None] * np.ones((1, 5, 5), np.float32)
    out = resize(ramp, (16, 5, 5), 1, 0, None)
    np.testing.assert_allclose(out[1:-1, 2, 2], np.arange(1, 15) * 0.5 - 0.25, atol=1e-6)
    edge = (ramp > 3).astype(np.float32)
    sharp = resize(edge, (13, 7, 7), 3, 0, None)
    assert 0 <= sharp.min() <= sharp.max() <= 1


def test_the_box_of_what_is_not_zero() -> None:
    values = np.zeros((1, 8, 9, 10), np.float32)
    values[0, 2:6, 3:7, 4:8] = 1
    values[0, 3, 4, 5] = 0
    box, mask = nonzero_box(values)
    assert box == (slice(2, 6), slice(3, 7), slice(4, 8))
    assert mask.all()
    assert nonzero_box(values * 0)[0] == (slice(0, 8), slice(0, 9), slice(0, 10))


def test_a_scan_of_zeros_is_background_or_labelled_but_no_error(tmp_path: Path) -> None:
    folder = write_nnunet(tmp_path / "model", folds=("all",))
    image = nibabel.Nifti1Image(np.zeros((12, 11, 10), np.int16), np.diag([2.0, 2.0, 2.0, 1.0]))
    nibabel.save(image, tmp_path / "zero.nii")
    assert segment(folder, tmp_path / "zero.nii").labels.shape == (12, 11, 10)


def test_turned_scans_get_the_same_labels_where_the_model_turns_them(tmp_path: Path) -> None:
    folder = write_nnunet(tmp_path / "model", folds=("0",))
    plans = json.loads((folder / "plans.json").read_text())
    plans["image_reader_writer"] = "NibabelIOWithReorient"
    plans["transpose_forward"] = [1, 0, 2]
    (folder / "plans.json").write_text(json.dumps(plans))
    turned = []
    for axes in ("RAS", "LPS", "SAR"):
        scan = write_scan(tmp_path / f"{axes}.nii.gz", axes=axes)
        labels = nibabel.Nifti1Image(segment(folder, scan).labels, nibabel.load(scan).affine)
        turned.append(np.asarray(nibabel.as_closest_canonical(labels).dataobj))
    np.testing.assert_array_equal(turned[0], turned[1])
    np.testing.assert_array_equal(turned[0], turned[2])


def test_regions_are_laid_over_each_other(tmp_path: Path) -> None:
    folder = write_nnunet(tmp_path / "model", folds=("0",))
    dataset = json.loads((folder / "dataset.json").read_text())
    dataset["labels"] = {"background": 0, "whole": [1, 2, 3], "core": [2, 3], "enhancing tumor": 3}
    dataset["regions_class_order"] = [1, 2, 3]
    (folder / "dataset.json").write_text(json.dumps(dataset))
    segmenter = load_segmenter(resolve_model("segment", str(folder)), CPU)
    assert [(x.index, x.name) for x in segmenter.labels] == [
        (1, "whole"),
        (2, "core"),
        (3, "enhancing tumor"),
    ]
    values = torch.tensor([[5.0, 5.0, 5.0, -5.0], [-5.0, 5.0, 5.0, -5.0], [-5.0, -5.0, 5.0, -5.0]])
    chosen = segmenter.choose(values[:, :, None, None])
    assert chosen.labels.flatten().tolist() == [1, 2, 3, 0]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"preprocessor_name": "Evil"}, "prepares images by Evil"),
        ({"patch_size": [64, 64]}, "two dimensions"),
        ({"previous_stage": "3d_lowres"}, "cascade"),
        ({"resampling_fn_data": "os.system"}, r"resamples by os\.system"),
        ({"normalization_schemes": ["Evil"]}, "Evil"),
        ({"spacing": [0, 1, 1]}, "sizes that cannot be"),
        ({"patch_size": [10**9] * 3}, "sizes that cannot be"),
        ({"inherits_from": "3d_fullres"}, "no configuration"),
    ],
)
def test_what_has_no_counterpart_is_named(
    tmp_path: Path, change: dict[str, Any], words: str
) -> None:
    folder = write_nnunet(tmp_path / "model", folds=("0",))
    plans = json.loads((folder / "plans.json").read_text())
    plans["configurations"]["3d_fullres"] |= change
    (folder / "plans.json").write_text(json.dumps(plans))
    with pytest.raises(ModelError, match=words):
        load_segmenter(resolve_model("segment", str(folder)), CPU)


class _Bomb:
    def __init__(self, flag: Path) -> None:
        self.flag = flag

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch {self.flag}",)


def test_checkpoints_with_more_than_tensors_and_numbers_are_refused(tmp_path: Path) -> None:
    folder = write_nnunet(tmp_path / "model", folds=("0",))
    flag = tmp_path / "run"
    torch.save(
        {"network_weights": {}, "logging": _Bomb(flag)}, folder / "fold_0/checkpoint_final.pth"
    )
    with pytest.raises(ModelError, match="more than tensors"):
        load_segmenter(resolve_model("segment", str(folder)), CPU)
    assert not flag.exists()


def test_a_folder_without_a_final_checkpoint(tmp_path: Path) -> None:
    folder = write_nnunet(tmp_path / "model", folds=())
    with pytest.raises(ModelError, match="has no weights"):
        resolve_model("segment", str(folder))
