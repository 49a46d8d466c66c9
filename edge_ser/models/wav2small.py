"""Wav2Small (Kounadis-Bastian et al. 2024, arXiv 2408.13920): the published 72 K and 17 K networks.

Written from a description of them. Both hear a clip as a whole: its samples are normalised by its own mean
and power, and the 72 K network's pool takes rows of 13 frames of one channel, laid out by the clip's length.
"""

from __future__ import annotations

import abc
import dataclasses
from typing import ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from edge_ser.dsp import MelSpec
from edge_ser.dsp.filters import mel_filters, window
from edge_ser.dsp.normalise import POWER_FLOOR, unit_power
from edge_ser.errors import EdgeSerError
from edge_ser.models.base import ClipNetwork, NetworkConfig
from edge_ser.models.layers import ConvNorm, max_pool

__all__ = ["FrontEnd", "Wav2Small", "Wav2Small17k", "Wav2SmallConfig"]

_CHANNELS = 13
_PART = 256  # samples; about the root of a clip's
_MELS = 26
_STILL = 1e-6  # a spread that is none
_PUBLISHED = MelSpec(
    win_length=64, n_fft=64, hop_length=32, n_mels=_MELS, fmin=0.0, fmax=8000.0, padding="reflect"
)


@dataclasses.dataclass(frozen=True)
class Wav2SmallConfig(NetworkConfig):
    """Labels of the emotion head; the rest of the shape is the published one. No labels: the published network."""

    n_mels: int = _MELS

    def __post_init__(self) -> None:
        if self.n_mels != _MELS:
            raise EdgeSerError(
                f"wav2small hears {_MELS} bands, not {self.n_mels}: give its recipe the [spec] of the network"
            )


class FrontEnd(nn.Module):
    """Samples to log-mel as frozen convolutions, the numbers of `edge_ser.dsp.log_mel` in decibels up to rounding."""

    def __init__(self, spec: MelSpec) -> None:
        super().__init__()
        bins = spec.n_fft // 2 + 1
        self.pad = spec.n_fft // 2 if spec.padding == "reflect" else 0
        self.floor = spec.floor
        self.real = nn.Conv1d(1, bins, spec.n_fft, stride=spec.hop_length, bias=False)
        self.imaginary = nn.Conv1d(1, bins, spec.n_fft, stride=spec.hop_length, bias=False)
        self.mel = nn.Conv1d(bins, spec.n_mels, 1, bias=False)
        turn = 2 * np.pi * np.outer(np.arange(bins), np.arange(spec.n_fft)) / spec.n_fft
        weight = window(spec.window, spec.win_length)
        frozen = (
            (self.real, weight * np.cos(turn)),
            (self.imaginary, weight * np.sin(turn)),
            (self.mel, mel_filters(spec)),
        )
        for conv, values in frozen:
            with torch.no_grad():
                conv.weight.copy_(torch.from_numpy(np.asarray(values)).reshape(conv.weight.shape))
            conv.weight.requires_grad_(False)

    def forward(self, wave: Tensor) -> Tensor:
        """(B, samples) to (B, T, mels) in dB."""
        x = wave[:, None]
        if self.pad:
            # As pad(mode="reflect"), which converters turn into a table of the index of every sample.
            edges = x[..., 1 : self.pad + 1].flip(2), x[..., -self.pad - 1 : -1].flip(2)
            x = torch.cat([edges[0], x, edges[1]], 2)
        real, imaginary = self.real(x), self.imaginary(x)
        bands = self.mel(real * real + imaginary * imaginary)
        return 10 * torch.log10(bands.clamp_min(self.floor)).transpose(1, 2)


def _mean(x: Tensor) -> Tensor:
    """Mean of each row of (B, samples): (B, 1).

    Added up in parts, as a convolution of ones: runtimes add the samples of a clip one to another, and of a click in
    silence they lose so much of the silence's level that the answers move by 1e-5.
    """
    ones = torch.ones(1, 1, _PART, dtype=x.dtype, device=x.device)
    # Zeros on either side, so that the last part is a whole one at any length; those left over are zeros.
    sums = F.conv1d(x[:, None], ones, stride=_PART, padding=_PART - 1)
    return sums.sum(2) / x.shape[1]


class _Wav2Small(ClipNetwork):
    """What both have: front end, convolutions, and linear outputs."""

    normalise: ClassVar[str] = "unit_power"
    hears_waveform: ClassVar[bool] = True
    into_exponentials: ClassVar[tuple[str, ...]] = ("score",)

    def __init__(self, config: Wav2SmallConfig, hidden: int, *, dropout: float) -> None:
        super().__init__(config, hidden, dropout=dropout)
        self.front_end = FrontEnd(self.spec)
        wide = [ConvNorm(1 if i == 0 else _CHANNELS, _CHANNELS, 3) for i in range(7)]
        self.before, self.after = nn.ModuleList(wide[:3]), nn.ModuleList(wide[3:])

    @staticmethod
    def prepare(wave: np.ndarray) -> np.ndarray:
        """A whole recording (n,) without its mean and at a power of one."""
        return unit_power(wave)

    def forward(self, waveform: Tensor) -> Tensor:
        """The published function.

        Parameters
        ----------
        waveform : Tensor (B, samples)
            Audio at 16 kHz, clips of one length, more than 32 samples (the 17 K network: at least 64).

        Returns
        -------
        Tensor (B, 3)
            Arousal, dominance, valence; about 0..1, not clipped.
        """
        adv, _ = self.hear(waveform)
        return adv

    def hear(self, waveform: Tensor) -> tuple[Tensor, Tensor]:
        """As `ClipNetwork.hear`."""
        x = waveform - _mean(waveform)
        x = x - _mean(x)  # what float32 left of it, which in front of the logarithm would be heard
        x = x / torch.sqrt(_mean(x * x) + POWER_FLOOR)
        return self.answer(self.body(self.front_end(x), None))

    def chains(self) -> list[list[str]]:
        """As `ClipNetwork.chains`: all of the blocks."""
        return [[f"{part}.{i}" for part in ("before", "after") for i in range(len(getattr(self, part)))]]

    def body(self, features: Tensor, frames: Tensor | None) -> Tensor:
        """As `ClipNetwork.body`."""
        return self.attend(*self.maps(features, frames))

    def maps(self, features: Tensor, frames: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """What the convolutions make of features (B, T, 26): (B, 13, tokens, 13), and the valid tokens of each clip."""
        x = features[:, None]
        for conv in self.before:
            x, frames = conv(x, frames)
        x, frames = max_pool(x, frames)
        for conv in self.after:
            x, frames = conv(x, frames)
        return x, frames

    @abc.abstractmethod
    def attend(self, x: Tensor, tokens: Tensor | None) -> Tensor:
        """Maps (B, 13, T, 13) of clips with so many tokens (B,) to the pooled vector (B, hidden)."""

    def answer(self, pooled: Tensor) -> tuple[Tensor, Tensor]:
        """As `Network.answer`, but A/D/V is linear as published: about 0..1, not clipped."""
        pooled = self.dropout(pooled)
        return self.adv(pooled), self.logits(pooled)


class Wav2Small(_Wav2Small):
    """The 72 K network: 72 659 values, of which 67 577 are trained.

    Parameters
    ----------
    config : Wav2SmallConfig
    dropout : float
        On the pooled vector, in training; the paper names none.
    """

    spec: ClassVar[MelSpec] = _PUBLISHED

    def __init__(self, config: Wav2SmallConfig, *, dropout: float = 0.0) -> None:
        super().__init__(config, _CHANNELS * _CHANNELS, dropout=dropout)
        self.mix = nn.Conv2d(_CHANNELS, _CHANNELS, 1)
        self.score = nn.Linear(self.hidden, self.hidden)
        self.value = nn.Linear(self.hidden, self.hidden)

    def attend(self, x: Tensor, tokens: Tensor | None) -> Tensor:
        """See `_rows`; then attention over the rows, for each of the 169 columns its own."""
        rows = _rows(self.mix(x), tokens)
        score = self.score(rows)
        if tokens is not None:
            score = score.masked_fill(_beyond(score, tokens)[:, :, None], float("-inf"))
        return (torch.softmax(score, 1) * self.value(rows)).sum(1)

    @torch.no_grad()
    def settle(self, features: Tensor, frames: Tensor) -> None:
        """Scale scores and pooled vector to a variance of 1 over a first batch (as arXiv 1511.06422 does layers).

        Drawn as usual, scores hardly differ, so that the pool is a plain mean over rows of all channels and times: from
        clip to clip it varies by .03, and the convolutions get no gradient to speak of until the layers after it have
        grown. The function stays the published one, as these are its own weights.
        """
        padded = bool((frames < features.shape[1]).any())
        x, tokens = self.maps(features, frames if padded else None)
        rows = _rows(self.mix(x), tokens)
        valid = rows.flatten(0, 1) if tokens is None else rows[~_beyond(rows, tokens)]
        self.score.weight.div_(_spread(self.score(valid))[:, None])
        pooled = self.attend(x, tokens)
        spread = _spread(pooled)
        self.value.weight.div_(spread[:, None])
        self.value.bias.sub_(pooled.mean(0)).div_(spread)

    def chains(self) -> list[list[str]]:
        """As `ClipNetwork.chains`."""
        return [[*super().chains()[0], "mix"]]


class Wav2Small17k(_Wav2Small):
    """The 17 K network, "Wav2Small 2.0": 15 888 values; 17 244 with four emotions.

    Its pool does not depend on the order of the tokens.

    Parameters
    ----------
    config : Wav2SmallConfig
    dropout : float
        On the pooled vector, in training; none is published.
    """

    spec: ClassVar[MelSpec] = dataclasses.replace(_PUBLISHED, padding="none")

    def __init__(self, config: Wav2SmallConfig, *, dropout: float = 0.0) -> None:
        super().__init__(config, 2 * _CHANNELS * _CHANNELS, dropout=dropout)
        self.score = nn.Conv2d(_CHANNELS, _CHANNELS, 1)
        self.value = nn.Conv2d(_CHANNELS, _CHANNELS, 1)

    def attend(self, x: Tensor, tokens: Tensor | None) -> Tensor:
        """Attention over time for each channel and band, beside the channels' Gram matrix."""
        score = self.score(x)
        if tokens is not None:
            score = score.masked_fill(_beyond(score.transpose(1, 2), tokens)[:, None, :, None], float("-inf"))
        pooled = (torch.softmax(score, 2) * self.value(x)).sum(2)  # (B, channels, bands)
        return torch.cat([pooled, pooled @ pooled.transpose(1, 2)], 2).flatten(1)


def _spread(rows: Tensor) -> Tensor:
    """Standard deviation of each column; 1 where nothing differs."""
    deviation = rows.std(0)
    return torch.where(deviation > _STILL, deviation, 1.0)


def _beyond(x: Tensor, tokens: Tensor) -> Tensor:
    """Which of the rows of (B, T, ...) are padding: (B, T)."""
    return torch.arange(x.shape[1], device=x.device)[None] >= tokens[:, None]


def _rows(x: Tensor, tokens: Tensor | None) -> Tensor:
    """The published reshape of (B, C, T, M) to (B, T, C M) without a permute, on purpose.

    A row is then 13 frames in a row of one channel, and where T is no multiple of 13 some rows straddle two
    channels. Where one channel ends depends on the clip's own length, so padded clips are laid out one by one:
    row by row as each is alone, and after its own tokens rows that mean nothing.
    """
    batch, channels, length, bands = x.shape
    if tokens is None:
        return x.reshape(batch, length, channels * bands)
    place = torch.arange(length * channels * bands, device=x.device)[None]  # in the clip alone
    size = tokens[:, None] * bands  # values of one channel there
    source = (place // size).clamp_max(channels - 1) * length * bands + place % size
    return x.reshape(batch, -1).gather(1, source).reshape(batch, length, channels * bands)
