"""Train a linear teacher for each held-out fold, say how good it is, and write down what it tells the students.

What a student hears of a training clip comes from a teacher that heard neither the held-out fold nor the fold of that
clip: an answer about a clip that one has learnt by heart says no more than its label does.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edge_ser.corpora import Clip
from edge_ser.errors import EdgeSerError
from edge_ser.evaluation.score import Scored, best_label, summarise
from edge_ser.features.cache import Cache
from edge_ser.files import write_json
from edge_ser.perturb import Perturb, Perturber
from edge_ser.teachers.encoders import load_encoder
from edge_ser.teachers.linear import HeadPart, LinearHeads, LinearTeacher, statistics
from edge_ser.teachers.targets import Targets, TargetStore
from edge_ser.training.data import pool_corpora
from edge_ser.training.progress import progress_bar
from edge_ser.training.recipe import DataPart, read_part, read_toml
from edge_ser.training.views import CONTENT, ViewMaker, computed, content_keys

#: From a corpus's name to the labels that it knows.
Known = dict[str, tuple[str, ...]]

__all__ = ["TeachPart", "TeachRecipe", "run_teacher"]


@dataclasses.dataclass(frozen=True)
class TeachPart:
    """``[teach]``: what there is to hear.

    Attributes
    ----------
    views : int
        Versions of each clip to learn from and to label: the clip and ``views - 1`` perturbed ones.
    """

    views: int = 1


@dataclasses.dataclass(frozen=True)
class TeachRecipe:
    """A linear teacher.

    Attributes
    ----------
    name : str
    data : DataPart
        A fold is held out in all corpora at once.
    teach : TeachPart
    head : HeadPart
    perturb : Perturb
        What makes the views; a student's recipe says the same.
    """

    name: str
    data: DataPart
    teach: TeachPart
    head: HeadPart
    perturb: Perturb

    @classmethod
    def read(cls, path: str | Path) -> TeachRecipe:
        """Read and check a recipe; errors as those of `edge_ser.training.recipe.Recipe.read`."""
        kinds = {"data": DataPart, "teach": TeachPart, "head": HeadPart, "perturb": Perturb}
        path = Path(path)
        fields = read_toml(path, {"name", *kinds})
        parts = {name: read_part(kind, fields.get(name, {}), path, name) for name, kind in kinds.items()}
        return cls(fields.get("name", path.stem), **parts)


class _Material:
    """Statistics and truths of all clips and views, and the teachers made of parts of them."""

    def __init__(
        self,
        recipe: TeachRecipe,
        clips: Sequence[Clip],
        rows: npt.NDArray[np.float16],
        labels: tuple[str, ...],
        known: dict[str, tuple[str, ...]],
    ) -> None:
        self.recipe, self.rows, self.labels = recipe, rows, labels
        self.fold = np.array([-1 if clip.fold is None else clip.fold for clip in clips])
        index = {label: i for i, label in enumerate(labels)}
        self.classes = np.array([index.get(clip.emotion or "", -1) for clip in clips])
        self.allowed = np.array([[label in known[clip.corpus] for label in labels] for clip in clips])
        self.adv = np.array([clip.adv or (np.nan,) * 3 for clip in clips], np.float32)
        self._made: dict[frozenset[int], LinearHeads] = {}

    def heads(self, without: frozenset[int]) -> LinearHeads:
        """Fitted on every view of every clip outside some folds."""
        if without not in self._made:
            part = np.flatnonzero((self.fold >= 0) & ~np.isin(self.fold, list(without)))
            views = len(self.rows)
            self._made[without] = LinearHeads.fit(
                self.rows[:, part].reshape(-1, self.rows.shape[2]).astype(np.float32),
                np.tile(self.classes[part], views),
                np.tile(self.allowed[part], (views, 1)),
                np.tile(self.adv[part], (views, 1)),
                self.labels,
                self.recipe.head,
            )
        return self._made[without]

    def answers(self, heads: LinearHeads, part: npt.NDArray[np.int64], view: int) -> tuple[Any, Any, Any]:
        """Logits, A/D/V and hints of some clips."""
        return heads.answer(self.rows[view, part].astype(np.float32))


def run_teacher(recipe: TeachRecipe, source: str, runs_dir: Path, results_dir: Path) -> dict[str, Any]:
    """Train the teachers of a recipe; write checkpoints, targets and figures.

    Parameters
    ----------
    recipe : TeachRecipe
    source : str
        Folder or hub name of the encoder.
    runs_dir : Path
        ``runs_dir/NAME/fold{F}.safetensors`` is the teacher that never heard fold F, ``runs_dir/NAME/fold{F}`` the
        store of what students of that fold may hear; ``all`` where nothing is held out. ``runs_dir/cache`` keeps the
        encoder's statistics, the long part of the work.
    results_dir : Path
        ``NAME.json`` is written here.

    Returns
    -------
    dict
        The figures, as those of ``edge-ser train``.

    Raises
    ------
    EdgeSerError
        Bad recipe, data or encoder.
    """
    corpus, known = pool_corpora(recipe.data.corpora, recipe.data.labels)
    folds = corpus.folds()
    outer = recipe.data.folds or tuple(folds)
    if missing := [fold for fold in outer if fold not in folds]:
        raise EdgeSerError(f"{corpus.name} has no fold {missing[0]}; it has {folds}")
    clips = [clip for clip in corpus.clips if clip.emotion is not None or clip.adv is not None]
    encoder = load_encoder(source)
    maker = ViewMaker(recipe.teach.views, Perturber(recipe.perturb))
    cache = Cache(runs_dir / "cache")

    def hear(wave: npt.NDArray[np.float32]) -> npt.NDArray[Any]:
        return statistics(encoder, wave).astype(np.float16)

    what = f"statistics {encoder.identity}"
    with progress_bar("hearing", len(clips)) as bar:
        rows = computed(clips, maker, {what: hear, **CONTENT}, cache, bar.wrap)
    keys = content_keys(rows)
    material = _Material(recipe, clips, np.array(rows[what], np.float16), corpus.labels, known)
    folder = runs_dir / recipe.name
    folder.mkdir(parents=True, exist_ok=True)
    scored: list[Scored] = []
    with progress_bar("teaching", len(outer) * len(folds)) as bar:
        for fold in outer:
            teacher = LinearTeacher(encoder, material.heads(frozenset({fold})))
            teacher.save(
                folder / f"fold{fold}.safetensors",
                {"held_out_fold": fold, "recipe": dataclasses.asdict(recipe)},
            )
            scored += _score(material, teacher.heads, clips, fold, known)
            bar.update()
            store = TargetStore(folder / f"fold{fold}", teacher.identity, corpus.labels, recipe.head.hint)
            for inner in folds:
                if inner != fold:
                    _write(material, teacher.heads, fold, inner, store, keys)
                    bar.update()
            store.flush()
    result = {
        "corpus": corpus.name,
        "protocol": f"{len(outer)} speaker-disjoint folds, each held out in every corpus; one clip, one answer",
        "model": f"linear heads on {os.path.basename(os.path.normpath(source))}",
        "params": sum(array.size for array in teacher.heads.tensors().values()),
        **summarise(scored, corpus.labels),
        "corpora": {
            name: summarise([s for s in scored if s.clip.corpus == name], known[name]) for name in known
        },
        "recipe": dataclasses.asdict(recipe),
    }
    write_json(results_dir / f"{recipe.name}.json", result)
    return result


def _score(
    material: _Material,
    heads: LinearHeads,
    clips: Sequence[Clip],
    fold: int,
    known: dict[str, tuple[str, ...]],
) -> list[Scored]:
    part = np.flatnonzero(material.fold == fold)
    logits, adv, _ = material.answers(heads, part, 0)
    scored = []
    for i, row, ratings in zip(part.tolist(), logits, adv, strict=True):
        clip, mine = clips[i], known[clips[i].corpus]
        said = (
            best_label([row[material.labels.index(label)] for label in mine], mine) if clip.emotion else None
        )
        arousal, dominance, valence = (float(value) for value in ratings)
        scored.append(Scored(clip, said, (arousal, dominance, valence), fold))
    return scored


def _write(
    material: _Material, whole: LinearHeads, fold: int, inner: int, store: TargetStore, keys: list[list[str]]
) -> None:
    """Targets of one fold's clips: answers of heads that never heard it, features in the basis of all."""
    part = np.flatnonzero(material.fold == inner)
    heads = material.heads(frozenset({fold, inner}))
    for view, row in enumerate(keys):
        logits, adv, _ = material.answers(heads, part, view)
        _, _, hints = material.answers(whole, part, view)
        for i, said, ratings, hint in zip(part.tolist(), logits, adv, hints, strict=True):
            store.add(row[i], Targets(ratings if np.isfinite(ratings).all() else None, said, hint))
