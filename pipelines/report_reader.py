"""Outside vision-language models that put an image into words, from a Hugging Face folder.

They run by transformers (extra ``mmtool[hf]``). Nothing is downloaded, no code of the folder runs,
and only safetensors are read. What such a model writes is read by our labeller; nobody here has
validated it, so what it says is there is told as uncertain, and what it says is not there is not
told at all.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch

from mmtool.errors import ModelError
from mmtool.models.files import hash_file, read_json_object
from mmtool.models.report.admissibility import admissible
from mmtool.models.text.findings import BY_NAME, named_findings
from mmtool.pipelines.report_images import key_slice
from mmtool.pipelines.report_tokens import Fewer, Way, generate
from mmtool.reports import Finding
from mmtool.retrieval import Picture
from mmtool.studies import Gate

PROMPT = "Describe the findings of this radiological image."
_MOST_TOKENS = 160
_QUOTE = 240  # letters
_LETTERS = re.compile(r"[^\W\d_]+")
_EMPTY = frozenset(
    "a an and any are at be by does for from in is it of on or the there this to was what where "
    "which with".split()
)
_CODE = "auto_map"  # of a folder that needs its own code
_SETTINGS = ("config.json", "processor_config.json", "preprocessor_config.json",
             "tokenizer_config.json")  # fmt: skip


class Reader(Protocol):
    """Puts an image into words."""

    @property
    def name(self) -> str:
        """Of the model."""
        ...

    @property
    def sha256(self) -> str:
        """Hash of its weights."""
        ...

    @property
    def keep(self) -> float | None:
        """Share of the visual tokens that it is given; None for all."""
        ...

    @property
    def way(self) -> Way:
        """Which ones."""
        ...

    def read(self, picture: Picture, question: str = PROMPT) -> str:
        """Words about one slice."""
        ...


@dataclass(frozen=True)
class FolderReader:
    """See the module.

    Attributes:
        name: Of the folder.
        sha256: Of its weights.
        network: Of transformers.
        processor: Of transformers; makes what the network takes, and words of what it gives.
        keep: Share of the visual tokens that it is given; None for all. See `report_tokens`.
        way: Which ones.
    """

    name: str
    sha256: str
    network: Any
    processor: Any
    keep: float | None = None
    way: Way = "evit"

    def read(self, picture: Picture, question: str = PROMPT) -> str:
        """Words about one slice, greedily; the same for the same slice."""
        given = self._given(_rgb(picture), question)
        how = {"max_new_tokens": _MOST_TOKENS, "do_sample": False}
        with torch.inference_mode():
            if self.keep is None:
                made = self.network.generate(**given, **how)
            else:
                fewer = Fewer(self.keep, self.way, self._asked(question))
                made = generate(self.network, given, fewer, **how)
        asked = given["input_ids"].shape[1] if "input_ids" in given else 0
        starts = made[0, :asked].tolist() == given["input_ids"][0].tolist() if asked else False
        tokens = made[0, asked:] if starts else made[0]
        words = self.processor.decode(tokens, skip_special_tokens=True)
        return " ".join(str(words).split())

    def _asked(self, question: str) -> torch.Tensor:
        """(M,) numbers of the parts of the question's words that say something."""
        words = [w for w in _LETTERS.findall(question) if w.lower() not in _EMPTY] or [question]
        numbers = self.processor.tokenizer(" ".join(words), add_special_tokens=False)["input_ids"]
        return torch.tensor(numbers, dtype=torch.long)

    def _given(self, pixels: Any, question: str) -> Mapping[str, Any]:
        if getattr(self.processor, "chat_template", None):
            content = [{"type": "image", "image": pixels}, {"type": "text", "text": question}]
            given: Mapping[str, Any] = self.processor.apply_chat_template(
                [{"role": "user", "content": content}],
                add_generation_prompt=True, tokenize=True, return_dict=True, return_tensors="pt",
            )  # fmt: skip
            return given
        given = self.processor(images=pixels, text=question, return_tensors="pt")
        return given


def _rgb(picture: Picture) -> Any:
    from PIL import Image

    pixels = (np.nan_to_num(key_slice(picture)[0]).clip(0, 1) * 255).astype(np.uint8)
    return Image.fromarray(pixels).convert("RGB")


def load_reader(folder: Path, keep: float | None = None, way: Way = "evit") -> FolderReader:
    """The model of a folder as ``save_pretrained`` of transformers writes it.

    Args:
        folder: Of the model.
        keep: Share of the visual tokens that it is given, above 0 and below 1; None for all.
        way: Which ones; see `report_tokens`.

    Raises:
        ModelError: No such folder, weights of another kind, code of its own, or no transformers.
    """
    weights = _checked(folder)
    os.environ["HF_HUB_OFFLINE"] = "1"
    try:
        from transformers import AutoModelForImageTextToText, AutoProcessor
    except ImportError as error:
        raise ModelError(
            f"{folder}: needs transformers, which is not installed", "pip install 'mmtool[hf]'"
        ) from error
    safe = {"local_files_only": True, "trust_remote_code": False}
    try:
        processor = AutoProcessor.from_pretrained(folder, **safe)
        seen = {} if keep is None else {"attn_implementation": "eager"}  # gives its attention
        network = AutoModelForImageTextToText.from_pretrained(
            folder, use_safetensors=True, **safe, **seen
        )
    except (OSError, ValueError, KeyError, TypeError, RuntimeError, ImportError) as error:
        reason = " ".join(str(error).split())[:160]
        raise ModelError(
            f"{folder}: can't be loaded ({type(error).__name__}: {reason})",
            "it must hold an image-text-to-text model of transformers with its processor",
        ) from error
    digest = hashlib.sha256("".join(hash_file(path) for path in weights).encode()).hexdigest()
    return FolderReader(folder.name, digest, network.eval(), processor, keep, way)


def _checked(folder: Path) -> list[Path]:
    """The files of weights of a folder that asks for nothing unsafe."""
    if not (folder / "config.json").is_file():
        raise ModelError(f"{folder}: no config.json in it", "give a Hugging Face model folder")
    for name in _SETTINGS:
        if (folder / name).is_file() and _CODE in read_json_object(folder / name):
            raise ModelError(
                f"{folder}: its {name} asks to run code of the folder, which mmtool never does",
                "take a model that transformers has itself",
            )
    weights = sorted(folder.glob("*.safetensors"))
    if not weights:
        raise ModelError(
            f"{folder}: no *.safetensors in it", "pickled weights are not read; convert them"
        )
    return weights


def findings_of_words(
    words: str, gate: Gate, reader: Reader, image: int, first: int
) -> list[Finding]:
    """What the words of an outside model say is there, each finding once and uncertain.

    Args:
        words: As written.
        gate: Of the image; findings that can't be seen in such an image are left out.
        reader: Who wrote it.
        image: Number of the image.
        first: Number of the first finding.
    """
    found: dict[str, Finding] = {}
    kind = (gate.modality.value, gate.region.value, gate.contrast.value)
    for named in named_findings(words):
        if named.presence == "absent" or named.name in found or not admissible(named.name, *kind):
            continue
        quote = named.sentence[:_QUOTE]
        found[named.name] = Finding(
            f"f{first + len(found)}",
            named.name,
            "uncertain",
            f"An outside model writes of image {image}: “{quote}”",
            f"outside model {reader.name}, not validated here",
            code=BY_NAME[named.name].code,
        )
    return list(found.values())
