"""Windows, blended row by row, against MONAI, whole passes and the storage order of the file."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from mmtool.pipelines import file_grid, windows, world_grid
from mmtool.pipelines.sliding import Slid, sliding_bytes, sliding_labels
from mmtool.pipelines.windows import (
    blended_rows,
    gaussian_weights,
    rolling_axis,
    tiled_rows,
    window_starts,
)

CPU = torch.device("cpu")


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.fixture(scope="module")
def unet() -> nn.Module:
    """Looks at a whole window: instance norm, and a level of half the resolution."""
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv3d(1, 6, 3, padding=1),
        nn.InstanceNorm3d(6, affine=True),
        nn.LeakyReLU(0.1),
        nn.Conv3d(6, 6, 3, stride=2, padding=1),
        nn.InstanceNorm3d(6, affine=True),
        nn.LeakyReLU(0.1),
        nn.ConvTranspose3d(6, 4, 2, stride=2),
    ).eval()


@pytest.fixture(scope="module")
def meshnet() -> nn.Module:
    torch.manual_seed(1)
    layers: list[nn.Module] = []
    width = 1
    for dilation in (1, 2, 3, 1):
        conv = nn.Conv3d(width, 5, 3, padding=dilation, dilation=dilation)
        layers += [conv, nn.BatchNorm3d(5), nn.ELU()]
        width = 5
    return nn.Sequential(*layers, nn.Conv3d(5, 3, 1)).eval()


def image(*size: int, seed: int = 0) -> Tensor:
    return torch.randn((1, *size), generator=seeded(seed))


def whole(rows, axis: int) -> Tensor:
    parts, at = [], 0
    for start, maps in rows:
        assert start == at
        at += maps.shape[axis + 1]
        parts.append(maps.clone())
    return torch.cat(parts, axis + 1)


@pytest.mark.parametrize("length", [8, 9, 12, 13, 16, 31])
@pytest.mark.parametrize("overlap", [0.0, 0.25, 0.5, 0.9])
def test_starts_are_those_of_monai(length: int, overlap: float) -> None:
    from monai.data.utils import dense_patch_slices
    from monai.inferers.utils import _get_scan_interval

    step = _get_scan_interval((length,), (8,), 1, (overlap,))
    want = [s[0].start for s in dense_patch_slices((length,), (8,), step)]
    assert window_starts(length, 8, overlap) == want


def test_weights_are_those_of_monai() -> None:
    from monai.data.utils import compute_importance_map

    want = compute_importance_map((12, 7, 16), mode="gaussian", sigma_scale=0.125)
    torch.testing.assert_close(gaussian_weights((12, 7, 16)), want, rtol=1e-6, atol=0)


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("mode", ["gaussian", "constant"])
def test_rows_are_those_of_monai(unet: nn.Module, axis: int, mode: str) -> None:
    from monai.inferers import sliding_window_inference

    window, x = (12, 8, 10), image(25, 17, 22)
    with torch.inference_mode():
        want = sliding_window_inference(x[None], window, 1, unet, overlap=0.5, mode=mode)[0]
    weights = torch.ones(window) if mode == "constant" else None
    got = whole(blended_rows(unet, x, window, weights=weights, axis=axis), axis)
    torch.testing.assert_close(got, want, rtol=1e-4, atol=1e-5)
    assert torch.equal(got.argmax(0), want.argmax(0))


def test_one_window_is_one_pass(unet: nn.Module) -> None:
    x = image(12, 8, 10)
    with torch.inference_mode():
        want = unet(x[None])[0]
    got = whole(blended_rows(unet, x, (12, 8, 10), axis=2), 2)
    torch.testing.assert_close(got, want, rtol=1e-6, atol=1e-7)
    assert torch.equal(got.argmax(0), want.argmax(0))


def test_windows_of_air_are_computed_once(unet: nn.Module) -> None:
    x = image(40, 16, 8)
    x[:, 8:] = 0.5
    seen = []

    def counted(batch: Tensor) -> Tensor:
        seen.append(bool((batch == 0.5).all()))
        out: Tensor = unet(batch)
        return out

    got = whole(blended_rows(counted, x, (8, 8, 8), axis=0), 0)
    assert sum(seen) == 1
    fresh = whole(blended_rows(unet, x + torch.zeros(1), (8, 8, 8), axis=0), 0)
    from monai.inferers import sliding_window_inference

    with torch.inference_mode():
        want = sliding_window_inference(x[None], (8, 8, 8), 1, unet, 0.5, mode="gaussian")[0]
    assert torch.equal(got, fresh)
    torch.testing.assert_close(got, want, rtol=1e-4, atol=1e-5)


def test_what_cannot_be_is_an_error(unet: nn.Module) -> None:
    with pytest.raises(ValueError, match="smaller than a window"):
        next(blended_rows(unet, image(8, 8, 6), (8, 8, 8)))
    with pytest.raises(ValueError, match="overlap"):
        next(blended_rows(unet, image(8, 8, 8), (8, 8, 8), overlap=1.0))


def test_the_slab_lies_across_the_longest_axis() -> None:
    assert rolling_axis((512, 512, 800), (96, 96, 96)) == 2
    assert rolling_axis((300, 128, 128), (64, 64, 64)) == 0
    assert rolling_axis((64, 64, 64), (32, 32, 16)) == 2
    assert rolling_axis((64, 64, 64), (32, 32, 32)) == 0


@pytest.mark.parametrize("tile", [(8, 8, 8), (9, 30, 5), (64, 64, 64)])
@pytest.mark.parametrize("axis", [0, 2])
def test_tiles_with_a_halo_are_the_whole(
    meshnet: nn.Module, tile: tuple[int, int, int], axis: int
) -> None:
    x = image(26, 21, 19)
    with torch.inference_mode():
        want = meshnet(x[None])[0]
    got = whole(tiled_rows(meshnet, x, tile, halo=7, axis=axis), axis)
    torch.testing.assert_close(got, want, rtol=1e-5, atol=1e-6)
    assert torch.equal(got.argmax(0), want.argmax(0))


def test_a_halo_that_is_too_small_shows(meshnet: nn.Module) -> None:
    x = image(26, 21, 19)
    with torch.inference_mode():
        want = meshnet(x[None])[0]
    got = whole(tiled_rows(meshnet, x, (8, 8, 8), halo=6, axis=2), 2)
    assert not torch.allclose(got, want, rtol=1e-5, atol=1e-6)


def test_tiles_of_a_network_with_strides() -> None:
    torch.manual_seed(2)
    net = nn.Sequential(
        nn.Conv3d(1, 4, 3, stride=2, padding=1), nn.ELU(), nn.ConvTranspose3d(4, 2, 2, stride=2)
    ).eval()
    x = image(24, 20, 16)
    with torch.inference_mode():
        want = net(x[None])[0]
    got = whole(tiled_rows(net, x, (7, 7, 7), halo=3, multiple=2, axis=1), 1)
    torch.testing.assert_close(got, want, rtol=1e-5, atol=1e-6)


SPACING = (1.5, 2.0, 1.5)


def scan(
    order: tuple[int, ...] = (0, 1, 2), flips: tuple[int, ...] = (), degrees: float = 0.0
) -> tuple[np.ndarray, np.ndarray]:
    """Blobs of 30 x 26 x 34 voxels of 1 mm, with air on one side."""
    rng = np.random.default_rng(0)
    data = rng.normal(0, 1, (30, 26, 34))
    from scipy import ndimage

    data = ndimage.gaussian_filter(data, 1.5) * 1000
    data[:6] = data.min()
    affine = np.eye(4)
    c, s = np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))
    affine[:2, :2] = [[c, -s], [s, c]]
    affine[:3, 3] = (-10.5, 4.25, 30.0)
    data, affine = data.astype(np.int16).transpose(order), affine[:, [*order, 3]].copy()
    for axis in flips:
        data = np.flip(data, axis)
        affine[:3, 3] += affine[:3, axis] * (data.shape[axis] - 1)
        affine[:3, axis] *= -1
    return data, affine


def slid(net: nn.Module, data: np.ndarray, affine: np.ndarray, **options) -> Slid:
    given = {
        "spacing": SPACING,
        "window": (12, 8, 12),
        "classes": (0, 3, 7, 9),
        "device": CPU,
        "normalise": lambda x: (x - x.mean()) / x.std(),
    } | options
    return sliding_labels(net, data, affine, **given)


@pytest.mark.parametrize("order", list(permutations(range(3))))
def test_storage_order_changes_no_voxel(unet: nn.Module, order: tuple[int, ...]) -> None:
    want = slid(unet, *scan(), uncertainty=True)
    assert set(np.unique(want.labels)) <= {0, 3, 7, 9}
    assert len(np.unique(want.labels)) > 1
    got = slid(unet, *scan(order, (0, 2)), uncertainty=True)
    back = np.flip(got.labels, (0, 2)).transpose(np.argsort(order))
    np.testing.assert_array_equal(back, want.labels)
    doubt = np.flip(got.uncertainty, (0, 2)).transpose(np.argsort(order))
    np.testing.assert_array_equal(doubt, want.uncertainty)


@pytest.mark.parametrize("degrees", [0.0, 20.0])
def test_slabs_change_no_voxel(
    unet: nn.Module, monkeypatch: pytest.MonkeyPatch, degrees: float
) -> None:
    want = slid(unet, *scan(degrees=degrees))
    monkeypatch.setattr(windows, "_ROWS", 3)
    if degrees == 0:  # in oblique files the slabs decide on the last bits of the input
        monkeypatch.setattr(world_grid, "_SLAB_VOXELS", 400)
    monkeypatch.setattr(file_grid, "_SLAB_VALUES", 2_000)
    got = slid(unet, *scan(degrees=degrees), batch=7)
    same = (got.labels == want.labels).mean()
    assert same == 1 if degrees == 0 else same > 0.9999
    assert got.confidence.means() == pytest.approx(want.confidence.means(), abs=1e-4)


def test_a_small_volume_is_one_whole_pass_on_its_own_grid(unet: nn.Module) -> None:
    """No larger than the window: the labels are the argmax of the padded image's one pass."""
    data, affine = scan()
    got = slid(unet, data, affine, spacing=1.0, window=(32, 30, 36), normalise=lambda x: x / 500)
    x = torch.nn.functional.pad(torch.tensor(data / 500.0).float(), (1, 1, 2, 2, 1, 1))
    with torch.inference_mode():
        logits = unet(x[None, None])[0][:, 1:-1, 2:-2, 1:-1]
    want = np.array([0, 3, 7, 9])[logits.argmax(0).numpy()]
    np.testing.assert_array_equal(got.labels, want)
    best = logits.softmax(0).amax(0).numpy()
    for label, mean in got.confidence.means().items():
        assert mean == pytest.approx(best[want == label].mean(), abs=1e-5)


def test_labels_are_those_of_monai_at_the_same_grid(unet: nn.Module) -> None:
    from monai.inferers import sliding_window_inference

    data, affine = scan()
    got = slid(unet, data, affine, spacing=1.0, normalise=lambda x: x / 500)
    x = torch.tensor(data / 500.0).float()[None, None]
    with torch.inference_mode():
        want = sliding_window_inference(x, (12, 8, 12), 1, unet, 0.5, mode="gaussian")[0].argmax(0)
    np.testing.assert_array_equal(got.labels, np.array([0, 3, 7, 9])[want.numpy()])


def test_tiles_of_any_size_give_the_same_labels(meshnet: nn.Module) -> None:
    options = {"classes": (0, 1, 2), "halo": 7}
    want = slid(meshnet, *scan(), window=(64, 64, 64), **options).labels
    got = slid(meshnet, *scan(), window=(8, 5, 9), **options).labels
    assert (got == want).mean() > 0.9999  # the last bit of a sum may differ between tiles


def test_several_channels() -> None:
    torch.manual_seed(0)
    net = nn.Conv3d(2, 3, 3, padding=1).eval()
    data, affine = scan()
    both = np.stack([data, data[::-1]])
    got = slid(net, both, affine, classes=(0, 1, 2))
    swapped = nn.Conv3d(2, 3, 3, padding=1).eval()
    with torch.no_grad():
        swapped.weight.copy_(net.weight.flip(1))
        swapped.bias.copy_(net.bias)
    again = slid(swapped, both[::-1], affine, classes=(0, 1, 2))
    assert (got.labels == again.labels).mean() > 0.9999


def test_the_number_of_classes_is_checked(unet: nn.Module) -> None:
    with pytest.raises(ValueError, match="gives 4 classes, 2 were named"):
        slid(unet, *scan(), classes=(0, 1))


def test_memory_of_the_classes_is_that_of_a_slab() -> None:
    def need(length: int, classes: int) -> int:
        return sliding_bytes(
            (300, 300, length), np.eye(4), spacing=1.0, window=(96, 96, 96), classes=classes
        )

    planes_of_the_file = 4 * 20 * 300 * 400 * 6
    twenty_classes = [need(length, 21) - need(length, 1) for length in (400, 800)]
    assert abs(twenty_classes[1] - twenty_classes[0]) <= planes_of_the_file
    assert need(800, 21) < 4 * 21 * 300 * 300 * 800 / 2
