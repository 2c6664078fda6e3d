"""Items that share the root of a BIDS dataset: whole, resumable, and no other file is touched."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from mmtool.errors import InputError, UsageError
from mmtool.pipelines.batch import BatchOptions, BatchReport, Shard, run_batch
from mmtool.pipelines.places import BidsLayout, bids_scan
from mmtool.pipelines.samplesheet import BatchItem, items_from_paths

Run = Callable[..., tuple[BatchReport, list[str]]]
NAMES = ("sub-01_ses-1_T1w", "sub-01_ses-1_FLAIR", "sub-02_T1w")


def scans(dataset: Path, *names: str) -> list[BatchItem]:
    paths = []
    for name in names:
        scan = bids_scan(BatchItem(name, (Path(name),)))
        path = dataset / scan.folder / f"{name}.nii.gz"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
        paths.append(path)
    return items_from_paths(paths)


@pytest.fixture
def run(tmp_path: Path, fake_task: ModuleType) -> Run:
    """Run items into ``ds/derivatives/mmtool``; give the report and what was executed."""

    class Task(fake_task.CopyTask):
        def run_item(self, item: BatchItem, out: Path):
            result = super().run_item(item, out)
            scan = bids_scan(item)
            for folder in (scan.folder, f"mmtool/{scan.stem}"):
                (out / folder).mkdir(parents=True)
            (out / "copy.txt").replace(out / scan.folder / f"{scan.derivative('dseg')}.nii.gz")
            (out / "mmtool" / scan.stem / "labels.tsv").write_text("x")
            return result

    def runner(items: list[BatchItem], **options: object) -> tuple[BatchReport, list[str]]:
        log = tmp_path / "log.txt"
        log.unlink(missing_ok=True)
        root = tmp_path / "ds" / "derivatives" / "mmtool"
        chosen = {"output": root, "nested": len(items) > 1, "layout": BidsLayout(items, root)}
        report = run_batch(items, Task(log), BatchOptions(**(chosen | options)))
        return report, log.read_text().split() if log.exists() else []

    return runner


def files(root: Path) -> set[str]:
    return {p.relative_to(root).as_posix() for p in root.rglob("*") if p.is_file()}


def test_several_scans_share_one_root(tmp_path: Path, run: Run) -> None:
    report, done = run(scans(tmp_path / "ds", *NAMES))
    root = tmp_path / "ds/derivatives/mmtool"
    assert (report.exit_code, done) == (0, list(NAMES))
    assert [r.output for r in report.items] == [
        root / "sub-01/ses-1/anat",
        root / "sub-01/ses-1/anat",
        root / "sub-02/anat",
    ]
    own = {f"mmtool/{n}/{f}" for n in NAMES for f in ("labels.tsv", "run.json")}
    assert files(root) == own | {
        ".bidsignore",
        "dataset_description.json",
        "sub-01/ses-1/anat/sub-01_ses-1_space-orig_dseg.nii.gz",
        "sub-01/ses-1/anat/sub-01_ses-1_space-orig_desc-FLAIR_dseg.nii.gz",
        "sub-02/anat/sub-02_space-orig_dseg.nii.gz",
    }
    links = json.loads((root / "dataset_description.json").read_text())["DatasetLinks"]
    assert links == {"raw": "../.."}


def test_a_record_tells_where_its_files_are(tmp_path: Path, run: Run) -> None:
    run(scans(tmp_path / "ds", NAMES[0]))
    home = tmp_path / "ds/derivatives/mmtool/mmtool" / NAMES[0]
    record = json.loads((home / "run.json").read_text())
    (scan,) = record["arguments"]["inputs"]
    assert (home / scan).resolve() == tmp_path / "ds/sub-01/ses-1/anat" / f"{NAMES[0]}.nii.gz"
    assert record["outputs_root"] == "../.."
    for output in record["outputs"]:
        assert (home / record["outputs_root"] / output["path"]).is_file()


def test_resume_and_overwrite_know_the_files_of_each_scan(tmp_path: Path, run: Run) -> None:
    items = scans(tmp_path / "ds", *NAMES)
    run(items)
    root = tmp_path / "ds/derivatives/mmtool"
    with pytest.raises(UsageError, match=f"holds results of {NAMES[1]} already"):
        run(items[1:])
    assert run(items, resume=True)[1] == []
    (root / "sub-02/anat/sub-02_space-orig_dseg.nii.gz").write_text("altered")
    (root / "mmtool" / NAMES[0] / "run.json").unlink()
    (root / "sub-02/anat/mine.txt").write_text("mine")
    assert run(items, resume=True)[1] == [NAMES[0], NAMES[2]]
    assert run(items[:1], overwrite=True)[1] == [NAMES[0]]
    assert (root / "sub-02/anat/mine.txt").read_text() == "mine"
    assert run(items, resume=True)[1] == []
    assert run([*items, *scans(tmp_path / "ds", "sub-03_T1w")][3:])[1] == ["sub-03_T1w"]


def test_shards_and_failures(tmp_path: Path, run: Run) -> None:
    items = scans(tmp_path / "ds", *NAMES)
    items[1].inputs[0].write_text("bad")
    root = tmp_path / "ds/derivatives/mmtool"
    assert run(items, shard=Shard(1, 2))[1] == [NAMES[0], NAMES[2]]
    report, done = run(items, shard=Shard(2, 2))
    assert (report.exit_code, done) == (6, [])
    assert (root / "failures.2-of-2.tsv").is_file()
    assert not (root / "mmtool" / NAMES[1]).exists()
    assert not list(root.rglob(".mmtool-*"))


def test_a_failed_scan_leaves_no_dataset(tmp_path: Path, run: Run) -> None:
    items = scans(tmp_path / "ds", NAMES[0])
    items[0].inputs[0].write_text("bad")
    report, _ = run(items)
    assert isinstance(report.items[0].error, InputError)
    assert files(tmp_path / "ds/derivatives") == set()


def test_names_and_datasets_are_checked_before_any_work(tmp_path: Path) -> None:
    root = tmp_path / "out"
    with pytest.raises(UsageError, match="needs a name of BIDS"):
        BidsLayout([BatchItem("head", (Path("head.nii.gz"),))], root)
    named = BatchItem("sub-1_T1w", (Path("dicom/"),))  # by the column id of a sample sheet
    assert BidsLayout([named], root).place(named).shown == root / "sub-1/anat"
    twice = items_from_paths([Path("a/sub-1_T1w.nii.gz"), Path("b/sub-1_T1w.nii")])
    with pytest.raises(UsageError, match="same name in BIDS"):
        BidsLayout(twice, root)
    two = [*scans(tmp_path / "a", "sub-1_T1w"), *scans(tmp_path / "b", "sub-2_T1w")]
    with pytest.raises(UsageError, match="2 datasets"):
        BidsLayout(two, root)
    long = "sub-" + "x" * 90 + "_T1w"
    (item,) = items_from_paths([Path(f"{long}.nii.gz")])
    assert bids_scan(item).stem == long
    (tmp_path / "a" / "dataset_description.json").write_text('{"DatasetType": "raw"}')
    with pytest.raises(UsageError, match="did not make"):
        BidsLayout(two[:1], tmp_path / "a")
