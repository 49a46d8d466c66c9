"""Rows of numbers, 16 at once: weighted sums over them, and logarithms.

The functions equal those of `edge_ser.dsp.twins` in name and meaning; documented there.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from edge_ser.dsp.kernels.jit import forceinline, kernel
from edge_ser.dsp.kernels.simd import (
    LANES,
    broadcast,
    load,
    log,
    maximum,
    store,
)
from edge_ser.dsp.kernels.threads import in_threads
from edge_ser.dsp.kernels.transpose import aligned, lane_starts, put_rows, row_places, take_rows

__all__ = ["Bands", "bands_of", "by_rows", "logarithm", "weigh"]

Floats = npt.NDArray[np.float32]

_TINY = 1.1754944e-38  # the smallest normal float32


class Bands(NamedTuple):
    """A filter bank without its zeros: band m weighs bins ``first[m]`` on by ``weights[start[m] : start[m + 1]]``."""

    first: npt.NDArray[np.int64]  # (bands,)
    start: npt.NDArray[np.int64]  # (bands + 1,)
    weights: Floats


def bands_of(filters: npt.NDArray[np.floating[Any]]) -> Bands:
    """`Bands` of a dense filter bank (bands, bins), each row zero but for one run of bins."""
    first, parts = [], []
    for row in filters:
        taps = np.flatnonzero(row)
        low, high = (taps[0], taps[-1] + 1) if len(taps) else (0, 0)
        first.append(low)
        parts.append(row[low:high])
    start = np.cumsum([0] + [len(part) for part in parts])
    return Bands(np.array(first, np.int64), start.astype(np.int64), np.concatenate(parts).astype(np.float32))


def by_rows(call: Callable[..., None], spectra: Floats, width: int, threads: int, *arguments: Any) -> Floats:
    """``call(spectra, count, bins, ones, places, *arguments, out)`` over the rows of `spectra`."""
    count, bins = spectra.shape
    out = np.empty((count, width), np.float32)
    source, target = spectra.reshape(-1), out.reshape(-1)
    ones, places = row_places(bins)

    def run(first: int, last: int) -> None:
        rows = source[first * bins :]
        call(rows, last - first, bins, ones, places, *arguments, target[first * width :])

    in_threads(run, count, threads)
    return out


_RUN = 64  # bins that are added up before their sum joins the total: keeps float32's rounding small


@forceinline
def _dot4(rows: Any, bins: int, bands: Bands, band: int, out: Any) -> None:
    """Four bands that weigh all bins, so that a bin is read once for the four."""
    zero = broadcast(np.float32(0.0))
    totals = (zero, zero, zero, zero)
    i, j = bands.start[band], bands.start[band + 1]
    k, m = bands.start[band + 2], bands.start[band + 3]
    for run in range(0, bins, _RUN):
        a, b, c, d = zero, zero, zero, zero
        for tap in range(run, min(run + _RUN, bins)):
            value = load(rows, tap * LANES)
            a = a + value * bands.weights[i + tap]
            b = b + value * bands.weights[j + tap]
            c = c + value * bands.weights[k + tap]
            d = d + value * bands.weights[m + tap]
        totals = (totals[0] + a, totals[1] + b, totals[2] + c, totals[3] + d)
    store(out, band * LANES, totals[0])
    store(out, (band + 1) * LANES, totals[1])
    store(out, (band + 2) * LANES, totals[2])
    store(out, (band + 3) * LANES, totals[3])


@forceinline
def _dot(rows: Any, bands: Bands, band: int, out: Any) -> None:
    total = broadcast(np.float32(0.0))
    k, end = bands.first[band] * LANES, bands.start[band + 1]
    for run in range(bands.start[band], end, _RUN):
        part = broadcast(np.float32(0.0))
        for tap in range(run, min(run + _RUN, end)):
            part = part + load(rows, k) * bands.weights[tap]
            k += LANES
        total = total + part
    store(out, band * LANES, total)


@kernel
def _weigh(
    source: Any, count: int, bins: int, ones: Any, places: Any, bands: Bands, dense: int, target: Any
) -> None:
    width = len(bands.first)
    rows, values = aligned(bins * LANES), aligned(width * LANES)
    starts, outs = np.empty(LANES, np.int64), np.empty(LANES, np.int64)
    for first in range(0, count, LANES):
        lane_starts(first, count, bins, starts)
        take_rows(source, bins, starts, ones, places, rows)
        for band in range(0, dense, 4):
            _dot4(rows, bins, bands, band, values)
        for band in range(dense, width):
            _dot(rows, bands, band, values)
        lane_starts(first, count, width, outs)
        put_rows(values, width, target, outs)


_prepared: dict[int, tuple[npt.NDArray[Any], Bands, int]] = {}


def _sparse(filters: npt.NDArray[Any]) -> tuple[Bands, int]:
    """Filters without their zeros, and how many of them have none; remembered for arrays that cannot change."""
    held = _prepared.get(id(filters))
    if held is not None:
        return held[1:]
    bands = bands_of(filters)
    full = np.diff(bands.start) == filters.shape[1]
    dense = len(full) // 4 * 4 if full.all() else 0
    if not filters.flags.writeable:
        if len(_prepared) >= 32:
            _prepared.clear()
        _prepared[id(filters)] = filters, bands, dense  # holding the array keeps its id from being used again
    return bands, dense


def weigh(spectra: Floats, filters: npt.NDArray[Any], threads: int = 1) -> Floats:
    """See `edge_ser.dsp.twins.weigh`."""
    bands, dense = _sparse(filters)
    return by_rows(_weigh, spectra, len(filters), threads, bands, dense)


@kernel
def _logarithm(x: Any, floor: Any, gain: Any, shift: Any, out: Any) -> None:
    part = aligned(LANES)
    for i in range(0, len(x) - LANES + 1, LANES):
        store(out, i, log(maximum(load(x, i), broadcast(floor))) * gain + shift)
    rest = len(x) % LANES
    if rest:
        for i in range(LANES):
            part[i] = x[len(x) - rest + i] if i < rest else floor
        store(part, 0, log(maximum(load(part, 0), broadcast(floor))) * gain + shift)
        for i in range(rest):
            out[len(x) - rest + i] = part[i]


def logarithm(x: Floats, floor: float, gain: float, shift: float = 0.0) -> Floats:
    """See `edge_ser.dsp.twins.logarithm`."""
    out = np.empty(x.shape, np.float32)
    numbers = np.float32(max(floor, _TINY)), np.float32(gain), np.float32(shift)
    _logarithm(np.ascontiguousarray(x).reshape(-1), *numbers, out.reshape(-1))
    return out
