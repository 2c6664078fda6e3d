"""Fixtures for all tests."""

from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path

import nibabel
import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent / "support"))  # helpers of several rooms


@pytest.fixture(scope="session")
def shared() -> Path:
    """Folder of real data that is not part of the repository."""
    default = Path(__file__).resolve().parents[2] / "shared"
    folder = Path(os.environ.get("MMTOOL_SHARED", default))
    if not (folder / "data").is_dir():
        pytest.skip(f"real data folder {folder} is absent; set MMTOOL_SHARED")
    return folder


@pytest.fixture(scope="session")
def head(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A real T1 scan at 2 mm: the MNI152 template that nilearn ships, LPI order, int16."""
    spec = importlib.util.find_spec("nilearn")
    assert spec is not None
    assert spec.origin is not None
    name = "datasets/data/mni_icbm152_t1_tal_nlin_sym_09a_converted.nii.gz"
    image = nibabel.load(Path(spec.origin).parent / name).slicer[::2, ::2, ::2]
    data = np.asarray(image.dataobj, np.float64)
    out = nibabel.Nifti1Image((data * (1000 / data.max())).astype(np.int16), image.affine)
    path = tmp_path_factory.mktemp("head") / "head.nii.gz"
    nibabel.save(out, path)
    return path
