"""Study A: AESDD, five emotions, small CNNs trained one clip at a time."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from edge_ser.audio import SAMPLE_RATE, load_audio
from edge_ser.corpora import Clip, Corpus
from edge_ser.dsp import MelSpec
from edge_ser.dsp.denoise import spectral_gate
from edge_ser.evaluation.class_answers import ClassAnswers
from edge_ser.evaluation.divisions import Division, apart, stratified
from edge_ser.evaluation.drawings import as_svg
from edge_ser.evaluation.portrait import plot_recording
from edge_ser.features.images import mel_image
from edge_ser.perturb.timing import pitch
from edge_ser.studies import Line, Outcome, Part, Section, Study, StudyRun, Unit, line_of
from edge_ser.studies.networks import (
    Labelled,
    confusions,
    course,
    durations,
    learning_curves,
    network_part,
    short_of,
    splits_note,
    splits_reason,
)

__all__ = ["STUDY"]

_SPEC = MelSpec(
    n_fft=2048, win_length=2048, hop_length=512, n_mels=128, fmin=0.0, padding="center", mean=-50.0, scale=20.0
)  # fmt: skip
_WIDTH = 256
_COPIES = 10  # what "ten times larger" is
_CHANCE = 0.6
#: Published lines with random splits of their own besides the first: what one split would leave open.
_SPLIT_AGAIN, _SPLITS = ("3-0.001", "4-0.001", "4-0.0001", "3-0.001-enlarged"), 3


@dataclasses.dataclass(frozen=True)
class _Setting:
    """A line of the table."""

    key: str
    title: str
    layers: int
    lr: float
    published: float | None
    form: str  # "whole", "resized" or "enlarged"


_SETTINGS = (
    _Setting("3-0.01", "3 layers, rate 0.01", 3, 0.01, None, "whole"),
    _Setting("3-0.001", "3 layers, rate 0.001", 3, 0.001, 0.744, "whole"),
    _Setting("3-0.0001", "3 layers, rate 0.0001", 3, 0.0001, 0.661, "whole"),
    _Setting("4-0.01", "4 layers, rate 0.01", 4, 0.01, None, "whole"),
    _Setting("4-0.001", "4 layers, rate 0.001", 4, 0.001, 0.719, "whole"),
    _Setting("4-0.0001", "4 layers, rate 0.0001", 4, 0.0001, 0.678, "whole"),
    _Setting("3-0.001-resized", "3 layers, 128 x 256, rate 0.001", 3, 0.001, 0.554, "resized"),
    _Setting("3-0.0001-resized", "3 layers, 128 x 256, rate 0.0001", 3, 0.0001, 0.537, "resized"),
    _Setting("4-0.001-resized", "4 layers, 128 x 256, rate 0.001", 4, 0.001, 0.628, "resized"),
    _Setting("3-0.001-enlarged", "3 layers, ten times the data", 3, 0.001, 0.703, "enlarged"),
    _Setting("4-0.001-enlarged", "4 layers, ten times the data", 4, 0.001, 0.628, "enlarged"),
)
_QUICKLY = ("3-0.01", "3-0.001", "4-0.001", "3-0.001-resized", "3-0.001-enlarged")
_BY_KEY = {one.key: one for one in _SETTINGS}


def _image(wave: np.ndarray, columns: int | None, version: int) -> np.ndarray:
    """A clip without its noise, as an image; versions above 0 are louder by noise and another pitch, by chance."""
    if version:
        rng = np.random.default_rng([version, len(wave)])
        if rng.random() < _CHANCE:
            wave = pitch(wave, float(rng.uniform(-3, 3)))
        if rng.random() < _CHANCE:
            level = float(np.sqrt(np.mean(wave**2))) * 10 ** (-float(rng.uniform(10, 30)) / 20)
            wave = wave + rng.normal(0, level, len(wave)).astype(np.float32)
    return mel_image(spectral_gate(wave), _SPEC, columns, "pad").astype(np.float16)


def _images(run: StudyRun, clips: Sequence[Clip], columns: int | None, version: int = 0) -> Any:
    what = {"what": "aesdd image", "spec": _SPEC.to_dict(), "columns": columns, "version": version}
    compute = functools.partial(_image, columns=columns, version=version)
    return run.features([clip.path for clip in clips], compute, what, f"images {version}")


def _clips(run: StudyRun) -> tuple[Corpus, list[Clip]]:
    corpus = run.corpus("aesdd")
    clips = [clip for clip in corpus.clips if clip.emotion is not None and clip.fold is not None]
    return corpus, clips[:: run.pick(full=1, quick=1, miniature=max(1, len(clips) // 40))]


def _labelled(corpus: Corpus, clips: Sequence[Clip]) -> Labelled:
    present = tuple(label for label in corpus.labels if any(clip.emotion == label for clip in clips))
    truth = np.array([present.index(clip.emotion or "") for clip in clips])
    return Labelled(present, truth, [clip.speaker for clip in clips], [clip.fold or 0 for clip in clips])


def _division(run: StudyRun, clips: Labelled, protocol: str, fold: int, seed: int) -> Division:
    if protocol == "as-published":
        return stratified(clips.truth, test=0.2, seed=42 + seed)
    return next(one for one in apart(clips.folds, clips.groups) if one.fold == fold)


def _versions(run: StudyRun) -> int:
    return run.pick(full=_COPIES, quick=2, miniature=2)


def _train(
    run: StudyRun,
    *,
    key: str,
    protocol: str,
    fold: int,
    seed: int,
    epochs: int,
    versions: int,
    bfloat16: bool,
) -> Part:
    """One network of a setting on one division."""
    from edge_ser.models import ARCHITECTURES
    from edge_ser.models.mel_cnn import OnImages
    from edge_ser.training.classify import Schedule
    from edge_ser.training.image_augment import MaskAndNoise

    setting = _BY_KEY[key]
    corpus, clips = _clips(run)
    columns = _WIDTH if setting.form == "resized" else None
    made = _images(run, clips, columns)
    kept = [clips[i] for i in made.kept]
    clips_of = _labelled(corpus, kept)
    division = _division(run, clips_of, protocol, fold, seed)
    images: list[np.ndarray] = made.values
    augment = None
    if setting.form == "enlarged":
        # Version k of clip i stands at k * n + i; the test has the clips themselves.
        n = len(kept)
        for version in range(1, versions):
            more = _images(run, kept, columns, version)
            images = images + more.values
        clips_of = Labelled(
            clips_of.labels,
            np.tile(clips_of.truth, versions),
            list(clips_of.groups) * versions,
            list(clips_of.folds) * versions,
        )
        train = np.concatenate([division.train + k * n for k in range(versions)])
        division = dataclasses.replace(division, train=train)
        augment = MaskAndNoise(probability=_CHANCE, bands=20, frames=20)
    row = ARCHITECTURES[f"pooled-cnn-{setting.layers}"]
    schedule = Schedule(
        epochs=epochs,
        batch=8 if setting.form == "resized" else 1,
        lr=setting.lr,
        bfloat16=bfloat16,
        keep="best" if protocol == "as-published" else "last",
    )
    return network_part(
        run,
        f"{key} {protocol}",
        lambda: OnImages(row.model(row.config(labels=clips_of.labels))),  # type: ignore[arg-type]
        [images],
        clips_of,
        division,
        schedule,
        seed=seed,
        augment=augment,
        fill=-2.5,
        choose_on_test=protocol == "as-published",
        may_diverge=True,
        epochs=epochs,
        setting=key,
    )


def _epochs(run: StudyRun, setting: _Setting, protocol: str) -> int:
    """As many as three hours on two cores leave: each speaker is a fold honestly, so those networks get a third."""
    honest, run = protocol == "honest", run.at(setting.key)
    if setting.form == "enlarged":  # an epoch of ten versions of each clip
        return run.pick(full=4 if honest else 10, quick=1, miniature=1)
    if setting.lr == 0.01:  # published as diverging, which few epochs show
        return run.pick(full=20, quick=5, miniature=1)
    resized = setting.form == "resized"
    most = (60 if setting.lr == 0.001 else 240) if resized else 120 if setting.layers == 3 else 60
    return run.pick(full=most // 3 if honest else most, quick=2 if resized else 5, miniature=1)


def _seeds(run: StudyRun, setting: _Setting, protocol: str) -> Sequence[int]:
    """Each is a random split of its own as published."""
    more = _SPLITS if run.at(setting.key).scale == "full" and setting.key in _SPLIT_AGAIN else 1
    return range(max(len(run.seeds), more)) if protocol == "as-published" else run.seeds


def _run(run: StudyRun) -> Outcome:
    corpus, clips = _clips(run)
    made = _images(run, clips, None)
    kept = [clips[i] for i in made.kept]
    whole = _labelled(corpus, kept)
    folds = sorted(set(whole.folds))[: run.pick(full=99, quick=1, miniature=2)]
    quickly = tuple(one for one in _SETTINGS if one.key in (*_QUICKLY, *run.full))
    settings = run.pick(full=_SETTINGS, quick=quickly, miniature=_SETTINGS[1::4])
    _images(run, kept, _WIDTH)
    enlarged = [_versions(run.at(one.key)) for one in settings if one.form == "enlarged"]
    for version in range(1, max(enlarged, default=1)):
        _images(run, kept, None, version)
    asked = [
        (setting.key, protocol, fold, seed)
        for setting in settings
        for protocol in run.protocols
        for fold in (folds if protocol == "honest" else [0])
        for seed in _seeds(run, setting, protocol)
    ]
    units = [
        Unit(
            f"{key} {protocol} {fold} {seed}",
            _train,
            {
                "key": key,
                "protocol": protocol,
                "fold": fold,
                "seed": seed,
                "epochs": _epochs(run, _BY_KEY[key], protocol),
                "versions": _versions(run.at(key)) if _BY_KEY[key].form == "enlarged" else 1,
                "bfloat16": run.at(key).scale != "quick",  # half as fast again is worth it in full
            },
            run.at(key).scale,
        )
        for key, protocol, fold, seed in asked
    ]
    parts = dict(zip(asked, run.parts(units, "networks"), strict=True))
    answers = {
        setting.key: {
            protocol: ClassAnswers.joined(
                [
                    ClassAnswers.of_part(part)
                    for (key, p, _, _), part in parts.items()
                    if (key, p) == (setting.key, protocol)
                ]
            )
            for protocol in run.protocols
        }
        for setting in settings
    }
    first = {key: part for (key, p, fold, seed), part in reversed(parts.items()) if p == run.protocols[0]}
    lines = [_line(run, setting, answers[setting.key], first[setting.key]) for setting in settings]
    reasons = {}
    for one in settings if "as-published" in run.protocols else ():
        why = (
            splits_reason(answers[one.key]["as-published"], one.published),
            _course(run, one, first[one.key]),
        )
        reasons[one.key] = "; ".join(filter(None, why))
    absent = [
        Line(one.key, one.title, one.published, note="not run where it is quick")
        for one in _SETTINGS
        if run.scale == "quick" and one not in settings
    ]
    return Outcome(
        [*lines, *absent],
        findings=_findings(run, lines, reasons, answers),
        sections=_sections(kept, whole, answers, first),
        data=f"AESDD: {len(kept)} clips of {len(set(whole.groups))} speakers, {len(whole.labels)} emotions",
        protocols={
            "as-published": "a random fifth is tested and the best epoch is chosen on it; speakers stand on both "
            "sides: it LEAKS twice",
            "honest": f"each speaker is tested by a network that never heard them ({len(folds)} of "
            f"{len(set(whole.folds))} speakers), last epoch",
        },
        left_out=[*corpus.left_out, *made.left_out],
    )


def _line(run: StudyRun, setting: _Setting, answers: Mapping[str, ClassAnswers], part: Part) -> Line:
    epochs = {p: _epochs(run, setting, p) for p in run.protocols}
    notes = [
        f"{' and '.join(map(str, dict.fromkeys(epochs.values())))} epochs (published: up to 300 to 1000)"
    ]
    if setting.form == "enlarged":
        notes[0] += f" of {_versions(run.at(setting.key))} versions of each clip"
    if "as-published" in epochs:
        notes.append(f"as published {_course(run, setting, part)}")
        notes += filter(None, [splits_note(answers["as-published"])])
    notes.append(f"{part['parameters']} parameters")
    return line_of(setting.key, setting.title, answers, published=setting.published, note=", ".join(notes))


def _course(run: StudyRun, setting: _Setting, part: Part) -> str:
    if part["diverged"]:
        return "diverged"
    return course(part["records"], _epochs(run, setting, "as-published"), part["epoch"])


def _findings(
    run: StudyRun,
    lines: Sequence[Line],
    reasons: Mapping[str, str],
    answers: Mapping[str, Mapping[str, ClassAnswers]],
) -> list[str]:
    told = []
    labels = next(iter(next(iter(answers.values())).values())).labels
    shorter = any(
        _epochs(run, one, "honest") < _epochs(run, one, "as-published")
        for one in map(_BY_KEY.get, answers)
        if one
    )
    gaps = [line.gap for line in lines if line.gap is not None]
    if gaps:
        worth = f"{min(gaps):+.3f} to {max(gaps):+.3f}"
        told.append(
            f"The random split and the choice of the best epoch on the test are worth {np.mean(gaps):+.3f} on average "
            f"({worth} by setting)"
            + (
                ", of which some is length: honest fits had fewer epochs."
                if shorter
                else ": that much of the figures as published is knowing the speaker."
            )
            if np.mean(gaps) > 0.03
            else f"As published and honest figures differ by {np.mean(gaps):+.3f} on average ({worth} by setting): "
            "at this length of training the split is not what decides."
        )
    honest = [line for line in lines if line.honest is not None]
    if honest:
        best = max(honest, key=lambda line: line.honest.value if line.honest else 0.0)
        assert best.honest is not None
        ends = best.honest.ci95
        interval = f", 95 % over speakers {ends[0]:.3f} to {ends[1]:.3f}" if ends else ""
        told.append(
            f"Of speakers it never heard the best network ({best.title}) gets {best.honest.value:.3f} right{interval}; "
            f"chance is {1 / len(labels):.3f}."
        )
    if reached := short_of(lines, reasons):
        told.append(reached)
    by_key = {line.key: line for line in lines}
    for rate in ("3-0.01", "4-0.01"):
        line = by_key.get(rate)
        figure = line and (line.as_published or line.honest)
        if line and figure:
            stuck = figure.value < 1.5 / len(labels)
            told.append(f"At the rate of 0.01 {line.title.split(',')[0]} "
                        + ("learn nothing: the loss stays where it was." if stuck
                           else f"still reach {figure.value:.3f}, though published as diverging."))  # fmt: skip
    for form, what in (
        ("resized", "Bringing every clip to one width"),
        ("enlarged", "Ten times the data by noise, pitch and masks"),
    ):
        one, other = by_key.get("3-0.001"), by_key.get(f"3-0.001-{form}")
        if one and other and one.honest and other.honest and run.alike(one.key, other.key):
            change = other.honest.value - one.honest.value
            told.append(f"{what} changes the honest figure of 3 layers by {change:+.3f}.")
    return told


def _sections(
    clips: Sequence[Clip],
    whole: Labelled,
    answers: Mapping[str, Mapping[str, ClassAnswers]],
    parts: Mapping[str, Part],
) -> list[Section]:
    honest = {key: one["honest"] for key, one in answers.items() if "honest" in one}
    shown = honest or {key: next(iter(one.values())) for key, one in answers.items()}
    best = max(shown, key=lambda key: shown[key].figure(interval=False).value)
    waves = {label: load_audio(next(c.path for c in clips if c.emotion == label)) for label in whole.labels}
    draw = functools.partial(plot_recording, what=["waveform", "mel"], n_fft=2048, hop_length=512)
    named = "a clip, {}: waveform, and mel spectrogram without its noise"
    portraits = {
        named.format(label): as_svg(draw, spectral_gate(wave), title=label) for label, wave in waves.items()
    }
    recalls = [
        {"emotion": label, **{key: one.recalls()[label] for key, one in shown.items()}}
        for label in whole.labels
    ]
    return [
        confusions({f"{_BY_KEY[best].title}, {'honest' if honest else 'as published'}": shown[best]}),
        Section("Recall of each emotion", "honest" if honest else "as published", rows=recalls),
        learning_curves({_BY_KEY[key].title: part["records"] for key, part in parts.items()}),
        durations([len(load_audio(clip.path)) / SAMPLE_RATE for clip in clips]),
        Section("A clip of each emotion", "", portraits),
    ]


STUDY = Study(
    "aesdd",
    "A",
    "AESDD: five emotions, small CNNs, one clip at a time",
    "Published: noise reduced, mel spectrograms of 128 bands (n_fft 2048, hop 512, dB), CNNs of three and four layers "
    "with dropout 0.25 and adaptive pooling, a batch of one clip, learning rates 0.01, 0.001 and 0.0001, up to 300 to "
    "1000 epochs; all clips at 128 x 256 in batches of 8; and data ten times larger by noise, pitch shift and masks "
    "over bands and time, each with probability 0.6. Random split.",
    ("aesdd",),
    _run,
    {"full": 1, "quick": 1, "miniature": 1},
    lines=tuple(_BY_KEY),
)
