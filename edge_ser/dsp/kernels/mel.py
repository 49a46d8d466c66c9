"""Log-mel of 16 frames at once: window, FFT, power, sparse mel, logarithm, without leaving the cache."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import numpy.typing as npt

from edge_ser.dsp.filters import mel_filters, window
from edge_ser.dsp.kernels.fft import load_frames, power_spectrum
from edge_ser.dsp.kernels.jit import forceinline, kernel
from edge_ser.dsp.kernels.plan import ROW, FftPlan, fft_plan
from edge_ser.dsp.kernels.rows import Bands, bands_of
from edge_ser.dsp.kernels.simd import (
    LANES,
    broadcast,
    load,
    log,
    maximum,
    sqrt,
    store,
)
from edge_ser.dsp.kernels.threads import in_threads
from edge_ser.dsp.kernels.transpose import aligned, lane_starts, put_rows
from edge_ser.dsp.spec import MelSpec

__all__ = ["log_mel_frames"]

Floats = npt.NDArray[np.float32]


@forceinline
def _weighed(rows: Any, bands: Bands, band: int) -> Any:
    """One band of 16 frames from their spectra, bin k at ``rows[16 k]``."""
    total = broadcast(np.float32(0.0))
    k = bands.first[band] * LANES
    for tap in range(bands.start[band], bands.start[band + 1]):
        total = total + load(rows, k) * bands.weights[tap]
        k += LANES
    return total


@kernel
def _log_mel(
    x: Any,
    hop: int,
    count: int,
    plan: FftPlan,
    bands: Bands,
    steps: Any,
    floor: Any,
    gain: Any,
    shift: Any,
    out: Any,
) -> None:
    """steps: (square root of the power spectrum?, logarithm?); ``out = gain * log(max(mel, floor)) + shift``."""
    n_mels = len(bands.first)
    buffer = aligned(plan.size * ROW)
    scratch = aligned(plan.scratch)
    power = aligned((plan.n_fft // 2 + 1) * LANES)
    mels = aligned(n_mels * LANES)
    starts, outs = np.empty(LANES, np.int64), np.empty(LANES, np.int64)
    root, logarithm = steps
    for first in range(0, count, LANES):
        lane_starts(first, count, hop, starts)
        load_frames(x, starts, plan, buffer)
        power_spectrum(buffer, plan, scratch, power)
        if root:
            for i in range(0, len(power), LANES):
                store(power, i, sqrt(load(power, i)))
        for band in range(n_mels):
            value = _weighed(power, bands, band)
            if logarithm:
                value = log(maximum(value, broadcast(floor)))
            store(mels, band * LANES, value * gain + shift)
        lane_starts(first, count, n_mels, outs)
        put_rows(mels, n_mels, out, outs)


@functools.lru_cache(maxsize=16)
def _plan(spec: MelSpec) -> tuple[Any, ...]:
    padded = np.zeros(spec.n_fft)
    left = (spec.n_fft - spec.win_length) // 2
    padded[left : left + spec.win_length] = window(spec.window, spec.win_length)
    per_ln = {"none": 1.0, "ln": 1.0, "log10": 1 / np.log(10), "db": 20 / spec.power / np.log(10)}[spec.log]
    floor = max(spec.floor, float(np.finfo(np.float32).tiny))
    numbers = (np.float32(v) for v in (floor, per_ln / spec.scale, -spec.mean / spec.scale))
    return fft_plan(padded), bands_of(mel_filters(spec)), (spec.power == 1.0, spec.log != "none"), *numbers


def log_mel_frames(x: Floats, spec: MelSpec, threads: int = 1) -> Floats:
    """Log-mel of the frames that lie wholly in `x`; no padding, no checks.

    Parameters
    ----------
    x : (n,) float32, contiguous
        Samples.
    spec : MelSpec
        The front end; its padding is the caller's business.
    threads : int
        Frames are shared among so many threads.

    Returns
    -------
    (frames, n_mels) float32
        ``frames = max(0, (n - n_fft) // hop_length + 1)``. A frame's numbers do not depend on the others.
    """
    hop, n_mels = spec.hop_length, spec.n_mels
    count = max(0, (len(x) - spec.n_fft) // hop + 1)
    out = np.empty((count, n_mels), np.float32)
    flat, plan = out.reshape(-1), _plan(spec)

    def run(first: int, last: int) -> None:
        _log_mel(x[first * hop :], hop, last - first, *plan, flat[first * n_mels :])

    in_threads(run, count, threads)
    return out
