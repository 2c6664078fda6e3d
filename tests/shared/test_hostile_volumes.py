"""Hostile files: one line, bounded memory, no dead process."""

from __future__ import annotations

import gzip
import struct
import subprocess
import sys
import zlib
from contextlib import suppress
from pathlib import Path

import nibabel
import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    JPEG2000Lossless,
    SecondaryCaptureImageStorage,
)

from mmtool.errors import InputError
from mmtool.io.limits import Limits
from mmtool.io.readers import read_volume

MADE = "data/io_fixtures/hostile/made"
MADE_FILES = (
    "giant_smiles.smi",
    "huge_dims.nii",
    "huge_dims_native.dcm",
    "huge_dims_rle.dcm",
    "huge_length_element.dcm",
    "ifd_loop.tif",
    "mz_preamble.dcm",
    "nan_affine.nii",
    "nested_sq_5000.dcm",
    "object_pickle.npy",
    "pickle_checkpoint.pt",
    "zip_slip.zip",
)
_READ = """
import resource, sys
from pathlib import Path
from mmtool.errors import InputError
from mmtool.io.readers import read_volume
base = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
try:
    read_volume(Path(sys.argv[1]))
    print("ok", end=" ")
except InputError as error:
    print("refused", end=" ")
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - base)
"""


def read_apart(path: Path) -> tuple[str, float]:
    """Outcome and extra memory in MB of reading in a fresh process."""
    done = subprocess.run(
        [sys.executable, "-c", _READ, str(path)], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    outcome, kib = done.stdout.split()
    return outcome, int(kib) / 1000


@pytest.mark.parametrize("name", MADE_FILES)
def test_made_files_are_refused_in_one_line(shared: Path, name: str) -> None:
    with pytest.raises(InputError) as caught:
        read_volume(shared / MADE / name)
    assert "\n" not in caught.value.message
    assert caught.value.exit_code == 3


def test_pickles_are_never_run(shared: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("object_pickle.npy", "pickle_checkpoint.pt"):
        with pytest.raises(InputError):
            read_volume(shared / MADE / name)
    assert "EXECUTED" not in capsys.readouterr().out


def test_gzip_bomb(tmp_path: Path) -> None:
    """A small file that inflates to 600 MB of empty scan."""
    header = nibabel.Nifti1Header()
    header.set_data_dtype(np.uint8)
    header.set_data_shape((1000, 1000, 600))
    header["vox_offset"], header["magic"] = 352, b"n+1"
    path = tmp_path / "bomb.nii.gz"
    with gzip.open(path, "wb", 9) as file:
        file.write(header.binaryblock + bytes(4))
        for _ in range(60):
            file.write(bytes(10_000_000))
    outcome, extra = read_apart(path)
    assert outcome == "refused"
    assert extra < 100


def test_a_gzip_longer_than_its_header_says(tmp_path: Path) -> None:
    """Only what the header promises is inflated."""
    image = nibabel.Nifti1Image(np.ones((8, 8, 8), np.uint8), np.eye(4))
    path = tmp_path / "long.nii.gz"
    with gzip.open(path, "wb", 9) as file:
        file.write(image.to_bytes())
        for _ in range(30):
            file.write(bytes(10_000_000))
    outcome, extra = read_apart(path)
    assert outcome == "ok"
    assert extra < 100


def deflated(path: Path, megabytes: int) -> None:
    """A DICOM file in deflated syntax whose pixels inflate to many megabytes of zeros."""
    d = Dataset()
    d.file_meta = FileMetaDataset()
    d.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    d.file_meta.MediaStorageSOPClassUID = d.SOPClassUID = SecondaryCaptureImageStorage
    d.file_meta.MediaStorageSOPInstanceUID = d.SOPInstanceUID = "1.2.3.4"
    d.Rows = d.Columns = 4
    d.save_as(path, enforce_file_format=True)
    raw = path.read_bytes()
    end = 144 + struct.unpack("<I", raw[140:144])[0]
    body = zlib.decompress(raw[end:], -zlib.MAX_WBITS)
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    out = packer.compress(body + b"\xe0\x7f\x10\x00OB\0\0" + struct.pack("<I", megabytes << 20))
    for _ in range(megabytes):
        out += packer.compress(bytes(1 << 20))
    path.write_bytes(raw[:end] + out + packer.flush())


def test_deflate_bomb(tmp_path: Path) -> None:
    deflated(tmp_path / "bomb.dcm", 400)
    outcome, extra = read_apart(tmp_path / "bomb.dcm")
    assert outcome == "refused"
    assert extra < 500  # as much as the limit on inflation allows for a file of this size


def wrapped(stream: bytes, path: Path, k: int) -> None:
    """A JPEG 2000 stream inside one slice of a DICOM series."""
    d = Dataset()
    d.file_meta = FileMetaDataset()
    d.file_meta.TransferSyntaxUID = JPEG2000Lossless
    d.file_meta.MediaStorageSOPClassUID = d.SOPClassUID = SecondaryCaptureImageStorage
    d.file_meta.MediaStorageSOPInstanceUID = d.SOPInstanceUID = f"1.2.3.{k + 1}"
    d.SeriesInstanceUID, d.Modality = "1.2.3", "MR"
    d.Rows = d.Columns = 64
    d.BitsAllocated = d.BitsStored = 8
    d.HighBit, d.PixelRepresentation, d.SamplesPerPixel = 7, 0, 1
    d.PhotometricInterpretation = "MONOCHROME2"
    d.PixelSpacing, d.ImageOrientationPatient = [1, 1], [1, 0, 0, 0, 1, 0]
    d.ImagePositionPatient = [0, 0, k]
    d.PixelData = encapsulate([stream])
    d["PixelData"].is_undefined_length = True
    d.save_as(path, enforce_file_format=True)


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["issue104_jpxstream.jp2", "issue235.jp2", "issue412.jp2", "broken.jpc", "broken1.jp2"]
)
def test_streams_that_kill_codecs(shared: Path, tmp_path: Path, name: str) -> None:
    """Abort and endless loops happened to other decoders on these."""
    path = shared / "data/io_fixtures/hostile/openjpeg-data" / name
    if not path.exists():
        pytest.skip(f"{name} is not among the shared files")
    for k in range(3):
        wrapped(path.read_bytes(), tmp_path / f"{k}.dcm", k)
    limits = Limits(decode_seconds=5)
    with pytest.raises(InputError, match=r"can't be decoded|decodes to"):
        read_volume(tmp_path, limits=limits)


def test_cut_files(shared: Path, tmp_path: Path) -> None:
    """A real file cut at many places is refused each time, by an error of ours."""
    source = shared / "data/io_fixtures/dicom/dicom2nifti/tests/data/hitachi/anatomical/001"
    files = sorted(source.glob("*.dcm"))
    for file in files:
        (tmp_path / file.name).write_bytes(file.read_bytes())
    whole = files[1].read_bytes()
    for length in range(0, len(whole) - 10, len(whole) // 40):
        (tmp_path / files[1].name).write_bytes(whole[:length])
        try:
            volume = read_volume(tmp_path)
        except InputError:
            continue
        assert volume.shape[2] == 3  # cut before its first tag: no DICOM file any more


def test_flipped_bytes(shared: Path, tmp_path: Path) -> None:
    """Mutated headers give a volume or an error of ours, never another exception."""
    source = shared / "data/io_fixtures/dicom/dicom2nifti/tests/data/hitachi/anatomical/001"
    files = sorted(source.glob("*.dcm"))
    for file in files:
        (tmp_path / file.name).write_bytes(file.read_bytes())
    whole = np.frombuffer(files[2].read_bytes(), np.uint8)
    rng = np.random.default_rng(0)
    for _ in range(150):
        bad = whole.copy()
        at = rng.integers(128, 1500, rng.integers(1, 6))
        bad[at] = rng.integers(0, 256, len(at))
        (tmp_path / files[2].name).write_bytes(bad.tobytes())
        with suppress(InputError):
            read_volume(tmp_path)


def test_polyglot_preamble_is_only_data(shared: Path) -> None:
    """A preamble that looks like an executable changes nothing."""
    head = (shared / MADE / "mz_preamble.dcm").read_bytes()[:132]
    assert head[:2] == b"MZ"
    assert pydicom.dcmread(shared / MADE / "mz_preamble.dcm", stop_before_pixels=True).Rows
