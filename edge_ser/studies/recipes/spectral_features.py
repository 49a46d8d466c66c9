"""Study S: sub-band spectral features and an SVM against CNNs on the waveform and on pictures of spectrograms."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from edge_ser.corpora import Clip, LeftOut
from edge_ser.dsp.subbands import MEL_SUBBANDS, mel_subbands
from edge_ser.evaluation.class_answers import ClassAnswers
from edge_ser.evaluation.divisions import Division, apart, stratified
from edge_ser.features.pictures import mel_picture, read_pictures, write_pictures
from edge_ser.studies import Line, Outcome, Part, Section, Study, StudyRun, Unit, line_of
from edge_ser.studies.networks import Labelled, confusions, learning_curves, network_part, save_network

if TYPE_CHECKING:
    from torch import nn

EMOTIONS = ("angry", "calm", "happy", "sad")
FEATURES = ("centroid", "bandwidth", "energy")
FRAMES = 200
SAMPLES = (FRAMES + 1) * 240  # of hops of int(.015 * 16000)
AUGMENTED = (
    "none",
    "crop",
    "flip time",
    "flip frequency",
    "rotate",
    "crop, flip time, rotate",
    "SpecAugment",
)
QUICKLY = ("none", "crop, flip time, rotate", "SpecAugment")
#: Networks that are saved, to be exported.
PLAIN = ("speed, shift, gain", "none")
GRID = {"svc__C": [1.0, 10.0, 100.0], "svc__gamma": ["scale", 1e-4, 1e-3]}


def _subband_values(wave: np.ndarray) -> np.ndarray:
    """(3, 200, 5): the features of `FEATURES`."""
    return np.stack(mel_subbands(wave, frames=FRAMES))


def _waveform(wave: np.ndarray) -> np.ndarray:
    """(1, 48240): the first samples, a shorter recording followed by silence."""
    heard = wave[:SAMPLES].astype(np.float32)
    return np.pad(heard, (0, SAMPLES - len(heard)))[None]


def _clips(run: StudyRun) -> list[Clip]:
    corpus = run.corpus("ravdess").restrict(EMOTIONS)
    clips = [clip for clip in corpus.clips if clip.fold is not None]
    return clips if run.scale != "miniature" else clips[:: max(1, len(clips) // 60)]


def _values(run: StudyRun, compute: Any, what: str) -> tuple[list[Clip], NDArray[np.float32], list[LeftOut]]:
    clips = _clips(run)
    made = run.features([clip.path for clip in clips], compute, {"what": what, "frames": FRAMES}, what)
    return [clips[i] for i in made.kept], np.stack(made.values), made.left_out


def _labels(clips: Sequence[Clip]) -> tuple[tuple[str, ...], NDArray[np.int64]]:
    labels = tuple(e for e in EMOTIONS if any(clip.emotion == e for clip in clips))
    return labels, np.array([labels.index(str(clip.emotion)) for clip in clips], np.int64)


def _divisions(run: StudyRun, clips: Sequence[Clip], protocol: str, seed: int) -> list[Division]:
    _, truth = _labels(clips)
    if protocol == "as-published":
        return [stratified(truth, test=0.2, seed=42 + seed)]
    made = apart([int(clip.fold or 0) for clip in clips], [clip.speaker for clip in clips])
    return made[: run.pick(full=len(made), quick=1, miniature=1)]


def _labelled(clips: Sequence[Clip]) -> Labelled:
    labels, truth = _labels(clips)
    return Labelled(labels, truth, [clip.speaker for clip in clips], [int(clip.fold or 0) for clip in clips])


def _svm(run: StudyRun, *, protocol: str, seed: int, feature: str, grid: bool) -> Part:
    """Support vector machines of all divisions; a grid is searched within the training clips alone."""
    from sklearn.model_selection import GridSearchCV, GroupKFold, StratifiedKFold

    from edge_ser.evaluation.pipelines import PipelineSpec

    clips, values, _ = _values(run, _subband_values, "mel sub-bands")
    _, truth = _labels(clips)
    speakers = np.array([clip.speaker for clip in clips])
    chosen = values if feature == "all" else values[:, FEATURES.index(feature)]
    x = chosen.reshape(len(values), -1)
    spec = PipelineSpec("svm", "", (("standardise", {}), ("svm", {"C": 10.0, "break_ties": True})))
    answers, settings = [], []
    for division in _divisions(run, clips, protocol, seed):
        model, train = spec.build(), division.train
        if grid:
            keeps_apart = protocol == "honest"
            inner = GroupKFold(3) if keeps_apart else StratifiedKFold(3, shuffle=True, random_state=seed)
            search = GridSearchCV(model, GRID, cv=inner)
            search.fit(x[train], truth[train], **({"groups": speakers[train]} if keeps_apart else {}))
            model = search.best_estimator_
            settings.append(
                ", ".join(f"{k.removeprefix('svc__')} {v}" for k, v in search.best_params_.items())
            )
        else:
            model.fit(x[train], truth[train])
        scores = model.decision_function(x[division.test])
        answers.append(_labelled(clips).answers(division, scores, seed))
    return {**ClassAnswers.joined(answers).to_part(), "settings": settings}


def _recipe(run: StudyRun, kind: str) -> dict[str, Any]:
    """How networks of a kind are fitted at the run's scale, and how wide they are."""
    if kind == "1-D":
        return {"epochs": run.pick(full=80, quick=40, miniature=1), "batch": 16, "lr": 1e-2,
                "width": run.pick(full=64, quick=32, miniature=8)}  # fmt: skip
    return {"epochs": run.pick(full=60, quick=30, miniature=1), "batch": 16, "lr": 3e-3}


def _network(
    run: StudyRun, *, kind: str, protocol: str, seed: int, fold: int, augment: str, recipe: dict[str, Any]
) -> Part:
    """A CNN on waveforms or on pictures."""
    from edge_ser.models.mel_cnn import ImageConfig, OnImages
    from edge_ser.models.picture_cnn import OnPictures, PictureCnn
    from edge_ser.models.waveform_cnn import WaveformCnn, WaveformConfig
    from edge_ser.training.classify import Schedule
    from edge_ser.training.pictures import AUGMENTATIONS
    from edge_ser.training.waves import speed_shift_and_gain

    if kind == "1-D":
        clips, values, _ = _values(run, _waveform, "waveforms")
    else:
        clips, values = _pictures(run)
    known = _labelled(clips)
    division = _divisions(run, clips, protocol, seed)[fold]
    leaks = protocol == "as-published"  # there the epoch is chosen by the test; honestly the last is taken

    def build() -> nn.Module:
        if kind == "1-D":
            return OnImages(WaveformCnn(WaveformConfig(known.labels, width=recipe["width"])))
        return OnPictures(PictureCnn(ImageConfig(known.labels)))

    def keep(model: nn.Module) -> None:
        assert isinstance(model, OnImages | OnPictures)
        if augment in PLAIN:
            name = {"1-D": "cnn-1d", "2-D": "cnn-2d"}[kind]
            save_network(run, name, model.network, run.corpus("ravdess"), clips, division, protocol, seed)

    return network_part(
        run,
        f"{kind} cnn {augment} {protocol}",
        build,
        [values],
        known,
        division,
        Schedule(
            recipe["epochs"],
            recipe["batch"],
            recipe["lr"],
            "adamw",
            1e-2,
            "one-cycle",
            keep="best" if leaks else "last",
        ),
        seed=seed,
        augment=speed_shift_and_gain if kind == "1-D" else AUGMENTATIONS[augment],
        choose_on_test=leaks,
        keep=keep,
    )


def _picture_folder(run: StudyRun) -> Path:
    return run.folder / "pictures"


def _pictures(run: StudyRun) -> tuple[list[Clip], NDArray[np.float32]]:
    """The pictures as they were written, and whose they are."""
    values, _, _, paths = read_pictures(_picture_folder(run))
    by_stem = {clip.path.stem: clip for clip in _clips(run)}
    return [by_stem[path.stem] for path in paths], values


def _draw(run: StudyRun) -> list[LeftOut]:
    clips, values, left_out = _values(run, partial(mel_picture, frames=FRAMES), "mel pictures")
    folder = _picture_folder(run)
    there = {(path.parent.name, path.stem) for path in folder.glob("*/*.png")}
    if there != {(str(clip.emotion), clip.path.stem) for clip in clips}:
        for path in folder.glob("*/*.png"):
            path.unlink()
        write_pictures(folder, list(values), [str(c.emotion) for c in clips], [c.path.stem for c in clips])
    return left_out


def _run(run: StudyRun) -> Outcome:
    clips, _, left_out = _values(run, _subband_values, "mel sub-bands")
    _draw(run)
    folds = {p: len(_divisions(run, clips, p, 0)) for p in run.protocols}
    machines = [(f, False) for f in (*FEATURES, "all")] + [("all", True)]
    # a machine has no chance of its own: only the random split differs from seed to seed
    svms = [
        (f, g, p, s)
        for f, g in machines
        for p in run.protocols
        for s in (run.seeds if p != "honest" else run.seeds[:1])
    ]
    augmented = run.pick(full=AUGMENTED, quick=QUICKLY, miniature=QUICKLY[-2:])
    networks = [
        (k, a, p, s, f)
        for k, a in [("1-D", "speed, shift, gain"), *(("2-D", a) for a in augmented)]
        for p in run.protocols
        for s in run.seeds
        for f in range(folds[p])
    ]
    units = [
        Unit(f"svm {f} {'grid ' if g else ''}{p} seed {s}", _svm,
             {"protocol": p, "seed": s, "feature": f, "grid": g}) for f, g, p, s in svms
    ] + [
        Unit(f"{k} cnn {a} {p} seed {s} fold {f}", _network,
             {"kind": k, "augment": a, "protocol": p, "seed": s, "fold": f,
              "recipe": _recipe(run.at(_key((k, a))), k)}, run.at(_key((k, a))).scale)
        for k, a, p, s, f in networks
    ]  # fmt: skip
    parts = dict(zip([*svms, *networks], run.parts(units), strict=True))

    def joined(which: tuple[Any, ...], protocol: str) -> ClassAnswers:
        keys = [key for key in parts if key[:2] == which and key[2] == protocol]
        return ClassAnswers.joined([ClassAnswers.of_part(parts[key]) for key in keys])

    names: dict[tuple[Any, ...], str] = {(f, g): _svm_title(f, g) for f, g in machines}
    names |= {("1-D", "speed, shift, gain"): "1-D CNN on the waveform"}
    names |= {
        ("2-D", a): f"2-D CNN on mel pictures, {a if a != 'none' else 'no augmentation'}" for a in augmented
    }
    answers = {which: {p: joined(which, p) for p in run.protocols} for which in names}
    lines = {
        which: line_of(_key(which), title, answers[which], note=_note(run, which))
        for which, title in names.items()
    }
    return Outcome(
        list(lines.values()),
        findings=_findings(run, lines),
        sections=_sections(run, names, answers, parts),
        data=f"ravdess, {len(clips)} clips of {len({c.speaker for c in clips})} speakers: "
        + ", ".join(_labels(clips)[0]),
        protocols={
            "as-published": "a random fifth of the clips tested, speakers on both sides; the networks' epoch is the "
            "best on the test, it LEAKS twice",
            "honest": f"{folds.get('honest', 0)} of 5 official folds of whole speakers tested, last epoch, the grid "
            "searched with training speakers apart",
        },
        left_out=left_out,
    )  # fmt: skip


def _svm_title(feature: str, grid: bool) -> str:
    title = f"SVM on {'all three features' if feature == 'all' else 'the ' + feature}"
    return f"{title}, {'grid' if grid else 'RBF, C = 10'}"


def _key(which: tuple[Any, ...]) -> str:
    name = (
        f"svm-{which[0]}{'-grid' if which[1] else ''}"
        if which[0] not in ("1-D", "2-D")
        else f"cnn-{which[0]}-{which[1]}"
    )
    return name.lower().replace(", ", "-").replace(" ", "-")


def _note(run: StudyRun, which: tuple[Any, ...]) -> str:
    if run.scale == "full":
        return ""
    epochs = run.at(_key(which)).pick(full="", quick=", half of the epochs", miniature=", 1 epoch")
    return "1 of 5 folds" + (epochs if which[0] in ("1-D", "2-D") else "")


def _value(line: Line, protocol: str) -> float:
    figure = line.as_published if protocol == "as-published" else line.honest
    assert figure is not None
    return figure.value


def _findings(run: StudyRun, lines: Mapping[tuple[Any, ...], Line]) -> list[str]:
    found = []
    for protocol in run.protocols:
        name = protocol.replace("-", " ").capitalize()
        single = {f: _value(lines[f, False], protocol) for f in FEATURES}
        best, worst = max(single, key=lambda f: single[f]), min(single, key=lambda f: single[f])
        together = _value(lines["all", False], protocol)
        alone = (
            f"the {best} is the best feature alone ({single[best]:.3f}) and the {worst} the worst ({single[worst]:.3f})"
            if single[best] > single[worst]
            else f"no feature alone is better than another ({single[best]:.3f})"
        )
        found.append(
            f"{name}, {alone}; all three together give {together:.3f}, "
            f"{'better than any alone' if together > single[best] else 'no better than the best alone'}."
        )
        svm = max(together, _value(lines["all", True], protocol))
        pictures = {k[1]: _value(line, protocol) for k, line in lines.items() if k[0] == "2-D"}
        first = _value(lines["1-D", "speed, shift, gain"], protocol)
        chosen = "none" if "none" in pictures else next(iter(pictures))
        second = pictures[chosen]
        reach = [n for n, v in (("1-D", first), ("2-D", second)) if v >= svm]
        found.append(
            f"{name}, the SVM on all features has {svm:.3f} (the better of C = 10 and the grid), the 1-D CNN "
            f"{first:.3f}, the 2-D CNN ({'no augmentation' if chosen == 'none' else chosen}) {second:.3f}: "
            + ("neither reaches", f"only the {''.join(reach)} CNN reaches", "both CNNs reach")[len(reach)]
            + " the SVM's figure."
        )
        others = [a for a in pictures if a != "none"]
        alike = [a for a in others if run.alike(_key(("2-D", "none")), _key(("2-D", a)))]
        if "none" in pictures and alike:
            compared = {a: pictures[a] for a in ("none", *alike)}
            found.append(_augmentations(name, compared, lines, protocol))
        if "none" in pictures and len(alike) < len(others):
            left = "; ".join(a for a in others if a not in alike)
            found.append(f"{name}, {left} had another number of epochs than none, so they are not compared.")
    return found


def _augmentations(
    name: str, pictures: Mapping[str, float], lines: Mapping[tuple[Any, ...], Line], protocol: str
) -> str:
    none = pictures["none"]
    gains = sorted(((v - none, a) for a, v in pictures.items() if a != "none"), reverse=True)
    told = "; ".join(f"{a} {g:+.3f}" for g, a in gains)
    text = f"{name}, augmentation changes the 2-D CNN's figure against none by: {told}."
    figure = lines["2-D", "none"].honest if protocol == "honest" else None
    if figure is None or figure.ci95 is None:
        return text + " These have no interval, so they rank the transformations and prove none."
    half = (figure.ci95[1] - figure.ci95[0]) / 2
    helped, harmed = [a for g, a in gains if g > half], [a for g, a in gains if g < -half]
    text += f" The figure without it is sure to ±{half:.3f}: "
    if not helped and not harmed:
        return text + "none of them has been shown to suit a spectrogram or to harm it."
    parts = [f"{'; '.join(of)} {verb}" for of, verb in ((helped, "suits it"), (harmed, "harms it")) if of]
    return text + ", ".join(parts) + ", the others make no difference that can be told."


def _sections(
    run: StudyRun,
    names: Mapping[tuple[Any, ...], str],
    answers: Mapping[tuple[Any, ...], Mapping[str, ClassAnswers]],
    parts: Mapping[Any, Part],
) -> list[Section]:
    second = next(a for k, a in names if k == "2-D")
    curves = {}
    for which in (("1-D", "speed, shift, gain"), ("2-D", second)):
        for protocol in run.protocols:
            one = next(part for key, part in parts.items() if key[:3] == (*which, protocol))
            curves[f"{names[which]}, {protocol.replace('-', ' ')}, {one['parameters']} parameters"] = one[
                "records"
            ]
    shown = run.protocols[-1]
    confused = [*((f, False) for f in (*FEATURES, "all")), ("1-D", "speed, shift, gain"), ("2-D", second)]
    grids = [
        {"protocol": key[2], "chosen in each fold": part["settings"]}
        for key, part in parts.items()
        if key[:2] == ("all", True)
    ]
    edges = ", ".join(f"{low}-{high - 1}" for low, high in MEL_SUBBANDS)
    return [
        Section("One clip of each class", "Mel pictures as the 2-D CNN sees them, before they are resized; "
                f"the sub-bands are the mel bands {edges} of 3401.", {"mel pictures": _gallery(run)}),
        Section("Grid", "C and gamma by three folds within the training clips.", rows=grids),
        learning_curves(curves),
        confusions({f"{names[which]}, {shown.replace('-', ' ')}": answers[which][shown] for which in confused}),
    ]  # fmt: skip


def _gallery(run: StudyRun) -> bytes:
    from edge_ser.evaluation.drawings import as_svg
    from edge_ser.evaluation.spectra import plot_gallery

    found = {}
    values, truth, labels, paths = read_pictures(_picture_folder(run), 128, FRAMES)
    for number, label in enumerate(labels):
        place = int(np.flatnonzero(truth == number)[0])
        found[f"{label}, {paths[place].stem}"] = values[place, 0]
    return as_svg(plot_gallery, found)


STUDY = Study(
    "spectral-features",
    "S",
    "Spectral features with an SVM, 1-D and 2-D CNN",
    "Four emotions (angry, calm, happy, sad). Spectral centroid, bandwidth and band energy in five sub-bands of a mel "
    "power spectrogram (3401 bands, 200 frames) with a support vector machine, against a CNN on the waveform and one "
    "on mel pictures with the augmentations of photographs.",
    ("ravdess",),
    _run,
    {"full": 2, "quick": 1, "miniature": 1},
    lines=("cnn-1-d-speed-shift-gain", *(_key(("2-D", augment)) for augment in QUICKLY)),
)
