"""A recipe from start to end: features, one model for each fold and seed, figures, curves."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch

from edge_ser.corpora import Clip
from edge_ser.errors import EdgeSerError, require
from edge_ser.evaluation.plots import plot_curves
from edge_ser.evaluation.score import Scored, score, summarise
from edge_ser.files import write_json
from edge_ser.models import ARCHITECTURES, build_model
from edge_ser.models.checkpoint import load_checkpoint, save_checkpoint
from edge_ser.training.data import ClipSet, extract, pool_corpora
from edge_ser.training.fit import fit
from edge_ser.training.recipe import Recipe

__all__ = ["Run", "checkpoint_name", "run_recipe"]

T = TypeVar("T")
ADV_SOURCE = "means of raters of {names}, scaled to 0..1"


@dataclasses.dataclass(frozen=True)
class Run:
    """One model of a recipe: a seed, and the fold held out (None: trained on everything)."""

    seed: int
    fold: int | None


def checkpoint_name(run: Run) -> str:
    """File name of a run's checkpoint."""
    fold = "all" if run.fold is None else f"fold{run.fold}"
    return f"{fold}-seed{run.seed}.safetensors"


def run_recipe(
    recipe: Recipe, runs_dir: Path, results_dir: Path, *, only: Run | None = None
) -> dict[str, Any] | None:
    """Train all models of a recipe and write its figures.

    Parameters
    ----------
    recipe : Recipe
    runs_dir : Path
        ``runs_dir/NAME`` keeps checkpoints, logs, curves and what an interrupted run resumes from.
    results_dir : Path
        ``NAME.json`` is written here once every fold and seed is trained.
    only : Run, optional
        Train just this one, for several processes side by side.

    Returns
    -------
    dict or None
        The figures, or None where nothing was held out or models are still missing.

    Raises
    ------
    EdgeSerError
        Bad recipe or data; what was trained so far is kept.
    """
    corpus, known = pool_corpora(recipe.data.corpora, recipe.data.labels)
    folds: Sequence[int | None] = recipe.data.folds or (None,)
    if missing := [fold for fold in recipe.data.folds if fold not in corpus.folds()]:
        raise EdgeSerError(f"{corpus.name} has no fold {missing[0]}; it has {corpus.folds()}")
    runs = [Run(seed, fold) for seed in recipe.fit.seeds for fold in folds]
    if only is not None and only not in runs:
        raise EdgeSerError(f"the recipe {recipe.name} has no fold {only.fold} with seed {only.seed}")
    config = ARCHITECTURES[recipe.model].config if recipe.model in ARCHITECTURES else None
    if config is None:
        raise EdgeSerError(f"unknown network {recipe.model!r}; there are: {', '.join(ARCHITECTURES)}")
    shape = config(labels=corpus.labels, n_mels=recipe.spec.n_mels, **recipe.config).to_dict()
    clips = [clip for clip in corpus.clips if clip.emotion is not None or clip.adv is not None]
    features = extract(clips, recipe.spec, lambda items: _bar(items, len(clips), "log-mel"))
    folder = runs_dir / recipe.name
    for run in [only] if only else runs:
        target = folder / checkpoint_name(run)
        if target.exists():
            _check_same(target, recipe)
            continue
        part = [i for i, clip in enumerate(clips) if run.fold is None or _trains(clip, run.fold)]
        chosen = [clips[i] for i in part]
        torch.manual_seed(run.seed)
        model = build_model(recipe.model, shape)
        model.dropout.p = recipe.fit.dropout
        own = folder / target.stem
        data = ClipSet(chosen, [[features[i] for i in part]], corpus.labels, known)
        with _EpochBar(target.stem, recipe.fit.epochs) as bar:
            model = fit(model, data, recipe, run.seed, own, bar.report)
        plot_curves(own / "curves.png", _records(own / "log.jsonl"), title=f"{recipe.name} {target.stem}")
        meta = {
            "architecture": recipe.model,
            "config": shape,
            "spec": recipe.spec.to_dict(),
            "training": _describe(recipe, run, chosen, corpus.licence, corpus.citation),
        }
        save_checkpoint(target, model, meta)
        (own / "last.pt").unlink()  # done: nothing is left to resume
    if not recipe.data.folds or not all((folder / checkpoint_name(run)).exists() for run in runs):
        return None
    return _figures(recipe, runs, folder, results_dir, clips, features, corpus.labels, corpus.name)


def _figures(
    recipe: Recipe,
    runs: Sequence[Run],
    folder: Path,
    results_dir: Path,
    clips: Sequence[Clip],
    features: Sequence[np.ndarray],
    labels: Sequence[str],
    corpus: str,
) -> dict[str, Any]:
    """Score each fold's model on its own test clips and write ``results_dir/NAME.json``."""
    scored: list[Scored] = []
    parameters = 0
    for run in _bar(runs, len(runs), "scoring"):
        model, _ = load_checkpoint(folder / checkpoint_name(run))
        assert run.fold is not None  # figures are made of folds alone
        parameters = model.count_parameters()
        held_out = [(c, f) for c, f in zip(clips, features, strict=True) if c.fold == run.fold]
        scored += score(model, held_out, labels, fold=run.fold, seed=run.seed)
    result = {
        "corpus": corpus,
        "protocol": f"{len(recipe.data.folds)} speaker-disjoint folds, last epoch, streaming form fed step by step",
        "model": recipe.model,
        "params": parameters,
        "seeds": list(recipe.fit.seeds),
        **summarise(scored, labels),
        "recipe": recipe.to_dict(),
    }
    write_json(results_dir / f"{recipe.name}.json", result)
    return result


def _trains(clip: Clip, fold: int) -> bool:
    return clip.fold is not None and clip.fold != fold


def _describe(recipe: Recipe, run: Run, clips: Sequence[Clip], licence: str, citation: str) -> dict[str, Any]:
    """What a card must say of the training."""
    rated = sorted({clip.corpus for clip in clips if clip.adv is not None})
    return {
        "recipe": recipe.to_dict(),
        "seed": run.seed,
        "held_out_fold": run.fold,
        "clips": {name: sum(c.corpus == name for c in clips) for name in sorted({c.corpus for c in clips})},
        "speakers": len({clip.speaker for clip in clips}),
        "licence": licence,
        "citation": citation,
        "adv_source": ADV_SOURCE.format(names=", ".join(rated)) if rated else None,
    }


def _check_same(path: Path, recipe: Recipe) -> None:
    _, meta = load_checkpoint(path)
    if meta["training"]["recipe"] != json.loads(json.dumps(recipe.to_dict())):
        raise EdgeSerError(
            f"{path} was trained by another recipe: give the run another name or remove {path.parent}"
        )


def _records(path: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def _bar(items: Iterable[T], total: int, what: str) -> Iterator[T]:
    tqdm = require("tqdm", extra="train", purpose="progress bars")
    return iter(tqdm.tqdm(items, total=total, desc=what, leave=False))


class _EpochBar:
    """A progress bar over epochs with the loss beside it."""

    def __init__(self, what: str, epochs: int) -> None:
        self._what, self._epochs = what, epochs

    def __enter__(self) -> _EpochBar:
        tqdm = require("tqdm", extra="train", purpose="progress bars")
        self._bar = tqdm.tqdm(total=self._epochs, desc=self._what, unit="epoch")
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.close()

    def report(self, record: dict[str, float]) -> None:
        self._bar.n = int(record["epoch"])
        self._bar.set_postfix(loss=f"{record['loss']:.3f}")
