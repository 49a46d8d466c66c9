"""Sixteen frames between memory, where each lies on its own, and `Lanes`, where they lie side by side."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import numpy.typing as npt
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from edge_ser.dsp.kernels.jit import forceinline, kernel
from edge_ser.dsp.kernels.simd import ELEMENT, INDICES, LANES, convert, pointer_to

__all__ = [
    "aligned",
    "aligned_like",
    "columns_to_rows",
    "lane_starts",
    "put_rows",
    "row_places",
    "rows_to_columns",
    "take_rows",
]


def _transposed(builder: Any, rows: list[Any]) -> list[Any]:
    """16 vectors to the 16 vectors of their columns, by 64 shuffles that all instruction sets have."""

    def shuffle(a: Any, b: Any, mask: list[int]) -> Any:
        return builder.shuffle_vector(a, b, ir.Constant(INDICES, mask))

    groups = range(0, LANES, 4)
    low = [g + i for g in groups for i in (0, LANES, 1, LANES + 1)]
    high = [g + i for g in groups for i in (2, LANES + 2, 3, LANES + 3)]
    low2 = [g + i for g in groups for i in (0, 1, LANES, LANES + 1)]
    high2 = [g + i for g in groups for i in (2, 3, LANES + 2, LANES + 3)]
    quads = []  # quads[4 r + c]: column c of each 4 x 4 block of rows 4 r .. 4 r + 3
    for r in groups:
        a, b, c, d = rows[r : r + 4]
        ab, cd = shuffle(a, b, low), shuffle(c, d, low)
        quads += [shuffle(ab, cd, low2), shuffle(ab, cd, high2)]
        ab, cd = shuffle(a, b, high), shuffle(c, d, high)
        quads += [shuffle(ab, cd, low2), shuffle(ab, cd, high2)]
    even = [g + i for g in (0, 8, 16, 24) for i in range(4)]
    odd = [i + 4 for i in even]
    columns: list[Any] = [None] * LANES
    for c in range(4):
        first, second = quads[c], quads[4 + c]
        third, fourth = quads[8 + c], quads[12 + c]
        for parity, mask in enumerate((even, odd)):
            left, right = shuffle(first, second, mask), shuffle(third, fourth, mask)
            # left holds blocks (parity, parity + 2) of rows 0-3, then of rows 4-7
            columns[4 * parity + c] = shuffle(left, right, even)
            columns[4 * (parity + 2) + c] = shuffle(left, right, odd)
    return columns


def _at(context: Any, builder: Any, array_type: Any, array: Any, index: Any) -> Any:
    """Element `index` of an index array."""
    data = context.make_array(array_type)(context, builder, array).data
    return builder.load(builder.gep(data, [index]))


@intrinsic
def rows_to_columns(
    typingctx: Any, source: Any, starts: Any, i: Any, weights: Any, target: Any, places: Any, k: Any
) -> Any:
    """``target[places[k + c] + l] = source[starts[l] + i + c] * weights[i + c]``, 16 lanes l and 16 columns c."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        source_type, starts_type, _, weights_type, target_type, places_type, _ = sig.args
        a_source, a_starts, a_i, a_weights, a_target, a_places, a_k = args
        element = ELEMENT[target_type.dtype]
        weight = builder.load(pointer_to(context, builder, weights_type, a_weights, a_i), align=4)
        rows = []
        for lane in range(LANES):
            start = _at(context, builder, starts_type, a_starts, ir.Constant(a_i.type, lane))
            pointer = pointer_to(context, builder, source_type, a_source, builder.add(start, a_i))
            row = convert(builder, builder.load(pointer, align=4), element)
            rows.append(builder.fmul(row, convert(builder, weight, element)))
        for c, column in enumerate(_transposed(builder, rows)):
            index = builder.add(a_k, ir.Constant(a_k.type, c))
            place = _at(context, builder, places_type, a_places, index)
            builder.store(column, pointer_to(context, builder, target_type, a_target, place), align=4)
        return context.get_dummy_value()

    return types.void(source, starts, types.intp, weights, target, places, types.intp), codegen


@intrinsic
def columns_to_rows(typingctx: Any, source: Any, k: Any, target: Any, starts: Any, i: Any) -> Any:
    """``target[starts[l] + i + c] = source[k + 16 c + l]`` for 16 lanes l and 16 columns c."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        source_type, _, target_type, starts_type, _ = sig.args
        a_source, a_k, a_target, a_starts, a_i = args
        columns = []
        for c in range(LANES):
            index = builder.add(a_k, ir.Constant(a_k.type, LANES * c))
            column = builder.load(pointer_to(context, builder, source_type, a_source, index), align=4)
            columns.append(convert(builder, column, ELEMENT[target_type.dtype]))
        for lane, row in enumerate(_transposed(builder, columns)):
            start = _at(context, builder, starts_type, a_starts, ir.Constant(a_i.type, lane))
            pointer = pointer_to(context, builder, target_type, a_target, builder.add(start, a_i))
            builder.store(row, pointer, align=4)
        return context.get_dummy_value()

    return types.void(source, types.intp, target, starts, types.intp), codegen


@forceinline
def aligned(size: int) -> Any:
    """`size` float32 that start at a cache line."""
    memory = np.empty(size + 16, np.float32)
    start = ((64 - memory.ctypes.data % 64) % 64) // 4
    return memory[start : start + size]


@forceinline
def aligned_like(array: Any, size: int) -> Any:
    """`size` numbers of an array's type that start at a cache line."""
    memory = np.empty(size + 16, array.dtype)
    start = ((64 - memory.ctypes.data % 64) % 64) // array.itemsize
    return memory[start : start + size]


@forceinline
def lane_starts(first: int, count: int, hop: int, starts: Any) -> None:
    """Starts of 16 frames from `first` on; beyond the last one it is repeated."""
    for lane in range(LANES):
        starts[lane] = min(first + lane, count - 1) * hop


@kernel
def take_rows(source: Any, width: int, starts: Any, ones: Any, places: Any, columns: Any) -> None:
    """Inverse of `put_rows`; `ones` and `places` as `row_places` gives them."""
    if width < LANES:
        for c in range(width):
            for lane in range(LANES):
                columns[c * LANES + lane] = source[starts[lane] + c]
        return
    for c in range(0, width - LANES + 1, LANES):
        rows_to_columns(source, starts, c, ones, columns, places, c)
    if width % LANES:
        rows_to_columns(source, starts, width - LANES, ones, columns, places, width - LANES)


@functools.lru_cache(maxsize=16)
def row_places(width: int) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]:
    """What `take_rows` needs for rows of `width`."""
    return np.ones(width, np.float32), np.arange(width, dtype=np.int64) * LANES


@kernel
def put_rows(columns: Any, width: int, target: Any, starts: Any) -> None:
    """Write `width` columns of 16 lanes as rows: lane l to ``target[starts[l] : starts[l] + width]``."""
    if width < LANES:
        for c in range(width):
            for lane in range(LANES):
                target[starts[lane] + c] = columns[c * LANES + lane]
        return
    for c in range(0, width - LANES + 1, LANES):
        columns_to_rows(columns, c * LANES, target, starts, c)
    if width % LANES:  # the last 16, part of which are written twice
        columns_to_rows(columns, (width - LANES) * LANES, target, starts, width - LANES)
