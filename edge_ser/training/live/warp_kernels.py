"""Compiled passes of `edge_ser.training.live.warps` for a processor: each goes through a clip once."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from edge_ser.dsp.kernels.jit import kernel

__all__ = ["resampled", "vocoded"]


@kernel
def resampled(waves: Any, counts: Any, factors: Any, half: int, made: Any) -> None:
    """Band-limited interpolation with a sine cardinal under a squared cosine, 2 `half` taps.

    Waves (B, n) and factors (B,) are read; `made` (B, n) is written up to ``counts[b]``. Silence surrounds a wave.
    """
    size = waves.shape[1]
    taps = 2 * half
    # of an angle less a tap's, by the sines and cosines of both
    sines, cosines = np.empty(taps), np.empty(taps)
    window_sines, window_cosines = np.empty(taps), np.empty(taps)
    for k in range(taps):
        window_sines[k] = math.sin(math.pi * (k + 1 - half) / half)
        window_cosines[k] = math.cos(math.pi * (k + 1 - half) / half)
    for b in range(len(waves)):
        factor = np.float64(factors[b])
        band = min(
            np.float64(np.float32(1) / factors[b]), 1.0
        )  # what would lie above half the rate is left out
        for k in range(taps):
            sines[k] = math.sin(math.pi * band * (k + 1 - half))
            cosines[k] = math.cos(math.pi * band * (k + 1 - half))
        for i in range(counts[b]):
            at = i * factor
            below = int(at)
            part = at - below
            sine, cosine = math.sin(math.pi * band * part), math.cos(math.pi * band * part)
            window_sine, window_cosine = math.sin(math.pi * part / half), math.cos(math.pi * part / half)
            first = below + 1 - half
            total = 0.0
            for k in range(max(0, -first), min(taps, size - first)):
                apart = math.pi * (part - (k + 1 - half))
                cardinal = (sine * cosines[k] - cosine * sines[k]) / apart if abs(apart) > 1e-6 else band
                window = 0.5 + 0.5 * (window_cosine * window_cosines[k] + window_sine * window_sines[k])
                total += cardinal * window * waves[b, first + k]
            made[b, i] = total


@kernel
def vocoded(spectrum: Any, rates: Any, made: Any) -> None:
    """Spectra at other tempos, each peak's phase turned on from frame to frame, its neighbours' kept as they lie to it.

    Spectra and `made` are (B, T, bins, 2), the real part and the imaginary one last; rates are (B,) float32.
    Phases are factors of absolute value 1: a turn by the difference of two is a product, and needs no angle.
    """
    count, frames, bins, _ = spectrum.shape
    units = np.empty((frames, bins, 2), np.float32)
    sizes = np.empty((frames, bins), np.float32)
    walked = np.empty((bins, 2))
    magnitude = np.empty(bins, np.float32)
    before, after = np.empty(bins, np.int64), np.empty(bins, np.int64)
    for b in range(count):
        for t in range(frames):
            for k in range(bins):
                real, imaginary = spectrum[b, t, k, 0], spectrum[b, t, k, 1]
                size = math.sqrt(real * real + imaginary * imaginary)
                sizes[t, k] = size
                units[t, k, 0] = real / size if size > 0 else np.float32(1)
                units[t, k, 1] = imaginary / size if size > 0 else np.float32(0)
        for k in range(bins):
            walked[k, 0], walked[k, 1] = units[0, k, 0], units[0, k, 1]
        for t in range(frames):
            at = np.float32(t) * rates[b]
            if at > frames - 1:
                made[b, t:] = 0
                break
            low = int(at)
            high = min(low + 1, frames - 1)
            part = at - np.float32(low)
            near = low if part < 0.5 else high
            for k in range(bins):
                magnitude[k] = (np.float32(1) - part) * sizes[low, k] + part * sizes[high, k]
            _peaks(magnitude, before, after)
            for k in range(bins):
                peak = before[k] if k - before[k] <= after[k] - k else after[k]
                # the partial's phase, and this bin's beside it in the sound
                pr, pi = walked[peak, 0], walked[peak, 1]
                hr = units[near, k, 0] * units[near, peak, 0] + units[near, k, 1] * units[near, peak, 1]
                hi = units[near, k, 1] * units[near, peak, 0] - units[near, k, 0] * units[near, peak, 1]
                made[b, t, k, 0] = magnitude[k] * (pr * hr - pi * hi)
                made[b, t, k, 1] = magnitude[k] * (pr * hi + pi * hr)
            for k in range(bins):
                tr = units[high, k, 0] * units[low, k, 0] + units[high, k, 1] * units[low, k, 1]
                ti = units[high, k, 1] * units[low, k, 0] - units[high, k, 0] * units[low, k, 1]
                wr, wi = walked[k, 0], walked[k, 1]
                nr, ni = wr * tr - wi * ti, wr * ti + wi * tr
                # units are rounded to float32, and would grow or shrink in many turns
                grown = 1.5 - 0.5 * (nr * nr + ni * ni)
                walked[k, 0], walked[k, 1] = nr * grown, ni * grown


@kernel
def _peaks(magnitude: Any, before: Any, after: Any) -> None:
    """The nearest bin at and below, and at and above each that is as high as its two neighbours on either side."""
    bins = len(magnitude)
    last = -(1 << 20)
    for k in range(bins):
        here = magnitude[k]
        highest = True
        for j in range(max(0, k - 2), min(bins, k + 3)):
            highest &= here >= magnitude[j]
        if highest:
            last = k
        before[k] = last
    last = 1 << 20
    for k in range(bins - 1, -1, -1):
        if before[k] == k:
            last = k
        after[k] = last
