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

Further keys are kept and shown under their name.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from mmtool.errors import ModelError

WEIGHTS = "model.safetensors"
CONFIG = "config.json"
CARD = "card.json"

_WORDS = ("task", "name", "version", "summary", "licence")
_USES = ("any", "research")
_DATA = ("name", "source", "licence", "use", "n")
_TRAINING = ("command", "seed", "seconds", "hardware", "iterations")
_METRIC = ("name", "value", "low", "high", "n", "set", "baseline")
_KNOWN = {*_WORDS, "use", "data", "training", "sha256", "metrics", "intended_use", "limits"}


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
    if card.get("use") not in _USES:
        yield "'use' must be 'any' or 'research'"
    yield from _table_problems(card.get("data"), "data", _DATA)
    yield from _table_problems([card.get("training")], "training", _TRAINING)
    yield from _table_problems(card.get("metrics"), "metrics", _METRIC)
    yield from _metric_problems(card.get("metrics") or ())
    hashes = card.get("sha256")
    for name in (WEIGHTS, CONFIG):
        digest = hashes.get(name) if isinstance(hashes, dict) else None
        if not isinstance(digest, str) or not re.fullmatch(r"[0-9a-f]{64}", digest):
            yield f"'sha256' must hold the hash of {name}"
    for key in ("intended_use", "limits"):
        if not _sentences(card.get(key)):
            yield f"'{key}' must be words or a list of sentences"


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
    use = "any use" if card["use"] == "any" else "RESEARCH USE ONLY (the training data ask for it)"
    lines += [f"- licence: {card['licence']}", f"- use: {use}", "", "## Data"]
    for row in card["data"]:
        lines.append(
            f"- {row['name']}, n = {row['n']}: {row['source']}"
            f" (licence {row['licence']}; use {row['use']})"
        )
    lines += ["", "## Training", *_training(card["training"])]
    lines += ["", "## Hashes (SHA-256)", *(f"- {k}: {v}" for k, v in card["sha256"].items())]
    lines += ["", "## Metrics (95 % interval)", *(_metric_line(m) for m in card["metrics"])]
    lines += ["", "## Intended use", *(f"- {s}" for s in _sentences(card["intended_use"]))]
    lines += ["", "## What it cannot do", *(f"- {s}" for s in _sentences(card["limits"]))]
    for key in sorted(set(card) - _KNOWN):
        lines += ["", f"## {key.replace('_', ' ').capitalize()}", *_free(card[key])]
    return "\n".join(lines)


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
