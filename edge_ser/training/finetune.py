"""A large encoder of speech as a classifier whose upper layers are tuned, for `edge_ser.training.classify`."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from edge_ser.errors import EdgeSerError
from edge_ser.teachers.encoders import WaveEncoder, load_encoder

__all__ = ["EncoderClassifier"]


class EncoderClassifier(nn.Module):
    """Waveforms to logits: an encoder of waveforms, the mean over time of its last state, and a linear layer.

    Parameters
    ----------
    source : str
        A folder as transformers writes it, or a name on the hub, of a wav2vec 2.0, WavLM or HuBERT model.
    classes : int
    tuned : int
        Upper layers of self-attention that are trained; all below them, and what reads the waveform, stay as they are.

    Raises
    ------
    EdgeSerError
        No such encoder, one of another family, or fewer layers than are to be tuned.
    """

    def __init__(self, source: str, classes: int, *, tuned: int = 2) -> None:
        super().__init__()
        encoder = load_encoder(source)
        if not isinstance(encoder, WaveEncoder):
            raise EdgeSerError(f"{source} does not hear waveforms; give a wav2vec 2.0, WavLM or HuBERT model")
        if not 0 <= tuned <= encoder.depth:
            raise EdgeSerError(f"{source} has {encoder.depth} layers; {tuned} of them cannot be tuned")
        self.encoder = encoder
        self.head = nn.Linear(encoder.width, classes)
        for weight in encoder.parameters():
            weight.requires_grad = False
        for layer in encoder.layers[encoder.depth - tuned :]:
            for weight in layer.parameters():
                weight.requires_grad = True

    def train(self, mode: bool = True) -> EncoderClassifier:
        """As `torch.nn.Module.train`; what is not tuned stays in inference mode, without dropout."""
        super().train(mode)
        if mode:
            self.encoder.eval()
            for layer in self.encoder.layers:
                if any(weight.requires_grad for weight in layer.parameters()):
                    layer.train()
        return self

    def forward(self, waves: Tensor) -> Tensor:
        """Waves (B, n) at 16 kHz, of one length, to logits (B, classes)."""
        if self.encoder.standardises:
            mean = waves.mean(1, keepdim=True)
            waves = (waves - mean) / torch.sqrt(waves.var(1, keepdim=True, unbiased=False) + 1e-7)
        logits: Tensor = self.head(self.encoder(waves)[-1].mean(1))
        return logits
