"""Conditions that a recording may be heard in: a table of perturbations of fixed strength and fixed draws."""

from __future__ import annotations

import dataclasses
import zlib
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from edge_ser.audio import load_audio
from edge_ser.corpora import Clip, load_sounds
from edge_ser.errors import EdgeSerError
from edge_ser.perturb import (
    add_noise,
    babble,
    clip,
    codec,
    dc,
    gain_db,
    lose_packets,
    lowpass,
    microphone,
    pink_noise,
    reverberate,
    room_response,
    speed,
    telephone,
    tilt,
    white_noise,
)

__all__ = ["CONDITIONS", "SMALL_CHANGES", "Material", "heard_in"]

Floats = npt.NDArray[np.float32]
Rng = np.random.Generator
Change = Callable[[Floats, Rng, "Material"], Floats]


@dataclasses.dataclass(frozen=True)
class Material:
    """Sounds that conditions draw from: noises, sneezes, rooms, and speech of others for babble."""

    noises: tuple[Floats, ...] = ()
    sneezes: tuple[Floats, ...] = ()
    rooms: tuple[Floats, ...] = ()
    voices: tuple[Floats, ...] = ()

    @classmethod
    def load(cls, clips: Sequence[Clip], voices: int = 40) -> Material:
        """The collections ``noise``, ``esc10``'s sneezes and ``rir``, and some of the clips as voices."""
        chosen = clips[:: max(1, len(clips) // voices)][:voices]
        sneezes = [s for s in load_sounds("esc10").sounds if s.label == "person sneeze"]
        rooms = [s for s in load_sounds("rir").sounds if not s.path.stem.startswith("filter")]

        def read(paths: Sequence[object]) -> tuple[Floats, ...]:
            waves = [load_audio(path) for path in paths]  # type: ignore[arg-type]
            return tuple(wave for wave in waves if np.any(wave))

        return cls(
            read([s.path for s in load_sounds("noise").sounds]),
            read([s.path for s in sneezes]),
            read([s.path for s in rooms]),
            read([c.path for c in chosen]),
        )


def _drawn(of: Sequence[Floats], rng: Rng, what: str) -> Floats:
    if not of:
        raise EdgeSerError(f"this condition needs {what}; there are none at hand")
    return of[int(rng.integers(len(of)))]


def _real(db: float) -> Change:
    return lambda w, rng, m: add_noise(w, _drawn(m.noises, rng, "noises"), db, rng)


def _white(db: float) -> Change:
    return lambda w, rng, m: add_noise(w, white_noise(len(w), rng), db, rng)


def _pink(db: float) -> Change:
    return lambda w, rng, m: add_noise(w, pink_noise(len(w), rng), db, rng)


def _babble(db: float) -> Change:
    return lambda w, rng, m: add_noise(w, babble(m.voices, len(w), rng), db, rng)


def _coded(name: str, squeeze: float | None = None) -> Change:
    return lambda w, rng, m: codec(w, name, squeeze)


def _gain(db: float) -> Change:
    """As a sound card does it: what goes beyond full scale is cut off."""
    return lambda w, rng, m: np.clip(gain_db(w, db), -1, 1).astype(np.float32)


def _room(rt60_s: float, direct_db: float) -> Change:
    return lambda w, rng, m: reverberate(w, room_response(rt60_s, direct_db, rng))


def _tone(w: Floats, rng: Rng, m: Material) -> Floats:
    peak = float(np.abs(w).max()) * 10 ** (-float(rng.choice([40, 45, 50])) / 20)
    t = np.arange(len(w)) / 16000
    return w + (peak * np.sin(2 * np.pi * rng.uniform(5000, 7000) * t)).astype(np.float32)


def _highpass(w: Floats, hz: float) -> Floats:
    spectrum = np.fft.rfft(w)
    f = np.fft.rfftfreq(len(w), 1 / 16000)
    return np.fft.irfft(spectrum * (f / np.hypot(f, hz)), len(w)).astype(np.float32)


def _few(rng: Rng) -> int:
    return int(rng.choice([100, 500, 1000]))


def _zeros(n: int) -> Floats:
    return np.zeros(n, np.float32)


def _clip_share(w: Floats, share: float) -> Floats:
    limit = np.quantile(np.abs(w), 1 - share)
    return np.clip(w, -limit, limit).astype(np.float32)


#: What a listener may meet; the first is the clip as it is.
CONDITIONS: Mapping[str, Change] = {
    "clean": lambda w, rng, m: w,
    **{f"real noise {db} dB": _real(db) for db in (30, 20, 10, 5, 0, -5)},
    **{f"white noise {db} dB": _white(db) for db in (20, 10, 0)},
    **{f"pink noise {db} dB": _pink(db) for db in (20, 10, 0)},
    **{f"babble {db} dB": _babble(db) for db in (20, 10, 0)},
    "sneezing 10 dB": lambda w, rng, m: add_noise(w, _drawn(m.sneezes, rng, "sneezes"), 10, rng),
    "room 0.4 s": _room(0.4, 3),
    "room 1.0 s": _room(1.0, 0),
    "real room": lambda w, rng, m: reverberate(w, _drawn(m.rooms, rng, "rooms")),
    "telephone": lambda w, rng, m: telephone(w),
    "gsm": _coded("gsm"),
    "opus small": _coded("opus", 0.9),
    "mp3 small": _coded("mp3", 0.9),
    "gain +20 dB": _gain(20),
    "gain -20 dB": _gain(-20),
    "clipping": lambda w, rng, m: clip(w, 0.3),
    "direct current": lambda w, rng, m: dc(w, 0.02),
    "tilt down": lambda w, rng, m: tilt(w, -3),
    "tilt up": lambda w, rng, m: tilt(w, 3),
    "packets lost 10 %": lambda w, rng, m: lose_packets(w, 0.1, rng),
    "slower": lambda w, rng, m: speed(w, 0.9),
    "faster": lambda w, rng, m: speed(w, 1.1),
    "start cut 0.3 s": lambda w, rng, m: w[4800:] if len(w) > 9600 else w[len(w) // 4 :],
    "end cut 0.3 s": lambda w, rng, m: w[:-4800] if len(w) > 9600 else w[: len(w) - len(w) // 4],
    "other microphone": lambda w, rng, m: microphone(w, 4, rng),
}

#: The small changes of arXiv 2312.06270, with its strengths.
SMALL_CHANGES: Mapping[str, Change] = {
    "additive tone": _tone,
    "append zeros": lambda w, rng, m: np.concatenate([w, _zeros(_few(rng))]),
    "clip": lambda w, rng, m: _clip_share(w, float(rng.choice([0.001, 0.002, 0.003]))),
    "crop beginning": lambda w, rng, m: w[_few(rng) :],
    "crop end": lambda w, rng, m: w[: -_few(rng)],
    "gain": lambda w, rng, m: gain_db(w, float(rng.choice([-2, -1, 1, 2]))),
    "highpass": lambda w, rng, m: _highpass(w, float(rng.choice([50, 100, 150]))),
    "lowpass": lambda w, rng, m: lowpass(w, float(rng.choice([6500, 7000, 7500])), order=1),
    "prepend zeros": lambda w, rng, m: np.concatenate([_zeros(_few(rng)), w]),
    "white noise": lambda w, rng, m: add_noise(
        w, white_noise(len(w), rng), float(rng.choice([35, 40, 45])), rng
    ),
}


def heard_in(name: str, wave: Floats, clip: Clip, material: Material) -> Floats:
    """A clip's wave in a condition of either table; draws depend on the clip's and the condition's name alone.

    Raises
    ------
    EdgeSerError
        Unknown, or the material for it is missing.
    """
    change = CONDITIONS.get(name) or SMALL_CHANGES.get(name)
    if change is None:
        raise EdgeSerError(f"there is no condition {name!r}")
    if not np.any(wave):
        return wave  # digital silence stays that in every condition
    rng = np.random.default_rng(zlib.crc32(f"{name} {clip.corpus} {clip.path.name}".encode()))
    return change(wave, rng, material)
