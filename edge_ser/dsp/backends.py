"""Which arithmetic the log-mel front end runs on: compiled C or NumPy.

``EDGE_SER_DSP`` may be 'c' or 'numpy' to force one; without it, C is used where it was built and takes
the spec. The two agree within 1e-4 (dB, for the logarithm 'db'); each alone gives the same bits for any split.
"""

from __future__ import annotations

import os

from edge_ser.dsp import _compiled
from edge_ser.dsp.frames import Frames, NumpyFrames
from edge_ser.dsp.spec import MelSpec
from edge_ser.errors import EdgeSerError

__all__ = ["VARIABLE", "backend", "frames_of"]

VARIABLE = "EDGE_SER_DSP"


def backend(spec: MelSpec | None = None) -> str:
    """What `log_mel` and a new `LogMelStream` run on.

    Parameters
    ----------
    spec : MelSpec, optional
        The front end; the default one of `MelSpec` if not given. C takes an ``n_fft`` that is a multiple
        of 8 without prime factors above 31, so every power of two from there and the likes of 400 and 480.

    Returns
    -------
    {'c', 'numpy'}

    Raises
    ------
    EdgeSerError
        ``EDGE_SER_DSP`` is neither, or forces C where it was not built or does not take the spec;
        or the compiled library was built for another machine.
    """
    spec = spec or MelSpec()
    forced = os.environ.get(VARIABLE, "")
    if forced not in ("", "c", "numpy"):
        raise EdgeSerError(
            f"{VARIABLE} is {forced!r}; it may be 'c' or 'numpy', or unset for the fastest there is"
        )
    if forced == "numpy":
        return "numpy"
    try:
        built = _compiled.library() is not None
    except OSError as error:
        raise EdgeSerError(
            f"the compiled front end was built for another machine ({error}): "
            f"install edge-ser again, or set {VARIABLE}=numpy"
        ) from error
    takes = _compiled.radices(spec.n_fft) is not None and spec.floor >= _compiled.SMALLEST_FLOOR
    if forced == "c" and not built:
        raise EdgeSerError(
            f"{VARIABLE}=c, but the compiled front end was not built: "
            "install edge-ser again with a C compiler at hand (gcc or clang)"
        )
    if forced == "c" and not takes:
        raise EdgeSerError(
            f"{VARIABLE}=c, but the compiled front end does not take n_fft {spec.n_fft} with floor {spec.floor:g}: "
            "it needs an n_fft that is a multiple of 8 without prime factors above 31, and a floor that is not denormal"
        )
    return "c" if built and takes else "numpy"


def frames_of(spec: MelSpec) -> Frames:
    """A new stream of frames on `backend` ``(spec)``."""
    return _compiled.CompiledFrames(spec) if backend(spec) == "c" else NumpyFrames(spec)
