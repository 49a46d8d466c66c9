"""Rooms, noise and babble in log-mel features while training: powers of bands add up.

What happens is drawn from torch's global generator, and no shape depends on it: a step that an accelerator replays has
new noise each time.
"""

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
        Log-mel of noises; a short one is repeated. None will do where none is asked for.
    device : torch.device or str
        Where features will be.

    Raises
    ------
    EdgeSerError
        The front end is not in decibels.
    """

    def __init__(
        self,
        part: NoisePart,
        spec: MelSpec,
        sounds: Sequence[np.ndarray],
        device: torch.device | str = "cpu",
    ) -> None:
        if spec.log != "db":
            raise EdgeSerError(
                f"[noise] adds powers of bands in decibels; this front end has log {spec.log!r}"
            )
        self.part, self.spec = part, spec
        lengths = [len(sound) for sound in sounds] or [1]
        table = np.concatenate([*sounds] or [np.zeros((1, spec.n_mels))])
        #: Powers of all sounds after one another, each one's first row and its rows.
        self.sounds = self._power(torch.as_tensor(table, device=device))
        self.first = torch.as_tensor(np.cumsum([0, *lengths[:-1]]), device=device)
        self.lengths = torch.as_tensor(lengths, device=device)

    @classmethod
    def load(cls, part: NoisePart, spec: MelSpec, device: torch.device | str = "cpu") -> Noise:
        """Read the collections that a recipe names; an `EdgeSerError` where nothing in them is to be heard."""
        waves = (load_audio(sound.path) for name in part.sounds for sound in load_sounds(name).sounds)
        sounds = [log_mel(wave, spec).astype(np.float16) for wave in waves if np.any(wave)]
        if not sounds:
            raise EdgeSerError(f"[noise] sounds: nothing is to be heard in {', '.join(part.sounds)}")
        return cls(part, spec, sounds, device)

    def add(self, features: Tensor, frames: Tensor) -> Tensor:
        """Some of a batch in rooms; some in noise, some in babble of others of the batch, the rest as it was.

        Parameters
        ----------
        features : Tensor (B, T, n_mels)
            Log-mel as the front end gives it, where the sounds are.
        frames : Tensor (B,)
            Valid frames of each clip; those after them stay as they are.

        Returns
        -------
        Tensor (B, T, n_mels)
        """
        part = self.part
        with features.device:
            chance = torch.rand(len(features))
            noisy, disturbed = chance < part.share, chance < part.share + part.babble
            clean = self._power(features)
            roomed = torch.zeros(len(features), dtype=torch.bool)
            if part.room > 0:
                clean, roomed = self._in_rooms(clean)
            inside = (torch.arange(features.shape[1]) < frames[:, None])[:, :, None]
            other = self._noise(features.shape[1], len(features)) * noisy[:, None, None]
            if part.babble > 0 and len(features) > 1:
                other = torch.where(noisy[:, None, None], other, self._babble(clean, frames))
            snr = 10 ** (_uniform(part.snr_db, len(features)) / 10)[:, None, None]
            own, others = (_mean(power, inside) for power in (clean, other))
            mixed = clean + other * disturbed[:, None, None] * (own / (others.clamp_min(_LEAST) * snr))
            levels = (10 * torch.log10(mixed.clamp_min(self.spec.floor)) - self.spec.mean) / self.spec.scale
            return torch.where(inside & (disturbed | roomed)[:, None, None], levels, features)

    def _in_rooms(self, power: Tensor) -> tuple[Tensor, Tensor]:
        """Some clips (B, T, n_mels) with the tail of a room of each one's own, and which.

        A tail does not sound on after the clip. Only so many clips as rooms are asked for, rounded up, are drawn to
        begin with, as the convolutions take long.
        """
        part, (count, frames) = self.part, power.shape[:2]
        drawn = math.ceil(part.room * count)
        rows = torch.rand(count).topk(drawn).indices
        happens = torch.rand(drawn) < part.room * count / drawn
        times, direct = _uniform(part.room_s, drawn)[:, None], _uniform(part.direct_db, drawn)[:, None]
        length = min(frames, math.ceil(part.room_s[1] * self.spec.frame_rate) + 1)
        tail = torch.exp(-_DECAY / self.spec.frame_rate * torch.arange(length) / times)
        tail[:, 0] = 0.0
        tail *= 10 ** (-direct / 10) / tail.sum(1, keepdim=True).clamp_min(_LEAST)
        tail *= happens[:, None]
        tail[:, 0] = 1.0
        dry = power.index_select(0, rows)
        past = F.pad(dry.permute(2, 0, 1), (length - 1, 0))  # bands as a batch, one filter a clip
        wet = F.conv1d(past, tail.flip(1)[:, None], groups=drawn).permute(1, 2, 0)
        roomed = torch.zeros(count, dtype=torch.bool).index_copy(0, rows, happens)
        return power.index_copy(0, rows, wet), roomed

    def _noise(self, length: int, count: int) -> Tensor:
        """Random stretches of random sounds: (count, length, n_mels)."""
        which = torch.randint(len(self.lengths), (count,))
        size = self.lengths[which][:, None]
        start = (torch.rand(count, 1) * size).long()
        return self.sounds[self.first[which][:, None] + (start + torch.arange(length)) % size]

    def _babble(self, clean: Tensor, frames: Tensor) -> Tensor:
        """For each clip others of the batch at once, each from a random place."""
        count, length = clean.shape[:2]
        apart = torch.rand(count, count) - 2 * torch.eye(count)  # nobody is among the others
        total = torch.zeros_like(clean)
        for other in apart.topk(min(_VOICES, count - 1)).indices.unbind(1):
            size = frames[other][:, None]
            place = ((torch.rand(count, 1) * size).long() + torch.arange(length)) % size
            total += clean[other[:, None], place]
        return total

    def _power(self, levels: Tensor) -> Tensor:
        return 10 ** ((levels.float() * self.spec.scale + self.spec.mean) / 10)


def _uniform(span: tuple[float, float], count: int) -> Tensor:
    return span[0] + (span[1] - span[0]) * torch.rand(count)


def _mean(power: Tensor, inside: Tensor) -> Tensor:
    """Of each clip's own frames and all bands (B, 1, 1)."""
    return (power * inside).sum((1, 2), keepdim=True) / (inside.sum((1, 2), keepdim=True) * power.shape[2])
