"""Rooms, noise and babble in log-mel features while training: powers of bands add up."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from edge_ser.audio import load_audio
from edge_ser.corpora import load_sounds
from edge_ser.dsp import MelSpec, log_mel
from edge_ser.errors import EdgeSerError
from edge_ser.training.parts import NoisePart

__all__ = ["Noise"]

_VOICES = 4  # of babble
_DECAY = math.log(1e6)  # 60 dB of power
_LEAST = 1e-12


class Noise:
    """What ``[noise]`` of a recipe mixes in.

    Sound of two sources has, in each band, the sum of their powers on average (what is left out is their
    interference). The SNR is that of powers over all bands and the clip's frames. A room adds to each band its own
    past, fading exponentially (the tail of a diffuse field; Kuttruff, Room Acoustics, ch. 4).

    Parameters
    ----------
    part : NoisePart
    spec : MelSpec
        In decibels; the features' front end.
    sounds : sequence of (frames, n_mels) array_like
        Log-mel of noises; a short one is repeated.

    Raises
    ------
    EdgeSerError
        The front end is not in decibels.
    """

    def __init__(self, part: NoisePart, spec: MelSpec, sounds: Sequence[np.ndarray]) -> None:
        if spec.log != "db":
            raise EdgeSerError(
                f"[noise] adds powers of bands in decibels; this front end has log {spec.log!r}"
            )
        self.part, self.spec = part, spec
        self.sounds = [self._power(torch.as_tensor(np.asarray(sound))) for sound in sounds]

    @classmethod
    def load(cls, part: NoisePart, spec: MelSpec) -> Noise:
        """Read the collections that a recipe names."""
        waves = (load_audio(sound.path) for name in part.sounds for sound in load_sounds(name).sounds)
        return cls(part, spec, [log_mel(wave, spec).astype(np.float16) for wave in waves if np.any(wave)])

    def add(self, features: Tensor, frames: Tensor, rng: np.random.Generator) -> Tensor:
        """Some of a batch in rooms; some in noise, some in babble of others of the batch, the rest as it was.

        Parameters
        ----------
        features : Tensor (B, T, n_mels)
            Log-mel as the front end gives it.
        frames : Tensor (B,)
            Valid frames of each clip; those after them stay as they are.
        rng : numpy.random.Generator

        Returns
        -------
        Tensor (B, T, n_mels)
        """
        chance = rng.random(len(features))
        noisy = chance < self.part.share
        babbling = (chance >= self.part.share) & (chance < self.part.share + self.part.babble)
        chosen = np.flatnonzero(noisy | babbling)
        rooms = (
            np.flatnonzero(rng.random(len(features)) < self.part.room) if self.part.room > 0 else chosen[:0]
        )
        if not len(chosen) + len(rooms):
            return features
        dry = self._power(features)
        clean = dry
        if len(rooms):
            clean = dry.clone()
            clean[rooms] = self._reverberant(dry[rooms], rng)
        mixed = clean.clone()
        for row in chosen.tolist():
            length = int(frames[row])
            other = self._noise(length, rng) if noisy[row] else self._babble(clean, frames, row, length, rng)
            own = clean[row, :length]
            snr = 10 ** (rng.uniform(*self.part.snr_db) / 10)
            mixed[row, :length] += other * (own.mean() / (other.mean().clamp_min(_LEAST) * snr))
        levels = (10 * torch.log10(mixed.clamp_min(self.spec.floor)) - self.spec.mean) / self.spec.scale
        heard = (torch.arange(features.shape[1]) < frames[:, None])[:, :, None]
        return torch.where(heard & (mixed != dry).flatten(1).any(1)[:, None, None], levels, features)

    def _reverberant(self, power: Tensor, rng: np.random.Generator) -> Tensor:
        """Each of some clips (B, T, n_mels) with the tail of a room of its own; it does not sound on after the clip."""
        count, frames = power.shape[:2]
        times = torch.from_numpy(rng.uniform(*self.part.room_s, size=(count, 1))).float()
        direct = torch.from_numpy(rng.uniform(*self.part.direct_db, size=(count, 1))).float()
        length = min(frames, math.ceil(self.part.room_s[1] * self.spec.frame_rate) + 1)
        age = torch.arange(length) / self.spec.frame_rate
        tail = torch.exp(-_DECAY * age / times)
        tail[:, 0] = 0.0
        tail *= 10 ** (-direct / 10) / tail.sum(1, keepdim=True).clamp_min(_LEAST)
        tail[:, 0] = 1.0
        past = F.pad(power.permute(2, 0, 1), (length - 1, 0))  # bands as a batch, one filter a clip
        return F.conv1d(past, tail.flip(1)[:, None], groups=count).permute(1, 2, 0)

    def _noise(self, length: int, rng: np.random.Generator) -> Tensor:
        """A random stretch of a random sound."""
        sound = self.sounds[int(rng.integers(len(self.sounds)))]
        start = int(rng.integers(len(sound)))
        return sound[(start + torch.arange(length)) % len(sound)]

    def _babble(
        self, clean: Tensor, frames: Tensor, row: int, length: int, rng: np.random.Generator
    ) -> Tensor:
        """Other clips of the batch at once, each from a random place."""
        total = torch.zeros(length, clean.shape[2])
        for other in rng.choice(np.delete(np.arange(len(clean)), row), min(_VOICES, len(clean) - 1), False):
            size = int(frames[other])
            total += clean[int(other)][(int(rng.integers(size)) + torch.arange(length)) % size]
        return total

    def _power(self, levels: Tensor) -> Tensor:
        return 10 ** ((levels.float() * self.spec.scale + self.spec.mean) / 10)
