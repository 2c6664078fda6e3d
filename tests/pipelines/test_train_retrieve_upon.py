"""Recipes upon a frozen encoder: a run from images to an encoder that can be used."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from mmtool.errors import ModelError
from mmtool.io.readers.captioned_images import read_grey
from mmtool.models.encoders.joint import OwnJointEncoder, load_joint_encoder
from mmtool.models.encoders.joint_upon import PromptedEncoder, RegulatedEncoder, load_upon
from mmtool.models.store import resolve_model
from mmtool.pipelines.training import retrieve_upon
from mmtool.pipelines.training.retrieve import RetrieveTraining
from mmtool.pipelines.training.retrieve_fit import FitOptions
from mmtool.pipelines.training.retrieve_recipes import RECIPES
from mmtool.retrieval import Picture

Train = Callable[..., tuple[Path, list[str]]]


@pytest.fixture(scope="module")
def runs(captioned: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Train]:
    """Trains one pass upon the shipped encoder, with two views of an image."""
    out = tmp_path_factory.mktemp("upon")

    def train(recipe: str, start: str = "joint") -> tuple[Path, list[str]]:
        told: list[str] = []
        own = out / recipe
        own.mkdir(exist_ok=True)
        for made in out.glob("*/pictures.npz"):
            if not (own / made.name).exists():
                shutil.copy(made, own)
        options = RetrieveTraining(captioned, own, FitOptions(epochs=1), start=start)
        return RECIPES[recipe].train(options, told.append), told

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(retrieve_upon, "VIEWS", 2)
        yield train


@pytest.fixture
def below() -> OwnJointEncoder:
    """The encoder that is trained upon, with its parts."""
    encoder = load_joint_encoder("joint")
    assert isinstance(encoder, OwnJointEncoder)
    encoder.has_parts = True
    return encoder


@pytest.fixture
def picture(captioned: Path) -> Picture:
    """One of the images."""
    return read_grey(captioned / "medpix2/images/0.png")


def test_regulators(runs: Train, below: OwnJointEncoder, picture: Picture) -> None:
    folder, told = runs("rcar")
    assert any(line.startswith("epoch 1 of 1: hinge") for line in told)
    again, second = runs("rcar")
    assert not any("hinge" in line for line in second)  # from the checkpoint
    assert (again / "model.safetensors").stat().st_size < 1e6
    encoder = load_joint_encoder(str(folder))
    assert isinstance(encoder, RegulatedEncoder)
    assert encoder.name == "rcar"
    seen, plain = encoder.encode_pictures([picture]), below.encode_pictures([picture])
    np.testing.assert_array_equal(seen.vectors, plain.vectors)
    assert seen.parts[0].shape == (64, encoder.regulators.size.part_dim)
    card = resolve_model("retrieve", str(folder)).card
    assert {row["baseline"]["name"] for row in card["metrics"]} == {"cosine"}
    with pytest.raises(ModelError, match="no encoder of towers"):
        runs("prompts", str(folder))


def test_prompts(runs: Train, below: OwnJointEncoder, picture: Picture) -> None:
    folder, told = runs("prompts")
    assert any(line.startswith("strength 0: ") for line in told)
    assert (folder / "model.safetensors").stat().st_size < 1e6
    encoder = load_joint_encoder(str(folder))
    assert isinstance(encoder, PromptedEncoder)
    encoder.pools.strength.fill_(0)
    encoder.pools.words.fill_(1)
    words = ["a finding of the lung"]
    seen, read = encoder.encode_pictures([picture]).vectors, encoder.encode_texts(words).vectors
    plain = below.encode_pictures([picture]).vectors, below.encode_texts(words).vectors
    np.testing.assert_allclose(seen, plain[0], atol=1e-6)
    np.testing.assert_allclose(read, plain[1], atol=1e-6)
    both = plain[0] + plain[1]
    np.testing.assert_allclose(
        encoder.encode_both([picture], words).vectors, both / np.linalg.norm(both), atol=1e-6
    )
    encoder.pools.strength.fill_(1)
    assert not np.allclose(encoder.encode_texts(words).vectors, read)


def test_other_weights_below_are_refused(runs: Train, below: OwnJointEncoder) -> None:
    files = resolve_model("retrieve", str(runs("rcar")[0]))
    files.config["upon"]["sha256"] = "0" * 64
    with pytest.raises(ModelError, match="was trained upon other weights of 'joint'"):
        load_upon(files, below, "cpu")
