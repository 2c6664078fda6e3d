"""Real series: the same decision as dicom2nifti, or a written reason; the same voxels in place."""

from __future__ import annotations

import logging
import tarfile
import warnings
from pathlib import Path

import dicom2nifti
import dicom2nifti.settings
import nibabel
import numpy as np
import pydicom
import pytest

from mmtool.errors import InputError
from mmtool.io.readers import read_volume

ROOT = "data/io_fixtures/dicom"
D2N = f"{ROOT}/dicom2nifti/tests/data"
NIH = f"{ROOT}/dcm_qa_nih/In/20180918Si"
# Series -> (we accept, reason where the oracle decides otherwise).
SERIES = {
    f"{D2N}/generic/anatomical/001": (True, ""),
    f"{D2N}/generic/anatomical/002_non_isotropic": (True, ""),
    f"{D2N}/generic/compressed_j2k/001": (True, ""),
    f"{D2N}/generic/compressed_jpeg/001": (True, ""),
    f"{D2N}/generic/compressed_jpegls/001": (True, ""),
    f"{D2N}/generic/compressed_rle/001": (True, ""),
    f"{D2N}/ge/anatomical/001": (True, ""),
    f"{D2N}/hitachi/anatomical/001": (True, ""),
    f"{D2N}/philips_enhanced/anatomical/001": (True, ""),
    f"{D2N}/generic/rgb/001": (False, "a colour capture holds no intensities to segment"),
    f"{D2N}/ge/anatomical/001_single_slice": (False, ""),
    f"{D2N}/failing/gantrytilting/001": (False, ""),
    f"{D2N}/failing/notavolume/001": (False, ""),
    f"{D2N}/failing/slicecount/001": (False, ""),
    f"{D2N}/failing/sliceorientation/001": (False, ""),
    f"{D2N}/siemens/fmri/001": (False, "a mosaic holds time points; one 3-D scan is wanted"),
    f"{NIH}/mr_0003": (False, "a mosaic holds time points; one 3-D scan is wanted"),
    f"{NIH}/mr_0004": (False, "a mosaic holds time points; one 3-D scan is wanted"),
    f"{NIH}/mr_0005": (False, "a mosaic holds time points; one 3-D scan is wanted"),
    f"{NIH}/mr_0006": (False, "a mosaic holds time points; one 3-D scan is wanted"),
    f"{ROOT}/dcm_qa_ts/In": (False, "a mosaic holds time points; one 3-D scan is wanted"),
}


def oracle(folder: Path, out: Path) -> nibabel.Nifti1Image | None:
    """dicom2nifti's volume of a folder, or None if it refuses."""
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            dicom2nifti.settings.enable_validate_slicecount()
            dicom2nifti.dicom_series_to_nifti(folder, out, reorient_nifti=False)
        return nibabel.load(out)
    except Exception:  # noqa: BLE001 - its refusals are of several kinds
        return None
    finally:
        logging.disable(logging.NOTSET)


@pytest.mark.parametrize("name", list(SERIES))
def test_same_decision_and_same_voxels(shared: Path, tmp_path: Path, name: str) -> None:
    accept, reason = SERIES[name]
    folder = tmp_path / "series"
    folder.mkdir()
    for file in (shared / name).glob("*.dcm"):  # the oracle stumbles over other files
        (folder / file.name).write_bytes(file.read_bytes())
    theirs = oracle(folder, tmp_path / "oracle.nii.gz")
    if not accept:
        with pytest.raises(InputError):
            read_volume(folder)
        assert (theirs is None) == (not reason), "the written reason no longer fits"
        return
    ours = read_volume(folder)
    assert theirs is not None
    wanted = np.asarray(theirs.dataobj, np.float64).reshape(theirs.shape[:3])
    rng = np.random.default_rng(0)
    index = rng.integers(0, ours.shape, (500, 3))
    world = index @ ours.affine[:3, :3].T + ours.affine[:3, 3]
    back = (world - theirs.affine[:3, 3]) @ np.linalg.inv(theirs.affine[:3, :3]).T
    np.testing.assert_allclose(back, back.round(), atol=0.02)
    there = tuple(back.round().astype(int).T)
    np.testing.assert_allclose(ours.data[tuple(index.T)], wanted[there], rtol=1e-3, atol=0.51)


def test_variable_tilt_ct_is_refused(shared: Path, tmp_path: Path) -> None:
    with tarfile.open(shared / ROOT / "dcm_qa_ct_GE.tar.xz") as archive:
        safe = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}  # Python 3.11.4
        archive.extractall(tmp_path, **safe)  # type: ignore[arg-type]
    with pytest.raises(InputError) as caught:
        read_volume(tmp_path)
    assert caught.value.hint


def test_all_transfer_syntaxes_decode_alike(shared: Path, tmp_path: Path) -> None:
    """One slice in nine encodings; each becomes a stack of three to be a volume."""
    found = {}
    for file in sorted((shared / ROOT / "dcm_qa_ts" / "In").glob("*.dcm")):
        folder = tmp_path / file.stem
        folder.mkdir()
        for k in range(3):
            d = pydicom.dcmread(file)
            d.SOPInstanceUID = d.file_meta.MediaStorageSOPInstanceUID = f"1.2.3.{k + 1}"
            d.ImageType = ["ORIGINAL", "PRIMARY", "M"]
            if (0x0019, 0x100A) in d:
                del d[0x0019, 0x100A]
            d.ImagePositionPatient = [0, 0, 5 * k]
            d.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
            d.save_as(folder / f"{k}.dcm")
        found[str(d.file_meta.TransferSyntaxUID.name)] = read_volume(folder).data
    assert len(found) >= 7
    first = next(iter(found.values()))
    for data in found.values():
        np.testing.assert_array_equal(data, first)
