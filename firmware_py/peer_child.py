"""One round of `firmware_py.peers`, in a process of its own.

Run as ``python -m firmware_py.peer_child NAME MODEL STEPS STARTED``; writes one JSON line.
"""

from __future__ import annotations

import importlib
import sys
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from edge_ser.errors import EdgeSerError, MissingExtraError

if TYPE_CHECKING:
    import numpy as np

__all__ = ["RUNTIMES", "measure"]

_WARM_UP = 20
_RATE = 16_000
_STEP = 4000  # samples, as our models' step


class _Opened(NamedTuple):
    step: Callable[[np.ndarray], object]  # of float32 samples in -1..1
    samples: int
    note: str


def _folder(name: str, model: str) -> Path:
    if not model:
        raise MissingExtraError(f"no model of {name} was named: give --peer-model {name}=FOLDER")
    folder = Path(model)
    if not folder.is_dir():
        raise EdgeSerError(f"{model} is no folder with a model of {name}")
    return folder


def _openwakeword(module: Any, model: str) -> _Opened:
    if not model:
        paths = [path for path in module.get_pretrained_model_paths() if Path(path).is_file()]
        if not paths:
            raise MissingExtraError("openWakeWord has no models here: give --peer-model openwakeword=FILE")
        model = next((path for path in paths if "jarvis" in path), paths[0])
    options: dict[str, Any] = {"wakeword_model_paths": [model]}
    if hasattr(module, "FEATURE_MODELS"):  # its later releases run on two runtimes
        options["inference_framework"] = "tflite" if model.endswith(".tflite") else "onnx"
    detector = importlib.import_module("openwakeword.model").Model(**options)
    return _Opened(
        lambda samples: detector.predict((samples * 32767).astype("int16")),
        1280,
        "one wake word, 80 ms a step",
    )


def _vosk(module: Any, model: str) -> _Opened:
    folder = _folder("vosk", model)
    module.SetLogLevel(-1)
    recognizer = module.KaldiRecognizer(module.Model(str(folder)), _RATE)

    def step(samples: np.ndarray) -> object:
        recognizer.AcceptWaveform((samples * 32767).astype("int16").tobytes())
        return recognizer.PartialResult()

    return _Opened(step, _STEP, "speech to text, 250 ms a step")


def _sherpa(module: Any, model: str) -> _Opened:
    folder = _folder("sherpa-onnx", model)
    parts = {}
    for part, pattern in (
        ("tokens", "tokens*.txt"),
        *((n, f"*{n}*.onnx") for n in ("encoder", "decoder", "joiner")),
    ):
        found = sorted(folder.glob(pattern))
        if not found:
            raise EdgeSerError(f"{folder} holds no {pattern}: it is no streaming transducer of sherpa-onnx")
        parts[part] = str(found[0])
    recognizer = module.OnlineRecognizer.from_transducer(**parts, num_threads=1)
    stream = recognizer.create_stream()

    def step(samples: np.ndarray) -> object:
        stream.accept_waveform(_RATE, samples)
        while recognizer.is_ready(stream):
            recognizer.decode_stream(stream)
        return recognizer.get_result(stream)

    return _Opened(step, _STEP, "speech to text, 250 ms a step")


#: name -> module, how it is opened
RUNTIMES: dict[str, tuple[str, Callable[[Any, str], _Opened]]] = {
    "openwakeword": ("openwakeword", _openwakeword),
    "vosk": ("vosk", _vosk),
    "sherpa-onnx": ("sherpa_onnx", _sherpa),
}


def measure(name: str, model: str, steps: int, started: float) -> dict[str, Any]:
    """Import, load, answer once, then time `steps` steps; `started` as in `firmware_py.bench_child`.

    Raises
    ------
    MissingExtraError
        The program is not installed, or its model is not here.
    EdgeSerError
        What was named as its model is none.
    """
    import numpy as np

    from firmware_py.meter import peak_rss_mb, rss_mb

    module_name, opens = RUNTIMES[name]
    begin = time.perf_counter()
    try:
        module = importlib.import_module(module_name)
    except ImportError as error:
        raise MissingExtraError(f"{name} is not installed, or not whole ({error})") from error
    imported = time.perf_counter()
    rss_import = rss_mb()
    opened = opens(module, model)
    loaded = time.perf_counter()
    rss_load = rss_mb()
    audio = np.random.default_rng(0).normal(0, 0.1, (16, opened.samples)).astype(np.float32)
    opened.step(audio[0])
    first_answer = time.monotonic() - started
    seconds, cpu = [], 0.0
    for i in range(_WARM_UP + steps):
        cpu_start, start = time.process_time(), time.perf_counter()
        opened.step(audio[i % len(audio)])
        seconds.append(time.perf_counter() - start)
        cpu += (time.process_time() - cpu_start) * (i >= _WARM_UP)
    return {
        "version": version(name),
        "note": opened.note,
        "import_ms": (imported - begin) * 1e3,
        "load_ms": (loaded - imported) * 1e3,
        "first_answer_ms": first_answer * 1e3,
        "rss_mb": {"import": rss_import, "load": rss_load, "peak": peak_rss_mb()},
        "step_s": opened.samples / _RATE,
        "step_ms": [value * 1e3 for value in seconds[_WARM_UP:]],
        "cpu_ms": cpu / steps * 1e3,
    }


def main(argv: list[str]) -> int:
    """Measure and write the result, or why there is none."""
    import json

    name, model, steps, started = argv
    try:
        result = measure(name, model, int(steps), float(started))
    except EdgeSerError as error:
        result = {"error": str(error), "missing": isinstance(error, MissingExtraError)}
    print(json.dumps(result))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
