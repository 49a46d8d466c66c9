"""Files of the teachers that ``edge-ser teach`` makes: arrays, and what they are as JSON in the metadata."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edge_ser.errors import EdgeSerError
from edge_ser.files import parse_json_object
from edge_ser.tensors import read_metadata, read_safetensors, write_safetensors

__all__ = ["check_encoder", "read_about", "read_teacher", "refuse_alone", "write_teacher"]

_KEY = "edge_ser_teacher"
_ALWAYS = {"encoder", "centred", "identity"}


def write_teacher(path: str | Path, arrays: Mapping[str, npt.NDArray[Any]], meta: dict[str, Any]) -> None:
    """Write a teacher's arrays and description."""
    write_safetensors(path, dict(arrays), {_KEY: json.dumps(meta, sort_keys=True)})


def read_about(path: str | Path) -> dict[str, Any]:
    """A teacher's description; a file that does not say its ``kind`` is linear, the first kind there was.

    Raises
    ------
    EdgeSerError
        No such file, or no teacher.
    """
    metadata = read_metadata(path)
    if _KEY not in metadata:
        raise EdgeSerError(f"{path} is no teacher of edge-ser: train one with edge-ser teach")
    return parse_json_object(metadata[_KEY].encode(), str(path))


def read_teacher(
    path: str | Path, kind: str, fields: set[str], names: set[str]
) -> tuple[dict[str, npt.NDArray[np.float32]], dict[str, Any]]:
    """Arrays, in single precision, and description of a teacher.

    Parameters
    ----------
    path : str or Path
    kind : str
        What it should be; a file that does not say is linear, the first kind there was.
    fields, names : set of str
        Of its description and of its arrays, that it must have.

    Raises
    ------
    EdgeSerError
        No such file, or one of another kind or not whole.
    """
    meta = read_about(path)
    if (own := meta.get("kind", "linear")) != kind:
        raise EdgeSerError(f"{path} is a teacher of another kind than {kind}: name it with --kind {own}")
    arrays = {name: array.astype(np.float32) for name, array in read_safetensors(path).items()}
    if missing := sorted((fields | names | _ALWAYS) - {*meta, *arrays}):
        raise EdgeSerError(f"{path} lacks {', '.join(missing)}: train it again with edge-ser teach")
    return arrays, meta


def check_encoder(path: str | Path, meta: Mapping[str, Any], identity: str, encoder: str | Path) -> None:
    """Refuse a teacher on an encoder that it was not trained on."""
    if identity != meta["encoder"]:
        raise EdgeSerError(
            f"{path} was trained on another encoder than {encoder}: name the one it was trained on"
        )


def refuse_alone(centred: str) -> None:
    """Refuse to answer one recording where a teacher hears it beside others."""
    if centred:
        raise EdgeSerError(
            f"this teacher hears a recording beside its {centred}'s others: label whole corpora with edge-ser "
            'teach, or train one with centre = ""'
        )
