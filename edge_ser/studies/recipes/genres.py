"""Study G: what spectrograms show of four styles of music, checked by figures."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from edge_ser.audio import load_audio
from edge_ser.corpora import SoundCollection, load_classes
from edge_ser.corpora.music import write_styles
from edge_ser.dsp.reading import Reading, read_spectrogram
from edge_ser.evaluation.class_answers import ClassAnswers, Figure
from edge_ser.studies import Line, Outcome, Section, Study, StudyRun
from edge_ser.studies.run import check_classes


class _Expectation(NamedTuple):
    """What is said of a style, and when a reading bears it out."""

    genre: str
    said: str
    test: str
    holds: Callable[[Reading], bool]
    band: tuple[float, float]


def _dense(r: Reading) -> bool:
    return r.share(512, 8192) >= 0.4 and r.filled(512, 8192) >= 0.9


def _low_and_wide(r: Reading) -> bool:
    return r.share(64, 1024) >= 0.8 and r.dynamic_range >= 20


def _bursts(r: Reading) -> bool:
    return min(r.octaves[2:]) >= 0.01 and float(np.median(r.bursts[2:])) >= 10 and r.filled(128, 8192) <= 0.9


def _bass_and_beat(r: Reading) -> bool:
    return r.share(64, 256) >= 0.5 and r.periodicity >= 0.7


EXPECTATIONS = (
    _Expectation(
        "rock",
        "dense from 512 to 8192 Hz",
        "four tenths of the energy between 512 and 8192 Hz, and these octaves within 30 dB of the loudest "
        "in nine tenths of the time",
        _dense,
        (512, 8192),
    ),
    _Expectation(
        "classical",
        "from 64 to 1024 Hz with wide dynamics",
        "eight tenths of the energy between 64 and 1024 Hz, and a dynamic range of 20 dB",
        _low_and_wide,
        (64, 1024),
    ),
    _Expectation(
        "jazz",
        "bursts from 128 to 8192 Hz",
        "a hundredth of the energy in each octave from 128 to 8192 Hz, whose loud moments are 10 dB over the "
        "median in the median octave, and pauses between them",
        _bursts,
        (128, 8192),
    ),
    _Expectation(
        "hip-hop",
        "from 64 to 256 Hz with a strong periodicity",
        "half of the energy between 64 and 256 Hz, and onsets there that correlate at 0.7 with those a period before",
        _bass_and_beat,
        (64, 256),
    ),
)


def _vector(wave: np.ndarray) -> np.ndarray:
    return read_spectrogram(wave).to_vector()


def _clips(run: StudyRun) -> tuple[SoundCollection, str]:
    """The user's folder, or clips that are synthesised."""
    if run.data is not None:
        sounds = load_classes(run.data)
        check_classes(sounds.name, sounds.labels)
        return sounds, f"the folder {run.data}"
    clips = run.pick(full=12, quick=6, miniature=2)
    duration = run.pick(full=20.0, quick=10.0, miniature=6.0)  # two bars at least
    folder = write_styles(run.folder / "clips", clips, duration)
    return load_classes(
        folder
    ), f"{clips} clips of {duration:g} s a style, synthesised by edge_ser.corpora.music"


def _run(run: StudyRun) -> Outcome:
    sounds, data = _clips(run)
    made = run.features(
        [s.path for s in sounds.sounds], _vector, {"what": "reading of a spectrogram"}, "readings"
    )
    kept = [sounds.sounds[i] for i in made.kept]
    readings = {
        genre: [Reading.of_vector(v) for s, v in zip(kept, made.values, strict=True) if s.label == genre]
        for genre in sounds.labels
    }
    readings = {genre: found for genre, found in readings.items() if found}
    checks = [one for one in EXPECTATIONS if one.genre in readings]
    lines = [_checked(one, readings, run.protocols) for one in checks]
    told = _told_apart([str(s.label) for s in kept], np.array(made.values))
    if told is not None and "honest" in run.protocols:
        lines.append(told)
    if not lines:
        lines.append(Line("clips", "clips that were read", None, None, Figure(float(len(kept))), "clips"))
    first = {genre: next(s.path for s in kept if s.label == genre) for genre in readings}
    return Outcome(
        lines,
        findings=_findings(checks, readings, told, run.data is None),
        sections=[
            Section("What was expected", "A reading bears an expectation out where both halves of it hold.",
                    rows=[_expected(one, readings) for one in checks]),
            Section("Readings", "Means over the clips of a genre.", rows=_read(readings)),
            Section("Energy by octave", pictures={"energy by octave": _shares(readings)}),
            Section("One clip of each genre", "Dashed: the band that is expected of it.",
                    {"spectrograms": _pictures({g: load_audio(p) for g, p in first.items()})}),
        ],
        data=f"{data}; {len(kept)} clips of {len(readings)} genres",
        protocols={
            "as-published": "the first clip of each genre is looked at, and generalised from",
            "honest": "every clip is read, and clips of other genres too: an expectation that all music meets says "
            "nothing",
        },
        left_out=[*sounds.left_out, *made.left_out],
        leak="",
    )  # fmt: skip


def _checked(one: _Expectation, readings: Mapping[str, Sequence[Reading]], protocols: Sequence[str]) -> Line:
    held = np.array([one.holds(r) for r in readings[one.genre]], float)
    return Line(
        one.genre,
        f"{one.genre}: {one.said}",
        as_published=Figure(held[0], n=1) if "as-published" in protocols else None,
        honest=Figure(float(held.mean()), n=len(held)) if "honest" in protocols else None,
        metric="share of clips that bear it out",
    )


def _others(one: _Expectation, readings: Mapping[str, Sequence[Reading]]) -> float | None:
    """Share of the other genres' clips that meet an expectation as well."""
    rest = [one.holds(r) for genre, found in readings.items() if genre != one.genre for r in found]
    return float(np.mean(rest)) if rest else None


def _told_apart(genres: Sequence[str], values: np.ndarray) -> Line | None:
    """Each clip given to the genre whose other clips' mean is nearest; None where a genre has one clip."""
    labels = sorted(set(genres))
    truth = np.array([labels.index(g) for g in genres])
    if len(labels) < 2 or np.bincount(truth).min() < 2:
        return None
    spread = values.std(axis=0)
    scaled = (values - values.mean(axis=0)) / np.where(spread > 0, spread, 1.0)
    scores = np.zeros((len(truth), len(labels)))
    for i in range(len(truth)):
        for k in range(len(labels)):
            own = (truth == k) & (np.arange(len(truth)) != i)
            scores[i, k] = -np.linalg.norm(scaled[i] - scaled[own].mean(axis=0))
    answers = ClassAnswers.of(labels, truth, scores, [str(i) for i in range(len(truth))])
    return Line(
        "told-apart",
        "genres told apart by the nearest mean reading, one clip left out at a time",
        honest=answers.figure("accuracy"),
    )


def _expected(one: _Expectation, readings: Mapping[str, Sequence[Reading]]) -> dict[str, Any]:
    return {
        "genre": one.genre,
        "expected": one.said,
        "a reading bears it out with at least": one.test,
        "of its clips": float(np.mean([one.holds(r) for r in readings[one.genre]])),
        "of other genres' clips": _others(one, readings),
    }


#: What a table shows of readings.
SHOWN: Mapping[str, Callable[[Reading], float]] = {
    "share of the energy, 64-256 Hz": lambda r: r.share(64, 256),
    "share of the energy, 64-1024 Hz": lambda r: r.share(64, 1024),
    "share of the energy, 512-8192 Hz": lambda r: r.share(512, 8192),
    "share of the time that 512-8192 Hz is filled": lambda r: r.filled(512, 8192),
    "bursts, 128-8192 Hz, dB": lambda r: float(np.median(r.bursts[2:])),
    "centroid, Hz": lambda r: r.centroid,
    "flatness": lambda r: r.flatness,
    "dynamic range, dB": lambda r: r.dynamic_range,
    "onsets a second": lambda r: r.onsets,
    "tempo, beats a minute": lambda r: r.tempo,
    "periodicity, 64-256 Hz": lambda r: r.periodicity,
    "its period, s": lambda r: r.period,
}


def _read(readings: Mapping[str, Sequence[Reading]]) -> list[dict[str, Any]]:
    return [
        {"reading": name}
        | {genre: float(np.mean([value(r) for r in found])) for genre, found in readings.items()}
        for name, value in SHOWN.items()
    ]


def _findings(
    checks: Sequence[_Expectation],
    readings: Mapping[str, Sequence[Reading]],
    told: Line | None,
    synthetic: bool,
) -> list[str]:
    found = []
    for one in checks:
        own = float(np.mean([one.holds(r) for r in readings[one.genre]]))
        others = _others(one, readings)
        verdict = (
            "borne out"
            if own == 1
            else "not borne out"
            if own == 0
            else f"borne out by {own:.0%} of its clips"
        )
        aside = ""
        if others is not None:
            aside = (
                ", by no other genre's"
                if others == 0
                else f", and by {others:.0%} of the other genres' clips too"
            )
        found.append(f"{one.genre.capitalize()}, {one.said}: {verdict}{aside}.")
    widest = max(readings, key=lambda g: float(np.mean([r.dynamic_range for r in readings[g]])))
    steady = max(readings, key=lambda g: float(np.mean([r.periodicity for r in readings[g]])))
    found.append(
        f"The widest dynamics are those of {widest}, the most periodic low band is that of {steady}"
        + ("" if steady == "hip-hop" or "hip-hop" not in readings else
           ": periodicity alone does not mark hip-hop, its energy between 64 and 256 Hz does")
        + "."
    )  # fmt: skip
    if told is not None and told.honest is not None:
        found.append(
            f"The reading's 31 numbers tell {told.honest.value:.0%} of the clips' genres, at {1 / len(readings):.0%} "
            "by chance."
        )
    if synthetic:
        found.append(
            "These clips were made to have the properties that were then read off them: the study shows that the "
            "reading measures what its names say, and nothing about music. Give a folder of recordings with --data."
        )
    return found


def _shares(readings: Mapping[str, Sequence[Reading]]) -> bytes:
    from edge_ser.evaluation.drawings import as_svg
    from edge_ser.evaluation.spectra import plot_octave_shares

    return as_svg(
        plot_octave_shares, {g: np.mean([r.octaves for r in found], axis=0) for g, found in readings.items()}
    )


def _pictures(waves: Mapping[str, np.ndarray]) -> bytes:
    from edge_ser.evaluation.drawings import as_svg
    from edge_ser.evaluation.spectra import plot_octave_clips

    bands = {one.genre: one.band for one in EXPECTATIONS}
    return as_svg(plot_octave_clips, {g: w[: 10 * 16000] for g, w in waves.items()}, bands)


STUDY = Study(
    "genres",
    "G",
    "Spectrograms of rock, classical, jazz and hip-hop",
    "Spectrograms of four genres were compared by eye: rock dense from 512 to 8192 Hz, classical music from 64 to 1024 "
    "Hz with wide dynamics, jazz in bursts from 128 to 8192 Hz, hip-hop from 64 to 256 Hz with a strong periodicity. "
    "Here each expectation is a rule on measured numbers. --data takes a folder with one of recordings for each genre.",
    (),
    _run,
    {"full": 1, "quick": 1, "miniature": 1},
)
