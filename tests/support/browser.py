"""A page as a real browser leaves it."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

needs_chromium = pytest.mark.skipif(
    shutil.which("chromium") is None, reason="no chromium to look with"
)


def drawn_page(address: str, profile: Path) -> str:
    """The document after its scripts have run in Chromium.

    Args:
        address: Of the page.
        profile: An empty folder for the browser.
    """
    flags = "--headless --no-sandbox --use-gl=angle --use-angle=swiftshader --dump-dom"
    done = subprocess.run(
        [
            "chromium",
            *flags.split(),
            "--enable-unsafe-swiftshader",
            "--virtual-time-budget=60000",
            f"--user-data-dir={profile}",
            address,
        ],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    return done.stdout
