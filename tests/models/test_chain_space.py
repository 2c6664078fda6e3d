"""Chains as points: distances are sums of substitutions, and gaps lie in the middle."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mmtool.models.tcr import chain_space as space
from mmtool.models.tcr.germline import V_PLACES, in_places, v_loops
from mmtool.receptors import AMINO_ACIDS, Receptor

JUNCTIONS = st.text(AMINO_ACIDS, min_size=6, max_size=22)


def test_germline_loops_are_those_of_imgt() -> None:
    assert v_loops("TRBV19") == v_loops("TRBV19*01")
    assert v_loops("TRBV19").replace("-", "").startswith("LNHDASQIVND")
    assert len(v_loops("TRAV38-2/DV8")) == V_PLACES
    assert v_loops("TRBV99") == ""


@given(st.text(AMINO_ACIDS, max_size=40), st.integers(1, 30))
def test_a_loop_keeps_both_ends(loop: str, places: int) -> None:
    laid = in_places(loop, places)
    assert len(laid) == places
    if len(loop) <= places:
        assert laid.replace("-", "") == loop
    else:
        assert loop.startswith(laid[: places - places // 2])
        assert loop.endswith(laid[places - places // 2 :])


def test_points_of_letters_have_the_costs_as_squared_distances() -> None:
    points = space.letter_points()
    cost = ((points[:, None] - points[None]) ** 2).sum(-1)
    at = {letter: i for i, letter in enumerate(space.LETTERS)}
    assert cost[at["I"], at["V"]] == pytest.approx(1)  # BLOSUM62: 3
    assert cost[at["C"], at["W"]] == pytest.approx(4)  # -2, capped
    assert cost[at["A"], at["-"]] == pytest.approx(4)
    assert np.allclose(np.diag(cost), 0)


def _space(codes: np.ndarray, dimensions: int) -> space.ChainSpace:
    weights = dict.fromkeys(space.PARTS, 1.0)
    return space.make_space(codes, weights, width=10.0, dimensions=dimensions)


@pytest.fixture(scope="module")
def whole() -> space.ChainSpace:
    """With all its axes, whatever the chains that they were found on."""
    codes = space.codes_of([Receptor(v_b="TRBV19", cdr3_b="CASSIRSSYEQYF")], "b")
    return _space(codes, space.PLACES * space.letter_points().shape[1])


@given(junctions=st.lists(JUNCTIONS, min_size=2, max_size=8))
@settings(deadline=None)
def test_with_all_dimensions_the_distance_is_the_sum_over_places(
    whole: space.ChainSpace, junctions: list[str]
) -> None:
    receptors = [Receptor(v_b="TRBV19", cdr3_b=j) for j in junctions]
    codes = space.codes_of(receptors, "b")
    letters = space.letter_points()
    cost = ((letters[:, None] - letters[None]) ** 2).sum(-1)
    wanted = cost[codes[:, None], codes[None]].sum(-1) / 10
    points = whole.points(codes)
    found = ((points[:, None] - points[None]) ** 2).sum(-1)
    assert torch.allclose(found, torch.from_numpy(wanted).float(), atol=1e-3)


def test_what_is_unknown_is_typical() -> None:
    known = [Receptor(v_b=v, cdr3_b=j) for v in ("TRBV19", "TRBV7-9") for j in ("CASSF", "CAWWF")]
    codes = space.codes_of(known, "b")
    made = _space(codes, 50)
    assert torch.allclose(
        made.points(space.codes_of([Receptor()], "b"))[0], made.points(codes).mean(0), atol=1e-4
    )
    half = made.points(space.codes_of([Receptor(cdr3_b="CASSF")], "b"))[0]
    assert torch.allclose(half, made.points(codes)[[0, 2]].mean(0), atol=1e-4)
