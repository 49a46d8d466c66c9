"""Real FFT of 16 frames at once: in place, mixed radix 8, 4, 2, 3, 5 and any other prime.

A frame of even length n is taken as n / 2 complex numbers, which halves the work. Frames are transposed into
the work buffer, one row of 16 lanes per sample, directly at the digit-reversed places that decimation in
time starts from; so the passes work in place, and 16 frames of 512 fit the first-level cache.

Row ``c`` of the buffer is complex number ``c``: 16 real parts at ``32 c``, 16 imaginary ones at ``32 c + 16``.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from edge_ser.dsp.kernels.jit import forceinline, kernel
from edge_ser.dsp.kernels.plan import ROW, FftPlan, fft_plan
from edge_ser.dsp.kernels.simd import (
    LANES,
    load,
    negative,
    sqrt,
    store,
    zeros,
)
from edge_ser.dsp.kernels.threads import in_threads
from edge_ser.dsp.kernels.transpose import aligned, aligned_like, lane_starts, put_rows, rows_to_columns

__all__ = ["complex_fft", "load_frames", "power_spectrum", "spectra", "spectrum"]


@forceinline
def _times(ar: Any, ai: Any, wr: Any, wi: Any) -> Any:
    return ar * wr - ai * wi, ar * wi + ai * wr


@forceinline
def _dft4(ar: Any, ai: Any, br: Any, bi: Any, cr: Any, ci: Any, dr: Any, di: Any) -> Any:
    sr, si = ar + cr, ai + ci
    tr, ti = ar - cr, ai - ci
    ur, ui = br + dr, bi + di
    vr, vi = br - dr, bi - di
    return sr + ur, si + ui, tr + vi, ti - vr, sr - ur, si - ui, tr - vi, ti + vr


@forceinline
def _get(buffer: Any, i: int, twiddles: Any, t: int, twist: bool) -> Any:
    """Complex number at `i`, times the twiddle at `t` except in the first pass, where all are 1."""
    ar, ai = load(buffer, i), load(buffer, i + LANES)
    if twist:
        return _times(ar, ai, twiddles[t], twiddles[t + 1])
    return ar, ai


@forceinline
def _put(buffer: Any, i: int, ar: Any, ai: Any) -> None:
    store(buffer, i, ar)
    store(buffer, i + LANES, ai)


@forceinline
def _pass2(buffer: Any, low: int, high: int, m: int, twiddles: Any, t: int) -> None:
    for j in range(m):
        w = t + 2 * j
        for block in range(low + j, high, 2 * m):
            i = block * ROW
            k = i + m * ROW
            ar, ai = load(buffer, i), load(buffer, i + LANES)
            br, bi = _get(buffer, k, twiddles, w, True)
            _put(buffer, i, ar + br, ai + bi)
            _put(buffer, k, ar - br, ai - bi)


@forceinline
def _butterfly4(buffer: Any, i: int, step: int, twiddles: Any, w: int, twist: bool) -> None:
    ar, ai = load(buffer, i), load(buffer, i + LANES)
    br, bi = _get(buffer, i + step, twiddles, w, twist)
    cr, ci = _get(buffer, i + 2 * step, twiddles, w + 2, twist)
    dr, di = _get(buffer, i + 3 * step, twiddles, w + 4, twist)
    ar, ai, br, bi, cr, ci, dr, di = _dft4(ar, ai, br, bi, cr, ci, dr, di)
    _put(buffer, i, ar, ai)
    _put(buffer, i + step, br, bi)
    _put(buffer, i + 2 * step, cr, ci)
    _put(buffer, i + 3 * step, dr, di)


_SQRT_HALF = 0.7071067811865476


@forceinline
def _butterfly8(buffer: Any, i: int, step: int, twiddles: Any, w: int, twist: bool) -> None:
    ar, ai = load(buffer, i), load(buffer, i + LANES)
    br, bi = _get(buffer, i + 2 * step, twiddles, w + 2, twist)
    cr, ci = _get(buffer, i + 4 * step, twiddles, w + 6, twist)
    dr, di = _get(buffer, i + 6 * step, twiddles, w + 10, twist)
    ar, ai, br, bi, cr, ci, dr, di = _dft4(ar, ai, br, bi, cr, ci, dr, di)
    er, ei = _get(buffer, i + step, twiddles, w, twist)
    fr, fi = _get(buffer, i + 3 * step, twiddles, w + 4, twist)
    gr, gi = _get(buffer, i + 5 * step, twiddles, w + 8, twist)
    hr, hi = _get(buffer, i + 7 * step, twiddles, w + 12, twist)
    er, ei, fr, fi, gr, gi, hr, hi = _dft4(er, ei, fr, fi, gr, gi, hr, hi)
    fr, fi = (fr + fi) * _SQRT_HALF, (fi - fr) * _SQRT_HALF
    gr, gi = gi, negative(gr)
    hr, hi = (hi - hr) * _SQRT_HALF, negative((hr + hi) * _SQRT_HALF)
    _put(buffer, i, ar + er, ai + ei)
    _put(buffer, i + step, br + fr, bi + fi)
    _put(buffer, i + 2 * step, cr + gr, ci + gi)
    _put(buffer, i + 3 * step, dr + hr, di + hi)
    _put(buffer, i + 4 * step, ar - er, ai - ei)
    _put(buffer, i + 5 * step, br - fr, bi - fi)
    _put(buffer, i + 6 * step, cr - gr, ci - gi)
    _put(buffer, i + 7 * step, dr - hr, di - hi)


_COS3, _SIN3 = -0.5, 0.8660254037844386


@forceinline
def _pass3(buffer: Any, low: int, high: int, m: int, twiddles: Any, t: int) -> None:
    step = m * ROW
    for j in range(m):
        w = t + 4 * j
        for block in range(low + j, high, 3 * m):
            i = block * ROW
            ar, ai = load(buffer, i), load(buffer, i + LANES)
            br, bi = _get(buffer, i + step, twiddles, w, True)
            cr, ci = _get(buffer, i + 2 * step, twiddles, w + 2, True)
            sr, si = br + cr, bi + ci
            dr, di = (bi - ci) * _SIN3, (cr - br) * _SIN3
            mr, mi = ar + sr * _COS3, ai + si * _COS3
            _put(buffer, i, ar + sr, ai + si)
            _put(buffer, i + step, mr + dr, mi + di)
            _put(buffer, i + 2 * step, mr - dr, mi - di)


_COS5, _SIN5 = 0.30901699437494745, 0.9510565162951535
_COS52, _SIN52 = -0.8090169943749475, 0.5877852522924731


@forceinline
def _pass5(buffer: Any, low: int, high: int, m: int, twiddles: Any, t: int) -> None:
    step = m * ROW
    for j in range(m):
        w = t + 8 * j
        for block in range(low + j, high, 5 * m):
            i = block * ROW
            ar, ai = load(buffer, i), load(buffer, i + LANES)
            br, bi = _get(buffer, i + step, twiddles, w, True)
            cr, ci = _get(buffer, i + 2 * step, twiddles, w + 2, True)
            dr, di = _get(buffer, i + 3 * step, twiddles, w + 4, True)
            er, ei = _get(buffer, i + 4 * step, twiddles, w + 6, True)
            sr, si, ur, ui = br + er, bi + ei, br - er, bi - ei
            tr, ti, vr, vi = cr + dr, ci + di, cr - dr, ci - di
            pr, pi = ar + sr * _COS5 + tr * _COS52, ai + si * _COS5 + ti * _COS52
            qr, qi = ar + sr * _COS52 + tr * _COS5, ai + si * _COS52 + ti * _COS5
            xr, xi = ui * _SIN5 + vi * _SIN52, ur * _SIN5 + vr * _SIN52
            yr, yi = ui * _SIN52 - vi * _SIN5, ur * _SIN52 - vr * _SIN5
            _put(buffer, i, ar + sr + tr, ai + si + ti)
            _put(buffer, i + step, pr + xr, pi - xi)
            _put(buffer, i + 2 * step, qr + yr, qi - yi)
            _put(buffer, i + 3 * step, qr - yr, qi + yi)
            _put(buffer, i + 4 * step, pr - xr, pi + xi)


@forceinline
def _pass_prime(
    buffer: Any,
    low: int,
    high: int,
    m: int,
    radix: int,
    twiddles: Any,
    t: int,
    roots: Any,
    r: int,
    scratch: Any,
) -> None:
    """By definition, in radix squared operations: right for every length, fast for none."""
    step = m * ROW
    for j in range(m):
        w = t + 2 * (radix - 1) * j
        for block in range(low + j, high, radix * m):
            i = block * ROW
            _put(scratch, 0, load(buffer, i), load(buffer, i + LANES))
            for q in range(1, radix):
                ar, ai = _get(buffer, i + q * step, twiddles, w + 2 * q - 2, True)
                _put(scratch, q * ROW, ar, ai)
            for k in range(radix):
                ar, ai = load(scratch, 0), load(scratch, LANES)
                turn = 0
                for q in range(1, radix):
                    turn += k
                    if turn >= radix:
                        turn -= radix
                    br, bi = _get(scratch, q * ROW, roots, r + 2 * turn, True)
                    ar, ai = ar + br, ai + bi
                _put(buffer, i + k * step, ar, ai)


@forceinline
def _pass(
    buffer: Any, low: int, high: int, m: int, radix: int, plan: FftPlan, t: int, r: int, scratch: Any
) -> None:
    """Join groups of `radix` neighbouring results of length m, among complex numbers low .. high - 1."""
    step, twiddles = m * ROW, plan.twiddles
    if radix == 8:
        if m == 1:
            for block in range(low, high, 8):
                _butterfly8(buffer, block * ROW, step, twiddles, 0, False)
        else:
            for j in range(m):
                for block in range(low + j, high, 8 * m):
                    _butterfly8(buffer, block * ROW, step, twiddles, t + 14 * j, True)
    elif radix == 4:
        if m == 1:
            for block in range(low, high, 4):
                _butterfly4(buffer, block * ROW, step, twiddles, 0, False)
        else:
            for j in range(m):
                for block in range(low + j, high, 4 * m):
                    _butterfly4(buffer, block * ROW, step, twiddles, t + 6 * j, True)
    elif radix == 2:
        _pass2(buffer, low, high, m, twiddles, t)
    elif radix == 3:
        _pass3(buffer, low, high, m, twiddles, t)
    elif radix == 5:
        _pass5(buffer, low, high, m, twiddles, t)
    else:
        _pass_prime(buffer, low, high, m, radix, twiddles, t, plan.roots, r, scratch)


_NEAR = 256  # complex numbers of 16 lanes that take 32 KB, a first-level cache


@kernel
def complex_fft(buffer: Any, plan: FftPlan, scratch: Any) -> None:
    """All passes; those of short reach are done one near part of the buffer after the other."""
    first, m, t, r = 0, 1, 0, 0  # passes done, their reach, and where their twiddles and roots end
    while first < len(plan.radices):
        last, reach = first, m
        while last < len(plan.radices) and (last == first or reach * plan.radices[last] <= _NEAR * m):
            reach *= plan.radices[last]
            last += 1
        t_last, r_last = t, r
        for low in range(0, plan.size, reach):
            mm, t_last, r_last = m, t, r
            for p in range(first, last):
                radix = plan.radices[p]
                _pass(buffer, low, low + reach, mm, radix, plan, t_last, r_last, scratch)
                t_last += 2 * (radix - 1) * mm
                r_last += 2 * radix if radix == 7 or radix > 8 else 0
                mm *= radix
        first, m, t, r = last, reach, t_last, r_last


@kernel
def load_frames(x: Any, starts: Any, plan: FftPlan, buffer: Any) -> None:
    """Windowed frames, lane l from ``x[starts[l]]`` on, to their places in the buffer."""
    n = plan.n_fft
    if n % 2 == 1:
        zero = zeros(buffer)
        for c in range(n):
            store(buffer, c * ROW + LANES, zero)
    if n < LANES:
        for i in range(n):
            for lane in range(LANES):
                buffer[plan.places[i] + lane] = x[starts[lane] + i] * plan.window[i]
        return
    for i in range(0, n - LANES + 1, LANES):
        rows_to_columns(x, starts, i, plan.window, buffer, plan.places, i)
    if n % LANES:  # the last 16, part of which are written twice
        rows_to_columns(x, starts, n - LANES, plan.window, buffer, plan.places, n - LANES)


@forceinline
def _even(buffer: Any, plan: FftPlan, k: int) -> Any:
    """Bins k and size - k of the real FFT from those of the complex one; k from 1 to size / 2."""
    i, j = k * ROW, (plan.size - k) * ROW
    zr, zi = load(buffer, i), load(buffer, i + LANES)
    yr, yi = load(buffer, j), load(buffer, j + LANES)
    er, ei = zr + yr, zi - yi
    tr, ti = _times(zi + yi, yr - zr, plan.post[2 * k], plan.post[2 * k + 1])
    return er + tr, ei + ti, er - tr, ti - ei


@forceinline
def spectrum(buffer: Any, plan: FftPlan, scratch: Any) -> None:
    """Bins 0 .. n_fft // 2 of the real FFT of the loaded frames, as rows of the buffer."""
    complex_fft(buffer, plan, scratch)
    if plan.n_fft % 2 == 1:
        return
    size = plan.size
    zero = zeros(buffer)
    zr, zi = load(buffer, 0), load(buffer, LANES)
    for k in range(1, size // 2 + 1):
        ar, ai, br, bi = _even(buffer, plan, k)
        _put(buffer, (size - k) * ROW, br, bi)
        _put(buffer, k * ROW, ar, ai)
    _put(buffer, 0, (zr + zi) * 2.0, zero)
    _put(buffer, size * ROW, (zr - zi) * 2.0, zero)


@forceinline
def power_spectrum(buffer: Any, plan: FftPlan, scratch: Any, power: Any) -> None:
    """Squared magnitude of bins 0 .. n_fft // 2 of the loaded frames, bin k at ``power[16 k]``."""
    complex_fft(buffer, plan, scratch)
    size = plan.size
    if plan.n_fft % 2 == 1:
        for k in range(size // 2 + 1):
            ar, ai = load(buffer, k * ROW), load(buffer, k * ROW + LANES)
            store(power, k * LANES, ar * ar + ai * ai)
        return
    zr, zi = load(buffer, 0), load(buffer, LANES)
    sr, dr = (zr + zi) * 2.0, (zr - zi) * 2.0
    store(power, 0, sr * sr)
    store(power, size * LANES, dr * dr)
    for k in range(1, size // 2 + 1):
        ar, ai, br, bi = _even(buffer, plan, k)
        store(power, k * LANES, ar * ar + ai * ai)
        store(power, (size - k) * LANES, br * br + bi * bi)


@kernel
def _spectra(x: Any, hop: int, count: int, plan: FftPlan, squared: bool, root: bool, out: Any) -> None:
    """Complex spectra of `count` frames of `x`, or their power, or its square root, frame after frame."""
    bins = plan.n_fft // 2 + 1
    buffer = aligned_like(plan.window, (plan.size + 1) * ROW)
    scratch = aligned_like(plan.window, plan.scratch)
    power = aligned(bins * LANES)
    starts, outs = np.empty(LANES, np.int64), np.empty(LANES, np.int64)
    for first in range(0, count, LANES):
        lane_starts(first, count, hop, starts)
        load_frames(x, starts, plan, buffer)
        if squared:
            power_spectrum(buffer, plan, scratch, power)
            if root:
                for i in range(0, bins * LANES, LANES):
                    store(power, i, sqrt(load(power, i)))
            lane_starts(first, count, bins, outs)
            put_rows(power, bins, out, outs)
        else:
            spectrum(buffer, plan, scratch)
            lane_starts(first, count, 2 * bins, outs)
            put_rows(buffer, 2 * bins, out, outs)


def spectra(
    x: npt.NDArray[np.float32], window: npt.NDArray[np.float64], hop: int, kind: str, threads: int = 1
) -> npt.NDArray[Any]:
    """Spectra of the frames that lie wholly in `x`; see `edge_ser.dsp.twins.spectra`.

    The transform is in double precision, as librosa's: features such as flatness and contrast depend on bins far
    below the largest one, which single precision would fill with noise 140 dB below it. It costs half as much
    again; log-mel, whose bands add up many bins, does without.
    """
    plan = fft_plan(window, double=True)
    bins = plan.n_fft // 2 + 1
    count = max(0, (len(x) - plan.n_fft) // hop + 1)
    out = np.empty((count, bins), np.complex64 if kind == "complex" else np.float32)
    flat = out.reshape(-1).view(np.float32)
    width = len(flat) // max(count, 1)

    def run(first: int, last: int) -> None:
        part = flat[first * width :]
        _spectra(x[first * hop :], hop, last - first, plan, kind != "complex", kind == "magnitude", part)

    in_threads(run, count, threads)
    return out
