"""Augmentation of log-mel features: what a speaker, a microphone or a room might have changed."""

from __future__ import annotations

import dataclasses
import functools
import math

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from edge_ser.dsp import MelSpec
from edge_ser.dsp.filters import mel_frequencies
from edge_ser.training.parts import need

__all__ = ["EARLIEST", "Augment", "end_early", "restyle", "spread", "warp"]

#: Parameter of the Beta distribution of `restyle`.
_STYLE = 0.3
#: Least share of a clip that ends early.
EARLIEST = 0.3
#: Lower and upper edge of a line in Hz, and how far down it is outside: from and to.
_Line = tuple[tuple[float, float], tuple[float, float], tuple[float, float]]
_NARROW: _Line = ((100.0, 500.0), (2500.0, 8000.0), (20.0, 100.0))
_TELEPHONE: _Line = ((250.0, 400.0), (3000.0, 4000.0), (40.0, 100.0))
#: Variance added to that of a band, which may stand still.
_STILL = 1e-4


@dataclasses.dataclass(frozen=True)
class Augment:
    """How much of each augmentation; 0 turns one off.

    Attributes
    ----------
    speed : float
        Tempo is stretched by a factor in ``1 - speed .. 1 + speed``.
    bands_shift : float
        The spectrum moves up or down by up to so many bands (a speaker's vocal tract and pitch).
    bands_stretch : float
        and stretches around its middle by up to this share.
    gain_db : float
        Standard deviation of the level in dB, cut at two of them.
    tilt_db : float
        Standard deviation in dB of each of three smooth curves over the bands (a microphone's response).
    band_mask, frame_mask : int
        Widest stretch of bands and of frames that is set to the mean level, twice each (SpecAugment, arXiv 1904.08779).
    mixup : float
        Parameter of the Beta distribution of arXiv 1710.09412; clips mix in the log-mel domain.
    style : float
        Share of the clips, 0..1, whose mean and spread of each band over time become a mixture of their own and another
        clip's (MixStyle, arXiv 2104.02008, over bands as in arXiv 2206.12513): another voice and microphone saying the
        same.
    narrow : float
        Share of the clips, 0..1, of which bands below 100 to 500 Hz and above 2.5 to 8 kHz are lowered by 20 to 100 dB,
        as by a small loudspeaker.
    telephone : float
        Share of the clips, 0..1, of which those below 250 to 400 Hz and above 3 to 4 kHz are, by 40 to 100 dB.
    early : float
        Share of the clips, 0..1, that end early, after 0.3 to 1 of the crop drawn evenly: a device answers before
        everything was said.

    Raises
    ------
    EdgeSerError
        A value is out of its range.
    """

    speed: float = 0.12
    bands_shift: float = 2.0
    bands_stretch: float = 0.06
    gain_db: float = 8.0
    tilt_db: float = 3.0
    band_mask: int = 8
    frame_mask: int = 24
    mixup: float = 0.3
    style: float = 0.0
    narrow: float = 0.0
    telephone: float = 0.0
    early: float = 0.0

    def __post_init__(self) -> None:
        shares = ("style", "narrow", "telephone", "early")
        sizes = ("bands_shift", "gain_db", "tilt_db", "band_mask", "frame_mask", "mixup")
        need(
            {f"{name} from 0 to below 1": 0 <= getattr(self, name) < 1 for name in ("speed", "bands_stretch")}
            | {f"{name} of at least 0": 0 <= getattr(self, name) < math.inf for name in sizes}
            | {f"{name} from 0 to 1": 0 <= getattr(self, name) <= 1 for name in shares}
        )


def warp(features: Tensor, how: Augment, rng: np.random.Generator) -> Tensor:
    """Stretch one clip in time and shift and stretch its bands.

    Parameters
    ----------
    features : Tensor (T, n_mels)
    how : Augment
    rng : numpy.random.Generator

    Returns
    -------
    Tensor (T', n_mels)
        ``T'`` is about ``T / (1 +- speed)``, at least 1.
    """
    if how.speed == how.bands_shift == how.bands_stretch == 0:
        return features
    frames, bands = features.shape
    length = max(1, int(frames / (1 + rng.uniform(-how.speed, how.speed))))
    half = (bands - 1) / 2
    stretch = 1 + rng.uniform(-how.bands_stretch, how.bands_stretch)
    across = ((torch.arange(bands) - half) * stretch + rng.uniform(-how.bands_shift, how.bands_shift)) / half
    along = torch.linspace(-1, 1, length)
    grid = torch.stack([across.expand(length, bands), along[:, None].expand(length, bands)], -1)
    warped = F.grid_sample(features[None, None], grid[None], align_corners=True, padding_mode="border")
    return warped[0, 0]


def end_early(clip: Tensor, how: Augment, rng: np.random.Generator) -> Tensor:
    """A clip (T, n_mels), or by chance only its beginning."""
    if how.early == 0 or rng.random() >= how.early:
        return clip
    return clip[: max(1, round(len(clip) * rng.uniform(EARLIEST, 1)))]


def restyle(batch: Tensor, frames: Tensor, how: Augment) -> Tensor:
    """Give some clips a mixture of their own and another clip's statistics, drawn from torch's global generator.

    Parameters
    ----------
    batch : Tensor (B, T, n_mels)
    frames : Tensor (B,)
        Valid frames of each clip; those after them stay as they are.
    how : Augment

    Returns
    -------
    Tensor (B, T, n_mels)
    """
    if how.style == 0:
        return batch
    count = len(batch)
    valid = (torch.arange(batch.shape[1]) < frames[:, None])[:, :, None]
    size = frames.clamp(min=1)[:, None, None]
    mean = (batch * valid).sum(1, keepdim=True) / size
    deviation = (((batch - mean) * valid).square().sum(1, keepdim=True) / size + _STILL).sqrt()
    own = torch.distributions.Beta(_STYLE, _STYLE).sample((count, 1, 1))
    own = torch.where(torch.rand(count, 1, 1) < how.style, own, 1.0)
    other = torch.randperm(count)
    new_mean = own * mean + (1 - own) * mean[other]
    new_deviation = own * deviation + (1 - own) * deviation[other]
    return torch.where(valid, (batch - mean) / deviation * new_deviation + new_mean, batch)


def spread(batch: Tensor, how: Augment, spec: MelSpec) -> Tensor:
    """Gain, tilt and masks, drawn for each clip of a batch from torch's global generator.

    Parameters
    ----------
    batch : Tensor (B, T, n_mels)
        Normalised log-mel in dB as `spec` says.
    how : Augment
    spec : MelSpec
        For what a dB and the floor are after normalisation.

    Returns
    -------
    Tensor (B, T, n_mels)
    """
    count, frames, bands = batch.shape
    gain = torch.randn(count, 1, 1).clamp(-2, 2) * how.gain_db
    place = torch.linspace(-1, 1, bands)
    curves = torch.stack(
        [place.expand(count, bands)]
        + [torch.cos(k * math.pi * place + 2 * math.pi * torch.rand(count, 1)) for k in (1, 2)],
        1,
    )
    tilt = (torch.randn(count, 3, 1) * curves).sum(1, keepdim=True) * how.tilt_db
    floor = (10 * math.log10(spec.floor) - spec.mean) / spec.scale
    change = gain + tilt
    for share, line in ((how.narrow, _NARROW), (how.telephone, _TELEPHONE)):
        if share > 0:
            change = change + _lowered(count, share, line, spec)
    batch = (batch + change / spec.scale).clamp(min=floor)
    # A front end that takes no mean level off its decibels has 0 where a clip is loudest: there it is the clip's own.
    level = batch.mean((1, 2), keepdim=True) if spec.mean == 0 else torch.zeros(())
    for _ in range(2):
        batch = _blank(batch, level, how.band_mask, bands, (count, 1, bands))
        batch = _blank(batch, level, how.frame_mask, frames, (count, frames, 1))
    return batch


@functools.cache
def _centres(spec: MelSpec, device: torch.device) -> Tensor:
    """Of the bands, in Hz; kept, since a step that is replayed can fetch nothing."""
    return torch.as_tensor(mel_frequencies(spec)[1:-1], dtype=torch.float32, device=device)


def _lowered(count: int, share: float, line: _Line, spec: MelSpec) -> Tensor:
    """What a line takes from each band of some clips, in dB (B, 1, n_mels)."""
    centres = _centres(spec, torch.get_default_device())
    low, high = (edge[0] * (edge[1] / edge[0]) ** torch.rand(count, 1) for edge in line[:2])
    outside = (centres < low) | (centres > high)
    depth = line[2][0] + (line[2][1] - line[2][0]) * torch.rand(count, 1)
    some = torch.rand(count, 1) < share
    return -(depth * (outside & some))[:, None]


def _blank(batch: Tensor, level: Tensor, widest: int, size: int, shape: tuple[int, int, int]) -> Tensor:
    """Set a random stretch of bands or frames of each clip to its mean level."""
    width = torch.randint(0, min(widest, size) + 1, (batch.shape[0], 1))
    start = (torch.rand(batch.shape[0], 1) * (size - width + 1)).long()
    index = torch.arange(size)
    return torch.where(((index >= start) & (index < start + width)).reshape(shape), level, batch)
