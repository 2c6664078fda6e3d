"""Bags of tile features: what CLAM, TRIDENT, torch and NumPy write, and files that mean harm."""

from __future__ import annotations

import io
import os
import pickle
import subprocess
import sys
import zipfile
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch

from mmtool.bags import SlideBag
from mmtool.errors import InputError, LimitError
from mmtool.io.limits import Limits
from mmtool.io.readers.decoding_child import DecodingChild
from mmtool.io.readers.feature_bags import BagReader, bag_reader, find_bags, same_width
from mmtool.io.readers.torch_tensors import read_tensors

FEATURES = np.linspace(-3, 3, 35, dtype=np.float32).reshape(7, 5)
COORDS = np.arange(14).reshape(7, 2) * 256


OPEN: list[BagReader] = []


@pytest.fixture(autouse=True, scope="module")
def _one_child() -> Iterator[None]:
    """One child reads for all the tests that need no other limits."""
    with bag_reader() as reader:
        OPEN.append(reader)
        yield
    OPEN.clear()


def read(path: Path) -> SlideBag:
    return OPEN[0].read(path)


def write_h5(path: Path, **sets: np.ndarray) -> h5py.File:
    with h5py.File(path, "w") as file:
        for name, values in sets.items():
            file[name] = values
    return path


def test_clam(tmp_path: Path) -> None:
    path = tmp_path / "slide.h5"
    with h5py.File(path, "w") as file:
        file.create_dataset("features", data=FEATURES, chunks=(1, 5), maxshape=(None, 5))
        coords = file.create_dataset("coords", data=COORDS, chunks=(1, 2), maxshape=(None, 2))
        coords.attrs["patch_size"], coords.attrs["patch_level"] = 256, 0
    bag = read(path)
    np.testing.assert_array_equal(bag.features, FEATURES)
    np.testing.assert_array_equal(bag.coords, COORDS)
    assert (bag.name, bag.tile, bag.features.dtype) == ("slide", 256.0, np.float32)


def test_trident(tmp_path: Path) -> None:
    path = tmp_path / "slide.h5"
    with h5py.File(path, "w") as file:
        file.create_dataset("features", data=FEATURES[None]).attrs["encoder"] = "uni_v1"
        coords = file.create_dataset("coords", data=COORDS.astype(np.int64))
        coords.attrs["patch_size"], coords.attrs["patch_size_level0"] = 256, 512
    bag = read(path)
    np.testing.assert_array_equal(bag.features, FEATURES)
    assert (bag.tile, bag.encoder) == (512, "uni_v1")


def test_tiles_of_a_coarser_level_have_no_size_in_the_finest(tmp_path: Path) -> None:
    path = write_h5(tmp_path / "slide.h5", features=FEATURES, coords=COORDS)
    with h5py.File(path, "a") as file:
        file["coords"].attrs["patch_size"], file["coords"].attrs["patch_level"] = 256, 1
    assert read(path).tile is None


@pytest.mark.parametrize("kind", ["float32", "float64", "float16", "bfloat16"])
def test_tensors_of_torch(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "slide.pt"
    tensor = torch.tensor(FEATURES).to(getattr(torch, kind))
    torch.save(tensor, path)
    np.testing.assert_array_equal(read(path).features, tensor.float().numpy())


def test_views_and_dictionaries_of_torch(tmp_path: Path) -> None:
    path = tmp_path / "slide.pt"
    wide = torch.arange(40.0).reshape(5, 8)
    saved = {"features": wide.T[1:], "coords": torch.tensor(COORDS), "name": "x", "level": 0}
    torch.save(saved, path)
    bag = read(path)
    np.testing.assert_array_equal(bag.features, wide.T[1:].numpy())
    np.testing.assert_array_equal(bag.coords, COORDS)
    torch.save(OrderedDict(feats=wide), path)
    assert read(path).features.shape == (5, 8)


def test_numpy(tmp_path: Path) -> None:
    np.save(tmp_path / "slide.npy", FEATURES.astype(">f8"))
    np.testing.assert_array_equal(read(tmp_path / "slide.npy").features, FEATURES)


def test_a_slide_embedding_is_one_tile_and_a_slide_may_have_none(tmp_path: Path) -> None:
    np.save(tmp_path / "one.npy", FEATURES[0])
    np.save(tmp_path / "none.npy", FEATURES[:0])
    assert read(tmp_path / "one.npy").features.shape == (1, 5)
    assert read(tmp_path / "none.npy").features.shape == (0, 5)


def test_each_slide_is_found_once_and_best_with_coordinates(tmp_path: Path) -> None:
    for folder, ending in (("pt_files", "pt"), ("h5_files", "h5"), (".", "csv")):
        (tmp_path / folder).mkdir(exist_ok=True)
        (tmp_path / folder / f"b.{ending}").touch()
    (tmp_path / "a.npy").touch()
    (tmp_path / ".hidden.npy").touch()
    found = find_bags(tmp_path)
    assert [str(p.relative_to(tmp_path)) for p in found] == ["a.npy", "h5_files/b.h5"]
    with pytest.raises(LimitError):
        find_bags(tmp_path, Limits(max_frames=1))
    with pytest.raises(InputError, match="no such folder"):
        find_bags(tmp_path / "absent")


def test_bags_of_two_encoders_are_refused() -> None:
    bags = [SlideBag(str(d), np.zeros((2, d), np.float32), None, None) for d in (4, 4, 9)]
    with pytest.raises(InputError, match="'4' has 4 features a tile and '9' 9"):
        same_width(bags, Path("folder"))
    assert same_width(bags[:2], Path("folder")) == 4
    made = [replace(bags[0], encoder=name) for name in ("uni_v1", None, "uni_v2")]
    with pytest.raises(InputError, match="features of 'uni_v1' and of 'uni_v2'"):
        same_width(made, Path("folder"))
    assert same_width(made[:2], Path("folder")) == 4


class Harm:
    """Makes a file when unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = str(path)

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (self.path,)


def hostile_zip(path: Path, content: bytes) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a/data.pkl", content)
        archive.writestr("a/data/0", bytes(48))
    return path


def test_pickles_are_never_run(tmp_path: Path) -> None:
    mark = tmp_path / "ran"
    torch.save({"features": torch.zeros(2, 2), "more": Harm(mark)}, tmp_path / "a.pt")
    hostile_zip(tmp_path / "b.pt", pickle.dumps(Harm(mark)))
    np.save(tmp_path / "c.npy", np.array([Harm(mark)], object), allow_pickle=True)
    for name in ("a.pt", "b.pt", "c.npy"):
        with pytest.raises(InputError):
            read(tmp_path / name)
    assert not mark.exists()


def pickled(numel: int, offset: int, shape: str, strides: str) -> bytes:
    """Instructions of a tensor with these numbers."""
    stream = io.BytesIO()
    stream.write(b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n((X\x07\x00\x00\x00storage")
    stream.write(b"ctorch\nFloatStorage\nX\x01\x00\x00\x000X\x03\x00\x00\x00cpuJ")
    stream.write(numel.to_bytes(4, "little", signed=True) + b"tQ")
    stream.write(b"J" + offset.to_bytes(4, "little", signed=True))
    for numbers in (shape, strides):
        for n in numbers.split():
            stream.write(b"J" + int(n).to_bytes(4, "little", signed=True))
        stream.write(b"\x86")
    stream.write(b"\x89ccollections\nOrderedDict\n)RtR.")
    return stream.getvalue()


@pytest.mark.parametrize(
    ("offset", "shape", "strides"),
    [
        (0, "4 4", "4 1"),
        (1, "3 4", "4 1"),
        (-1, "3 4", "4 1"),
        (0, "-3 4", "4 1"),
        (0, "3 4", "-4 1"),
        (0, "2000000000 2000000000", "0 0"),
    ],
)
def test_tensors_that_reach_beyond_their_numbers(
    tmp_path: Path, offset: int, shape: str, strides: str
) -> None:
    path = hostile_zip(tmp_path / "a.pt", pickled(12, 0, "3 4", "4 1"))
    assert read_tensors(path, 1 << 20)[""].shape == (3, 4)
    with pytest.raises(InputError):
        read_tensors(hostile_zip(path, pickled(12, offset, shape, strides)), 1 << 20)


def test_flipped_and_cut_files_end_in_one_line(tmp_path: Path) -> None:
    """Every error is ours, whatever is broken."""
    torch.save(torch.tensor(FEATURES), tmp_path / "a.pt")
    write_h5(tmp_path / "a.h5", features=FEATURES, coords=COORDS)
    np.save(tmp_path / "a.npy", FEATURES)
    rng = np.random.default_rng(0)
    with bag_reader(Limits(decode_seconds=20)) as reader:
        for name in ("a.pt", "a.h5", "a.npy"):
            whole = (tmp_path / name).read_bytes()
            bad = tmp_path / f"bad{Path(name).suffix}"
            for turn in range(60):
                data = np.frombuffer(whole, np.uint8).copy()
                if turn % 2:
                    data[rng.integers(8, len(data), 8)] = rng.integers(0, 256, 8)
                else:
                    data = data[: rng.integers(0, len(data))]
                bad.write_bytes(data.tobytes())
                with suppress(InputError):
                    assert np.isfinite(reader.read(bad).features).all()


def test_hdf5_that_points_elsewhere_is_refused(tmp_path: Path) -> None:
    other = write_h5(tmp_path / "other.h5", features=FEATURES)
    raw = tmp_path / "secret.bin"
    raw.write_bytes(FEATURES.tobytes())
    with h5py.File(tmp_path / "link.h5", "w") as file:
        file["features"] = h5py.ExternalLink(str(other), "features")
    with h5py.File(tmp_path / "soft.h5", "w") as file:
        file["features"] = h5py.SoftLink("/elsewhere")
    with h5py.File(tmp_path / "external.h5", "w") as file:
        file.create_dataset("features", (7, 5), "f4", external=[(str(raw), 0, 140)])
    with h5py.File(tmp_path / "virtual.h5", "w") as file:
        layout = h5py.VirtualLayout((7, 5), "f4")
        layout[:] = h5py.VirtualSource(str(other), "features", (7, 5))
        file.create_virtual_dataset("features", layout)
    for name in ("link", "soft", "external", "virtual"):
        with pytest.raises(InputError, match=r"link to elsewhere|lies in another file|no data set"):
            read(tmp_path / f"{name}.h5")


def test_numbers_that_are_not_there_are_not_allocated(tmp_path: Path) -> None:
    """A data set of 40 GB that was never written takes a kilobyte of file."""
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("features", (10_000_000, 1024), "f4", chunks=(1000, 1024))
    with pytest.raises(InputError, match="bytes of numbers"):
        read(tmp_path / "a.h5")


@pytest.mark.parametrize(
    ("values", "match"),
    [
        (np.array([[1.0, np.nan]]), "1 tiles have features that are no finite numbers"),
        (np.array([[1e300, 0]]), "no finite numbers"),
        (np.zeros((2, 3, 4)), "shape"),
        (np.zeros((3, 0)), "shape"),
        (np.array([["a", "b"]]), "shape"),
        (np.zeros((3, 2), bool), "type bool"),
    ],
)
def test_what_is_no_table_of_numbers(tmp_path: Path, values: np.ndarray, match: str) -> None:
    np.save(tmp_path / "a.npy", values)
    with pytest.raises(InputError, match=match):
        read(tmp_path / "a.npy")


def test_limits(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", FEATURES)
    for limits in (Limits(max_tiles=6), Limits(max_features=4), Limits(max_file_bytes=10)):
        with pytest.raises(LimitError), bag_reader(limits) as reader:
            reader.read(tmp_path / "a.npy")


def test_a_file_with_anothers_name_and_wrong_coordinates(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", FEATURES)
    (tmp_path / "a.npy").rename(tmp_path / "a.h5")
    with pytest.raises(InputError, match="not what the name says"):
        read(tmp_path / "a.h5")
    write_h5(tmp_path / "b.h5", features=FEATURES, coords=COORDS[:3])
    with pytest.raises(InputError, match="for 7 tiles"):
        read(tmp_path / "b.h5")
    write_h5(tmp_path / "c.h5", other=FEATURES)
    with pytest.raises(InputError, match="no data set 'features'"):
        read(tmp_path / "c.h5")


def test_a_child_that_dies_costs_one_answer(tmp_path: Path) -> None:
    good = write_h5(tmp_path / "a.h5", features=FEATURES)
    with bag_reader() as reader:
        assert len(reader.read(good).features) == 7
        child = reader._child._process
        assert child is not None
        child.kill()
        child.wait()
        with pytest.raises(InputError, match="can't be decoded"):
            reader.read(good)
        assert len(reader.read(good).features) == 7


def test_a_child_that_hangs_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "sleeper.py").write_text("import time\ntime.sleep(60)\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=os.pathsep)
    with (
        DecodingChild("sleeper", Limits(decode_seconds=1)) as child,
        pytest.raises(LimitError, match="not decoded within 1 s"),
    ):
        child.ask({}, "slide")


def test_reading_needs_no_torch() -> None:
    code = "import sys, mmtool.io.readers.feature_bags; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
