"""A study for the tests of the framework: two rules that tell apart loud noise, quiet noise and a tone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

#: The module that tests put where studies are looked for; other processes import it from there.
SOURCE = '''
"""A study of three made-up sounds."""

import numpy as np

from edge_ser.evaluation.class_answers import ClassAnswers
from edge_ser.evaluation.divisions import apart, stratified
from edge_ser.evaluation.drawings import as_svg
from edge_ser.evaluation.plots import plot_confusion
from edge_ser.studies import Outcome, Section, Study, Unit, line_of


def _level(wave):
    return np.array([np.sqrt(np.mean(wave**2)), np.abs(np.diff(wave)).mean()])


def _loaded(run):
    sounds = run.sounds("fsdd")
    made = run.features([sound.path for sound in sounds.sounds], _level, {"what": "level"}, "levels")
    kept = [sounds.sounds[i] for i in made.kept]
    labels = sounds.labels
    truth = np.array([labels.index(sound.label) for sound in kept])
    return labels, truth, [sound.speaker for sound in kept], np.array(made.values), made.left_out


def _nearest(run, *, protocol, seed, columns):
    if run.data is not None and (run.data / "stop").exists():
        raise KeyboardInterrupt
    labels, truth, speakers, values, _ = _loaded(run)
    values = values[:, :columns]
    folds = ["abc".index(name[-1]) for name in speakers]
    divisions = apart(folds, speakers) if protocol == "honest" else [stratified(truth, seed=seed)]
    answers = []
    for one in divisions:
        means = np.array([values[one.train][truth[one.train] == k].mean(0) for k in range(len(labels))])
        scores = -np.linalg.norm(values[one.test][:, None] - means, axis=2)
        groups = [speakers[i] for i in one.test]
        answers.append(ClassAnswers.of(labels, truth[one.test], scores, groups, fold=one.fold, seed=seed))
    return {**ClassAnswers.joined(answers).to_part(), "scale": run.scale}


def _run(run):
    labels, truth, speakers, values, left_out = _loaded(run)
    asked = [(p, s, c) for p in run.protocols for s in run.seeds for c in (1, 2)]
    units = [
        Unit(f"nearest {p} {s} {c}", _nearest, {"protocol": p, "seed": s, "columns": c}, run.at(f"nearest-{c}").scale)
        for p, s, c in asked
    ]
    parts = dict(zip(asked, run.parts(units), strict=True))
    answers = {
        c: {p: ClassAnswers.joined([ClassAnswers.of_part(parts[p, s, c]) for s in run.seeds]) for p in run.protocols}
        for c in (1, 2)
    }
    lines = [
        line_of(f"nearest-{c}", f"nearest mean of {c}", answers[c], published=0.5 if c == 1 else None,
                note=f"as {parts[run.protocols[0], 0, c]['scale']}")
        for c in (1, 2)
    ]
    first = answers[2][run.protocols[0]]
    picture = as_svg(plot_confusion, first.confusion(), labels)
    return Outcome(
        lines,
        findings=[f"Two figures of level tell {lines[1].title} apart."],
        sections=[
            Section("Confusion", "of both", {"confusion of nearest means": picture}),
            Section("Numbers", rows=[{"clips": len(truth)}]),
        ],
        data=f"{len(truth)} clips",
        left_out=left_out,
    )


STUDY = Study("sounds", "Z", "Three sounds", "Made up for tests.", ("fsdd",), _run, lines=("nearest-2",))
'''


def write_package(folder: Path) -> str:
    """Write a package with the study; returns its name."""
    house = folder / "miniature_studies"
    house.mkdir()
    (house / "__init__.py").write_text("")
    (house / "_part.py").write_text("raise AssertionError('a part of a study is no study')\n")
    (house / "sounds.py").write_text(SOURCE)
    return house.name


def write_sounds(folder: Path, classes: tuple[int, ...] = (0, 1, 2)) -> Path:
    """A folder of corpora with one, of three speakers: digits that are noise, loud or quiet, and a tone."""
    import numpy as np

    from edge_ser.audio import write_wav

    rng = np.random.default_rng(0)
    home = folder / "corpora" / "fsdd" / "recordings"
    home.mkdir(parents=True)
    time = np.arange(1600) / 16000
    made: dict[int, Any] = {
        0: lambda: rng.normal(0, 0.2, 1600),
        1: lambda: rng.normal(0, 0.05, 1600),
        2: lambda: 0.2 * np.sin(2 * np.pi * 200 * time),
    }
    for digit in classes:
        for speaker in "abc":
            for take in range(4):
                write_wav(home / f"{digit}_{speaker}_{take}.wav", made[digit]())
    return folder / "corpora"
