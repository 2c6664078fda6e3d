"""The source of niivue, taken from the installed package ``ipyniivue`` (both BSD-2-Clause).

That package is a widget for notebooks. For its own "save as HTML" it carries the whole of niivue
as an ES module, percent-encoded in one string of its script: that string is read, and nothing of
the package is imported or run.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from urllib.parse import unquote

from mmtool.errors import UsageError

_PACKAGE = "ipyniivue"
_SCRIPT = "ipyniivue/static/widget.js"
_LICENCE = "licenses/LICENSE"
_HINT = "pip install 'mmtool[html]'"


@dataclass(frozen=True)
class NiivueSource:
    """An ES module that defines ``Niivue`` and ``NVImage``, and the licence it comes under."""

    module: str
    licence: str
    version: str


def niivue_source() -> NiivueSource:
    """Read niivue from the installed package.

    Raises:
        UsageError: The package is absent, or of a version that holds niivue in another way.
    """
    try:
        package = metadata.distribution(_PACKAGE)
        script = Path(str(package.locate_file(_SCRIPT))).read_text(encoding="utf-8")
    except (metadata.PackageNotFoundError, OSError) as error:
        raise UsageError(f"--html needs the package {_PACKAGE}, which is absent", _HINT) from error
    module = unquote(max(script.split('"'), key=len))
    names = re.search(r"export\{([^{}]*)\};?\s*$", module)
    exported = set(names[1].split(",")) if names else set()
    if not {"Niivue", "NVImage"} <= exported or re.search("<!--|</script", module, re.I):
        raise UsageError(f"--html can't use {_PACKAGE} {package.version}", _HINT)
    return NiivueSource(module, package.read_text(_LICENCE) or "BSD-2-Clause", package.version)
