"""Model folders that others made: MONAI bundles, nnU-Net v2 and MeshNet folders.

They are recognised by their files. Of a folder only the files that are listed here count: these
are hashed, and copied by ``mmtool models import``. Scripts that lie beside them are never read.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mmtool.errors import ModelError
from mmtool.models.files import hash_file, read_json_object

MONAI_BUNDLE, NNUNET, MESHNET = "monai_bundle", "nnunet", "meshnet"
LOOKED_FOR = (
    "card.json (mmtool), configs/inference.json (MONAI bundle), plans.json and dataset.json "
    "(nnU-Net v2), model.json and model.safetensors (MeshNet)"
)
INFERENCE = ("inference.json", "inference.yaml", "inference.yml")
_WEIGHTS = {
    MONAI_BUNDLE: ("models/model.safetensors", "models/model.pt", "models/model.pth"),
    MESHNET: ("model.safetensors", "model.pth", "model.pt", "model.bin"),
}
_LICENCES = ("LICENSE", "LICENSE.txt", "LICENSE.md", "LICENCE", "COPYING")
_NAMES = {MONAI_BUNDLE: "MONAI bundle", NNUNET: "nnU-Net v2 model", MESHNET: "MeshNet model"}
_LIMITS = "Made by others; mmtool has neither trained nor measured it."


def recognise(folder: Path) -> str:
    """Kind of an outside model folder, or an empty string."""
    if any((folder / "configs" / name).is_file() for name in INFERENCE):
        return MONAI_BUNDLE
    if (folder / "plans.json").is_file() and (folder / "dataset.json").is_file():
        return NNUNET
    if (folder / "model.json").is_file() and _present(folder, _WEIGHTS[MESHNET]):
        return MESHNET
    return ""


def weight_files(folder: Path, kind: str) -> tuple[str, ...]:
    """Names of the files of weights, relative to the folder.

    Raises:
        ModelError: There are none.
    """
    if kind == NNUNET:
        found = sorted(p for p in folder.glob("fold_*/checkpoint_final.pth") if p.is_file())
        # As nnU-Net does: the fold that was trained on all cases only stands in for the others.
        folds = [p for p in found if p.parent.name != "fold_all"] or found
        names = [p.relative_to(folder).as_posix() for p in folds]
        wanted = "fold_*/checkpoint_final.pth"
    else:
        names, wanted = _present(folder, _WEIGHTS[kind])[:1], " or ".join(_WEIGHTS[kind])
    if not names:
        raise ModelError(f"{folder}: has no weights", f"a {_NAMES[kind]} holds {wanted}")
    return tuple(names)


def model_files(folder: Path, kind: str) -> tuple[str, ...]:
    """Names of all files that make the model what it is, relative to the folder, sorted."""
    fixed = {
        MONAI_BUNDLE: (*(f"configs/{n}" for n in INFERENCE), "configs/metadata.json"),
        NNUNET: ("plans.json", "dataset.json"),
        MESHNET: ("model.json", "layers.json", *_colormaps(folder)),
    }[kind]
    return tuple(sorted({*weight_files(folder, kind), *_present(folder, fixed)}))


def licence_files(folder: Path) -> tuple[str, ...]:
    """Names of licence files, relative to the folder."""
    return tuple(_present(folder, (*_LICENCES, *(f"docs/{n}" for n in _LICENCES))))


def _present(folder: Path, names: tuple[str, ...]) -> list[str]:
    return [name for name in names if (folder / name).is_file()]


def _colormaps(folder: Path) -> tuple[str, ...]:
    return tuple(sorted(p.name for p in folder.glob("colormap*.json")))


def weights_digest(hashes: Mapping[str, str], weights: tuple[str, ...]) -> str:
    """One hash for the weights: the file's own, or of several that of their sha256sum listing."""
    if len(weights) == 1:
        return hashes[weights[0]]
    listing = "".join(f"{hashes[name]}  {name}\n" for name in sorted(weights))
    return hashlib.sha256(listing.encode()).hexdigest()


def outside_card(folder: Path, kind: str) -> dict[str, Any]:
    """A card of what the folder itself says, with the hashes of its files.

    Raises:
        ModelError: A file is missing or unreadable.
    """
    known = {MONAI_BUNDLE: _bundle_words, NNUNET: _nnunet_words, MESHNET: _meshnet_words}
    said = {k: v for k, v in known[kind](folder).items() if v}
    name = _slug(folder.absolute().name) or kind
    return {
        "task": "segment",
        "name": name,
        "format": kind,
        "version": "not stated",
        "summary": f"{_NAMES[kind]} {name}.",
        "licence": _licence(folder),
        "use": "unknown",
        "intended_use": "not stated",
        **said,
        "limits": [_LIMITS],
        "sha256": {name: hash_file(folder / name) for name in model_files(folder, kind)},
    }


def _slug(text: str) -> str:
    """Letters, digits, dots, lines; as folder names of models are."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", text).strip("-.")[:80]


def _line(value: Any) -> str:
    """Words of a folder as one line of bounded length, or nothing."""
    return " ".join(str(value).split())[:500] if isinstance(value, str | int | float) else ""


def _licence(folder: Path) -> str:
    for name in licence_files(folder):
        with (folder / name).open("rb") as file:
            head = file.read(4096).decode("utf-8", "replace")
        first = next((line for line in map(_line, head.splitlines()) if line.strip("#= ")), "")
        if first:
            return f"{first[:100]} ({name})"
    return "not stated"


def _bundle_words(folder: Path) -> dict[str, str]:
    path = folder / "configs/metadata.json"
    meta = read_json_object(path) if path.is_file() else {}
    return {
        "version": _line(meta.get("version")),
        "summary": _line(meta.get("description")) or _line(meta.get("task")),
        "intended_use": _line(meta.get("intended_use")),
        "source": _line(meta.get("authors")),
        "training_data": _line(meta.get("data_source")),
        **({"licence": _line(meta["license"])} if meta.get("license") else {}),
    }


def _nnunet_words(folder: Path) -> dict[str, str]:
    dataset = read_json_object(folder / "dataset.json")
    name = _line(read_json_object(folder / "plans.json").get("dataset_name"))
    return {
        "summary": _line(dataset.get("description"))
        or (f"nnU-Net v2 model of {name}." * bool(name)),
        "training_data": _line(dataset.get("reference")) or name,
        "source": _line(dataset.get("release")),
    }


def _meshnet_words(folder: Path) -> dict[str, str]:
    config = read_json_object(folder / "model.json")
    return {"summary": _line(config.get("header")) or _line(config.get("_comment"))}
