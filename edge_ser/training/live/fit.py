"""Networks fitted side by side on one device, each resumable where it was last saved."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch

from edge_ser.errors import EdgeSerError
from edge_ser.models.base import Network
from edge_ser.progress import progress_bar
from edge_ser.training.fit import check_start, identity, load_state
from edge_ser.training.live.clips import LiveSet
from edge_ser.training.live.step import Step
from edge_ser.training.prior import adjust_logits
from edge_ser.training.recipe import Recipe
from edge_ser.training.states import write_state

__all__ = ["Trainee", "fit_together"]

_SAVE_S = 20.0
_READ_S = 2.0  # an accelerator is not waited for more often
_TURN = 8  # steps that one network takes before the next one's


class Trainee:
    """A network on its way.

    Parameters
    ----------
    model : Network
        With the weights that it begins from.
    clips : LiveSet
    recipe : Recipe
    seed : int
    folder : path
        Keeps ``last.pt``, from which an interrupted run goes on, and ``log.jsonl``, a line an epoch.

    Raises
    ------
    EdgeSerError
        ``last.pt`` is of another recipe or other speakers, or what `edge_ser.training.fit.check_start` refuses.
    """

    def __init__(self, model: Network, clips: LiveSet, recipe: Recipe, seed: int, folder: Path) -> None:
        part = recipe.fit
        self.recipe, self.seed, self.folder, self.clips = recipe, seed, folder, clips
        check_start(model, clips, recipe)
        self.batches = len(clips) // part.batch
        self.step = Step(model.to(clips.pool.features.device), clips, recipe, self.batches)
        folder.mkdir(parents=True, exist_ok=True)
        self.records: list[dict[str, float]] = []
        self._about = identity(recipe, seed, clips)
        self._rates = self.step.rates.cpu()
        self._pending: list[torch.Tensor] = []  # losses of epochs that nobody has read yet
        self._saved = self._read = time.monotonic()
        self._resume()

    @property
    def epochs(self) -> int:
        """In all."""
        return self.recipe.fit.epochs

    def turns(self) -> Iterator[None]:
        """Train, and stop after a few steps each time, so that others have theirs."""
        part = self.recipe.fit
        accelerated = self.step.device.type != "cpu"
        for epoch in range(len(self.records), part.epochs):
            rng = np.random.default_rng([self.seed, epoch])
            if not accelerated:  # there, all chance of an epoch follows from seed and epoch
                torch.manual_seed(self.seed * 1_000_003 + epoch)
            self.step.begin(rng)
            rounded = epoch >= part.epochs * (1 - part.quantised)
            for i in range(self.batches):
                self.step.run(rounded=rounded)
                if (i + 1) % _TURN == 0:
                    yield
            self._pending.append(self.step.losses())
            last = epoch + 1 == part.epochs
            if last or not accelerated or time.monotonic() - self._read > _READ_S:
                self._read_losses()
            if time.monotonic() - self._saved > _SAVE_S:
                self._save()
            yield

    def _read_losses(self) -> None:
        """Records of the epochs since the last ones; waits for their steps."""
        for losses in self._pending:
            values = [value / self.batches for value in self.step.read(losses)]
            epoch = len(self.records) + 1
            if not all(map(math.isfinite, values)):
                raise EdgeSerError(f"the loss is no longer a number in epoch {epoch}: lower [fit] lr")
            terms = {f"{name}_loss": value for name, value in zip(self.step.names, values, strict=True)}
            rate = float(self._rates[epoch * self.batches - 1, 0])
            self.records.append({"epoch": epoch, "loss": sum(values), **terms, "lr": rate})
        self._pending, self._read = [], time.monotonic()

    def finished(self) -> Network:
        """The network with its averaged weights, on the processor and in inference mode; the log is written."""
        self._write_log()
        model = self.step.averaged()
        part = self.recipe.fit
        if part.logit_adjustment > 0:
            adjust_logits(model, self.clips, part.balance, part.logit_adjustment)
        return model

    def _write_log(self) -> None:
        lines = [json.dumps(record) + "\n" for record in self.records]
        (self.folder / "log.jsonl").write_text("".join(lines), encoding="utf-8")

    def _save(self) -> None:
        self._read_losses()
        state = {**self._about, "records": self.records, "state": self.step.state()}
        write_state(self.folder / "last.pt", state)
        self._write_log()
        self._saved = time.monotonic()

    def _resume(self) -> None:
        saved = load_state(self.folder / "last.pt", self._about)
        if saved is None:
            return
        self.step.load_state(saved["state"])
        self.records = saved["records"]


def fit_together(trainees: Sequence[Trainee]) -> Iterator[tuple[Trainee, Network]]:
    """Train some networks, on an accelerator in turns, else one after another; yields each one when it is finished."""
    with progress_bar("training", sum(one.epochs for one in trainees), "epoch", leave=True) as bar:
        for one in trainees:
            bar.update(len(one.records))
        active = [(one, one.turns()) for one in trainees]
        while active:
            beside = active if active[0][0].step.device.type != "cpu" else active[:1]
            for pair in list(beside):
                one, turns = pair
                before = len(one.records)
                going = next(turns, _OVER) is not _OVER
                if len(one.records) > before:
                    bar.update(len(one.records) - before)
                    bar.say(f"loss={one.records[-1]['loss']:.3f}")
                if not going:
                    active.remove(pair)
                    yield one, one.finished()


_OVER = object()
