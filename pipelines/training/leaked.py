"""Training images that no model may be trained on."""

from __future__ import annotations

# The same picture is in MedPix 2.0's official test part (MPX1205_synpic17592).
LEAKED = frozenset({"MPX2260_synpic46207.jpg"})
