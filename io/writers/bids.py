"""Files of a BIDS derivative dataset that are no images."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mmtool import __version__
from mmtool.errors import UsageError
from mmtool.io.atomic import replace_into
from mmtool.io.bids import BidsScan
from mmtool.io.writers.json_file import write_json
from mmtool.io.writers.tables import write_tsv
from mmtool.types import Label

DESCRIPTION = "dataset_description.json"
OTHERS = "mmtool"  # folder of what BIDS has no names for
_BIDS_VERSION = "1.10.0"
_MAX_BYTES = 1 << 20
_RAW = "raw"  # name of the link to the dataset of the scans


def check_dataset(root: Path, raw: str | None) -> None:
    """Refuse a folder that is the root of another dataset.

    Args:
        root: Of the derivative dataset; may be absent.
        raw: Path from there to the dataset of the scans, POSIX.

    Raises:
        UsageError: It holds raw data, or what another program or another dataset gave.
    """
    path = root / DESCRIPTION
    if not path.exists():
        return
    hint = "choose another -o, e.g. <dataset>/derivatives/mmtool"
    try:
        with path.open("rb") as file:
            found = json.loads(file.read(_MAX_BYTES))
        makers = [maker.get("Name") for maker in found.get("GeneratedBy", [])]
        link = found.get("DatasetLinks", {}).get(_RAW)
    except (OSError, ValueError, AttributeError, TypeError, RecursionError) as error:
        raise UsageError(f"{path} can't be read", hint) from error
    if "mmtool" not in makers:
        raise UsageError(f"{root} is the root of a dataset that mmtool did not make", hint)
    if raw and link and raw != link:
        raise UsageError(f"{root} holds results of another dataset", hint)


def write_dataset(root: Path, raw: str | None) -> None:
    """Write ``dataset_description.json`` and ``.bidsignore`` if they are not there.

    Several processes may do so at the same time: each file comes whole, and all write the same.
    """
    root.mkdir(parents=True, exist_ok=True)
    if not (root / ".bidsignore").exists():
        with replace_into(root / ".bidsignore") as temporary:
            temporary.write_text(f"{OTHERS}\nfailures*.tsv\n", encoding="utf-8")
    if not (root / DESCRIPTION).exists():
        value: dict[str, Any] = {
            "Name": "Segmentations by mmtool",
            "BIDSVersion": _BIDS_VERSION,
            "DatasetType": "derivative",
            "GeneratedBy": [{"Name": "mmtool", "Version": __version__}],
        }
        if raw:
            value["DatasetLinks"] = {_RAW: raw}
        write_json(root / DESCRIPTION, value)


def write_sidecar(path: Path, scan: BidsScan, source: Path, *, about: dict[str, Any]) -> None:
    """Write the JSON of an image on the grid of a scan.

    Args:
        path: Target.
        scan: The scan.
        source: Its file; named as a source if it lies in a dataset.
        about: ``Description``, and what belongs to this kind of image.
    """
    root = scan.raw_dataset(source)
    inside = None if root is None else source.absolute().relative_to(root).as_posix()
    uri = None if inside is None else f"bids:{_RAW}:{inside}"
    reference = "orig" if scan.space == "orig" else uri
    value = dict(about)
    if reference:
        value["SpatialReference"] = reference
    if uri:
        value["Sources"] = [uri]
    write_json(path, value)


def write_dseg_tsv(path: Path, table: Sequence[Label]) -> None:
    """Write the look-up table of a discrete segmentation."""
    rows = [(x.index, x.name, "#{:02x}{:02x}{:02x}".format(*x.color)) for x in table]
    write_tsv(path, ("index", "name", "color"), rows)
