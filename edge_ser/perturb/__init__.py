"""Waves as another voice, room, microphone or line would have made them: for training, and for tests of robustness.

All functions take and give float32 mono waves at 16 kHz, change no argument, and draw from the
`numpy.random.Generator` that they are given and from nothing else. docs/augmentation.md shows them.
"""

from edge_ser.perturb.codecs import CODECS, a_law, codec, mu_law, telephone
from edge_ser.perturb.level import clip, dc, gain_db, invert, lose_packets
from edge_ser.perturb.noises import (
    add_noise,
    babble,
    coloured_noise,
    excerpt,
    mix,
    pink_noise,
    white_noise,
)
from edge_ser.perturb.rooms import reverberate, room_response
from edge_ser.perturb.sounds import Sounds, load_sounds_of
from edge_ser.perturb.spectrum import formants, lowpass, microphone, tilt
from edge_ser.perturb.timing import pitch, speed, tempo
from edge_ser.perturb.view import Perturb, Perturber

__all__ = [
    "CODECS",
    "Perturb",
    "Perturber",
    "Sounds",
    "a_law",
    "add_noise",
    "babble",
    "clip",
    "codec",
    "coloured_noise",
    "dc",
    "excerpt",
    "formants",
    "gain_db",
    "invert",
    "load_sounds_of",
    "lose_packets",
    "lowpass",
    "microphone",
    "mix",
    "mu_law",
    "pink_noise",
    "pitch",
    "reverberate",
    "room_response",
    "speed",
    "telephone",
    "tempo",
    "tilt",
    "white_noise",
]
