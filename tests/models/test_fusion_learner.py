"""Fusion networks as learners: signal, seeds, files, honest predictions."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from tests.support.fusion_cohorts import SIGNATURES, bag, cohort

from mmtool.errors import InputError, ModelError, UsageError
from mmtool.models.survival.kinds import learner_names, named_learner, pack, unpack
from mmtool.models.survival.network.learner import NetworkLearner
from mmtool.models.survival.network.model import NetworkModel
from mmtool.models.survival.network.network_file import pack_network, unpack_network
from mmtool.models.survival.network.training import Recipe
from mmtool.models.survival.statistics.concordance import harrell
from mmtool.survival import Cohort, Outcome

_QUICK = Recipe(members=2, dim=16, epochs=12, rate=5e-3)
_STEADY = Recipe(members=1, dim=16, epochs=15, rate=5e-3)
_TRAIN, _TEST = range(110), range(110, 160)


def _fit(method: str = "concat", seed: int = 0, given: Cohort | None = None) -> NetworkModel:
    learner = NetworkLearner(method, SIGNATURES, _QUICK)
    return learner.fit((given or cohort()).subset(_TRAIN), seed)


@pytest.fixture(scope="module")
def fitted() -> NetworkModel:
    return _fit()


def _c(model: NetworkModel, unseen: Cohort) -> float:
    outcome = unseen.known_outcome()
    return harrell(outcome.time, outcome.event, model.predict(unseen).risk)


@pytest.mark.parametrize("method", ["concat", "multimodn", "mcat", "lego-fuse"])
def test_a_planted_signal_is_found_and_told_of_the_right_modality(method: str) -> None:
    given = cohort(360, effect=2.5)
    unseen = given.subset(range(300, 360))
    model = NetworkLearner(method, SIGNATURES, _STEADY).fit(given.subset(range(300)), 0)
    assert _c(model, unseen) > 0.72
    parts = np.abs(model.predict(unseen).contributions).mean(axis=0)
    assert model.modalities[int(parts.argmax())] == "rnaseq"


def test_without_a_signal_none_is_found() -> None:
    nothing = cohort(effect=0.0)
    assert abs(_c(_fit(given=nothing), nothing.subset(_TEST)) - 0.5) < 0.2


def test_a_seed_gives_the_same_model_and_leaves_the_generator_alone() -> None:
    torch.manual_seed(7)
    before = torch.random.get_rng_state()
    one = _fit(seed=3)
    assert torch.equal(before, torch.random.get_rng_state())
    unseen = cohort().subset(_TEST)
    first, again, other = (m.predict(unseen).risk for m in (one, _fit(seed=3), _fit(seed=4)))
    assert (first == again).all()
    assert not np.allclose(first, other)


def test_outcomes_of_the_evaluated_change_no_prediction(fitted: NetworkModel) -> None:
    whole = cohort()
    outcome = whole.known_outcome()
    time, event = outcome.time.copy(), outcome.event.copy()
    time[110:], event[110:] = time[110:][::-1], event[110:][::-1]
    turned = replace(whole, outcome=Outcome(time, event))
    before = fitted.predict(whole.subset(_TEST))
    after = _fit(given=turned).predict(turned.subset(_TEST))
    assert (before.risk == after.risk).all()
    assert (before.survival == after.survival).all()


def test_patients_do_not_know_of_each_other(fitted: NetworkModel) -> None:
    unseen = cohort().subset(_TEST)
    whole = fitted.predict(unseen)
    few = fitted.predict(unseen.subset([4, 2]))
    assert few.risk == pytest.approx(whole.risk[[4, 2]], abs=1e-5)


def test_a_prediction_is_whole(fitted: NetworkModel) -> None:
    said = fitted.predict(cohort().subset(_TEST))
    assert said.contributions.sum(axis=1) == pytest.approx(said.risk, abs=1e-6)
    assert (said.contributions[~said.used] == 0).all()
    assert ((said.survival >= 0) & (said.survival <= 1)).all()
    assert (np.diff(said.survival, axis=1) <= 1e-9).all()
    lower = said.risk.argsort()
    assert said.survival[lower[0]].mean() > said.survival[lower[-1]].mean()


def test_curves_fit_the_events_of_other_patients(fitted: NetworkModel) -> None:
    unseen = cohort().subset(_TEST)
    said, outcome = fitted.predict(unseen), unseen.known_outcome()
    place = np.searchsorted(said.times, outcome.time, "right") - 1
    left = np.where(place >= 0, said.survival[np.arange(50), place], 1.0)
    expected = -np.log(np.clip(left, 1e-6, 1)).sum()
    assert expected == pytest.approx(outcome.event.sum(), rel=0.4)


def test_of_whom_nothing_is_known_nothing_is_said(fitted: NetworkModel) -> None:
    unseen = cohort().subset(_TEST)
    empty = fitted.predict(unseen.with_blocks([]))
    assert np.isnan(empty.risk).all()
    assert np.isnan(empty.survival).all()
    alone = fitted.predict(unseen.with_blocks(["rnaseq"]))
    assert np.isfinite(alone.risk).all()
    assert alone.contributions[:, 1] == pytest.approx(alone.risk, abs=1e-6)


@pytest.mark.parametrize("method", ["concat", "lego-fuse"])
def test_a_model_is_the_same_from_its_files(method: str, fitted: NetworkModel) -> None:
    quick = NetworkLearner(method, SIGNATURES, Recipe(members=1, dim=16, epochs=1))
    model = fitted if method == "concat" else quick.fit(cohort().subset(_TRAIN), 0)
    unseen = cohort().subset(_TEST)
    tensors, config = pack_network(model)
    again = unpack_network(tensors, config, "here")
    one, other = model.predict(unseen), again.predict(unseen)
    assert (one.risk == other.risk).all()
    assert (one.survival == other.survival).all()


def test_files_that_do_not_fit_are_refused(fitted: NetworkModel) -> None:
    tensors, config = pack_network(fitted)
    lacking = {n: t for n, t in tensors.items() if not n.endswith("head.weight")}
    for spoilt, other in (
        (lacking, config),
        (tensors, config | {"method": "magic"}),
        (tensors, config | {"modalities": []}),
        (tensors, config | {"dim": 8}),
    ):
        with pytest.raises(ModelError, match="don't fit"):
            unpack_network(spoilt, other, "here")


def test_a_method_that_looks_at_nothing_here_says_so() -> None:
    with pytest.raises(InputError, match="abmil uses none of the blocks: clinical"):
        NetworkLearner("abmil").fit(cohort().with_blocks(["clinical"]), 0)


def test_too_few_events_are_refused() -> None:
    given = cohort()
    none = replace(given, outcome=Outcome(given.known_outcome().time, np.zeros(160, np.bool_)))
    with pytest.raises(InputError, match="0 events"):
        NetworkLearner("concat").fit(none, 0)


def test_bags_are_learned_from() -> None:
    rng = np.random.default_rng(0)
    given = cohort()
    tiles = [rng.normal(size=(rng.integers(0, 5), 6)) for _ in range(160)]
    blocks = {"tiles": bag(tiles), "clinical": given.blocks["clinical"]}
    said = _fit("motcat", given=replace(given, blocks=blocks)).predict(
        replace(given, blocks=blocks).subset(_TEST)
    )
    assert np.isfinite(said.risk).all()
    assert said.used[:, 0].tolist() == [len(t) > 0 for t in tiles[110:]]


def test_what_columns_add_is_what_the_risk_gains_over_average_values(fitted: NetworkModel) -> None:
    unseen = cohort().subset(_TEST)
    columns, added = fitted.contributions(unseen, "rnaseq")
    assert columns == fitted.columns("rnaseq")
    average = unseen.blocks["rnaseq"].values.copy()
    scaler = fitted.tokenisers[1].scaler
    average[:] = scaler.centre + scaler.scale * scaler.shift  # scaled to 0
    block = replace(unseen.blocks["rnaseq"], values=average)
    plain = replace(unseen, blocks={**unseen.blocks, "rnaseq": block})
    gained = fitted.risk(unseen) - fitted.risk(plain)
    assert added.sum(axis=1) == pytest.approx(gained, abs=0.05)


def test_survival_at_any_time_agrees_with_the_curves(fitted: NetworkModel) -> None:
    unseen = cohort().subset(_TEST)
    said = fitted.predict(unseen)
    assert said.survival_at(said.times) == pytest.approx(said.survival)
    assert (said.survival_at(np.array([0.0])) == 1).all()
    low, high = fitted.intervals(unseen, said.times)
    assert (low <= said.survival + 1e-9).all()
    assert (said.survival <= high + 1e-9).all()
    middle = said.median()
    early = np.isfinite(middle)
    reached = said.survival_at(middle[early])[early].diagonal()
    assert (reached <= 0.5).all()


def test_learners_go_by_name_and_models_through_their_files(fitted: NetworkModel) -> None:
    assert learner_names()[0] == "stack"
    assert isinstance(named_learner("mcat", {}), NetworkLearner)
    with pytest.raises(UsageError, match="no network 'magic'"):
        named_learner("magic", {})
    tensors, config = pack(fitted)
    again = unpack(tensors, config, "here")
    unseen = cohort().subset(_TEST)
    assert (again.predict(unseen).risk == fitted.predict(unseen).risk).all()
    with pytest.raises(ModelError, match="unknown network"):
        unpack(tensors, config | {"network": "other"}, "here")


@pytest.mark.parametrize(("method", "collapses"), [("multimodn", False), ("concat", True)])
def test_absence_teaches_a_sequence_nothing(method: str, collapses: bool) -> None:
    """An image lacking for those who die early in training, and for the others afterwards."""
    given = cohort(480, seed=1, effect=2.5)
    outcome = given.known_outcome()
    early = outcome.event & (outcome.time < np.median(outcome.time[outcome.event]))
    gone = np.random.default_rng(0).random(480) < 0.9
    noise = np.random.default_rng(3).normal(size=(480, 15)).astype(np.float32)
    block = replace(given.blocks["hif"], values=noise)

    def without(rows: np.ndarray) -> Cohort:
        values, present = block.values.copy(), ~rows
        values[rows] = np.nan
        image = replace(block, values=values, present=present)
        return replace(given, blocks={**given.blocks, "hif": image})

    recipe = replace(_STEADY, absent=0.0)
    train = without(gone & early).subset(range(330))
    model = NetworkLearner(method, SIGNATURES, recipe).fit(train, 0)
    whole, flipped = (
        _c(model, without(rows).subset(range(330, 480))) for rows in (gone & False, gone & ~early)
    )
    lost = whole - flipped
    assert lost > 0.1 if collapses else lost < 0.03
