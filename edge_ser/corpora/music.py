"""Clips in the manner of four styles of music, synthesised: what a reading of spectrograms can be tried on.

They are sketches of what textbooks say of a style (instruments, register, dynamics, rhythm), not music, and prove
nothing about any: they have the properties that they were given.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt

from edge_ser.audio import SAMPLE_RATE, wav_bytes
from edge_ser.errors import EdgeSerError
from edge_ser.files import write_atomic

__all__ = ["STYLES", "synthesise", "write_styles"]

Wave = npt.NDArray[np.float64]

_LEAST_S = 4.0  # two bars of the slowest style
_PEAK = 0.9
_MAJOR = np.array([0, 2, 4, 5, 7, 9, 11])
_BLUES = np.array([0, 3, 5, 6, 7, 10])


def _hz(note: float) -> float:
    """Frequency of a MIDI note."""
    return 440.0 * 2 ** ((note - 69) / 12)


def _seconds(duration: float) -> Wave:
    return np.arange(max(1, int(duration * SAMPLE_RATE))) / SAMPLE_RATE


def _add(track: Wave, at: float, sound: Wave, gain: float = 1.0) -> None:
    """Mix a sound in from second `at`; what is beyond the end is cut."""
    start = int(at * SAMPLE_RATE)
    room = track[start : start + len(sound)]
    room += gain * sound[: len(room)]


def _tone(
    hz: float, duration: float, *, fall: float, decay: float, attack: float = 0.01, vibrato: float = 0.0
) -> Wave:
    """Partials up to 7.6 kHz whose amplitudes fall as ``1 / k ** fall``, dying with the time constant `decay` s."""
    t = _seconds(duration)
    phase = 2 * np.pi * hz * t + vibrato * np.sin(2 * np.pi * 5.5 * t)
    partials = range(1, max(1, int(7600 / hz)) + 1)
    sound = np.sum([np.sin(k * phase) / k**fall for k in partials], axis=0)
    shape = np.minimum(t / attack, 1.0) * np.exp(-t / decay) * np.minimum((t[-1] - t) / 0.01, 1.0)
    return sound * shape


def _coloured(sound: Wave, low: float, high: float) -> Wave:
    """Only what lies between two frequencies, with soft edges."""
    spectrum = np.fft.rfft(sound)
    hz = np.fft.rfftfreq(len(sound), 1 / SAMPLE_RATE)
    hz[0] = hz[1] if len(hz) > 1 else 1.0
    gain = 1 / np.sqrt(1 + (low / hz) ** 8) / np.sqrt(1 + (hz / high) ** 8)
    return np.fft.irfft(spectrum * gain, len(sound))


def _kick(low: float = 50.0, high: float = 160.0, decay: float = 0.12) -> Wave:
    t = _seconds(4 * decay)
    return np.sin(2 * np.pi * (low * t + (high - low) * 0.03 * (1 - np.exp(-t / 0.03)))) * np.exp(-t / decay)


def _hit(rng: np.random.Generator, low: float, high: float, decay: float) -> Wave:
    """A burst of noise: a snare, a clap, a cymbal."""
    t = _seconds(5 * decay)
    sound = _coloured(rng.standard_normal(len(t)), low, high) * np.exp(-t / decay)
    return sound / np.abs(sound).max()


def _rock(duration: float, rng: np.random.Generator) -> Wave:
    """Distorted chords without a pause, hi-hat in eighths, snare on two and four: loud throughout."""
    track = np.zeros(int(duration * SAMPLE_RATE))
    beat = 60 / rng.uniform(118, 150)
    root = 40 + int(rng.integers(0, 6))
    guitar = np.zeros_like(track)
    for k, at in enumerate(np.arange(0, duration, beat / 2)):
        note = root + (0, 0, 5, 7, 3, 3, 5, 7)[(k // 8) % 8]
        for interval in (0, 7, 12):
            _add(guitar, at, _tone(_hz(note + interval), beat / 2, fall=0.7, decay=0.5, attack=0.004))
    guitar = np.tanh(4 * guitar / np.abs(guitar).max())
    track += 0.8 * _coloured(guitar, 300, 6500)
    for k, at in enumerate(np.arange(0, duration, beat / 2)):
        _add(track, at, _hit(rng, 3000, 7800, 0.09), 0.55)
        if k % 4 == 2:
            _add(track, at, _hit(rng, 500, 6000, 0.10), 0.9)
        if k % 4 == 0:
            _add(track, at, _kick(), 0.6)
    return track


def _classical(duration: float, rng: np.random.Generator) -> Wave:
    """Bowed chords and a melody that swell from very soft to loud and back; hardly anything above 1 kHz."""
    track = np.zeros(int(duration * SAMPLE_RATE))
    key = 48 + int(rng.integers(0, 7))
    step = rng.uniform(0.5, 0.8)
    for k, at in enumerate(np.arange(0, duration, step)):
        if k % 4 == 0:
            degree = (0, 3, 4, 0)[(k // 4) % 4]
            for third in (0, 2, 4):
                note = key - 12 + _MAJOR[(degree + third) % 7] + 12 * ((degree + third) // 7)
                _add(
                    track,
                    at,
                    _tone(_hz(note), 4.4 * step, fall=2.0, decay=6.0, attack=0.25, vibrato=0.02),
                    0.7,
                )
        note = key + 12 + _MAJOR[rng.integers(0, 7)]
        _add(track, at, _tone(_hz(note), 1.2 * step, fall=2.4, decay=1.5, attack=0.08, vibrato=0.03))
    swell = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(len(track)) / len(track) * max(1, round(duration / 8)))
    return track * 10 ** (-34 * (1 - swell) / 20)


def _jazz(duration: float, rng: np.random.Generator) -> Wave:
    """A walking bass and swung ride under phrases of a bright horn, with rests between them."""
    track = np.zeros(int(duration * SAMPLE_RATE))
    beat = 60 / rng.uniform(150, 190)
    root = 41 + int(rng.integers(0, 6))
    note, at = root + 24.0, 0.0
    for start in np.arange(0, duration, beat):
        walk = root + _BLUES[rng.integers(0, len(_BLUES))]
        _add(track, start, _tone(_hz(walk), beat, fall=1.6, decay=0.25), 0.35)
        _add(track, start, _hit(rng, 3500, 7800, 0.04), 0.04)
        _add(track, start + 0.66 * beat, _hit(rng, 3500, 7800, 0.03), 0.02)
    while at < duration:
        for _ in range(rng.integers(2, 6)):  # a phrase
            length = beat * rng.choice([0.33, 0.66, 1.0])
            note = root + 24 + _BLUES[rng.integers(0, len(_BLUES))] + 12 * rng.integers(0, 2)
            horn = _tone(_hz(note), length, fall=0.9, decay=0.5, attack=0.015, vibrato=0.05)
            _add(track, at, horn, rng.uniform(0.3, 0.8))
            if rng.random() < 0.3:
                _add(track, at, _hit(rng, 150, 7000, 0.05), 0.7)
            at += length
        at += beat * rng.choice([2.0, 3.0, 4.0])  # a rest
    return track


def _hip_hop(duration: float, rng: np.random.Generator) -> Wave:
    """One bar in a loop: a long low drum and bass, claps and soft hats above them."""
    beat = 60 / rng.uniform(84, 98)
    bar = np.zeros(int(4 * beat * SAMPLE_RATE))
    low = _hz(31 + int(rng.integers(0, 4))) * 2  # 98 to 117 Hz
    for place in (0.0, 0.75, 1.5, 2.5):
        _add(bar, place * beat, _kick(low, 3 * low, 0.16), 1.0)
    for place in (0.0, 2.5):
        _add(bar, place * beat, _tone(low, 1.2 * beat, fall=2.5, decay=0.6), 0.5)
    for place in (1.0, 3.0):
        _add(bar, place * beat, _hit(rng, 700, 5000, 0.05), 0.35)
    for place in np.arange(0, 4, 0.5):
        _add(bar, place * beat, _hit(rng, 5000, 7800, 0.015), 0.08)
    return np.tile(bar, int(np.ceil(duration * SAMPLE_RATE / len(bar))))[: int(duration * SAMPLE_RATE)]


#: Name of a style to what plays it.
STYLES: Mapping[str, Callable[[float, np.random.Generator], Wave]] = {
    "classical": _classical,
    "hip-hop": _hip_hop,
    "jazz": _jazz,
    "rock": _rock,
}


def synthesise(style: str, duration: float = 10.0, seed: int = 0) -> npt.NDArray[np.float32]:
    """A clip in the manner of a style; another seed is another tempo, key and sequence of notes.

    Parameters
    ----------
    style : str
        Of `STYLES`.
    duration : float
        Seconds, at least 4.
    seed : int

    Returns
    -------
    (n,) float32
        16 kHz, its peak at 0.9.

    Raises
    ------
    EdgeSerError
        Unknown style, or too short.
    """
    if style not in STYLES:
        raise EdgeSerError(f"there is no style {style!r}; there are {', '.join(STYLES)}")
    if not duration >= _LEAST_S:
        raise EdgeSerError(f"a clip of music lasts at least {_LEAST_S:g} s, not {duration:g}")
    track = STYLES[style](duration, np.random.default_rng([seed, list(STYLES).index(style)]))
    return (track * (_PEAK / np.abs(track).max())).astype(np.float32)


def write_styles(folder: str | Path, clips: int = 4, duration: float = 10.0) -> Path:
    """Write clips of every style as ``STYLE/NUMBER.wav``.

    Parameters
    ----------
    folder : path
        Made if it is not there; files of those names are replaced.
    clips : int
        Of each style, of the seeds 0 to ``clips - 1``.
    duration : float
        Seconds of each.

    Returns
    -------
    Path
        The folder, as `edge_ser.corpora.load_classes` reads it.
    """
    target = Path(folder)
    for style in STYLES:
        (target / style).mkdir(parents=True, exist_ok=True)
        for seed in range(clips):
            write_atomic(target / style / f"{seed:02d}.wav", wav_bytes(synthesise(style, duration, seed)))
    return target
