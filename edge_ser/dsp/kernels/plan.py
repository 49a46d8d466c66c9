"""What a real FFT needs beside its input: factors, twiddles, the order of the input, the window."""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from edge_ser.dsp.kernels.simd import (
    LANES,
)

__all__ = ["ROW", "FftPlan", "fft_plan"]

ROW = 2 * LANES  # floats of a complex number of 16 lanes


Floats = npt.NDArray[np.floating[Any]]


class FftPlan(NamedTuple):
    """All that the FFT of one length and window needs, computed once in double precision."""

    n_fft: int
    size: int  # of the complex FFT
    radices: npt.NDArray[np.int64]  # of the passes, first to last
    twiddles: Floats  # pass after pass, (m, radix - 1) pairs of cosine and sine
    roots: Floats  # the n-th roots of unity of the passes of other primes
    places: npt.NDArray[np.int64]  # (n_fft,) where in the buffer each sample goes
    window: Floats  # (n_fft,)
    post: Floats  # cosine and sine that join the halves of an even length
    scratch: int  # floats that a pass of another prime works in


def _radices(size: int) -> list[int]:
    """Factors of `size`: as many eights as there can be, and the small ones first, where they cost least."""
    twos = 0
    while size % 2 == 0:
        size, twos = size // 2, twos + 1
    eights, rest = divmod(twos, 3)
    small = {0: [], 1: [2], 2: [4]}[rest]
    if rest == 1 and eights:
        eights, small = eights - 1, [4, 4]
    others = []
    factor = 3
    while size > 1:
        while size % factor == 0:
            size //= factor
            others.append(factor)
        factor += 2
    return small + [8] * eights + others


def _digit_reversed(radices: list[int]) -> npt.NDArray[np.int64]:
    """Place of each input so that passes of these radices, first to last, give the output in order."""
    order = np.zeros(1, np.int64)
    for radix in radices:  # inputs of a pass: its `radix` sub-sequences, each already in order
        order = (np.arange(radix)[:, None] + radix * order).ravel()
    places = np.empty_like(order)
    places[order] = np.arange(len(order))
    return places


@functools.lru_cache(maxsize=32)
def _tables(n_fft: int, dtype: Any) -> tuple[npt.NDArray[Any], ...]:
    size = n_fft // 2 if n_fft % 2 == 0 else n_fft
    radices = _radices(size)
    twiddles, roots = [np.zeros(0)], [np.zeros(0)]
    m = 1
    for radix in radices:
        turns = np.outer(np.arange(m), np.arange(1, radix)) / (m * radix)
        twiddles.append(np.exp(-2j * np.pi * turns).view(np.float64).ravel())
        if radix > 8 or radix == 7:
            roots.append(np.exp(-2j * np.pi * np.arange(radix) / radix).view(np.float64))
        m *= radix
    places = _digit_reversed(radices) * ROW
    if n_fft % 2 == 0:
        places = np.stack([places, places + LANES], axis=1).ravel()
    post = np.exp(-2j * np.pi * np.arange(size // 2 + 1) / n_fft).view(np.float64)
    joined = [np.concatenate(parts).astype(dtype) for parts in (twiddles, roots)]
    return np.array(radices, np.int64), *joined, places, post.astype(dtype)


def fft_plan(window: npt.NDArray[np.float64], double: bool = False) -> FftPlan:
    """Plan for frames of ``len(window)`` samples, which are multiplied by `window`, in single or double precision."""
    n_fft = len(window)
    dtype: Any = np.float64 if double else np.float32
    radices, twiddles, roots, places, post = _tables(n_fft, dtype)
    even = n_fft % 2 == 0
    # The join of the two halves of an even length needs a factor of 1/2 (exact).
    scaled = (window * (0.5 if even else 1.0)).astype(dtype)
    return FftPlan(
        n_fft,
        n_fft // 2 if even else n_fft,
        radices,
        twiddles,
        roots,
        places,
        scaled,
        post,
        int(max(radices, default=1)) * ROW,
    )
