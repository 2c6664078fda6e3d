"""Memory of a pass that is never made."""

from __future__ import annotations

import pytest
from torch import Tensor, nn

from mmtool.pipelines.outside.pass_bytes import _KERNELS, UNKNOWN_BYTES, pass_bytes

MAP = 4 * 10**3  # bytes of one channel of 10 x 10 x 10


def test_what_is_held_at_once_is_counted() -> None:
    convolutions = [nn.Conv3d(1, 4, 3, padding=1), nn.ReLU(inplace=True), nn.Conv3d(4, 2, 1)]
    net = nn.Sequential(*convolutions).eval()
    held = pass_bytes(net, (1, 1, 10, 10, 10)) / _KERNELS
    assert held == pytest.approx((4 + 2) * MAP, rel=0.01)
    deeper = nn.Sequential(*convolutions, nn.Conv3d(2, 1, 1), nn.Conv3d(1, 1, 1)).eval()
    # By then the first maps are gone: the peak is no larger.
    assert pass_bytes(deeper, (1, 1, 10, 10, 10)) / _KERNELS == pytest.approx(held, rel=0.01)


def test_no_memory_is_taken() -> None:
    net = nn.Conv3d(1, 64, 3, padding=1).eval()
    assert pass_bytes(net, (1, 1, 2000, 2000, 2000)) > 64 * 4 * 2000**3


class _Reads(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x * 2 if float(x.sum()) > 0 else x


def test_a_network_that_reads_values_gets_a_plain_guess() -> None:
    assert pass_bytes(_Reads().eval(), (1, 1, 10, 10, 10)) == UNKNOWN_BYTES * 1000


def test_a_shape_that_the_network_refuses_is_an_error() -> None:
    with pytest.raises(RuntimeError):
        pass_bytes(nn.Conv3d(3, 4, 3).eval(), (1, 1, 10, 10, 10))
