"""bundle.json's content from what export knows; pure Python, so that tests without torch can use it too."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from edge_ser.dsp import MelSpec
from edge_ser.errors import EdgeSerError
from edge_ser.interface import ADV_ORDER
from edge_ser.manifest import is_model_name

__all__ = ["adv_entry", "describe", "model_name"]


def model_name(name: str | None, target: Path) -> str:
    """What a bundle is called: `name`, or as its folder where that is left out; asked before anything is converted.

    Raises
    ------
    EdgeSerError
        A bundle cannot be called so.
    """
    called = target.name if name is None else name
    if not is_model_name(called):
        told = "the folder's name" if name is None else "the name"
        raise EdgeSerError(
            f"{told} {called!r} cannot be a model's; give it a plain name of 1 to 64 letters (a-z), digits, '.', '_' "
            "and '-', the first of them no '.' or '-'"
        )
    return called


def describe(
    *,
    name: str,
    architecture: str,
    config: Mapping[str, Any],
    spec: MelSpec,
    states: Mapping[str, Sequence[int]],
    parameters: int,
    macs_per_second: int,
    training: Mapping[str, Any],
    licence: str,
    adv_source: str,
    rated: bool,
    figures: Sequence[Mapping[str, Any]],
    calibration: Mapping[str, float],
    files: Sequence[Mapping[str, Any]],
    quantisation: Mapping[str, Any] | None = None,
    window: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Fill in a bundle's manifest, without what `edge_ser.bundle.write_bundle` adds.

    Parameters
    ----------
    config : mapping
        The architecture's; has ``labels`` and, where it streams, ``step_frames``.
    adv_source : str
        Whose ratings arousal, dominance and valence follow, or why there are none.
    rated : bool
        Whether there are; without, the three are answered by nobody.
    states : mapping of str to shape
        Every state tensor in the step's order, batch of one included; all float32, all zeros at first.
    files : sequence of mapping
        ``path``, ``engine``, ``precision`` and, where it is not "step", ``form`` of each file.
    quantisation : mapping, optional
        How files of rounded numbers were made: ``calibration`` (what their ranges were learnt from),
        ``float_layers``, ``integer_layers`` and ``methods``, by format.
    window : mapping, optional
        How a network that does not stream is fed: ``input`` (its name), ``shape``, ``samples``, ``normalise`` and
        ``step_frames``.

    Returns
    -------
    dict
        For `write_bundle`.
    """
    labels = list(config["labels"])
    step_frames = int(config["step_frames"] if window is None else window["step_frames"])
    taken = ("features", (1, step_frames, spec.n_mels))
    if window is not None:
        taken = (window["input"], window["shape"])

    def tensor(tensor_name: str, shape: Sequence[int]) -> dict[str, Any]:
        return {"name": tensor_name, "shape": [int(size) for size in shape], "dtype": "float32"}

    return {
        "name": name,
        "architecture": architecture,
        "config": dict(config),
        "spec": spec.to_dict(),
        "step_frames": step_frames,
        "inputs": [tensor(*taken)],
        "states": [tensor(state, shape) for state, shape in states.items()],
        "outputs": [tensor("adv", (1, 3)), tensor("logits", (1, len(labels)))],
        "labels": labels,
        "adv": adv_entry(adv_source, rated=rated),
        "calibration": dict(calibration),
        "parameters": parameters,
        "macs_per_second": macs_per_second,
        "training": dict(training),
        "licence": licence,
        "figures": [dict(figure) for figure in figures],
        "files": [dict(file) for file in files],
        **({} if quantisation is None else {"quantisation": dict(quantisation)}),
        **({} if window is None else {"window": {key: window[key] for key in ("samples", "normalise")}}),
    }


def adv_entry(source: str, *, rated: bool) -> dict[str, Any]:
    """What a manifest says of arousal, dominance and valence."""
    scale = {"order": list(ADV_ORDER), "range": [0, 1], "source": source}
    return scale if rated else scale | {"learnt": False}
