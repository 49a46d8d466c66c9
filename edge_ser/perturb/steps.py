"""The steps of a view: each draws its figures from a generator of its own, and changes the wave."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import numpy as np

from edge_ser.errors import EdgeSerError
from edge_ser.perturb.codecs import GRADED, codec, telephone
from edge_ser.perturb.level import clip, dc, gain_db, invert, lose_packets
from edge_ser.perturb.noises import add_noise, babble, coloured_noise, excerpt, mix
from edge_ser.perturb.rooms import reverberate, room_response
from edge_ser.perturb.sounds import Sounds
from edge_ser.perturb.spectrum import formants, lowpass, microphone, tilt
from edge_ser.perturb.timing import pitch, speed, tempo
from edge_ser.perturb.waves import Floats

if TYPE_CHECKING:
    from edge_ser.perturb.view import Perturb

__all__ = ["STEPS", "Step"]


def _either_way(rng: np.random.Generator, most: float) -> float:
    """A factor of 1 to ``1 + most`` or its inverse, even on a logarithmic scale."""
    return math.exp(rng.uniform(-1, 1) * math.log1p(most))


def _mix(wave: Floats, rng: np.random.Generator, how: Perturb, sounds: Sounds) -> Floats:
    if not sounds.others:
        raise EdgeSerError("there is nothing to mix speech with: give Sounds some others, see load_sounds_of")
    share = rng.uniform(*how.mix_share)
    other = sounds.others[rng.integers(len(sounds.others))]
    return mix(wave, excerpt(other, len(wave), rng), share)


def _room(wave: Floats, rng: np.random.Generator, how: Perturb, sounds: Sounds) -> Floats:
    real, rt60_s, direct_db = rng.random() < 0.5, rng.uniform(*how.rt60_s), rng.uniform(*how.direct_db)
    if real and sounds.rooms:
        return reverberate(wave, sounds.rooms[rng.integers(len(sounds.rooms))])
    return reverberate(wave, room_response(rt60_s, direct_db, rng))


def _noise(wave: Floats, rng: np.random.Generator, how: Perturb, sounds: Sounds) -> Floats:
    snr_db = rng.uniform(*how.snr_db)
    kinds = ["coloured"] + ["real"] * 2 * bool(sounds.noises) + ["babble"] * bool(sounds.voices)
    kind = kinds[rng.integers(len(kinds))]
    if kind == "real":
        noise = sounds.noises[rng.integers(len(sounds.noises))]
    elif kind == "babble":
        noise = babble(sounds.voices, len(wave), rng, talkers=int(rng.integers(3, 9)))
    else:
        noise = coloured_noise(len(wave), rng, rng.uniform(-6, 0))
    return add_noise(wave, noise, snr_db, rng)


def _gain(wave: Floats, rng: np.random.Generator, how: Perturb, sounds: Sounds) -> Floats:
    db = float(np.clip(rng.standard_normal(), -2, 2)) * how.gain_db
    peak = float(np.abs(wave).max())
    if db > 0 and peak > 0:  # who sets a level stays below full scale; overload is a step of its own
        db = min(db, max(0.0, -20 * math.log10(peak)))
    return gain_db(wave, db)


def _codec(wave: Floats, rng: np.random.Generator, how: Perturb, sounds: Sounds) -> Floats:
    name = how.codecs[rng.integers(len(how.codecs))]
    return codec(wave, name, rng.uniform(0.3, 1) if name in GRADED else None)


Step = Callable[[Floats, np.random.Generator, "Perturb", Sounds], Floats]

#: In the order of sound's way: voice, what sounds beside it, room, microphone, converter, line. A name is also that of
#: its chance.
STEPS: Mapping[str, Step] = {
    "speed": lambda wave, rng, how, _: speed(wave, _either_way(rng, how.speed)),
    "tempo": lambda wave, rng, how, _: tempo(wave, _either_way(rng, how.tempo)),
    "pitch": lambda wave, rng, how, _: pitch(wave, rng.uniform(-how.pitch, how.pitch)),
    "formants": lambda wave, rng, how, _: formants(wave, _either_way(rng, how.formants)),
    "mix": _mix,
    "room": _room,
    "noise": _noise,
    "microphone": lambda wave, rng, how, _: microphone(wave, how.microphone_db, rng),
    "tilt": lambda wave, rng, how, _: tilt(wave, rng.uniform(-how.tilt_db, how.tilt_db)),
    "lowpass": lambda wave, rng, how, _: lowpass(wave, rng.uniform(*how.lowpass_hz)),
    "clip": lambda wave, rng, how, _: clip(wave, rng.uniform(*how.clip)),
    "gain": _gain,
    "invert": lambda wave, rng, how, _: invert(wave),
    "dc": lambda wave, rng, how, _: dc(wave, rng.uniform(-how.dc, how.dc)),
    "telephone": lambda wave, rng, how, _: telephone(wave),
    "codec": _codec,
    "loss": lambda wave, rng, how, _: lose_packets(wave, rng.uniform(*how.loss), rng),
}
