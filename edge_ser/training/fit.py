"""The training loop: one model, resumable at every epoch to the same weights as without a stop."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from edge_ser.errors import EdgeSerError
from edge_ser.models.stream72k import Stream72k
from edge_ser.training.data import Batch, ClipSet
from edge_ser.training.losses import ccc_loss, emotion_loss, smooth_targets
from edge_ser.training.recipe import Recipe

__all__ = ["fit"]

Report = Callable[[dict[str, float]], None]


def fit(
    model: Stream72k, clips: ClipSet, recipe: Recipe, seed: int, folder: Path, report: Report
) -> Stream72k:
    """Train a model; the moving average of its weights after the last epoch is the result.

    Parameters
    ----------
    model : Stream72k
        With fresh weights drawn from `seed`.
    clips : ClipSet
        To train on, and nothing else: nothing here sees a test clip.
    recipe : Recipe
    seed : int
    folder : Path
        Keeps ``last.pt``, from which an interrupted run goes on, and ``log.jsonl``, a line an epoch.
    report : callable
        Called with each epoch's record: ``epoch``, ``loss``, ``emotion_loss``, ``adv_loss``, ``lr``.

    Returns
    -------
    Stream72k
        In inference mode.

    Raises
    ------
    EdgeSerError
        The loss is no longer a number, or ``last.pt`` belongs to another recipe.
    """
    part = recipe.fit
    frames = round(part.crop_s * recipe.spec.frame_rate)
    config = model.config
    if frames % config.step_frames or frames > config.step_frames * config.window_segments:
        raise EdgeSerError(
            f"[fit] crop_s {part.crop_s:g} must be whole steps of {config.step_frames / recipe.spec.frame_rate:g} s, "
            f"at most {config.window_segments} of them"
        )
    if len(clips) < part.batch:
        raise EdgeSerError(f"{len(clips)} clips are fewer than one batch of {part.batch}: lower [fit] batch")
    torch.set_num_threads(part.threads)
    model = model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # twice as fast on a CPU
    average = torch.optim.swa_utils.AveragedModel(
        model, multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(part.ema), use_buffers=True
    )
    optimiser = torch.optim.AdamW(model.parameters(), lr=part.lr, weight_decay=part.weight_decay)
    batches = len(clips) // part.batch
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, part.lr, part.epochs * batches)
    parts = {"model": model, "average": average, "optimiser": optimiser, "schedule": schedule}
    state, log = folder / "last.pt", folder / "log.jsonl"
    folder.mkdir(parents=True, exist_ok=True)
    done = _resume(state, log, parts, recipe, seed)
    for epoch in range(done, part.epochs):
        # All chance of an epoch follows from seed and epoch: a resumed run draws what an unbroken one draws.
        rng = np.random.default_rng([seed, epoch])
        torch.manual_seed(seed * 1_000_003 + epoch)
        model.train()
        order = clips.order(rng, part.balance)
        sums = np.zeros(2)
        for i in range(batches):
            index = order[i * part.batch : (i + 1) * part.batch]
            batch = clips.batch(index.tolist(), frames, recipe.augment, recipe.spec, rng)
            losses = _losses(model, batch, recipe)
            total = losses[0] + part.adv_weight * losses[1]
            if not torch.isfinite(total):
                raise EdgeSerError(f"the loss is {total.item()} in epoch {epoch + 1}: lower [fit] lr")
            optimiser.zero_grad()
            total.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 5.0)
            optimiser.step()
            schedule.step()
            average.update_parameters(model)
            sums += [float(losses[0].detach()), float(losses[1].detach())]
        emotion, adv = sums / batches
        record = {
            "epoch": epoch + 1,
            "loss": emotion + part.adv_weight * adv,
            "emotion_loss": emotion,
            "adv_loss": adv,
            "lr": schedule.get_last_lr()[0],
        }
        with log.open("a", encoding="utf-8") as lines:
            lines.write(json.dumps(record) + "\n")
        _save(state, parts, recipe, seed, epoch + 1)
        report(record)
    assert isinstance(average.module, Stream72k)  # what torch wrapped above
    return average.module.eval()


def _losses(model: Stream72k, batch: Batch, recipe: Recipe) -> tuple[Tensor, Tensor]:
    """Emotion and A/D/V loss of a batch, mixed up where the recipe says so."""
    targets = smooth_targets(batch.labels, batch.allowed, recipe.fit.label_smoothing)
    features, frames, allowed, adv = batch.features, batch.frames, batch.allowed, batch.adv
    if recipe.augment.mixup > 0:
        beta = torch.distributions.Beta(recipe.augment.mixup, recipe.augment.mixup)
        share = beta.sample((len(features),))
        share = torch.maximum(share, 1 - share)[:, None]
        other = torch.randperm(len(features))
        # Only clips that both have an emotion, or both lack one, have a mixture of targets.
        same = (batch.labels >= 0) == (batch.labels[other] >= 0)
        same &= torch.isfinite(adv).all(1) == torch.isfinite(adv[other]).all(1)
        share = torch.where(same[:, None], share, 1.0)
        features = share[:, :, None] * features + (1 - share[:, :, None]) * features[other]
        targets = share * targets + (1 - share) * targets[other]
        allowed = allowed | (allowed[other] & same[:, None])
        adv = share * adv + (1 - share) * torch.nan_to_num(adv[other])
        frames = torch.where(same, torch.maximum(frames, frames[other]), frames)
    predicted, logits = model.clip(features, frames)
    return emotion_loss(logits, targets, allowed), ccc_loss(predicted, adv)


def _save(state: Path, parts: dict[str, Any], recipe: Recipe, seed: int, epoch: int) -> None:
    aside = state.with_suffix(".part")
    kept = {name: part.state_dict() for name, part in parts.items()}
    torch.save({"recipe": recipe.to_dict(), "seed": seed, "epoch": epoch, **kept}, aside)
    os.replace(aside, state)


def _resume(state: Path, log: Path, parts: dict[str, Any], recipe: Recipe, seed: int) -> int:
    """Load ``last.pt`` where there is one and return the epochs done."""
    if not state.exists():
        log.unlink(missing_ok=True)
        return 0
    saved = torch.load(state, weights_only=True)
    if saved["recipe"] != recipe.to_dict() or saved["seed"] != seed:
        raise EdgeSerError(
            f"{state} was written by another recipe: give the run another name or remove {state.parent}"
        )
    for name, part in parts.items():
        part.load_state_dict(saved[name])
    # A stop between the log's line and the state leaves a line too many.
    lines = log.read_text(encoding="utf-8").splitlines()[: saved["epoch"]]
    log.write_text("".join(line + "\n" for line in lines), encoding="utf-8")
    return int(saved["epoch"])
