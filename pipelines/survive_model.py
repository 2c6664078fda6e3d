"""A trained model of survival: what it was made from, how it reads tables, and how it predicts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mmtool.errors import InputError, ModelError
from mmtool.models.card import OWN
from mmtool.models.store import ModelFiles, load_state
from mmtool.models.survival.kinds import pack, unpack
from mmtool.models.survival.network.model import NetworkModel
from mmtool.models.survival.stack import Stack
from mmtool.pipelines.clinical_names import by_other_names
from mmtool.pipelines.survive_schema import Schema
from mmtool.pipelines.survive_tables import CLINICAL, Patients
from mmtool.survival import Block, Cohort, Outcome

_ALIKE = 0.5  # share of a block's columns that a table of another name must have to be taken for it


@dataclass(frozen=True)
class SurviveModel:
    """A model of ``mmtool survive``.

    Attributes:
        predictor: What predicts.
        schema: Of the clinical columns.
        unit: Of the times, or ``""``.
        horizons: Times of interest, ascending.
        training: Outcomes of the training patients, by time: their censoring and their
            Kaplan-Meier curve are what predictions are measured against.
    """

    predictor: Stack | NetworkModel
    schema: Schema
    unit: str
    horizons: tuple[float, ...]
    training: Outcome

    def pack(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Tensors and config of the model's folder."""
        tensors, config = pack(self.predictor)
        order = np.argsort(self.training.time, kind="stable")
        tensors["training.time"] = torch.from_numpy(self.training.time[order])
        tensors["training.event"] = torch.from_numpy(self.training.event[order].astype(np.uint8))
        config |= {
            "unit": self.unit,
            "horizons": list(self.horizons),
            "clinical": self.schema.to_json(),
        }
        return tensors, config

    def cohort(self, patients: Patients) -> tuple[Cohort, list[str]]:
        """The patients as the model knows them, without outcomes; and notes.

        Raises:
            InputError: Nothing in the tables is known to the model.
        """
        known = {n: self.predictor.columns(n) for n in self.predictor.modalities}
        given = dict(patients.blocks)
        blocks: dict[str, Block] = {}
        notes: list[str] = []
        if CLINICAL in known:
            wanted = [c.name for c in self.schema.columns if c.kind != "ignored"]
            clinical, notes = by_other_names(patients.clinical, wanted)
            patients = replace(patients, clinical=clinical)
            notes += self.schema.notes(clinical)
            blocks[CLINICAL] = clinical_block(patients, self.schema)
        for name in [n for n in known if n in given]:
            blocks[name] = given.pop(name)
        for name in [n for n in known if n not in blocks]:
            like = _most_alike(given, known[name])
            if like is not None:
                notes.append(f"table '{like}' is taken as '{name}', whose columns it has")
                blocks[name] = replace(given.pop(like), name=name)
        notes += [f"table '{name}' is not known to the model and not used" for name in given]
        absent = [n for n in known if n not in blocks or not blocks[n].present.any()]
        if len(absent) == len(known):
            raise InputError(
                f"the tables hold nothing that the model knows ({', '.join(known)})",
                "columns must have the names they had in training; see mmtool models show",
            )
        if absent:
            notes.append(f"no patient has: {', '.join(absent)}")
        for name in (n for n in blocks if n != CLINICAL):
            lacking = len(set(known[name]) - set(blocks[name].columns))
            if lacking:
                whole = len(known[name])
                notes.append(f"{name}: {lacking} of {whole} columns of the model are not there")
        return Cohort(patients.ids, blocks), notes


def clinical_block(patients: Patients, schema: Schema) -> Block:
    """The clinical columns as numbers."""
    values = schema.encode(patients.clinical, len(patients.ids))
    present = np.asarray((~np.isnan(values)).any(axis=1), np.bool_)
    return Block(CLINICAL, "clinical", schema.names(), values, present)


def _most_alike(given: Mapping[str, Block], columns: Sequence[str]) -> str | None:
    """Name of the table that has most of some columns, if it has at least half."""
    wanted = set(columns)
    shares = {name: len(wanted & set(b.columns)) / len(wanted) for name, b in given.items()}
    best = max(shares, key=lambda n: shares[n], default=None)
    return best if best is not None and shares[best] >= _ALIKE else None


def load_survive_model(files: ModelFiles) -> SurviveModel:
    """Build a model from its files.

    Raises:
        ModelError: The files are damaged, or of a network that is not known here.
    """
    where, config = str(files.folder), files.config
    if files.format != OWN:
        raise ModelError(f"{where}: not a model of mmtool survive", "see mmtool models list")
    state = load_state(files)
    try:
        training = Outcome(
            state.pop("training.time").numpy().astype(np.float64),
            state.pop("training.event").numpy().astype(np.bool_),
        )
        horizons = tuple(float(h) for h in config["horizons"])
        unit = str(config["unit"])
        schema = Schema.from_json(config["clinical"], where)
    except (KeyError, TypeError, ValueError) as error:
        raise ModelError(f"{where}: a damaged config", "train the model again") from error
    return SurviveModel(unpack(state, config, where), schema, unit, horizons, training)
