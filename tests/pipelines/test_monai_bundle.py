"""A MONAI bundle gives what MONAI gives; nothing in it is run; what has no counterpart is named."""

from __future__ import annotations

import copy
import json
import os
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
import torch
from outside_models import METADATA, bundle_config, run_by_monai, write_bundle, write_scan

from mmtool.errors import ModelError
from mmtool.io.limits import Limits
from mmtool.models.store import resolve_model
from mmtool.pipelines.channels import Reading, files_of, read_case
from mmtool.pipelines.samplesheet import BatchItem
from mmtool.pipelines.segmenters import channels_of, load_segmenter

CPU = torch.device("cpu")
RESNET = {
    "_target_": "monai.networks.nets.SegResNet",
    "spatial_dims": 3,
    "init_filters": 8,
    "in_channels": 1,
    "out_channels": 3,
    "blocks_down": [1, 2],
    "blocks_up": [1],
}
NORMAL = {"_target_": "NormalizeIntensityd", "keys": "@image_key", "nonzero": True}
GAUSS = {
    "_target_": "monai.inferers.SlidingWindowInferer",
    "roi_size": [32, 32, 32],
    "overlap": 0.25,
    "mode": "gaussian",
    "device": "$torch.device('cpu')",
}
ON_GRID = {
    "_target_": "Compose",
    "transforms": [
        {"_target_": "Activationsd", "keys": "pred", "softmax": True},
        {"_target_": "AsDiscreted", "keys": "pred", "argmax": True},
        {"_target_": "KeepLargestConnectedComponentd", "keys": "pred", "applied_labels": [1, 2]},
        {"_target_": "SaveImaged", "keys": "pred", "output_dir": "$@bundle_root + '/eval'"},
    ],
}


def ours(folder: Path, scan: Path) -> np.ndarray:
    image = nibabel.load(scan)
    segmenter = load_segmenter(resolve_model("segment", str(folder)), CPU)
    return segmenter(np.asarray(image.dataobj), image.affine.astype(np.float64)).labels


def changed(chain: str, place: int, step: dict[str, Any]) -> dict[str, Any]:
    """The usual configuration with one step put in another's place."""
    config = bundle_config()
    config[chain]["transforms"][place] = step
    return config


@pytest.mark.parametrize("axes", ["RAS", "LPS", "ASR"])
def test_labels_are_those_of_monai(tmp_path: Path, axes: str) -> None:
    folder = write_bundle(tmp_path / "bundle", bundle_config())
    scan = write_scan(tmp_path / "scan.nii.gz", axes=axes)
    expected = run_by_monai(folder, scan)
    found = ours(folder, scan)
    assert len(np.unique(expected)) > 1
    assert (found == expected).mean() > 0.9999


@pytest.mark.parametrize(
    "changes",
    [
        {"network_def": RESNET, "inferer": GAUSS},
        changed("preprocessing", 4, NORMAL),
        changed("preprocessing", 2, {"_target_": "CropForegroundd", "keys": "image", "margin": 2,
                                     "source_key": "image", "allow_smaller": True}),
        {"inferer": {"_target_": "SimpleInferer"}, "spacing": [1.6, 1.6, 2.5],
         "network_def": RESNET | {"blocks_down": [1, 1], "blocks_up": [1]}},
    ],
    ids=["segresnet, gaussian windows", "normalised over what is not zero", "cropped", "whole"],
)  # fmt: skip
def test_other_steps_are_those_of_monai(tmp_path: Path, changes: dict[str, Any]) -> None:
    folder = write_bundle(tmp_path / "bundle", bundle_config(**changes))
    shape = (36, 40, 18) if "spacing" in changes else (37, 41, 18)
    scan = write_scan(tmp_path / "scan.nii.gz", shape=shape)
    if changes.get("spacing"):
        reshaped = nibabel.load(scan)
        assert reshaped.shape == shape
    assert (ours(folder, scan) == run_by_monai(folder, scan)).mean() > 0.9999


def test_labels_that_are_chosen_on_the_working_grid(tmp_path: Path) -> None:
    # At these voxel sizes no voxel of the file lies half-way between two of the working grid.
    config = bundle_config(postprocessing=copy.deepcopy(ON_GRID), spacing=[2.1, 2.1, 3.1])
    folder = write_bundle(tmp_path / "bundle", config)
    scan = write_scan(tmp_path / "scan.nii.gz")
    found = ours(folder, scan)
    # MONAI's component step and its saver need packages that are not required; without both, the
    # labels brought back by the nearest voxel are what the saver would write.
    from scipy import ndimage

    for index in (1, 2):
        if (found == index).any():
            assert ndimage.label(found == index, np.ones((3, 3, 3)))[1] <= 2
    config["postprocessing"]["transforms"] = ON_GRID["transforms"][:2]
    plain = write_bundle(tmp_path / "plain", config)
    assert (ours(plain, scan) == run_by_monai(plain, scan)).mean() > 0.999


def test_one_channel_with_a_threshold(tmp_path: Path) -> None:
    config = bundle_config()
    config["network_def"]["out_channels"] = 1
    steps = config["postprocessing"]["transforms"]
    steps[0] = {"_target_": "Activationsd", "keys": "pred", "sigmoid": True}
    steps[2] = {"_target_": "AsDiscreted", "keys": "pred", "threshold": 0.52}
    meta = copy.deepcopy(METADATA)
    meta["network_data_format"]["outputs"]["pred"]["channel_def"] = {"0": "lesion"}
    folder = write_bundle(tmp_path / "bundle", config, meta)
    scan = write_scan(tmp_path / "scan.nii.gz")
    found = ours(folder, scan)
    assert set(np.unique(found)) == {0, 1}
    assert (found == run_by_monai(folder, scan)).mean() > 0.9999
    segmenter = load_segmenter(resolve_model("segment", str(folder)), CPU)
    assert [label.name for label in segmenter.labels] == ["lesion"]


def test_what_the_metadata_says(tmp_path: Path) -> None:
    folder = write_bundle(tmp_path / "bundle", bundle_config())
    files = resolve_model("segment", str(folder))
    assert files.card["version"] == "0.3.1"
    assert set(files.card["sha256"]) == {
        "configs/inference.json", "configs/metadata.json", "models/model.pt",
    }  # fmt: skip
    segmenter = load_segmenter(files, CPU)
    assert segmenter.modalities == ("CT",)
    named = [(x.index, x.name, x.code.value, x.laterality) for x in segmenter.labels]
    assert named[0] == (1, "spleen", "78961009", None)
    assert named[1][:3] == (2, "left kidney", "64033007")


def test_yaml_is_read_too(tmp_path: Path) -> None:
    pytest.importorskip("yaml")
    config = bundle_config()
    scan = write_scan(tmp_path / "scan.nii.gz")
    written = [write_bundle(tmp_path / s, config, suffix=s) for s in ("json", "yaml")]
    np.testing.assert_array_equal(*(ours(folder, scan) for folder in written))


SWIN = {"_target_": "SwinUNETR", "in_channels": 1, "out_channels": 3, "feature_size": 12}
UNETR = {"_target_": "UNETR", "in_channels": 1, "out_channels": 3, "img_size": [32, 32, 32],
         "feature_size": 8, "hidden_size": 48, "mlp_dim": 96, "num_heads": 4}  # fmt: skip


@pytest.mark.parametrize(("network", "size"), [(SWIN | {"use_v2": True}, 64), (UNETR, 32)])
def test_transformers_in_yaml_give_what_monai_gives(
    tmp_path: Path, network: dict[str, Any], size: int
) -> None:
    for package in ("yaml", "einops"):
        pytest.importorskip(package)
    config = bundle_config(network_def=network, inferer=GAUSS | {"roi_size": [size] * 3})
    folder = write_bundle(tmp_path / "bundle", config, suffix="yaml")
    scan = write_scan(tmp_path / "scan.nii.gz")
    expected = run_by_monai(folder, scan)
    assert len(np.unique(expected)) > 1
    assert (ours(folder, scan) == expected).mean() > 0.9999


def test_an_argument_that_monai_has_dropped_is_passed_over(tmp_path: Path) -> None:
    pytest.importorskip("einops")
    folder = write_bundle(tmp_path / "bundle", bundle_config(network_def=SWIN))
    path = folder / "configs/inference.json"
    config = json.loads(path.read_text())
    config["network_def"]["img_size"] = [64, 64, 64]  # as bundles of MONAI 1.4 have it
    path.write_text(json.dumps(config))
    load_segmenter(resolve_model("segment", str(folder)), CPU)


def test_a_window_that_the_network_does_not_take_is_told_before_the_run(tmp_path: Path) -> None:
    config = bundle_config(network_def=UNETR | {"img_size": [48, 32, 32]}, inferer=GAUSS)
    folder = write_bundle(tmp_path / "bundle", config)
    segmenter = load_segmenter(resolve_model("segment", str(folder)), CPU)
    with pytest.raises(ModelError, match="UNETR takes no window of 32 x 32 x 32 voxels"):
        segmenter.memory_bytes((37, 41, 18), np.eye(4))


def test_safetensors_go_first(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    folder = write_bundle(tmp_path / "bundle", bundle_config())
    state = torch.load(folder / "models/model.pt", weights_only=True)
    save_file(state, folder / "models/model.safetensors")
    (folder / "models/model.pt").write_bytes(b"not weights")
    load_segmenter(resolve_model("segment", str(folder)), CPU)


@pytest.mark.parametrize("nest", ["state_dict", "model"])
def test_checkpoints_hold_the_weights_under_a_name(tmp_path: Path, nest: str) -> None:
    folder = write_bundle(tmp_path / "bundle", bundle_config())
    path = folder / "models/model.pt"
    state = torch.load(path, weights_only=True)
    torch.save({nest: {f"module.{k}": v for k, v in state.items()}, "epoch": 3}, path)
    load_segmenter(resolve_model("segment", str(folder)), CPU)


EVIL = "__import__('os').system('touch {}')"


@pytest.mark.parametrize(
    ("place", "named"),
    [
        (("network_def", "in_channels"), "network_def#in_channels"),
        (("network_def", "_target_"), "network_def#_target_"),
        (("preprocessing", "transforms"), "preprocessing#transforms"),
        (("inferer", "roi_size"), "inferer#roi_size"),
        (("spacing",), "spacing"),
        (("image_key",), "image_key"),
    ],
)
def test_expressions_are_refused_by_name_and_never_run(
    tmp_path: Path, place: tuple[str, ...], named: str
) -> None:
    flag = tmp_path / "run"
    folder = write_bundle(tmp_path / "bundle", bundle_config())
    path = folder / "configs/inference.json"
    config = json.loads(path.read_text())
    inner = config
    for key in place[:-1]:
        inner = inner[key]
    inner[place[-1]] = "$" + EVIL.format(flag)
    path.write_text(json.dumps(config))
    with pytest.raises(ModelError, match=f"'{named}' is an expression that would be run"):
        load_segmenter(resolve_model("segment", str(folder)), CPU)
    assert not flag.exists()


def test_what_is_not_needed_is_never_run(tmp_path: Path) -> None:
    flag = tmp_path / "run"
    evil = "$" + EVIL.format(flag)
    config = bundle_config(run=[evil], initialize=evil, imports=[evil], device=evil, datalist=evil)
    folder = write_bundle(tmp_path / "bundle", config)
    (folder / "scripts").mkdir()
    (folder / "scripts/__init__.py").write_text(f"import os; os.system('touch {flag}')")
    load_segmenter(resolve_model("segment", str(folder)), CPU)
    assert not flag.exists()


@pytest.mark.parametrize(
    ("chain", "step", "words"),
    [
        ("preprocessing", {"_target_": "Lambdad", "keys": "image", "func": "$abs"}, "Lambdad"),
        ("preprocessing", {"_target_": "os.system", "command": "true"}, "os.system"),
        ("preprocessing", {"_target_": "scripts.Own", "keys": "image"}, "scripts.Own"),
        ("preprocessing", {"_target_": "Resized", "keys": "image", "spatial_size": 9}, "Resized"),
        (
            "preprocessing",
            {"_target_": "CropForegroundd", "keys": "image", "select_fn": "$lambda x: x > 0"},
            "select_fn",
        ),
        ("preprocessing", {"_target_": "Spacingd", "keys": "image", "pixdim": -1}, "pixdim"),
        ("postprocessing", {"_target_": "FillHolesd", "keys": "pred"}, "FillHolesd"),
        (
            "postprocessing",
            {"_target_": "AsDiscreted", "keys": "pred", "threshold": 0.5},
            "may overlap",
        ),
    ],
)
def test_steps_without_a_counterpart_are_named(
    tmp_path: Path, chain: str, step: dict[str, Any], words: str
) -> None:
    folder = write_bundle(tmp_path / "bundle", changed(chain, 2, step))
    with pytest.raises(ModelError, match=words) as caught:
        load_segmenter(resolve_model("segment", str(folder)), CPU)
    assert caught.value.exit_code == 4


@pytest.mark.parametrize(
    "target", ["os.system", "torch.hub.load", "monai.bundle.run", "evil.UNet", "FlexibleUNet"]
)
def test_other_networks_are_refused(tmp_path: Path, target: str) -> None:
    folder = write_bundle(tmp_path / "bundle", bundle_config())
    path = folder / "configs/inference.json"
    config = json.loads(path.read_text())
    config["network_def"]["_target_"] = target
    path.write_text(json.dumps(config))
    with pytest.raises(ModelError, match=target):
        load_segmenter(resolve_model("segment", str(folder)), CPU)


def test_a_network_of_another_size_than_its_weights_takes_no_memory(tmp_path: Path) -> None:
    folder = write_bundle(tmp_path / "bundle", bundle_config())
    path = folder / "configs/inference.json"
    config = json.loads(path.read_text())
    config["network_def"]["channels"] = [60_000, 60_000, 60_000]
    path.write_text(json.dumps(config))
    with pytest.raises(ModelError, match="weights are not those"):
        load_segmenter(resolve_model("segment", str(folder)), CPU)


class _Bomb:
    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, ("touch /tmp/mmtool-was-run",)


def test_pickles_are_refused(tmp_path: Path) -> None:
    folder = write_bundle(tmp_path / "bundle", bundle_config())
    torch.save({"state_dict": _Bomb()}, folder / "models/model.pt")
    with pytest.raises(ModelError, match="more than tensors"):
        load_segmenter(resolve_model("segment", str(folder)), CPU)
    assert not Path("/tmp/mmtool-was-run").exists()


def test_entries_that_refer_to_each_other_end(tmp_path: Path) -> None:
    folder = write_bundle(tmp_path / "bundle", bundle_config())
    path = folder / "configs/inference.json"
    config = json.loads(path.read_text())
    config |= {"spacing": "@image_key", "image_key": "@spacing"}
    path.write_text(json.dumps(config))
    with pytest.raises(ModelError, match="refers to itself"):
        load_segmenter(resolve_model("segment", str(folder)), CPU)


def two_channels(tmp_path: Path, **changes: Any) -> Path:
    """A bundle that takes FLAIR and T1c."""
    config = bundle_config(**changes)
    config["network_def"]["in_channels"] = 2
    meta = copy.deepcopy(METADATA)
    meta["network_data_format"]["inputs"]["image"]["channel_def"] = {"0": "FLAIR", "1": "T1c"}
    return write_bundle(tmp_path / "bundle", config, meta)


@pytest.mark.parametrize("how", ["two files", "one file of four axes"])
def test_several_channels_are_those_of_monai(tmp_path: Path, how: str) -> None:
    steps = changed("preprocessing", 4, NORMAL | {"channel_wise": True})["preprocessing"]
    folder = two_channels(tmp_path, preprocessing=steps)
    flair = write_scan(tmp_path / "flair.nii.gz")
    t1c = write_scan(tmp_path / "t1c.nii.gz", seed=6)
    if how == "two files":
        expected = run_by_monai(folder, flair, t1c)
        item = BatchItem("case", (flair, t1c), channels=("t1c",))
    else:
        both = [nibabel.load(p) for p in (flair, t1c)]
        data = np.stack([np.asarray(image.dataobj) for image in both], -1)
        nibabel.save(nibabel.Nifti1Image(data, both[0].affine), tmp_path / "both.nii.gz")
        expected = run_by_monai(folder, tmp_path / "both.nii.gz")
        item = BatchItem("case", (tmp_path / "both.nii.gz",))
    files = resolve_model("segment", str(folder))
    segmenter = load_segmenter(files, CPU)
    assert segmenter.channels == channels_of(files) == ("FLAIR", "T1c")
    paths = files_of(item, segmenter.channels, Limits())
    case = read_case(paths, segmenter.channels, Reading(Limits()))
    found = segmenter(case.data, case.scan.affine).labels
    assert len(np.unique(expected)) > 1
    assert (found == expected).mean() > 0.9999
    swapped = segmenter(case.data[::-1], case.scan.affine).labels
    assert (swapped == expected).mean() < 0.999
