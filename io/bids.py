"""Names of the Brain Imaging Data Structure, https://bids-specification.readthedocs.io (1.10)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

# Order of entities in a name, of those that a segmentation in anat/ may have.
_ORDER = ("sub", "ses", "task", "acq", "ce", "rec", "run", "echo", "part", "space", "chunk")
_AFTER = ("seg", "desc")
_NAME = re.compile(r"((?:[a-z]+-[A-Za-z0-9+]+_)+)([A-Za-z0-9]+)")


@dataclass(frozen=True)
class BidsScan:
    """A scan by its name, e.g. ``sub-01_ses-02_T1w``.

    Attributes:
        entities: Key -> label, in the order of the name.
        suffix: What kind of scan: ``T1w``, ``FLAIR``, ...
    """

    entities: tuple[tuple[str, str], ...]
    suffix: str

    @classmethod
    def parse(cls, stem: str) -> BidsScan | None:
        """Read a file name without its extensions; None if it is no name of BIDS."""
        match = _NAME.fullmatch(stem)
        if match is None:
            return None
        pairs = [pair.partition("-")[::2] for pair in match[1].rstrip("_").split("_")]
        keys = [key for key, _ in pairs]
        if keys[0] != "sub" or len(set(keys)) < len(keys) or "ses" in keys[2:]:
            return None
        return cls(tuple(pairs), match[2])

    @property
    def stem(self) -> str:
        """The name of the scan itself."""
        return "_".join([*(f"{k}-{v}" for k, v in self.entities), self.suffix])

    @property
    def folder(self) -> str:
        """Where its results lie in a dataset, e.g. ``sub-01/ses-02/anat``."""
        return "/".join([*self._parents(), "anat"])

    def derivative(self, suffix: str, *, seg: str = "", desc: str = "") -> str:
        """Name of a result on the grid of the scan, without extension.

        Entities of the scan are kept. What a segmentation can't have as an entity (and the kind of
        scan, unless it is a plain T1w) goes into ``desc``, so that results of several scans of a
        session have different names.
        """
        own = dict(self.entities)
        rest = [f"{k}{v}" for k, v in self.entities if k not in _ORDER]
        tag = "".join([*rest, self.suffix]) if rest or self.suffix != "T1w" else ""
        values = {key: own.get(key, "") for key in _ORDER} | {"seg": seg, "desc": desc + tag}
        values["space"] = self.space
        parts = [f"{key}-{values[key]}" for key in (*_ORDER, *_AFTER) if values[key]]
        return "_".join([*parts, suffix])

    @property
    def space(self) -> str:
        """That of the scan if its name tells one, else ``orig``."""
        return dict(self.entities).get("space", "orig")

    def raw_dataset(self, path: Path) -> Path | None:
        """Root of the dataset that the scan lies in; None if it lies in no such folders."""
        kind, *above = path.absolute().parents
        expected = self._parents()[::-1]
        inside = len(above) > len(expected) and [p.name for p in above[: len(expected)]] == expected
        return above[len(expected)] if inside and kind.name.isalpha() else None

    def _parents(self) -> list[str]:
        return [f"{k}-{v}" for k, v in self.entities if k in ("sub", "ses")]
