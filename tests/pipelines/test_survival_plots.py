"""Pictures of survival: they show what was computed, alike on every machine."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mmtool.io.writers import calibration_figure, km_figure
from mmtool.pipelines.survival_plots import draw_calibration, draw_km, risk_cuts
from mmtool.survival import Outcome, Prediction

_APART = """
import sys
from pathlib import Path
import numpy as np
from mmtool.pipelines.survival_plots import draw_calibration, draw_km, risk_cuts
from mmtool.survival import Outcome, Prediction
n = 40
risk = np.sin(np.arange(n))
outcome = Outcome(2.0 + np.arange(n) % 11, np.arange(n) % 3 > 0)
curves = np.repeat([[0.8, 0.5]], n, 0) ** np.exp(risk)[:, None]
used = np.ones((n, 1), bool)
said = Prediction(risk, np.array([3.0, 6.0]), curves, ("clinical",), used, risk[:, None])
folder = Path(sys.argv[1])
draw_km(folder / "km.png", outcome, risk, cuts=risk_cuts(risk, 3), unit="$months$")
draw_calibration(folder / "calibration.png", outcome, said, 6.0)
assert "matplotlib.pyplot" not in sys.modules
"""


def cohort(n: int) -> tuple[Outcome, Prediction]:
    draw = np.random.default_rng(n)
    risk = draw.normal(size=n)
    died, lost = draw.exponential(10 / np.exp(risk)), draw.uniform(0, 30, n)
    times = np.linspace(0.1, 30, 50)
    survival = np.exp(-times[None] / 10 * np.exp(risk)[:, None])
    prediction = Prediction(
        risk, times, survival, ("clinical",), np.ones((n, 1), bool), risk[:, None]
    )
    return Outcome(np.minimum(died, lost), died <= lost), prediction


@pytest.mark.parametrize("n", [0, 1, 2, 7, 60])
def test_any_number_of_patients_gives_two_pictures(tmp_path: Path, n: int) -> None:
    outcome, prediction = cohort(n)
    cuts = risk_cuts(prediction.risk, 4)
    p = draw_km(tmp_path / "km.png", outcome, prediction.risk, cuts=cuts)
    draw_calibration(tmp_path / "calibration.png", outcome, prediction, 5.0, "months")
    for name in ("km", "calibration"):
        with Image.open(tmp_path / f"{name}.png") as picture:
            assert picture.width > 700
            assert np.asarray(picture.convert("L")).std() > 5
    assert sorted(f.name for f in tmp_path.iterdir()) == ["calibration.png", "km.png"]
    assert np.isnan(p) == (len(cuts) == 0)


@pytest.mark.slow
def test_same_bytes_without_a_home_and_whatever_the_settings(tmp_path: Path) -> None:
    bytes_of = []
    for number, settings in enumerate(("", "axes.facecolor: red\nfont.size: 30\n")):
        folder = tmp_path / str(number)
        folder.mkdir()
        (folder / "matplotlibrc").write_text(settings)
        environ = {**os.environ, "HOME": "/dev/null", "MATPLOTLIBRC": str(folder)}
        environ.pop("MPLCONFIGDIR", None)
        environ.pop("XDG_CACHE_HOME", None)
        environ.pop("XDG_CONFIG_HOME", None)
        done = subprocess.run(
            [sys.executable, "-W", "error", "-c", _APART, str(folder)],
            env=environ,
            capture_output=True,
            text=True,
        )
        assert (done.returncode, done.stderr) == (0, "")
        bytes_of.append([(folder / f"{n}.png").read_bytes() for n in ("km", "calibration")])
    assert bytes_of[0] == bytes_of[1]


def test_cuts_leave_enough_patients_in_each_group() -> None:
    risk = np.arange(40.0)
    risk[0] = np.nan
    assert len(risk_cuts(risk, 4)) == 3
    assert len(risk_cuts(risk[:13], 4)) == 1
    assert len(risk_cuts(risk[:3], 4)) == 0
    member = np.searchsorted(risk_cuts(risk, 3), risk[1:], "right")
    assert np.bincount(member).tolist() == [13, 13, 13]


def test_what_is_drawn_is_what_was_computed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Groups by given cuts, those of patients without a risk left out; one group may be empty."""
    seen: dict[str, object] = {}
    monkeypatch.setattr(
        "mmtool.pipelines.survival_plots.write_km",
        lambda path, groups, **words: seen.update(groups=groups, **words),
    )
    outcome, prediction = cohort(60)
    risk = prediction.risk.copy()
    risk[:5] = np.nan
    draw_km(tmp_path / "km.png", outcome, risk, cuts=(0.0, 99.0), unit="days")
    groups = seen["groups"]
    assert isinstance(groups, list)
    assert [g.name for g in groups] == ["low risk", "middle risk"]
    assert sum(len(g.patient_times) for g in groups) == 55
    assert (groups[0].low <= groups[0].survival).all()
    censored = np.sort(outcome.time[5:][~outcome.event[5:] & (risk[5:] < 0)])
    np.testing.assert_array_equal(np.sort(groups[0].censored), censored)
    assert str(seen["caption"]).startswith("log-rank p")


def test_writers_import_matplotlib_only_when_used() -> None:
    code = "import sys; import {}; assert 'matplotlib' not in sys.modules"
    for module in (km_figure, calibration_figure):
        subprocess.run([sys.executable, "-c", code.format(module.__name__)], check=True)
