"""The networks: one table that names, builds, describes and counts them.

`ARCHITECTURES` has those whose checkpoints are trained, exported and run like any other, `NETWORKS` also what the
studies compare them with.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from edge_ser.errors import EdgeSerError
from edge_ser.models.alone import ALONE, Alone
from edge_ser.models.base import Network, NetworkConfig
from edge_ser.models.cnn14 import Cnn14
from edge_ser.models.mel_cnn import ImageConfig, MelCnn3, MelCnn4, MelCnn5, PooledCnn3, PooledCnn4
from edge_ser.models.mobilenetv4 import MobileNetV4L, MobileNetV4M, MobileNetV4S
from edge_ser.models.picture_cnn import PictureCnn
from edge_ser.models.resnet import ResNet50
from edge_ser.models.stream72k import Stream72k, Stream72kConfig
from edge_ser.models.wav2small import Wav2Small, Wav2Small17k, Wav2SmallConfig
from edge_ser.models.waveform_cnn import WaveformCnn, WaveformConfig

__all__ = [
    "ALONE",
    "ARCHITECTURES",
    "NETWORKS",
    "Alone",
    "Architecture",
    "architecture",
    "build_model",
    "describe",
]


class Architecture(NamedTuple):
    """A row of the table of networks."""

    model: type[Network]
    config: type[NetworkConfig]
    about: str

    def describe(self, name: str) -> dict[str, Any]:
        """See `describe`."""
        import torch

        with torch.device("meta"):
            model = self.model(self.config(labels=()))
        parameters = model.count_parameters()
        cost, _ = model.cost(model.spec)
        return {
            "name": name,
            "about": self.about,
            "parameters": parameters,
            "frozen": sum(p.numel() for p in model.parameters()) - parameters,
            "buffers": sum(b.numel() for b in model.buffers()),
            "per_class": model.hidden + 1,
            "hidden": model.hidden,
            "streams": model.streams,
            "macs_per_second": model.macs_per_second(model.spec),
            "activation_bytes": cost.activation_bytes,
            "n_mels": model.spec.n_mels,
            "frame_rate": model.spec.frame_rate,
            "exports": True,
            "why_not": "",
        }


ARCHITECTURES = {
    "stream72k": Architecture(Stream72k, Stream72kConfig, "the streaming student, at most 72 000 parameters"),
    "wav2small-72k": Architecture(Wav2Small, Wav2SmallConfig, "Wav2Small as published (arXiv 2408.13920)"),
    "wav2small-17k": Architecture(Wav2Small17k, Wav2SmallConfig, "Wav2Small 2.0, a quarter of its size"),
    "mobilenetv4-s": Architecture(MobileNetV4S, NetworkConfig, "MobileNetV4-Conv-S (arXiv 2404.10518)"),
    "mobilenetv4-m": Architecture(MobileNetV4M, NetworkConfig, "MobileNetV4-Conv-M"),
    "mobilenetv4-l": Architecture(MobileNetV4L, NetworkConfig, "MobileNetV4-Conv-L"),
    "cnn14": Architecture(Cnn14, NetworkConfig, "CNN14 of PANNs (arXiv 1912.10211), a large teacher"),
    "resnet50": Architecture(ResNet50, NetworkConfig, "ResNet-50 (arXiv 1512.03385), a large teacher"),
    "cnn-3": Architecture(MelCnn3, ImageConfig, "three convolutions on a mel image of 128 x 128"),
    "cnn-4": Architecture(MelCnn4, ImageConfig, "four convolutions on such an image"),
    "cnn-5": Architecture(MelCnn5, ImageConfig, "five convolutions on such an image"),
    "pooled-cnn-3": Architecture(PooledCnn3, ImageConfig, "three convolutions and the mean over time"),
    "pooled-cnn-4": Architecture(PooledCnn4, ImageConfig, "four convolutions and the mean over time"),
    "cnn-1d": Architecture(
        WaveformCnn, WaveformConfig, "1-D CNN on the waveform, M5-like (arXiv 1610.00087)"
    ),
    "cnn-2d": Architecture(PictureCnn, ImageConfig, "2-D CNN on grey mel pictures of 50 x 150"),
}

#: All that is compared here, one row each.
NETWORKS: dict[str, Architecture | Alone] = {**ARCHITECTURES, **ALONE}


def architecture(name: str) -> Architecture:
    """A row of `ARCHITECTURES`.

    Raises
    ------
    EdgeSerError
        There is none of that name.
    """
    if name not in ARCHITECTURES:
        raise EdgeSerError(f"unknown network {name!r}; there are: {', '.join(ARCHITECTURES)}")
    return ARCHITECTURES[name]


def build_model(name: str, config: Mapping[str, Any], *, folded: bool = False) -> Network:
    """A network with fresh weights.

    Parameters
    ----------
    name : str
        Of `ARCHITECTURES`.
    config : mapping
        Its configuration's `to_dict` form.
    folded : bool
        The inference form without batch normalisation, which stream72k alone has.

    Raises
    ------
    EdgeSerError
        Unknown architecture, or a configuration that is not its own.
    """
    row = architecture(name)
    shape = row.config.from_dict(config)
    if not folded:
        return row.model(shape)
    if not isinstance(shape, Stream72kConfig):
        raise EdgeSerError(f"{name} has no folded form; stream72k alone is shipped in one")
    return Stream72k(shape, folded=True)


def describe(names: Sequence[str] = tuple(NETWORKS)) -> list[dict[str, Any]]:
    """Networks of the default shape, counted without a weight being made where that can be.

    Those of `ARCHITECTURES` have the A/D/V head alone; others are counted as they are, with eight classes.

    Parameters
    ----------
    names : sequence of str
        Of `NETWORKS`.

    Returns
    -------
    list of dict
        ``name``, ``about``, ``parameters`` (that training sets; None where they depend on what is fitted), ``frozen``
        (a front end inside), ``buffers`` (statistics of batch normalisation), ``streams``, ``macs_per_second``,
        ``activation_bytes`` (the largest tensor of one inference in fp32: a step where it streams, else 5 s, of
        others 3 s), ``exports`` and else ``why_not``; of `ARCHITECTURES` also ``per_class`` (parameters that each
        emotion adds), ``hidden``, ``n_mels`` and ``frame_rate`` of its front end.
    """
    return [NETWORKS[name].describe(name) for name in names]
