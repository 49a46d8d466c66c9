"""Engines: one protocol, a table of runtimes."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from importlib.util import find_spec
from typing import TYPE_CHECKING

from edge_ser.errors import EdgeSerError
from edge_ser.manifest import DEFAULT_PRECISION

from .base import Engine, Outputs, State

if TYPE_CHECKING:
    from edge_ser.bundle import Bundle

__all__ = [
    "AUTO",
    "ENGINES",
    "EVERY_ENGINE",
    "WRONG_ON_TFLITE_RUNTIME",
    "Engine",
    "Outputs",
    "State",
    "choose_engine",
    "open_engine",
]

AUTO = "auto"

# name -> module, class, packages of which one must be installed (none: the base install)
_TABLE: dict[str, tuple[str, str, tuple[str, ...]]] = {
    "litert": ("firmware_py.engines.litert_engine", "LiteRTEngine", ("ai_edge_litert", "tflite_runtime")),
    "onnx": ("firmware_py.engines.onnx_engine", "OnnxEngine", ("onnxruntime",)),
    "numpy": ("firmware_py.engines.numpy_engine", "NumpyEngine", ()),
}
ENGINES = tuple(_TABLE)  # in `auto`'s order: the fastest first
# Of hosts alone, to prove what is exported; no board runs them.
_TABLE |= {
    "torch": ("firmware_py.engines.torch_engine", "TorchEngine", ("torch",)),
    "executorch": ("firmware_py.engines.executorch_engine", "ExecutorchEngine", ("executorch",)),
    "micro": ("firmware_py.engines.micro_engine", "MicroEngine", ("tflite_micro",)),
}
EVERY_ENGINE = tuple(_TABLE)
#: What `tflite_runtime` 2.14, a board's old package, runs without complaint and answers wrongly.
WRONG_ON_TFLITE_RUNTIME = frozenset({"int8", "int8-dynamic", "int8-full"})


def choose_engine(bundle: Bundle, precision: str | None = None) -> str:
    """The engine that ``auto`` stands for here: the first whose package is installed and whose file is in the bundle.

    Parameters
    ----------
    bundle : Bundle
        The model.
    precision : str, optional
        The precision asked for; left out, of each engine the one that the bundle says it prefers, or fp32, and where no
        engine has that, what there is.

    Returns
    -------
    str
        A name of `EVERY_ENGINE`.

    Raises
    ------
    EdgeSerError
        No engine that is installed here has a file of that precision.
    """
    variants = set(bundle.variants())
    preferences: list[Callable[[str], str]] = [
        lambda name: precision or bundle.preferred.get(name, DEFAULT_PRECISION)
    ]
    if precision is None:
        preferences.append(bundle.preferred_precision)
    for preferred in preferences:
        for name in _TABLE:
            if (name, preferred(name)) in variants and _runs_here(name, preferred(name)):
                return name
    listed = ", ".join(f"{engine} {kind}" for engine, kind in sorted(variants))
    if precision is not None and precision not in {kind for _, kind in variants}:  # no package brings it
        raise EdgeSerError(
            f"{bundle.name} has no {precision} file; it has {listed}: choose one of these precisions"
        )
    raise EdgeSerError(
        f"no engine installed here runs {bundle.name} in {precision or 'what it prefers'}; the bundle holds {listed}: "
        "choose another precision or pip install 'edge-ser[litert]'"
    )


def _runs_here(name: str, precision: str) -> bool:
    """Whether a package is installed that runs an engine's files of a precision, and answers rightly."""
    packages = _TABLE[name][2]
    if name == "litert" and precision in WRONG_ON_TFLITE_RUNTIME:
        packages = packages[:1]
    return not packages or any(map(find_spec, packages))


def open_engine(bundle: Bundle, engine: str = AUTO, precision: str | None = None) -> Engine:
    """Load a bundle's model on a runtime.

    Parameters
    ----------
    bundle : Bundle
        The model.
    engine : str
        One of `EVERY_ENGINE`, or ``auto`` (see `choose_engine`; the engine's `name` says which it became).
    precision : str, optional
        One that the bundle lists for the engine; left out, what `Bundle.preferred_precision` says (the engine's
        `precision` says which it became).

    Returns
    -------
    Engine
        Ready for its first step.

    Raises
    ------
    MissingExtraError
        The runtime's package is not installed, or an old one alone that runs this precision wrongly.
    EdgeSerError
        Unknown engine, a precision that the bundle does not hold, or a file that the runtime refuses.
    """
    if engine == AUTO:
        engine = choose_engine(bundle, precision)
    if engine not in _TABLE:
        raise EdgeSerError(f"unknown engine {engine!r}; choose one of {', '.join((*EVERY_ENGINE, AUTO))}")
    if precision is None:
        precision = bundle.preferred_precision(engine)
    module, name, _ = _TABLE[engine]
    path = bundle.file(engine, precision)
    opened: Engine = getattr(importlib.import_module(module), name)(bundle, path, precision)
    if bundle.window is None:
        return opened
    from .window import WindowEngine

    return WindowEngine(bundle, opened)
