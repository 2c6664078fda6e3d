"""Model cards: what a model is, what it was trained on, how well it does, what it cannot do.

Required keys of ``card.json``:

- ``task``, ``name``, ``version``, ``summary``, ``licence``: words.
- ``use``: ``any``, or ``research`` where the training data forbid other use.
- ``data``: list of ``{name, source, licence, use, n}``.
- ``training``: ``{command, seed, seconds, hardware, iterations}``.
- ``sha256``: ``{"model.safetensors": ..., "config.json": ...}``.
- ``metrics``: list of ``{name, value, low, high, n, set, baseline}``; ``low`` and ``high`` bound
  the 95 % interval; ``baseline`` is ``{name, value}`` or null.
- ``intended_use``, ``limits``: words, or lists of sentences.

An imported model has ``format`` (its kind) and the hashes of all its files; what those who made it
do not say may be missing: ``data``, ``training`` and ``metrics``; ``use`` may be ``unknown``.

Further keys are kept and shown under their name.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import PurePosixPath
from typing import Any

from mmtool.errors import ModelError

WEIGHTS = "model.safetensors"
CONFIG = "config.json"
CARD = "card.json"
OWN = "mmtool"  # the format of models that mmtool trained

_WORDS = ("task", "name", "version", "summary", "licence")
_USES = ("any", "research")
_SAID = {
    "any": "any use",
    "research": "RESEARCH USE ONLY (the training data ask for it)",
    "unknown": "not stated by those who made it",
}
_DATA = ("name", "source", "licence", "use", "n")
_TRAINING = ("command", "seed", "seconds", "hardware", "iterations")
_METRIC = ("name", "value", "low", "high", "n", "set", "baseline")
_KNOWN = {*_WORDS, "format", "use", "data", "training", "sha256", "metrics"}
_KNOWN |= {"intended_use", "limits"}


def check_card(card: Mapping[str, Any], where: str) -> None:
    """Refuse a card that lacks what a user must be told.

    Args:
        card: Content of ``card.json``.
        where: Path for the message.

    Raises:
        ModelError: The first thing that is wrong.
    """
    problem = next(iter(_problems(card)), None)
    if problem:
        raise ModelError(f"{where}: {problem}", "the model card is not valid; see docs/models.md")


def _problems(card: Mapping[str, Any]) -> Iterable[str]:
    for key in _WORDS:
        if not isinstance(card.get(key), str) or not card[key].strip():
            yield f"'{key}' must be words"
    yield from _hash_problems(card)
    for key in ("intended_use", "limits"):
        if not _sentences(card.get(key)):
            yield f"'{key}' must be words or a list of sentences"
    if card.get("format", OWN) != OWN:
        if not isinstance(card["format"], str) or card.get("use") not in (*_USES, "unknown"):
            yield "'format' must be words, and 'use' 'any', 'research' or 'unknown'"
        return
    if card.get("use") not in _USES:
        yield "'use' must be 'any' or 'research'"
    yield from _table_problems(card.get("data"), "data", _DATA)
    yield from _table_problems([card.get("training")], "training", _TRAINING)
    yield from _table_problems(card.get("metrics"), "metrics", _METRIC)
    yield from _metric_problems(card.get("metrics") or ())


def _hash_problems(card: Mapping[str, Any]) -> Iterable[str]:
    """Hashes of the files; a name may not lead out of the folder."""
    hashes = card.get("sha256")
    hashes = hashes if isinstance(hashes, dict) else {}
    needed = (WEIGHTS, CONFIG) if card.get("format", OWN) == OWN else tuple(hashes)[:1] or ("",)
    for name in {*needed, *hashes}:
        digest = hashes.get(name)
        if not isinstance(digest, str) or not re.fullmatch(r"[0-9a-f]{64}", digest):
            yield f"'sha256' must hold the hash of {name or 'each file'}"
        if PurePosixPath(name).is_absolute() or ".." in name or "\\" in name:
            yield "'sha256' names a file outside the folder"


def _table_problems(rows: Any, key: str, columns: tuple[str, ...]) -> Iterable[str]:
    if not isinstance(rows, list) or not rows or not all(isinstance(r, dict) for r in rows):
        yield f"'{key}' is missing or of the wrong kind"
        return
    for row in rows:
        missing = [c for c in columns if c not in row]
        if missing:
            yield f"'{key}' lacks {', '.join(missing)}"


def _metric_problems(metrics: Iterable[Mapping[str, Any]]) -> Iterable[str]:
    for metric in metrics:
        values = [metric.get(k) for k in ("low", "value", "high")]
        numbers = [v for v in values if isinstance(v, int | float) and not isinstance(v, bool)]
        if len(numbers) != 3 or numbers != sorted(numbers):
            yield f"metric '{metric.get('name')}' must have numbers low <= value <= high"


def _sentences(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value] if value.strip() else []
    if isinstance(value, list) and all(isinstance(v, str) for v in value):
        return value
    return []


def render_card(card: Mapping[str, Any]) -> str:
    """The card as plain text that reads like Markdown.

    Args:
        card: A checked card.
    """
    lines = [f"# {card['name']} {card['version']} ({card['task']})", "", card["summary"], ""]
    lines += [f"- licence: {card['licence']}", f"- use: {_SAID[card['use']]}"]
    if "format" in card:
        lines.append(f"- format: {card['format']}")
    if card.get("data"):
        lines += ["", "## Data", *(_data_line(row) for row in card["data"])]
    if card.get("training"):
        lines += ["", "## Training", *_training(card["training"])]
    lines += ["", "## Hashes (SHA-256)", *(f"- {k}: {v}" for k, v in card["sha256"].items())]
    if card.get("metrics"):
        lines += ["", "## Metrics (95 % interval)", *(_metric_line(m) for m in card["metrics"])]
    lines += ["", "## Intended use", *(f"- {s}" for s in _sentences(card["intended_use"]))]
    lines += ["", "## What it cannot do", *(f"- {s}" for s in _sentences(card["limits"]))]
    for key in sorted(set(card) - _KNOWN):
        lines += ["", f"## {key.replace('_', ' ').capitalize()}", *_free(card[key])]
    return "\n".join(lines)


def _data_line(row: Mapping[str, Any]) -> str:
    rights = f"licence {row['licence']}; use {row['use']}"
    return f"- {row['name']}, n = {row['n']}: {row['source']} ({rights})"


def _training(training: Mapping[str, Any]) -> list[str]:
    """Command and facts of a run, and of the run whose weights it started from."""
    lines = [f"    {training['command']}", ""] if "command" in training else []
    lines += [f"- {k}: {v}" for k, v in training.items() if k not in ("command", "started_from")]
    origin = training.get("started_from")
    if isinstance(origin, dict):
        lines += ["", "It started from the weights of:", "", *_training(origin)]
    return lines


def _metric_line(metric: Mapping[str, Any]) -> str:
    line = (
        f"- {metric['name']}: {metric['value']:.3g} [{metric['low']:.3g}, {metric['high']:.3g}],"
        f" n = {metric['n']}, {metric['set']}"
    )
    base = metric["baseline"]
    if isinstance(base, dict):
        line += f"; baseline {base.get('name', '')} {base.get('value', '')}"
    return line


def _free(value: Any) -> list[str]:
    if isinstance(value, dict):
        return [f"- {k}: {v}" for k, v in value.items()]
    if isinstance(value, list):
        return [f"- {v}" for v in value]
    return [f"- {value}"]
