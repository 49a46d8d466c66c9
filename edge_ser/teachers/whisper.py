"""The encoder of Whisper (Radford et al. 2022, arXiv 2212.04356) as a source of features.

Its layers are those of transformers; the weights come from a transformers folder or hub name, or from
faster-whisper's ``model.bin``. The usual padding to 30 s is not needed: a clip's own frames are used, at the first
positions.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from edge_ser.dsp import MelSpec
from edge_ser.dsp.batch import log_mel
from edge_ser.errors import EdgeSerError
from edge_ser.teachers.ct2 import read_ct2
from edge_ser.teachers.sources import Source, fill, identity_of, load_pretrained, transformers_class
from edge_ser.teachers.waves import checked_wave

__all__ = ["WHISPER_MELS", "WhisperEncoder"]

#: Whisper's front end before its range is limited: 80 bands (128 in the third large model), 25 ms every 10 ms.
WHISPER_MELS = MelSpec(
    win_length=400, n_fft=400, hop_length=160, n_mels=80, fmin=0.0, log="log10", padding="reflect"
)
_PEAK = 0.7
_RANGE = 8.0  # decades below the loudest band
_LEAST = 320  # samples of one frame of the encoder


class WhisperEncoder(nn.Module):
    """Hidden states of every layer of a Whisper encoder.

    Parameters
    ----------
    encoder : transformers.models.whisper.modeling_whisper.WhisperEncoder

    Attributes
    ----------
    width, depth : int
        Features of a frame; layers.
    states : int
        Tensors that `run`, `forward` and `hidden` give: each layer's output, then that of the closing norm.
    frame_rate : float
        Frames a second.
    """

    frame_rate = 50.0
    #: Recordings are scaled to it first; and so many decades below the loudest band are heard.
    peak, decades = _PEAK, _RANGE

    def __init__(self, encoder: Any) -> None:
        super().__init__()
        self.encoder = encoder
        self.width: int = encoder.config.d_model
        self.depth: int = encoder.config.encoder_layers
        self.states = self.depth + 1
        self.spec = replace(WHISPER_MELS, n_mels=encoder.config.num_mel_bins)

    @classmethod
    def load(cls, source: str | Path) -> WhisperEncoder:
        """From a folder (faster-whisper's or transformers') or a hub name.

        Raises
        ------
        EdgeSerError
            Nothing of the kind is there, or it is damaged.
        """
        at = Source(source)
        if at.folder.is_dir() and (at.folder / "model.bin").exists():
            return cls(_from_ct2(at.folder / "model.bin")).eval()
        kind = at.json("config.json").get("model_type")
        if kind != "whisper":
            raise EdgeSerError(
                f"{at} is of the family {kind!r}, not a Whisper; edge_ser.teachers.encoders loads others"
            )
        return cls(load_pretrained(transformers_class("WhisperModel"), at).encoder).eval()

    @property
    def layers(self) -> nn.ModuleList:
        """The layers of self-attention, the lowest first."""
        layers: nn.ModuleList = self.encoder.layers
        return layers

    @cached_property
    def identity(self) -> str:
        """SHA-256 of the weights and of the front end."""
        return identity_of(self, f"{self.spec} peak={_PEAK} range={_RANGE}")

    def mels(self, wave: npt.NDArray[np.float32]) -> Tensor:
        """Whisper's features of a recording (n,) at 16 kHz: (n_mels, frames), scaled to a peak of 0.7 first.

        Raises
        ------
        EdgeSerError
            Shorter than 20 ms, longer than 30 s, or not finite.
        """
        longest = len(self.encoder.embed_positions.weight) / self.frame_rate
        wave = checked_wave(wave, _LEAST, longest)
        peak = float(np.abs(wave).max())
        wave = np.asarray(wave * (_PEAK / peak) if peak > 0 else wave, dtype=np.float32)
        bands = log_mel(wave, self.spec)[:-1]
        return torch.from_numpy(((np.maximum(bands, bands.max() - _RANGE) + 4.0) / 4.0).T.astype(np.float32))

    def embed(self, mels: Tensor) -> Tensor:
        """Convolutions and positions: (B, n_mels, frames) to (B, frames / 2, width)."""
        x = F.gelu(self.encoder.conv2(F.gelu(self.encoder.conv1(mels)))).transpose(1, 2)
        if x.shape[1] > len(self.encoder.embed_positions.weight):
            raise EdgeSerError(
                f"a clip of {x.shape[1] / self.frame_rate:.0f} s is longer than Whisper's 30 s: cut it"
            )
        return x + self.encoder.embed_positions.weight[: x.shape[1]]

    def run(self, x: Tensor, first: int = 0) -> list[Tensor]:
        """Layers from `first` on: the output of each, and last that of the closing norm."""
        states = []
        for layer in self.encoder.layers[first:]:
            x = layer(x, None)
            states.append(x)
        return [*states, self.encoder.layer_norm(x)]

    def forward(self, waves: Sequence[npt.NDArray[np.float32]]) -> list[Tensor]:
        """States of recordings of one length: depth + 1 tensors (B, T, width), 50 frames a second."""
        return self.run(self.embed(torch.stack([self.mels(wave) for wave in waves])))

    def hidden(self, wave: npt.NDArray[np.float32]) -> list[Tensor]:
        """States of one recording (n,): depth + 1 tensors (T, width). Gradients flow unless they are off."""
        return [state[0] for state in self([wave])]


def _from_ct2(path: Path) -> Any:
    """Transformers' encoder with the weights of faster-whisper's file."""
    weights = read_ct2(path, "encoder/")
    if coarse := [name for name, value in weights.items() if value.dtype.kind == "i" and value.ndim]:
        raise EdgeSerError(f"{path} is quantised ({coarse[0]} is of integers); get it in float16 or float32")
    depth = len({found[1] for name in weights if (found := re.match(r"encoder/layer_(\d+)/", name))})
    try:
        width, mels, _ = weights["encoder/conv1/weight"].shape
        positions = weights["encoder/position_encodings/encodings"]
        config = transformers_class("WhisperConfig")(
            d_model=width,
            num_mel_bins=mels,
            encoder_layers=depth,
            encoder_attention_heads=int(weights["encoder/num_heads"]),
            encoder_ffn_dim=len(weights["encoder/layer_0/ffn/linear_0/bias"]),
            max_source_positions=len(positions),
        )
        state = {"embed_positions.weight": positions} | _norm(weights, "encoder/layer_norm", "layer_norm")
        for name in ("conv1", "conv2"):
            state |= _linear(weights, f"encoder/{name}", name)
        for i in range(depth):
            state |= _layer(weights, f"encoder/layer_{i}", f"layers.{i}")
    except KeyError as error:
        raise EdgeSerError(
            f"{path} is no Whisper encoder (it has no {error.args[0]}); get another file"
        ) from error
    except ValueError as error:
        raise EdgeSerError(f"{path} is no Whisper encoder ({error}); get another file") from error
    transformers_class("WhisperModel")  # first, so that its chatter is kept back
    from transformers.models.whisper.modeling_whisper import WhisperEncoder as Encoder

    encoder = Encoder(config)
    fill(
        encoder,
        {name: torch.from_numpy(value.astype(np.float32)) for name, value in state.items()},
        str(path),
    )
    return encoder


Arrays = dict[str, npt.NDArray[Any]]


def _layer(weights: Arrays, at: str, to: str) -> Arrays:
    state = _norm(weights, f"{at}/self_attention/layer_norm", f"{to}.self_attn_layer_norm")
    state |= _norm(weights, f"{at}/ffn/layer_norm", f"{to}.final_layer_norm")
    for kind in ("weight", "bias"):
        parts = np.split(weights[f"{at}/self_attention/linear_0/{kind}"], 3)
        for name, part in zip("qkv", parts, strict=True):
            if (name, kind) != ("k", "bias"):  # Whisper's keys have none; the file holds zeros
                state[f"{to}.self_attn.{name}_proj.{kind}"] = part
    state |= _linear(weights, f"{at}/self_attention/linear_1", f"{to}.self_attn.out_proj")
    state |= _linear(weights, f"{at}/ffn/linear_0", f"{to}.fc1")
    return state | _linear(weights, f"{at}/ffn/linear_1", f"{to}.fc2")


def _linear(weights: Arrays, at: str, to: str) -> Arrays:
    return {f"{to}.{kind}": weights[f"{at}/{kind}"] for kind in ("weight", "bias")}


def _norm(weights: Arrays, at: str, to: str) -> Arrays:
    return {f"{to}.weight": weights[f"{at}/gamma"], f"{to}.bias": weights[f"{at}/beta"]}
