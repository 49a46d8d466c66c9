"""Compiled passes over activations for training on a processor: `edge_ser.models.fused` is their face.

Arrays are float32 and C-contiguous, channels last, so the innermost loops run over neighbours in memory. Sums over many
rows are float64 over blocks of rows.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from edge_ser.dsp.kernels.jit import kernel

__all__ = ["depthwise", "depthwise_back", "moments_of", "normalised", "normalised_back", "value"]

_ROWS = 64


@intrinsic
def value(typingctx: Any, stored: Any) -> Any:
    """float32 of a float32, or of the bits of a bfloat16."""
    half = stored == types.uint16

    def made(context: Any, builder: Any, signature: Any, given: Any) -> Any:
        if not half:
            return given[0]
        bits = builder.shl(builder.zext(given[0], ir.IntType(32)), ir.Constant(ir.IntType(32), 16))
        return builder.bitcast(bits, ir.FloatType())

    return types.float32(stored), made


@kernel
def depthwise(x: Any, weight: Any, stride: int, dilation: int, y: Any) -> None:
    """Causal convolution of each channel: x (B, T, C), weight (K, C), into y (B, T / stride, C); silence was before."""
    batch, frames, channels = y.shape
    last = len(weight) - 1
    for b in range(batch):
        for t in range(frames):
            now = t * stride + stride - 1
            for c in range(channels):
                y[b, t, c] = x[b, now, c] * weight[last, c]
            for k in range(last):
                s = now - (last - k) * dilation
                if s >= 0:
                    for c in range(channels):
                        y[b, t, c] += x[b, s, c] * weight[k, c]


@kernel
def depthwise_back(x: Any, weight: Any, g: Any, stride: int, dilation: int, gx: Any, gw: Any) -> None:
    """Gradient g (B, T / stride, C) of `depthwise`, added to gx (B, T, C) and gw (K, C)."""
    batch, frames, channels = g.shape
    last = len(weight) - 1
    for b in range(batch):
        for t in range(frames):
            for k in range(last + 1):
                s = t * stride + stride - 1 - (last - k) * dilation
                if s >= 0:
                    for c in range(channels):
                        gx[b, s, c] += g[b, t, c] * weight[k, c]
                        gw[k, c] += x[b, s, c] * g[b, t, c]


@kernel
def moments_of(x: Any, moments: Any) -> None:
    """Means and variances of channels into moments (2, C); x is (N, wide C), so many rows of C channels each.

    x is float32, or the bits of a bfloat16 as uint16.
    """
    rows, width = x.shape
    channels = moments.shape[1]
    wide = width // channels
    count = rows * wide
    about = np.zeros(width, np.float32)  # not far from the mean, so that little cancels
    for c in range(channels):
        for w in range(wide):
            about[c] += value(x[0, w * channels + c]) / wide
        for w in range(1, wide):
            about[w * channels + c] = about[c]
    total = np.zeros((2, width), np.float64)
    part = np.empty((2, width), np.float32)
    for begin in range(0, rows, _ROWS):
        part[:] = 0
        for n in range(begin, min(begin + _ROWS, rows)):
            for c in range(width):
                apart = value(x[n, c]) - about[c]
                part[0, c] += apart
                part[1, c] += apart * apart
        total += part
    for c in range(channels):
        off, squares = total[0, c::channels].sum() / count, total[1, c::channels].sum() / count
        moments[0, c], moments[1, c] = about[c] + off, squares - off * off


@kernel
def normalised(x: Any, weight: Any, bias: Any, more: Any, eps: float, y: Any, moments: Any) -> None:
    """``relu(norm(x) + more)`` into y, means and variances of channels into moments (2, C).

    x and y are (N, wide C), so many rows of C channels each; more as well, or (0, wide C) for none.
    """
    rows, width = x.shape
    channels = len(weight)
    exact = np.empty((2, channels), np.float64)
    moments_of(x, exact)
    line = np.empty((2, width), np.float32)
    for c in range(channels):
        mean, variance = exact[0, c], exact[1, c]
        moments[0, c], moments[1, c] = mean, variance
        scale = weight[c] / np.sqrt(variance + eps)
        line[0, c::channels] = scale
        line[1, c::channels] = bias[c] - scale * mean
    zero = np.float32(0)
    if len(more):
        for n in range(rows):
            for c in range(width):
                y[n, c] = max(line[0, c] * x[n, c] + line[1, c] + more[n, c], zero)
    else:
        for n in range(rows):
            for c in range(width):
                y[n, c] = max(line[0, c] * x[n, c] + line[1, c], zero)


@kernel
def normalised_back(
    y: Any, g: Any, x: Any, weight: Any, moments: Any, eps: float, gated: Any, gx: Any, gs: Any
) -> None:
    """Gradient g of `normalised`: of `more` into gated, of x into gx, of weight and bias into gs (2, C).

    gx (0, wide C) has that of x written over gated: two names for one array would keep loops from being vectorised.
    """
    rows, width = x.shape
    channels = len(weight)
    count = rows * (width // channels)
    mean = np.empty(width, np.float32)
    for c in range(channels):
        mean[c::channels] = moments[0, c]
    zero = np.float32(0)
    total = np.zeros((2, width), np.float64)
    part = np.empty((2, width), np.float32)
    for begin in range(0, rows, _ROWS):
        part[:] = 0
        for n in range(begin, min(begin + _ROWS, rows)):
            for c in range(width):
                through = g[n, c] if y[n, c] > zero else zero
                gated[n, c] = through
                part[0, c] += through
                part[1, c] += through * (x[n, c] - mean[c])
        total += part
    plane = np.empty((3, width), np.float32)
    for c in range(channels):
        inverse = 1 / np.sqrt(moments[1, c] + eps)
        level = total[0, c::channels].sum()
        along = total[1, c::channels].sum() * inverse  # the sum of its product with the normalised x
        gs[0, c], gs[1, c] = along, level
        # scale (gated - its mean - normalised x times the mean of that product), as one linear map of gated and x
        scale = weight[c] * inverse
        slope = -scale * inverse * along / count
        plane[0, c::channels] = scale
        plane[1, c::channels] = slope
        plane[2, c::channels] = -scale * level / count - slope * moments[0, c]
    if len(gx):
        for n in range(rows):
            for c in range(width):
                gx[n, c] = plane[0, c] * gated[n, c] + plane[1, c] * x[n, c] + plane[2, c]
    else:
        for n in range(rows):
            for c in range(width):
                gated[n, c] = plane[0, c] * gated[n, c] + plane[1, c] * x[n, c] + plane[2, c]
