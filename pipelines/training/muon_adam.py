"""Muon for the convolutions, AdamW for the rest.

Muon (Jordan et al. 2024; Liu et al. 2025, arXiv 2502.16982) replaces the update of a weight matrix
by its nearest orthogonal matrix. ``torch.optim.Muon`` takes matrices only and iterates in
bfloat16, which desktop CPUs emulate: there it costs more than the network itself. This one takes
convolution kernels and works in the precision of the weights.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

# Quintic Newton-Schulz iteration tuned by Jordan et al. for fast growth of small singular values.
_A, _B, _C = 3.4445, -4.7750, 2.0315


class Muon(torch.optim.Optimizer):
    """Momentum whose update is orthogonalised.

    Args:
        params: Kernels (out, in, ...), at least two axes.
        lr: Learning rate.
        momentum: Of the running gradient (Nesterov).
        weight_decay: Decoupled.
    """

    def __init__(
        self,
        params: Iterable[Tensor],
        *,
        lr: float = 0.02,
        momentum: float = 0.95,
        weight_decay: float = 0.01,
    ) -> None:
        super().__init__(params, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """Update every kernel that has a gradient."""
        del closure
        for group in self.param_groups:
            for kernel in group["params"]:
                if kernel.grad is None:
                    continue
                state = self.state[kernel]
                if not state:
                    state["momentum"] = torch.zeros_like(kernel)
                running = state["momentum"]
                running.lerp_(kernel.grad, 1 - group["momentum"])
                update = kernel.grad.lerp(running, group["momentum"]).flatten(1)
                scale = max(1.0, update.shape[0] / update.shape[1]) ** 0.5
                kernel.mul_(1 - group["lr"] * group["weight_decay"])
                kernel.add_(orthogonalise(update).view(kernel.shape), alpha=-group["lr"] * scale)


def orthogonalise(matrix: Tensor, *, steps: int = 5) -> Tensor:
    """Roughly the nearest (semi-)orthogonal matrix: singular values end between 0.7 and 1.2.

    Args:
        matrix: (m, n).
        steps: Newton-Schulz iterations.

    Returns:
        (m, n).
    """
    x: Tensor = matrix / (matrix.norm() + 1e-7)
    tall = x.shape[0] > x.shape[1]
    if tall:
        x = x.T
    for _ in range(steps):
        gram = x @ x.T
        x = _A * x + (_B * gram + _C * gram @ gram) @ x
    return x.T if tall else x


class MuonAdam:
    """One optimiser out of two.

    Args:
        net: Network.
        muon_rate: Learning rate of convolutions with kernels larger than one voxel.
        adam_rate: Learning rate of everything else.
        matrices: Modules of ``net`` whose matrices are like convolutions: hidden, and dense.
    """

    def __init__(
        self,
        net: nn.Module,
        *,
        muon_rate: float = 0.02,
        adam_rate: float = 2e-3,
        matrices: Sequence[str] = (),
    ) -> None:
        def hidden(name: str, p: Tensor) -> bool:
            if name.split(".")[0] in matrices:
                return p.dim() > 1
            return p.dim() == 5 and p.shape[-1] > 1

        learned = [(n, p) for n, p in net.named_parameters() if p.requires_grad]
        kernels = [p for n, p in learned if hidden(n, p)]
        rest = [p for n, p in learned if not hidden(n, p)]
        self.parts: dict[str, tuple[torch.optim.Optimizer, float]] = {}
        if kernels:
            self.parts["muon"] = (Muon(kernels, lr=muon_rate), muon_rate)
        if rest:
            adam = torch.optim.AdamW(rest, lr=adam_rate, weight_decay=1e-4)
            self.parts["adam"] = (adam, adam_rate)

    def set_rate(self, share: float) -> None:
        """Scale both learning rates to ``share`` of their peak."""
        for optimiser, rate in self.parts.values():
            for group in optimiser.param_groups:
                group["lr"] = rate * share

    def zero_grad(self) -> None:
        """Forget all gradients."""
        for optimiser, _ in self.parts.values():
            optimiser.zero_grad(set_to_none=True)

    def step(self) -> None:
        """Update all parameters from their gradients."""
        for optimiser, _ in self.parts.values():
            optimiser.step()

    def state_dict(self) -> dict[str, Any]:
        """State of both."""
        return {name: optimiser.state_dict() for name, (optimiser, _) in self.parts.items()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore the state of both."""
        for name, (optimiser, _) in self.parts.items():
            optimiser.load_state_dict(state[name])
