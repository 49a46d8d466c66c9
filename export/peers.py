"""Other networks as bundles of random weights: what they cost on a device does not depend on what they learnt."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

from edge_ser.bundle import Bundle
from edge_ser.dsp import MelSpec
from edge_ser.errors import EdgeSerError
from export.exporter import unchecked_bundle
from export.formats import format_for

__all__ = ["write_peer"]

_LABELS = ("neutral", "calm", "happy", "sad", "angry", "fearful", "disgust", "surprised")
_ROWS = (("litert", "fp32"), ("onnx", "fp32"))


def write_peer(name: str, folder: Path) -> Bundle:
    """Write a network of `edge_ser.models` that does not stream, with random weights, as a bundle in `folder`.

    It hears five seconds again every quarter of a second, the form ``window`` of ``edge-ser export``, through LiteRT
    and ONNX Runtime.

    Parameters
    ----------
    name : str
        Of `edge_ser.models.ARCHITECTURES`.
    folder : Path
        The bundle becomes a folder of that name in there.

    Raises
    ------
    EdgeSerError
        A package that conversion needs is missing, a bundle of that name is there, or the folder cannot be made.
    """
    import torch

    from edge_ser.models import architecture, build_model
    from edge_ser.models.checkpoint import save_checkpoint

    config = architecture(name).config(labels=_LABELS).to_dict()
    rows = [format_for(*row) for row in _ROWS]
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise EdgeSerError(f"cannot make the folder {folder}: {error.strerror}; name another") from error
    with torch.random.fork_rng(devices=[]), tempfile.TemporaryDirectory() as aside:
        torch.manual_seed(0)
        model = build_model(name, config).eval()
        meta = {
            "architecture": name,
            "config": config,
            "spec": model.spec.to_dict(),
            "training": {"licence": "none: random weights", "adv_source": "none: random weights"},
        }
        checkpoint = Path(aside) / f"{name}.safetensors"
        save_checkpoint(checkpoint, model, meta)
        return unchecked_bundle(checkpoint, folder / name, rows, _no_ranges)


def _no_ranges(training: Mapping[str, Any], spec: MelSpec, frames: int) -> NoReturn:
    raise ValueError("formats of fp32 learn no ranges")
