"""Maps of what an answer hangs on: they point where the answer is made, and the test tells so."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import jsonschema
import numpy as np
import pytest
from pydicom.data import get_testdata_file
from typer.testing import CliRunner

from mmtool.cli.main import app
from mmtool.errors import UsageError
from mmtool.io.readers.report_json import read_report
from mmtool.io.writers.report_json import schema_text
from mmtool.models.report.head import Head
from mmtool.models.report.model import Reference, ReportModel, Thresholds, unit
from mmtool.pipelines.report_explain import check_methods
from mmtool.pipelines.report_gate import Look
from mmtool.pipelines.report_heat import METHODS, heat_of, hide
from mmtool.pipelines.report_images import Seen
from mmtool.retrieval import Encoded, Kind, Picture

CT = get_testdata_file("CT_small.dcm")
PLACE = (2, 5)  # the only field of 8 x 8 that the made encoder looks at


class OneField:
    """Encodes a picture by how bright one field is."""

    name = "one field"
    sha256 = "0" * 64
    preprocessing: Mapping[str, object] = {}
    dim = 2
    kinds: frozenset[Kind] = frozenset(("image",))

    def encode_pictures(self, pictures: Sequence[Picture]) -> Encoded:
        i, j = PLACE
        rows = [[p.pixels[0, 8 * i : 8 * i + 8, 8 * j : 8 * j + 8].mean(), 1] for p in pictures]
        return Encoded(unit(np.array(rows, np.float32)))

    def encode_texts(self, texts: Sequence[str]) -> Encoded:
        raise NotImplementedError


def made_model() -> ReportModel:
    head = Head("plane", ("dark", "light"), np.array([[-9, 0], [9, 0]], np.float32),
                np.array([3, -3], np.float32))  # fmt: skip
    empty = Reference(np.eye(2, dtype=np.float32), {})
    return ReportModel({"plane": head}, {}, empty, Thresholds(0, 0, 1), 10, 2, frozenset(), {})


def made_look(encoder: OneField) -> Look:
    pixels = np.random.default_rng(0).random((1, 64, 64)).astype(np.float32) * 0.3
    i, j = PLACE
    pixels[:, 8 * i : 8 * i + 8, 8 * j : 8 * j + 8] = 1
    picture = Picture(pixels)
    vectors = encoder.encode_pictures([picture]).vectors
    return Look(Seen(1, "made", "", "image", picture), [(0, picture)], vectors)


@pytest.mark.parametrize("method", METHODS)
def test_the_map_points_where_the_answer_is_made(method: str) -> None:
    encoder = OneField()
    heat = heat_of(made_look(encoder), "plane", "light", made_model(), encoder, method)
    assert np.unravel_index(heat.grid.argmax(), heat.grid.shape) == PLACE
    assert heat.grid[PLACE] > 0.2 * heat.grid.sum()
    assert heat.deletion[0].hot > 1
    assert heat.deletion[0].hot > heat.deletion[0].random + 0.5
    assert heat.agreement > 0.5


def test_a_field_that_is_not_looked_at_costs_nothing() -> None:
    encoder, model = OneField(), made_model()
    look = made_look(encoder)
    other = encoder.encode_pictures([hide(look.slices[0][1], [(0, 0)])]).vectors
    before = model.logit("plane", "light", look.vectors)
    assert model.logit("plane", "light", other) == pytest.approx(before)


def test_the_maps_are_files_and_in_every_view(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mmtool.pipelines.report_gate._TOLD", 0.0)  # whatever the model guesses
    out = tmp_path / "out"
    arguments = ["report", CT, "--explain", "occlusion", "-o", str(out)]
    assert CliRunner().invoke(app, arguments).exit_code == 0
    truth = json.loads((out / "report.json").read_text())
    jsonschema.validate(truth, json.loads(schema_text()))
    gate = truth["study"]["images"][0]["gate"]
    by_model = [q for q in ("plane", "region", "contrast") if gate[q]["by"] == "model"]
    assert [e["about"] for e in truth["explanations"]] == by_model
    assert by_model
    first = truth["explanations"][0]
    assert (out / first["path"]).read_bytes().startswith(b"\x89PNG")
    assert "random ones" in (out / "report.txt").read_text()
    assert "What the answers hang on" in (out / "report.html").read_text()
    assert read_report(out / "report.json").explanations[0].deletion[0].share == 0.05


def test_an_unknown_method_is_wrong_usage() -> None:
    with pytest.raises(UsageError, match="not known"):
        check_methods(["attention"])
