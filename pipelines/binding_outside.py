"""Binding models of others, by the words of ``--model``: ``sceptr`` and ``mammal:FOLDER``.

Their packages are extras. Both answer with the known binders that ``knn`` carries as evidence.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from mmtool.errors import ModelError
from mmtool.models.card import CONFIG, WEIGHTS
from mmtool.models.files import hash_file, read_json_object
from mmtool.models.store import ModelFiles, resolve_model

SCEPTR, MAMMAL = "sceptr", "mammal"
_EVIDENCE = "knn"
_TOKENIZER = "tokenizer"


def resolve_binding_model(name: str) -> ModelFiles:
    """The files of a model that ``--model`` names, ours or of others.

    Raises:
        ModelError: As of `resolve_model`, or the folder lacks a file.
    """
    if name == SCEPTR:
        return replace(evidence_files(), name=SCEPTR, format=SCEPTR)
    kind, colon, path = name.partition(":")
    if kind == MAMMAL and colon:
        return _mammal_files(Path(path))
    return resolve_model("tcr-bind", name)


def evidence_files() -> ModelFiles:
    """The model whose known binders stand beside the scores of others."""
    return resolve_model("tcr-bind", _EVIDENCE)


def _mammal_files(folder: Path) -> ModelFiles:
    for part in (CONFIG, WEIGHTS, _TOKENIZER):
        if not (folder / part).exists():
            raise ModelError(
                f"{folder}: no {part}", f"mammal:FOLDER holds {CONFIG}, {WEIGHTS}, {_TOKENIZER}/"
            )
    tokens = sorted(p for p in (folder / _TOKENIZER).iterdir() if p.is_file())
    files = [folder / CONFIG, folder / WEIGHTS, *tokens]
    hashes = {p.relative_to(folder).as_posix(): hash_file(p) for p in files}
    card = {"task": "tcr-bind", "name": MAMMAL, "use": "unknown", "sha256": hashes}
    config = read_json_object(folder / CONFIG)
    if config.get("random_weights"):
        raise ModelError(f"{folder / CONFIG}: random_weights is set", "the scores would be noise")
    weights = folder / WEIGHTS
    return ModelFiles(
        "tcr-bind", MAMMAL, folder, config, card, weights, hashes[WEIGHTS], MAMMAL, False
    )
