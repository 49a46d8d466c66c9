"""Compiled passes over activations for training on a processor: `edge_ser.models.fused` is their face.

Arrays are float32 and C-contiguous, channels last, so the innermost loops run over neighbours in memory. Sums over many
rows are float64 over blocks of rows.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from edge_ser.dsp.kernels.jit import kernel

__all__ = ["depthwise", "depthwise_back", "normalised", "normalised_back", "regressed", "sums"]

_ROWS = 64


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
def sums(x: Any, about: Any, total: Any) -> None:
    """Of the rows of x (N, C): sums and sums of squares about a point (C,), added to total (2, C), float64."""
    rows, channels = x.shape
    part = np.empty((2, channels), np.float32)
    for begin in range(0, rows, _ROWS):
        part[:] = 0
        for n in range(begin, min(begin + _ROWS, rows)):
            for c in range(channels):
                apart = x[n, c] - about[c]
                part[0, c] += apart
                part[1, c] += apart * apart
        total += part


@kernel
def normalised(x: Any, line: Any, more: Any, y: Any) -> None:
    """``max(0, line[0] x + line[1] + more)`` into y (N, C); line (2, C), more (N, C), or (0, C) for none."""
    rows, channels = x.shape
    zero = np.float32(0)
    if len(more):
        for n in range(rows):
            for c in range(channels):
                y[n, c] = max(line[0, c] * x[n, c] + line[1, c] + more[n, c], zero)
    else:
        for n in range(rows):
            for c in range(channels):
                y[n, c] = max(line[0, c] * x[n, c] + line[1, c], zero)


@kernel
def normalised_back(y: Any, g: Any, x: Any, mean: Any, gated: Any, total: Any) -> None:
    """What passes the ReLU of `normalised`, ``g`` where ``y > 0``, into gated (N, C).

    Its sums, and those of its product with ``x - mean``, are added to total (2, C), float64.
    """
    rows, channels = x.shape
    zero = np.float32(0)
    part = np.empty((2, channels), np.float32)
    for begin in range(0, rows, _ROWS):
        part[:] = 0
        for n in range(begin, min(begin + _ROWS, rows)):
            for c in range(channels):
                through = g[n, c] if y[n, c] > zero else zero
                gated[n, c] = through
                part[0, c] += through
                part[1, c] += through * (x[n, c] - mean[c])
        total += part


@kernel
def regressed(gated: Any, x: Any, plane: Any, gx: Any) -> None:
    """``plane[0] gated + plane[1] x + plane[2]``, plane (3, C), into gx (N, C)."""
    rows, channels = x.shape
    for n in range(rows):
        for c in range(channels):
            gx[n, c] = plane[0, c] * gated[n, c] + plane[1, c] * x[n, c] + plane[2, c]
