"""Is a student that hears a few synthetic clips alone worth more than one that hears as many real ones?

For each held-out fold, synthetic clips are made of the training speakers' (`edge_ser.training.condense`); then students
alike in everything, the number of steps too, learn from these, from as many real clips drawn at random, from as many
means of parts of a class, and from all real clips. All of them are scored on the speakers of the fold.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from edge_ser.corpora import Clip
from edge_ser.corpora.words import words_read
from edge_ser.errors import EdgeSerError
from edge_ser.evaluation.plots import plot_spectra
from edge_ser.evaluation.score import score, summarise
from edge_ser.features.cache import Cache
from edge_ser.files import parse_toml, read_part, write_json
from edge_ser.models import architecture, build_model
from edge_ser.models.base import Network
from edge_ser.models.checkpoint import load_checkpoint, save_checkpoint
from edge_ser.progress import progress_bar
from edge_ser.tensors import read_metadata, read_safetensors, write_safetensors
from edge_ser.training.condense import CondensePart, agrees, class_means, condense, drawn_clips
from edge_ser.training.data import ClipSet, check_folds, left_out, pool_corpora
from edge_ser.training.fit import fit
from edge_ser.training.recipe import Recipe
from edge_ser.training.run import tests, trains
from edge_ser.training.views import ViewMaker, Views

__all__ = ["Condensing", "run_condensing"]

_SYNTHETIC, _REAL, _MEANS, _ALL = "synthetic", "real", "means", "all"


@dataclasses.dataclass(frozen=True)
class Condensing:
    """The experiment.

    Attributes
    ----------
    name : str
    student : Recipe
        Who learns; its folds are held out one by one, each of its seeds is a student (and another draw of real clips).
    part : CondensePart
    """

    name: str
    student: Recipe
    part: CondensePart

    @classmethod
    def read(cls, path: str | Path) -> Condensing:
        """Read and check a TOML file: ``recipe`` (of a student, beside the file), ``always`` and ``[condense]``.

        Raises
        ------
        EdgeSerError
            Not readable or not of that form, or a student with a teacher or without folds.
        """
        path = Path(path)
        fields = parse_toml(path)
        always = fields.get("always", [])
        good = (
            set(fields) <= {"name", "recipe", "always", "condense"}
            and isinstance(fields.get("recipe"), str)
            and isinstance(always, list)
            and all(isinstance(text, str) for text in always)
            and isinstance(fields.get("condense", {}), dict)
        )
        if not good:
            raise EdgeSerError(
                f'{path} must say recipe = "FILE.toml", perhaps always = ["fit.epochs=12"], and perhaps [condense]'
            )
        name = fields.get("name", path.stem)
        student = Recipe.read(path.parent / fields["recipe"], [*always, f"name={name}"])
        if student.distil is not None or not student.data.folds:
            raise EdgeSerError(
                f"{path}: the student learns from clips alone and holds folds out: take a recipe without [distil] and "
                "with data.folds"
            )
        return cls(name, student, read_part(CondensePart, fields.get("condense", {}), path, "condense"))

    def to_dict(self) -> dict[str, Any]:
        """All fields as plain values."""
        return {"student": self.student.to_dict(), "condense": dataclasses.asdict(self.part)}


class _Fold:
    """One held-out fold: real clips to learn from, synthetic ones, students."""

    def __init__(
        self, experiment: Condensing, fold: int, clips: list[Clip], views: Views, labels: tuple[str, ...],
        known: dict[str, tuple[str, ...]], folder: Path,
    ) -> None:  # fmt: skip
        self.experiment, self.fold, self.labels, self.known, self.folder = (
            experiment,
            fold,
            labels,
            known,
            folder,
        )
        recipe = experiment.student
        train = [i for i, clip in enumerate(clips) if trains(clip, fold)]
        self.train, mine = [clips[i] for i in train], views.pick(train)
        self.features = mine.features[0]
        self.real = ClipSet(self.train, mine.features, labels, known)
        self.test = [(clip, f) for clip, f in zip(clips, views.features[0], strict=True) if tests(clip, fold)]
        self.shape = recipe.shape(labels)
        self.frames = round(recipe.fit.crop_s * recipe.spec.frame_rate)
        heard = sorted({clip.speaker for clip in self.train})
        self.about = json.loads(
            json.dumps(experiment.to_dict() | {"fold": fold, "heard": heard, "told": self.real.told})
        )

    def build(self) -> Network:
        return build_model(self.experiment.student.model, self.shape)

    def synthetic(self, count: int) -> tuple[Tensor, list[float]]:
        """Synthetic clips (L, count, T, n_mels) and the distances of the iterations; read where they are done."""
        path = self.folder / f"fold{self.fold}-{count}.safetensors"
        state = path.with_suffix(".pt")
        part, spec = self.experiment.part, self.experiment.student.spec
        if path.exists():
            if not agrees(json.loads(read_metadata(path).get("edge_ser_condensed", "{}")), self.about):
                raise _of_another(path)
        else:
            with progress_bar(path.stem, part.iterations, "step") as bar:
                made = condense(
                    self.real, self.build, part, spec, count=count, frames=self.frames, seed=0, state=state,
                    about=self.about, report=bar.update,
                )  # fmt: skip
            arrays = {"clips": made.clips.numpy(), "distances": np.array(made.distances, np.float32)}
            self.folder.mkdir(parents=True, exist_ok=True)
            write_safetensors(path, arrays, {"edge_ser_condensed": json.dumps(self.about)})
        state.unlink(missing_ok=True)
        found = read_safetensors(path)
        return torch.from_numpy(found["clips"]), found["distances"].tolist()

    def material(self, kind: str, count: int, seed: int) -> ClipSet:
        """What a student learns from, as often in an epoch as makes it as long as one over all real clips."""
        if kind == _ALL:
            return self.real
        if kind == _REAL:
            index = drawn_clips(self.real.labels, len(self.labels), count, seed).flatten().tolist()
            clips, features = [self.train[i] for i in index], [self.features[i] for i in index]
        else:
            made = (
                self.synthetic(count)[0]
                if kind == _SYNTHETIC
                else class_means(self.real, len(self.labels), count, self.frames, seed)
            )
            corpus = next(iter(self.known))
            named = [(label, one) for label, own in zip(self.labels, made, strict=True) for one in own]
            clips = [Clip(Path(kind), corpus, kind, label) for label, _ in named]
            features = [one.numpy() for _, one in named]
        times = max(1, len(self.real) // len(clips))
        return ClipSet(clips * times, [features * times], self.labels, self.known)

    def uar(self, kind: str, count: int, seed: int) -> float:
        """Of a student on the speakers of the fold; what is trained already is not trained again."""
        recipe = self.experiment.student
        name = f"fold{self.fold}-{kind}{count if kind != _ALL else ''}-seed{seed}"
        path = self.folder / f"{name}.safetensors"
        if not path.exists():
            model = recipe.fresh(self.labels, seed)
            own = self.folder / name
            with progress_bar(name, recipe.fit.epochs, "epoch") as bar:
                model = fit(model, self.material(kind, count, seed), recipe, seed, own, bar.epoch)
            meta = {"architecture": recipe.model, "config": self.shape, "spec": recipe.spec.to_dict()}
            save_checkpoint(path, model, meta | {"training": self.about})
            (own / "last.pt").unlink()
        found, said = load_checkpoint(path)
        if not agrees(said["training"], self.about):
            raise _of_another(path)
        figures = summarise(score(found, self.test, self.labels, fold=self.fold, seed=seed), self.labels)
        return float(figures["uar"]["mean"])


def _of_another(path: Path) -> EdgeSerError:
    return EdgeSerError(
        f"{path} is of another recipe or of other speakers: give the run another name or remove {path.parent}"
    )


def run_condensing(
    experiment: Condensing,
    runs_dir: Path,
    results_dir: Path,
    *,
    report: Callable[[str], None] = lambda _: None,
) -> dict[str, Any]:
    """Make synthetic clips, train students on them and on what they are compared with, and score all of them.

    Parameters
    ----------
    experiment : Condensing
    runs_dir : Path
        ``runs_dir/NAME`` keeps clips and students, and what an interrupted run goes on from.
    results_dir : Path
        ``NAME.json`` and ``NAME.png``, the synthetic clips of the first fold, are written here.
    report : callable
        Called with a line on what is about to be done.

    Returns
    -------
    dict
        ``rows``: for each ``kind`` (synthetic, real, means, all) and number of ``clips`` of a class, ``uar`` (mean over
        folds and seeds), ``spread`` (standard deviation over them, None of one) and ``runs``; and what they stand on.

    Raises
    ------
    EdgeSerError
        Bad recipe or data; what is done so far is kept.
    """
    recipe = experiment.student
    corpus, known = pool_corpora(recipe.data.corpora, recipe.data.labels)
    if len(known) > 1:
        raise EdgeSerError("a corpus is condensed by itself: name one in the recipe's [data] corpora")
    check_folds(corpus, recipe.data.folds)
    clips = [clip for clip in corpus.clips if clip.emotion is not None]
    with progress_bar("log-mel", len(clips)) as bar:
        model = architecture(recipe.model).model
        views = Views.load(clips, ViewMaker(), recipe.spec, model, Cache(runs_dir / "cache"), bar.wrap)
    folder = runs_dir / experiment.name
    found: dict[tuple[str, int], list[float]] = {}
    distances: list[dict[str, Any]] = []
    pictures: dict[int, Tensor] = {}
    for fold in recipe.data.folds:
        own = _Fold(experiment, fold, clips, views, corpus.labels, known, folder)
        for count in experiment.part.clips:
            report(f"fold {fold}: {count} synthetic clips of each of {len(corpus.labels)} classes")
            made, course = own.synthetic(count)
            pictures.setdefault(count, made)
            distances.append({"fold": fold, "clips": count, "first": course[0], "last": course[-1]})
        rivals = [(kind, n) for n in experiment.part.clips for kind in (_SYNTHETIC, _REAL, _MEANS)]
        for kind, count in [*rivals, (_ALL, 0)]:
            for seed in recipe.fit.seeds:
                report(f"fold {fold}: a student of {kind} clips{f', {count} of a class' if count else ''}")
                found.setdefault((kind, count), []).append(own.uar(kind, count, seed))
    result = {
        "name": experiment.name,
        "corpus": corpus.name,
        "protocol": f"{len(recipe.data.folds)} of {len(corpus.folds())} {corpus.folding} held out, last epoch, "
        "students of equally many steps",
        "model": recipe.model,
        "params": own.build().count_parameters(),
        "trained_on": len(own.train),
        "labels": list(corpus.labels),
        "rows": [
            {
                "kind": kind,
                "clips": count,
                "uar": float(np.mean(values)),
                "spread": float(np.std(values, ddof=1)) if len(values) > 1 else None,
                "runs": len(values),
            }
            for (kind, count), values in found.items()
        ],
        "distances": distances,
        "left_out": left_out(corpus, clips),
        **words_read(corpus),
        "recipe": experiment.to_dict(),
    }
    results_dir.mkdir(parents=True, exist_ok=True)
    most = max(pictures)
    plot_spectra(results_dir / f"{experiment.name}.png", corpus.labels, pictures[most].numpy(), recipe.spec)
    write_json(results_dir / f"{experiment.name}.json", result)
    return result
