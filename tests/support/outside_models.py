"""Model folders of other makers, written as their own tools write them."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import torch

IMAGE, PRED = "@image_key", "pred"


def bundle_config(**changes: Any) -> dict[str, Any]:
    """The inference configuration of a CT bundle, in the manner of the model zoo."""
    config: dict[str, Any] = {
        "imports": ["$import glob", "$import os"],
        "bundle_root": ".",
        "image_key": "image",
        "dataset_dir": "/workspace/data",
        "datalist": "$list(sorted(glob.glob(@dataset_dir + '/*.nii.gz')))",
        "device": "$torch.device('cuda:0' if torch.cuda.is_available() else 'cpu')",
        "spacing": [2.0, 2.0, 3.0],
        "network_def": {
            "_target_": "UNet",
            "spatial_dims": 3,
            "in_channels": 1,
            "out_channels": 3,
            "channels": [8, 16, 32],
            "strides": [2, 2],
            "num_res_units": 1,
            "norm": "batch",
        },
        "network": "$@network_def.to(@device)",
        "preprocessing": {
            "_target_": "Compose",
            "transforms": [
                {"_target_": "LoadImaged", "keys": IMAGE},
                {"_target_": "EnsureChannelFirstd", "keys": IMAGE},
                {"_target_": "Orientationd", "keys": IMAGE, "axcodes": "RAS"},
                {
                    "_target_": "Spacingd",
                    "keys": ["image"],
                    "pixdim": "@spacing",
                    "mode": ["bilinear"],
                },
                {
                    "_target_": "ScaleIntensityRanged",
                    "keys": IMAGE,
                    "a_min": -57,
                    "a_max": 164,
                    "b_min": 0,
                    "b_max": 1,
                    "clip": True,
                },
                {"_target_": "EnsureTyped", "keys": IMAGE},
            ],
        },
        "inferer": {
            "_target_": "SlidingWindowInferer",
            "roi_size": [32, 32, 16],
            "sw_batch_size": 4,
            "overlap": 0.5,
        },
        "postprocessing": {
            "_target_": "Compose",
            "transforms": [
                {"_target_": "Activationsd", "keys": PRED, "softmax": True},
                {
                    "_target_": "Invertd",
                    "keys": PRED,
                    "transform": "@preprocessing",
                    "orig_keys": IMAGE,
                    "nearest_interp": False,
                    "to_tensor": True,
                },
                {"_target_": "AsDiscreted", "keys": PRED, "argmax": True},
            ],
        },
    }
    return config | changes


METADATA: dict[str, Any] = {
    "version": "0.3.1",
    "monai_version": "1.5.2",
    "task": "Segmentation of two shapes",
    "description": "A network that was not trained.",
    "authors": "nobody",
    "intended_use": "Tests.",
    "network_data_format": {
        "inputs": {
            "image": {
                "type": "image",
                "modality": "CT",
                "num_channels": 1,
                "channel_def": {"0": "image"},
            }
        },
        "outputs": {
            "pred": {
                "type": "image",
                "num_channels": 3,
                "channel_def": {"0": "background", "1": "spleen", "2": "kidney_left"},
            }
        },
    },
}


def write_bundle(
    folder: Path,
    config: dict[str, Any],
    meta: dict[str, Any] | None = None,
    *,
    suffix: str = "json",
    seed: int = 0,
) -> Path:
    """Write a bundle by MONAI's own parser, its network with random weights."""
    from monai.bundle import ConfigParser

    (folder / "configs").mkdir(parents=True)
    (folder / "models").mkdir()
    torch.manual_seed(seed)
    network = ConfigParser({"network_def": config["network_def"]}).get_parsed_content("network_def")
    for module in network.modules():  # statistics of a network that has seen something
        if isinstance(module, torch.nn.BatchNorm3d):
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.5, 1.5)
    torch.save(network.state_dict(), folder / "models/model.pt")
    name = str(folder / "configs" / f"inference.{suffix}")
    if suffix == "json":
        ConfigParser.export_config_file(config, name, fmt="json", indent=2)
    else:
        ConfigParser.export_config_file(config, name, fmt="yaml")
    (folder / "configs/metadata.json").write_text(json.dumps(meta or METADATA))
    return folder


def run_by_monai(folder: Path, *scans: Path) -> np.ndarray:
    """(I, J, K) labels that MONAI itself gives for a scan (a file a channel), on its grid."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # on changes between versions of MONAI
        return _run_by_monai(folder, [str(scan) for scan in scans])


def _run_by_monai(folder: Path, scans: list[str]) -> np.ndarray:
    from monai.bundle import ConfigParser
    from monai.transforms import SaveImaged

    parser = ConfigParser()
    parser.read_config(next((folder / "configs").glob("inference.*")))
    parser.config["device"] = "cpu"
    before = parser.get_parsed_content("preprocessing")
    after = parser.get_parsed_content("postprocessing")
    inferer = parser.get_parsed_content("inferer")
    network = parser.get_parsed_content("network_def").eval()
    network.load_state_dict(torch.load(folder / "models/model.pt", weights_only=True))
    item = before({"image": scans if len(scans) > 1 else scans[0]})
    with torch.inference_mode():
        item["pred"] = inferer(item["image"][None], network)[0]
    item = after(item)
    saver = SaveImaged(
        keys="pred",
        output_dir=folder / "out",
        output_postfix="",
        separate_folder=False,
        resample=True,
        print_log=False,
        output_dtype=np.uint8,
    )
    saver(item)
    name = next((folder / "out").glob("*.nii.gz"))
    return np.asarray(nibabel.load(name).dataobj)


MESH_LABELS = ["Unknown", "Cerebral-White-Matter", "Left-Hippocampus", "Spot"]


def write_meshnet(folder: Path, *, seed: int = 3, dilations: tuple[int, ...] = (1, 2, 4)) -> Path:
    """A small MeshNet folder in the layout of brainchop, with random weights."""
    from safetensors.torch import save_file

    folder.mkdir(parents=True)
    generator = torch.Generator().manual_seed(seed)
    widths = [1, *(4 for _ in dilations)]
    layers, state = [], {}
    for number, dilation in enumerate((*dilations, 1)):
        last = number == len(dilations)
        given, made = widths[number], len(MESH_LABELS) if last else 4
        kernel = 1 if last else 3
        layers.append(
            {
                "in_channels": given,
                "out_channels": made,
                "kernel_size": kernel,
                "padding": 0 if last else dilation,
                "stride": 1,
                "dilation": dilation,
            }
        )
        shape = (made, given, kernel, kernel, kernel)
        state[f"model.{3 * number}.weight"] = torch.randn(shape, generator=generator) / given
        state[f"model.{3 * number}.bias"] = torch.randn(made, generator=generator) / 4
    config = {"header": "A MeshNet that was not trained", "bnorm": False, "elu": True}
    (folder / "model.json").write_text(json.dumps(config | {"layers": layers}))
    colors = {"R": [0, 245, 205, 12], "G": [0, 245, 62, 48], "B": [0, 245, 78, 255]}
    (folder / "colormap.json").write_text(json.dumps(colors | {"labels": MESH_LABELS}))
    save_file(state, folder / "model.safetensors")
    return folder


NNUNET_PLAN: dict[str, Any] = {
    "data_identifier": "nnUNetPlans_3d_fullres",
    "preprocessor_name": "DefaultPreprocessor",
    "batch_size": 2,
    "patch_size": [16, 24, 24],
    "median_image_size_in_voxels": [18.0, 24.0, 22.0],
    "spacing": [2.5, 2.0, 2.0],
    "normalization_schemes": ["CTNormalization"],
    "use_mask_for_norm": [False],
    "resampling_fn_data": "resample_data_or_seg_to_shape",
    "resampling_fn_seg": "resample_data_or_seg_to_shape",
    "resampling_fn_data_kwargs": {
        "is_seg": False,
        "order": 3,
        "order_z": 0,
        "force_separate_z": None,
    },
    "resampling_fn_probabilities": "resample_data_or_seg_to_shape",
    "resampling_fn_probabilities_kwargs": {
        "is_seg": False,
        "order": 1,
        "order_z": 0,
        "force_separate_z": None,
    },
}


def write_nnunet(
    folder: Path,
    *,
    folds: tuple[str, ...] = ("0", "1"),
    channels: tuple[str, ...] = ("CT",),
    **plan: Any,
) -> Path:
    """An nnU-Net v2 model folder, with the keys that nnU-Net 2.8 writes and weights by formula."""
    from nnunet_weights import MODULE, PLAIN, fill

    from mmtool.models.segmentation.nnunet_nets import NnunetUNet, read_plan

    architecture = {"network_class_name": f"{MODULE}PlainConvUNet", "arch_kwargs": PLAIN}
    several = {
        "normalization_schemes": ["ZScoreNormalization"] * len(channels),
        "use_mask_for_norm": [False] * len(channels),
    }
    configuration = NNUNET_PLAN | {"architecture": architecture}
    configuration |= several if len(channels) > 1 else {}
    configuration |= plan
    intensities = {"mean": 40.0, "std": 120.0, "percentile_00_5": -300.0, "percentile_99_5": 400.0}
    plans = {
        "dataset_name": "Dataset901_Shapes",
        "plans_name": "nnUNetPlans",
        "image_reader_writer": "SimpleITKIO",
        "transpose_forward": [0, 1, 2],
        "transpose_backward": [0, 1, 2],
        "configurations": {"3d_fullres": configuration},
        "foreground_intensity_properties_per_channel": {
            str(number): intensities for number in range(len(channels))
        },
    }
    dataset = {
        "channel_names": {str(n): name for n, name in enumerate(channels)},
        "labels": {"background": 0, "Anterior": 1, "Posterior": 2},
        "numTraining": 12,
        "file_ending": ".nii.gz",
    }
    folder.mkdir(parents=True)
    (folder / "plans.json").write_text(json.dumps(plans))
    (folder / "dataset.json").write_text(json.dumps(dataset))
    state = fill(NnunetUNet(read_plan(configuration, len(channels), 3)).state_dict())
    state |= {f"decoder.{k}": v for k, v in state.items() if k.startswith("encoder.")}
    for number, fold in enumerate(folds):
        (folder / f"fold_{fold}").mkdir()
        content = {
            "network_weights": {k: v * (1 + 0.1 * number) for k, v in state.items()},
            "optimizer_state": {},
            "grad_scaler_state": None,
            "logging": {"mean_fg_dice": [np.float64(0.5), np.float32(0.25)]},
            "_best_ema": np.float64(0.5),
            "current_epoch": 2,
            "init_args": {"configuration": "3d_fullres", "fold": number},
            "trainer_name": "nnUNetTrainer",
            "inference_allowed_mirroring_axes": (0, 1, 2),
        }
        torch.save(content, folder / f"fold_{fold}/checkpoint_final.pth")
    return folder


def write_scan(
    path: Path,
    *,
    axes: str = "LPS",
    shape: tuple[int, int, int] = (37, 41, 18),
    seed: int = 5,
) -> Path:
    """A scan of smooth noise in HU, stored along ``axes`` and turned by some degrees."""
    from scipy import ndimage

    noise = np.random.default_rng(seed).normal(size=shape)
    data = (ndimage.gaussian_filter(noise, 2) * 2000 + 40).astype(np.int16)
    turn = np.eye(4)
    turn[:3, :3] = [[0.995, -0.1, 0], [0.1, 0.995, 0], [0, 0, 1]]
    turn[:3, :3] /= np.linalg.norm(turn[:3, :3], axis=0)
    ras = turn @ np.diag([1.6, 1.6, 2.5, 1.0])
    ras[:3, 3] = -30, -20, 10
    image = nibabel.Nifti1Image(data, ras)
    wanted = nibabel.orientations.axcodes2ornt(tuple(axes))
    now = nibabel.io_orientation(image.affine)
    turned = image.as_reoriented(nibabel.orientations.ornt_transform(now, wanted))
    nibabel.save(turned, path)
    return path
