"""One training run: network, optimiser, averaged weights, checkpoint, log, export."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import platform
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from mmtool.errors import ModelError
from mmtool.io.writers.json_file import write_json
from mmtool.models.store import load_state, resolve_model
from mmtool.pipelines.training.muon_adam import MuonAdam

log = logging.getLogger(__name__)

S = TypeVar("S")
Report = Callable[[dict[str, Any]], None]
# A sample and a generator to the loss and one score for each name of the log.
LossOf = Callable[[S, torch.Generator], tuple[Tensor, Tensor]]


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """What every run has.

    Attributes:
        out: Folder for checkpoint, log and exported model.
        iterations: Steps in all; a resumed run may name another number.
        decay: Share of the steps, at the end, over which the learning rate falls to zero.
        rate: Peak learning rate of AdamW; Muon's is ten times that.
        start: Name or folder of a model whose weights training starts from, or nothing.
        precision: ``float32``, or ``bfloat16`` for the network's passes (weights stay float32).
        seed: Everything random follows from it.
        device: Torch device name.
        workers: Processes that draw samples.
    """

    out: Path
    iterations: int = 9500
    decay: float = 0.3
    rate: float = 2e-3
    start: str = ""
    precision: str = "float32"
    seed: int = 0
    device: str = "cpu"
    workers: int = 1


class TrainingRun:
    """What a checkpoint holds, and the steps that change it.

    Args:
        net: The network, freshly initialised under the seed of ``schedule``.
        schedule: See :class:`Schedule`.
        arguments: Of the network, for ``config.json`` and to recognise a checkpoint.
        matrices: Modules of ``net`` whose matrices Muon updates too.
    """

    def __init__(
        self,
        net: nn.Module,
        schedule: Schedule,
        arguments: dict[str, Any],
        *,
        matrices: Sequence[str] = (),
    ) -> None:
        self.schedule = schedule
        self.arguments = arguments
        self.device = torch.device(schedule.device)
        self.net = net.to(self.device)
        self.origin: dict[str, Any] = {}
        resumed = self.checkpoint.exists()
        if schedule.start and not resumed:
            self._start_from(schedule.start)
        self.net.to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]
        self.average = {k: v.clone() for k, v in self.net.state_dict().items()}
        rate = schedule.rate
        self.optimiser = MuonAdam(self.net, muon_rate=10 * rate, adam_rate=rate, matrices=matrices)
        self.step = 0
        self.seconds = 0.0
        self.scores: dict[str, float] = {}
        if resumed:
            self._restore()

    @property
    def checkpoint(self) -> Path:
        """File that a stopped run goes on from."""
        return self.schedule.out / "checkpoint.pt"

    def rate(self) -> float:
        """Share of the peak: warm-up, constant, straight down (Hu et al. 2024, 2404.06395)."""
        left = 1 - self.step / self.schedule.iterations
        return min(1.0, (self.step + 1) / 100, max(0.01, left / self.schedule.decay))

    def train(
        self,
        samples: Iterable[S],
        loss_of: LossOf[S],
        names: Sequence[str],
        report: Report | None = None,
    ) -> None:
        """Take steps until the schedule's end, with a log line every 50 and a checkpoint each 200.

        Args:
            samples: Endless.
            loss_of: Loss and scores (len(names),), NaN where a score doesn't apply.
            names: Of the scores.
            report: Called with every line of the log.
        """
        self.schedule.out.mkdir(parents=True, exist_ok=True)
        started, since = time.monotonic(), self.step
        shown: list[Tensor] = []
        for sample in samples:
            if self.step >= self.schedule.iterations:
                break
            loss, scores = self._advance(sample, loss_of)
            shown.append(torch.cat([loss[None], scores]))
            if self.step % 50 == 0:
                pace = (time.monotonic() - started) / (self.step - since)
                line = self._log_line(shown, names, pace)
                shown = []
                if report:
                    report(line)
            if self.step % 200 == 0:
                self.save()
        self.save()

    def _log_line(self, shown: list[Tensor], names: Sequence[str], pace: float) -> dict[str, Any]:
        mean = torch.stack(shown).nanmean(0)
        self.scores = {n: round(float(v), 3) for n, v in zip(names, mean[1:], strict=True)}
        line = {
            "step": self.step,
            "loss": round(float(mean[0]), 4),
            "dice": round(float(mean[1:].nanmean()), 4),
            "seconds_per_step": round(pace, 3),
            "rate": round(self.rate(), 6),
            "scores": self.scores,
        }
        with (self.schedule.out / "log.jsonl").open("a") as file:
            file.write(json.dumps(line) + "\n")
        return line

    def _advance(self, sample: S, loss_of: LossOf[S]) -> tuple[Tensor, Tensor]:
        began = time.monotonic()
        self.optimiser.set_rate(self.rate())
        generator = torch.Generator().manual_seed(self.schedule.seed * 1_000_003 + self.step)
        loss, scores = loss_of(sample, generator)
        self.optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self.net.parameters(), 5.0)
        self.optimiser.step()
        self.step += 1
        keep = min(0.998, (1 + self.step) / (10 + self.step))
        with torch.no_grad():
            for name, value in self.net.named_parameters():
                if value.requires_grad:
                    self.average[name].lerp_(value, 1 - keep)
        self.seconds += time.monotonic() - began
        return loss.detach().cpu(), scores.detach().cpu()

    def save(self) -> None:
        """Write the checkpoint, whole or not at all."""
        state = {
            "net": self.net.state_dict(),
            "average": self.average,
            "optimiser": self.optimiser.state_dict(),
            "step": self.step,
            "seconds": self.seconds,
            "scores": self.scores,
            "origin": self.origin,
            "config": self.arguments,
        }
        partial = self.checkpoint.with_suffix(".partial")
        torch.save(state, partial)
        os.replace(partial, self.checkpoint)

    def _start_from(self, name: str) -> None:
        """Take the weights of a model of the same shape."""
        files = resolve_model("segment", name)
        try:
            self.net.load_state_dict(load_state(files))
        except RuntimeError as error:
            raise ModelError(
                f"the network of {name!r} has another shape than the one to be trained",
                "start from a model that 'mmtool train segment' made",
            ) from error
        self.origin = {"weights_sha256": files.weights_sha256, **files.card["training"]}

    def _restore(self) -> None:
        state = torch.load(self.checkpoint, map_location=self.device, weights_only=True)
        if state["config"] != self.arguments:
            raise ModelError(
                f"{self.checkpoint} was written by a network of another shape",
                "train into another folder",
            )
        self.net.load_state_dict(state["net"])
        self.average = state["average"]
        self.optimiser.load_state_dict(state["optimiser"])
        self.step, self.seconds = state["step"], state["seconds"]
        self.scores, self.origin = state["scores"], state["origin"]
        log.info("going on from step %d", self.step)

    def export(
        self, config: dict[str, Any], card: Callable[[dict[str, Any]], dict[str, Any]]
    ) -> Path:
        """Write the averaged weights (in half precision), their configuration and a card.

        Args:
            config: Content of ``config.json``.
            card: Given what training knows (``training``, ``sha256``, ``metrics``), the card.

        Returns:
            The folder ``model`` in the run's folder.
        """
        from safetensors.torch import save_file

        folder = self.schedule.out / "model"
        folder.mkdir(exist_ok=True)
        weights = {k: _stored(v.detach().cpu()) for k, v in self.average.items()}
        save_file(weights, folder / "model.safetensors")
        write_json(folder / "config.json", config)
        write_json(folder / "card.json", card(self._facts(folder)))
        return folder

    def _facts(self, folder: Path) -> dict[str, Any]:
        scores = list(self.scores.values())
        dice = round(sum(scores) / max(1, len(scores)), 4)
        return {
            "training": {
                "seed": self.schedule.seed,
                "iterations": self.step,
                "seconds": round(self.seconds),
                "hardware": f"{os.cpu_count()} CPU cores ({platform.machine()})",
                **({"started_from": self.origin} if self.origin else {}),
            },
            "sha256": {
                name: hashlib.sha256((folder / name).read_bytes()).hexdigest()
                for name in ("model.safetensors", "config.json")
            },
            "metrics": [
                {
                    "name": "soft Dice while training",
                    "value": dice,
                    "low": dice,
                    "high": dice,
                    "n": 50,
                    "set": "training scans, not held out",
                    "baseline": None,
                }
            ],
        }


def _stored(weight: Tensor) -> Tensor:
    # Half the size; labels of held-out scans differ in a few voxels (docs/benchmarks.md).
    return (weight.half() if weight.is_floating_point() else weight).contiguous()


def command_of(schedule: Schedule, words: Sequence[str], names: Sequence[str] = ()) -> str:
    """The command line of a run, with paths of no one's machine.

    Args:
        schedule: Of the run.
        words: Its beginning.
        names: Further fields of ``schedule`` that are options of the same name.
    """
    usual = type(schedule).__dataclass_fields__
    out = ["mmtool train segment", *words, f"--iterations {schedule.iterations}"]
    for name in ("start", "rate", "decay", "precision", *names):
        if getattr(schedule, name) != usual[name].default:
            out.append(f"--{name.replace('_', '-')} {getattr(schedule, name)}")
    out.append(f"--seed {schedule.seed} --threads {torch.get_num_threads()}")
    return " ".join(out)
