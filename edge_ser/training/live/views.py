"""`edge_ser.perturb` for many clips at once, in torch: other voices, rooms, microphones and lines.

The fields and chances are those of `edge_ser.perturb.Perturb`.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from edge_ser.audio import SAMPLE_RATE
from edge_ser.errors import EdgeSerError
from edge_ser.perturb import Perturb
from edge_ser.perturb.codecs import BAND_HZ
from edge_ser.perturb.rooms import GAP_S
from edge_ser.perturb.spectrum import LOWEST_HZ, OCTAVES
from edge_ser.training.live.mels import within
from edge_ser.training.live.warps import played, stretched

__all__ = ["check_perturb", "perturbed", "smooth"]

Doubles = npt.NDArray[np.float64]

_GAP = round(GAP_S * SAMPLE_RATE)
_LINE_ORDER = 8
_VOICES = 4  # of babble
_EVERY = 8192

#: Steps that are made one clip at a time alone.
_ALONE = ("clip", "gain", "dc", "codec", "loss", "mix", "invert", "lowpass")


def smooth(length: int) -> int:
    """The next multiple of 8192: few lengths, and such as transforms like."""
    return -(-length // _EVERY) * _EVERY


def check_perturb(how: Perturb) -> None:
    """Refuse what is not made in batches.

    Raises
    ------
    EdgeSerError
        A step has a chance above 0 and is none of them.
    """
    if asked := [name for name in _ALONE if getattr(how, f"p_{name}") > 0]:
        raise EdgeSerError(
            f"[perturb] p_{asked[0]} is above 0, and live views have no {asked[0]}: set it to 0 "
            "(they have speed, tempo, pitch, formants, room, noise, microphone, tilt and telephone)"
        )


def perturbed(
    waves: Tensor, lengths: Tensor, how: Perturb, rng: np.random.Generator
) -> tuple[Tensor, Tensor]:
    """A view of each clip.

    Parameters
    ----------
    waves : Tensor (B, n) float32
        16 kHz mono, zeros after each clip's end.
    lengths : Tensor (B,) int64
    how : Perturb
        As `check_perturb` lets it pass.
    rng : numpy.random.Generator
        What happens to which clip; noises and echoes come from torch's generator.

    Returns
    -------
    waves : Tensor (B, n) float32
        A view that would be longer than n is cut there.
    lengths : Tensor (B,) int64
    """
    draw = _Draw(len(waves), rng, waves.device)
    speed, tempo = draw.factor(how.p_speed, how.speed), draw.factor(how.p_tempo, how.tempo)
    semitones = draw.uniform(-how.pitch, how.pitch) * draw.happens(how.p_pitch)
    formants = draw.factor(how.p_formants, how.formants)
    pitch = 2 ** (semitones / 12)
    faster = speed * pitch  # tempo, pitch and formants move together; the vocoder puts the tempo right
    size = waves.shape[1]
    slowest = 2 ** (how.pitch * (how.p_pitch > 0) / 12) * (1 + how.speed * (how.p_speed > 0))
    longest = smooth(math.ceil(size * slowest))
    waves, lengths = played(F.pad(waves, (0, longest - size)), lengths, draw.tensor(faster))
    waves, lengths = stretched(waves, lengths, draw.tensor(tempo / pitch), draw.tensor(formants))
    waves, lengths = waves[:, :size], lengths.clamp(max=size)
    waves = _in_rooms(waves, lengths, how, draw)
    waves = _in_noise(waves, lengths, how, draw)
    return _through(waves, lengths, how, draw), lengths


class _Draw:
    """Chance for each clip of a batch."""

    def __init__(self, count: int, rng: np.random.Generator, device: torch.device) -> None:
        self.count, self.rng, self.device = count, rng, device

    def happens(self, chance: float) -> npt.NDArray[np.bool_]:
        return self.rng.random(self.count) < chance

    def uniform(self, low: float, high: float) -> Doubles:
        return self.rng.uniform(low, high, self.count)

    def factor(self, chance: float, most: float) -> Doubles:
        """1 to ``1 + most`` or its inverse, even on a logarithmic scale; 1 where nothing happens."""
        return np.exp(self.uniform(-1, 1) * math.log1p(most) * self.happens(chance))

    def tensor(self, values: npt.ArrayLike) -> Tensor:
        return torch.as_tensor(np.asarray(values, np.float32), device=self.device)


def _in_rooms(waves: Tensor, lengths: Tensor, how: Perturb, draw: _Draw) -> Tensor:
    """Some clips in rooms of their own, at the power that they had (as `edge_ser.perturb.room_response`)."""
    happens = draw.happens(how.p_room)
    times, direct = draw.uniform(*how.rt60_s), draw.uniform(*how.direct_db)
    if how.p_room == 0:
        return waves
    count, size = waves.shape
    taps = round(how.rt60_s[1] * SAMPLE_RATE)
    age = torch.arange(taps, device=waves.device)[None] / SAMPLE_RATE
    echoes = torch.randn(count, taps, device=waves.device)
    echoes = echoes * torch.exp(age * (-3 * math.log(10) / draw.tensor(times)[:, None]))
    echoes = echoes / echoes.square().sum(1, keepdim=True).sqrt() * 10 ** (-draw.tensor(direct)[:, None] / 20)
    response = F.pad(echoes, (_GAP, 0))
    response[:, 0] = 1.0
    long = smooth(size + taps + _GAP)
    wet = torch.fft.irfft(torch.fft.rfft(waves, long) * torch.fft.rfft(response, long), long)[:, :size]
    wet = wet * within(size, lengths)
    rms = waves.square().sum(1, keepdim=True).sqrt(), wet.square().sum(1, keepdim=True).sqrt()
    return torch.where(draw.tensor(happens)[:, None] > 0, wet * (rms[0] / rms[1].clamp_min(1e-12)), waves)


def _in_noise(waves: Tensor, lengths: Tensor, how: Perturb, draw: _Draw) -> Tensor:
    """Some clips in coloured noise or in babble of others of the batch, one as often as the other."""
    happens, snr = draw.happens(how.p_noise), draw.uniform(*how.snr_db)
    babbling, slope = draw.happens(0.5), draw.uniform(-6, 0)
    if how.p_noise == 0:
        return waves
    count, size = waves.shape
    hz = torch.linspace(0, SAMPLE_RATE / 2, size // 2 + 1, device=waves.device)
    shape = (hz.clamp_min(LOWEST_HZ) / 1000)[None] ** (draw.tensor(slope)[:, None] / (20 * math.log10(2)))
    white = torch.randn(count, size, device=waves.device)
    noise = torch.fft.irfft(torch.fft.rfft(white) * shape, size)
    if count > 1:
        others = (draw.rng.integers(1, count, (_VOICES, count)) + np.arange(count)) % count
        voices = torch.as_tensor(others, device=waves.device)
        starts = torch.as_tensor(draw.rng.random((_VOICES, count)), device=waves.device)
        babble = torch.zeros_like(noise)
        along = torch.arange(size, device=waves.device)[None]
        for other, start in zip(voices, starts, strict=True):
            own = lengths[other]
            babble += waves[other].gather(1, ((start * own).long()[:, None] + along) % own[:, None])
        noise = torch.where(draw.tensor(babbling)[:, None] > 0, babble, noise)
    noise = noise * within(size, lengths)
    ratio = waves.square().sum(1, keepdim=True) / noise.square().sum(1, keepdim=True).clamp_min(1e-12)
    added = noise * (ratio / 10 ** (draw.tensor(snr)[:, None] / 10)).sqrt()
    return waves + added * draw.tensor(happens)[:, None]


def _through(waves: Tensor, lengths: Tensor, how: Perturb, draw: _Draw) -> Tensor:
    """Other microphones, tilts and telephone lines, without delay."""
    heights = np.clip(draw.rng.standard_normal((draw.count, 3)), -2, 2) * how.microphone_db
    heights *= draw.happens(how.p_microphone)[:, None]
    lean = draw.uniform(-how.tilt_db, how.tilt_db) * draw.happens(how.p_tilt)
    line = draw.happens(how.p_telephone)
    if not (heights.any() or lean.any() or line.any()):
        return waves
    size = waves.shape[1]
    hz = torch.linspace(0, SAMPLE_RATE / 2, size // 2 + 1, device=waves.device)
    octaves = torch.log2(hz.clamp_min(LOWEST_HZ) / LOWEST_HZ)
    curves = torch.stack([torch.cos(k * math.pi * octaves / OCTAVES) for k in (1, 2, 3)])
    db = draw.tensor(heights) @ curves + draw.tensor(lean)[:, None] * torch.log2(
        hz.clamp_min(LOWEST_HZ) / 1000
    )
    gain = 10 ** (db / 20) * torch.where(draw.tensor(line)[:, None] > 0, _telephone(hz), torch.ones_like(hz))
    return torch.fft.irfft(torch.fft.rfft(waves) * gain, size) * within(size, lengths)


def _telephone(hz: Tensor) -> Tensor:
    """Amplitude of a line of 300 to 3400 Hz, a Butterworth filter's at both ends."""
    low, high = BAND_HZ
    above = 1 / torch.sqrt(1 + (hz / high) ** (2 * _LINE_ORDER))
    return above / torch.sqrt(1 + (low / hz.clamp_min(1.0)) ** (2 * _LINE_ORDER))
