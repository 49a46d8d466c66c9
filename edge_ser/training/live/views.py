"""`edge_ser.perturb` for many clips at once, in torch: other voices, rooms, microphones and lines.

The fields and chances are those of `edge_ser.perturb.Perturb`. Tempo is changed by a phase vocoder (Flanagan and
Golden 1966; Laroche and Dolson 1999), which runs for all clips at once, where `edge_ser.perturb.tempo` looks for
splices one after another.
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
from edge_ser.perturb.spectrum import DEEPEST, LIFTER, LOWEST_HZ, OCTAVES
from edge_ser.training.live.mels import within

__all__ = ["check_perturb", "perturbed", "smooth"]

Doubles = npt.NDArray[np.float64]

_N_FFT, _HOP = 512, 128
_TAPS = 16  # of the windowed sine cardinal that resamples
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
    played = speed * pitch  # tempo, pitch and formants move together; the vocoder puts the tempo right
    size = waves.shape[1]
    slowest = 2 ** (how.pitch * (how.p_pitch > 0) / 12) * (1 + how.speed * (how.p_speed > 0))
    longest = smooth(math.ceil(size * slowest))
    waves, lengths = _resampled(F.pad(waves, (0, longest - size)), lengths, draw.tensor(played))
    waves, lengths = _stretched(waves, lengths, draw.tensor(tempo / pitch), draw.tensor(formants))
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


def _resampled(waves: Tensor, lengths: Tensor, factors: Tensor) -> tuple[Tensor, Tensor]:
    """Each clip played at another speed: band-limited interpolation with a windowed sine cardinal."""
    changed = factors != 1
    size = waves.shape[1]
    at = torch.arange(size, device=waves.device)[None] * factors[:, None].double()
    below = at.floor().long()
    part = (at - below).float()
    band = (1 / factors).clamp(max=1.0)[:, None]  # what would come to lie above 8 kHz is left out
    made = torch.zeros_like(waves)
    half = _TAPS // 2
    for tap in range(1 - half, half + 1):
        place = below + tap
        apart = part - tap
        weight = band * torch.sinc(band * apart) * torch.cos(math.pi / 2 * apart / half).square()
        weight = weight * ((place >= 0) & (place < size) & (apart.abs() < half))
        made += weight * waves.gather(1, place.clamp(0, size - 1))
    new = torch.where(changed, (lengths / factors).round().long().clamp(1, size), lengths)
    made = torch.where(changed[:, None], made, waves)
    return made * within(size, new), new


def _stretched(waves: Tensor, lengths: Tensor, rates: Tensor, formants: Tensor) -> tuple[Tensor, Tensor]:
    """Each clip at another tempo, its envelope moved along the frequencies."""
    steady = (rates - 1).abs() <= 1e-4
    changed = ~steady | (formants != 1)
    size = waves.shape[1]
    window = torch.hann_window(_N_FFT, device=waves.device).sqrt()
    # all clips, whatever happens to them: a transform of another number of rows is another plan on an accelerator
    spectrum = torch.stft(waves, _N_FFT, _HOP, window=window, return_complex=True)  # (B, bins, frames)
    size_of, phase = spectrum.abs(), spectrum.angle()
    size_of = size_of * _moved(size_of, formants)
    frames = spectrum.shape[2]
    at = torch.arange(frames, device=waves.device)[None] * rates[:, None]
    inside = at <= frames - 1
    below = at.floor().long().clamp(max=frames - 1)
    above = (below + 1).clamp(max=frames - 1)
    part = (at - below)[:, None]

    def read(values: Tensor, place: Tensor) -> Tensor:
        return values.gather(2, place[:, None].expand(-1, values.shape[1], -1))

    magnitude = (1 - part) * read(size_of, below) + part * read(size_of, above)
    due = torch.arange(_N_FFT // 2 + 1, device=waves.device)[:, None] * (2 * math.pi * _HOP / _N_FFT)
    turn = read(phase, above) - read(phase, below) - due
    turn = turn - 2 * math.pi * torch.round(turn / (2 * math.pi)) + due
    # a frame's phase is that of the one before, turned on by what the sound turns there in one hop
    walked = torch.cat([phase[:, :, :1], turn[:, :, :-1]], 2).double().cumsum(2).float()
    heard = read(phase, torch.where(part[:, 0] < 0.5, below, above))
    peak = _peaks(magnitude)
    # bins around a peak are one partial: they keep the phases that they have to one another
    walked = walked.gather(1, peak) + heard - heard.gather(1, peak)
    walked = torch.where(steady[:, None, None], phase, walked)
    made = torch.istft(
        torch.polar(magnitude * inside[:, None], walked), _N_FFT, _HOP, window=window, length=size
    )
    waves = torch.where(changed[:, None], made, waves)
    lengths = torch.where(steady, lengths, (lengths / rates).round().long().clamp(1, size))
    return waves * within(size, lengths), lengths


def _peaks(magnitude: Tensor) -> Tensor:
    """The nearest local maximum along the bins of each bin (b, bins, frames), as its index."""
    bins = torch.arange(magnitude.shape[1], device=magnitude.device)[None, :, None]
    rows = magnitude.transpose(1, 2)
    highest = F.max_pool1d(rows, 5, 1, 2).transpose(1, 2)
    is_peak = magnitude >= highest
    before = torch.where(is_peak, bins, -(1 << 20)).cummax(1).values
    after = torch.where(is_peak, bins, 1 << 20).flip(1).cummin(1).values.flip(1)
    return torch.where(bins - before <= after - bins, before, after)


def _moved(magnitude: Tensor, factors: Tensor) -> Tensor:
    """By how much the envelope of each bin (b, bins, frames) changes where formants move by a factor."""
    bins = magnitude.shape[1]
    cepstrum = torch.fft.irfft(torch.log(magnitude.square() + 1e-12) / 2, dim=1)
    cepstrum[:, LIFTER : 1 - LIFTER] = 0
    envelope = torch.fft.rfft(cepstrum, dim=1).real
    at = (torch.arange(bins, device=magnitude.device)[None] / factors[:, None]).clamp(max=bins - 1)
    below = at.long().clamp(max=bins - 2)
    part = (at - below)[:, :, None]
    index = below[:, :, None].expand_as(envelope)
    moved = envelope.gather(1, index) * (1 - part) + envelope.gather(1, index + 1) * part
    change = torch.exp((moved - envelope).clamp(-DEEPEST, DEEPEST))
    return torch.where((factors != 1)[:, None, None], change, torch.ones_like(change))


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
