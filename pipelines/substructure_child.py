"""Child process that looks for a substructure: ``python -m mmtool.pipelines.substructure_child``.

How long a match takes can grow exponentially with the pattern, and native code can't be stopped
from within. See `mmtool.io.readers.decoding_child`.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rdkit import Chem, RDLogger

from mmtool.io.readers.decoding_child import Refusal, serve

_SMARTS_ONLY = frozenset("[*~!&,;$")


@lru_cache(maxsize=4)
def _pattern(text: str) -> Any:
    """Without brackets and wild cards a molecule, whose rings may be written in either way."""
    plain = None if set(text) & _SMARTS_ONLY else Chem.MolFromSmiles(text)
    pattern = Chem.MolFromSmarts(text) if plain is None else plain
    if pattern is None or not pattern.GetNumAtoms():
        raise Refusal("a pattern that can't be read", "give SMARTS or SMILES, such as c1ccncc1")
    return pattern


def _answer(request: dict[str, Any]) -> tuple[dict[str, Any], Iterable[NDArray[Any]]]:
    pattern = _pattern(request["pattern"])
    found = []
    for smiles in request["smiles"]:
        molecule = Chem.MolFromSmiles(smiles)
        found.append(molecule is not None and molecule.HasSubstructMatch(pattern))
    return {}, (np.array(found, np.uint8),)


if __name__ == "__main__":
    RDLogger.DisableLog("rdApp.*")  # type: ignore[attr-defined]
    serve(_answer)
