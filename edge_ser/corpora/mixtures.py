"""Sums of sources that are known: pairs of sinusoids, and two speakers at once."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from edge_ser.audio import write_wav
from edge_ser.errors import EdgeSerError
from edge_ser.files import write_atomic

__all__ = [
    "RATE",
    "Sinusoids",
    "mix_speech",
    "pair_speakers",
    "sinusoid_pairs",
    "trim_silence",
    "write_sinusoids",
]

Floats = npt.NDArray[np.float32]

#: Samples a second of mixtures, as in the literature on them.
RATE = 8000


@dataclass(frozen=True)
class Sinusoids:
    """Pairs of sinusoids.

    Attributes
    ----------
    frequencies : ndarray (pairs, 2)
        Hz.
    phases : ndarray (pairs, 2)
        Radians at the first sample.
    waves : ndarray (pairs, 2, samples) float32
        Their sums stay within -1..1.
    """

    frequencies: npt.NDArray[np.float64]
    phases: npt.NDArray[np.float64]
    waves: Floats

    @property
    def mixtures(self) -> Floats:
        """(pairs, samples) float32."""
        return self.waves.sum(1, dtype=np.float32)


def sinusoid_pairs(
    pairs: int = 100,
    *,
    seconds: float = 1.0,
    lowest: float = 100.0,
    highest: float = 3900.0,
    apart: float = 100.0,
    amplitude: float = 0.45,
    seed: int = 0,
) -> Sinusoids:
    """Pairs of sinusoids of random frequency and phase, at `RATE`.

    Parameters
    ----------
    pairs : int
    seconds : float
    lowest, highest : float
        Range of the frequencies in Hz, drawn alike in it.
    apart : float
        Hz between the two of a pair, at least: closer ones beat, and no spectrogram tells them apart.
    amplitude : float
        Of each; their sum must stay within 1.
    seed : int

    Raises
    ------
    EdgeSerError
        A value is out of its range.
    """
    samples = round(seconds * RATE)
    if pairs < 1 or samples < 1 or not 0 < amplitude <= 0.5:
        raise EdgeSerError("sinusoids need at least one pair and one sample, and an amplitude of at most 0.5")
    if not 0 < lowest < highest <= RATE / 2 or not 0 <= apart <= (highest - lowest) / 2:
        raise EdgeSerError(f"no sinusoids from {lowest:g} to {highest:g} Hz that are {apart:g} Hz apart")
    rng = np.random.default_rng(seed)
    frequencies = np.empty((pairs, 2))
    for row in frequencies:
        row[:] = rng.uniform(lowest, highest, 2)
        while abs(row[0] - row[1]) < apart:
            row[:] = rng.uniform(lowest, highest, 2)
    phases = rng.uniform(0, 2 * np.pi, (pairs, 2))
    time = np.arange(samples) / RATE
    waves = amplitude * np.sin(2 * np.pi * frequencies[..., None] * time + phases[..., None])
    return Sinusoids(frequencies, phases, waves.astype(np.float32))


def write_sinusoids(folder: Path, sinusoids: Sinusoids) -> Path:
    """Write pairs and their sums as WAV files, with a table of them.

    Parameters
    ----------
    folder : Path
        Made where it is missing. Gets ``000-mixture.wav``, ``000-source1.wav``, ``000-source2.wav`` and so on, and at
        last ``info.csv`` with the columns ``mixture,source1,source2,f1,f2,phase1,phase2``.

    Returns
    -------
    Path
        The table.
    """
    folder.mkdir(parents=True, exist_ok=True)
    table = io.StringIO(newline="")
    rows = csv.writer(table, lineterminator="\n")
    rows.writerow(["mixture", "source1", "source2", "f1", "f2", "phase1", "phase2"])
    width = max(3, len(str(len(sinusoids.waves) - 1)))
    for i, (waves, mixture) in enumerate(zip(sinusoids.waves, sinusoids.mixtures, strict=True)):
        names = [f"{i:0{width}d}-{what}.wav" for what in ("mixture", "source1", "source2")]
        for name, wave in zip(names, (mixture, *waves), strict=True):
            write_wav(folder / name, wave, RATE)
        values = [*sinusoids.frequencies[i], *sinusoids.phases[i]]
        rows.writerow([*names, *(f"{value:.6f}" for value in values)])
    write_atomic(folder / "info.csv", table.getvalue().encode())
    return folder / "info.csv"


def trim_silence(wave: Floats, rate: int, *, below: float = 40.0, frame_s: float = 0.02) -> Floats:
    """A recording without what is quiet at its two ends.

    Parameters
    ----------
    wave : (n,) float32
    rate : int
    below : float
        dB under the loudest frame that count as quiet.
    frame_s : float
        Seconds of a frame.

    Returns
    -------
    (m,) float32
        Whole frames; all of the recording where it is shorter than one, or silent.
    """
    size = max(1, round(frame_s * rate))
    frames = len(wave) // size
    if frames == 0:
        return wave
    power = (wave[: frames * size].reshape(frames, size).astype(np.float64) ** 2).mean(1)
    if power.max() == 0:
        return wave
    loud = np.flatnonzero(power > power.max() * 10 ** (-below / 10))
    return wave[loud[0] * size : (loud[-1] + 1) * size]


def pair_speakers(speakers: Sequence[str], count: int, seed: int) -> list[tuple[int, int]]:
    """Pairs of recordings of different speakers, drawn at random with repeats.

    Parameters
    ----------
    speakers : sequence of str
        Who speaks in each recording.
    count : int
        Number of pairs.
    seed : int

    Raises
    ------
    EdgeSerError
        Fewer than two speakers.
    """
    names = np.asarray(speakers)
    if len(np.unique(names)) < 2:
        raise EdgeSerError(
            f"mixtures of two speakers need two of them, and there are {len(np.unique(names))}"
        )
    rng = np.random.default_rng(seed)
    pairs: list[tuple[int, int]] = []
    while len(pairs) < count:
        first, second = (int(i) for i in rng.integers(len(names), size=2))
        if names[first] != names[second]:
            pairs.append((first, second))
    return pairs


def mix_speech(
    first: Floats, second: Floats, samples: int, rng: np.random.Generator, *, spread: float = 2.5
) -> Floats:
    """Two recordings to be heard at once: stretches of one length, each of its own level.

    Parameters
    ----------
    first, second : (n,) float32
        Not silent.
    samples : int
        Of the mixture. A longer recording is cut at random, a shorter one set at random into silence.
    rng : Generator
    spread : float
        The first is louder by a random number of dB from minus this to this.

    Returns
    -------
    (2, samples) float32
        The sources as they are in the mixture, which is their sum and stays within -1..1.

    Raises
    ------
    EdgeSerError
        A recording is silent where it was cut.
    """
    sources = np.stack([_placed(wave, samples, rng) for wave in (first, second)]).astype(np.float64)
    levels = np.sqrt((sources**2).mean(1))
    if not levels.all():
        raise EdgeSerError("a recording of a mixture is silent")
    sources /= levels[:, None]
    sources[0] *= 10 ** (rng.uniform(-spread, spread) / 20)
    peak = max(np.abs(sources).max(), np.abs(sources.sum(0)).max())
    return (sources * (0.9 / peak)).astype(np.float32)


def _placed(wave: Floats, samples: int, rng: np.random.Generator) -> Floats:
    spare = len(wave) - samples
    at = int(rng.integers(abs(spare) + 1))
    if spare >= 0:
        return wave[at : at + samples]
    placed = np.zeros(samples, np.float32)
    placed[at : at + len(wave)] = wave
    return placed
