"""The index on disk: what is committed stays, what is not vanishes, and damage is told."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from mmtool.errors import DeviceError, InputError, ModelError, UsageError
from mmtool.io.index import (
    AllOf,
    AnyOf,
    Compare,
    Failure,
    Filter,
    IndexReader,
    IndexWriter,
    NewItem,
    Not,
    OneOf,
    Space,
    Stamp,
)
from mmtool.io.index import segments as segment_files
from mmtool.retrieval import Kind, Source

DIM = 6
SPACE = Space("picture", "toy", "0" * 64, {"size": 8}, DIM)


def unit(seed: int) -> np.ndarray:
    """(DIM,) of length 1."""
    vector = np.random.default_rng(seed).normal(size=DIM)
    return np.asarray(vector / np.linalg.norm(vector), np.float32)


def item(k: int, kind: Kind = "image", parts: bool = False, **words: object) -> NewItem:
    """The item k; its vector is ``unit(k)``."""
    source = Source(f"a/{k}.png", f"/data/a/{k}.png", kind, f"{k:064x}", **words)  # type: ignore[arg-type]
    rows = {"picture": (np.full((k % 3, 4), k % 7, np.float32), np.zeros((k % 3, 4), np.float32))}
    return NewItem(
        source,
        Stamp("", f"1:{k}", ""),
        dhash=f"{k:016x}",
        thumbnail=b"jpeg" if k % 2 else b"",
        vectors={"picture": unit(k)} if kind == "image" else {},
        parts=rows if parts else {},
    )


def written(folder: Path, items: list[NewItem], every: int = 1000) -> Path:
    """An index of some items."""
    with IndexWriter(folder) as writer:
        writer.use_space(SPACE)
        for start in range(0, len(items), every):
            writer.add(items[start : start + every])
            writer.commit()
    return folder


def check_whole(folder: Path) -> set[str]:
    """Keys in an index whose vectors are all there and right."""
    with IndexReader(folder) as reader:
        ids, blocks = reader.vectors("picture")
        there = {i.id: i for i in reader.items(reader.select().tolist())}
        rows = np.concatenate(blocks) if blocks else np.zeros((0, DIM), np.float32)
        assert sorted(i for i in ids if i) == sorted(there)
        for number, row in zip(ids, rows, strict=True):
            if number:
                k = int(Path(there[int(number)].source.key).stem)
                np.testing.assert_array_equal(row, unit(k))
        return {i.source.key for i in there.values()}


def test_what_is_written_is_read(tmp_path: Path) -> None:
    facts = {"modality": "MR", "plane": "axial", "age": "44", "date": "2019-04"}
    rich = item(1, facts=facts, group="case 7", text="A cyst.", extra={"finding": "cyst"})
    folder = written(tmp_path / "x.mmidx", [rich, item(2)])
    with IndexReader(folder) as reader:
        assert reader.select().tolist() == [1, 2]
        first, second = reader.items([1, 2])
        assert first.source == rich.source
        assert (first.dhash, first.thumbnail) == (rich.dhash, b"jpeg")
        assert second.thumbnail == b""
        assert reader.items([2, 99, 1])[1] == first
        ids, (block,) = reader.vectors("picture")
        assert ids.tolist() == [1, 2]
        assert isinstance(block, np.memmap)
        np.testing.assert_array_equal(block, [unit(1), unit(2)])
        assert reader.spaces() == {"picture": SPACE}
        assert reader.columns() == {"finding"}
        assert reader.manifest["kinds"] == {"image": 2}
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest["schema_version"] == 1
    assert manifest["spaces"]["picture"]["vectors"] == 2


def test_paths_follow_a_folder_that_moves_with_its_index(tmp_path: Path) -> None:
    (tmp_path / "study").mkdir()
    with IndexWriter(tmp_path / "study/x.mmidx") as writer:
        source = Source("a.png", str(tmp_path / "study/a.png"), "image", "0")
        writer.add([NewItem(source)])
        writer.commit()
    (tmp_path / "study").rename(tmp_path / "moved")
    with IndexReader(tmp_path / "moved/x.mmidx") as reader:
        assert reader.items([1])[0].source.path == str(tmp_path / "moved/a.png")


def test_replaced_and_removed_items_are_gone_at_once_and_after_tidying(tmp_path: Path) -> None:
    folder = written(tmp_path / "x", [item(k, parts=k % 2 == 0) for k in range(20)], every=4)
    with IndexWriter(folder) as writer:
        writer.use_space(SPACE)
        writer.add([item(3)])
        writer.remove([1, 20])
        writer.commit()
        assert writer.entries()[-1][1] == 21
        keys = {f"a/{k}.png" for k in range(1, 19)}
        assert check_whole(folder) == keys
        with IndexReader(folder) as before:
            writer.compact()
            ids, blocks = before.vectors("picture")
            assert sum(len(b) for b in blocks) == len(ids) == 21
    assert check_whole(folder) == keys
    with IndexReader(folder) as reader:
        ids, blocks = reader.vectors("picture")
        assert (ids > 0).all()
        assert len(blocks) == 2  # with parts and without
        rows, places = reader.parts("picture", [9])[9]
        assert (rows.shape, places.shape) == ((2, 4), (2, 4))
        assert (rows == 8 % 7).all()
        assert reader.parts("picture", [1, 2]) == {}
    with IndexWriter(folder) as writer:
        writer.use_space(SPACE)
        writer.add([item(50)])
        writer.commit()
    with IndexReader(folder) as reader:
        assert reader.select()[-1] == 22  # numbers are never used again


def test_words(tmp_path: Path) -> None:
    texts = ["A ring-enhancing lesion.", "No lesions; no masses.", "Normal chest.", "Mass, mass."]
    items = [item(k, "text" if k else "image", text=t) for k, t in enumerate(texts)]
    with IndexReader(written(tmp_path / "x", items)) as reader:
        hits = reader.words(["lesion", "mass", "ring-enhancing"])
        assert {h.id: h.matched for h in hits} == {
            1: ("lesion", "ring-enhancing"),
            2: ("lesion", "mass"),
            4: ("mass",),
        }
        assert hits[0].score > hits[1].score > 0
        assert [h.id for h in reader.words(["lesion"], kinds=["text"])] == [2]
        assert len(reader.words(["lesion", "mass"], limit=1)) == 1
        assert reader.words(['"', "", "-", "NEAR(", "x OR y", "lesion*", "text:"]) != []
        assert reader.words([]) == []


A, B, C = Compare("modality", "=", "mri"), Compare("age", ">=", "60"), Compare("sex", "=", "F")


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        (A, [1, 2]),
        (B, [2, 3]),
        (AllOf((A, B)), [2]),
        (AnyOf((A, B)), [1, 2, 3]),
        (Not(A), [3, 4]),
        (Not(B), [1, 4]),
        (C, [1]),
        (Compare("sex", "!=", "female"), [2, 3, 4]),
        (Compare("age", "!=", "44"), [2, 3, 4]),
        (Compare("age", "<", "60y"), [1]),
        (Compare("date", "=", "2019"), [1, 2]),
        (Compare("date", "<=", "2019-04"), [1, 2]),
        (Compare("date", ">", "2019-04-01"), [2, 3]),
        (Compare("text", "~", "CYST"), [2]),
        (Compare("finding", "=", "Cyst"), [1]),
        (Compare("size", ">", "9"), [2]),
        (OneOf("modality", ("CT", "xray")), [3]),
        (OneOf("modality", ()), []),
        (Compare("kind", "=", "text"), [4]),
        (Compare("group", "=", "x' OR 1=1 --"), []),
        (AllOf(()), [1, 2, 3, 4]),
        (AnyOf(()), []),
    ],
)
def test_filters(tmp_path: Path, condition: Filter, expected: list[int]) -> None:
    f = {"modality": "MR", "sex": "female", "age": "44", "date": "2019"}
    items = [
        item(0, facts=f, extra={"finding": "cyst", "size": "9"}),
        item(
            1,
            facts={"modality": "MR", "age": "60", "date": "2019-04-30"},
            text="a Cyst",
            extra={"size": "10"},
        ),
        item(2, facts={"modality": "XR", "age": "71.5", "sex": "male", "date": "2020"}),
        item(3, "text"),
    ]
    with IndexReader(written(tmp_path / "x", items)) as reader:
        assert reader.select(condition).tolist() == expected


def test_filters_that_name_nothing(tmp_path: Path) -> None:
    with IndexReader(written(tmp_path / "x", [item(1)])) as reader:
        with pytest.raises(UsageError, match="nothing in the index is named 'colour'"):
            reader.select(Compare("colour", "=", "red"))
        with pytest.raises(UsageError, match="no kind 'movie'"):
            reader.select(Compare("kind", "=", "movie"))
        with pytest.raises(UsageError, match="is no age"):
            reader.select(Compare("age", ">", "old"))
        with pytest.raises(UsageError, match="no vectors of 'molecule'"):
            reader.vectors("molecule")


def test_failures_come_and_go(tmp_path: Path) -> None:
    with IndexWriter(tmp_path / "x") as writer:
        writer.use_space(SPACE)
        writer.fail([Failure("a/1.png", "/data/a/1.png", "image", "cut short")])
        writer.commit()
        assert writer.known(["a/1.png"])["a/1.png"].reason == "cut short"
        with IndexReader(tmp_path / "x") as reader:
            assert [f.reason for f in reader.failures()] == ["cut short"]
        writer.add([item(1)])
        writer.commit()
        assert writer.known(["a/1.png", "b"])["a/1.png"].id == 1
        writer.fail([Failure("a/1.png", "/data/a/1.png", "image", "broken now")])
        writer.commit()
    assert check_whole(tmp_path / "x") == set()


def test_another_encoder_is_refused(tmp_path: Path) -> None:
    folder = written(tmp_path / "x", [item(1)])
    with IndexWriter(folder) as writer:
        writer.use_space(SPACE)
        with pytest.raises(ModelError, match="not from 'other'") as caught:
            writer.use_space(Space("picture", "other", "1" * 64, {"size": 8}, DIM))
        assert "--rebuild" in caught.value.hint
        with pytest.raises(ModelError, match="other weights or settings"):
            writer.use_space(Space("picture", "toy", "0" * 64, {"size": 9}, DIM))


def test_two_writers(tmp_path: Path) -> None:
    folder = written(tmp_path / "x", [item(1)])
    with IndexWriter(folder), pytest.raises(InputError, match=f"process {os.getpid()} on ") as said:
        IndexWriter(folder)
    assert "wait until it is done" in said.value.hint
    with IndexWriter(folder):
        pass


def test_what_is_not_committed_is_dropped_and_swept(tmp_path: Path) -> None:
    folder = written(tmp_path / "x", [item(1)])
    with IndexWriter(folder) as writer:
        writer.use_space(SPACE)
        writer.add([item(2)])
    stray = folder / "vectors/picture/77.vectors.npy"
    stray.write_bytes(b"half")
    assert check_whole(folder) == {"a/1.png"}
    with IndexWriter(folder) as writer:
        assert writer.swept == 1
    assert not stray.exists()


def test_a_full_disk_loses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = written(tmp_path / "x", [item(1)])
    with IndexWriter(folder) as writer:
        writer.use_space(SPACE)
        writer.add([item(2)])

        def full(handle: int) -> None:
            raise OSError(errno.ENOSPC, "No space left on device")

        with monkeypatch.context() as patched:
            patched.setattr(segment_files.os, "fsync", full)
            with pytest.raises(DeviceError, match="no space is left") as caught:
                writer.commit()
        assert "goes on where it stopped" in caught.value.hint
        assert check_whole(folder) == {"a/1.png"}
        writer.commit()  # there is room again
    assert check_whole(folder) == {"a/1.png", "a/2.png"}


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def _newer(folder: Path) -> None:
    path = folder / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"schema_version": 2}))


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        (_newer, "an index of schema 2; this mmtool reads up to 1"),
        (lambda f: _cut(f / "items.sqlite"), "cut short"),
        (lambda f: (f / "items.sqlite").unlink(), "not whole"),
        (lambda f: (f / "items.sqlite").write_bytes(b"x" * 5000), "not the database"),
        (lambda f: (f / "manifest.json").write_text("{"), "manifest.json is broken"),
        (lambda f: (f / "manifest.json").write_text("[]"), "not that of an index"),
        (lambda f: (f / "manifest.json").unlink(), "manifest.json is absent"),
        (lambda f: _cut(f / "vectors/picture/1.vectors.npy"), "absent or cut short"),
        (lambda f: (f / "vectors/picture/1.ids.npy").unlink(), "absent or cut short"),
        (lambda f: np.save(f / "vectors/picture/1.ids.npy", np.zeros(9)), "absent or cut short"),
        (lambda f: [p.unlink() for p in f.glob("*.*")], "not an index"),
    ],
)
def test_damaged_folders(tmp_path: Path, harm: Callable[[Path], object], message: str) -> None:
    folder = written(tmp_path / "x", [item(k, text="words " * 50) for k in range(200)])
    harm(folder)
    with pytest.raises(InputError, match=message) as caught:
        IndexReader(folder)
    assert caught.value.hint


def test_a_scrambled_database_is_an_input_error(tmp_path: Path) -> None:
    folder = written(tmp_path / "x", [item(k, text="words " * 50) for k in range(200)])
    path = folder / "items.sqlite"
    raw = bytearray(path.read_bytes())
    raw[4096:] = bytes(len(raw) - 4096)
    path.write_bytes(raw)
    with pytest.raises(InputError, match="damaged"), IndexReader(folder) as reader:
        reader.items(reader.select().tolist())


def test_other_folders_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/thesis.txt").write_text("x")
    with pytest.raises(InputError, match="holds other files"):
        IndexWriter(tmp_path / "mine")
    with pytest.raises(InputError, match="a file, not an index"):
        IndexWriter(tmp_path / "mine/thesis.txt")
    with pytest.raises(InputError, match="no such index"):
        IndexReader(tmp_path / "none")


WRITE_FOR_EVER = """
    import sys
    from pathlib import Path
    sys.path.insert(0, {here!r})
    from test_index_store import SPACE, IndexWriter, item
    with IndexWriter(Path(sys.argv[1])) as writer:
        writer.use_space(SPACE)
        k = int(sys.argv[2])
        while True:
            for step in range(7):
                writer.add([item(k + step, text="some words " * 20)])
            writer.remove([k % 50 + 1])
            writer.commit()
            print(k, flush=True)
            k += 7
            if k % 5 == 0:
                writer.compact()
"""


def test_killed_at_any_moment(tmp_path: Path) -> None:
    """Of a writer that dies, all that it said was committed is there, and nothing is half."""
    folder = tmp_path / "x"
    code = textwrap.dedent(WRITE_FOR_EVER.format(here=str(Path(__file__).parent)))
    rng = np.random.default_rng(0)
    committed = 0
    for _ in range(6):
        command = [sys.executable, "-c", code, str(folder), str(committed)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            said = [process.stdout.readline()]
            time.sleep(rng.uniform(0, 0.15))
            process.send_signal(signal.SIGKILL)
            said += process.stdout.readlines()
        whole = [line for line in said if line.endswith("\n")]
        last = int(whole[-1])
        keys = check_whole(folder)
        assert {f"a/{k}.png" for k in range(last, last + 7)} <= keys
        committed = last + 7
