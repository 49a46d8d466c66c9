"""What a Whisper encoder makes of many waves at once: the statistics of `edge_ser.teachers.linear.statistics`."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from edge_ser.errors import EdgeSerError
from edge_ser.precision import bfloat16
from edge_ser.teachers.encoders import Encoder
from edge_ser.teachers.whisper import WhisperEncoder
from edge_ser.training.live.mels import LogMels, within

__all__ = ["BatchListener"]

_AT_ONCE = 16  # waves whose states a processor has in memory


class BatchListener(nn.Module):
    """Hears waves padded to one length, each as it would be heard alone.

    Parameters
    ----------
    encoder : Encoder
        A Whisper; others do not hear in batches here.

    Raises
    ------
    EdgeSerError
        Another encoder.
    """

    def __init__(self, encoder: Encoder) -> None:
        super().__init__()
        if not isinstance(encoder, WhisperEncoder):
            raise EdgeSerError("live views are heard by the encoder of a Whisper; give --encoder one")
        self.whisper, self.mels = encoder, LogMels(encoder.spec)
        self.size = 2 * encoder.states * encoder.width

    def forward(self, waves: Tensor, lengths: Tensor) -> Tensor:
        """Mean and deviation over time of every state, computed in bfloat16 where the device has it.

        Parameters
        ----------
        waves : Tensor (B, n) float32
            16 kHz, zeros after each one's end.
        lengths : Tensor (B,) int64
            Samples of each, at least 20 ms.

        Returns
        -------
        Tensor (B, 2 * states * width) float32
        """
        at_once = _AT_ONCE if waves.device.type == "cpu" else len(waves)
        with torch.inference_mode(), bfloat16(waves.device.type):
            parts = zip(waves.split(at_once), lengths.split(at_once), strict=True)
            return torch.cat([self._moments(*part) for part in parts])

    def _moments(self, waves: Tensor, lengths: Tensor) -> Tensor:
        """Means and deviations of some waves."""
        states, valid = self._states(waves, lengths)
        weight = valid[:, :, None].float() / valid.sum(1)[:, None, None]
        parts = []
        for state in states:
            state = state.float()
            mean = (state * weight).sum(1)
            spread = ((state - mean[:, None]).square() * weight).sum(1).sqrt()
            parts += [mean, spread]
        return torch.cat(parts, 1)

    def _states(self, waves: Tensor, lengths: Tensor) -> tuple[list[Tensor], Tensor]:
        """The layers' states (B, T, width), and which frames are each wave's."""
        peak = waves.abs().amax(1, keepdim=True)
        with torch.autocast(waves.device.type, enabled=False):
            bands, frames = self.mels(waves * (self.whisper.peak / peak.clamp_min(1e-12)), lengths)
        frames = frames - 1  # the last is dropped
        valid = within(bands.shape[1], frames)[:, :, None]
        loudest = bands.masked_fill(~valid, -torch.inf).amax((1, 2), keepdim=True)
        heard = ((torch.maximum(bands, loudest - self.whisper.decades) + 4.0) / 4.0) * valid
        encoder = self.whisper.encoder
        # zeros after the end, as a convolution of the wave alone would pad it
        x = F.gelu(encoder.conv1(heard.transpose(1, 2))) * valid.transpose(1, 2)
        x = F.gelu(encoder.conv2(x)).transpose(1, 2)
        x = x + encoder.embed_positions.weight[: x.shape[1]]
        valid = within(x.shape[1], (frames + 1) // 2)
        states = []
        for layer in encoder.layers:
            x = x + _attention(layer.self_attn, layer.self_attn_layer_norm(x), valid)
            x = x + layer.fc2(F.gelu(layer.fc1(layer.final_layer_norm(x))))
            states.append(x)
        return [*states, encoder.layer_norm(x)], valid


def _attention(attend: nn.Module, x: Tensor, valid: Tensor) -> Tensor:
    """Self-attention of transformers' Whisper over the frames that are each wave's; its own call differs by version."""
    batch, frames, width = x.shape

    def heads(project: nn.Module) -> Tensor:
        split: Tensor = project(x).view(batch, frames, attend.num_heads, -1)
        return split.transpose(1, 2)

    query, key, value = (heads(getattr(attend, f"{name}_proj")) for name in "qkv")
    mixed = F.scaled_dot_product_attention(query, key, value, attn_mask=valid[:, None, None])
    joined: Tensor = attend.get_submodule("out_proj")(mixed.transpose(1, 2).reshape(batch, frames, width))
    return joined
