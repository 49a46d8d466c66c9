"""One door to large encoders of speech: WavLM, wav2vec 2.0, HuBERT, and Whisper's."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from edge_ser.audio import SAMPLE_RATE
from edge_ser.errors import EdgeSerError
from edge_ser.teachers.sources import Source, described, identity_of, load_pretrained, transformers_class
from edge_ser.teachers.waves import checked_wave, standardised
from edge_ser.teachers.whisper import WhisperEncoder

__all__ = ["FAMILIES", "Encoder", "WaveEncoder", "load_encoder"]


class Encoder(Protocol):
    """A frozen or trainable encoder.

    Attributes
    ----------
    width : int
        Features of a frame.
    depth : int
        Layers of self-attention.
    states : int
        Tensors that `hidden` gives: the output of each layer, and where the family closes with a norm, its output.
    frame_rate : float
        Frames a second.
    layers : torch.nn.ModuleList
        The layers of self-attention, the lowest first.
    identity : str
        SHA-256 of weights and of how recordings are prepared.
    """

    width: int
    depth: int
    states: int
    frame_rate: float

    @property
    def identity(self) -> str: ...  # noqa: D102
    @property
    def layers(self) -> nn.ModuleList: ...  # noqa: D102

    def run(self, x: Tensor, first: int = 0) -> list[Tensor]:
        """States of the layers from `first` on and of a closing norm, from the input (B, T, width) of layer `first`.

        For a `first` above 0 that input is state ``first - 1``.
        """

    def hidden(self, wave: npt.NDArray[np.float32]) -> list[Tensor]:
        """States of a recording (n,) at 16 kHz: `states` tensors (T, width). Gradients flow unless they are off."""


class WaveEncoder(nn.Module):
    """An encoder that hears the waveform itself: wav2vec 2.0, WavLM, HuBERT.

    Parameters
    ----------
    network : transformers.PreTrainedModel
    standardises : bool
        Recordings are brought to mean 0 and variance 1 first, as the model's ``preprocessor_config.json`` says.
    """

    def __init__(self, network: Any, standardises: bool) -> None:
        super().__init__()
        config = network.config
        self.network = network
        _without_narrow_bfloat16(network.encoder.pos_conv_embed)
        self.standardises = standardises
        self.width: int = config.hidden_size
        self.depth: int = config.num_hidden_layers
        # The "large" kind normalises before each layer and so once more at the end; the "base" kind after each.
        self._closes = bool(config.do_stable_layer_norm)
        self.states = self.depth + self._closes
        self.frame_rate = SAMPLE_RATE / math.prod(config.conv_stride)
        self._least = 1
        for kernel, stride in zip(reversed(config.conv_kernel), reversed(config.conv_stride), strict=True):
            self._least = (self._least - 1) * stride + kernel

    @cached_property
    def identity(self) -> str:
        """SHA-256 of weights and description."""
        return identity_of(self, f"{self.network.config.model_type} standardises={self.standardises}")

    @property
    def layers(self) -> nn.ModuleList:
        """The layers of self-attention, the lowest first."""
        layers: nn.ModuleList = self.network.encoder.layers
        return layers

    def run(self, x: Tensor, first: int = 0) -> list[Tensor]:
        """As `Encoder.run`."""
        states: list[Tensor] = []
        more = self._positions(x)
        for layer in self.layers[first:]:
            said = layer(x, **more)
            x = said[0] if isinstance(said, tuple) else said
            states.append(x)
        return [*states, self.network.encoder.layer_norm(x)] if self._closes else states

    def _positions(self, x: Tensor) -> dict[str, Tensor]:
        """WavLM's lowest layer computes the distances of frames for all the others."""
        attention: Any = self.layers[0].attention
        if not hasattr(attention, "compute_bias"):
            return {}
        bias = attention.compute_bias(x.shape[1], x.shape[1])
        return {"position_bias": bias.repeat(x.shape[0], 1, 1)}

    def hidden(self, wave: npt.NDArray[np.float32]) -> list[Tensor]:
        """States of a recording (n,): `states` tensors (T, width).

        Raises
        ------
        EdgeSerError
            Too short for one frame, longer than a minute, or not finite.
        """
        x = checked_wave(wave, self._least)
        return [
            state[0] for state in self(torch.from_numpy(standardised(x) if self.standardises else x)[None])
        ]

    def forward(self, x: Tensor) -> list[Tensor]:
        """Prepared recordings of one length, (B, n), to `states` tensors (B, T, width)."""
        states: list[Tensor] = []

        def keep(layer: nn.Module, inputs: Any, output: Any) -> None:
            states.append(output[0] if isinstance(output, tuple) else output)

        # Hooks, not transformers' output_hidden_states: what that counts as a state differs between its versions.
        handles = [layer.register_forward_hook(keep) for layer in self.network.encoder.layers]
        try:
            last = self.network(x).last_hidden_state
        finally:
            for handle in handles:
                handle.remove()
        return [*states, last] if self._closes else states


def _without_narrow_bfloat16(positions: nn.Module) -> None:
    """Have a convolution of few channels a group compute in float32 on a processor.

    oneDNN, as torch 2.13 has it, gets those of fewer than 16 wrong in bfloat16 on AMX: nothing of the result is
    left. Published encoders have 48 and more.
    """
    convolution = next(part for part in positions.modules() if isinstance(part, nn.Conv1d))
    if convolution.in_channels // convolution.groups >= 16:
        return
    forward = positions.forward

    def exact(x: Tensor) -> Any:
        with torch.autocast("cpu", enabled=False):
            return forward(x.float() if x.device.type == "cpu" else x)

    positions.forward = exact


def _waves(name: str) -> Callable[[Source], Encoder]:
    """Loader of a family by transformers' class."""

    def load(at: Source) -> WaveEncoder:
        kind = transformers_class(name)
        description = at.json("config.json")
        if "vocab_size" in description and description["vocab_size"] is None:
            description["vocab_size"] = (
                32  # some published files say null, which some of transformers 5 refuse
            )
        description["add_adapter"] = False  # it would change the rate of the last state alone
        standardises = at.standardises()
        with described(at):
            network = load_pretrained(kind, at, config=kind.config_class(**description))
        return WaveEncoder(network, standardises).eval()

    return load


#: From ``model_type`` in a model's ``config.json`` to its loader.
FAMILIES: dict[str, Callable[[Source], Encoder]] = {
    "wav2vec2": _waves("Wav2Vec2Model"),
    "wavlm": _waves("WavLMModel"),
    "hubert": _waves("HubertModel"),
    "whisper": lambda at: WhisperEncoder.load(at.name),
}


def load_encoder(source: str | Path) -> Encoder:
    """Load an encoder in inference mode.

    Parameters
    ----------
    source : str or Path
        A folder as transformers writes it, faster-whisper's folder (with ``model.bin``), or a name on the hub.

    Returns
    -------
    Encoder

    Raises
    ------
    EdgeSerError
        Nothing is there, it is of a family that is not known, or its weights are missing or damaged.

    Examples
    --------
    >>> encoder = load_encoder("microsoft/wavlm-base-plus")     # doctest: +SKIP
    >>> [state.shape for state in encoder.hidden(wave)]         # doctest: +SKIP
    """
    at = Source(source)
    if at.folder.is_dir() and (at.folder / "model.bin").is_file():
        return WhisperEncoder.load(source)
    kind = at.json("config.json").get("model_type")
    if kind not in FAMILIES:
        raise EdgeSerError(
            f"{source} is of the family {kind!r}; the encoders that can be used are {', '.join(FAMILIES)}"
        )
    return FAMILIES[kind](at)
