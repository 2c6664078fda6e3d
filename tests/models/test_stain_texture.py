"""The encoder by stains and texture: what its numbers mean."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from slides import EOSIN, NUCLEUS, tissue_picture

from mmtool.errors import ModelError
from mmtool.models.encoders.tile_encoder import ENCODERS, load_encoder

CPU = torch.device("cpu")
ENCODER = load_encoder("stain_texture", CPU)


def tile(nuclei: int, seed: int = 0) -> torch.Tensor:
    """(1, 256, 256, 3) from the middle of tissue."""
    picture = tissue_picture(800, 1200, nuclei, seed)
    return torch.tensor(picture[272:528, 272:528])[None]


def of(tiles: torch.Tensor, name: str) -> float:
    return float(ENCODER.encode(tiles)[0, ENCODER.columns.index(name)])


@pytest.mark.parametrize("name", ENCODERS)
def test_every_encoder_keeps_the_contract(name: str) -> None:
    encoder = load_encoder(name, CPU)
    assert encoder.name == name
    assert len(set(encoder.columns)) == len(encoder.columns)
    tiles = torch.cat([tile(400), tile(1500)])
    found = encoder.encode(tiles)
    assert found.shape == (2, len(encoder.columns))
    assert found.dtype == torch.float32
    alone = torch.cat([encoder.encode(t[None]) for t in tiles])
    torch.testing.assert_close(found, alone, rtol=1e-4, atol=1e-5)


def test_an_encoder_of_another_name_is_an_error() -> None:
    with pytest.raises(ModelError, match="no encoder of tiles is named 'uni'"):
        load_encoder("uni", CPU)


@pytest.mark.parametrize("value", [0, 128, 255])
def test_a_plain_tile_has_finite_numbers(value: int) -> None:
    plain = torch.full((1, 256, 256, 3), value, dtype=torch.uint8)
    assert torch.isfinite(ENCODER.encode(plain)).all()


def test_stains_are_told_apart() -> None:
    """Optical densities along one stain's vector give that stain and nothing else."""
    amounts = {"h": ((0.650, 0.704, 0.286), 0.7), "e": ((0.072, 0.990, 0.105), 0.4)}
    for stain, (vector, amount) in amounts.items():
        unit = np.array(vector) / np.linalg.norm(vector)
        color = (256 * 10 ** (-amount * unit) - 1).round().astype(np.uint8)
        plain = torch.tensor(color).expand(1, 256, 256, 3)
        other = "e" if stain == "h" else "h"
        assert of(plain, f"{stain}_mean") == pytest.approx(amount, abs=0.02)
        assert of(plain, f"{other}_mean") == pytest.approx(0, abs=0.02)
        assert of(plain, "residual_mean") == pytest.approx(0, abs=0.02)


def test_more_nuclei_give_more_of_what_counts_them() -> None:
    few, many = tile(300), tile(2400)
    for name in ("h_mean", "nuclei_per_mm2_log_0.03", "h_above_0.3", "blob_mean_2.25um"):
        assert of(many, name) > of(few, name)
    none = torch.tensor(EOSIN, dtype=torch.uint8).expand(1, 256, 256, 3)
    assert of(none, "nuclei_per_mm2_log_0.08") == 0


def test_nuclei_are_counted() -> None:
    """Sixteen of them on a grid, far from each other."""
    picture = np.full((256, 256, 3), EOSIN, np.uint8)
    for y in range(32, 256, 64):
        for x in range(32, 256, 64):
            picture[y - 5 : y + 5, x - 5 : x + 5] = NUCLEUS
    counted = np.expm1(of(torch.tensor(picture)[None], "nuclei_per_mm2_log_0.08"))
    assert counted * (256 * 0.5e-3) ** 2 == pytest.approx(16, abs=0.1)


def test_a_turned_tile_is_the_same_tissue() -> None:
    once = tile(900)
    columns = [k for k, c in enumerate(ENCODER.columns) if "_q" not in c]
    for turned in (once.rot90(1, (1, 2)), once.flip(1)):
        difference = (ENCODER.encode(turned) - ENCODER.encode(once))[0, columns]
        assert difference.abs().max() < 2e-3


def test_stripes_are_coherent_and_noise_is_not() -> None:
    wave = (np.sin(np.arange(256) / 3) * 60 + 150).astype(np.uint8)
    stripes = torch.tensor(np.repeat(wave[None, :, None], 256, 0).repeat(3, 2))[None]
    noise = torch.tensor(np.random.default_rng(0).integers(0, 255, (1, 256, 256, 3), np.uint8))
    assert of(stripes, "h_coherence_0.5um") > 0.95
    assert of(noise, "h_coherence_0.5um") < 0.1
    assert of(noise, "h_energy_0.5um") > of(stripes, "h_energy_0.5um")
