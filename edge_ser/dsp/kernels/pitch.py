"""Autocorrelation of 16 frames at once, and YIN on it.

The functions equal those of `edge_ser.dsp.twins` in name and meaning; documented there.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from edge_ser.dsp.kernels.fft import load_frames, power_spectrum, spectrum
from edge_ser.dsp.kernels.jit import forceinline, kernel
from edge_ser.dsp.kernels.plan import ROW, FftPlan, fft_plan
from edge_ser.dsp.kernels.simd import (
    LANES,
    broadcast,
    load,
    store,
)
from edge_ser.dsp.kernels.threads import in_threads
from edge_ser.dsp.kernels.transpose import aligned, lane_starts, put_rows
from edge_ser.dsp.twins.pitch import transform_length

__all__ = ["autocorrelation", "yin"]

Floats = npt.NDArray[np.float32]


@kernel
def _correlate(buffer: Any, plan: FftPlan, scratch: Any, power: Any, lags: int, out: Any) -> None:
    """Autocorrelation of the loaded frames, lag k at ``out[16 k]``: the transform of the power spectrum.

    That is even, so its forward and backward transforms are the same.
    """
    power_spectrum(buffer, plan, scratch, power)
    n, places = plan.n_fft, plan.places
    share = np.float32(0.5 / n)
    for k in range(plan.size + 1):
        value = load(power, k * LANES) * share
        store(buffer, places[k], value)
        if k > 0 and k < plan.size:
            store(buffer, places[n - k], value)
    spectrum(buffer, plan, scratch)
    for k in range(lags):
        store(out, k * LANES, load(buffer, k * ROW))


@kernel
def _autocorrelation(x: Any, hop: int, count: int, plan: FftPlan, lags: int, target: Any) -> None:
    buffer, scratch = aligned((plan.size + 1) * ROW), aligned(plan.scratch)
    power, values = aligned((plan.size + 1) * LANES), aligned(lags * LANES)
    starts, outs = np.empty(LANES, np.int64), np.empty(LANES, np.int64)
    for first in range(0, count, LANES):
        lane_starts(first, count, hop, starts)
        load_frames(x, starts, plan, buffer)
        _correlate(buffer, plan, scratch, power, lags, values)
        lane_starts(first, count, lags, outs)
        put_rows(values, lags, target, outs)


def _padded(x: Floats, window: npt.NDArray[np.float64], lags: int) -> tuple[Floats, FftPlan]:
    """Plan of frames with zeros after them, and samples with as many zeros after them, so frames stay inside."""
    extra = transform_length(len(window) + lags) - len(window)
    return np.concatenate([x, np.zeros(extra, np.float32)]), fft_plan(
        np.concatenate([window, np.zeros(extra)])
    )


def autocorrelation(
    x: Floats, window: npt.NDArray[np.float64], hop: int, lags: int, threads: int = 1
) -> Floats:
    """See `edge_ser.dsp.twins.autocorrelation`."""
    count = max(0, (len(x) - len(window)) // hop + 1)
    out = np.empty((count, lags), np.float32)
    samples, plan = _padded(x, window, lags)
    flat = out.reshape(-1)
    in_threads(
        lambda a, b: _autocorrelation(samples[a * hop :], hop, b - a, plan, lags, flat[a * lags :]),
        count,
        threads,
    )
    return out


@forceinline
def _shift(d: Any, k: int, lane: int) -> Any:
    """Where between its neighbours the parabola through three values has its extremum."""
    before, here, after = d[(k - 1) * LANES + lane], d[k * LANES + lane], d[(k + 1) * LANES + lane]
    bend = after + before - np.float32(2.0) * here
    slope = (after - before) * np.float32(0.5)
    if abs(slope) >= abs(bend):
        return np.float32(0.0)
    return -slope / bend


@forceinline
def _trough(d: Any, size: int, threshold: Any, lane: int) -> int:
    """The first trough below the threshold, or the place of the lowest value."""
    lowest = 0
    for k in range(size):
        here = d[k * LANES + lane]
        if here < d[lowest * LANES + lane]:
            lowest = k
        if here < threshold:
            falls = k == 0 or here < d[(k - 1) * LANES + lane]
            if k == size - 1:
                rises = k > 0
            elif k == 0:
                rises = here < d[LANES + lane]
            else:
                rises = here <= d[(k + 1) * LANES + lane]
            if falls and rises:
                return k
    return lowest


@kernel
def _yin(
    x: Any, length: int, hop: int, count: int, plan: FftPlan, low: int, high: int, threshold: Any, out: Any
) -> None:
    buffer, scratch = aligned((plan.size + 1) * ROW), aligned(plan.scratch)
    power, values = aligned((plan.size + 1) * LANES), aligned((high + 1) * LANES)
    head, d = aligned((high + 1) * LANES), aligned((high - low + 1) * LANES)
    starts = np.empty(LANES, np.int64)
    for first in range(0, count, LANES):
        lane_starts(first, count, hop, starts)
        load_frames(x, starts, plan, buffer)
        energy = broadcast(np.float32(0.0))
        for k in range(1, high + 1):
            sample = load(buffer, plan.places[k - 1]) * 2.0  # the plan's window halves it
            energy = energy + sample * sample
            store(head, k * LANES, energy)
        _correlate(buffer, plan, scratch, power, high + 1, values)
        whole, total = load(values, 0), broadcast(np.float32(0.0))
        for k in range(1, high + 1):
            difference = (whole - load(values, k * LANES)) * 2.0 - load(head, k * LANES)
            total = total + difference
            if k >= low:
                mean = total / np.float32(k) + np.float32(1.1754944e-38)
                store(d, (k - low) * LANES, difference / mean)
        size = high - low + 1
        for lane in range(min(LANES, count - first)):
            k = _trough(d, size, threshold, lane)
            shift = _shift(d, k, lane) if 0 < k < size - 1 else np.float32(0.0)
            out[2 * (first + lane)] = np.float32(low + k) + shift
            out[2 * (first + lane) + 1] = d[k * LANES + lane]


def yin(x: Floats, length: int, hop: int, low: int, high: int, threshold: float, threads: int = 1) -> Floats:
    """See `edge_ser.dsp.twins.yin`."""
    count = max(0, (len(x) - length) // hop + 1)
    out = np.empty((count, 2), np.float32)
    samples, plan = _padded(x, np.ones(length), high + 1)
    flat = out.reshape(-1)

    def run(first: int, last: int) -> None:
        part = samples[first * hop :]
        _yin(part, length, hop, last - first, plan, low, high, np.float32(threshold), flat[2 * first :])

    in_threads(run, count, threads)
    return out
