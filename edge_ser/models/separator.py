"""A network that tells sources apart by masks on the spectrogram of their sum, one for each (arXiv 1703.06284)."""

from __future__ import annotations

import dataclasses
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from edge_ser.errors import EdgeSerError

__all__ = ["LstmSeparator", "Masking", "SeparatorConfig"]


@dataclasses.dataclass(frozen=True)
class Masking:
    """The short-time Fourier transform that masks work on: a Hann window, frames centred.

    Attributes
    ----------
    n_fft, hop_length : int
        Samples of a frame, even, and from frame to frame, at most half of them.

    Raises
    ------
    EdgeSerError
        A value is out of its range.
    """

    n_fft: int = 512
    hop_length: int = 128

    def __post_init__(self) -> None:
        if self.n_fft < 2 or self.n_fft % 2 or not 1 <= self.hop_length <= self.n_fft // 2:
            raise EdgeSerError(
                f"masks need an even n_fft and a hop of at most its half, not {self.n_fft} and {self.hop_length}"
            )

    @property
    def bins(self) -> int:
        """Frequencies of a frame."""
        return self.n_fft // 2 + 1

    def transform(self, waves: Tensor) -> Tensor:
        """Spectra of waves: (B, n) to (B, frames, bins) complex."""
        window = torch.hann_window(self.n_fft, dtype=waves.dtype, device=waves.device)
        spectra = torch.stft(
            waves, self.n_fft, self.hop_length, window=window, pad_mode="constant", return_complex=True
        )
        return spectra.transpose(1, 2)

    def invert(self, spectra: Tensor, samples: int) -> Tensor:
        """Waves of spectra: (..., frames, bins) complex to (..., samples)."""
        shape = spectra.shape[:-2]
        flat = spectra.reshape(-1, *spectra.shape[-2:]).transpose(1, 2)
        window = torch.hann_window(self.n_fft, dtype=flat.real.dtype, device=flat.device)
        waves = torch.istft(flat, self.n_fft, self.hop_length, window=window, length=samples)
        return waves.reshape(*shape, samples)

    def ideal(self, sources: Tensor) -> Tensor:
        """What the best masks between 0 and 1 make of the sum of sources, which they know: the ceiling for a network.

        The mask of each is its share of all magnitudes (the ideal ratio mask); the phase is that of the sum.

        Parameters
        ----------
        sources : Tensor (B, S, n)

        Returns
        -------
        Tensor (B, S, n)
        """
        batch, count, samples = sources.shape
        magnitudes = self.transform(sources.reshape(-1, samples)).abs()
        magnitudes = magnitudes.reshape(batch, count, *magnitudes.shape[1:])
        masks = magnitudes / magnitudes.sum(1, keepdim=True).clamp(min=torch.finfo(magnitudes.dtype).tiny)
        return self.invert(masks * self.transform(sources.sum(1))[:, None], samples)


@dataclasses.dataclass(frozen=True)
class SeparatorConfig:
    """Shape of a separator.

    Attributes
    ----------
    sources : int
        At least 2.
    units, layers : int
        Of the LSTM, in each direction.
    both_ways : bool
        It hears the recording from its end, too.
    masking : Masking
    """

    sources: int = 2
    units: int = 8
    layers: int = 1
    both_ways: bool = False
    masking: Masking = Masking()

    def __post_init__(self) -> None:
        if self.sources < 2 or self.units < 1 or self.layers < 1:
            raise EdgeSerError("a separator has at least two sources, one unit and one layer")

    def to_dict(self) -> dict[str, Any]:
        """All fields as plain values for JSON."""
        return dataclasses.asdict(self)


class LstmSeparator(nn.Module):
    """An LSTM over the frames of a spectrogram, and linear layers that give a mask in 0..1 for each source.

    The masks of all sources sum to one in each bin, so the estimates sum to the mixture. The level of the mixture does
    not matter: its magnitudes are divided by their largest.

    Parameters
    ----------
    config : SeparatorConfig
    """

    def __init__(self, config: SeparatorConfig) -> None:
        super().__init__()
        self.config = config
        bins = config.masking.bins
        self.lstm = nn.LSTM(
            bins, config.units, config.layers, batch_first=True, bidirectional=config.both_ways
        )
        width = config.units * (1 + config.both_ways)
        self.mix = nn.Linear(width, width)
        self.masks = nn.Linear(width, config.sources * bins)

    def forward(self, mixtures: Tensor) -> tuple[Tensor, Tensor]:
        """Tell apart.

        Parameters
        ----------
        mixtures : Tensor (B, n)

        Returns
        -------
        spectra : Tensor (B, S, frames, bins), complex
            Of the estimates.
        masks : Tensor (B, S, frames, bins)
            In 0..1, that make them of the mixture's.
        """
        spectra = self.config.masking.transform(mixtures)
        magnitudes = spectra.abs()
        heard = magnitudes / magnitudes.amax((1, 2), keepdim=True).clamp(min=1e-8)
        # the cube root brings what is quiet near what is loud, as a logarithm does, and leaves silence at 0
        states, _ = self.lstm((heard + 1e-6) ** (1 / 3))
        raw = self.masks(F.relu(self.mix(states)))
        masks = torch.softmax(raw.reshape(*raw.shape[:2], self.config.sources, -1), 2).transpose(1, 2)
        return masks * spectra[:, None], masks

    def separate(self, mixtures: Tensor) -> Tensor:
        """Waves of the estimates: (B, n) to (B, S, n); they sum to the mixtures."""
        return self.config.masking.invert(self(mixtures)[0], mixtures.shape[1])
