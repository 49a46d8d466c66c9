"""A recipe with ``[live]`` from start to end: views, teachers, and all of its students side by side."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from edge_ser.audio import load_audio
from edge_ser.models import architecture
from edge_ser.models.base import Network
from edge_ser.training.data import with_answers
from edge_ser.training.live.fit import Trainee, fit_together
from edge_ser.training.live.pool import Pool
from edge_ser.training.live.source import Live, find_device
from edge_ser.training.memory import keep_freed_memory
from edge_ser.training.recipe import Recipe
from edge_ser.training.run import (
    Run,
    all_runs,
    begin,
    check_same,
    checkpoint_name,
    describe,
    figures,
    keep,
    pooled,
    trains,
)

__all__ = ["Students", "run_live"]


class Students:
    """The students of a recipe that are not trained yet.

    Parameters
    ----------
    recipe : Recipe
    runs_dir : path
    encoder : str
        Folder or hub name of a Whisper.
    device : str
        As torch names it.
    only : sequence of Run
        Just these; none is all.
    pool : Pool, optional
        Has the views of all clips, for several recipes after one another; by default they are made.

    Attributes
    ----------
    trainees : dict
        From what trains to its `Run`.
    """

    def __init__(
        self,
        recipe: Recipe,
        runs_dir: Path,
        encoder: str,
        device: str,
        only: Sequence[Run] = (),
        pool: Pool | None = None,
    ) -> None:
        self.recipe, self.folder = recipe, runs_dir / recipe.name
        self.corpus, known = pooled(recipe)
        recipe.shape(self.corpus.labels)  # what is wrong with it is said before long work
        self.clips = with_answers(self.corpus)
        missing: list[Run] = []
        every = all_runs(recipe, only)
        for run in only or every:
            target = self.folder / checkpoint_name(run)
            if target.exists():
                check_same(target, recipe, run, self.clips)
            else:
                missing.append(run)
        self.trainees: dict[Trainee, Run] = {}
        self._before: dict[Run, dict[str, Any]] = {}  # what a start says of its training
        if not missing:
            return
        where = find_device(device)
        self.live = Live.load(
            recipe, self.clips, self.corpus.labels, known, encoder, where, runs_dir / "cache", pool
        )
        for run in missing:
            model, self._before[run] = begin(recipe, run, self.corpus.labels, self.clips)
            data = self.live.clip_set(run.fold)
            own = self.folder / Path(checkpoint_name(run)).stem
            self.trainees[Trainee(model, data, recipe, run.seed, own)] = run

    def keep(self, trainee: Trainee, model: Network) -> None:
        """Write a finished student, its log and its curves."""
        run, live = self.trainees[trainee], self.live
        heard = [clip for clip in self.clips if trains(clip, run.fold)]
        before = self._before[run]
        about = describe(self.recipe, run, heard, trainee.clips.taught, self.corpus, live.others, before)
        if run.fold is not None:
            about["teacher_uar"] = live.teacher_uar(run.fold)
        target = self.folder / checkpoint_name(run)
        keep(self.recipe, target, model, self.corpus.labels, trainee.records, about)


def run_live(
    recipe: Recipe, runs_dir: Path, results_dir: Path, encoder: str, device: str, only: Sequence[Run] = ()
) -> dict[str, Any] | None:
    """Train the students of a recipe with ``[live]`` and write its figures; as `edge_ser.training.run.run_recipe`.

    Parameters
    ----------
    recipe : Recipe
    runs_dir, results_dir : path
    encoder, device, only
        As of `Students`.
    """
    keep_freed_memory()
    students = Students(recipe, runs_dir, encoder, device, only)
    for trainee, model in fit_together(list(students.trainees)):
        students.keep(trainee, model)
    runs = all_runs(recipe)
    if not recipe.data.folds or not all((students.folder / checkpoint_name(run)).exists() for run in runs):
        return None
    network = architecture(recipe.model).model
    features = [network.heard(load_audio(clip.path), recipe.spec) for clip in students.clips]
    return figures(recipe, runs, students.folder, results_dir, students.corpus, students.clips, features)
