"""Bundles for everybody's tests: a stream72k of the real shape with random weights, so that answers vary."""

from __future__ import annotations

import contextlib
import functools
import json
import math
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge_ser.bundle import Bundle, write_bundle
from edge_ser.corpora.roots import data_root, find_folder
from edge_ser.dsp import MelSpec
from edge_ser.errors import EdgeSerError
from edge_ser.tensors import pack_tensors
from export.description import describe

LABELS = ("neutral", "calm", "happy", "sad", "angry", "fearful", "disgust", "surprised")
SPEC = MelSpec(mean=-40.0, scale=20.0)
CONFIG: dict[str, Any] = {
    "labels": list(LABELS),
    "n_mels": 64,
    "stem": [8, 16],
    "channels": 96,
    "kernel": 5,
    "dilations": [1, 2, 4, 8],
    "heads": 4,
    "step_frames": 20,
    "window_segments": 20,
    "bound": 6.0,
    "eps": 1e-3,
}
FILES = {
    "numpy": "weights.safetensors",
    "numpy-int8": "weights.int8.safetensors",
    "onnx": "model.onnx",
    "onnx-int8": "model.int8.onnx",
    "tflite": "model.tflite",
    "tflite-int8": "model.int8.tflite",
    "tflite-int8-full": "model.int8-full.tflite",
    "c-int8-full": "model.h",
    "pt2": "model.pt2",
}
ENGINES = {"numpy": "numpy", "onnx": "onnx", "tflite": "litert", "c": "micro", "pt2": "torch"}


def folded_shapes(config: dict[str, Any] = CONFIG) -> dict[str, tuple[int, ...]]:
    """Names and shapes of the folded weights; a test holds that torch's are the same."""
    c, k = config["channels"], config["kernel"]
    shapes: dict[str, tuple[int, ...]] = {}
    inputs = 1
    for i, outputs in enumerate(config["stem"]):
        shapes[f"stem.{i}.conv.weight"] = (outputs, inputs, 3, 3)
        inputs = outputs
    shapes["mix.conv.weight"] = (c, inputs * (config["n_mels"] >> len(config["stem"])), 1)
    shapes["down.conv.weight"] = (c, 1, k)
    for i in range(len(config["dilations"])):
        shapes[f"blocks.{i}.depthwise.conv.weight"] = (c, 1, k)
        shapes[f"blocks.{i}.pointwise.conv.weight"] = (c, c, 1)
    shapes["attend.weight"] = (config["heads"], c, 1)
    shapes["emotion.weight"] = (len(config["labels"]), 2 * c)
    shapes["adv.weight"] = (3, 2 * c)
    return shapes | {n.replace("weight", "bias"): (s[0],) for n, s in shapes.items()}


def state_shapes(config: dict[str, Any] = CONFIG) -> dict[str, tuple[int, ...]]:
    """Names and shapes of the state tensors; a test holds that torch's are the same."""
    c, k, halve, phases = (
        config["channels"],
        config["kernel"],
        config.get("halve", -1),
        config.get("phases", 1),
    )
    stems = (1, *config["stem"][:-1])
    shapes: dict[str, tuple[int, ...]] = {
        f"stem{i}": (1, s, 1 if i == halve and phases == 1 else 2, config["n_mels"] >> i)
        for i, s in enumerate(stems)
    }
    shapes["down"] = (1, c, (k - 1) * phases if halve >= 0 else k - 1 if phases == 2 else k - 2)
    shapes |= {f"block{i}": (1, c, (k - 1) * d * phases) for i, d in enumerate(config["dilations"])}
    return shapes | {"pool": (1, config["window_segments"], config["heads"] + 2 * c)}


def random_weights(seed: int = 0, config: dict[str, Any] = CONFIG) -> dict[str, np.ndarray]:
    """Folded weights that keep the signal's size from layer to layer; answers differ clearly between sounds."""
    rng = np.random.default_rng(seed)
    weights = {}
    for name, shape in folded_shapes(config).items():
        if name.endswith("bias"):
            values = rng.normal(0, 0.1, shape)
        else:
            gain = {"attend": 1.0, "emotion": 1.5, "adv": 1.5}.get(name.split(".")[0], math.sqrt(2))
            values = rng.normal(0, gain / math.sqrt(math.prod(shape[1:])), shape)
        weights[name] = values.astype(np.float32)
    return weights


def manifest(
    files: Sequence[dict[str, Any]], config: dict[str, Any] = CONFIG, name: str = "tiny"
) -> dict[str, Any]:
    """A valid manifest around `files`."""
    return describe(
        name=name,
        architecture="stream72k",
        config=config,
        spec=SPEC,
        states=state_shapes(config),
        parameters=sum(math.prod(shape) for shape in folded_shapes(config).values()),
        macs_per_second=5_000_000,
        training={"data": [{"name": "none: random weights", "licence": "none"}], "seed": 0},
        licence="Apache-2.0",
        adv_source="random weights; the answers mean nothing",
        rated=True,
        figures=[],
        calibration={"temperature": 1.0, "unsure_below": 0.0},
        files=files,
    )


def make_bundle(
    folder: str | Path, seed: int = 0, formats: Sequence[str] = ("numpy",), config: dict[str, Any] = CONFIG
) -> Bundle:
    """Write a whole bundle of random weights.

    Parameters
    ----------
    folder : path
        Must not exist; its parent must.
    formats : sequence of str
        Names in `FILES`. NumPy's needs no torch, the others do (fixture `full_bundle` makes them once a session).
    """
    weights = random_weights(seed, config)
    data = {FILES["numpy"]: pack_tensors(weights)}
    if wanted := set(formats) - {"numpy"}:
        source = source_of(seed, config)
        data |= {FILES[name]: _function(name)(source) for name in sorted(wanted)}
    if "c-int8-full" in formats:
        from export.metadata import about, with_metadata

        name = FILES["c-int8-full"]
        data[name] = with_metadata(data[name], "micro", about(manifest([], config)))
    if "numpy" not in formats:
        del data[FILES["numpy"]]
    entries = [
        {"path": path, "engine": ENGINES[name.split("-")[0]], "precision": name.partition("-")[2] or "fp32"}
        for name, path in FILES.items()
        if path in data
    ]
    entries.append({"path": "MODEL_CARD.md", "engine": None, "precision": None})
    data["MODEL_CARD.md"] = b"# tiny\n\nRandom weights, for tests.\n"
    return write_bundle(folder, manifest(entries, config), data)


def torch_model(weights: dict[str, np.ndarray], config: dict[str, Any] = CONFIG) -> Any:
    """The folded torch module with these weights."""
    import torch

    from edge_ser.models.stream72k import Stream72k, Stream72kConfig

    model = Stream72k(Stream72kConfig.from_dict(config), folded=True).eval()
    model.load_state_dict({name: torch.from_numpy(value) for name, value in weights.items()})
    return model


def features_of_sounds(sounds: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """What the steps of the random weights are given of each sound."""
    from edge_ser.evaluation.parity import features_of

    return features_of(sounds, SPEC, CONFIG["step_frames"])


def source_of(seed: int = 0, config: dict[str, Any] = CONFIG) -> Any:
    """What files of the random weights are made from; one object for the session, since converters take seconds."""
    return _source(seed, json.dumps(config))


@functools.cache
def _source(seed: int, config: str) -> Any:
    from export.calibration import calibrate_on_sample
    from export.source import Source

    shape = json.loads(config)
    calibration = calibrate_on_sample(SPEC, shape["step_frames"])
    return Source(torch_model(random_weights(seed, shape), shape), calibration)


def _function(name: str) -> Any:
    from export.formats import choose_formats

    [row] = choose_formats(name)
    return row.function


def corpus_folder(name: str) -> Path | None:
    """Where a corpus of real recordings lies, or None."""
    try:
        return find_folder(data_root(), name)
    except EdgeSerError:
        return None


def need_corpus(name: str) -> Path:
    """Where a corpus lies, or a skip that says what is missing."""
    folder = corpus_folder(name)
    if folder is None:
        pytest.skip(f"no {name} recordings (set EDGE_SER_DATA, or put them into ../shared/data)")
    return folder


@contextlib.contextmanager
def blank_pictures() -> Iterator[None]:
    """Pictures are made up to where matplotlib would set their type, which takes a second each."""
    figure = pytest.importorskip("matplotlib.figure").Figure
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(figure, "savefig", lambda self, file, **options: file.write(b"<svg>blank</svg>"))
        yield


def program_wheel(folder: Path, version: str, program: str) -> Path:
    """A wheel named edge-ser that needs nothing; `program` has a ``main``, and finds its ``VERSION``."""
    path = folder / f"edge_ser-{version}-py3-none-any.whl"
    info = f"edge_ser-{version}.dist-info"
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("fake_edge_ser.py", program + f"\nVERSION = {version!r}\n")
        file.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: edge-ser\nVersion: {version}\n")
        file.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        file.writestr(f"{info}/entry_points.txt", "[console_scripts]\nedge-ser = fake_edge_ser:main\n")
        file.writestr(f"{info}/RECORD", "")
    return path
