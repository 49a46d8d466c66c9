"""Log-mel of many waves at once, in torch: `edge_ser.dsp.log_mel` where the waves are, on an accelerator too."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from edge_ser.dsp import MelSpec
from edge_ser.dsp.filters import mel_filters, window
from edge_ser.errors import EdgeSerError

__all__ = ["LogMels", "within"]


def within(length: int, counts: Tensor) -> Tensor:
    """Which of `length` places belong to each row: (B, length) bool, the first ``counts[b]`` of them."""
    return torch.arange(length, device=counts.device) < counts[:, None]


class LogMels(nn.Module):
    """A front end over waves padded to one length; within 1e-3 dB of `edge_ser.dsp.log_mel` above the floor.

    Parameters
    ----------
    spec : MelSpec
        Padding 'causal' or 'reflect'.

    Raises
    ------
    EdgeSerError
        Another padding.
    """

    def __init__(self, spec: MelSpec) -> None:
        super().__init__()
        if spec.padding not in ("causal", "reflect"):
            raise EdgeSerError(
                f"features in batches need padding 'causal' or 'reflect', not {spec.padding!r}"
            )
        self.spec = spec
        self.window: Tensor
        self.filters: Tensor
        self.register_buffer("window", torch.from_numpy(window(spec.window, spec.win_length)).float())
        self.register_buffer("filters", torch.from_numpy(mel_filters(spec)).float())

    def forward(self, waves: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Features of some waves.

        Parameters
        ----------
        waves : Tensor (B, n)
            At ``spec.sample_rate``; zeros after each one's end.
        lengths : Tensor (B,) int64
            Samples of each, at most n; with 'reflect' more than ``n_fft // 2``.

        Returns
        -------
        features : Tensor (B, T, n_mels)
            Of each wave as it has them alone; what is after its last frame means nothing.
        frames : Tensor (B,) int64
        """
        s = self.spec
        if s.padding == "causal":
            padded = F.pad(waves, (s.n_fft - s.hop_length, 0))
            frames = lengths // s.hop_length
        else:
            half = s.n_fft // 2
            # each end mirrors its own wave, not the zeros that follow it
            place = torch.arange(-half, waves.shape[1] + half, device=waves.device).abs()[None]
            last = lengths[:, None] - 1
            place = torch.where(place > last, 2 * last - place, place)
            padded = waves.gather(1, place.clamp(0, waves.shape[1] - 1)) * (place >= 0)
            frames = lengths // s.hop_length + 1
        spectrum = torch.stft(
            padded, s.n_fft, s.hop_length, s.win_length, self.window, center=False, return_complex=True
        )
        power = spectrum.real.square() + spectrum.imag.square()
        energy = (power.sqrt() if s.power == 1.0 else power).transpose(1, 2) @ self.filters.T
        if s.log != "none":
            energy = energy.clamp_min(s.floor)
            energy = torch.log(energy) if s.log == "ln" else torch.log10(energy)
            if s.log == "db":
                energy = energy * (20.0 / s.power)
        return (energy - s.mean) / s.scale, frames
