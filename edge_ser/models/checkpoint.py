"""Checkpoints: one safetensors file with weights and all that is needed to use them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch

from edge_ser.errors import EdgeSerError
from edge_ser.files import parse_json_object
from edge_ser.models import build_model
from edge_ser.models.base import Network
from edge_ser.tensors import read_metadata, read_safetensors, write_safetensors

__all__ = ["load_checkpoint", "save_checkpoint"]

_KEY = "edge_ser"


def save_checkpoint(
    path: str | Path, model: torch.nn.Module, meta: dict[str, Any], *, half: bool = False
) -> None:
    """Write a model's weights and its description, aside and then renamed.

    Parameters
    ----------
    path : str or Path
    model : torch.nn.Module
        One of `edge_ser.models`, not folded.
    meta : dict
        Holds ``architecture``, ``config`` and ``spec``, and what else should be kept (``training``).
    half : bool
        Store floating point values as float16, half the size; they are read back as float32. A front end in the
        model (weights that training does not set) and what float16 cannot hold stay whole.
    """
    frozen = {name for name, weight in model.named_parameters() if not weight.requires_grad}
    arrays = {}
    for name, tensor in model.state_dict().items():
        array = tensor.detach().cpu().numpy()
        if half and array.dtype == np.float32 and name not in frozen:
            array = _halved(array)
        arrays[name] = array
    write_safetensors(path, arrays, {_KEY: json.dumps(meta, sort_keys=True)})


def _halved(array: np.ndarray) -> np.ndarray:
    """As float16, or as it is where a value is beyond 65 504 (a variance of features in decibels may be)."""
    largest = np.max(np.abs(array), initial=0.0)
    return array.astype(np.float16) if largest <= np.finfo(np.float16).max else array


def load_checkpoint(path: str | Path) -> tuple[Network, dict[str, Any]]:
    """Read a checkpoint: the model, in inference mode, and its description.

    Raises
    ------
    EdgeSerError
        No such file, damaged, or not a checkpoint of edge-ser.
    """
    metadata = read_metadata(path)
    if _KEY not in metadata:
        raise EdgeSerError(f"{path} is not a checkpoint of edge-ser: write one with edge-ser train")
    meta = parse_json_object(metadata[_KEY].encode("utf-8"), str(path))
    if missing := {"architecture", "config", "spec", "training"} - set(meta):
        raise EdgeSerError(
            f"{path} lacks {', '.join(sorted(missing))}: it is not a whole checkpoint; train it again"
        )
    model = build_model(meta["architecture"], meta["config"])
    tensors = {
        name: torch.from_numpy(array.astype(np.float32) if array.dtype == np.float16 else array)
        for name, array in read_safetensors(path).items()
    }
    try:
        model.load_state_dict(tensors)
    except RuntimeError as error:
        raise EdgeSerError(
            f"{path} does not fit its own description of a {meta['architecture']}: {error}"
        ) from error
    return model.eval(), meta
