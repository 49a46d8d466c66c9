"""A network fitted to any loss: batches and loss are given, one cycle or a constant rate, and going on after a stop."""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from edge_ser.errors import EdgeSerError
from edge_ser.training.states import write_state

__all__ = ["Course", "Pace", "fit_steps"]

B = TypeVar("B")
M = TypeVar("M", bound=nn.Module)

_SAVE_S = 20.0


@dataclasses.dataclass(frozen=True)
class Pace:
    """How long and how fast a network is fitted by AdamW, or by Adam where nothing decays.

    Attributes
    ----------
    epochs, steps : int
        Epochs, and batches of each.
    lr : float
        Learning rate; its peak where it runs through one cycle (arXiv 1708.07120).
    one_cycle : bool
        Otherwise the rate is constant.
    weight_decay : float
    clip : float
        Largest norm of the gradient; 0 leaves it as it is.

    Raises
    ------
    EdgeSerError
        A value is out of its range.
    """

    epochs: int
    steps: int
    lr: float = 1e-3
    one_cycle: bool = True
    weight_decay: float = 0.0
    clip: float = 5.0

    def __post_init__(self) -> None:
        if min(self.epochs, self.steps) < 1 or not self.lr > 0 or min(self.weight_decay, self.clip) < 0:
            raise EdgeSerError(
                "a fit needs epochs and steps of at least 1, a rate above 0, and no negative value"
            )


class Course(NamedTuple):
    """How a fit went.

    Attributes
    ----------
    records : list of dict
        One an epoch: ``epoch``, ``loss``, each of several terms as ``TERM_loss``, and ``lr``, as
        `edge_ser.evaluation.plots.plot_curves` draws them.
    batches : list of float
        The loss of each batch.
    """

    records: list[dict[str, float]]
    batches: list[float]


def fit_steps(
    model: M,
    batches: Callable[[int, np.random.Generator], Iterable[B]],
    loss: Callable[[M, B], Mapping[str, Tensor]],
    pace: Pace,
    *,
    seed: int = 0,
    folder: Path | None = None,
    identity: str = "",
    report: Callable[[dict[str, float]], None] | None = None,
) -> Course:
    """Fit a network, in place; the weights of the last epoch are kept, and it ends in inference mode.

    Parameters
    ----------
    model : nn.Module
        Draw its weights after ``torch.manual_seed``.
    batches : callable
        From the number of an epoch, from 0, and a generator of its own to `Pace.steps` batches.
    loss : callable
        Of the network and a batch: the terms of the loss by name, whose sum is made small.
    pace : Pace
    seed : int
        Each epoch draws anew from it, so a fit that was stopped goes on as if it had not been.
    folder : path, optional
        Where the state is kept to go on from.
    identity : str
        Whatever else tells this fit from others; the state of another is refused.
    report : callable, optional
        Of each epoch's record.

    Returns
    -------
    Course
        Also of what was done before a stop.

    Raises
    ------
    EdgeSerError
        The loss is no longer a number, a number of batches that is not `Pace.steps`, or the state of another fit.
    """
    weights = [weight for weight in model.parameters() if weight.requires_grad]
    optimiser = torch.optim.AdamW(weights, lr=pace.lr, weight_decay=pace.weight_decay)
    total = pace.epochs * pace.steps
    rate = torch.optim.lr_scheduler.OneCycleLR(optimiser, pace.lr, total + 1) if pace.one_cycle else None
    about = json.dumps([dataclasses.asdict(pace), seed, identity])
    course = Course([], [])
    place = None if folder is None else folder / "fit.pt"
    if place is not None and place.exists():
        state = torch.load(place, weights_only=True)
        if state["about"] != about:
            raise EdgeSerError(f"{place} is of another fit: name another folder, or remove it")
        model.load_state_dict(state["model"])
        optimiser.load_state_dict(state["optimiser"])
        if rate is not None:
            rate.load_state_dict(state["rate"])
        course = Course(state["records"], state["batches"])
    saved = time.monotonic()
    for epoch in range(len(course.records), pace.epochs):
        rng = np.random.default_rng([seed, epoch])
        torch.manual_seed(seed * 1_000_003 + epoch)
        model.train()
        sums: dict[str, float] = {}
        done = 0
        for batch in batches(epoch, rng):
            terms = loss(model, batch)
            whole = torch.stack(list(terms.values())).sum()
            if not torch.isfinite(whole):
                raise EdgeSerError(f"the loss is no longer a number in epoch {epoch + 1}: lower the rate")
            optimiser.zero_grad()
            whole.backward()
            if pace.clip:
                nn.utils.clip_grad_norm_(weights, pace.clip)
            optimiser.step()
            if rate is not None:
                rate.step()
            course.batches.append(float(whole.detach()))
            for name, term in terms.items():
                sums[name] = sums.get(name, 0.0) + float(term.detach()) / pace.steps
            done += 1
        if done != pace.steps:
            raise EdgeSerError(f"epoch {epoch + 1} has {done} batches, and {pace.steps} were to come")
        record: dict[str, float] = {"epoch": epoch + 1, "loss": sum(sums.values())}
        if len(sums) > 1:
            record |= {f"{name}_loss": value for name, value in sums.items()}
        course.records.append(record | {"lr": float(optimiser.param_groups[0]["lr"])})
        if report is not None:
            report(course.records[-1])
        if place is not None and time.monotonic() - saved > _SAVE_S:
            _save(place, about, model, optimiser, rate, course)
            saved = time.monotonic()
    if place is not None:
        _save(place, about, model, optimiser, rate, course)
    model.eval()
    return course


def _save(place: Path, about: str, model: nn.Module, optimiser: Any, rate: Any, course: Course) -> None:
    parts = {"model": model, "optimiser": optimiser} | ({} if rate is None else {"rate": rate})
    kept = {name: part.state_dict() for name, part in parts.items()}
    write_state(place, {"about": about, **course._asdict(), **kept})
