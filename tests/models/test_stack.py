"""The default survival model: it joins, does without, tells why, and comes back from its file."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from survive_cohorts import simulated

from mmtool.errors import InputError, ModelError
from mmtool.models.survival.stack import Stack, StackLearner
from mmtool.models.survival.stack_file import pack_stack, unpack_stack
from mmtool.models.survival.statistics.concordance import harrell
from mmtool.survival import Block, Cohort


@pytest.fixture(scope="module")
def fitted() -> tuple[Stack, Cohort, np.ndarray]:
    cohort, risk = simulated(260)
    train, test = np.arange(160), np.arange(160, 260)
    return StackLearner().fit(cohort.subset(train), 0), cohort.subset(test), risk[test]


def c_of(cohort: Cohort, risk: np.ndarray) -> float:
    outcome = cohort.known_outcome()
    return harrell(outcome.time, outcome.event, risk)


def test_both_blocks_together_beat_each(fitted: tuple[Stack, Cohort, np.ndarray]) -> None:
    stack, cohort, truth = fitted
    both = c_of(cohort, stack.predict(cohort).risk)
    alone = [c_of(cohort, stack.predict(cohort.with_blocks([n])).risk) for n in cohort.blocks]
    assert both > max(alone) > 0.55
    assert both > c_of(cohort, truth) - 0.1


def test_who_lacks_a_block_is_judged_by_the_rest(
    fitted: tuple[Stack, Cohort, np.ndarray],
) -> None:
    stack, cohort, _ = fitted
    values = cohort.blocks["rnaseq"].values.copy()
    values[:40] = np.nan
    block = replace(cohort.blocks["rnaseq"], values=values, present=np.arange(100) >= 40)
    partly = stack.predict(replace(cohort, blocks={**cohort.blocks, "rnaseq": block}))
    without = stack.predict(cohort.with_blocks(["clinical"]))
    whole = stack.predict(cohort)
    assert np.array_equal(partly.risk[:40], without.risk[:40])
    assert np.array_equal(partly.risk[40:], whole.risk[40:])
    assert partly.used[:40].tolist() == [[True, False]] * 40
    assert not partly.contributions[:40, 1].any()


def test_curves_fall_and_fit_the_events(fitted: tuple[Stack, Cohort, np.ndarray]) -> None:
    stack, cohort, _ = fitted
    outcome = cohort.known_outcome()
    for names in (["clinical", "rnaseq"], ["clinical"], ["rnaseq"]):
        prediction = stack.predict(cohort.with_blocks(names))
        assert (np.diff(prediction.survival, axis=1) <= 1e-12).all()
        place = np.searchsorted(prediction.times, outcome.time, side="right")
        curve = np.concatenate([np.ones((100, 1)), prediction.survival], axis=1)
        expected = -np.log(curve[np.arange(100), place]).sum()
        assert outcome.event.sum() / expected == pytest.approx(1, abs=0.3)


def test_intervals_hold_the_truth(fitted: tuple[Stack, Cohort, np.ndarray]) -> None:
    stack, cohort, truth = fitted
    times = np.array([5.0, 20.0])
    low, high = stack.intervals(cohort, times)
    middle = stack.predict(cohort).survival_at(times)
    assert ((low <= middle) & (middle <= high)).all()
    survival = np.exp(-np.exp(truth)[:, None] * times / 20)  # as simulated
    assert np.mean((low <= survival) & (survival <= high)) > 0.8
    assert (high - low).mean() < 0.75


def test_reasons_sum_to_the_risk_but_for_a_constant(
    fitted: tuple[Stack, Cohort, np.ndarray],
) -> None:
    stack, cohort, _ = fitted
    prediction = stack.predict(cohort)
    gap = prediction.risk - prediction.contributions.sum(axis=1)
    assert np.ptp(gap) < 1e-9
    for place, name in enumerate(stack.modalities):
        _, parts = stack.contributions(cohort, name)
        gap = prediction.contributions[:, place] - parts.sum(axis=1)
        assert np.ptp(gap) < 1e-5
    columns, parts = stack.contributions(cohort, "rnaseq")
    spread = dict(zip(columns, parts.std(axis=0), strict=True))
    assert min(spread[f"G{i}"] for i in range(4)) > np.median(list(spread.values()))


def test_nothing_known_is_said_to_be_nothing(fitted: tuple[Stack, Cohort, np.ndarray]) -> None:
    stack, cohort, _ = fitted
    blank = {
        name: replace(b, values=np.full_like(b.values, np.nan), present=np.zeros(100, np.bool_))
        for name, b in cohort.blocks.items()
    }
    prediction = stack.predict(replace(cohort, blocks=blank))
    assert np.isnan(prediction.risk).all()
    assert np.isnan(prediction.survival).all()
    low, high = stack.intervals(replace(cohort, blocks=blank), np.array([5.0]))
    assert np.isnan(low).all()
    assert np.isnan(high).all()


def test_columns_are_matched_by_name(fitted: tuple[Stack, Cohort, np.ndarray]) -> None:
    stack, cohort, _ = fitted
    rna = cohort.blocks["rnaseq"]
    order = np.random.default_rng(0).permutation(len(rna.columns))
    mixed = replace(
        rna,
        columns=("new", *(rna.columns[i] for i in order)),
        values=np.concatenate([np.zeros((100, 1), np.float32), rna.values[:, order]], axis=1),
    )
    again = stack.predict(replace(cohort, blocks={**cohort.blocks, "rnaseq": mixed}))
    assert np.array_equal(again.risk, stack.predict(cohort).risk)


def test_patients_do_not_know_of_each_other(fitted: tuple[Stack, Cohort, np.ndarray]) -> None:
    stack, cohort, _ = fitted
    one = stack.predict(cohort.subset([7]))
    assert one.risk[0] == pytest.approx(stack.predict(cohort).risk[7], abs=1e-5)


def test_file_and_back(fitted: tuple[Stack, Cohort, np.ndarray]) -> None:
    stack, cohort, _ = fitted
    tensors, config = pack_stack(stack)
    again = unpack_stack(tensors, config, "here")
    assert np.allclose(again.predict(cohort).risk, stack.predict(cohort).risk, atol=5e-3)
    times = np.array([5.0, 20.0])
    for before, after in zip(
        stack.intervals(cohort, times), again.intervals(cohort, times), strict=True
    ):
        assert np.allclose(before, after, atol=0.02)
    assert sum(t.numel() * t.element_size() for t in tensors.values()) < 500_000
    broken = {k: v for k, v in tensors.items() if not k.endswith("linear")}
    with pytest.raises(ModelError, match="don't fit"):
        unpack_stack(broken, config, "here")
    with pytest.raises(ModelError, match="don't fit"):
        unpack_stack(tensors, config | {"experts": config["experts"][:1]}, "here")


def test_many_genes_of_few_patients() -> None:
    cohort, _ = simulated(40, genes=40_000)
    stack = StackLearner().fit(cohort, 0)
    assert np.isfinite(stack.predict(cohort).risk).all()


def test_a_block_of_too_few_is_left_out_and_told() -> None:
    cohort, _ = simulated(60)
    rare = np.full((60, 2), np.nan, np.float32)
    rare[:9] = 1.0
    there = np.arange(60) < 9
    blocks = {**cohort.blocks, "mut": Block("mut", "omics", ("A", "B"), rare, there)}
    same = Block("cnv", "omics", ("A",), np.ones((60, 1), np.float32), np.ones(60, np.bool_))
    stack = StackLearner().fit(replace(cohort, blocks={**blocks, "cnv": same}), 0)
    assert stack.modalities == ("clinical", "rnaseq")
    assert any("mut" in n and "9 patients" in n for n in stack.notes)
    assert any("cnv" in n and "varies" in n for n in stack.notes)
    with pytest.raises(InputError, match="too little"):
        StackLearner().fit(replace(cohort, blocks={"cnv": same}), 0)
