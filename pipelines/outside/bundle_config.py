"""The configuration of a MONAI bundle, read as data.

MONAI evaluates ``$`` expressions and imports what ``_target_`` names. Here references (``@name``)
are followed and literals are read; anything that would have to be run is refused by its name.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmtool.errors import ModelError
from mmtool.models.files import read_json_object, read_text
from mmtool.models.outside import INFERENCE

_DEEPEST = 40  # references and lists inside each other
_MOST_VALUES = 100_000  # YAML can name a list often inside lists
_REFERENCE = re.compile(r"@([A-Za-z0-9_]\w*(?:(?:::|#)\w+)*)")
_MOVED = re.compile(r"@([\w:#]+)\.to\(@device\)")  # how bundles write "network on its device"
_DTYPE = re.compile(r"(?:torch|np|numpy)\.((?:float|int|uint)\d{1,2})")
_HINT = "mmtool runs nothing of a bundle; write the value itself, or ask for this step"


@dataclass(frozen=True)
class Component:
    """An entry with a ``_target_``: class name and arguments, references not yet followed.

    Attributes:
        target: As written, e.g. ``Spacingd`` or ``monai.transforms.Spacingd``.
        arguments: Names -> values.
        where: Path in the configuration, for messages.
    """

    target: str
    arguments: Mapping[str, Any]
    where: str

    @property
    def bare(self) -> str:
        """Class name without its module."""
        return self.target.rpartition(".")[2]


class BundleConfig:
    """A configuration file.

    Args:
        content: What it holds.
        name: File, for messages.
    """

    def __init__(self, content: Mapping[str, Any], name: str) -> None:
        self.content = content
        self.name = name
        self._values = 0

    @classmethod
    def of(cls, folder: Path) -> BundleConfig:
        """The inference configuration of a bundle folder.

        Raises:
            ModelError: Missing or unreadable.
        """
        path = next(p for n in INFERENCE if (p := folder / "configs" / n).is_file())
        content = read_json_object(path) if path.suffix == ".json" else _read_yaml(path)
        return cls(content, str(path))

    def refuse(self, where: str, why: str) -> ModelError:
        """The error for something that cannot be taken over."""
        return ModelError(f"{self.name}: '{where}' {why}", _HINT)

    def has(self, name: str) -> bool:
        """Whether there is an entry of this name."""
        return name in self.content

    def value(self, name: str) -> Any:
        """Value of an entry, all references followed.

        Raises:
            ModelError: Missing, or something that would have to be run.
        """
        return self.resolve(self.content.get(name), name)

    def resolve(self, value: Any, where: str, depth: int = 0) -> Any:
        """A value with its references followed and its literals read; components stay as they are.

        Args:
            value: Anything of the configuration.
            where: Its path, for messages.
            depth: How deep it lies.

        Raises:
            ModelError: An expression, a missing entry, or entries that refer to each other.
        """
        self._values += 1
        if depth > _DEEPEST or self._values > _MOST_VALUES:
            raise self.refuse(where, "refers to itself, or is nested too deeply")
        if isinstance(value, str):
            return self._text(value, where, depth)
        if isinstance(value, list):
            return [self.resolve(v, f"{where}#{n}", depth + 1) for n, v in enumerate(value)]
        if isinstance(value, dict):
            if "_target_" in value:
                return self._component(value, where, depth)
            return {k: self.resolve(v, f"{where}#{k}", depth + 1) for k, v in value.items()}
        return value

    def _component(self, value: Mapping[str, Any], where: str, depth: int) -> Component | None:
        target = self.resolve(value["_target_"], f"{where}#_target_", depth + 1)
        if not isinstance(target, str) or not re.fullmatch(r"\w+(\.\w+)*", target):
            raise self.refuse(f"{where}#_target_", "names no class")
        disabled = self.resolve(value.get("_disabled_", False), f"{where}#_disabled_", depth + 1)
        if disabled in (True, "true", "True"):
            return None
        if value.get("_mode_", "default") != "default":
            raise self.refuse(f"{where}#_mode_", "asks for another way to run it")
        return Component(target, {k: v for k, v in value.items() if k[:1] != "_"}, where)

    def arguments(self, part: Component, wanted: tuple[str, ...]) -> dict[str, Any]:
        """The arguments of a component that are wanted and given, resolved."""
        return {
            name: self.resolve(part.arguments[name], f"{part.where}#{name}")
            for name in wanted
            if name in part.arguments
        }

    def _text(self, text: str, where: str, depth: int) -> Any:
        if text.startswith("%"):
            raise self.refuse(where, "takes its value from another file")
        expression = text.startswith("$")
        body = text.removeprefix("$").strip() if expression else text
        match = _REFERENCE.fullmatch(body) or (_MOVED.fullmatch(body) if expression else None)
        if match:
            return self.resolve(self._entry(match[1], where), match[1], depth + 1)
        if not expression:
            return text
        dtype = _DTYPE.fullmatch(body)
        if dtype:
            return dtype[1]
        try:
            return ast.literal_eval(body[:10_000])
        except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError) as error:
            short = body if len(body) <= 60 else f"{body[:57]}..."
            raise self.refuse(where, f"is an expression that would be run: {short}") from error

    def _entry(self, name: str, where: str) -> Any:
        """What lies at ``a::b`` or ``a#b``."""
        place: Any = self.content
        for key in re.split(r"::|#", name):
            try:
                place = place[int(key)] if isinstance(place, list) else place[key]
            except (KeyError, IndexError, TypeError, ValueError) as error:
                raise self.refuse(where, f"refers to '{name}', which is not there") from error
        return place


def _read_yaml(path: Path) -> dict[str, Any]:
    try:
        import yaml
    except ImportError as error:
        raise ModelError(f"{path}: YAML cannot be read", "pip install 'mmtool[bundle]'") from error
    try:
        content = yaml.safe_load(read_text(path))
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise ModelError(f"{path}: not valid YAML", "the model folder is damaged") from error
    if not isinstance(content, dict):
        raise ModelError(f"{path}: not a table of entries", "the model folder is damaged")
    return content
