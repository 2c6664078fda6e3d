"""SMILES cut into atoms, bonds, brackets and ring numbers.

The grammar is that of http://opensmiles.org; an atom in square brackets is one token.
"""

from __future__ import annotations

import re

PAD, START, STOP, UNKNOWN = range(4)
_SPECIAL = ("<pad>", "<start>", "<stop>", "<unknown>")
_TOKEN = re.compile(r"\[[^\]]*\]|Br|Cl|%\d\d|[BCNOPSFIbcnops]|\d|[()=#$:/\\.~*+-]")
# What the SMILES of peptides of the 20 amino acids, and of common modifications, are made of.
TOKENS = (
    *_SPECIAL,
    *"CNOSPFIcnosp()=#-/\\.",
    *"123456789",
    *("Cl", "Br", "%10", "%11", "%12"),
    *("[C@H]", "[C@@H]", "[C@]", "[C@@]", "[nH]", "[NH]", "[NH2]", "[NH+]", "[nH+]", "[Se]"),
    *("[NH2+]", "[NH3+]", "[N+]", "[O-]", "[S-]", "[S@]", "[S@@]", "[H]", "[SeH]", "[P@]", "[P@@]"),
)
_NUMBER = {token: number for number, token in enumerate(TOKENS)}


def smiles_tokens(smiles: str) -> list[str]:
    """Tokens of a SMILES, in their order.

    Raises:
        ValueError: A character that no SMILES has.

    Example:
        >>> smiles_tokens("C[C@H](N)C(=O)O")
        ['C', '[C@H]', '(', 'N', ')', 'C', '(', '=', 'O', ')', 'O']
    """
    tokens = _TOKEN.findall(smiles)
    if "".join(tokens) != smiles:
        raise ValueError("not a SMILES")
    return tokens


def is_atom(token: str) -> bool:
    """Whether a token stands for an atom."""
    return token[0] == "[" or token[0].isalpha()


def token_numbers(tokens: list[str]) -> list[int]:
    """Places in `TOKENS`, between `START` and `STOP`; `UNKNOWN` for one that is not there."""
    return [START, *(_NUMBER.get(token, UNKNOWN) for token in tokens), STOP]
