"""What bundle.json says, as typed values; every wrong, missing or foreign entry is refused by name."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from edge_ser.calibration import Calibration
from edge_ser.detector import SpeechDetector
from edge_ser.dsp import MelSpec
from edge_ser.entries import MAX_ELEMENTS, Entries
from edge_ser.errors import EdgeSerError
from edge_ser.interface import ADV_ORDER, Interface, TensorSpec, next_name
from edge_ser.vector_input import VectorInput

__all__ = [
    "CARD",
    "DEFAULT_PRECISION",
    "FORMAT",
    "FORMS",
    "NORMALISATIONS",
    "PRECISIONS",
    "VERSION",
    "AdvScale",
    "BundleFile",
    "Calibration",
    "Interface",
    "Manifest",
    "SpeechDetector",
    "TensorSpec",
    "VectorInput",
    "Window",
    "is_model_name",
    "least_version",
    "next_name",
]

FORMAT = "edge-ser-bundle"
#: The newest version that is read. Version 1 knew models that stream; 2 has those that hear a window as well, 3 files
#: that somebody else made, 4 those of hosts' engines and models of feature vectors, 5 models that learnt no ratings,
#: 6 a typical answer to each emotion (one for all of them before).
VERSION = 6
#: ``int8`` rounds weights and the inputs of products; the others of eight bits say what they do otherwise, and
#: ``int8-full`` takes, gives and carries bytes.
PRECISIONS = ("fp32", "fp16", "int8", "int8-weights", "int8-dynamic", "int8-full")
_FIRST_PRECISIONS = PRECISIONS[:3]
#: What is run where neither the user nor the bundle says another.
DEFAULT_PRECISION = PRECISIONS[0]
_FIRST_ENGINES = ("numpy", "onnx", "litert")
#: File of a bundle that tells people of the model.
CARD = "MODEL_CARD.md"
#: How a model file is driven: a stateful step, a window of fixed length, a whole clip, a clip's feature vector.
FORMS = ("step", "window", "clip", "vector")
#: What is done to the samples of a window: nothing, or its mean taken out and its power made one.
NORMALISATIONS = ("none", "unit_power")

_DTYPES = ("float32", "float16", "int8", "int32", "int64")
_FILE_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")
_MODEL_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,63}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_MAX_STEP_FRAMES = 1 << 16
_MAX_WINDOW_S = 600

T = TypeVar("T")


def is_model_name(name: str) -> bool:
    """Whether a bundle may be called so: letters, digits, and after the first also ``.``, ``_`` and ``-``."""
    return _MODEL_NAME.fullmatch(name) is not None


@dataclasses.dataclass(frozen=True)
class Window:
    """How a model that does not stream is fed: with the last seconds, again at each step.

    Attributes
    ----------
    samples : int
        Length, at the front end's sample rate.
    normalise : str
        One of `NORMALISATIONS`, done to the window's samples before anything else. A file that takes a waveform does
        it itself.
    """

    samples: int
    normalise: str = "none"


@dataclasses.dataclass(frozen=True)
class AdvScale:
    """What arousal, dominance and valence mean here: their order, range, and whose ratings they follow.

    Not `learnt`: the model knows emotions alone, and nothing is answered for the three.
    """

    order: tuple[str, ...]
    range: tuple[float, float]
    source: str
    learnt: bool = True


@dataclasses.dataclass(frozen=True)
class BundleFile:
    """One file of a bundle; `engine` and `precision` are None for what no engine runs."""

    path: str
    sha256: str
    bytes: int
    engine: str | None
    precision: str | None
    form: str = "step"


@dataclasses.dataclass(frozen=True)
class Manifest:
    """All of bundle.json; see the fields' types. `config` belongs to the architecture."""

    name: str
    architecture: str
    config: dict[str, Any]
    spec: MelSpec
    step_frames: int
    inputs: tuple[TensorSpec, ...]
    states: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    labels: tuple[str, ...]
    adv: AdvScale
    calibration: Calibration
    parameters: int
    macs_per_second: int
    training: dict[str, Any]
    licence: str
    figures: tuple[dict[str, Any], ...]
    files: tuple[BundleFile, ...]
    window: Window | None = None
    interface: Interface | None = None
    speech_detector: SpeechDetector | None = None
    vector: VectorInput | None = None
    preferred: dict[str, str] = dataclasses.field(default_factory=dict)

    def preferred_precision(self, engine: str) -> str:
        """What to run on an engine where the user does not say: what ``preferred`` says, else `DEFAULT_PRECISION`.

        A bundle that has files of others alone for the engine runs the first of them.
        """
        if engine in self.preferred:
            return self.preferred[engine]
        there = [file.precision for file in self.files if file.engine == engine and file.precision]
        return there[0] if there and DEFAULT_PRECISION not in there else DEFAULT_PRECISION

    @property
    def step_s(self) -> float:
        """Seconds from one answer to the next."""
        return self.step_frames * self.spec.hop_length / self.spec.sample_rate

    @property
    def hears(self) -> str:
        """What a step of its engines takes: ``features``, or ``samples`` where only a whole window gives features."""
        if self.window is None:
            return "features"
        streams = self.window.normalise == "none" and self.spec.padding == "causal"
        return "features" if streams and self.inputs[0].name == "features" else "samples"

    @classmethod
    def from_dict(cls, entries: Mapping[str, Any], what: str) -> Manifest:
        """Check and convert the parsed JSON.

        Parameters
        ----------
        entries : mapping
            The object as parsed.
        what : str
            What it is, as the start of an error sentence.

        Raises
        ------
        EdgeSerError
            It is not a bundle, is of a newer version, or an entry is missing or wrong; unknown entries
            are let be, so that later versions of the toolkit may add some.
        """
        if entries.get("format") != FORMAT:
            raise EdgeSerError(
                f"{what} is not a bundle of edge-ser (its format is not {FORMAT!r}); name another folder"
            )
        top = Entries(entries, what)
        version = top.count("version", 1)
        if version > VERSION:
            raise EdgeSerError(
                f"{what} is of version {version} and this edge-ser reads up to {VERSION}; update edge-ser"
            )
        top.require_shown()
        manifest = cls(
            name=top.matching("name", _MODEL_NAME),
            architecture=top.text("architecture"),
            config=top.mapping("config"),
            spec=_spec(top),
            step_frames=top.count("step_frames", 1, _MAX_STEP_FRAMES),
            inputs=tuple(_tensor(entry) for entry in top.items("inputs")),
            states=tuple(_tensor(entry) for entry in top.items("states")),
            outputs=tuple(_tensor(entry) for entry in top.items("outputs")),
            labels=top.texts("labels"),
            adv=_adv(top.child("adv")),
            calibration=Calibration.parse(top.child("calibration"), len(top.texts("labels"))),
            parameters=top.count("parameters"),
            macs_per_second=top.count("macs_per_second"),
            training=top.mapping("training"),
            licence=top.text("licence"),
            figures=tuple(_figure(entry) for entry in top.items("figures")),
            files=tuple(_file(entry) for entry in top.items("files")),
            window=_window(top.child("window")) if top.raw.get("window") is not None else None,
            interface=Interface.parse(top.child("interface"))
            if top.raw.get("interface") is not None
            else None,
            speech_detector=SpeechDetector.parse(top.child("speech_detector"))
            if "speech_detector" in entries
            else None,
            vector=VectorInput.parse(top.child("vector")) if top.raw.get("vector") is not None else None,
            preferred=_preferred(top.child("preferred")) if top.raw.get("preferred") is not None else {},
        )
        _check_agreement(manifest, top)
        return manifest


def _preferred(entry: Entries) -> dict[str, str]:
    return {engine: entry.choice(engine, PRECISIONS) for engine in entry.raw}


def _spec(top: Entries) -> MelSpec:
    fields = top.mapping("spec")
    try:
        spec = MelSpec.from_dict(fields)
    except EdgeSerError as error:
        raise top.wrong("spec", f"a front end's description: {error}") from error
    if spec.n_mels > spec.n_fft:
        raise top.wrong("spec", "a front end with no more bands than points")
    if spec.n_mels * (spec.n_fft // 2 + 1) > MAX_ELEMENTS:  # the filters are made as a whole
        raise top.wrong("spec", f"a front end whose bands times bins are at most {MAX_ELEMENTS}")
    return spec


def _tensor(entry: Entries) -> TensorSpec:
    return TensorSpec(entry.text("name"), entry.shape("shape"), entry.choice("dtype", _DTYPES))


def _adv(entry: Entries) -> AdvScale:
    order = entry.texts("order")
    if order != ADV_ORDER:
        raise entry.wrong("order", f"{list(ADV_ORDER)}")
    limits = entry.get("range", list, "two numbers")
    if len(limits) != 2 or any(type(limit) not in (int, float) for limit in limits) or limits[0] >= limits[1]:
        raise entry.wrong("range", "two numbers, the lower first")
    learnt = entry.get("learnt", bool, "true or false") if "learnt" in entry.raw else True
    return AdvScale(order, (float(limits[0]), float(limits[1])), entry.text("source"), learnt)


def _window(entry: Entries) -> Window:
    return Window(entry.count("samples", 1, MAX_ELEMENTS), entry.choice("normalise", NORMALISATIONS))


def least_version(manifest: Mapping[str, Any]) -> int:
    """The oldest version whose readers understand a manifest: what `write_bundle` writes, so that they may."""
    typical = manifest.get("calibration", {}).get("typical")
    if isinstance(typical, list) and any(isinstance(row, list) for row in typical):
        return 6
    if "learnt" in manifest.get("adv", ()):
        return 5
    files = manifest.get("files", ())
    engines = {entry.get("engine") for entry in files} - {*_FIRST_ENGINES, None}
    newer = engines or manifest.get("vector") is not None
    if newer or any(entry.get("precision") == "int8-full" for entry in files):
        return 4
    if manifest.get("interface") is not None:
        return 3
    known = (*_FIRST_PRECISIONS, None)
    new = any(entry.get("precision") not in known for entry in files)
    return 1 if manifest.get("window") is None and not new else 2


def _figure(entry: Entries) -> dict[str, Any]:
    entry.text("protocol")  # a figure without its protocol says nothing
    return dict(entry.raw)


def _file(entry: Entries) -> BundleFile:
    engine = precision = None
    form = "step"
    if entry.raw.get("engine") is not None or entry.raw.get("precision") is not None:
        engine = entry.matching("engine", _FILE_NAME)
        precision = entry.choice("precision", PRECISIONS)
        if "form" in entry.raw:
            form = entry.choice("form", FORMS)
    return BundleFile(
        path=_plain_path(entry),
        sha256=entry.matching("sha256", _SHA256),
        bytes=entry.count("bytes"),
        engine=engine,
        precision=precision,
        form=form,
    )


def _plain_path(entry: Entries) -> str:
    # A bundle is flat: a plain file name can neither leave the folder nor be hidden in it.
    path = entry.matching("path", _FILE_NAME)
    if Path(path).name != path or path == "bundle.json":
        raise entry.wrong("path", "the plain name of a file in the bundle's folder")
    return path


def _check_agreement(manifest: Manifest, top: Entries) -> None:
    """Entries that say the same thing twice must say the same."""
    tensors = {spec.name: spec for spec in (*manifest.inputs, *manifest.states, *manifest.outputs)}
    if len(tensors) != len(manifest.inputs) + len(manifest.states) + len(manifest.outputs):
        raise top.wrong("states", "tensors whose names differ from each other and from inputs and outputs")
    wanted: dict[str, tuple[int, ...]] = {
        "adv": (1, len(manifest.adv.order)),
        "logits": (1, len(manifest.labels)),
    }
    if manifest.vector is not None:
        if manifest.window is not None or manifest.states or len(manifest.inputs) != 1:
            raise top.wrong("vector", "the one input of a model without states and window")
        wanted["vector"] = (1, manifest.vector.size)
    elif manifest.window is None:
        wanted["features"] = (1, manifest.step_frames, manifest.spec.n_mels)
    else:
        wanted |= _window_input(manifest, manifest.window, top)
    if manifest.interface is not None:
        _check_interface(manifest, manifest.interface, top)
    for name, shape in wanted.items():
        if name not in tensors or tensors[name].shape != shape:
            where = "outputs" if name in ("adv", "logits") else "inputs"
            raise top.wrong(where, f"with {name!r} of shape {list(shape)}")
    for tensor in manifest.states:
        if tensor.shape[:1] != (1,):
            raise top.wrong("states", "tensors of a batch of one")
    paths = [file.path.lower() for file in manifest.files]
    variants = [
        (file.engine, file.precision, file.form) for file in manifest.files if file.engine is not None
    ]
    if len(set(paths)) != len(paths) or len(set(variants)) != len(variants):
        raise top.wrong("files", "free of repetitions")
    if not variants:
        raise top.wrong("files", "a list with at least one model file")
    if {*manifest.preferred.items()} - {(engine, precision) for engine, precision, _ in variants}:
        raise top.wrong("preferred", "a precision that files has, for each engine that it names")
    fitting = ("step",) if manifest.window is None else ("window", "clip")
    fitting = fitting if manifest.vector is None else ("vector",)
    if any(form not in fitting for _, _, form in variants):
        raise top.wrong("files", f"of the form {' or '.join(map(repr, fitting))}, as the rest says")
    said = {
        "labels": [*manifest.labels],
        "step_frames": manifest.step_frames,
        "spec.n_mels": manifest.spec.n_mels,
    }
    for place, value in said.items():
        key = place.rpartition(".")[2]
        if manifest.config.get(key, value) != value:  # a network's own; others have none of them
            raise top.wrong(f"config.{key}", f"the same as {place}")


def _check_interface(manifest: Manifest, interface: Interface, top: Entries) -> None:
    """A file that somebody else made hears windows, and takes what the bundle gives."""
    if manifest.window is None or not interface.takes(manifest.inputs[0].shape):
        raise top.wrong("interface.shape", "that of a window's input")


def _window_input(manifest: Manifest, window: Window, top: Entries) -> dict[str, tuple[int, ...]]:
    """The one input of a model that hears a window, and its shape."""
    spec, step = manifest.spec, manifest.step_frames * manifest.spec.hop_length
    if manifest.states:
        raise top.wrong("states", "empty where a window is heard as a whole")
    if not step <= window.samples <= _MAX_WINDOW_S * spec.sample_rate:
        raise top.wrong("window.samples", f"from one step of {step} to {_MAX_WINDOW_S} s of samples")
    if len(manifest.inputs) != 1 or manifest.inputs[0].name not in ("features", "waveform"):
        raise top.wrong(
            "inputs", "the one tensor 'features' or 'waveform' where a window is heard as a whole"
        )
    if manifest.inputs[0].name == "waveform":
        return {"waveform": (1, window.samples)}
    frames = spec.frames(window.samples)
    if frames < 1:
        raise top.wrong("window.samples", "enough for one frame")
    return {"features": (1, frames, spec.n_mels)}
