"""Fixtures for the pipelines."""

from __future__ import annotations

import csv
import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from PIL import Image

COLUMNS = "image case_id split type modality plane location location_category dhash caption".split()
KINDS = (
    ("CT", "CT - noncontrast", "Axial", "Chest, Pulmonary", "Thorax"),
    ("MR", "MR - T2 weighted", "Sagittal", "Brain and Neuro", "Head"),
)


@pytest.fixture(scope="session")
def fake_task() -> ModuleType:
    """The module ``fake_task.py`` that lies beside this file."""
    path = Path(__file__).with_name("fake_task.py")
    spec = importlib.util.spec_from_file_location("mmtool_fake_task", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def captioned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Bars along or across, of 40 cases with two images each, and one drawing."""
    data = tmp_path_factory.mktemp("captioned") / "data"
    folder = data / "medpix2"
    (folder / "images").mkdir(parents=True)
    draw = np.random.default_rng(0)
    rows = []
    for k in range(80):
        kind = KINDS[k // 2 % 2]
        pixels = draw.integers(0, 60, (72, 64), dtype=np.uint8)
        bars = pixels[8:-8].T if kind[0] == "CT" else pixels[8:-8]
        bars[::6] = 220
        name = f"{k}.png"
        Image.fromarray(pixels).save(folder / "images" / name)
        hashed = "".join(str(b) for b in draw.integers(0, 2, 64))
        split = "dev" if k >= 60 else "train"
        caption = f"case {k // 2} with a finding"
        rows.append((name, f"c{k // 2}", split, *kind, hashed, caption))
    rows.append(("x.png", "x", "train", "CT", "Drawing", "Axial", "", "Head", "", "drawn"))
    with (folder / "images.csv").open("w", newline="") as file:
        csv.writer(file).writerows([COLUMNS, *rows])
    cases = [
        {"case_id": f"c{k}", "split": "train", "history": f"fever {k}", "case_diagnosis": f"it {k}"}
        for k in range(30)
    ]
    lines = "".join(json.dumps(case) + "\n" for case in cases)
    (folder / "cases.jsonl").write_text(lines)
    return data
