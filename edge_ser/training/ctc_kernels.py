"""The recursions of connectionist temporal classification, compiled: forward, backward, and the best path.

All is done in logarithms and in the precision of the input. The order of the sums is that of torch's own
implementation, so that in float32 both round alike.

A target of L labels is a chain of ``2 L + 1`` states, a blank before, between and after its labels. From a state the
path stays, goes to the next, or leaps over a blank where the labels beside it differ.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from edge_ser.dsp.kernels.jit import forceinline, kernel

__all__ = ["best_paths", "losses_and_gradients"]


@forceinline
def _log_sum(a: Any, b: Any, c: Any) -> Any:
    """Logarithm of the sum of three numbers given by theirs; minus infinity stands for none."""
    most = max(a, max(b, c))  # noqa: PLW3301 (Numba's max of two is what inlines)
    if most == -np.inf:
        return most
    return np.log(np.exp(a - most) + np.exp(b - most) + np.exp(c - most)) + most


@forceinline
def _chain(target: Any, length: int, blank: int, states: Any) -> int:
    """Labels of the chain's states; returns how many there are."""
    for s in range(2 * length + 1):
        states[s] = target[s // 2] if s % 2 else blank
    return 2 * length + 1


@forceinline
def _leaps(states: Any, s: int) -> bool:
    """A path may come to state `s` from the one before the last."""
    return s % 2 == 1 and s > 1 and states[s] != states[s - 2]


@forceinline
def _window(t: int, frames: int, count: int) -> tuple[int, int]:
    """First state, and one beyond the last, that frame `t` can be in on a whole path."""
    return max(0, count - 2 * (frames - t)), min(count, 2 * (t + 1))


@kernel
def losses_and_gradients(
    log_probs: Any,
    targets: Any,
    frames: Any,
    lengths: Any,
    blank: int,
    losses: Any,
    gradients: Any,
) -> None:
    """Fill `losses` (B,) and, where it is not of size 0, `gradients` (T, B, C), which begins as zeros.

    Parameters
    ----------
    log_probs : (T, B, C) floating point
    targets : (B, L) int64
    frames, lengths : (B,) int64
        Of each sequence and of its target.
    blank : int
    """
    total, batch, classes = log_probs.shape
    none = log_probs.dtype.type(-np.inf)
    most = 2 * targets.shape[1] + 1
    forward = np.empty((total, most), log_probs.dtype)
    backward = np.empty((2, most + 2), log_probs.dtype)
    states = np.empty(most, np.int64)
    shares = np.empty(classes, log_probs.dtype)
    for b in range(batch):
        n, count = frames[b], _chain(targets[b], lengths[b], blank, states)
        if n == 0:
            losses[b] = -none if lengths[b] else 0.0
            continue
        for s in range(count):
            forward[0, s] = log_probs[0, b, states[s]] if s < 2 else none
        for t in range(1, n):
            low, high = _window(t, n, count)
            for s in range(low):
                forward[t, s] = none
            for s in range(high, count):
                forward[t, s] = none
            for s in range(low, high):
                before = forward[t - 1, s - 1] if s > 0 else none
                leap = forward[t - 1, s - 2] if _leaps(states, s) else none
                forward[t, s] = _log_sum(forward[t - 1, s], before, leap) + log_probs[t, b, states[s]]
        said = _log_sum(forward[n - 1, count - 1], forward[n - 1, count - 2] if count > 1 else none, none)
        losses[b] = -said
        if gradients.size == 0:
            continue
        if said == none:  # no path, so there is no direction in which it would become likelier
            gradients[:n, b] = np.nan
            continue
        backward[:] = none
        for t in range(n - 1, -1, -1):
            low, high = _window(t, n, count)
            now, after = backward[t % 2], backward[(t + 1) % 2]
            now[:count] = none
            shares[:] = none
            for s in range(high - 1, low - 1, -1):
                if t == n - 1:
                    rest = log_probs.dtype.type(0.0)
                else:
                    leap = after[s + 2] if s + 2 < count and _leaps(states, s + 2) else none
                    rest = _log_sum(after[s], after[s + 1], leap)
                now[s] = rest + log_probs[t, b, states[s]]
                c = states[s]
                shares[c] = _log_sum(shares[c], forward[t, s] + now[s], none)
            for c in range(classes):
                p = log_probs[t, b, c]
                # of a class that no path has here, and of p = 0, the share is none
                share = np.exp(shares[c] - said - p) if shares[c] != none else log_probs.dtype.type(0.0)
                gradients[t, b, c] = np.exp(p) - share


@kernel
def best_paths(
    log_probs: Any,
    targets: Any,
    frames: Any,
    lengths: Any,
    blank: int,
    scores: Any,
    paths: Any,
) -> None:
    """Fill `scores` (B,) and `paths` (B, T): the state of each frame on the likeliest path, -1 where there is none.

    The other parameters are those of `losses_and_gradients`. Of paths alike, that which leaves a state latest.
    """
    total, batch, _ = log_probs.shape
    none = log_probs.dtype.type(-np.inf)
    most = 2 * targets.shape[1] + 1
    best = np.empty((2, most), log_probs.dtype)
    steps = np.empty((total, most), np.uint8)
    states = np.empty(most, np.int64)
    paths[:] = -1
    for b in range(batch):
        n, count = frames[b], _chain(targets[b], lengths[b], blank, states)
        if n == 0:
            scores[b] = none if lengths[b] else 0.0
            continue
        best[0, :count] = none
        for s in range(min(2, count)):
            best[0, s] = log_probs[0, b, states[s]]
        for t in range(1, n):
            low, high = _window(t, n, count)
            now, before = best[t % 2], best[(t - 1) % 2]
            now[:count] = none
            for s in range(low, high):
                step, value = 0, before[s]
                if s > 0 and before[s - 1] > value:
                    step, value = 1, before[s - 1]
                if _leaps(states, s) and before[s - 2] > value:
                    step, value = 2, before[s - 2]
                steps[t, s] = step
                now[s] = value + log_probs[t, b, states[s]]
        last = best[(n - 1) % 2]
        s = count - 1
        if count > 1 and last[s - 1] > last[s]:
            s -= 1
        scores[b] = last[s]
        if last[s] == none:
            continue
        for t in range(n - 1, -1, -1):
            paths[b, t] = s
            if t > 0:
                s -= steps[t, s]
