"""Molecules drawn with a weight on each atom, as SVG or PNG, by RDKit."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mmtool.errors import InputError
from mmtool.io.atomic import replace_into

_SIZE = (900, 600)  # pixels
_SMALL = (320, 220)
_STRONG = (0.84, 0.37, 0.0)  # vermilion of Okabe and Ito, told apart by colour-blind eyes
_RADIUS = 0.35  # of an atom's circle, in lengths of a bond


def write_molecule(path: Path, smiles: str, weights: Sequence[float], legend: str = "") -> None:
    """Draw a molecule; the more an atom weighs, the stronger its circle's colour.

    The heaviest atom has the full colour and an atom of no weight none.

    Args:
        path: ``.svg`` or ``.png``; it appears whole or not at all.
        smiles: Of the molecule.
        weights: One for each atom, in the order of the SMILES, none below 0.
        legend: Line beneath.

    Raises:
        InputError: The SMILES can't be read.
        ValueError: Not one weight for each atom, or another kind of file.
    """
    from rdkit import Chem
    from rdkit.Chem.Draw import rdMolDraw2D

    molecule = Chem.MolFromSmiles(smiles)
    if molecule is None:
        raise InputError("not a valid SMILES", "nothing was drawn")
    if molecule.GetNumAtoms() != len(weights):
        raise ValueError(f"{len(weights)} weights for {molecule.GetNumAtoms()} atoms")
    kinds = {".svg": rdMolDraw2D.MolDraw2DSVG, ".png": rdMolDraw2D.MolDraw2DCairo}
    if path.suffix not in kinds:
        raise ValueError(f"{path.suffix}: not a kind of drawing")
    most = max(weights, default=0.0) or 1.0
    atoms = [i for i, weight in enumerate(weights) if weight > 0]
    colours = {i: _colour(weights[i] / most) for i in atoms}
    drawing: Any = kinds[path.suffix](*_SIZE)
    drawing.drawOptions().fillHighlights = True
    drawing.drawOptions().highlightRadius = _RADIUS
    rdMolDraw2D.PrepareAndDrawMolecule(
        drawing,
        molecule,
        legend=legend,
        highlightAtoms=atoms,
        highlightAtomColors=colours,
        highlightBonds=[],
        highlightAtomRadii=dict.fromkeys(atoms, _RADIUS),
    )
    drawing.FinishDrawing()
    drawn = drawing.GetDrawingText()
    with replace_into(path) as temporary:
        temporary.write_bytes(drawn.encode() if isinstance(drawn, str) else drawn)


def molecule_svg(smiles: str) -> str | None:
    """A plain drawing as SVG; None of what RDKit can't read."""
    from rdkit import Chem
    from rdkit.Chem.Draw import rdMolDraw2D

    molecule: Any = Chem.MolFromSmiles(smiles)
    if molecule is None:
        return None
    drawing: Any = rdMolDraw2D.MolDraw2DSVG(*_SMALL)
    rdMolDraw2D.PrepareAndDrawMolecule(drawing, molecule)
    drawing.FinishDrawing()
    return str(drawing.GetDrawingText())


def _colour(strength: float) -> tuple[float, ...]:
    """White at 0, the full colour at 1."""
    return tuple(1 + strength * (part - 1) for part in _STRONG)
