"""Fewer visual tokens for outside models: which are kept, what is merged, and who can't."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from outside_readers import tiny_blip, tiny_llava
from pydicom.data import get_testdata_file
from typer.testing import CliRunner

from mmtool.cli.main import app
from mmtool.errors import ModelError, UsageError
from mmtool.pipelines.report import ReportOptions, ReportTask
from mmtool.pipelines.report_reader import load_reader
from mmtool.pipelines.report_selftest import self_test
from mmtool.pipelines.report_tokens import Fewer, fewer_tokens, generate
from mmtool.retrieval import Picture

HOW = {"max_new_tokens": 5, "do_sample": False}
CT = get_testdata_file("CT_small.dcm")


def test_the_heaviest_are_kept_in_order_and_the_others_merged_by_weight() -> None:
    features = torch.tensor([[1.0], [2.0], [4.0], [8.0], [16.0]])
    weights = torch.tensor([0.1, 0.4, 0.1, 0.3, 0.3])
    assert fewer_tokens(features, weights, 0.6)[:, 0].tolist() == [2, 8, 16, 2.5]
    assert fewer_tokens(features, weights, 0.01)[0].tolist() == [2]
    assert fewer_tokens(features, weights, 0.99) is features


@pytest.mark.filterwarnings("ignore")
def test_a_llava_gets_a_share_of_its_tokens(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("transformers")
    network, given = tiny_llava()
    whole = network.generate(**given, **HOW)[0, given["input_ids"].shape[1] :]
    assert generate(network, given, Fewer(0.99), **HOW)[0].tolist() == whole.tolist()
    taken = []
    plain = network.generate

    def spy(**how: torch.Tensor) -> torch.Tensor:
        taken.append(how["inputs_embeds"].shape[1])
        return plain(**how)

    monkeypatch.setattr(network, "generate", spy)
    generate(network, given, Fewer(0.25), **HOW)
    assert taken == [3 + 4 + 1]  # words, a quarter of 16 tokens, and the merged one
    for way in ("vtc-cls", "mmtok"):  # nothing is merged
        generate(network, given, Fewer(0.25, way), **HOW)
        assert taken.pop() == 3 + 4
        whole_again = generate(network, given, Fewer(0.99, way), **HOW)
        assert whole_again[0].tolist() == whole.tolist()
    with pytest.raises(ModelError, match="thinned"):  # tiles
        generate(network, given | {"image_sizes": torch.ones(1, 2)}, Fewer(0.5), **HOW)
    given["input_ids"] = given["input_ids"][:, 3:]
    with pytest.raises(ModelError, match="thinned"):  # fewer places than tokens
        generate(network, given, Fewer(0.5), **HOW)


@pytest.mark.filterwarnings("ignore")
def test_a_blip_gets_a_share_and_the_loss_is_told(tmp_path: Path) -> None:
    pytest.importorskip("transformers")
    tiny_blip(tmp_path)
    picture = Picture(np.random.default_rng(0).random((1, 40, 48)).astype(np.float32))
    every = load_reader(tmp_path, 0.99)  # of four tokens all
    assert every.read(picture) == load_reader(tmp_path).read(picture)
    reader = load_reader(tmp_path, 0.25)
    sizes = []
    hook = reader.network.text_decoder.register_forward_pre_hook(
        lambda _, __, how: sizes.append(how["encoder_hidden_states"].shape[1]), with_kwargs=True
    )
    reader.read(picture)
    hook.remove()
    assert set(sizes) == {1 + 1 + 1}  # [CLS], one of four, the merged one
    assert not reader.network.vision_model._forward_hooks

    assert load_reader(tmp_path, 0.25, "vtc-cls").read(picture)
    with pytest.raises(ModelError, match="mmtok needs"):
        load_reader(tmp_path, 0.25, "mmtok").read(picture)

    task = ReportTask(ReportOptions(volumes=False), reader=reader)
    rows = {row.test: row for row in self_test(task, [Path(CT)], {})}
    cost = rows["25% of the visual tokens"]
    assert cost.n == 1
    assert "the same findings in" in cost.note
    assert "F1 of the words" in cost.note
    assert "(evit)" in cost.note
    assert f"confusable pairs: plane, {reader.name} with all visual tokens" in rows
    report, _ = task.report([Path(CT)], task.options)
    assert any("25% of the visual tokens" in s for s in report.provenance.statements)


@pytest.mark.parametrize(
    "arguments",
    [
        ("--keep-tokens", "0.5"),
        ("--reader", "x", "--keep-tokens", "1.5"),
        ("--reader", "x", "--token-reduction", "mmtok"),
    ],
)
def test_a_share_that_means_nothing_is_wrong_usage(arguments: tuple[str, ...]) -> None:
    result = CliRunner().invoke(app, ["report", CT, *arguments])
    assert isinstance(result.exception, UsageError)
    assert "--keep-tokens" in result.exception.message


def test_truths_are_for_the_self_test() -> None:
    result = CliRunner().invoke(app, ["report", CT, "--truth", "t.csv"])
    assert isinstance(result.exception, UsageError)
