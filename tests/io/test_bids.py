"""Names and sidecars of BIDS."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mmtool.anatomy import BRAIN_LABELS
from mmtool.errors import UsageError
from mmtool.io.bids import BidsScan
from mmtool.io.writers.bids import check_dataset, write_dataset, write_dseg_tsv, write_sidecar


def scan_of(stem: str) -> BidsScan:
    scan = BidsScan.parse(stem)
    assert scan is not None
    assert scan.stem == stem
    return scan


@pytest.mark.parametrize(
    ("stem", "dseg", "mask"),
    [
        ("sub-01_T1w", "sub-01_space-orig_seg-brain_dseg", "sub-01_space-orig_desc-brain_mask"),
        (
            "sub-01_ses-02_acq-a_run-1_T1w",
            "sub-01_ses-02_acq-a_run-1_space-orig_seg-brain_dseg",
            "sub-01_ses-02_acq-a_run-1_space-orig_desc-brain_mask",
        ),
        (
            "sub-01_FLAIR",
            "sub-01_space-orig_seg-brain_desc-FLAIR_dseg",
            "sub-01_space-orig_desc-brainFLAIR_mask",
        ),
        (
            "sub-01_inv-2_part-mag_MP2RAGE",
            "sub-01_part-mag_space-orig_seg-brain_desc-inv2MP2RAGE_dseg",
            "sub-01_part-mag_space-orig_desc-braininv2MP2RAGE_mask",
        ),
        (
            "sub-01_space-T1w_desc-preproc_T2w",
            "sub-01_space-T1w_seg-brain_desc-descpreprocT2w_dseg",
            "sub-01_space-T1w_desc-braindescpreprocT2w_mask",
        ),
    ],
)
def test_names_of_results(stem: str, dseg: str, mask: str) -> None:
    scan = scan_of(stem)
    assert scan.derivative("dseg", seg="brain") == dseg
    assert scan.derivative("mask", desc="brain") == mask
    for name in (dseg, mask):
        assert BidsScan.parse(name) is not None


@pytest.mark.parametrize(
    "stem",
    [
        "head", "sub-01", "T1w", "sub-_T1w", "sub-01_T1w_", "sub-01_sub-02_T1w", "ses-1_sub-1_T1w",
        "sub-01_acq-x_ses-1_T1w", "sub-01_T 1w", "sub-01_run_T1w", "sub-../../x_T1w", "",
        "sub-01__T1w",
    ],
)  # fmt: skip
def test_other_names(stem: str) -> None:
    assert BidsScan.parse(stem) is None


def test_the_dataset_of_a_scan(tmp_path: Path) -> None:
    scan = scan_of("sub-01_ses-02_T1w")
    inside = tmp_path / "sub-01" / "ses-02" / "anat" / "sub-01_ses-02_T1w.nii.gz"
    assert scan.folder == "sub-01/ses-02/anat"
    assert scan.raw_dataset(inside) == tmp_path
    assert scan.raw_dataset(tmp_path / "sub-01" / "anat" / inside.name) is None
    assert scan.raw_dataset(tmp_path / inside.name) is None
    write_sidecar(tmp_path / "a.json", scan, inside, about={"Manual": False})
    assert json.loads((tmp_path / "a.json").read_text()) == {
        "Manual": False,
        "SpatialReference": "orig",
        "Sources": ["bids:raw:sub-01/ses-02/anat/sub-01_ses-02_T1w.nii.gz"],
    }
    write_sidecar(tmp_path / "b.json", scan, tmp_path / inside.name, about={})
    assert json.loads((tmp_path / "b.json").read_text()) == {"SpatialReference": "orig"}


def test_the_root_of_a_dataset(tmp_path: Path) -> None:
    root = tmp_path / "derivatives" / "mmtool"
    check_dataset(root, "../..")
    write_dataset(root, "../..")
    written = (root / "dataset_description.json").read_bytes()
    described = json.loads(written)
    assert described["DatasetType"] == "derivative"
    assert described["GeneratedBy"][0]["Name"] == "mmtool"
    assert described["DatasetLinks"] == {"raw": "../.."}
    check_dataset(root, "../..")
    check_dataset(root, None)
    write_dataset(root, "../..")
    assert (root / "dataset_description.json").read_bytes() == written
    with pytest.raises(UsageError, match="another dataset"):
        check_dataset(root, "../../../other")


@pytest.mark.parametrize(
    "content", ['{"DatasetType": "raw"}', '{"GeneratedBy": [{"Name": "fMRIPrep"}]}', "[]", "{", "1"]
)
def test_the_root_of_somebody_else(tmp_path: Path, content: str) -> None:
    (tmp_path / "dataset_description.json").write_text(content)
    with pytest.raises(UsageError) as caught:
        check_dataset(tmp_path, None)
    assert "derivatives/mmtool" in caught.value.hint


def test_the_look_up_table(tmp_path: Path) -> None:
    write_dseg_tsv(tmp_path / "t.tsv", [x for x in BRAIN_LABELS if x.index == 17])
    assert (tmp_path / "t.tsv").read_text() == (
        "index\tname\tcolor\n17\tleft hippocampus\t#dcd814\n"
    )
