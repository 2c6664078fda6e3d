"""TITAN's network as a model of ``mmtool tcr-bind``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mmtool.errors import ModelError
from mmtool.models.tcr.reference import unpack
from mmtool.models.tcr.smiles_tokens import is_atom, smiles_tokens
from mmtool.models.tcr.titan import Encoded, Pairs, Titan, TitanSize
from mmtool.models.tcr.titan_input import (
    epitope_length,
    epitope_numbers,
    padded,
    peptide_smiles,
    random_smiles,
    receptor_codes,
    receptor_regions,
)
from mmtool.pipelines.binding_knn import LevenshteinKnn
from mmtool.pipelines.binding_model import BindingModel, PairAttention, ScoreSpread
from mmtool.receptors import Binder, BindingScores, Receptor

NETWORK = "titan"
CONTROLS = "controls"  # tensor (E, Q) of the controls' quantiles
_OWN = "network."  # before the names of the network's tensors
_RECEPTORS, _PAIRS = 1024, 256  # that are held at a time
PASSES = 5  # of dropout, and orders of the SMILES, as in the paper


@dataclass
class TitanBinding:
    """A trained network with what makes its log odds comparable.

    Only beta chains are read; a receptor without one has no answer. The rows don't know of each
    other. Known binders of the user are evidence only: the network learns in training.

    Attributes:
        config: ``spelling``, ``form``, ``known`` (epitope -> pairs in training), ``calibration``
            (slope, intercept), ``prevalence``, ``few``, ``unseen_skill``, ``quantiled`` (epitopes
            of the rows of `controls`).
        network: In evaluation mode.
        controls: (E, Q) raw log odds of control receptors, ascending along Q.
        binders: Known binders whose sequences are carried.
    """

    config: Mapping[str, Any]
    network: Titan
    controls: Tensor
    binders: Sequence[Binder]
    purpose: str = "human alpha-beta T-cell receptors"
    _evidence: LevenshteinKnn = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self.few = int(self.config["few"])
        skill = self.config.get("unseen_skill")
        self.unseen_skill = None if skill is None else float(skill)
        counts = self.config["known"]
        self.epitopes = tuple(sorted(counts, key=lambda e: (-counts[e], e)))
        self._row = {e: i for i, e in enumerate(self.config["quantiled"])}
        self._evidence = LevenshteinKnn({"k": 1, "few": self.few}, self.binders)

    @property
    def device(self) -> torch.device:
        """Where it computes."""
        return self.network.residues.device

    def with_binders(self, extra: Sequence[Binder]) -> BindingModel:
        """The same network with more known binders as evidence; its scores stay what they are."""
        return replace(self, binders=[*self.binders, *extra])

    def known(self, epitope: str) -> int:
        """Pairs of an epitope in training."""
        return int(self.config["known"].get(epitope, 0))

    def neighbours(
        self, receptors: Sequence[Receptor], epitope: str, k: int
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Known binders by edits of the CDR3 over its length."""
        return self._evidence.neighbours(receptors, epitope, k)

    def score(self, receptors: Sequence[Receptor], epitopes: Sequence[str]) -> BindingScores:
        """Calibrated log odds, percentile among controls, probability, nearest binder."""
        shape = (len(receptors), len(epitopes))
        found = {n: np.full(shape, np.nan, np.float32) for n in ("score", "percentile", "distance")}
        nearest = np.full(shape, -1, np.int64)
        raw = self.raw_scores(receptors, epitopes)
        found["score"] = self._calibrated(raw)
        for column, epitope in enumerate(epitopes):
            found["percentile"][:, column] = self._percentile(raw[:, column], epitope)
            place, apart = self.neighbours(receptors, epitope, 1)
            nearest[:, column], found["distance"][:, column] = place[:, 0], apart[:, 0]
        odds = np.log(self.config["prevalence"] / (1 - self.config["prevalence"]))
        notes = [f"probabilities are for 1 binder in {1 / self.config['prevalence']:.0f}"]
        if any(r.usable and not r.cdr3_b for r in receptors):
            notes.append("titan reads beta chains; receptors of an alpha chain alone have no score")
        return BindingScores(
            score=found["score"],
            percentile=found["percentile"],
            probability=(1 / (1 + np.exp(-found["score"] - odds))).astype(np.float32),
            nearest=nearest,
            distance=found["distance"],
            known=np.array([self.known(e) for e in epitopes], np.int64),
            notes=tuple(notes),
        )

    def raw_scores(
        self, receptors: Sequence[Receptor], epitopes: Sequence[str]
    ) -> NDArray[np.float32]:
        """(N, E) log odds as the network gives them; NaN without a beta junction."""
        return self._raw(receptors, [self._spell(e) for e in epitopes])

    def spread(self, receptors: Sequence[Receptor], epitopes: Sequence[str]) -> ScoreSpread:
        """How much scores change when channels are dropped, and when the SMILES is rewritten.

        Args:
            receptors: N receptors.
            epitopes: E peptides.
        """
        spelled = [self._spell(e) for e in epitopes]
        passes = []
        for number in range(PASSES):
            with self._dropping(number):
                passes.append(self._calibrated(self._raw(receptors, spelled)))
        dropout = np.stack(passes).std(0)
        if self.config["spelling"] != "smiles":
            return ScoreSpread(dropout, np.zeros_like(dropout))
        orders = [random_smiles(e, PASSES, 0) for e in epitopes]
        passes = [
            self._calibrated(self._raw(receptors, [order[number] for order in orders]))
            for number in range(PASSES)
        ]
        return ScoreSpread(dropout, np.stack(passes).std(0))

    def attention(self, receptors: Sequence[Receptor], epitope: str) -> list[PairAttention | None]:
        """What the network looked at in each pair; None without a beta junction."""
        out: list[PairAttention | None] = [None] * len(receptors)
        text = self._spell(epitope)
        for rows, _, pairs in self._pairs(receptors, [text]):
            for place, row in enumerate(rows):
                out[row] = self._told(receptors[row], text, pairs, place)
        return out

    def _told(self, receptor: Receptor, text: str, pairs: Pairs, place: int) -> PairAttention:
        """Weights without those of padding, start and stop."""
        form, smiles = self.config["form"], self.config["spelling"] == "smiles"
        regions = [
            (name, letter)
            for name, letters in receptor_regions(receptor, form)
            for letter in letters
        ]
        codes = receptor_codes([receptor], form)[0]
        real = torch.nonzero(codes)[1:, 0][: len(regions)]
        tokens = smiles_tokens(text) if smiles else list(text)
        return PairAttention(
            regions=tuple(regions),
            receptor=pairs.receptor[place, real].cpu().numpy(),
            smiles=text if smiles else "",
            tokens=tuple(tokens),
            atom=tuple(_atoms(tokens)) if smiles else (),
            epitope=pairs.epitope[place, 1 : len(tokens) + 1].cpu().numpy(),
        )

    def _spell(self, epitope: str) -> str:
        return peptide_smiles(epitope) if self.config["spelling"] == "smiles" else epitope

    def _raw(self, receptors: Sequence[Receptor], spelled: Sequence[str]) -> NDArray[np.float32]:
        out = np.full((len(receptors), len(spelled)), np.nan, np.float32)
        for rows, column, pairs in self._pairs(receptors, spelled):
            out[rows, column] = pairs.logit.cpu().numpy()
        return out

    def _pairs(
        self, receptors: Sequence[Receptor], spelled: Sequence[str]
    ) -> Iterator[tuple[list[int], int, Pairs]]:
        """The receptors that have an answer, some at a time, each with one of the epitopes.

        Each receptor and each epitope is encoded once.
        """
        spelling = self.config["spelling"]
        with torch.inference_mode():
            epitopes: dict[int, Encoded] = {}
            for column, text in enumerate(spelled):
                numbers = epitope_numbers(text, spelling)
                if len(numbers) <= epitope_length(spelling):
                    tokens = padded([numbers]).to(self.device)
                    epitopes[column] = self.network.encode_epitopes(tokens)
            for rows, encoded in self._encoded(receptors):
                for begin in range(0, len(rows), _PAIRS):
                    some = torch.arange(begin, min(begin + _PAIRS, len(rows)), device=self.device)
                    own, zeros = encoded.take(some), torch.zeros_like(some)
                    for column, epitope in epitopes.items():
                        pairs = self.network(own, epitope.take(zeros))
                        yield [rows[i] for i in some.tolist()], column, pairs

    def _encoded(self, receptors: Sequence[Receptor]) -> Iterator[tuple[list[int], Encoded]]:
        rows = [i for i, r in enumerate(receptors) if r.cdr3_b]
        for begin in range(0, len(rows), _RECEPTORS):
            some = rows[begin : begin + _RECEPTORS]
            codes = receptor_codes([receptors[i] for i in some], self.config["form"])
            yield some, self.network.encode_receptors(codes.to(self.device))

    @contextmanager
    def _dropping(self, seed: int) -> Iterator[None]:
        self.network.sample_dropout(torch.Generator().manual_seed(seed))
        try:
            yield
        finally:
            self.network.sample_dropout(None)

    def _calibrated(self, raw: NDArray[np.float32]) -> NDArray[np.float32]:
        slope, intercept = self.config["calibration"]
        return (raw * float(slope) + float(intercept)).astype(np.float32)

    def _percentile(self, raw: NDArray[np.float32], epitope: str) -> NDArray[np.float32]:
        """Share of control receptors that score lower, in percent; NaN for other epitopes."""
        row = self._row.get(epitope)
        if row is None:
            return np.full(len(raw), np.nan, np.float32)
        quantiles = self.controls[row].cpu().numpy()
        share = np.interp(raw, quantiles, np.linspace(0, 100, len(quantiles)))
        return share.astype(np.float32)


def _atoms(tokens: Sequence[str]) -> Iterator[int]:
    """Number of each token's atom, in the order of the SMILES; -1 for bonds and the like."""
    number = -1
    for token in tokens:
        number += is_atom(token)
        yield number if is_atom(token) else -1


def titan_tensors(model: TitanBinding) -> dict[str, Tensor]:
    """Tensors of a model but its binders, as `load_titan` reads them; weights as float16."""
    state = model.network.state_dict()
    own = {_OWN + k: v.half() if v.is_floating_point() else v for k, v in state.items()}
    own[CONTROLS] = model.controls.half()
    return {k: v.cpu().contiguous() for k, v in own.items()}


def _whole(tensor: Tensor) -> Tensor:
    return tensor.float() if tensor.is_floating_point() else tensor


def load_titan(
    config: Mapping[str, Any], tensors: Mapping[str, Tensor], where: str
) -> TitanBinding:
    """Build the model from its config and tensors.

    Raises:
        ModelError: A tensor or setting is missing or of another shape.
    """
    try:
        size = config["size"]
        network = Titan(
            TitanSize(**size | {"kernels": tuple(size["kernels"]), "dense": tuple(size["dense"])})
        )
        own = {k.removeprefix(_OWN): _whole(v) for k, v in tensors.items() if k.startswith(_OWN)}
        network.load_state_dict(own)
        controls = tensors[CONTROLS].float()
        network = network.eval().to(controls.device)
        return TitanBinding(config, network, controls, unpack(tensors))
    except (KeyError, TypeError, RuntimeError) as error:
        raise ModelError(f"{where}: not a whole TITAN model", "install mmtool again") from error
