"""What the features of `edge_ser.dsp.features` are computed with: Numba's kernels or NumPy.

This is the host's side. The device's log-mel (`edge_ser.dsp.log_mel`) never comes here and never loads numba.
The two agree to float32's rounding; each alone gives the same bits for any split into pieces.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import importlib.util
import os
from collections.abc import Iterator
from contextvars import ContextVar
from types import ModuleType

from edge_ser.errors import EdgeSerError, require

__all__ = ["VARIABLE", "features_backend", "implementation", "use_features_backend", "within_backend"]

VARIABLE = "EDGE_SER_FEATURES"
_NAMES = ("numba", "numpy")

_chosen: str | None = None
_within: ContextVar[str | None] = ContextVar("_within", default=None)


def use_features_backend(name: str | None) -> None:
    """Choose what features are computed with, for the whole process.

    Parameters
    ----------
    name : {'numba', 'numpy'} or None
        None: what ``EDGE_SER_FEATURES`` says, and without it Numba where it is installed.

    Raises
    ------
    EdgeSerError
        Unknown name.
    MissingExtraError
        'numba', and it is not installed.
    """
    global _chosen
    if name is not None:
        _check(name, "the features' backend")
    if name == "numba":
        require("numba", extra="fast", purpose="compiled features")
    _chosen = name


@contextlib.contextmanager
def within_backend(name: str) -> Iterator[None]:
    """Compute with 'numba' or 'numpy' inside a ``with`` block, in this thread alone."""
    _check(name, "the features' backend")
    before = _within.set(name)
    try:
        yield
    finally:
        _within.reset(before)


def _check(name: str, what: str) -> None:
    if name not in _NAMES:
        raise EdgeSerError(f"{what} is {name!r}; it may be 'numba' or 'numpy'")


def features_backend() -> str:
    """What features are computed with: 'numba' or 'numpy'. Nothing is imported by asking.

    Raises
    ------
    EdgeSerError
        ``EDGE_SER_FEATURES`` is neither.
    """
    if (here := _within.get()) is not None:
        return here
    if _chosen is not None:
        return _chosen
    forced = os.environ.get(VARIABLE, "")
    if forced:
        _check(forced, VARIABLE)
        return forced
    return "numba" if _installed() else "numpy"


@functools.cache
def _installed() -> bool:
    return importlib.util.find_spec("numba") is not None


def implementation() -> ModuleType:
    """`edge_ser.dsp.kernels` or `edge_ser.dsp.twins`, which hold the same functions."""
    return _module(features_backend())


@functools.cache
def _module(backend: str) -> ModuleType:
    if backend == "numpy":
        return importlib.import_module("edge_ser.dsp.twins")
    require("numba", extra="fast", purpose="compiled features")
    return importlib.import_module("edge_ser.dsp.kernels")
