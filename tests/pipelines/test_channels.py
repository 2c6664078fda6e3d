"""Cases of several images: names, numbers, folders, grids; and one clear line where they fail."""

from __future__ import annotations

from pathlib import Path

import nibabel
import numpy as np
import pytest

from mmtool.errors import GeometryError, InputError, UsageError
from mmtool.io.limits import Limits
from mmtool.pipelines.channels import CaseScan, Reading, files_of, place_of, read_case
from mmtool.pipelines.samplesheet import (
    BatchItem,
    items_from_paths,
    items_from_sheet,
    numbered_cases,
)

CHANNELS = ("flair", "t1c")


def write(
    path: Path,
    data: np.ndarray | None = None,
    *,
    at: tuple[float, float, float] = (0.0, 0.0, 0.0),
    mm: float = 2.0,
) -> Path:
    """A file with a slope along the first axis."""
    if data is None:
        data = np.arange(12, dtype=np.float32)[:, None, None] * np.ones((1, 10, 8), np.float32)
    affine = np.diag([mm, mm, mm, 1.0])
    affine[:3, 3] = at
    path.parent.mkdir(parents=True, exist_ok=True)
    nibabel.save(nibabel.Nifti1Image(data, affine), path)
    return path


def read(*paths: Path) -> CaseScan:
    item = BatchItem("case", paths, channels=CHANNELS[1 : len(paths)])
    return read_case(files_of(item, CHANNELS, Limits()), CHANNELS, Reading(Limits()))


def test_channels_are_known_by_name_and_by_number() -> None:
    assert [place_of(n, ("FLAIR", "T1-c", "T2")) for n in ("flair", "T1c", "0002", "dwi", "7")] == [
        0, 1, 2, None, None,
    ]  # fmt: skip


def test_files_come_in_the_order_of_the_model(tmp_path: Path) -> None:
    a, b, c = (write(tmp_path / f"{n}.nii") for n in "abc")
    item = BatchItem("case", (a, b, c), channels=("t2", "t1c"))
    assert files_of(item, ("flair", "t1c", "t2"), Limits()) == (a, c, b)


@pytest.mark.parametrize(
    ("channels", "words"),
    [
        ((), "'t1c' is missing; the model takes flair, t1c"),
        (("dwi",), "'dwi' is no further channel"),
        (("flair",), "'flair' is no further channel"),
    ],
)
def test_what_is_missing_or_unknown_is_named(
    tmp_path: Path, channels: tuple[str, ...], words: str
) -> None:
    paths = tuple(write(tmp_path / f"{n}.nii") for n in range(1 + len(channels)))
    with pytest.raises(InputError, match=words) as caught:
        files_of(BatchItem("case", paths, channels=channels), CHANNELS, Limits())
    assert caught.value.exit_code == 3


def test_a_model_of_one_channel_takes_one_image(tmp_path: Path) -> None:
    paths = (write(tmp_path / "a.nii"), write(tmp_path / "b.nii"))
    with pytest.raises(InputError, match="2 images, and the model takes one"):
        files_of(BatchItem("case", paths, channels=("t1c",)), ("image",), Limits())


def test_a_folder_with_a_file_for_each_channel(tmp_path: Path) -> None:
    for name in ("sub-01_FLAIR.nii.gz", "sub-01_t1c.nii.gz", "label.nii.gz"):
        write(tmp_path / "sub" / name)
    files = files_of(BatchItem("sub", (tmp_path / "sub",)), CHANNELS, Limits())
    assert [p.name for p in files] == ["sub-01_FLAIR.nii.gz", "sub-01_t1c.nii.gz"]
    write(tmp_path / "sub/other_t1c.nii.gz")
    with pytest.raises(InputError, match="are both 't1c'"):
        files_of(BatchItem("sub", (tmp_path / "sub",)), CHANNELS, Limits())


def test_a_folder_in_the_naming_of_nnunet_is_a_batch(tmp_path: Path) -> None:
    for case in "ab":
        for number in range(2):
            write(tmp_path / f"im/{case}_{number:04d}.nii.gz")
    items = items_from_paths([tmp_path / "im"])
    assert [(i.name, i.channels) for i in items] == [("a", ("1",)), ("b", ("1",))]
    files = files_of(items[1], CHANNELS, Limits())
    assert [p.name for p in files] == ["b_0000.nii.gz", "b_0001.nii.gz"]
    (tmp_path / "im/b_0000.nii.gz").unlink()
    with pytest.raises(InputError, match="case 'b' has no channel 0000"):
        items_from_paths([tmp_path / "im"])


def test_numbers_that_are_years_make_no_batch(tmp_path: Path) -> None:
    write(tmp_path / "scan_2019.nii")
    assert numbered_cases(tmp_path) == []
    assert numbered_cases(tmp_path / "scan_2019.nii") == []


def test_channels_belong_to_one_scan(tmp_path: Path) -> None:
    a, b = tmp_path / "a.nii", tmp_path / "b.nii"
    (item,) = items_from_paths([a], {"t1c": b})
    assert (item.inputs, item.channels) == ((a, b), ("t1c",))
    with pytest.raises(UsageError, match="--channel goes with one scan"):
        items_from_paths([a, tmp_path / "c.nii"], {"t1c": b})
    with pytest.raises(UsageError, match="more than once"):
        items_from_paths([a], {"t1c": a})


def test_columns_of_a_sheet_are_named_after_channels(tmp_path: Path) -> None:
    sheet = tmp_path / "cases.tsv"
    sheet.write_text("id\tT1c\tFLAIR\ttext\none\tb.nii\ta.nii\tno oedema\ntwo\t\tc.nii\t\n")
    items = items_from_sheet(sheet, params=("text",), channels=("flair", "t1c"))
    assert items[0].inputs == (tmp_path / "a.nii", tmp_path / "b.nii")
    assert (items[0].channels, items[0].params) == (("t1c",), {"text": "no oedema"})
    assert (items[1].inputs, items[1].channels) == ((tmp_path / "c.nii",), ())
    with pytest.raises(InputError, match="unknown column 't1c'"):
        items_from_sheet(sheet, params=("text",), channels=("flair",))


def test_one_file_may_hold_all_channels(tmp_path: Path) -> None:
    data = np.random.default_rng(0).normal(size=(6, 5, 4, 2)).astype(np.float32)
    case = read(write(tmp_path / "both.nii.gz", data))
    np.testing.assert_array_equal(case.data, np.moveaxis(data, 3, 0))
    assert case.scan.shape == (6, 5, 4)
    vector = write(tmp_path / "vector.nii.gz", data[:, :, :, None])  # as MONAI may save them
    np.testing.assert_array_equal(read(vector).data, case.data)
    three = write(tmp_path / "three.nii", np.zeros((6, 5, 4, 3), np.int16))
    with pytest.raises(InputError, match=r"3 volumes along the fourth axis.* takes 2"):
        read(three)


def test_one_grid_is_read_as_it_is(tmp_path: Path) -> None:
    a = write(tmp_path / "a.nii")
    b = write(tmp_path / "b.nii", np.full((12, 10, 8), np.nan, np.float32))
    case = read(a, b)
    assert case.notes == ()
    assert set(case.sha256) == {str(a), str(b)}
    assert (case.data[1] == 0).all()


def test_another_grid_is_resampled_and_told(tmp_path: Path) -> None:
    a = write(tmp_path / "a.nii")
    slope = np.arange(20, dtype=np.float32)[:, None, None] * np.ones((1, 10, 8), np.float32)
    case = read(a, write(tmp_path / "b.nii", slope, at=(-3.0, 0.0, 0.0)))
    np.testing.assert_allclose(case.data[1], slope[:12] + 1.5, atol=1e-4)
    assert case.notes == ("'t1c' was resampled to the grid of 'flair' (linearly)",)


def test_the_same_voxels_stored_the_other_way_round(tmp_path: Path) -> None:
    a = write(tmp_path / "a.nii", np.random.default_rng(0).normal(size=(6, 5, 4)).astype("f4"))
    image = nibabel.load(a)
    flipped = image.as_reoriented([[2, -1], [0, 1], [1, -1]])
    nibabel.save(flipped, tmp_path / "b.nii")
    case = read(a, tmp_path / "b.nii")
    np.testing.assert_allclose(case.data[1], case.data[0], atol=1e-5)


def test_finer_channels_are_smoothed_before(tmp_path: Path) -> None:
    a = write(tmp_path / "a.nii")
    noise = np.random.default_rng(1).normal(size=(48, 40, 32)).astype(np.float32)
    case = read(a, write(tmp_path / "b.nii", noise, mm=0.5, at=(-0.75, -0.75, -0.75)))
    assert case.data[1, 1:-1, 1:-1, 1:-1].std() < 0.3


def test_channels_of_different_places_are_refused(tmp_path: Path) -> None:
    a, b = write(tmp_path / "a.nii"), write(tmp_path / "b.nii", at=(500.0, 0.0, 0.0))
    with pytest.raises(GeometryError, match="'t1c' does not lie where") as caught:
        read(a, b)
    assert caught.value.exit_code == 3
