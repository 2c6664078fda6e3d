"""A table that is none, or that means harm, ends in one line that says what is wrong."""

from __future__ import annotations

import gzip
import random
from pathlib import Path

import pytest

from mmtool.errors import InputError, LimitError
from mmtool.io.limits import Limits
from mmtool.io.readers.receptors import open_receptors

HEAD = "v_call\tj_call\tjunction_aa\n"
ROW = "TRBV19\tTRBJ2-7\tCASSIRSSYEQYF\n"
JUNK = bytes(random.Random(0).randbytes(5000))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "the file is empty"),
        (b"\n\n", "the first line is empty"),
        (JUNK, "binary data"),
        (HEAD.encode() + b"TRBV19\t\0\tCASSF\n", "binary data"),
        ((HEAD + "TRBV19\t\0\tCASSF\n").encode("utf-16"), "binary data"),
        (b"\xff\xfe\x00\xd8\x00\xd8", "broken utf-16 text"),
        (b"PK\x03\x04 xlsx", "Excel"),
        (b"\x89HDF\r\n", "HDF5"),
        (b"colour,size\nred,1\n", "no column of CDR3s among colour, size"),
        (b"cdr3b,cdr3b\nCASSF,CASSF\n", "column 'cdr3b' stands twice"),
        (HEAD.encode() + b'TRBV19\t"TRBJ2-7\tCASSF\n' + ROW.encode(), "line 2"),
        (HEAD.encode() + b"a\tb\tc\td\n", "line 2: 4 cells under 3 columns"),
        (HEAD.encode() + b"x" * 1_000_000 + b"\n", "line 2: more than 250,000 characters"),
        (gzip.compress((HEAD + ROW).encode())[:-9], "can't be read"),
        (b"\x1f\x8b junk", "can't be read"),
    ],
)
def test_what_is_no_table(content: bytes, words: str, tmp_path: Path) -> None:
    path = tmp_path / "table"
    path.write_bytes(content)
    with pytest.raises(InputError, match=words) as error:
        list(open_receptors(path)[0].rows())
    assert error.value.hint
    assert "\n" not in error.value.message
    assert len(error.value.message) < 300


def test_no_file_and_a_folder(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="a folder"):
        open_receptors(tmp_path)
    with pytest.raises(InputError, match="no such file"):
        open_receptors(tmp_path / "none")


def test_a_gzip_bomb_is_not_inflated(tmp_path: Path) -> None:
    path = tmp_path / "bomb.tsv.gz"
    with gzip.open(path, "wb") as file:
        file.write(HEAD.encode())
        for _ in range(80):
            file.write(b"\n" * (1 << 20))
    with pytest.raises(LimitError, match="inflates"):
        open_receptors(path)
    with pytest.raises(LimitError, match="inflates"):
        open_receptors(path, Limits(max_inflated_bytes=1 << 20, max_inflation=10**9))
    with pytest.raises(LimitError, match="bytes are more"):
        open_receptors(path, Limits(max_file_bytes=10))


def test_a_column_twice_matters_only_if_it_is_needed(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("note,cdr3b,note\na,CASSIRSSYEQYF,b\n")
    table, _ = open_receptors(path)
    assert next(table.rows())[1] == ["a", "CASSIRSSYEQYF", "b"]
