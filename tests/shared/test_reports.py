"""The parser on thousands of real reports: those of chests ask for nothing in the brain."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest
import torch

from mmtool.anatomy import BRAIN, BRAIN_LABELS
from mmtool.models.store import resolve_model
from mmtool.models.text.request import parse_request
from mmtool.pipelines.segmenters import load_segmenter
from mmtool.pipelines.text_inference import BrainTextSegmenter

AVAILABLE = frozenset(label.index for label in (BRAIN, *BRAIN_LABELS))
NAMES = {label.index: label.name for label in (BRAIN, *BRAIN_LABELS)}


def test_chest_reports_ask_for_no_brain(shared: Path) -> None:
    path = shared / "data/vision_language/openi_reports/reports.jsonl.gz"
    if not path.exists():
        pytest.skip("the chest reports are not among the shared files")
    wrong = total = 0
    with gzip.open(path, "rt") as lines:
        for line in lines:
            report = json.loads(line)
            parts = ("indication", "findings", "impression")
            text = "\n".join(f"{p.upper()}: {report[p]}" for p in parts)
            request = parse_request(text, AVAILABLE)
            assert request.kind == "report"
            wrong += request.asked is not None
            total += 1
    assert total > 3000
    assert wrong <= total * 0.005  # the cortex of a rib, an enlarged left ventricle


def test_few_chest_reports_ask_the_network_for_some_brain(shared: Path) -> None:
    path = shared / "data/vision_language/openi_reports/reports.jsonl.gz"
    if not path.exists():
        pytest.skip("the chest reports are not among the shared files")
    with gzip.open(path, "rt") as lines:
        reports = [json.loads(line) for line in lines][::8]
    parts = ("indication", "findings", "impression")
    texts = ["\n".join(f"{p.upper()}: {r[p]}" for p in parts) for r in reports]
    network = load_segmenter(resolve_model("segment", "brain-text"), torch.device("cpu"))
    assert isinstance(network, BrainTextSegmenter)
    asked = [
        some for i in range(0, len(texts), 40) for some in network.understand(texts[i : i + 40])
    ]
    assert sum(not some for some in asked) >= 0.9 * len(asked)


def test_tumour_reports_ask_for_the_ventricles_they_find_compressed(shared: Path) -> None:
    path = shared / "data/segment/texts/textbrats_examples.json"
    if not path.exists():
        pytest.skip("the tumour reports are not among the shared files")
    cases = json.loads(path.read_text())["cases"]
    assert cases
    for case in cases:
        request = parse_request(case["text"], AVAILABLE)
        asked = {NAMES[i] for i in request.asked or ()}
        assert any("lateral ventricle" in name for name in asked)
        assert {"lesion", "edema", "necrosis"} <= set(request.unknown)
