"""MAMMAL (https://doi.org/10.48550/arXiv.2410.22367) as a model of ``mmtool tcr-bind``.

Its own package runs its own weights from a local folder (extra ``mmtool[mammal]``); nothing is
downloaded, and only safetensors are read. The score is the log odds of the answer ``<1>``.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from mmtool.errors import ModelError
from mmtool.models.tcr.domain import whole_beta_domain
from mmtool.pipelines.binding_knn import LevenshteinKnn
from mmtool.pipelines.binding_model import BindingModel
from mmtool.receptors import Binder, BindingScores, Receptor

_ANSWER = 1  # decoder position of <0> or <1>; the task's own token comes before it
_LEAST = 1e-7
_IDS, _MASK = "data.encoder_input_token_ids", "data.encoder_input_attention_mask"
_TEXT, _SCORES = "data.query.encoder_input", "model.out.scores"


def prompt(domain: str, epitope: str) -> str:
    """What MAMMAL is asked: the V(D)J domain of a beta chain, and a peptide."""
    parts = (("TCR_BETA_VDJ", domain), ("EPITOPE", epitope))
    entities = "".join(
        f"<@TOKENIZER-TYPE=AA><MOLECULAR_ENTITY><MOLECULAR_ENTITY_{kind}>"
        f"<SEQUENCE_NATURAL_START>{sequence}<SEQUENCE_NATURAL_END>"
        for kind, sequence in parts
    )
    return f"<@TOKENIZER-TYPE=AA><BINDING_AFFINITY_CLASS><SENTINEL_ID_0>{entities}<EOS>"


@dataclass
class MammalBinding:
    """MAMMAL's answer for each pair; known binders are evidence alone.

    Attributes:
        network: ``mammal.model.Mammal``.
        tokenizer: Its ``ModularTokenizerOp``.
        evidence: Known binders, and the nearest ones.
    """

    network: Any
    tokenizer: Any
    evidence: LevenshteinKnn
    purpose: str = "human alpha-beta T-cell receptors"
    unseen_skill: float | None = None

    def __post_init__(self) -> None:
        self.binders, self.few = self.evidence.binders, self.evidence.few
        self.epitopes = self.evidence.epitopes
        self._yes = self.tokenizer.get_token_id("<1>")

    def with_binders(self, extra: Sequence[Binder]) -> BindingModel:
        """The same model with more evidence; the scores stay as they are."""
        evidence = LevenshteinKnn(self.evidence.config, [*self.binders, *extra])
        return MammalBinding(self.network, self.tokenizer, evidence)

    def known(self, epitope: str) -> int:
        """Binders of an epitope in the evidence; what MAMMAL was trained on is not known."""
        return self.evidence.known(epitope)

    def neighbours(
        self, receptors: Sequence[Receptor], epitope: str, k: int
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Known binders by edits of the CDR3 over its length."""
        return self.evidence.neighbours(receptors, epitope, k)

    def score(self, receptors: Sequence[Receptor], epitopes: Sequence[str]) -> BindingScores:
        """Log odds and probability of binding; NaN without a whole beta chain (V, J, CDR3)."""
        shape = (len(receptors), len(epitopes))
        probability = np.full(shape, np.nan, np.float32)
        nearest, distance = np.full(shape, -1, np.int64), np.full(shape, np.nan, np.float32)
        domains = [whole_beta_domain(r) for r in receptors]
        for column, epitope in enumerate(epitopes):
            place, apart = self.neighbours(receptors, epitope, 1)
            nearest[:, column], distance[:, column] = place[:, 0], apart[:, 0]
            for row, domain in enumerate(domains):
                if domain:
                    probability[row, column] = self._probability(domain, epitope)
        bounded = np.clip(probability, _LEAST, 1 - _LEAST)
        return BindingScores(
            score=np.log(bounded / (1 - bounded)).astype(np.float32),
            percentile=np.full(shape, np.nan, np.float32),
            probability=probability,
            nearest=nearest,
            distance=distance,
            known=np.array([self.known(e) for e in epitopes], np.int64),
            notes=("scores are the log odds of MAMMAL's answer <1>, not calibrated here",),
        )

    def _probability(self, domain: str, epitope: str) -> float:
        """Softmax over the whole vocabulary, of ``<1>`` at its place; NaN if it stops before."""
        sample: dict[str, Any] = {_TEXT: prompt(domain, epitope)}
        self.tokenizer(
            sample_dict=sample, key_in=_TEXT, key_out_tokens_ids=_IDS, key_out_attention_mask=_MASK
        )
        for name in (_IDS, _MASK):
            sample[name] = torch.tensor(sample[name], device=self.network.device)
        with torch.inference_mode():
            answer = self.network.generate(
                [sample],
                output_scores=True,
                return_dict_in_generate=True,
                max_new_tokens=_ANSWER + 1,
                do_sample=False,
            )
        scores = answer[_SCORES][0]
        return float(scores[_ANSWER, self._yes]) if len(scores) > _ANSWER else float("nan")


def load_mammal(folder: Path, device: torch.device, evidence: LevenshteinKnn) -> MammalBinding:
    """The model of a local folder with config.json, model.safetensors and tokenizer/.

    Raises:
        ModelError: The package is not installed, or the folder is no model of it.
    """
    os.environ["HF_HUB_OFFLINE"] = "1"
    try:
        from fuse.data.tokenizers.modular_tokenizer.op import ModularTokenizerOp
        from mammal.model import Mammal
    except ImportError as error:
        raise ModelError("MAMMAL is not installed", "pip install 'mmtool[mammal]'") from error
    try:
        with contextlib.redirect_stdout(sys.stderr):  # the package prints
            network = Mammal.from_pretrained(
                str(folder), allow_config_mismatch=True, local_files_only=True
            )
            tokenizer = ModularTokenizerOp.from_pretrained(
                str(folder / "tokenizer"), local_files_only=True
            )
    except Exception as error:
        raise ModelError(
            f"{folder}: MAMMAL can't read it ({type(error).__name__})",
            "it holds config.json, model.safetensors and tokenizer/ as published",
        ) from error
    network.eval().to(device)
    return MammalBinding(network, tokenizer, evidence)
