"""A classifier of images, waveforms or feature vectors, fitted: schedules, early stop, and going on after a stop."""

from __future__ import annotations

import copy
import dataclasses
import json
import math
import re
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from edge_ser.errors import EdgeSerError
from edge_ser.precision import bfloat16
from edge_ser.training.states import digest, write_state

__all__ = ["Augmentation", "Examples", "Fitted", "Schedule", "classify", "fit_classifier"]

Arrays = tuple[np.ndarray, ...]

#: Changes the inputs of one example in training, by chance.
Augmentation = Callable[[Arrays, np.random.Generator], Arrays]

_SAVE_S = 20.0  # the state of a large network takes a second to write, so not every short epoch does


class Examples:
    """Inputs and classes.

    Parameters
    ----------
    *inputs : sequence of ndarray
        One for each input of the network, each of n arrays (float32). Arrays of one batch that differ along their last
        axis are filled up there.
    labels : (n,) int
        Index of each example's class.
    augment : callable, optional
        In training.
    fill : float
        What shorter arrays are filled up with.

    Raises
    ------
    EdgeSerError
        Lengths that differ, or no example.
    """

    def __init__(
        self,
        *inputs: Sequence[np.ndarray] | np.ndarray,
        labels: NDArray[np.int64] | Sequence[int],
        augment: Augmentation | None = None,
        fill: float = 0.0,
    ) -> None:
        self.inputs, self.labels = inputs, np.asarray(labels, np.int64)
        self.augment, self.fill = augment, fill
        if not inputs or not len(self.labels) or {len(one) for one in inputs} != {len(self.labels)}:
            counts = ", ".join(str(len(one)) for one in inputs)
            raise EdgeSerError(
                f"examples need inputs and classes of one number, not {counts or 'none'} and {len(self.labels)}"
            )

    def __len__(self) -> int:
        return len(self.labels)

    def batch(self, places: Sequence[int], rng: np.random.Generator | None = None) -> tuple[Tensor, ...]:
        """Inputs of some examples, augmented where a generator is given."""
        rows = [tuple(np.asarray(one[i], np.float32) for one in self.inputs) for i in places]
        if rng is not None and self.augment is not None:
            rows = [self.augment(row, rng) for row in rows]
        return tuple(torch.from_numpy(self._stacked(list(column))) for column in zip(*rows, strict=True))

    def identity(self) -> list[Any]:
        """Of all that a fit hears of them: a digest of inputs and labels, and what is done to them."""
        heard = (np.asarray(one, np.float32) for column in self.inputs for one in column)
        return [digest([self.labels]), digest(heard), len(self.inputs), self.fill, repr(self.augment)]

    def _stacked(self, arrays: list[np.ndarray]) -> np.ndarray:
        longest = max(array.shape[-1] for array in arrays)
        filled = [
            np.pad(
                array,
                [(0, 0)] * (array.ndim - 1) + [(0, longest - array.shape[-1])],
                constant_values=self.fill,
            )
            if array.shape[-1] < longest
            else array
            for array in arrays
        ]
        return np.stack(filled).astype(np.float32, copy=False)


@dataclasses.dataclass(frozen=True)
class Schedule:
    """How a classifier is fitted.

    Attributes
    ----------
    epochs, batch : int
    lr : float
        Learning rate, or its peak under ``one-cycle``.
    optimiser : {"adam", "adamw", "sgd"}
    weight_decay : float
    rate : {"constant", "one-cycle", "plateau"}
        ``one-cycle`` (arXiv 1708.07120) over all batches; ``plateau`` multiplies the rate by `factor` after `patience`
        epochs without a lower validation loss.
    factor, patience : float, int
    clip : float
        Largest norm of the gradient; 0 leaves it as it is.
    stop_after : int
        Stop after so many epochs without a lower validation loss; 0 goes on to the end.
    keep : {"last", "best"}
        The weights of the last epoch, or of the one with most right answers in validation (the earliest of equals).
    label_smoothing : float
    threads : int
        Of torch.
    bfloat16 : bool
        Convolutions and products compute in bfloat16 in training, half as fast again on a CPU that has it (one that
        has not computes in float32); weights, loss and answers stay float32.

    Raises
    ------
    EdgeSerError
        A value is out of its range.
    """

    epochs: int = 50
    batch: int = 64
    lr: float = 1e-3
    optimiser: Literal["adam", "adamw", "sgd"] = "adam"
    weight_decay: float = 0.0
    rate: Literal["constant", "one-cycle", "plateau"] = "constant"
    factor: float = 0.5
    patience: int = 3
    clip: float = 0.0
    stop_after: int = 0
    keep: Literal["last", "best"] = "last"
    label_smoothing: float = 0.0
    threads: int = 1
    bfloat16: bool = False

    def __post_init__(self) -> None:
        known = {
            "optimiser": ("adam", "adamw", "sgd"),
            "rate": ("constant", "one-cycle", "plateau"),
            "keep": ("last", "best"),
        }
        for name, values in known.items():
            if getattr(self, name) not in values:
                raise EdgeSerError(f"{name} is one of {', '.join(values)}, not {getattr(self, name)!r}")
        if min(self.epochs, self.batch, self.threads) < 1 or not self.lr > 0:
            raise EdgeSerError("a fit needs epochs, batch and threads of at least 1, and a rate above 0")

    @property
    def validates(self) -> bool:
        """Something is chosen on validation."""
        return self.keep == "best" or self.stop_after > 0 or self.rate == "plateau"


@dataclasses.dataclass(frozen=True)
class Fitted:
    """What came of a fit.

    Attributes
    ----------
    model : nn.Module
        In inference mode, with the weights that are kept.
    records : list of dict
        One an epoch: ``epoch``, ``loss``, ``accuracy`` (in training, as it went), ``lr``, and with validation
        ``valid_loss`` and ``valid_accuracy``; as `edge_ser.evaluation.plots.plot_curves` draws them.
    epoch : int
        Whose weights are kept.
    diverged : bool
        The loss was no longer a number, and the fit ended there.
    """

    model: nn.Module
    records: list[dict[str, float]]
    epoch: int
    diverged: bool = False


def fit_classifier(
    model: nn.Module,
    train: Examples,
    schedule: Schedule,
    *,
    valid: Examples | None = None,
    seed: int = 0,
    folder: Path | None = None,
    report: Callable[[dict[str, float]], None] | None = None,
    may_diverge: bool = False,
) -> Fitted:
    """Fit a network that turns inputs into logits, with cross-entropy.

    Parameters
    ----------
    model : nn.Module
        Its ``forward`` takes the inputs of a batch and gives (B, classes). Draw its weights after
        ``torch.manual_seed``; it is changed in place.
    train : Examples
    schedule : Schedule
    valid : Examples, optional
        Measured after each epoch; needed where the schedule chooses by it. For an honest figure it is no test clip.
    seed : int
        Of order, augmentation and dropout; each epoch draws anew from it, so a fit that was stopped goes on as if not.
    folder : path, optional
        Where the state is kept to go on from; removed by nobody here. It is gone on from, or returned where it is
        finished, by a fit of the same data, first weights, schedule and seed alone.
    report : callable, optional
        Of each epoch's record.
    may_diverge : bool
        End quietly where the loss is no longer a number, with the weights before; else that is an error.

    Returns
    -------
    Fitted

    Raises
    ------
    EdgeSerError
        The loss is no longer a number, validation is missing, or the folder holds the state of another fit.
    """
    if schedule.validates and valid is None:
        raise EdgeSerError("this schedule chooses by validation, and there are no clips for it")
    torch.set_num_threads(schedule.threads)
    model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # twice as fast on a CPU
    fit = _Fit(model, train, valid, schedule, seed)
    place = None if folder is None else folder / "classify.pt"
    if place is not None:
        fit.resume(place)
    saved = time.monotonic()
    while not fit.ended:
        if not fit.epoch():
            if not may_diverge:
                raise EdgeSerError(
                    f"the loss is no longer a number in epoch {len(fit.records) + 1}: lower the rate"
                )
            break
        if report is not None:
            report(fit.records[-1])
        if place is not None and (fit.ended or time.monotonic() - saved > _SAVE_S):
            fit.save(place)
            saved = time.monotonic()
    model.load_state_dict(fit.kept)
    return Fitted(model.eval(), fit.records, fit.kept_epoch, diverged=fit.diverged)


class _Fit:
    """All that goes on from epoch to epoch."""

    def __init__(
        self, model: nn.Module, train: Examples, valid: Examples | None, schedule: Schedule, seed: int
    ) -> None:
        self.model, self.train, self.valid, self.schedule, self.seed = model, train, valid, schedule, seed
        kind = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW, "sgd": torch.optim.SGD}
        trained = [weight for weight in model.parameters() if weight.requires_grad]
        self.optimiser = kind[schedule.optimiser](
            trained, lr=schedule.lr, weight_decay=schedule.weight_decay, fused=True
        )
        # Batch normalisation knows no batch of one, so such a rest is left for another epoch's order.
        whole, rest = divmod(len(train), schedule.batch)
        self.batches = whole + (rest > (1 if whole and schedule.batch > 1 else 0))
        self.rate: Any = None
        if schedule.rate == "one-cycle":
            total = schedule.epochs * self.batches
            self.rate = torch.optim.lr_scheduler.OneCycleLR(self.optimiser, schedule.lr, total)
        elif schedule.rate == "plateau":
            self.rate = torch.optim.lr_scheduler.ReduceLROnPlateau(
                self.optimiser, factor=schedule.factor, patience=schedule.patience
            )
        self.records: list[dict[str, float]] = []
        self.kept, self.kept_epoch = copy.deepcopy(model.state_dict()), 0
        self.diverged = False
        self.about = ""

    @property
    def ended(self) -> bool:
        if self.diverged or len(self.records) >= self.schedule.epochs:
            return True
        if not self.schedule.stop_after or not self.records:
            return False
        losses = [record["valid_loss"] for record in self.records]
        return len(losses) - 1 - int(np.argmin(losses)) >= self.schedule.stop_after

    def epoch(self) -> bool:
        """One pass over the examples; False where the loss is no longer a number."""
        number, part = len(self.records), self.schedule
        rng = np.random.default_rng([self.seed, number])
        torch.manual_seed(self.seed * 1_000_003 + number)
        self.model.train()
        order = rng.permutation(len(self.train))
        loss_sum, right, seen = 0.0, 0, 0
        for i in range(self.batches):
            places = order[i * part.batch : (i + 1) * part.batch]
            truth = torch.from_numpy(self.train.labels[places])
            inputs = self.train.batch(places.tolist(), rng)
            with bfloat16(wanted=part.bfloat16):
                logits = self.model(*inputs).float()
            loss = F.cross_entropy(logits, truth, label_smoothing=part.label_smoothing)
            if not math.isfinite(float(loss.detach())):
                self.diverged = True
                return False
            self.optimiser.zero_grad()
            loss.backward()
            if part.clip:
                nn.utils.clip_grad_norm_(self.model.parameters(), part.clip)
            self.optimiser.step()
            if part.rate == "one-cycle":
                self.rate.step()
            loss_sum += float(loss.detach()) * len(places)
            right += int((logits.detach().argmax(1) == truth).sum())
            seen += len(places)
        record = {"epoch": number + 1, "loss": loss_sum / seen, "accuracy": right / seen,
                  "lr": float(self.optimiser.param_groups[0]["lr"])}  # fmt: skip
        if self.valid is not None:
            record |= self._validated(self.valid)
        if not math.isfinite(record.get("valid_loss", 0.0)):
            self.diverged = True
            return False
        if part.rate == "plateau":
            self.rate.step(record["valid_loss"])
        best = max((one["valid_accuracy"] for one in self.records if "valid_accuracy" in one), default=-1.0)
        self.records.append(record)
        if part.keep == "last" or record["valid_accuracy"] > best:
            self.kept, self.kept_epoch = copy.deepcopy(self.model.state_dict()), number + 1
        return True

    def _validated(self, valid: Examples) -> dict[str, float]:
        chances = classify(self.model, valid, batch=self.schedule.batch)
        own = chances[np.arange(len(valid)), valid.labels]
        loss = -float(np.mean(np.log(np.maximum(own, 1e-12)))) if np.isfinite(own).all() else math.nan
        return {"valid_loss": loss, "valid_accuracy": float(np.mean(chances.argmax(1) == valid.labels))}

    def identity(self) -> str:
        """What another fit would differ in, before the first epoch: all that the result follows from."""
        weights = digest(value.detach().float().numpy() for value in self.model.state_dict().values())
        heard = [examples and examples.identity() for examples in (self.train, self.valid)]
        whole = json.dumps([dataclasses.asdict(self.schedule), self.seed, str(self.model), weights, heard])
        return re.sub(" at 0x[0-9a-f]+", "", whole)  # where a function lies in memory says nothing

    def save(self, place: Path) -> None:
        state = {"identity": self.about, "model": self.model.state_dict(), "kept": self.kept,
                 "kept_epoch": self.kept_epoch, "records": self.records, "diverged": self.diverged,
                 "optimiser": self.optimiser.state_dict()}  # fmt: skip
        if self.rate is not None:
            state["rate"] = self.rate.state_dict()
        write_state(place, state)

    def resume(self, place: Path) -> None:
        self.about = self.identity()  # now, while the weights are the first ones
        if not place.exists():
            return
        state = torch.load(place, weights_only=True)
        if state["identity"] != self.about:
            raise EdgeSerError(f"{place} is of another fit: name another folder, or remove it")
        self.model.load_state_dict(state["model"])
        self.optimiser.load_state_dict(state["optimiser"])
        if self.rate is not None:
            self.rate.load_state_dict(state["rate"])
        self.kept, self.kept_epoch = state["kept"], state["kept_epoch"]
        self.records, self.diverged = state["records"], state["diverged"]


def classify(model: nn.Module, examples: Examples, *, batch: int = 64) -> NDArray[np.float64]:
    """Probability of each class for each example.

    Parameters
    ----------
    model : nn.Module
        Is put into inference mode.
    examples : Examples
        Not augmented.
    batch : int

    Returns
    -------
    (n, classes) float64
        Rows of sum 1.
    """
    model.eval()
    with torch.inference_mode():
        rows = [
            torch.softmax(model(*examples.batch(range(start, min(start + batch, len(examples))))).double(), 1)
            for start in range(0, len(examples), batch)
        ]
    return torch.cat(rows).numpy()
