"""What somebody who listens really gets: how soon an answer stands, how often it flips, how late ratings are."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edge_ser.audio import SAMPLE_RATE, load_audio
from edge_ser.corpora import ADV, Clip, Corpus
from edge_ser.errors import EdgeSerError
from edge_ser.evaluation.answers import Exclusion
from edge_ser.evaluation.evaluate import Device
from edge_ser.evaluation.folds import lowest_seed
from edge_ser.perturb import add_noise, pink_noise
from edge_ser.recognizer import Recognizer
from firmware_py.prediction import Prediction
from firmware_py.steady import Steady

__all__ = ["Joined", "Turn", "by_speaker", "joined", "joined_by_fold", "stream_quality"]

Floats = npt.NDArray[np.float32]
Progress = Callable[[Iterable[Any]], Iterable[Any]]

_STABLE_S = 1.5  # the limit for a label to stand
_TURNS = 10  # clips of a recording
_LOUD_DB = 30.0  # speech reaches from the first to the last 20 ms within so much of the loudest
_HOP = SAMPLE_RATE // 50


@dataclasses.dataclass(frozen=True)
class Turn:
    """Where a clip's speech lies in a joined recording, in samples: from its first to its last loud 20 ms."""

    clip: Clip
    start: int
    end: int


@dataclasses.dataclass(frozen=True)
class Joined:
    """Clips one after another with pauses between them, over a steady noise; and those that have no turn."""

    wave: Floats
    turns: tuple[Turn, ...]
    excluded: tuple[Exclusion, ...] = ()


def joined(
    clips: Sequence[Clip],
    *,
    pause_s: tuple[float, float] = (1.0, 3.0),
    snr_db: float = 30.0,
    seed: int = 0,
) -> Joined:
    """Join clips into one recording.

    Parameters
    ----------
    clips : sequence of Clip
        In the order of their turns; those that cannot be read, are silent or shorter than half a second have none.
    pause_s : (float, float)
        Seconds between turns, drawn evenly.
    snr_db : float
        Power of the clips over that of the pink noise beneath.
    seed : int

    Returns
    -------
    Joined
        A second of silence where no clip has a turn.
    """
    rng = np.random.default_rng(seed)
    pieces: list[Floats] = [np.zeros(SAMPLE_RATE, np.float32)]
    turns, excluded = [], []
    at = SAMPLE_RATE
    for clip in clips:
        try:
            wave = _sound(clip.path)
        except EdgeSerError as error:
            excluded.append(Exclusion(str(clip.path), str(error)))
            continue
        first, last = _speech(wave)
        turns.append(Turn(clip, at + first, at + last))
        pause = np.zeros(int(rng.uniform(*pause_s) * SAMPLE_RATE), np.float32)
        pieces += [wave, pause]
        at += len(wave) + len(pause)
    whole = np.concatenate(pieces)
    noisy = add_noise(whole, pink_noise(len(whole), rng), snr_db, rng)
    return Joined(noisy, tuple(turns), tuple(excluded))


def _sound(path: Path) -> Floats:
    """A clip that can be a turn; an `EdgeSerError` where it is too short or silent."""
    wave = load_audio(path)
    if len(wave) < SAMPLE_RATE // 2:
        raise EdgeSerError(f"{path} is shorter than half a second, too short for a turn")
    if not np.any(wave):
        raise EdgeSerError(f"{path} is silent")
    return wave


def by_speaker(clips: Sequence[Clip]) -> Iterator[list[Clip]]:
    """Up to ten clips of one speaker each, in an order that mixes emotions."""
    for speaker in sorted({clip.speaker for clip in clips}):
        mine = sorted((c for c in clips if c.speaker == speaker), key=lambda clip: clip.path.name[::-1])
        yield from (mine[i : i + _TURNS] for i in range(0, len(mine), _TURNS))


def joined_by_fold(
    folder: Path, corpus: Corpus, clips: Sequence[Clip], device: Device
) -> Iterator[tuple[Recognizer, Joined]]:
    """Clips of each fold joined, beside the fold's own model (of the lowest seed) in the form of a device.

    Raises
    ------
    EdgeSerError
        No checkpoints, or a fold without one.
    """
    for fold, path in lowest_seed(folder, sorted({c.fold for c in clips if c.fold is not None})).items():
        train, _ = corpus.split(fold)
        with device(path, train) as recognizer:
            mine = [clip for clip in clips if clip.fold == fold]
            for i, part in enumerate(by_speaker(mine)):
                yield recognizer, joined(part, seed=100 * fold + i)


def _speech(wave: Floats) -> tuple[int, int]:
    """First and last sample of what is within `_LOUD_DB` of the loudest 20 ms."""
    power = np.square(wave[: len(wave) // _HOP * _HOP].reshape(-1, _HOP).astype(np.float64)).mean(1)
    loud = np.flatnonzero(power >= power.max() * 10 ** (-_LOUD_DB / 10))
    return int(loud[0]) * _HOP, (int(loud[-1]) + 1) * _HOP


def stream_quality(
    recordings: Iterable[tuple[Recognizer, Joined]],
    labels: Sequence[str],
    progress: Progress = iter,
    shown: Callable[[], Steady] = Steady,
    adapt: bool = False,
) -> dict[str, Any]:
    """Figures of recordings heard as a device hears them.

    Parameters
    ----------
    recordings : iterable of (Recognizer, Joined)
        Each with the model that is to hear it.
    labels : sequence of str
        The corpus's emotions; answers are taken among them.
    progress : callable, optional
        Wraps the recordings.
    shown : callable, optional
        Makes what chooses the label that listeners are shown, anew for each recording.
    adapt : bool, optional
        Get used to the speaker of each recording, as ``edge-ser listen --adapt`` does.

    Returns
    -------
    dict
        ``protocol``; ``figures``: ``turns``, ``right_at_end`` (share of turns whose label is right at the end of
        their speech), ``stable_in_time`` (of those, the share whose label stood from 1.5 s after the first speech on,
        or from the end of a turn that is shorter), ``seconds_to_stable`` (median and 90 %), ``flips_per_minute``
        (changes of label within speech), ``steady`` (the same four of the label that listeners are shown,
        `firmware_py.steady`), ``adv_lag_s`` (median seconds until a rating has gone 90 % of its way to the value at the
        end of the turn, for moves of at least 0.1), ``in_pauses`` (share of steps in pauses, 1 s after speech ended,
        that name an emotion); ``by_seconds``: ``seconds`` of speech heard and share right; ``excluded``: clips
        without a turn in the figures, each ``file`` and ``reason``.

    Raises
    ------
    EdgeSerError
        No turn was long enough for two answers.
    """
    raw, steady = _Course(), _Course()
    named: list[bool] = []
    lags: dict[str, list[float]] = {d: [] for d in ADV}
    right_after: dict[float, list[bool]] = {}
    excluded: list[Exclusion] = []
    for recognizer, recording in progress(recordings):
        excluded += recording.excluded
        if not recording.turns:
            continue
        stream = recognizer.stream(turns=True, adapt=adapt)
        answers = [_among(one, labels) for one in stream.push(recording.wave)]
        ends = np.array([one.end for one in answers])
        said = np.array([one.label for one in answers])
        label = shown()
        seen = np.array([label.label_after(one) or "" for one in answers])
        for number, turn in enumerate(recording.turns):
            inside = np.flatnonzero((ends > turn.start) & (ends <= turn.end + stream.step_samples))
            if len(inside) < 2:
                excluded.append(Exclusion(str(turn.clip.path), "its speech is too short for two answers"))
                continue
            truth = turn.clip.emotion
            seconds = (ends[inside] - turn.start) / SAMPLE_RATE
            raw.add(said[inside], seconds, turn)
            steady.add(seen[inside], seconds, turn)
            for s, one in zip(seconds, said[inside], strict=True):
                right_after.setdefault(float(np.ceil(s / 0.5) * 0.5), []).append(bool(one == truth))
            for dimension in ADV:
                _lag(lags[dimension], seconds, np.array([getattr(answers[i], dimension) for i in inside]))
            nxt = (
                recording.turns[number + 1].start
                if number + 1 < len(recording.turns)
                else len(recording.wave)
            )
            pause = np.flatnonzero((ends > turn.end + SAMPLE_RATE) & (ends <= nxt))
            named += [answers[i].state == "speech" for i in pause]
    if not raw.turns:
        raise EdgeSerError("no turn was long enough for two answers; join longer clips")
    return {
        "protocol": "clips of one speaker joined with pauses of 1 to 3 s, pink noise 30 dB below; heard step by step, "
        "anew after each pause, as edge-ser listen does",
        "figures": {
            "turns": raw.turns,
            **raw.figures(),
            "steady": steady.figures(),
            "adv_lag_s": {d: float(np.median(x)) if x else None for d, x in lags.items()},
            "in_pauses": float(np.mean(named)) if named else None,
        },
        "by_seconds": [
            {"seconds": s, "accuracy": float(np.mean(x)), "answers": len(x)}
            for s, x in sorted(right_after.items())
            if len(x) >= 20
        ],
        "excluded": [dataclasses.asdict(one) for one in excluded],
    }


class _Course:
    """How labels went over turns."""

    def __init__(self) -> None:
        self.turns = self._right = self._flips = 0
        self._spoken_s = 0.0
        self._stable: list[float] = []

    def add(self, said: npt.NDArray[np.str_], seconds: npt.NDArray[np.float64], turn: Turn) -> None:
        """Take a turn: labels, and when each was said after its speech began."""
        self.turns += 1
        self._spoken_s += (turn.end - turn.start) / SAMPLE_RATE
        self._flips += int(np.sum(said[1:] != said[:-1]))
        wrong = np.flatnonzero(said != turn.clip.emotion)
        if not len(wrong) or wrong[-1] < len(said) - 1:
            self._right += 1
            self._stable.append(float(seconds[wrong[-1] + 1] if len(wrong) else seconds[0]))

    def figures(self) -> dict[str, Any]:
        stable = np.array(self._stable)
        return {
            "right_at_end": self._right / self.turns,
            "stable_in_time": float(np.mean(stable <= _STABLE_S + 1e-9)) if len(stable) else None,
            "seconds_to_stable": [float(np.median(stable)), float(np.quantile(stable, 0.9))]
            if len(stable)
            else None,
            "flips_per_minute": 60 * self._flips / self._spoken_s,
        }


def _among(answer: Prediction, labels: Sequence[str]) -> Prediction:
    """An answer that is given among a corpus's labels."""
    return dataclasses.replace(answer, emotion={label: answer.emotion[label] for label in labels})


def _lag(into: list[float], seconds: npt.NDArray[np.float64], values: npt.NDArray[np.float64]) -> None:
    """Seconds until a course has gone 90 % of its way, where it goes a tenth of the scale at least."""
    way = values[-1] - values[0]
    if abs(way) >= 0.1:
        there = np.abs(values - values[-1]) <= 0.1 * abs(way)
        late = np.flatnonzero(~there)
        into.append(float(seconds[late[-1] + 1] if len(late) else seconds[0]))
