import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from mmtool.errors import InputError
from mmtool.models.card import check_card
from mmtool.models.encoders.joint import load_joint_encoder
from mmtool.pipelines.evaluation.retrieve import evaluate_retrieve
from mmtool.pipelines.evaluation.retrieve_measures import auc, interval, mid_ranks
from mmtool.pipelines.training.retrieve import RetrieveTraining, train_retrieve
from mmtool.pipelines.training.retrieve_data import shown_images
from mmtool.pipelines.training.retrieve_fit import FitOptions
from mmtool.pipelines.training.retrieve_pretrain import PretrainOptions


def test_drawings_are_left_out(captioned: Path) -> None:
    assert len(shown_images(captioned, "train")) == 60
    with pytest.raises(InputError, match="no images of the part 'none'"):
        shown_images(captioned, "none")


def test_training_goes_on_from_its_checkpoint_and_can_be_measured(
    captioned: Path, tmp_path: Path
) -> None:
    def trained(out: str, epochs: int) -> tuple[Path, list[str]]:
        told: list[str] = []
        fit = FitOptions(epochs=epochs, batch=16)
        options = RetrieveTraining(captioned, tmp_path / out, fit, towers=2)
        return train_retrieve(options, told.append), told

    folder, first = trained("one", 2)
    assert sum(line.startswith("epoch") for line in first) == 4
    again, told = trained("one", 2)
    assert not any(line.startswith("epoch") for line in told)
    assert (folder / "model.safetensors").read_bytes() == (again / "model.safetensors").read_bytes()
    encoder = load_joint_encoder(str(folder))
    assert encoder.kinds == {"image", "volume", "slide", "text"}
    found = evaluate_retrieve(captioned, str(folder), with_stress=False)
    values = {row.measure: row for row in found.rows}
    assert 0 <= values["probe accuracy, CT or MR"].low <= 1
    assert all(row.low <= row.value <= row.high for row in found.rows)


def test_pre_training_goes_on_from_its_checkpoint(captioned: Path, tmp_path: Path) -> None:
    def trained(out: str, epochs: int) -> tuple[bytes, list[str]]:
        told: list[str] = []
        options = RetrieveTraining(
            captioned,
            tmp_path / out,
            FitOptions(epochs=1, batch=16),
            towers=1,
            pretrain=PretrainOptions(epochs=epochs, batch=16),
            volumes=(volume.parent,),
        )
        folder = train_retrieve(options, told.append)
        card = json.loads((folder / "card.json").read_text())
        assert ("--pretrain 1 --volumes" in card["training"]["command"]) == bool(epochs)
        assert [d["n"] for d in card["data"][2:]] == [1] * bool(epochs)
        check_card(card, str(folder))
        return (folder / "model.safetensors").read_bytes(), told

    volume = tmp_path / "scans" / "a.nii.gz"
    volume.parent.mkdir()
    nib.save(nib.Nifti1Image(np.random.default_rng(0).random((8, 9, 10)), np.eye(4)), volume)
    weights, told = trained("one", 1)
    assert sum(line.startswith("pre-training, epoch") for line in told) == 1
    again, told = trained("one", 1)
    assert again == weights
    assert not any(line.startswith("pre-training, epoch") for line in told)
    plain, _ = trained("plain", 0)
    assert plain != weights


def test_ties_take_the_middle() -> None:
    scores = np.array([[1.0, 1.0, 0.0], [0.0, 2.0, 1.0]])
    right = np.array([[True, False, False], [True, False, False]])
    assert mid_ranks(scores, right).tolist() == [1.5, 3.0]


def test_auc_and_intervals() -> None:
    truth = np.array([True, False, True, False])
    assert auc(np.array([2.0, 1.0, 3.0, 0.0]), truth) == 1
    assert auc(np.ones(4), truth) == 0.5
    value, low, high = interval(np.array([0.0, 1, 1, 1]), ["a", "b", "c", "c"], 0)
    assert low <= value <= high
    assert value == 0.75
