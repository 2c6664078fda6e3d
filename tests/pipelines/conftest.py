"""Fixtures for the pipelines."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest


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
