"""Frames shared among threads; the kernels run without the interpreter's lock."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from edge_ser.dsp.kernels.simd import (
    LANES,
)

__all__ = ["in_threads"]


def in_threads(run: Callable[[int, int], None], count: int, threads: int) -> None:
    """Call ``run(first, last)`` over 0 .. count - 1, in `threads` parts at the same time."""
    blocks = -(-count // LANES)
    threads = min(threads, blocks)
    if threads <= 1:
        if count:
            run(0, count)
        return
    edges = [min(count, blocks * part // threads * LANES) for part in range(threads + 1)]
    with ThreadPoolExecutor(threads) as pool:
        for done in [pool.submit(run, a, b) for a, b in itertools.pairwise(edges)]:
            done.result()
