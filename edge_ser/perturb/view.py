"""Views of a clip: copies that another voice, room, microphone or line might have made, the same ones every time."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from edge_ser.errors import EdgeSerError
from edge_ser.perturb.codecs import CODECS
from edge_ser.perturb.sounds import Sounds, load_sounds_of
from edge_ser.perturb.steps import STEPS
from edge_ser.perturb.waves import Floats, as_wave

__all__ = ["Perturb", "Perturber"]

#: Counts up when the same fields no longer give the same views.
_VERSION = 1

#: Lowest and highest value of a field.
_LIMITS: Mapping[str, tuple[float, float]] = {
    "speed": (0, 0.5),
    "tempo": (0, 1),
    "pitch": (0, 12),
    "formants": (0, 0.4),
    "rt60_s": (0.05, 5),
    "direct_db": (-30, 60),
    "snr_db": (-60, 120),
    "mix_share": (0, 1),
    "microphone_db": (0, 20),
    "tilt_db": (0, 12),
    "lowpass_hz": (100, 8000),
    "clip": (0.01, 1),
    "gain_db": (0, 40),
    "dc": (0, 1),
    "loss": (0, 0.9),
}

_NONE = Sounds()
#: Fields that are newer than the first views, and say nothing while `p_mix` is 0.
_LATER = ("p_mix", "mix_share", "mix_with")


@dataclasses.dataclass(frozen=True)
class Perturb:
    """How often and how far each perturbation goes, in the order in which sound comes to a device.

    A field ``p_NAME`` is the chance of a step, 0..1; 0 turns it off. Pairs are the ends of a range. Speed, tempo,
    pitch, formants and level are part of how a feeling sounds: wide ranges are for views that a teacher labels
    itself, narrow ones for a clip's own label.

    Attributes
    ----------
    speed : float
        0 to 0.5; factors of 1 to ``1 + speed``, either way.
    tempo : float
        0 to 1; the same without pitch.
    pitch : float
        Up to so many semitones up or down, 0 to 12.
    formants : float
        0 to 0.4; factors of 1 to ``1 + formants``, either way.
    rt60_s, direct_db : (float, float)
        Reverberation time in seconds and direct sound over echoes in dB of made rooms; half of the rooms are
        real ones where `Sounds` has some.
    snr_db : (float, float)
        Signal to noise in dB. The noise is of `Sounds`, or coloured, or babble of its voices; each kind that there
        is comes as often, but real noise twice.
    mix_with : tuple of str
        What speech is mixed with, for a teacher that hears the mixture (the waveform mixup of Wav2Small's students,
        arXiv 2408.13920): names of collections of sounds or of corpora, or folders. `edge_ser.perturb.load_sounds_of`
        reads them. Off unless `p_mix` is above 0.
    mix_share : (float, float)
        0 to 1; share of the speech in the mixture, see `edge_ser.perturb.mix`: 0.5 is 0 dB, 0.76 is 10 dB.
    microphone_db : float
        0 to 20, see `edge_ser.perturb.microphone`.
    tilt_db : float
        0 to 12; up to so many dB per octave either way.
    lowpass_hz : (float, float)
    clip : (float, float)
        Share of the peak that is left.
    gain_db : float
        Standard deviation of the level in dB, 0 to 40, cut at two of them; full scale is not passed.
    dc : float
        0 to 1; offset in full scale, up to so much either way.
    codecs : tuple of str
        Names of `edge_ser.perturb.CODECS`, drawn alike; those that can be squeezed are, at random.
    loss : (float, float)
        Share of lost packets, 0 to 0.9.
    """

    p_speed: float = 0.25
    speed: float = 0.1
    p_tempo: float = 0.25
    tempo: float = 0.2
    p_pitch: float = 0.25
    pitch: float = 2.0
    p_formants: float = 0.15
    formants: float = 0.12
    p_room: float = 0.3
    rt60_s: tuple[float, float] = (0.15, 1.0)
    direct_db: tuple[float, float] = (-3.0, 12.0)
    p_noise: float = 0.5
    snr_db: tuple[float, float] = (0.0, 30.0)
    p_microphone: float = 0.3
    microphone_db: float = 3.0
    p_tilt: float = 0.2
    tilt_db: float = 3.0
    p_lowpass: float = 0.1
    lowpass_hz: tuple[float, float] = (2000.0, 7000.0)
    p_clip: float = 0.1
    clip: tuple[float, float] = (0.15, 0.8)
    p_gain: float = 0.7
    gain_db: float = 8.0
    p_invert: float = 0.5
    p_dc: float = 0.05
    dc: float = 0.02
    p_telephone: float = 0.1
    p_codec: float = 0.2
    codecs: tuple[str, ...] = ("mu-law", "adpcm", "gsm", "vorbis", "mp3")
    p_loss: float = 0.05
    loss: tuple[float, float] = (0.01, 0.15)
    p_mix: float = 0.0
    mix_share: tuple[float, float] = (0.5, 0.9)
    mix_with: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if field.name in ("codecs", "mix_with"):
                if not isinstance(value, list | tuple) or not all(isinstance(name, str) for name in value):
                    raise EdgeSerError(f"{field.name} must be a list of names, not {value!r}")
                object.__setattr__(self, field.name, tuple(value))
            elif not isinstance(field.default, tuple):
                low, high = (0, 1) if field.name.startswith("p_") else _LIMITS[field.name]
                object.__setattr__(self, field.name, self._checked(field.name, value, low, high))
            elif not isinstance(value, tuple | list) or len(value) != 2:
                raise EdgeSerError(f"{field.name} must be two numbers, the lower one first, not {value!r}")
            else:
                ends = tuple(self._checked(field.name, end, *_LIMITS[field.name]) for end in value)
                if ends[0] > ends[1]:
                    raise EdgeSerError(
                        f"{field.name} must be two numbers, the lower one first, not {value!r}"
                    )
                object.__setattr__(self, field.name, ends)
        if unknown := sorted(set(self.codecs) - set(CODECS)):
            raise EdgeSerError(f"there is no codec {', '.join(unknown)}; there are {', '.join(CODECS)}")
        if self.p_codec > 0 and not self.codecs:
            raise EdgeSerError("p_codec is above 0 and codecs names none; name one, or set p_codec to 0")
        if (self.p_mix > 0) != bool(self.mix_with):
            raise EdgeSerError(
                'p_mix above 0 and mix_with belong together: name what to mix with, such as mix_with = ["esc10"], and '
                "how often"
            )

    def to_dict(self) -> dict[str, Any]:
        """All fields as plain values; what came later is left out where it says nothing, so that old views stay."""
        fields = dataclasses.asdict(self)
        return fields if self.p_mix > 0 else {n: v for n, v in fields.items() if n not in _LATER}

    @staticmethod
    def _checked(name: str, value: object, low: float, high: float) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
            raise EdgeSerError(f"{name} must be a number from {low:g} to {high:g}, not {value!r}")
        return float(value)

    def steps(self, key: str, k: int) -> tuple[str, ...]:
        """Names of the steps that a view takes, in their order; none for ``k = 0``."""
        return tuple(name for name, _ in self._drawn(key, k))

    def view(self, wave: npt.ArrayLike, key: str, k: int, sounds: Sounds | None = None) -> Floats:
        """One of a clip's views.

        A step's chance and figures depend on the key, the view's number and the step's name alone, so that turning
        one step off leaves the others as they are.

        Parameters
        ----------
        wave : array_like of shape (samples,)
            The clip, 16 kHz mono.
        key : str
            What stands for the clip: a hash of its content, so that names and order do not matter.
        k : int
            The view's number, 0 or more. 0 is the clip itself, every other one a chain of perturbations.
        sounds : Sounds, optional
            Noises, rooms and voices; without, noise and rooms are made. Where the view is a mixture, what it is
            mixed with.

        Returns
        -------
        ndarray of shape (n,), float32
            ``n`` differs from `samples` where the view is faster or slower.

        Raises
        ------
        EdgeSerError
            `wave` is no wave, `k` is below 0, or there is nothing to mix with.
        MissingExtraError
            The extra `train` is not installed.
        """
        wave = as_wave(wave)
        if k == 0:
            return wave.copy()
        for name, rng in self._drawn(key, k):
            wave = STEPS[name](wave, rng, self, sounds or _NONE)
        return wave

    def fingerprint(self, sounds: Sounds | None = None) -> str:
        """Sixteen hexadecimal digits that change whenever views would: with fields, sounds, or how steps work."""
        what = {"version": _VERSION, "sounds": (sounds or _NONE).digest, **self.to_dict()}
        return hashlib.sha256(json.dumps(what, sort_keys=True).encode()).hexdigest()[:16]

    def _drawn(self, key: str, k: int) -> list[tuple[str, np.random.Generator]]:
        if k < 0:
            raise EdgeSerError(f"views are counted from 0; there is no view {k}")
        if k == 0:
            return []
        drawn = []
        for name in STEPS:
            seed = hashlib.sha256(f"{k} {name} {key}".encode()).digest()
            rng = np.random.default_rng(int.from_bytes(seed[:16], "little"))
            if rng.random() < getattr(self, f"p_{name}"):
                drawn.append((name, rng))
        return drawn


@dataclasses.dataclass(frozen=True)
class Perturber:
    """A `Perturb` and the sounds that it draws from."""

    how: Perturb
    sounds: Sounds = dataclasses.field(default_factory=Sounds)

    @classmethod
    def of(cls, how: Perturb, corpora: Iterable[str] = ()) -> Perturber:
        """With the sounds that a recipe's ``mix_with`` names; see `edge_ser.perturb.load_sounds_of`."""
        return cls(how, load_sounds_of(how.mix_with, corpora) if how.mix_with else Sounds())

    @property
    def fingerprint(self) -> str:
        """As `Perturb.fingerprint`."""
        return self.how.fingerprint(self.sounds)

    def view(self, wave: npt.ArrayLike, key: str, k: int) -> Floats:
        """As `Perturb.view`."""
        return self.how.view(wave, key, k, self.sounds)
