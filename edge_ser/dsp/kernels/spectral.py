"""Features of spectra, 16 frames at once; rows of a spectrogram (frames, bins) in, numbers a frame out.

The functions equal those of `edge_ser.dsp.twins` in name and meaning; documented there.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from edge_ser.dsp.kernels.jit import forceinline, kernel
from edge_ser.dsp.kernels.rows import by_rows
from edge_ser.dsp.kernels.simd import (
    LANES,
    broadcast,
    exp2,
    load,
    log,
    maximum,
    minimum,
    sqrt,
    store,
    where_ge,
)
from edge_ser.dsp.kernels.threads import in_threads
from edge_ser.dsp.kernels.transpose import aligned, lane_starts, put_rows, row_places, take_rows
from edge_ser.dsp.twins import spectral as reference

__all__ = ["bandwidth", "centroid", "contrast", "flatness", "peaks", "rolloff"]

Floats = npt.NDArray[np.float32]

_TINY = 1.1754944e-38  # the smallest normal float32, librosa's threshold of "silent"
_LOG2_E = 1.4426950408889634


@forceinline
def _add(total: Any, lost: Any, value: Any) -> Any:
    """Kahan's sum: over thousands of bins a plain float32 sum would lose two digits."""
    value = value - lost
    new = total + value
    return new, (new - total) - value


@forceinline
def power_of(x: Any, exponent: Any) -> Any:
    """x ** exponent for x >= 0, element by element; 0 where x is below the smallest normal number."""
    tiny = broadcast(np.float32(_TINY))
    value = exp2(log(maximum(x, tiny)) * (exponent * np.float32(_LOG2_E)))
    return where_ge(x, tiny, value, broadcast(np.float32(0.0)))


@kernel
def _centroid(source: Any, count: int, bins: int, ones: Any, places: Any, freq: Any, target: Any) -> None:
    rows, values = aligned(bins * LANES), aligned(LANES)
    starts, outs = np.empty(LANES, np.int64), np.empty(LANES, np.int64)
    zero = broadcast(np.float32(0.0))
    for first in range(0, count, LANES):
        lane_starts(first, count, bins, starts)
        take_rows(source, bins, starts, ones, places, rows)
        total, lost, moment, dropped = zero, zero, zero, zero
        for k in range(bins):
            value = load(rows, k * LANES)
            total, lost = _add(total, lost, value)
            moment, dropped = _add(moment, dropped, value * freq[k])
        silent = where_ge(total, broadcast(np.float32(_TINY)), total, broadcast(np.float32(1.0)))
        store(values, 0, moment / silent)
        lane_starts(first, count, 1, outs)
        put_rows(values, 1, target, outs)


def centroid(spectra: Floats, freq: Floats, threads: int = 1) -> Floats:
    """See `edge_ser.dsp.twins.centroid`."""
    return by_rows(_centroid, spectra, 1, threads, freq)[:, 0]


@kernel
def _bandwidth(
    source: Any,
    count: int,
    bins: int,
    ones: Any,
    places: Any,
    freq: Any,
    p: Any,
    norm: bool,
    pairs: Any,
    target: Any,
) -> None:
    """pairs: the rows' centroids, in float32, one a row."""
    rows, values = aligned(bins * LANES), aligned(LANES)
    starts, outs = np.empty(LANES, np.int64), np.empty(LANES, np.int64)
    zero = broadcast(np.float32(0.0))
    for first in range(0, count, LANES):
        lane_starts(first, count, bins, starts)
        take_rows(source, bins, starts, ones, places, rows)
        lane_starts(first, count, 1, outs)
        for lane in range(LANES):
            values[lane] = pairs[outs[lane]]
        centre = load(values, 0)
        total, lost, moment, dropped = zero, zero, zero, zero
        for k in range(bins):
            value = load(rows, k * LANES)
            distance = centre - freq[k]
            if p == 2.0:
                weight = distance * distance
            else:
                weight = power_of(maximum(distance, zero - distance), p)
            total, lost = _add(total, lost, value)
            moment, dropped = _add(moment, dropped, value * weight)
        if norm:
            moment = moment / where_ge(total, broadcast(np.float32(_TINY)), total, broadcast(np.float32(1.0)))
        if p == 2.0:
            moment = sqrt(moment)
        else:
            moment = power_of(moment, np.float32(1.0) / p)
        store(values, 0, moment)
        put_rows(values, 1, target, outs)


def bandwidth(
    spectra: Floats, freq: Floats, centre: Floats, p: float, norm: bool, threads: int = 1
) -> Floats:
    """See `edge_ser.dsp.twins.bandwidth`."""
    if not 1 <= p <= 4:  # powers beyond single precision, or roots that magnify its rounding
        return reference.bandwidth(spectra, freq, centre, p, norm)
    count, bins = spectra.shape
    out = np.empty(count, np.float32)
    ones, places = row_places(bins)
    source = spectra.reshape(-1)

    def run(first: int, last: int) -> None:
        rows, centres = source[first * bins :], centre[first:]
        _bandwidth(rows, last - first, bins, ones, places, freq, np.float32(p), norm, centres, out[first:])

    in_threads(run, count, threads)
    return out


@kernel
def _rolloff(
    source: Any, count: int, bins: int, ones: Any, places: Any, freq: Any, share: Any, target: Any
) -> None:
    rows, values = aligned(bins * LANES), aligned(LANES)
    starts, outs = np.empty(LANES, np.int64), np.empty(LANES, np.int64)
    for first in range(0, count, LANES):
        lane_starts(first, count, bins, starts)
        take_rows(source, bins, starts, ones, places, rows)
        total = load(rows, 0)
        for k in range(1, bins):
            total = total + load(rows, k * LANES)
            store(rows, k * LANES, total)
        threshold = total * share
        found = broadcast(freq[bins - 1])
        for k in range(bins - 2, -1, -1):
            found = where_ge(load(rows, k * LANES), threshold, broadcast(freq[k]), found)
        store(values, 0, found)
        lane_starts(first, count, 1, outs)
        put_rows(values, 1, target, outs)


def rolloff(spectra: Floats, freq: Floats, share: float, threads: int = 1) -> Floats:
    """See `edge_ser.dsp.twins.rolloff`."""
    return by_rows(_rolloff, spectra, 1, threads, freq, np.float32(share))[:, 0]


@kernel
def _flatness(
    source: Any, count: int, bins: int, ones: Any, places: Any, floor: Any, power: Any, target: Any
) -> None:
    rows, values = aligned(bins * LANES), aligned(LANES)
    starts, outs = np.empty(LANES, np.int64), np.empty(LANES, np.int64)
    zero = broadcast(np.float32(0.0))
    share = np.float32(1.0) / np.float32(bins)
    for first in range(0, count, LANES):
        lane_starts(first, count, bins, starts)
        take_rows(source, bins, starts, ones, places, rows)
        logs, lost, total, dropped = zero, zero, zero, zero
        for k in range(bins):
            value = load(rows, k * LANES)
            if power == 2.0:
                value = value * value
            elif power != 1.0:
                value = power_of(value, power)
            value = maximum(value, broadcast(floor))
            logs, lost = _add(logs, lost, log(value))
            total, dropped = _add(total, dropped, value)
        mean = exp2(logs * share * np.float32(_LOG2_E)) / (total * share)
        # by rounding it is beyond 1 where all bins are the same
        store(values, 0, minimum(mean, broadcast(np.float32(1.0))))
        lane_starts(first, count, 1, outs)
        put_rows(values, 1, target, outs)


def flatness(spectra: Floats, amin: float, power: float, threads: int = 1) -> Floats:
    """See `edge_ser.dsp.twins.flatness`."""
    if power > 2 or not _TINY <= amin <= 1e30:  # powers, or sums of them, beyond single precision
        return reference.flatness(spectra, amin, power)
    return by_rows(_flatness, spectra, 1, threads, np.float32(amin), np.float32(power))[:, 0]


@kernel
def _contrast(
    source: Any, count: int, bins: int, ones: Any, places: Any, lows: Any, highs: Any, takes: Any, target: Any
) -> None:
    """The mean of the `takes[b]` smallest and largest of bins ``lows[b] .. highs[b] - 1``, kept by insertion."""
    width = len(lows)
    rows, values = aligned(bins * LANES), aligned(2 * width * LANES)
    kept = takes.max()
    small, large = aligned(kept * LANES), aligned(kept * LANES)
    starts, outs = np.empty(LANES, np.int64), np.empty(LANES, np.int64)
    zero = broadcast(np.float32(0.0))
    for first in range(0, count, LANES):
        lane_starts(first, count, bins, starts)
        take_rows(source, bins, starts, ones, places, rows)
        for band in range(width):
            take = takes[band]
            for j in range(take):
                store(small, j * LANES, broadcast(np.float32(np.inf)))
                store(large, j * LANES, broadcast(np.float32(-np.inf)))
            for k in range(lows[band], highs[band]):
                low = load(rows, k * LANES)
                high = low
                for j in range(take):
                    held = load(small, j * LANES)
                    store(small, j * LANES, minimum(held, low))
                    low = maximum(held, low)
                    held = load(large, j * LANES)
                    store(large, j * LANES, maximum(held, high))
                    high = minimum(held, high)
            low, high = zero, zero
            for j in range(take):
                low = low + load(small, j * LANES)
                high = high + load(large, j * LANES)
            share = np.float32(1.0) / np.float32(take)
            store(values, band * LANES, low * share)
            store(values, (width + band) * LANES, high * share)
        lane_starts(first, count, 2 * width, outs)
        put_rows(values, 2 * width, target, outs)


def contrast(
    spectra: Floats, bands: Sequence[tuple[int, int, int]], threads: int = 1
) -> tuple[Floats, Floats]:
    """See `edge_ser.dsp.twins.contrast`."""
    lows, highs, takes = np.array(bands, np.int64).T.copy()
    both = by_rows(_contrast, spectra, 2 * len(bands), threads, lows, highs, takes)
    return both[:, : len(bands)], both[:, len(bands) :]


@kernel
def _peaks(spectra: Any, low: int, high: int, floors: Any, places: Any, heights: Any) -> int:
    found = 0
    near = np.empty(high - low, np.int64)
    for frame in range(spectra.shape[0]):
        row, floor, count = spectra[frame], floors[frame], 0
        for k in range(low, high):  # without a branch: whether a bin is a peak cannot be predicted
            near[count] = k
            count += int((row[k] > floor) & (row[k] > row[k - 1]) & (row[k] >= row[k + 1]))
        for k in near[:count]:
            before, here, after = row[k - 1], row[k], row[k + 1]
            bend = after + before - np.float32(2.0) * here
            slope = (after - before) * np.float32(0.5)
            shift = np.float32(0.0)
            if abs(slope) < abs(bend):
                shift = -slope / bend
            places[found] = k + np.float64(shift)
            heights[found] = here + np.float32(0.5) * slope * shift
            found += 1
    return found


def peaks(spectra: Floats, low: int, high: int, share: float) -> tuple[npt.NDArray[np.float64], Floats]:
    """See `edge_ser.dsp.twins.peaks`."""
    most = len(spectra) * ((high - low + 1) // 2 + 1)  # two neighbours cannot both be maxima
    places, heights = np.empty(most), np.empty(most, np.float32)
    floors = np.float32(share) * spectra.max(axis=1, initial=0.0)
    found = _peaks(spectra, low, high, floors, places, heights)
    return places[:found], heights[:found]
