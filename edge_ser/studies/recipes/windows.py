"""Study W: Hann, Hamming and rectangular windows before a ResNet-50, and what the windows do to a spectrum."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from edge_ser.audio import load_audio
from edge_ser.corpora import LeftOut, Sound, SoundCollection, data_root
from edge_ser.corpora.roots import find_folder
from edge_ser.dsp.windows import leakage, window_figures
from edge_ser.evaluation.class_answers import ClassAnswers
from edge_ser.evaluation.divisions import Division, apart, stratified
from edge_ser.features.pictures import window_picture
from edge_ser.studies import Line, Outcome, Part, Section, Study, StudyRun, Unit, line_of
from edge_ser.studies.networks import Labelled, confusions, network_part

WINDOWS = ("hann", "hamming", "rectangular")
METRICS = ("accuracy", "precision", "recall", "f1")
#: Validation figures as published, in the order of `METRICS`.
PUBLISHED = {
    "hann": (0.9073, 0.9078, 0.9073, 0.9072),
    "hamming": (0.8930, 0.8948, 0.8930, 0.8929),
    "rectangular": (0.8958, 0.8976, 0.8958, 0.8960),
}
COLLECTIONS = ("urbansound8k", "esc50", "esc10")


def _sounds(run: StudyRun) -> SoundCollection:
    """The published collection where the user has it, else the largest that is there."""
    root = data_root() if run.data is None else run.data
    there = [name for name in COLLECTIONS if find_folder(root, name) is not None]
    return run.sounds(there[0] if there else COLLECTIONS[-1])


def _side(run: StudyRun) -> int:
    return run.pick(full=224, quick=48, miniature=32)


def _pictures(
    run: StudyRun, window: str, side: int
) -> tuple[SoundCollection, list[Sound], np.ndarray, list[LeftOut]]:
    """Sounds that could be read, and their pictures (n, 1, side, side)."""
    sounds = _sounds(run)
    chosen = [s for s in sounds.sounds if s.label is not None and s.fold is not None and s.source is not None]
    if run.scale == "miniature":
        chosen = chosen[:: max(1, len(chosen) // 60)]
    made = run.features(
        [s.path for s in chosen],
        partial(window_picture, window=window, side=side),
        {"what": "picture of a spectrogram", "window": window, "side": side},
        f"{window} pictures",
    )
    return sounds, [chosen[i] for i in made.kept], np.stack(made.values)[:, None], made.left_out


def _divisions(
    run: StudyRun, sounds: Sequence[Sound], labels: Sequence[str], protocol: str, seed: int
) -> list[Division]:
    if protocol == "as-published":
        return [stratified([labels.index(str(s.label)) for s in sounds], test=0.2, seed=seed)]
    made = apart([int(s.fold or 0) for s in sounds], [str(s.source) for s in sounds])
    return made[
        : run.pick(full=2, quick=1, miniature=1)
    ]  # more would take longer than three hours on two cores


def _fit(run: StudyRun, *, window: str, protocol: str, seed: int, fold: int, epochs: int, side: int) -> Part:
    """One ResNet-50 from scratch."""
    from edge_ser.models.picture_cnn import PictureResNet50
    from edge_ser.training.classify import Schedule

    sounds, kept, pictures, _ = _pictures(run, window, side)
    return network_part(
        run,
        f"resnet-50 {window} {protocol}",
        lambda: PictureResNet50(len(sounds.labels)),
        [pictures],
        Labelled(
            sounds.labels,
            np.array([sounds.labels.index(str(s.label)) for s in kept]),
            [str(s.source) for s in kept],
            [int(s.fold or 0) for s in kept],
        ),
        _divisions(run, kept, sounds.labels, protocol, seed)[fold],
        Schedule(
            epochs=epochs, batch=16, lr=1e-3, optimiser="adamw",
            weight_decay=1e-2, rate="one-cycle",
        ),
        seed=seed,
        choose_on_test=protocol == "as-published",  # for the curve alone: the last epoch is taken
    )  # fmt: skip


def _asked(run: StudyRun, folds: int) -> list[tuple[str, str, int, int]]:
    """Window, protocol, seed and place of the division of each fit; honest ones have one seed and the folds."""
    asked = []
    for window in WINDOWS:
        if "as-published" in run.protocols:
            asked += [(window, "as-published", seed, 0) for seed in run.seeds]
        if "honest" in run.protocols:
            asked += [(window, "honest", run.seeds[0], fold) for fold in range(folds)]
    return asked


def _run(run: StudyRun) -> Outcome:
    sounds, kept, pictures, left_out = _pictures(run, "hann", _side(run))
    folds = len(_divisions(run, kept, sounds.labels, "honest", 0))
    asked = _asked(run, folds)
    recipe = {"epochs": run.pick(full=5, quick=4, miniature=1), "side": _side(run)}
    units = [
        Unit(f"resnet-50 {w} {p} seed {s} fold {f}", _fit,
             {"window": w, "protocol": p, "seed": s, "fold": f, **recipe}) for w, p, s, f in asked
    ]  # fmt: skip
    parts = dict(zip(asked, run.parts(units, "networks"), strict=True))
    answers = {
        w: {
            p: ClassAnswers.joined([ClassAnswers.of_part(parts[key]) for key in asked if key[:2] == (w, p)])
            for p in run.protocols
        }
        for w in WINDOWS
    }
    note = _note(sounds, len(kept), pictures.shape[2], folds)
    lines = [
        line_of(f"{w}-accuracy", f"{w} window", answers[w], published=PUBLISHED[w][0], note=note)
        for w in WINDOWS
    ]
    curves = {
        w: [parts[key]["records"] for key in asked if key[0] == w and key[1] == run.protocols[0]]
        for w in WINDOWS
    }
    shown = run.protocols[-1]
    example = next((s for s in kept if s.label == sounds.labels[0]), kept[0])
    return Outcome(
        lines,
        findings=_findings(answers, lines, _shared(run, kept, sounds.labels)),
        sections=[
            Section("Precision, recall, F1", "Means over classes, as published and ours.", rows=_rows(answers)),
            Section("Learning curves", f"Of the networks {run.protocols[0].replace('-', ' ')}, means over them. As "
                    "published the validation clips are the test's; the last epoch is taken.",
                    {"learning curves": _curves(curves)}),
            confusions({f"{w}, {shown.replace('-', ' ')}": by[shown] for w, by in answers.items()}),
            *_physics(load_audio(example.path), example),
        ],
        data=f"{sounds.name}, {len(kept)} clips of {len({s.source for s in kept})} recordings in "
        f"{len(sounds.labels)} classes",
        protocols={
            "as-published": "a random fifth of the clips is tested; clips cut from one recording stand on both "
            "sides, it LEAKS",
            "honest": f"{folds} of the collection's {len({s.fold for s in kept})} official folds tested, clips of one "
            "recording in one fold, intervals over recordings",
        },
        left_out=[*sounds.left_out, *left_out],
        leak="Figures as published come of a random split: clips that were cut from one recording stand on both sides.",
    )  # fmt: skip


def _note(sounds: SoundCollection, clips: int, side: int, folds: int) -> str:
    told = []
    if sounds.name != "urbansound8k":
        told.append(f"{sounds.name} ({clips} clips) instead of UrbanSound8K (8732)")
    if side != 224:
        told.append(f"pictures of {side} x {side} instead of 224 x 224, fewer epochs than 5")
    if len({s.fold for s in sounds.sounds}) > folds:
        told.append(f"{folds} of {len({s.fold for s in sounds.sounds})} folds")
    return "; ".join(told)


def _shared(run: StudyRun, kept: Sequence[Sound], labels: Sequence[str]) -> float:
    """Share of the randomly chosen test clips whose recording is in training too."""
    one = _divisions(run, kept, labels, "as-published", run.seeds[0])[0]
    known = {kept[i].source for i in one.train}
    return float(np.mean([kept[i].source in known for i in one.test]))


def _rows(answers: Mapping[str, Mapping[str, ClassAnswers]]) -> list[dict[str, Any]]:
    return [
        {"window": window, "figure": metric, "published": PUBLISHED[window][k]}
        | {f"ours, {p.replace('-', ' ')}": one.figure(metric, interval=False).value for p, one in by.items()}
        for window, by in answers.items()
        for k, metric in enumerate(METRICS)
        if metric != "accuracy"
    ]


def _findings(
    answers: Mapping[str, Mapping[str, ClassAnswers]], lines: Sequence[Line], shared: float
) -> list[str]:
    found = []
    for protocol, name in (("as-published", "as published"), ("honest", "honest")):
        figures = {
            w: by[protocol].figure("accuracy", interval=False) for w, by in answers.items() if protocol in by
        }
        if not figures:
            continue
        best, worst = (pick(figures, key=lambda w: figures[w].value) for pick in (max, min))
        gap = figures[best].value - figures[worst].value
        if not gap:
            found.append(f"{name.capitalize()}, all windows have the same accuracy.")
            continue
        text = f"{name.capitalize()}, {best} is best and {worst} worst, {gap:.3f} apart"
        spreads = [f.spread for f in figures.values() if f.spread is not None]
        if spreads:
            spread = float(np.sqrt(np.mean(np.square(spreads))))
            text += (
                f". One window's accuracy varies by {spread:.3f} (standard deviation) from seed to seed, so the "
                f"difference {'exceeds' if gap > 2 * spread else 'does not exceed'} twice that spread"
                + ("" if gap > 2 * spread else ": no window has been shown to be better")
            )
        elif protocol == "honest":
            low, high = _paired(answers[best][protocol], answers[worst][protocol])
            text += (
                f"; with whole recordings drawn again the difference lies between {low:.3f} and {high:.3f} (95 %), "
                f"which {'excludes' if low > 0 else 'does not exclude'} that there is none"
            )
        found.append(text + ".")
    spread = max(PUBLISHED[w][0] for w in WINDOWS) - min(PUBLISHED[w][0] for w in WINDOWS)
    found.append(
        f"The published difference is {spread:.4f}, from one split and one seed of each. In the random split "
        f"{shared:.0%} of the test clips have a sibling from the same recording in training."
    )
    gaps = [line.gap for line in lines if line.gap is not None]
    if gaps:
        found.append(
            f"Ours as published lies {abs(np.mean(gaps)):.3f} {'over' if np.mean(gaps) >= 0 else 'under'} ours honest "
            "in the mean over windows."
        )
    sides = {w: window_figures(w) for w in WINDOWS}
    found.append(
        "What is sure is the physics: the highest side lobe is "
        + ", ".join(f"{sides[w].side_lobe_db:.0f} dB ({w})" for w in WINDOWS)
        + f", and a tone midway between two bins has {leakage('rectangular', 0.5, 4):.1%} of its energy more than four "
        f"bins away under the rectangular window, {leakage('hann', 0.5, 4):.4%} under Hann's, for a main lobe "
        f"{sides['hann'].main_lobe / sides['rectangular'].main_lobe:.1f} times as wide."
    )
    return found


def _paired(one: ClassAnswers, other: ClassAnswers) -> tuple[float, float]:
    """Interval of the difference in accuracy of two answers to the same clips, over their groups."""
    from edge_ser.evaluation.metrics import bootstrap_ci

    better = (one.said == one.truth).astype(float) - (other.said == other.truth)
    return bootstrap_ci(lambda rows: float(better[rows].mean()), one.groups.tolist(), rounds=1000)


def _curves(curves: Mapping[str, Sequence[Sequence[Mapping[str, float]]]]) -> bytes:
    from edge_ser.evaluation.drawings import as_svg
    from edge_ser.evaluation.plots import plot_curves

    names = {"loss": "training loss", "valid_loss": "validation loss", "valid_accuracy": "accuracy"}
    epochs = len(next(iter(curves.values()))[0])
    records = [
        {"epoch": float(k + 1)}
        | {
            f"{window} {said}": float(np.mean([one[k][name] for one in several]))
            for window, several in curves.items()
            for name, said in names.items()
            if name in several[0][k]
        }
        for k in range(epochs)
    ]
    return as_svg(plot_curves, records)


def _physics(wave: np.ndarray, example: Sound) -> list[Section]:
    from edge_ser.evaluation.drawings import as_svg
    from edge_ser.evaluation.portrait import plot_recording
    from edge_ser.evaluation.spectra import plot_windows

    rows = []
    for name in WINDOWS:
        f = window_figures(name)
        rows.append(
            {
                "window": name,
                "highest side lobe, dB": f.side_lobe_db,
                "fall, dB an octave": f.fall_db_per_octave,
                "main lobe, bins": f.main_lobe,
                "width at -3 dB, bins": f.width_3db,
                "noise bandwidth, bins": f.noise_bandwidth,
                "scalloping, dB": f.scalloping_db,
                "leaked beyond 4 bins, %": 100 * leakage(name, 0.5, 4),
            }
        )
    title = f"{example.label}, {example.path.name}"
    clip = as_svg(plot_recording, wave, what=["waveform", "windows"], n_fft=1024, hop_length=256, title=title)
    return [
        Section("What the windows do", "Measured on 4096 samples, with the formulas of Harris 1978.",
                {"spectra of the windows, and a tone between two bins": as_svg(plot_windows, WINDOWS)}, rows),
        Section("One clip under each window", "", {f"{title} under three windows": clip}),
    ]  # fmt: skip


STUDY = Study(
    "windows",
    "W",
    "Hann, Hamming and rectangular windows",
    "Spectrograms of UrbanSound8K under three windows, 224 x 224, one channel, went into a ResNet-50 from scratch "
    "(AdamW, one cycle, 5 epochs, a random fifth for validation): Hann .9073, rectangular .8958, Hamming .8930. Here "
    "UrbanSound8K is read where the data folder has it, else ESC-50, else ESC-10.",
    ("esc10",),
    _run,
    {"full": 3, "quick": 1, "miniature": 1},
)
