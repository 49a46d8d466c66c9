"""Train a teacher for each held-out fold, say how good it is, and write down what it tells the students.

What a student hears of a training clip comes from a teacher that heard neither the held-out fold nor the fold of that
clip: an answer about a clip that one has learnt by heart says no more than its label does.

A clip without a fold teaches nothing, as with a student of a held-out fold: nobody knows in which fold its speaker is
heard. A student that holds nothing out learns from it, so the store for such students has the answer of the teacher of
all folds, which never heard the clip either.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edge_ser.corpora import Clip, Corpus
from edge_ser.corpora.words import words_read
from edge_ser.errors import EdgeSerError
from edge_ser.evaluation.score import Scored, best_label, summarise
from edge_ser.features.cache import Cache
from edge_ser.files import read_part, write_json
from edge_ser.perturb import Perturb, Perturber
from edge_ser.progress import progress_bar
from edge_ser.teachers.attention import Listener
from edge_ser.teachers.encoders import Encoder, load_encoder
from edge_ser.teachers.linear import HeadPart, statistics
from edge_ser.teachers.targets import Targets, TargetStore
from edge_ser.training.attentive import AttentiveMaterial, AttentivePart, Hearing
from edge_ser.training.data import check_folds, left_out, pool_corpora, with_answers
from edge_ser.training.material import Known, LinearMaterial, Material
from edge_ser.training.recipe import DataPart
from edge_ser.training.tables import read_toml
from edge_ser.training.views import CONTENT, ViewMaker, computed, content_keys

__all__ = ["TeachPart", "TeachRecipe", "figures_name", "heard_statistics", "run_teacher"]


@dataclasses.dataclass(frozen=True)
class TeachPart:
    """``[teach]``: what there is to hear.

    Attributes
    ----------
    views : int
        Versions of each clip to learn from and to label, at least 1: the clip and ``views - 1`` perturbed ones.
    centre : {'', 'speaker'}
        'speaker' subtracts from the statistics of a clip the mean over all clips of its speaker, in each view: what is
        left is how somebody speaks against how they usually do. It needs no labels, but other recordings of the same
        speaker, which a teacher of a corpus has and a device has not.

    Raises
    ------
    EdgeSerError
        A value is out of its range.
    """

    views: int = 1
    centre: str = ""

    def __post_init__(self) -> None:
        if self.views < 1:
            raise EdgeSerError("needs views of at least 1")
        if self.centre not in ("", "speaker"):
            raise EdgeSerError(f"centre must be 'speaker' or nothing, not {self.centre!r}")


@dataclasses.dataclass(frozen=True)
class TeachRecipe:
    """A teacher.

    Attributes
    ----------
    name : str
    data : DataPart
        A fold is held out in all corpora at once; no ``folds`` means each in its turn.
    teach : TeachPart
    head : HeadPart
    perturb : Perturb
        What makes the views; a student's recipe says the same.
    attentive : AttentivePart, optional
        The teacher attends to layers and time, and there are no linear heads; None has ``head`` fitted.
    """

    name: str
    data: DataPart
    teach: TeachPart
    head: HeadPart
    perturb: Perturb
    attentive: AttentivePart | None = None

    @classmethod
    def read(cls, path: str | Path, changes: Iterable[str] = ()) -> TeachRecipe:
        """Read and check a recipe; arguments and errors as those of `edge_ser.training.recipe.Recipe.read`."""
        kinds = {"data": DataPart, "teach": TeachPart, "head": HeadPart, "perturb": Perturb}
        path = Path(path)
        fields = read_toml(path, {"name", "attentive", *kinds}, changes)
        if "attentive" in fields:
            if "head" in fields:
                raise EdgeSerError(
                    f"{path} has [head] and [attentive]: a teacher has one of them, take one out"
                )
            kinds["attentive"] = AttentivePart
        parts = {name: read_part(kind, fields.get(name, {}), path, name) for name, kind in kinds.items()}
        return cls(fields.get("name", path.stem), **parts)

    def to_dict(self) -> dict[str, Any]:
        """All fields that say something, as plain values, for results, checkpoints and identities."""
        fields = dataclasses.asdict(self)
        fields["perturb"] = self.perturb.to_dict()
        del fields["attentive" if self.attentive is None else "head"]
        return fields


def run_teacher(
    recipe: TeachRecipe, source: str, runs_dir: Path, results_dir: Path, *, only: int | None = None
) -> dict[str, Any]:
    """Train the teachers of a recipe; write checkpoints, targets and figures.

    Parameters
    ----------
    recipe : TeachRecipe
    source : str
        Folder or hub name of the encoder.
    runs_dir : Path
        ``runs_dir/NAME/fold{F}.safetensors`` is the teacher that never heard fold F, ``runs_dir/NAME/fold{F}`` the
        store of what students of that fold may hear; ``all.safetensors`` is the teacher of every fold, ``all`` the
        store for students that hold nothing out. ``runs_dir/cache`` keeps the encoder's statistics, the long part of
        the work.
    results_dir : Path
        ``NAME.json`` is written here.
    only : int, optional
        Do no more than what students of this fold need, for several processes side by side; the figures are then in
        ``NAME-fold{F}.json``.

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
    clips = with_answers(corpus)
    outer = recipe.data.folds or tuple(corpus.folds())
    if only is not None:
        if only not in outer:
            raise EdgeSerError(
                f"the recipe {recipe.name} holds out no fold {only}; it holds out {list(outer)}"
            )
        outer = (only,)
    _check_folds(corpus, clips, outer)
    encoder = load_encoder(source)
    maker = ViewMaker(recipe.teach.views, Perturber.of(recipe.perturb, recipe.data.corpora))

    folder = runs_dir / recipe.name
    hear = _hear_states if recipe.attentive else _hear_statistics
    material, keys = hear(recipe, encoder, corpus, known, clips, maker, runs_dir)
    folder.mkdir(parents=True, exist_ok=True)
    plan: list[tuple[int | None, list[int | None]]] = [
        (fold, [other for other in corpus.folds() if other != fold]) for fold in outer
    ]
    if only is None:
        plan.append((None, [*corpus.folds(), None]))
    with progress_bar("teaching", sum(len(others) for _, others in plan)) as bar:
        for fold, others in plan:
            name = "all" if fold is None else f"fold{fold}"
            heard_by = _identity(recipe, encoder.identity, clips, keys, fold)
            teacher = material.teacher(material.heads(fold), heard_by)
            teacher.save(
                folder / f"{name}.safetensors",
                {"held_out_fold": fold, "recipe": recipe.to_dict()},
            )
            store = TargetStore(folder / name, teacher.identity, corpus.labels, material.hint_size)
            for other in bar.wrap(others):
                _write(material, fold, other, store, keys)
                store.flush()
    scored = [one for fold in outer for one in _score(material, fold)]
    result = {
        "corpus": corpus.name,
        "protocol": f"{len(outer)} {corpus.folding}, each held out in every corpus; one clip, one answer"
        + (", beside the speaker's other clips (unlabelled)" if recipe.teach.centre else ""),
        "model": f"{material.what} on {os.path.basename(os.path.normpath(source))}",
        "params": teacher.params,
        **summarise(scored, corpus.labels),
        "corpora": {
            name: summarise([s for s in scored if s.clip.corpus == name], known[name]) for name in known
        },
        "left_out": left_out(corpus, clips),
        **words_read(corpus),
        "recipe": recipe.to_dict(),
    }
    write_json(results_dir / f"{figures_name(recipe, only)}.json", result)
    return result


def heard_statistics(encoder: Encoder) -> tuple[str, Callable[[npt.NDArray[np.float32]], npt.NDArray[Any]]]:
    """What names an encoder's statistics in the cache, and the function of a recording that gives them as float16."""

    def hear(wave: npt.NDArray[np.float32]) -> npt.NDArray[Any]:
        heard = statistics(encoder, wave)
        if not np.abs(heard).max() <= np.finfo(np.float16).max:  # so written because of NaN
            raise EdgeSerError("the encoder's states are no numbers or beyond 65504; use another encoder")
        return heard.astype(np.float16)

    return f"statistics {encoder.identity}", hear


def _hear_statistics(
    recipe: TeachRecipe,
    encoder: Encoder,
    corpus: Corpus,
    known: Known,
    clips: Sequence[Clip],
    maker: ViewMaker,
    runs_dir: Path,
) -> tuple[Material, list[list[str]]]:
    """Statistics of all views of all clips, and the views' content keys."""
    what, hear = heard_statistics(encoder)
    with progress_bar("hearing", len(clips)) as bar:
        rows = computed(clips, maker, {what: hear, **CONTENT}, Cache(runs_dir / "cache"), bar.wrap)
    heard = np.array(rows.pop(what), np.float16)
    if recipe.teach.centre:
        _centre(heard, clips)
    about = (encoder, recipe.head, recipe.teach.centre)
    return LinearMaterial(clips, corpus.labels, known, heard, *about), content_keys(rows)


def _hear_states(
    recipe: TeachRecipe,
    encoder: Encoder,
    corpus: Corpus,
    known: Known,
    clips: Sequence[Clip],
    maker: ViewMaker,
    runs_dir: Path,
) -> tuple[Material, list[list[str]]]:
    """States of all views of all clips, and the views' content keys."""
    assert recipe.attentive is not None
    listener = Listener(encoder, recipe.attentive.shape(encoder, corpus.labels))
    hearing = Hearing(listener)
    with progress_bar("hearing", len(clips)) as bar:
        functions = {**hearing.functions(), **CONTENT}
        rows = computed(clips, maker, functions, Cache(runs_dir / "cache"), bar.wrap)
    keys = content_keys(rows)
    identity = _identity(recipe, encoder.identity, (), keys, None)
    folder = runs_dir / recipe.name / "members"
    about = (listener, recipe.attentive, recipe.teach.centre, folder, identity)
    return AttentiveMaterial(clips, corpus.labels, known, rows, *about), keys


def figures_name(recipe: TeachRecipe, only: int | None) -> str:
    """Name of the file of figures without its ending."""
    return recipe.name if only is None else f"{recipe.name}-fold{only}"


def _identity(
    recipe: TeachRecipe, encoder: str, clips: Sequence[Clip], keys: Sequence[Sequence[str]], fold: int | None
) -> str:
    """Hash of all that a teacher and its answers follow from."""
    truths = [(clip.corpus, clip.speaker, clip.emotion, clip.adv, clip.fold) for clip in clips]
    parts = {name: value for name, value in recipe.to_dict().items() if name != "name"}
    what = json.dumps([parts, encoder, truths, keys, fold], sort_keys=True)
    return hashlib.sha256(what.encode()).hexdigest()


def _centre(rows: npt.NDArray[np.float16], clips: Sequence[Clip]) -> None:
    """Subtract each speaker's mean in each view, in place."""
    speakers = np.array([clip.speaker for clip in clips])
    for speaker in np.unique(speakers):
        mine = speakers == speaker
        own = rows[:, mine].astype(np.float32)
        rows[:, mine] = (own - own.mean(1, keepdims=True)).astype(np.float16)


def _check_folds(corpus: Corpus, clips: Sequence[Clip], outer: Sequence[int]) -> None:
    """Refuse what would leave a teacher without anything to learn, before hours of hearing."""
    folds = corpus.folds()
    check_folds(corpus, outer)
    if len(folds) < 3:
        raise EdgeSerError(
            f"{corpus.name} has {len(folds)} folds; a teacher must learn without a student's fold and without the "
            "clip's own, so give it three or more"
        )
    rated = {clip.fold for clip in clips if clip.adv is not None and clip.fold is not None}
    if len(rated) == 1 and rated <= set(outer):
        raise EdgeSerError(
            f"only fold {rated.pop()} of {corpus.name} has ratings, and no other to learn them from: "
            "rate two folds or more, or leave the ratings out"
        )


def _score(material: Material, fold: int) -> list[Scored]:
    """Answers of the teacher that never heard a fold to the clips of that fold."""
    part = material.part(fold)
    logits, adv, _ = material.answers(material.heads(fold), part, 0)
    scored = []
    for i, row, ratings in zip(part.tolist(), logits, adv, strict=True):
        clip = material.clips[i]
        mine = material.known[clip.corpus]
        said = (
            best_label([row[material.labels.index(label)] for label in mine], mine) if clip.emotion else None
        )
        arousal, dominance, valence = (float(value) for value in ratings)
        scored.append(Scored(clip, said, (arousal, dominance, valence), fold))
    return scored


def _write(
    material: Material, fold: int | None, other: int | None, store: TargetStore, keys: list[list[str]]
) -> None:
    """Targets of another fold: answers of heads that heard neither, hints in the basis of those without `fold`."""
    whole, heads = material.heads(fold), material.answering(fold, other)
    for view, row in enumerate(keys):
        part = np.array([i for i in material.part(other).tolist() if row[i] not in store], np.int64)
        if not len(part):
            continue
        logits, adv, _ = material.answers(heads, part, view)
        _, _, hints = material.answers(whole, part, view)
        for i, said, ratings, hint in zip(part.tolist(), logits, adv, hints, strict=True):
            store.add(row[i], Targets(ratings if np.isfinite(ratings).all() else None, said, hint))
