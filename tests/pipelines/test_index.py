"""From files and tables to an index: what is read, what is not read again, what can't be read."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path

import numpy as np
import pytest
from dicom_series import grid, write_series
from PIL import Image
from slides import tissue_picture, write_tiled_tiff

from mmtool.errors import DeviceError, InputError, ModelError, UsageError
from mmtool.io.index import Compare, IndexReader
from mmtool.io.index import segments as segment_files
from mmtool.io.readers.dicom_files import parse
from mmtool.pipelines import index_spaces
from mmtool.pipelines.index import IndexRequest, IndexResult, run
from mmtool.pipelines.indexing_columns import parse_columns, recognise
from mmtool.retrieval import Item


def picture(path: Path, seed: int) -> Path:
    """A PNG of coarse noise, different for each seed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    small = np.random.default_rng(seed).integers(0, 255, (9, 9), np.uint8)
    Image.fromarray(small).resize((80, 80), Image.Resampling.BICUBIC).save(path)
    return path


@pytest.fixture
def study(tmp_path: Path) -> Path:
    """A folder with a bit of everything."""
    folder = tmp_path / "study"
    for k in range(3):
        picture(folder / f"films/images/{k}.png", k)
    rows = ["file,caption,Modality,view,Sex,Age,Patient ID,finding,study date"]
    rows += [
        f'{k}.png,"Film {k}, a nodule.",X-ray,PA,{"FM"[k % 2]},{40 + k},P{k % 2},nodule,2019-04-03'
        for k in range(3)
    ]
    (folder / "films/films.csv").write_text("\n".join(rows))
    picture(folder / "loose/a.png", 7)
    (folder / "reports").mkdir()
    (folder / "reports/one.txt").write_text("No pleural effusion.")
    lines = [{"uid": k, "findings": f"Lesion {k}.", "impression": "Cyst."} for k in range(3)]
    lines.append({"uid": 9, "findings": "", "impression": None})
    (folder / "reports/more.jsonl").write_text("\n".join(json.dumps(line) for line in lines))
    (folder / "drugs.smi").write_text("CCO ethanol\nOCC again\nC1CC broken\n")
    (folder / "proteins.fasta").write_text(">p1 insulin chain\nGIVEQCCTSICSLYQLENYCN\n>p2\n12\n")
    affine = grid("LPS", (1, 1, 2))
    data = np.random.default_rng(0).integers(0, 900, (20, 18, 5)).astype(np.int16)
    write_series(folder / "ct", data, affine, BodyPartExamined="HEAD", StudyInstanceUID="1.2")
    (folder / "README.md").write_text("About this folder.")
    (folder / "script.py").write_text("pass")
    return folder


def indexed(*sources: Path, to: Path, **options: object) -> IndexResult:
    """Index with the encoder that needs no weights."""
    return run(IndexRequest(sources, to, model="hog", device="cpu", **options))  # type: ignore[arg-type]


def items(folder: Path) -> dict[str, Item]:
    """Items of an index by the end of their keys."""
    with IndexReader(folder) as reader:
        found = reader.items(reader.select().tolist())
    return {Path(i.source.key).name: i for i in found}


def test_a_folder_with_a_bit_of_everything(study: Path, tmp_path: Path) -> None:
    result = indexed(study, to=tmp_path / "x.mmidx")
    assert result.added == {"image": 4, "text": 4, "molecule": 2, "protein": 1, "volume": 1}
    assert {(Path(f.path).name, f.reason) for f in result.failures} == {
        ("drugs.smi", "a SMILES that can't be read"),
        ("proteins.fasta", "letters that are no protein"),
    }
    assert result.passed == {"rows without words": 1, ".md": 1, ".py": 1}
    found = items(tmp_path / "x.mmidx")
    film = found["1.png"].source
    assert film.facts == {
        **{"modality": "XR", "plane": "frontal", "sex": "male", "age": "41"},
        **{"date": "2019", "source": "films"},
    }
    assert film.text == "Film 1, a nodule."
    assert film.path == str(study / "films/images/1.png")
    assert "P1" not in str(film)
    assert film.group == found["1.png"].source.group != found["0.png"].source.group
    assert film.extra["finding"] == "nodule"
    assert found["1.png"].thumbnail
    assert found["one.txt"].source.text == "No pleural effusion."
    assert found["more.jsonl#2"].source.text == "Findings: Lesion 2.\nImpression: Cyst."
    assert found["proteins.fasta#p1"].source.content == "GIVEQCCTSICSLYQLENYCN"
    volume = next(i.source for i in found.values() if i.source.kind == "volume")
    assert volume.facts["anatomy"] == "head"
    assert "Secret" not in str(volume)
    with IndexReader(tmp_path / "x.mmidx") as reader:
        ids, _ = reader.vectors("picture")
        assert len(ids) == 5
        drugs, rows = reader.vectors("molecule")
        np.testing.assert_array_equal(rows[0][0], rows[0][1])  # ethanol, written in two ways
        assert (len(drugs), len(reader.vectors("protein")[0])) == (2, 1)
        assert [h.id for h in reader.words(["nodule"])] == reader.select(
            Compare("modality", "=", "cxr")
        ).tolist()
    assert [(d.kind, d.bits) for d in result.duplicates] == [("same molecule", 0)]


def test_only_what_is_new_or_changed_is_read(study: Path, tmp_path: Path) -> None:
    to = tmp_path / "x.mmidx"
    first = indexed(study, to=to)
    before = {k: i.id for k, i in items(to).items()}
    again = indexed(study, to=to)
    assert (again.written, again.unchanged) == (0, first.written)
    assert len(again.failures) == 2
    picture(study / "films/images/1.png", 77)
    os.utime(study / "loose/a.png", (1, 1))
    picture(study / "loose/b.png", 8)
    third = indexed(study, to=to)
    assert third.added == {"image": 1}
    assert third.changed == 1
    after = {k: i.id for k, i in items(to).items()}
    assert {k for k in before if before[k] != after[k]} == {"1.png"}
    assert indexed(study, to=to, force_reread=True).changed == first.written + 1


def test_a_table_that_changed_changes_its_rows(study: Path, tmp_path: Path) -> None:
    to, table = tmp_path / "x.mmidx", study / "films/films.csv"
    indexed(study, to=to)
    table.write_text(table.read_text().replace("Film 2", "Plate 2"))
    assert indexed(study, to=to).changed == 1
    assert items(to)["2.png"].source.text == "Plate 2, a nodule."
    assert indexed(study / "films/images", to=to).written == 0  # the table's words stay
    assert items(to)["2.png"].source.text == "Plate 2, a nodule."


def test_prune_takes_out_what_is_gone_and_nothing_else(study: Path, tmp_path: Path) -> None:
    to = tmp_path / "x.mmidx"
    indexed(study, to=to)
    (study / "films/images/0.png").unlink()
    (study / "drugs.smi").write_text("CCO ethanol\n")
    (study / "reports/one.txt").unlink()
    kept = indexed(study / "reports", to=to)
    assert kept.removed == 0
    assert "0.png" in items(to)
    pruned = indexed(study, to=to, prune=True)
    assert pruned.removed == 2
    assert {Path(f.path).name for f in pruned.failures} == {"0.png", "proteins.fasta"}
    assert {"0.png", "one.txt", "drugs.smi#again"}.isdisjoint(items(to))
    assert len(indexed(study / "loose", to=to, prune=True).failures) == 1
    assert "proteins.fasta#p1" in items(to)


def test_copies_are_told(study: Path, tmp_path: Path) -> None:
    whole = study / "loose/a.png"
    (study / "loose/copy.png").write_bytes(whole.read_bytes())
    Image.open(whole).resize((70, 70)).save(study / "loose/small.jpg", quality=60)
    result = indexed(study / "loose", to=tmp_path / "x")
    assert sorted(d.kind for d in result.duplicates) == ["alike", "alike", "same bytes"]
    lines = (tmp_path / "x/duplicates.tsv").read_text().splitlines()
    assert len(lines) == 4


def test_many_broken_files_among_good_ones(tmp_path: Path) -> None:
    for k in range(60):
        (tmp_path / f"in/{k}.png").parent.mkdir(exist_ok=True)
        (tmp_path / f"in/{k}.png").write_bytes(b"\x89PNG\r\n\x1a\n broken")
    picture(tmp_path / "in/good.png", 1)
    (tmp_path / "in/broken.csv").write_text('path,caption\n"a')
    result = indexed(tmp_path / "in", to=tmp_path / "x")
    assert (len(result.failures), result.written) == (61, 1)
    assert len((tmp_path / "x/failures.tsv").read_text().splitlines()) == 62


def test_a_dicom_folder_of_films_and_a_broken_file(tmp_path: Path) -> None:
    data = np.random.default_rng(0).integers(0, 900, (20, 18, 2)).astype(np.int16)
    paths = write_series(tmp_path / "in", data, grid("LPS", (1, 1, 2)), Modality="CR")
    whole = paths[0].read_bytes()
    (tmp_path / "in/cut.dcm").write_bytes(whole[: len(whole) - 300])
    result = indexed(tmp_path / "in", to=tmp_path / "x")
    assert result.added == {"image": 2}
    assert [Path(f.path).name for f in result.failures] == ["cut.dcm"]
    group = {i.source.group for i in items(tmp_path / "x").values()}
    assert len(group) == 1
    assert str(parse(paths[0], IndexRequest((), tmp_path).limits).StudyInstanceUID) not in group
    named = indexed(tmp_path / "in", to=tmp_path / "y", identifiers=True)
    assert named.written == 2
    assert next(iter(items(tmp_path / "y").values())).source.extra["PatientName"] == "Secret^Person"


def test_nothing_to_index(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="nothing to index, no files"):
        indexed(tmp_path / "empty", to=tmp_path / "x")
    (tmp_path / "empty/a.py").write_text("pass")
    with pytest.raises(InputError, match=r"nothing to index among 1 \.py"):
        indexed(tmp_path / "empty", to=tmp_path / "x")
    with pytest.raises(InputError, match="no such file"):
        indexed(tmp_path / "absent", to=tmp_path / "y")
    assert not (tmp_path / "y").exists()
    (tmp_path / "t.csv").write_text("alpha,beta\n1,2\n")
    result = indexed(to=tmp_path / "x", tables=(tmp_path / "t.csv",))
    assert "no column of paths" in result.failures[0].reason


def test_a_full_disk_keeps_what_was_indexed(
    study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    to = tmp_path / "x.mmidx"
    indexed(study / "loose", to=to)

    def full(handle: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(segment_files.os, "fsync", full)
        with pytest.raises(DeviceError, match="no space is left"):
            indexed(study, to=to)
    assert set(items(to)) == {"a.png"}
    assert indexed(study, to=to).unchanged == 1


def test_a_stop_keeps_the_batch_in_hand(study: Path, tmp_path: Path) -> None:
    request = IndexRequest((study,), tmp_path / "x", model="hog", device="cpu")
    stopped = run(request, stop=lambda: True)
    assert stopped.stopped
    assert stopped.written == sum(stopped.manifest["kinds"].values()) > 0


def test_another_encoder(study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    to = tmp_path / "x"
    indexed(study / "loose", to=to)
    monkeypatch.setattr(index_spaces.HistogramGradients, "sha256", "f" * 64)
    with pytest.raises(ModelError, match="other weights or settings"):
        indexed(study / "loose", to=to)
    assert indexed(study / "loose", to=to, rebuild=True).written == 1
    with pytest.raises(ModelError, match="nothing"):
        run(IndexRequest((study,), to, model="nothing", device="cpu", rebuild=True))
    assert "a.png" in items(to)


def test_columns(tmp_path: Path) -> None:
    rows = [{"Image File": "a", "Words": "x", "MRN": "1", "AccessionNumber": "2", "sid": "k"}]
    told = parse_columns(["Words=text", "sid=id"])
    found = recognise(rows, tmp_path, told)
    assert (found.path, found.text, found.id) == ("", ("Words",), "sid")
    assert found.dropped == {"MRN", "AccessionNumber"}
    with pytest.raises(UsageError, match="not COLUMN=ROLE"):
        parse_columns(["Words"])


@pytest.mark.parametrize("seed", range(3))
def test_the_encoder_tells_pictures_apart(tmp_path: Path, seed: int) -> None:
    from mmtool.io.readers.picture import read_picture
    from mmtool.models.encoders.histogram_gradients import HistogramGradients

    first = picture(tmp_path / "a.png", seed)
    Image.open(first).resize((60, 60)).save(tmp_path / "a.jpg", quality=70)
    other = picture(tmp_path / "b.png", seed + 50)
    encoder = HistogramGradients()
    paths = (first, tmp_path / "a.jpg", other)
    vectors = encoder.encode_pictures([read_picture(p) for p in paths]).vectors
    assert vectors.shape == (3, encoder.dim)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    assert vectors[0] @ vectors[1] > 0.9 > vectors[0] @ vectors[2]
    alone = encoder.encode_pictures([read_picture(other)]).vectors
    np.testing.assert_allclose(alone[0], vectors[2], atol=1e-5)


def test_slides_of_a_table_leave_its_other_rows_alone(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    for k in range(2):
        picture(folder / f"{k}.png", k)
        tissue = tissue_picture(600, 900, seed=k)
        write_tiled_tiff(folder / f"s{k}.svs", [tissue], (1.0, 1.0))
    rows = ["file,caption", "0.png,zero", "s0.svs,first slide", "1.png,one", "s1.svs,second slide"]
    (folder / "all.csv").write_text("\n".join(rows))
    first = indexed(folder, to=tmp_path / "x.mmidx")
    assert first.added["image"] == 2
    assert first.added["slide"] >= 2
    kept = items(tmp_path / "x.mmidx")
    assert len(kept) == first.written
    again = indexed(folder, to=tmp_path / "x.mmidx", prune=True)
    assert (again.written, again.removed, again.unchanged) == (0, 0, len(kept))
    (folder / "all.csv").write_text("\n".join(rows).replace("first slide", "another word"))
    changed = indexed(folder, to=tmp_path / "x.mmidx", prune=True)
    assert (changed.changed > 0, changed.removed) == (True, 0)
    found = items(tmp_path / "x.mmidx")
    assert set(found) == set(kept)
    assert found["s0.svs#overview"].source.text == "another word"
    assert found["s1.svs#overview"].id == kept["s1.svs#overview"].id
