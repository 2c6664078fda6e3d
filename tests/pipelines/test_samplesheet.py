"""Names and sample sheets: every bad line is named, every folder is safe and unique."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmtool.errors import InputError, UsageError
from mmtool.pipelines.samplesheet import items_from_paths, items_from_sheet, slug, stem_of


def sheet(tmp_path: Path, content: str | bytes) -> Path:
    path = tmp_path / "sheet.csv"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


@pytest.mark.parametrize(
    ("name", "stem"),
    [
        ("scan.nii.gz", "scan"),
        ("sub-01 T1w.nii", "sub-01_T1w"),
        ("1.2.840.113", "1.2.840.113"),
        ("a.NII.GZ", "a"),
        ("v1.5.mgz", "v1.5"),
        ("../../tmp/pwn.zip", "pwn"),
        ("Ärztin.nrrd", "rztin"),
        (".nii", "nii"),
    ],
)
def test_stems(name: str, stem: str) -> None:
    assert stem_of(Path(name)) == stem


@given(st.text(max_size=200))
def test_slugs_are_safe_folder_names(text: str) -> None:
    name = slug(text)
    assert 0 < len(name) <= 80
    assert "/" not in name
    assert not name.startswith((".", "-"))


def test_equal_stems_get_a_suffix_that_depends_on_the_path_alone() -> None:
    paths = [Path("a/T1.nii.gz"), Path("b/t1.nii"), Path("c/other.nii")]
    names = [item.name for item in items_from_paths(paths)]
    backwards = [item.name for item in items_from_paths(paths[::-1])][::-1]
    assert names == backwards
    assert names[2] == "other"
    assert names[0].startswith("T1-")
    assert len({n.lower() for n in names}) == 3


def test_an_input_given_twice_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match="more than once"):
        items_from_paths([Path("a.nii"), Path("a.nii")])


def test_rows_with_ids_params_bom_and_windows_line_ends(tmp_path: Path) -> None:
    (tmp_path / "note.txt").write_text("both thalami")
    path = sheet(
        tmp_path,
        b"\xef\xbb\xbfid,Scan,text\r\np1,sub/a.nii.gz,note.txt\r\n\r\n"
        b'p2,/x/b.nii,"left, right"\r\n',
    )
    first, second = items_from_sheet(path, params=("text",), path_params={"text"})
    assert (first.name, first.inputs) == ("p1", (tmp_path / "sub/a.nii.gz",))
    assert first.params == {"text": str(tmp_path / "note.txt")}
    assert second.inputs == (Path("/x/b.nii"),)
    assert second.params == {"text": "left, right"}


def test_tabs_are_told_from_commas(tmp_path: Path) -> None:
    path = sheet(tmp_path, "input\ttext\na.nii\tleft, right\nb.nii\t\n")
    items = items_from_sheet(path, params=("text",))
    assert [i.params for i in items] == [{"text": "left, right"}, {}]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "empty"),
        ("input,id\n", "no rows"),
        ("file,id\na,b\n", "no input column"),
        ("input,scan\na,b\n", "more than one input column"),
        ("input,input\na,b\n", "stands twice"),
        ("input,tex\na,b\n", "unknown column 'tex'"),
        ("input,id\na,x\nb,X\n", "line 3: the id names the same folder as that of line 2"),
        ("input,id\na,x/y\nb,x_y\n", "line 3"),
        ("input,id\na,\n", "line 2: the column id is empty"),
        ("input,id\n,x\n", "line 2: the column input is empty"),
        ("input,id\na,x,y\n", "line 2: 3 cells under 2 columns"),
        ("input\na\na\n", "several rows"),
        ("input;id\na;b\n", "semicolons"),
        ('input,id\n"a,b\n', "line"),
        (b"input\n\xff\xfe\n", "not UTF-8"),
    ],
)
def test_bad_sheets_are_named(tmp_path: Path, content: str | bytes, message: str) -> None:
    with pytest.raises(InputError, match=message):
        items_from_sheet(sheet(tmp_path, content), params=("text",))


def test_a_near_miss_is_suggested(tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        items_from_sheet(sheet(tmp_path, "input,txt\na,b\n"), params=("text",))
    assert "'text'" in caught.value.hint


def test_a_missing_sheet_is_an_input_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        items_from_sheet(tmp_path / "none.csv")
