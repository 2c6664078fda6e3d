"""Codes that several views of a report share; the meanings are those of DICOM's dictionary."""

from __future__ import annotations

from mmtool.types import Code

PRESENCE = {
    "present": Code("52101004", "SCT", "Present"),
    "absent": Code("272519000", "SCT", "Absent"),
    "uncertain": Code("82334004", "SCT", "Indeterminate"),
}
SIDES = {
    "left": Code("7771000", "SCT", "Left"),
    "right": Code("24028007", "SCT", "Right"),
    "both": Code("51440002", "SCT", "Right and left"),
}
