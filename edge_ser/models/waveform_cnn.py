"""A convolutional network on the waveform, like the M5 of Dai et al. 2016, "Very deep convolutional neural networks for
raw waveforms" (arXiv 1610.00087).
"""

from __future__ import annotations

from torch import Tensor, nn

from edge_ser.errors import EdgeSerError

__all__ = ["WaveformCnn"]

_KERNEL = 80  # samples of the first filters, 5 ms at 16 kHz


class WaveformCnn(nn.Module):
    """Four convolutions with batch normalisation and ReLU, each thinned by four, the mean over time, two layers.

    Parameters
    ----------
    classes : int
    width : int
        Channels of the first two; the last two have twice as many. M5 has 128, and four times as many in the last.
    stride : int
        Samples from filter to filter of the first convolution; M5 has 4.
    dropout : float
        After each convolution and between the last layers, in training.

    Raises
    ------
    EdgeSerError
        A number below 1.
    """

    def __init__(self, classes: int, width: int = 32, stride: int = 16, dropout: float = 0.1) -> None:
        super().__init__()
        if min(classes, width, stride) < 1:
            raise EdgeSerError("a network on waveforms needs classes, channels and a stride of at least 1")
        layers: list[nn.Module] = []
        for i, o, kernel, step in (
            (1, width, _KERNEL, stride),
            (width, width, 3, 1),
            (width, 2 * width, 3, 1),
            (2 * width, 2 * width, 3, 1),
        ):
            layers += [
                nn.Conv1d(i, o, kernel, stride=step, padding=kernel // 2, bias=False),
                nn.BatchNorm1d(o),
                nn.ReLU(),
                nn.MaxPool1d(4, ceil_mode=True),
                nn.Dropout(dropout),
            ]
        self.layers = nn.Sequential(*layers)
        self.full = nn.Sequential(
            nn.Linear(2 * width, 2 * width), nn.ReLU(), nn.Dropout(dropout), nn.Linear(2 * width, classes)
        )

    def forward(self, waves: Tensor) -> Tensor:
        """Waveforms (B, 1, samples) in -1..1 to logits (B, classes)."""
        return self.full(self.layers(waves).mean(2))
