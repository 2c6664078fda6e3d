from itertools import combinations

import numpy as np
import pytest
import torch

from mmtool.models.reducers.coverage import covering, likeness


def made(seed: int, words: int = 3, tokens: int = 10) -> tuple[torch.Tensor, ...]:
    draw = torch.Generator().manual_seed(seed)
    return tuple(
        torch.randn(count, dim, generator=draw)
        for count, dim in ((words, 8), (tokens, 8), (tokens, 6))
    )


@pytest.mark.parametrize("seed", range(20))
def test_the_greedy_choice_is_near_the_best(seed: int) -> None:
    rows = likeness(*made(seed))
    best = max(float(rows[:, list(c)].amax(1).sum()) for c in combinations(range(10), 3))
    found = float(rows[:, covering(rows, 3)].amax(1).sum())
    assert (1 - 1 / np.e) * best <= found <= best + 1e-6


def test_rows_of_words_sum_to_one_and_those_of_tokens_to_a_half() -> None:
    rows = likeness(*made(0))
    assert rows.shape == (13, 10)
    assert float(rows[:3].sum()) == pytest.approx(1, abs=1e-5)
    assert float(rows[3:].sum()) == pytest.approx(0.5, abs=1e-5)


def test_another_question_keeps_other_tokens() -> None:
    _, projected, features = made(0)
    kept = [covering(likeness(projected[k : k + 1], projected, features), 2) for k in range(10)]
    assert all(k in chosen.tolist() for k, chosen in enumerate(kept))
    assert len({tuple(chosen.tolist()) for chosen in kept}) > 5


def test_all_are_kept_in_order_and_each_once() -> None:
    rows = likeness(*made(1))
    assert covering(rows, 10).tolist() == list(range(10))
    some = covering(rows, 6).tolist()
    assert some == sorted(set(some))
    assert len(some) == 6


def test_equal_tokens_are_not_taken_twice() -> None:
    rows = torch.eye(3).repeat(1, 2)  # tokens 3, 4 and 5 are copies
    assert covering(rows, 3).tolist() == [0, 1, 2]


def test_tokens_may_come_in_any_order() -> None:
    words, projected, features = made(2)
    order = torch.randperm(10, generator=torch.Generator().manual_seed(0))
    plain = covering(likeness(words, projected, features), 4)
    mixed = covering(likeness(words, projected[order], features[order]), 4)
    assert set(order[mixed].tolist()) == set(plain.tolist())
