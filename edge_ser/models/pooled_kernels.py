"""Compiled passes over images in training: normalisation, ReLU, the largest of 2 x 2, dropout, float32 or bfloat16;
and a first convolution, whose one channel leaves torch's with little to do but arrange memory.

`edge_ser.models.fused` is their face. Arrays are C-contiguous, channels last; a bfloat16 comes as its bits, uint16.
torch passes over an activation eleven times where these do five times.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from edge_ser.dsp.kernels.jit import kernel
from edge_ser.models.fused_kernels import value

__all__ = ["convolved", "convolved_back", "pooled", "pooled_back", "shrunk", "shrunk_back"]

#: Said of a point where ReLU is 0, or that is dropped; else the place of the largest among its four is.
_SHUT = 4


@intrinsic
def _bits(typingctx: Any, single: Any, like: Any) -> Any:
    """A float32 as it is stored where `like` is: rounded to the nearest bfloat16, of two the even, or as it is."""
    half = like == types.uint16

    def made(context: Any, builder: Any, signature: Any, given: Any) -> Any:
        if not half:
            return given[0]
        word = ir.IntType(32)
        bits = builder.bitcast(given[0], word)
        odd = builder.and_(builder.lshr(bits, ir.Constant(word, 16)), ir.Constant(word, 1))
        up = builder.add(builder.add(bits, ir.Constant(word, 0x7FFF)), odd)
        return builder.trunc(builder.lshr(up, ir.Constant(word, 16)), ir.IntType(16))

    return like(types.float32, like), made


@kernel
def pooled(x: Any, line: Any, y: Any, place: Any) -> None:
    """The largest of each 2 x 2 of ``relu(line[0] x + line[1])`` into y (B, h, w, C), and which of the four it was."""
    batch, high, broad, channels = y.shape
    zero = np.float32(0)
    for b in range(batch):
        for i in range(high):
            for j in range(broad):
                for c in range(channels):
                    scale, offset = line[0, c], line[1, c]
                    best = scale * value(x[b, 2 * i, 2 * j, c]) + offset
                    which = np.uint8(0)
                    other = scale * value(x[b, 2 * i, 2 * j + 1, c]) + offset
                    which = np.uint8(1) if other > best else which
                    best = other if other > best else best
                    other = scale * value(x[b, 2 * i + 1, 2 * j, c]) + offset
                    which = np.uint8(2) if other > best else which
                    best = other if other > best else best
                    other = scale * value(x[b, 2 * i + 1, 2 * j + 1, c]) + offset
                    which = np.uint8(3) if other > best else which
                    best = other if other > best else best
                    which = which if best > zero else np.uint8(_SHUT)
                    best = best if best > zero else zero
                    y[b, i, j, c] = _bits(best, y[b, i, j, c])
                    place[b, i, j, c] = which


@kernel
def pooled_back(g: Any, place: Any, x: Any, weight: Any, moments: Any, eps: float, gx: Any, gs: Any) -> None:
    """Gradient g of `pooled` over normalised x: of x into gx, of weight and bias into gs (2, C)."""
    batch, high, broad, channels = g.shape
    count = batch * x.shape[1] * x.shape[2]
    mean = moments[0]
    zero = np.float32(0)
    total = np.zeros((2, channels), np.float64)
    part = np.empty((2, channels), np.float32)
    for b in range(batch):
        for i in range(high):
            part[:] = 0
            for j in range(broad):
                for c in range(channels):
                    which, own = place[b, i, j, c], value(g[b, i, j, c])
                    through = own if which < _SHUT else zero
                    # all four are read, so that the choice among them is no branch
                    at0, at1 = value(x[b, 2 * i, 2 * j, c]), value(x[b, 2 * i, 2 * j + 1, c])
                    at2, at3 = value(x[b, 2 * i + 1, 2 * j, c]), value(x[b, 2 * i + 1, 2 * j + 1, c])
                    upper = at1 if which == 1 else at0
                    lower = at3 if which == 3 else at2
                    part[0, c] += through
                    part[1, c] += through * ((lower if which >= 2 else upper) - mean[c])
            total += part
    plane = np.empty((3, channels), np.float32)
    for c in range(channels):
        inverse = 1 / np.sqrt(moments[1, c] + eps)
        level, along = total[0, c], total[1, c] * inverse
        gs[0, c], gs[1, c] = along, level
        scale = weight[c] * inverse
        slope = -scale * inverse * along / count
        plane[0, c] = scale
        plane[1, c] = slope
        plane[2, c] = -scale * level / count - slope * mean[c]
    for b in range(batch):
        for i in range(2 * high):
            for j in range(2 * broad):
                own = np.uint8(2 * (i & 1) + (j & 1))
                for c in range(channels):  # one array written and few read: loops of more are not vectorised
                    through = value(g[b, i >> 1, j >> 1, c])
                    through = through if place[b, i >> 1, j >> 1, c] == own else zero
                    back = plane[0, c] * through + plane[1, c] * value(x[b, i, j, c]) + plane[2, c]
                    gx[b, i, j, c] = _bits(back, gx[b, i, j, c])
        # the last row and column of an odd image are in no 2 x 2
        for i in range(x.shape[1]):
            for j in range(2 * broad if i < 2 * high else 0, x.shape[2]):
                for c in range(channels):
                    gx[b, i, j, c] = _bits(plane[1, c] * value(x[b, i, j, c]) + plane[2, c], gx[b, i, j, c])


@kernel
def convolved(
    x: Any, weight: Any, bias: Any, drawn: Any, floor: int, scale: float, y: Any, place: Any
) -> None:
    """The largest of each 2 x 2 of ReLU of a 3 x 3 convolution, into y (B, h, w, C), and which of the four it was.

    x is (B, 2 h + 2 or more, 2 w + 2 or more), with its padding; weight is (9, C). What is `drawn` below `floor` is
    dropped, and the rest multiplied by `scale`.
    """
    batch, high, broad, channels = y.shape
    zero, grown = np.float32(0), np.float32(scale)
    for b in range(batch):
        for i in range(high):
            for j in range(broad):
                r, s = 2 * i, 2 * j
                p00, p01, p02, p03 = x[b, r, s], x[b, r, s + 1], x[b, r, s + 2], x[b, r, s + 3]
                r += 1
                p10, p11, p12, p13 = x[b, r, s], x[b, r, s + 1], x[b, r, s + 2], x[b, r, s + 3]
                r += 1
                p20, p21, p22, p23 = x[b, r, s], x[b, r, s + 1], x[b, r, s + 2], x[b, r, s + 3]
                r += 1
                p30, p31, p32, p33 = x[b, r, s], x[b, r, s + 1], x[b, r, s + 2], x[b, r, s + 3]
                for c in range(channels):
                    w0, w1, w2 = weight[0, c], weight[1, c], weight[2, c]
                    w3, w4, w5 = weight[3, c], weight[4, c], weight[5, c]
                    w6, w7, w8 = weight[6, c], weight[7, c], weight[8, c]
                    best = w0 * p00 + w1 * p01 + w2 * p02 + w3 * p10 + w4 * p11 + w5 * p12
                    best += w6 * p20 + w7 * p21 + w8 * p22
                    which = np.uint8(0)
                    other = w0 * p01 + w1 * p02 + w2 * p03 + w3 * p11 + w4 * p12 + w5 * p13
                    other += w6 * p21 + w7 * p22 + w8 * p23
                    which = np.uint8(1) if other > best else which
                    best = other if other > best else best
                    other = w0 * p10 + w1 * p11 + w2 * p12 + w3 * p20 + w4 * p21 + w5 * p22
                    other += w6 * p30 + w7 * p31 + w8 * p32
                    which = np.uint8(2) if other > best else which
                    best = other if other > best else best
                    other = w0 * p11 + w1 * p12 + w2 * p13 + w3 * p21 + w4 * p22 + w5 * p23
                    other += w6 * p31 + w7 * p32 + w8 * p33
                    which = np.uint8(3) if other > best else which
                    best = (other if other > best else best) + bias[c]
                    best = best if drawn[b, i, j, c] >= floor else zero
                    place[b, i, j, c] = which if best > zero else np.uint8(_SHUT)
                    y[b, i, j, c] = _bits(best * grown if best > zero else zero, y[b, i, j, c])


@kernel
def convolved_back(x: Any, g: Any, place: Any, scale: float, gs: Any) -> None:
    """Gradient g of `convolved` into gs (10, C), which is 0 before: of the weights, then of the bias."""
    batch, high, broad, channels = g.shape
    zero = np.float32(0)
    for b in range(batch):
        for i in range(high):
            for j in range(broad):
                for k in range(9):
                    r, s = 2 * i + k // 3, 2 * j + k % 3
                    p0, p1, p2, p3 = x[b, r, s], x[b, r, s + 1], x[b, r + 1, s], x[b, r + 1, s + 1]
                    for c in range(channels):
                        which = place[b, i, j, c]
                        at = p1 if which == 1 else p0
                        at = p2 if which == 2 else at
                        at = p3 if which == 3 else at
                        at = zero if which == _SHUT else at
                        gs[k, c] += at * value(g[b, i, j, c])
                for c in range(channels):
                    gs[9, c] += value(g[b, i, j, c]) if place[b, i, j, c] < _SHUT else zero
    gs *= np.float32(scale)


@kernel
def shrunk(x: Any, drawn: Any, floor: int, scale: float, y: Any, place: Any) -> None:
    """The largest of each 2 x 2 of ``relu(x)`` into y (B, h, w, C), and which it was; dropped as in `convolved`."""
    batch, high, broad, channels = y.shape
    zero, grown = np.float32(0), np.float32(scale)
    for b in range(batch):
        for i in range(high):
            for j in range(broad):
                for c in range(channels):
                    best = value(x[b, 2 * i, 2 * j, c])
                    which = np.uint8(0)
                    other = value(x[b, 2 * i, 2 * j + 1, c])
                    which = np.uint8(1) if other > best else which
                    best = other if other > best else best
                    other = value(x[b, 2 * i + 1, 2 * j, c])
                    which = np.uint8(2) if other > best else which
                    best = other if other > best else best
                    other = value(x[b, 2 * i + 1, 2 * j + 1, c])
                    which = np.uint8(3) if other > best else which
                    best = other if other > best else best
                    best = best if drawn[b, i, j, c] >= floor else zero
                    place[b, i, j, c] = which if best > zero else np.uint8(_SHUT)
                    y[b, i, j, c] = _bits(best * grown if best > zero else zero, y[b, i, j, c])


@kernel
def shrunk_back(g: Any, place: Any, scale: float, gx: Any) -> None:
    """Gradient g of `shrunk` into gx, which is 0 in rows and columns that are in no 2 x 2."""
    batch, high, broad, channels = g.shape
    zero, grown = np.float32(0), np.float32(scale)
    for b in range(batch):
        for i in range(2 * high):
            for j in range(2 * broad):
                own = np.uint8(2 * (i & 1) + (j & 1))
                for c in range(channels):
                    through = grown * value(g[b, i >> 1, j >> 1, c])
                    through = through if place[b, i >> 1, j >> 1, c] == own else zero
                    gx[b, i, j, c] = _bits(through, gx[b, i, j, c])
