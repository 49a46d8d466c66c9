"""Clips of a batch at other speeds, at other tempos, and with other formants.

Tempo is changed by a phase vocoder (Flanagan and Golden 1966; Laroche and Dolson 1999), which runs for all clips at
once, where `edge_ser.perturb.tempo` looks for splices one after another. Accelerators have it as operations of torch.
On a processor each of those would be a pass over memory: there the same is compiled, and only for clips that change.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from edge_ser.dsp.kernels.threads import in_threads
from edge_ser.perturb.spectrum import DEEPEST, LIFTER
from edge_ser.training.live import warp_kernels
from edge_ser.training.live.mels import within

__all__ = ["played", "stretched"]

_N_FFT, _HOP = 512, 128
_TAPS = 16  # of the windowed sine cardinal that resamples
_AT_ONCE = 8  # clips whose spectra a processor has in memory


def _rows(happens: Tensor) -> Tensor:
    """Clips to work at: those to which something happens.

    On an accelerator all: it would have to be waited for, and a transform of another number of rows is another plan.
    """
    if happens.device.type == "cpu":
        return happens.nonzero()[:, 0]
    return torch.arange(len(happens), device=happens.device)


def played(waves: Tensor, lengths: Tensor, factors: Tensor) -> tuple[Tensor, Tensor]:
    """Each clip at another speed: band-limited interpolation with a windowed sine cardinal.

    Parameters
    ----------
    waves : Tensor (B, n) float32
        Zeros after each clip's end.
    lengths : Tensor (B,) int64
    factors : Tensor (B,) float32
        Above 1 is faster and higher; what would come to lie above half the rate is left out.

    Returns
    -------
    waves : Tensor (B, n) float32
        A clip that would be longer than n is cut there.
    lengths : Tensor (B,) int64
    """
    changed = factors != 1
    size = waves.shape[1]
    new = torch.where(changed, (lengths / factors).round().long().clamp(1, size), lengths)
    rows = _rows(changed)
    interpolate = _interpolated if waves.device.type == "cpu" else _interpolated_by_torch
    own = waves[rows]
    made = torch.where(changed[rows][:, None], interpolate(own, new[rows], factors[rows]), own)
    return waves.index_copy(0, rows, made) * within(size, new), new


def _interpolated(waves: Tensor, lengths: Tensor, factors: Tensor) -> Tensor:
    """What `_interpolated_by_torch` makes, compiled for a processor; nothing after a clip's end."""
    made = torch.zeros(waves.shape)
    sound, counts, speeds, target = (part.numpy() for part in (waves, lengths, factors, made))

    def run(first: int, last: int) -> None:
        some = slice(first, last)
        warp_kernels.resampled(sound[some], counts[some], speeds[some], _TAPS // 2, target[some])

    in_threads(run, len(sound), torch.get_num_threads())
    return made


def _interpolated_by_torch(waves: Tensor, lengths: Tensor, factors: Tensor) -> Tensor:
    """Waves (B, n) read at every ``factors[b]``-th sample; what is after ``lengths[b]`` means nothing."""
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
    return made


def stretched(waves: Tensor, lengths: Tensor, rates: Tensor, formants: Tensor) -> tuple[Tensor, Tensor]:
    """Each clip at another tempo, its envelope moved along the frequencies.

    Parameters
    ----------
    waves : Tensor (B, n) float32
        16 kHz, zeros after each clip's end.
    lengths : Tensor (B,) int64
    rates : Tensor (B,) float32
        Above 1 is faster, at the same pitch; within 1e-4 of 1 nothing is done.
    formants : Tensor (B,) float32
        Above 1 moves the envelope up.

    Returns
    -------
    waves : Tensor (B, n) float32
        A clip that would be longer than n is cut there.
    lengths : Tensor (B,) int64
    """
    steady = (rates - 1).abs() <= 1e-4
    changed = ~steady | (formants != 1)
    size = waves.shape[1]
    paces = torch.where(steady, 1.0, rates)
    made = waves.clone()
    rows = _rows(changed)
    at_once = _AT_ONCE if waves.device.type == "cpu" else len(waves)
    for first in range(0, len(rows), at_once):
        some = rows[first : first + at_once]
        own = _vocoded_waves(waves[some], paces[some], formants[some])
        made[some] = torch.where(changed[some][:, None], own, waves[some])
    lengths = torch.where(steady, lengths, (lengths / rates).round().long().clamp(1, size))
    return made * within(size, lengths), lengths


def _vocoded_waves(waves: Tensor, rates: Tensor, formants: Tensor) -> Tensor:
    """Waves (B, n) at other tempos and with other formants, as long as they were."""
    window = torch.hann_window(_N_FFT, device=waves.device).sqrt()
    spectrum = torch.stft(waves, _N_FFT, _HOP, window=window, return_complex=True)  # (B, bins, frames)
    moving = _rows(formants != 1)
    if len(moving):
        spectrum[moving] *= _moved(spectrum[moving].abs(), formants[moving])
    vocode = _vocoded if waves.device.type == "cpu" else _vocoded_by_torch
    return torch.istft(vocode(spectrum, rates), _N_FFT, _HOP, window=window, length=waves.shape[1])


def _vocoded(spectrum: Tensor, rates: Tensor) -> Tensor:
    """What `_vocoded_by_torch` makes, compiled for a processor."""
    frames_first = torch.view_as_real(spectrum.transpose(1, 2).contiguous())
    made = torch.empty(frames_first.shape)
    sound, paces, target = (part.numpy() for part in (frames_first, rates, made))

    def run(first: int, last: int) -> None:
        warp_kernels.vocoded(sound[first:last], paces[first:last], target[first:last])

    in_threads(run, len(sound), torch.get_num_threads())
    return torch.view_as_complex(made).transpose(1, 2)


def _vocoded_by_torch(spectrum: Tensor, rates: Tensor) -> Tensor:
    """Spectra (B, bins, frames) at other tempos."""
    size_of, phase = spectrum.abs(), spectrum.angle()
    frames = spectrum.shape[2]
    at = torch.arange(frames, device=spectrum.device)[None] * rates[:, None]
    inside = at <= frames - 1
    below = at.floor().long().clamp(max=frames - 1)
    above = (below + 1).clamp(max=frames - 1)
    part = (at - below)[:, None]

    def read(values: Tensor, place: Tensor) -> Tensor:
        return values.gather(2, place[:, None].expand(-1, values.shape[1], -1))

    magnitude = (1 - part) * read(size_of, below) + part * read(size_of, above)
    # a frame's phase is that of the one before, turned on by what the sound turns there in one hop; by whole turns
    # more or less is the same, and the angles stay small
    turn = read(phase, above) - read(phase, below)
    walked = torch.cat([phase[:, :, :1], turn[:, :, :-1]], 2).double().cumsum(2).float()
    heard = read(phase, torch.where(part[:, 0] < 0.5, below, above))
    peak = _peaks(magnitude)
    # bins around a peak are one partial: they keep the phases that they have to one another
    walked = walked.gather(1, peak) + heard - heard.gather(1, peak)
    return torch.polar(magnitude * inside[:, None], walked)


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
