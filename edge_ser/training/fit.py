"""The training loop: one model, resumable at every epoch to the same weights as without a stop."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim import swa_utils

from edge_ser.errors import EdgeSerError
from edge_ser.models.base import Network
from edge_ser.precision import bfloat16
from edge_ser.training.beside import Beside
from edge_ser.training.data import Batch, ClipSet, LabelledClips
from edge_ser.training.noise import Noise
from edge_ser.training.objective import Objective
from edge_ser.training.prior import adjust_logits, class_shares
from edge_ser.training.quantised import weights_rounded
from edge_ser.training.recipe import Recipe
from edge_ser.training.sharpness import uphill
from edge_ser.training.states import write_state

__all__ = ["check_start", "fit", "identity", "load_state", "said_of"]

Report = Callable[[dict[str, float]], None]


def fit(
    model: Network,
    clips: ClipSet,
    recipe: Recipe,
    seed: int,
    folder: Path,
    report: Report,
    others: ClipSet | None = None,
) -> Network:
    """Train a model; the moving average of its weights after the last epoch is the result.

    Parameters
    ----------
    model : Network
        With fresh weights drawn from `seed`.
    clips : ClipSet
        To train on, and nothing else: nothing here sees a test clip.
    recipe : Recipe
    seed : int
    folder : Path
        Keeps ``last.pt``, from which an interrupted run goes on, and ``log.jsonl``, a line an epoch.
    report : callable
        Called with each epoch's record: ``epoch``, ``loss``, ``lr`` and each term of the loss as ``TERM_loss``.
    others : ClipSet, optional
        Of ``[beside]``; needed where the recipe has it.

    Returns
    -------
    Network
        In inference mode.

    Raises
    ------
    EdgeSerError
        The loss is no longer a number, ``last.pt`` is of another recipe or of other speakers, or what `check_start`
        refuses.
    """
    part = recipe.fit
    frames = round(part.crop_s * recipe.spec.frame_rate)
    check_start(model, clips, recipe)
    torch.set_num_threads(part.threads)
    model = model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # twice as fast on a CPU
    average = swa_utils.AveragedModel(
        model, multi_avg_fn=swa_utils.get_ema_multi_avg_fn(part.ema), use_buffers=True
    )
    objective = Objective(recipe, model.hidden, clips.taught.hint.shape[2], clips.task_sizes)
    trained = [*model.parameters(), *objective.parameters()]
    beside = None
    if recipe.beside is not None:
        assert others is not None
        beside = Beside(others, recipe, model.hidden)
        trained += beside.parameters()
    noise = Noise.load(recipe.noise, recipe.spec) if recipe.noise else None
    optimiser = torch.optim.AdamW(trained, lr=part.lr, weight_decay=part.weight_decay)
    batches = len(clips) // part.batch
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, part.lr, part.epochs * batches)
    steady_from = part.epochs - round(part.epochs * part.steady)
    parts = {
        "model": model,
        "average": average,
        "objective": objective,
        "optimiser": optimiser,
        "schedule": schedule,
        **({} if beside is None else {"beside": beside}),
    }
    state, log, about = folder / "last.pt", folder / "log.jsonl", identity(recipe, seed, clips)
    folder.mkdir(parents=True, exist_ok=True)
    done = _resume(state, log, parts, about)
    for epoch in range(done, part.epochs):
        # All chance of an epoch follows from seed and epoch: a resumed run draws what an unbroken one draws.
        rng = np.random.default_rng([seed, epoch])
        torch.manual_seed(seed * 1_000_003 + epoch)
        if epoch >= steady_from:
            average.multi_avg_fn = _into_mean
        if epoch == steady_from:
            average.n_averaged.zero_()  # the mean begins anew
        model.train()
        order = clips.order(rng, part.balance, recipe.session.clips if recipe.session else 1)
        more = beside.epoch(rng, batches) if beside is not None else []
        sums: dict[str, float] = {}
        for i in range(batches):
            index = order[i * part.batch : (i + 1) * part.batch]
            batch = clips.batch(
                index.tolist(), frames, recipe.augment, recipe.spec, rng, noise, plain=part.consistency > 0
            )
            said = said_of(average.module, batch, part.bfloat16)
            optimiser.zero_grad()
            with weights_rounded(model, on=epoch >= part.epochs * (1 - part.quantised)):
                terms = _backward(objective(model, batch, said), epoch)
                if part.sharpness > 0:
                    with uphill(trained, part.sharpness):
                        optimiser.zero_grad()
                        _backward(objective(model, batch, said), epoch)
                if beside is not None:
                    terms |= _backward({"beside": beside(model, more[i], frames, rng)}, epoch)
            torch.nn.utils.clip_grad_norm_(trained, 5.0)
            optimiser.step()
            if epoch < steady_from:
                schedule.step()
            average.update_parameters(model)
            for name, term in terms.items():
                sums[name] = sums.get(name, 0.0) + float(term.detach()) / batches
        record: dict[str, float] = {
            "epoch": epoch + 1,
            "loss": sum(sums.values()),
            **{f"{name}_loss": value for name, value in sums.items()},
            "lr": float(schedule.get_last_lr()[0]),
        }
        with log.open("a", encoding="utf-8") as lines:
            lines.write(json.dumps(record) + "\n")
        _save(state, parts, about, epoch + 1)
        report(record)
    assert isinstance(average.module, Network)  # what torch wrapped above
    if part.logit_adjustment > 0:
        adjust_logits(average.module, clips, part.balance, part.logit_adjustment)
    return average.module.eval()


def check_start(model: Network, clips: LabelledClips, recipe: Recipe) -> None:
    """Refuse before the first batch what could only fail after it.

    Raises
    ------
    EdgeSerError
        Crops too short for the network, fewer clips than a batch, a quadrant term without ratings, or an adjustment
        of classes without clips.
    """
    part = recipe.fit
    model.check_crop(round(part.crop_s * recipe.spec.frame_rate))
    if len(clips) < part.batch:
        raise EdgeSerError(f"{len(clips)} clips are fewer than one batch of {part.batch}: lower [fit] batch")
    if recipe.distil and recipe.distil.quadrant > 0 and not clips.rated:
        raise EdgeSerError(
            "[distil] quadrant has nothing to go by: neither the clips nor the teacher have arousal and valence; leave "
            "it out, or name a corpus or a teacher with ratings"
        )
    if part.logit_adjustment > 0:
        class_shares(clips, part.balance)


def identity(recipe: Recipe, seed: int, clips: LabelledClips) -> dict[str, Any]:
    """What a state must agree with to be gone on from: the recipe, the seed, and who and what is heard."""
    heard = np.unique(clips.speakers).tolist()
    return {"recipe": recipe.to_dict(), "seed": seed, "heard": heard, "told": clips.told}


def load_state(state: Path, about: dict[str, Any]) -> dict[str, Any] | None:
    """What an interrupted run left behind, if anything.

    Parameters
    ----------
    state : Path
    about : dict
        The run's `identity`. A state from before it named the speakers, or what is told of clips, is taken to be of the
        same.

    Raises
    ------
    EdgeSerError
        It is of another recipe or seed, or of other speakers.
    """
    if not state.exists():
        return None
    saved: dict[str, Any] = torch.load(state, weights_only=True)
    if any(saved.get(key, value) != value for key, value in about.items()):
        raise EdgeSerError(
            f"{state} was written by another recipe, or while other speakers were to be heard, or other "
            f"clips or labels of theirs: give the run another name or remove {state.parent}"
        )
    return saved


def _into_mean(averaged: Sequence[Tensor], current: Sequence[Tensor], count: Tensor | int) -> None:
    """Add to the mean of so many what is one more; torch's own cannot take the counts that normalisation keeps."""
    for mean, one in zip(averaged, current, strict=True):
        if mean.is_floating_point():
            mean.lerp_(one, 1 / (int(count) + 1))
        else:
            mean.copy_(one)


def said_of(model: nn.Module, batch: Batch, halved: bool) -> tuple[Tensor, Tensor] | None:
    """What a model says of the clips of a batch as they are; nothing of a batch without them."""
    if batch.plain is None:
        return None
    assert isinstance(model, Network)
    model.eval()
    with torch.no_grad():
        with bfloat16(batch.features.device.type, halved):
            pooled = model.pool(*batch.plain)
        return model.answer(pooled.float())


def _backward(terms: dict[str, Tensor], epoch: int) -> dict[str, Tensor]:
    """Add the gradients of a loss to those that are there; returns its terms."""
    total = torch.stack(list(terms.values())).sum()
    if not torch.isfinite(total):
        raise EdgeSerError(f"the loss is {total.item()} in epoch {epoch + 1}: lower [fit] lr")
    total.backward()
    return terms


def _save(state: Path, parts: dict[str, Any], about: dict[str, Any], epoch: int) -> None:
    kept = {name: part.state_dict() for name, part in parts.items()}
    write_state(state, {**about, "epoch": epoch, **kept})


def _resume(state: Path, log: Path, parts: dict[str, Any], about: dict[str, Any]) -> int:
    """Load ``last.pt`` where there is one and return the epochs done."""
    saved = load_state(state, about)
    if saved is None:
        log.unlink(missing_ok=True)
        return 0
    for name, part in parts.items():
        part.load_state_dict(saved[name])
    # A stop between the log's line and the state leaves a line too many.
    lines = log.read_text(encoding="utf-8").splitlines()[: saved["epoch"]]
    log.write_text("".join(line + "\n" for line in lines), encoding="utf-8")
    return int(saved["epoch"])
