"""Fixtures for all tests."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def shared() -> Path:
    """Folder of real data that is not part of the repository."""
    default = Path(__file__).resolve().parents[2] / "shared"
    folder = Path(os.environ.get("MMTOOL_SHARED", default))
    if not (folder / "data").is_dir():
        pytest.skip(f"real data folder {folder} is absent; set MMTOOL_SHARED")
    return folder
