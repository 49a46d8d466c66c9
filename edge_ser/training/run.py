"""A recipe from start to end: features, one model for each fold and seed, figures, curves."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from edge_ser.corpora import Clip, Corpus
from edge_ser.corpora.words import words_read
from edge_ser.errors import EdgeSerError
from edge_ser.evaluation.folds import check_unheard
from edge_ser.evaluation.plots import plot_curves
from edge_ser.evaluation.score import Scored, answered_as, score, summarise
from edge_ser.features.cache import Cache
from edge_ser.files import write_json
from edge_ser.models import architecture
from edge_ser.models.base import Network
from edge_ser.models.checkpoint import load_checkpoint, save_checkpoint
from edge_ser.models.stream72k import Stream72k
from edge_ser.models.widen import can_widen, widen
from edge_ser.perturb import Perturber
from edge_ser.progress import progress_bar
from edge_ser.teachers.targets import TargetStore
from edge_ser.training.data import ClipSet, Taught, check_folds, left_out, pool_corpora, with_answers
from edge_ser.training.fit import fit
from edge_ser.training.memory import keep_freed_memory
from edge_ser.training.recipe import BesidePart, Recipe
from edge_ser.training.told import check_told, learnt_before, told_of
from edge_ser.training.views import ViewMaker, Views, taught_by

__all__ = [
    "Run",
    "all_runs",
    "begin",
    "check_same",
    "checkpoint_name",
    "describe",
    "figures",
    "keep",
    "named",
    "pooled",
    "run_recipe",
    "trains",
]

ADV_SOURCE = "means of raters of {names}, scaled to 0..1"
_SETTLED_ON = 64  # clips
ADV_TAUGHT = "on other recordings what a teacher says of them"
_ALL_TAUGHT = "what a teacher says of the recordings, which nobody rated"


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
    recipe: Recipe, runs_dir: Path, results_dir: Path, *, only: Sequence[Run] = ()
) -> dict[str, Any] | None:
    """Train all models of a recipe and write its figures.

    Parameters
    ----------
    recipe : Recipe
    runs_dir : Path
        ``runs_dir/NAME`` keeps checkpoints, logs, curves and what an interrupted run resumes from.
    results_dir : Path
        ``NAME.json`` is written here once every fold and seed is trained.
    only : sequence of Run
        Train just these, for several processes side by side; none trains all.

    Returns
    -------
    dict or None
        The figures, or None where nothing was held out or models are still missing.

    Raises
    ------
    EdgeSerError
        Bad recipe or data; what was trained so far is kept.
    """
    if recipe.live is not None:
        raise EdgeSerError(f"{recipe.name} has a live teacher: run edge-ser distil")
    keep_freed_memory()
    corpus, known = pooled(recipe)
    runs = all_runs(recipe, only)
    network = architecture(recipe.model).model
    recipe.shape(corpus.labels)  # what is wrong with it is said before hours of work
    for run in only or runs:
        if not (runs_dir / recipe.name / checkpoint_name(run)).exists():
            _open_targets(recipe, run)
    clips = with_answers(corpus)
    distil = recipe.distil
    maker = ViewMaker(
        distil.views if distil else 1, Perturber.of(recipe.perturb, recipe.data.corpora) if distil else None
    )
    with progress_bar("log-mel", len(clips)) as bar:
        views = Views.load(clips, maker, recipe.spec, network, Cache(runs_dir / "cache"), bar.wrap)
    others = None if recipe.beside is None else _Others.load(recipe.beside, recipe, runs_dir)
    folder = runs_dir / recipe.name
    for run in only or runs:
        target = folder / checkpoint_name(run)
        if target.exists():
            check_same(target, recipe, run, clips)
            continue
        part = [i for i, clip in enumerate(clips) if trains(clip, run.fold)]
        chosen, mine = [clips[i] for i in part], views.pick(part)
        taught = _taught(recipe, run, mine, corpus.labels)
        model, before = begin(recipe, run, corpus.labels, clips)
        own = folder / target.stem
        data = ClipSet(chosen, mine.features, corpus.labels, known, taught)
        if not recipe.fit.start:
            _settle(model, data, recipe, run.seed)
        with progress_bar(target.stem, recipe.fit.epochs, "epoch", leave=True) as bar:
            beside = others.clip_set(run) if others is not None else None
            model = fit(model, data, recipe, run.seed, own, bar.epoch, beside)
        more = (others.corpus, others.clips) if others else None
        about = describe(recipe, run, chosen, taught, corpus, more, before)
        keep(recipe, target, model, corpus.labels, _records(own / "log.jsonl"), about)
    if not recipe.data.folds or not all((folder / checkpoint_name(run)).exists() for run in runs):
        return None
    return figures(recipe, runs, folder, results_dir, corpus, clips, views.features[0])


def pooled(recipe: Recipe) -> tuple[Corpus, dict[str, tuple[str, ...]]]:
    """The corpora of ``[data]`` as `pool_corpora` gives them, with folds that `check_folds` lets pass."""
    corpus, known = pool_corpora(recipe.data.corpora, recipe.data.labels)
    beside = recipe.live.others if recipe.live else recipe.beside.corpora if recipe.beside else ()
    check_folds(corpus, recipe.data.folds, beside)
    return corpus, known


def all_runs(recipe: Recipe, only: Sequence[Run] = ()) -> list[Run]:
    """Every model of a recipe.

    Raises
    ------
    EdgeSerError
        Some that are asked for are none of them.
    """
    runs = [Run(seed, fold) for seed in recipe.fit.seeds for fold in recipe.data.folds or (None,)]
    if strange := [run for run in only if run not in runs]:
        raise EdgeSerError(
            f"the recipe {recipe.name} has no fold {strange[0].fold} with seed {strange[0].seed}"
        )
    return runs


@dataclasses.dataclass(frozen=True)
class _Others:
    """Corpora of ``[beside]``."""

    part: BesidePart
    corpus: Corpus
    known: dict[str, tuple[str, ...]]
    clips: list[Clip]
    views: Views

    @classmethod
    def load(cls, part: BesidePart, recipe: Recipe, runs_dir: Path) -> _Others:
        corpus, known = pool_corpora(part.corpora)
        clips = with_answers(corpus)
        network = architecture(recipe.model).model
        with progress_bar("log-mel beside", len(clips)) as bar:
            views = Views.load(clips, ViewMaker(), recipe.spec, network, Cache(runs_dir / "cache"), bar.wrap)
        return cls(part, corpus, known, clips, views)

    def clip_set(self, run: Run) -> ClipSet:
        store = TargetStore.open(named(self.part.targets, run))
        taught = taught_by(store, self.views.keys, self.corpus.labels)
        return ClipSet(self.clips, self.views.features, self.corpus.labels, self.known, taught)


def named(pattern: str, run: Run) -> str:
    """A path of a recipe with the run's fold and seed in it, as `checkpoint_name` and teachers' stores have them."""
    if run.fold is None:
        pattern = pattern.replace("fold{fold}", "all").replace("{fold}", "all")
    return pattern.replace("{fold}", str(run.fold)).replace("{seed}", str(run.seed))


def _open_targets(recipe: Recipe, run: Run) -> None:
    """An `EdgeSerError` where what a run's teachers say is not there."""
    patterns = [recipe.distil.targets, recipe.distil.adv] if recipe.distil else []
    patterns += [recipe.beside.targets] if recipe.beside else []
    for pattern in filter(None, patterns):
        TargetStore.open(named(pattern, run))


def _taught(recipe: Recipe, run: Run, views: Views, labels: Sequence[str]) -> Taught | None:
    """What the recipe's teachers, if it has any, say of the clips of a run."""
    if recipe.distil is None:
        return None
    taught = taught_by(TargetStore.open(named(recipe.distil.targets, run)), views.keys, labels)
    if not recipe.distil.adv:
        return taught
    # Heard in the clips themselves alone: a view is the same speech, and keeps its answer as it keeps a rater's.
    rated = taught_by(TargetStore.open(named(recipe.distil.adv, run)), views.keys[:1], ()).adv
    if not bool(torch.isfinite(rated).any()):
        raise EdgeSerError(
            f"{recipe.distil.adv} says nothing of arousal, dominance and valence: name another"
        )
    return taught._replace(adv=rated.expand_as(taught.adv))


def _settle(model: Network, clips: ClipSet, recipe: Recipe, seed: int) -> None:
    """Let a fresh network see a first batch, `Network.settle`; chance elsewhere is as if it had not."""
    rng = np.random.default_rng(seed)
    index = rng.permutation(len(clips))[:_SETTLED_ON]
    frames = round(recipe.fit.crop_s * recipe.spec.frame_rate)
    with torch.random.fork_rng(devices=[]):
        batch = clips.batch(index.tolist(), frames, recipe.augment, recipe.spec, rng)
        model.settle(batch.features, batch.frames)


def begin(
    recipe: Recipe, run: Run, labels: Sequence[str], clips: Sequence[Clip]
) -> tuple[Network, dict[str, Any]]:
    """A run's network before its first step, and what its start says of its training, nothing where there is none.

    Raises
    ------
    EdgeSerError
        The start does not fit, or heard a speaker of the fold that is held out of the clips.
    """
    model = recipe.fresh(labels, run.seed)
    if not recipe.fit.start:
        return model, {}
    path = Path(named(recipe.fit.start, run))
    training = _begin_from(model, path, run.seed)
    check_unheard(path, training, [clip for clip in clips if tests(clip, run.fold)])
    return model, training


def _begin_from(model: Network, path: Path, seed: int) -> dict[str, Any]:
    """Copy the tensors of a checkpoint that have the same name and shape; the heads may differ, nothing else.

    A narrower stream72k is widened first. Returns what the checkpoint says of its training.
    """
    source, meta = load_checkpoint(path)
    if isinstance(source, Stream72k) and isinstance(model, Stream72k):
        like = source.config
        shape = dataclasses.replace(model.config, labels=like.labels, phases=like.phases)
        if shape != like and can_widen(like, shape):
            source = widen(source, shape, seed)
    given, own = source.state_dict(), model.state_dict()
    if source.config.labels != model.config.labels:  # as many other classes have a head of the same shape
        given = {name: value for name, value in given.items() if name.split(".")[0] != "emotion"}
    fits = {name: value for name, value in given.items() if name in own and own[name].shape == value.shape}
    if strange := sorted(n for n in {*given, *own} - set(fits) if n.split(".")[0] not in ("emotion", "adv")):
        raise EdgeSerError(
            f"{path} is a network of another shape: {strange[0]} does not fit; start from another"
        )
    # how many phases inference hears changes nothing that is learnt
    theirs, ours = (one.config.to_dict() | {"labels": (), "phases": None} for one in (source, model))
    if other := sorted(
        name for name in ours if theirs[name] != ours[name]
    ):  # strides, say, change no tensor's shape
        raise EdgeSerError(
            f"{path} is a network of another shape: its {other[0]} is {theirs[other[0]]}, not {ours[other[0]]}; "
            "start from another"
        )
    model.load_state_dict(own | fits)
    training: dict[str, Any] = meta["training"]
    return training


def figures(
    recipe: Recipe,
    runs: Sequence[Run],
    folder: Path,
    results_dir: Path,
    corpus: Corpus,
    clips: Sequence[Clip],
    features: Sequence[np.ndarray],
) -> dict[str, Any]:
    """Score each fold's model on its own test clips and write ``results_dir/NAME.json``."""
    scored: list[Scored] = []
    parameters = 0
    with progress_bar("scoring", len(runs)) as bar:
        for run in bar.wrap(runs):
            model, _ = load_checkpoint(folder / checkpoint_name(run))
            assert run.fold is not None  # figures are made of folds alone
            parameters = model.count_parameters()
            held_out = [(c, f) for c, f in zip(clips, features, strict=True) if c.fold == run.fold]
            scored += score(model, held_out, corpus.labels, fold=run.fold, seed=run.seed)
    folds = recipe.data.folds
    which = f"{len(folds)} {corpus.folding}" if len(folds) > 1 else f"fold {folds[0]} alone, held out"
    result = {
        "corpus": corpus.name,
        "protocol": f"{which}, last epoch, {answered_as(model)}",
        "model": recipe.model,
        "params": parameters,
        "seeds": list(recipe.fit.seeds),
        **summarise(scored, corpus.labels),
        "left_out": left_out(corpus, clips),
        **words_read(corpus),
        "recipe": recipe.to_dict(),
    }
    write_json(results_dir / f"{recipe.name}.json", result)
    return result


def trains(clip: Clip, fold: int | None) -> bool:
    """Whether a clip trains the model that holds a fold out; a clip without one trains only what holds none out."""
    return fold is None or (clip.fold is not None and clip.fold != fold)


def tests(clip: Clip, fold: int | None) -> bool:
    """Whether a clip tests the model that holds a fold out."""
    return fold is not None and clip.fold == fold


def keep(
    recipe: Recipe,
    target: Path,
    model: Network,
    labels: Sequence[str],
    records: Sequence[dict[str, float]],
    about: dict[str, Any],
) -> None:
    """Write a finished model with what `describe` says of it, and its curves; what it was resumed from goes."""
    own = target.with_suffix("")
    plot_curves(own / "curves.png", records, title=f"{recipe.name} {target.stem}")
    meta = {
        "architecture": recipe.model,
        "config": recipe.shape(labels),
        "spec": recipe.spec.to_dict(),
        "training": about,
    }
    save_checkpoint(target, model, meta)
    (own / "last.pt").unlink(missing_ok=True)  # done: nothing is left to resume


def describe(
    recipe: Recipe,
    run: Run,
    clips: Sequence[Clip],
    taught: Taught | None,
    corpus: Corpus,
    others: tuple[Corpus, Sequence[Clip]] | None,
    before: Mapping[str, Any],
) -> dict[str, Any]:
    """What a card must say of the training, and whom the network heard; `before` is what its start says of its own."""
    rated = sorted({clip.corpus for clip in clips if clip.adv is not None})
    sources = [ADV_SOURCE.format(names=", ".join(rated))] if rated else []
    if taught is not None and bool(torch.isfinite(taught.adv).any()):
        sources.append(ADV_TAUGHT if rated else _ALL_TAUGHT)
    heard, pooled = list(clips), [corpus]
    if others is not None:
        heard, pooled = [*heard, *others[1]], [*pooled, others[0]]
    return {
        "recipe": recipe.to_dict(),
        "seed": run.seed,
        "held_out_fold": run.fold,
        "clips": {name: sum(c.corpus == name for c in heard) for name in sorted({c.corpus for c in heard})},
        "speakers": len({clip.speaker for clip in heard}),
        "heard": sorted({clip.speaker for clip in heard}.union(before.get("heard", ()))),
        "told": told_of(clips),
        "licence": "; ".join(one.licence for one in pooled),
        "citation": "; ".join(one.citation for one in pooled),
        "adv_source": "; ".join(sources) or None,
        **learnt_before(before),
    }


def check_same(path: Path, recipe: Recipe, run: Run, clips: Sequence[Clip]) -> None:
    """Refuse a run's checkpoint of another recipe, or of the same one while the corpora said something else."""
    _, meta = load_checkpoint(path)
    training = meta["training"]
    if training["recipe"] != json.loads(json.dumps(recipe.to_dict())):
        raise EdgeSerError(
            f"{path} was trained by another recipe: give the run another name or remove {path.parent}"
        )
    check_unheard(path, training, [clip for clip in clips if tests(clip, run.fold)])
    mine = {clip.speaker for clip in clips if trains(clip, run.fold)}
    if new := sorted(mine.difference(training.get("heard", mine))):
        raise EdgeSerError(
            f"{path} never heard {new[0]}, who is to train it: the corpora have changed since; give the run another "
            f"name or remove {path.parent}"
        )
    check_told(path, training, [clip for clip in clips if trains(clip, run.fold)])


def _records(path: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
