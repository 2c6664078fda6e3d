"""The optimiser: against singular values, torch's AdamW, and its own saved state."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from mmtool.pipelines.training.muon_adam import Muon, MuonAdam, orthogonalise


@pytest.mark.parametrize("shape", [(8, 30), (30, 8), (16, 16)])
def test_the_update_is_nearly_orthogonal(shape: tuple[int, int]) -> None:
    generator = torch.Generator().manual_seed(0)
    matrix = torch.randn(shape, generator=generator)
    u, _, v = torch.linalg.svd(matrix, full_matrices=False)
    found = orthogonalise(matrix)
    values = torch.linalg.svdvals(found)
    assert values.min() > 0.6
    assert values.max() < 1.25
    # Same singular vectors as the exact answer, so nearly the same matrix.
    assert torch.nn.functional.cosine_similarity(found.flatten(), (u @ v).flatten(), 0) > 0.95


def test_scale_of_the_gradient_does_not_matter() -> None:
    steps = []
    for scale in (1e-3, 1e3):
        kernel = nn.Parameter(torch.zeros(4, 3, 2))
        optimiser = Muon([kernel], lr=0.1, weight_decay=0.0)
        generator = torch.Generator().manual_seed(1)
        kernel.grad = scale * torch.randn(kernel.shape, generator=generator)
        optimiser.step()
        steps.append(kernel.detach().clone())
    torch.testing.assert_close(steps[0], steps[1], atol=1e-3, rtol=1e-2)


def _net() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv3d(1, 4, 3), nn.Conv3d(4, 4, 3), nn.Conv3d(4, 2, 1))


def test_matrices_of_named_modules_are_muons_and_no_others() -> None:
    net = nn.ModuleDict({"words": nn.Embedding(5, 4), "hidden": nn.Linear(4, 4)})
    parts = MuonAdam(net, matrices=("hidden",)).parts
    held = {
        name: {tuple(p.shape) for group in part.param_groups for p in group["params"]}
        for name, (part, _) in parts.items()
    }
    assert held == {"muon": {(4, 4)}, "adam": {(5, 4), (4,)}}
    assert set(MuonAdam(net).parts) == {"adam"}


def _step(net: nn.Module, optimiser: MuonAdam, seed: int) -> None:
    x = torch.randn(1, 1, 6, 6, 6, generator=torch.Generator().manual_seed(seed))
    optimiser.zero_grad()
    net(x).square().mean().backward()
    optimiser.step()


def test_a_restored_run_goes_on_exactly() -> None:
    net = _net()
    optimiser = MuonAdam(net, muon_rate=0.02, adam_rate=2e-3)
    for seed in range(3):
        _step(net, optimiser, seed)
    other = _net()
    other.load_state_dict(net.state_dict())
    restored = MuonAdam(other, muon_rate=0.02, adam_rate=2e-3)
    restored.load_state_dict(copy.deepcopy(optimiser.state_dict()))
    for seed in range(3, 6):
        _step(net, optimiser, seed)
        _step(other, restored, seed)
    for a, b in zip(net.parameters(), other.parameters(), strict=True):
        assert torch.equal(a, b)


def test_every_parameter_moves_and_the_loss_falls() -> None:
    net = _net()
    before = [p.detach().clone() for p in net.parameters()]
    optimiser = MuonAdam(net, muon_rate=0.02, adam_rate=2e-3)
    x = torch.randn(1, 1, 6, 6, 6, generator=torch.Generator().manual_seed(9))
    first = net(x).square().mean().item()
    for _ in range(30):
        _step(net, optimiser, 9)
    assert net(x).square().mean().item() < 0.5 * first
    assert all(not torch.equal(a, b) for a, b in zip(before, net.parameters(), strict=True))
