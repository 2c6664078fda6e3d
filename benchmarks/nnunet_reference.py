"""Train nnU-Net a few steps on hippocampus crops and let its own predictor label others.

What it leaves is what ``tests/shared/test_nnunet_reference.py`` and
``benchmarks/nnunet_agreement.py`` compare ``mmtool segment`` with. Run it with an environment of
its own, in which nnunetv2 is installed (its requirements replace torch):

    python benchmarks/nnunet_reference.py --data DIR/hippocampus -o OUT

OUT gets ``model/`` (an nnU-Net model folder with two folds), ``scans/NAME.nii.gz`` of six cases
that the training has not seen, and ``reference/NAME.nii.gz`` with ``NAME.npz`` (probabilities). The
first case is there a second time at other voxels, ``NAME_coarse``. A model that is there already is
used again.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
from pathlib import Path

NAME = "Dataset004_Hippocampus"
CASES = 12
HELD_OUT = 6


def main() -> None:
    """Prepare, train, predict."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--data", type=Path, required=True, help="folder with images/ and labels/")
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--iterations", type=int, default=100, help="of each of two epochs")
    parser.add_argument("--planner", default="ExperimentPlanner", help="or nnUNetPlannerResEncM")
    args = parser.parse_args()
    work = args.output.absolute()
    for name in ("raw", "preprocessed", "results"):
        os.environ[f"nnUNet_{name}"] = str(work / name)
        (work / name).mkdir(parents=True, exist_ok=True)
    held_out = _dataset(args.data, work / "raw" / NAME)
    model = work / "model"
    if not (model / "fold_1/checkpoint_final.pth").is_file():
        _train(args.planner, args.iterations, work)
    _write_scans(held_out, work / "scans")
    _predict(model, work / "scans", work / "reference")


def _dataset(data: Path, folder: Path) -> list[Path]:
    """Copy the first cases in nnU-Net's layout; give those after them."""
    images = sorted((data / "images").glob("*.nii.gz"))
    for part in ("imagesTr", "labelsTr"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    for image in images[:CASES]:
        name = image.name.removesuffix(".nii.gz")
        shutil.copy(image, folder / "imagesTr" / f"{name}_0000.nii.gz")
        shutil.copy(data / "labels" / image.name, folder / "labelsTr" / image.name)
    content = {
        "channel_names": {"0": "MRI"},
        "labels": {"background": 0, "Anterior": 1, "Posterior": 2},
        "numTraining": CASES,
        "file_ending": ".nii.gz",
    }
    (folder / "dataset.json").write_text(json.dumps(content))
    return images[CASES : CASES + HELD_OUT]


def _train(planner: str, iterations: int, work: Path) -> None:
    import torch
    from nnunetv2.experiment_planning.plan_and_preprocess_api import (
        extract_fingerprints,
        plan_experiments,
        preprocess,
    )
    from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer

    extract_fingerprints([4], num_processes=1)
    plans = plan_experiments([4], experiment_planner_class_name=planner)
    preprocess([4], plans, configurations=["3d_fullres"], num_processes=[1])
    prepared = work / "preprocessed" / NAME
    dataset = json.loads((prepared / "dataset.json").read_text())
    for fold in (0, 1):
        torch.manual_seed(fold)
        content = json.loads((prepared / f"{plans}.json").read_text())
        content["continue_training"] = False
        trainer = nnUNetTrainer(content, "3d_fullres", fold, dataset, torch.device("cpu"))
        trainer.num_epochs, trainer.num_iterations_per_epoch = 2, iterations
        trainer.num_val_iterations_per_epoch = 1
        trainer.run_training()
    made = Path(trainer.output_folder_base)
    ignored = shutil.ignore_patterns("*.png")
    shutil.copytree(made, work / "model", dirs_exist_ok=True, ignore=ignored)


def _write_scans(images: list[Path], folder: Path) -> None:
    """The scans, and the first one at anisotropic voxels under an oblique affine."""
    import nibabel
    import numpy as np
    from scipy import ndimage

    folder.mkdir(exist_ok=True)
    for image in images:
        shutil.copy(image, folder / image.name)
    scan = nibabel.load(images[0])
    zoomed = ndimage.zoom(np.asarray(scan.dataobj, np.float32), (1.3, 0.8, 0.6), order=1)
    turn = np.eye(4)
    turn[:3, :3] = [[0.96, -0.28, 0], [0.28, 0.96, 0], [0, 0, 1]]
    affine = turn @ scan.affine @ np.diag([1 / 1.3, 1 / 0.8, 1 / 0.6, 1])
    name = images[0].name.replace(".nii.gz", "_coarse.nii.gz")
    nibabel.save(nibabel.Nifti1Image(zoomed, affine), folder / name)


def _predict(model: Path, scans: Path, out: Path) -> None:
    import numpy as np
    import torch
    from nnunetv2.imageio.simpleitk_reader_writer import SimpleITKIO
    from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor

    out.mkdir(exist_ok=True)
    predictor = nnUNetPredictor(device=torch.device("cpu"), allow_tqdm=False)
    predictor.initialize_from_trained_model_folder(str(model), (0, 1))
    for scan in sorted(scans.glob("*.nii.gz")):
        data, properties = SimpleITKIO().read_images([str(scan)])
        labels, probabilities = predictor.predict_single_npy_array(
            data, properties, save_or_return_probabilities=True
        )
        SimpleITKIO().write_seg(labels, str(out / scan.name), properties)
        np.savez_compressed(out / scan.name.replace(".nii.gz", ".npz"), probabilities)


if __name__ == "__main__":
    main()
