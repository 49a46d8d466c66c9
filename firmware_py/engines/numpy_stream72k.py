"""The step of `stream72k` in NumPy: folded weights in, no allocation beyond the new state.

Every layer owns its scratch buffers and the strided views on them, made once. All shapes are fixed, so the same
input gives the same bits at every step and in every process on the same machine.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import as_strided

from edge_ser.entries import MAX_ELEMENTS, Entries
from edge_ser.errors import EdgeSerError

from .base import Outputs, State

__all__ = ["Stream72kNet"]

_ALIGN = 64  # a cache line, the widest vector register: where a buffer lies must not change a result
_MOST = 1 << 12  # of anything that config counts; a model for small boards has far less
_MOST_BOUND = 80.0  # its exponential and a step's sum of them stay in float32


def _buffer(*shape: int) -> np.ndarray:
    """An aligned float32 array of zeros."""
    count = math.prod(shape)
    if count > MAX_ELEMENTS:  # the weights' shapes are held by their file, those over time by config alone
        raise EdgeSerError(
            f"bundle.json is damaged (config asks for {count} numbers at once: its step_frames, window_segments and "
            f"dilations must need at most {MAX_ELEMENTS}); get a fresh copy of the bundle"
        )
    raw = np.zeros(count * 4 + _ALIGN, np.uint8)
    offset = -raw.ctypes.data % _ALIGN
    return raw[offset : offset + count * 4].view(np.float32).reshape(shape)


def _aligned(values: np.ndarray) -> np.ndarray:
    out = _buffer(*values.shape)
    out[...] = values
    return out


class _Stem:
    """Convolution of 3 frames x 3 bands, stride 2 in band, with ReLU; activations lie as (frame, band, channel)."""

    def __init__(self, weights: _Weights, index: int, frames: int, bands: int, inputs: int, outputs: int, *,
                 stride: int) -> None:  # fmt: skip
        name = f"stem.{index}.conv"
        kernel = weights.take(f"{name}.weight", (outputs, inputs, 3, 3))
        self.kernel = _aligned(kernel.transpose(2, 3, 1, 0).reshape(9 * inputs, outputs))
        self.bias = _aligned(weights.take(f"{name}.bias", (outputs,)))
        past = 3 - stride
        padded = _buffer(frames + past, bands + 2, inputs)  # a band of zeros on either edge, never written
        inner = padded[:, 1:-1]
        self.past, self.new, self.last = inner[:past], inner[past:], inner[-past:]
        row, col, depth = padded.strides
        count, half = frames // stride, bands // 2
        self.windows = as_strided(
            padded, (count, half, 3, 3, inputs), (stride * row, 2 * col, row, col, depth), writeable=False
        )
        self.patches = _buffer(count, half, 3, 3, inputs)
        self.rows = self.patches.reshape(count * half, 9 * inputs)
        self.maps = _buffer(count * half, outputs)
        self.out = self.maps.reshape(count, half, outputs)
        self.state_shape = (1, inputs, past, bands)

    def step(self, x: np.ndarray, state: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        self.past[...] = state[0].transpose(1, 2, 0)
        self.new[...] = x
        np.copyto(self.patches, self.windows)
        np.matmul(self.rows, self.kernel, out=self.maps)
        _bias_relu(self.maps, self.bias)
        return self.out, self.last.transpose(2, 0, 1)[None].copy()


class _Mix:
    """All bands and channels of a frame to `channels`, with ReLU."""

    def __init__(self, weights: _Weights, frames: int, bands: int, stem: int, channels: int) -> None:
        weight = weights.take("mix.conv.weight", (channels, stem * bands, 1)).reshape(channels, stem, bands)
        # torch flattens to channel * bands + band; the stem here leaves band * channels + channel, so the weights
        # are reordered once instead of the activations at every step.
        self.weight = _aligned(weight.transpose(2, 1, 0).reshape(bands * stem, channels))
        self.bias = _aligned(weights.take("mix.conv.bias", (channels,)))
        self.flat = (frames, bands * stem)
        self.out = _buffer(frames, channels)

    def step(self, x: np.ndarray) -> np.ndarray:
        np.matmul(x.reshape(self.flat), self.weight, out=self.out)
        _bias_relu(self.out, self.bias)
        return self.out


class _Depthwise:
    """Causal depthwise convolution over time with ReLU; its state is the frames that the next step looks back on."""

    def __init__(self, weights: _Weights, name: str, frames: int, channels: int, taps: int, *,
                 stride: int = 1, dilation: int = 1) -> None:  # fmt: skip
        weight = weights.take(f"{name}.conv.weight", (channels, 1, taps))
        past = (taps - 1) * dilation - (stride - 1)
        rows = past + frames
        count = (rows - dilation * (taps - 1) - 1) // stride + 1
        self.weight = _aligned(weight[:, 0, :].T)
        self.bias = _aligned(weights.take(f"{name}.conv.bias", (channels,)))
        joined = _buffer(rows, channels)
        self.past, self.new, self.last = joined[:past], joined[past:], joined[rows - past :]
        row, col = joined.strides
        self.windows = as_strided(
            joined, (count, taps, channels), (stride * row, dilation * row, col), writeable=False
        )
        self.products = _buffer(count, taps, channels)
        self.out = _buffer(count, channels)
        self.state_shape = (1, channels, past)

    def step(self, x: np.ndarray, state: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        self.past[...] = state[0].T
        self.new[...] = x
        np.multiply(self.windows, self.weight, out=self.products)
        np.add.reduce(self.products, axis=1, out=self.out)
        _bias_relu(self.out, self.bias)
        return self.out, self.last.T[None].copy()


class _Block:
    """Dilated depthwise convolution, pointwise convolution, shortcut."""

    def __init__(
        self, weights: _Weights, index: int, frames: int, channels: int, taps: int, dilation: int
    ) -> None:
        name = f"blocks.{index}"
        self.depthwise = _Depthwise(weights, f"{name}.depthwise", frames, channels, taps, dilation=dilation)
        weight = weights.take(f"{name}.pointwise.conv.weight", (channels, channels, 1))
        self.weight = _aligned(weight[:, :, 0].T)
        self.bias = _aligned(weights.take(f"{name}.pointwise.conv.bias", (channels,)))
        self.out = _buffer(frames, channels)
        self.state_shape = self.depthwise.state_shape

    def step(self, x: np.ndarray, state: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        hidden, new = self.depthwise.step(x, state)
        np.matmul(hidden, self.weight, out=self.out)
        np.add(self.out, x, out=self.out)
        _bias_relu(self.out, self.bias)
        return self.out, new


class _AttentivePool:
    """Sliding-window attention pooling over a ring of segments, newest last.

    A segment is the sum of its weights, its weighted mean and its weighted sum of squares about that mean; the window
    is their merger, which never subtracts two large numbers.
    """

    def __init__(self, weights: _Weights, frames: int, channels: int, heads: int, segments: int,
                 bound: float, eps: float) -> None:  # fmt: skip
        group = channels // heads
        self.weight = _aligned(weights.take("attend.weight", (heads, channels, 1))[:, :, 0].T)
        self.bias = _aligned(weights.take("attend.bias", (heads,)))
        self.bound, self.eps = np.float32(bound), np.float32(eps)
        self.scores = _buffer(frames, heads)
        self.shaped = (frames, heads, group)
        self.weighted = _buffer(*self.shaped)
        self.apart = _buffer(*self.shaped)
        self.total = _buffer(heads, 1)
        self.out = _buffer(1, 2 * channels)
        self.mean, self.dev = (half.reshape(heads, group) for half in np.split(self.out[0], 2))
        self.offsets = _buffer(segments, heads, group)
        self.between = _buffer(heads, group)
        self.heads, self.channels = heads, channels
        self.state_shape = (1, segments, heads + 2 * channels)

    def step(self, x: np.ndarray, state: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        z = self.scores
        np.matmul(x, self.weight, out=z)
        np.add(z, self.bias, out=z)
        np.divide(z, self.bound, out=z)
        np.tanh(z, out=z)
        np.multiply(z, self.bound, out=z)
        np.exp(z, out=z)

        ring = np.empty(self.state_shape, np.float32)
        ring[:, :-1] = state[:, 1:]
        segment, heads, channels = ring[0, -1], self.heads, self.channels
        x = x.reshape(self.shaped)
        grouped = (heads, channels // heads)
        mass, mean = segment[:heads], segment[heads : heads + channels].reshape(grouped)
        np.add.reduce(z, axis=0, out=mass)
        np.multiply(x, z[:, :, None], out=self.weighted)
        np.add.reduce(self.weighted, axis=0, out=mean)
        np.divide(mean, mass[:, None], out=mean)
        np.subtract(x, mean, out=self.apart)
        np.multiply(self.apart, self.apart, out=self.apart)
        np.multiply(self.apart, z[:, :, None], out=self.apart)
        np.add.reduce(self.apart, axis=0, out=segment[heads + channels :].reshape(grouped))

        # Views: a head's weight goes with its group of channels.
        weights = ring[0, :, :heads, None]
        means = ring[0, :, heads : heads + channels].reshape(-1, *grouped)
        spreads = ring[0, :, heads + channels :].reshape(-1, *grouped)
        np.add.reduce(weights, axis=0, out=self.total)
        np.multiply(weights, means, out=self.offsets)
        np.add.reduce(self.offsets, axis=0, out=self.mean)
        np.divide(self.mean, self.total, out=self.mean)
        np.subtract(means, self.mean, out=self.offsets)
        np.multiply(self.offsets, self.offsets, out=self.offsets)
        np.multiply(self.offsets, weights, out=self.offsets)
        np.add.reduce(self.offsets, axis=0, out=self.between)
        np.add.reduce(spreads, axis=0, out=self.dev)
        np.add(self.dev, self.between, out=self.dev)
        np.divide(self.dev, self.total, out=self.dev)
        np.add(self.dev, self.eps, out=self.dev)
        np.sqrt(self.dev, out=self.dev)
        return self.out, ring


class _Weights:
    """Named tensors, each taken once with the shape that the config gives it."""

    def __init__(self, tensors: Mapping[str, np.ndarray]) -> None:
        self.left = dict(tensors)

    def take(self, name: str, shape: Sequence[int]) -> np.ndarray:
        values = self.left.pop(name, None)
        if values is None:
            raise EdgeSerError(
                f"the weights hold no tensor {name}; export the bundle again from its checkpoint"
            )
        if values.shape != tuple(shape):
            raise EdgeSerError(
                f"tensor {name} has the shape {values.shape}, the bundle's config asks for {tuple(shape)}; "
                "export the bundle again from its checkpoint"
            )
        return values.astype(np.float32, copy=False)

    def finish(self) -> None:
        if self.left:
            raise EdgeSerError(
                f"the weights hold tensors that this version does not know: {', '.join(sorted(self.left))}"
            )


class Stream72kNet:
    """`stream72k` with batch normalisation folded.

    Parameters
    ----------
    tensors : mapping of str to array
        The state dict of the folded torch module (``weights.safetensors``).
    config : mapping
        ``Stream72kConfig.to_dict()``, as the bundle stores it.
    """

    def __init__(self, tensors: Mapping[str, np.ndarray], config: Mapping[str, Any]) -> None:
        weights, shape = _Weights(tensors), Entries(config, "bundle.json", "config")
        labels, bands = len(shape.texts("labels")), shape.count("n_mels", 1, _MOST)
        channels, taps = shape.count("channels", 1, _MOST), shape.count("kernel", 2, _MOST)
        heads, frames = shape.count("heads", 1, channels), shape.count("step_frames", 2, _MOST)
        if channels % heads:
            raise shape.wrong("heads", f"a divisor of channels, {channels}")
        widths = shape.counts("stem", 1, _MOST)
        # Bundles from before there were these have neither.
        halve = shape.count("halve", -1, len(widths) - 1) if "halve" in config else -1
        phases = shape.count("phases", 1, 2) if "phases" in config else 1
        every = phases if halve >= 0 else 1
        self._stems, inputs = [], 1
        for index, outputs in enumerate(widths):
            stride = 2 if index == halve and phases == 1 else 1
            self._stems.append(_Stem(weights, index, frames, bands, inputs, outputs, stride=stride))
            inputs, bands, frames = outputs, bands // 2, frames // stride
        self._mix = _Mix(weights, frames, bands, inputs, channels)
        stride = 2 if halve < 0 and phases == 1 else 1
        self._down = _Depthwise(weights, "down", frames, channels, taps, stride=stride, dilation=every)
        frames = frames // stride
        self._blocks = [
            _Block(weights, index, frames, channels, taps, dilation * phases)
            for index, dilation in enumerate(shape.counts("dilations", 1, _MOST))
        ]
        self._pool = _AttentivePool(
            weights, frames, channels, heads, shape.count("window_segments", 1, _MOST),
            shape.number("bound", 1e-3, _MOST_BOUND), shape.number("eps", 0.0, 1.0),
        )  # fmt: skip
        # Both heads in one product; the first `labels` columns are the emotion's.
        last = [
            (weights.take(f"{name}.weight", (rows, 2 * channels)), weights.take(f"{name}.bias", (rows,)))
            for name, rows in (("emotion", labels), ("adv", 3))
        ]
        self._heads = _aligned(np.concatenate([weight for weight, _ in last]).T)
        self._heads_bias = _aligned(np.concatenate([bias for _, bias in last]))
        self._labels = labels
        self._out = _buffer(1, labels + 3)
        weights.finish()
        stateful: list[_Stem | _Depthwise | _Block | _AttentivePool]
        stateful = [*self._stems, self._down, *self._blocks, self._pool]
        self.state_shapes = tuple(layer.state_shape for layer in stateful)

    def step(self, features: np.ndarray, state: State) -> tuple[Outputs, State]:
        """One step; see `Engine.step`."""
        past = iter(state)
        new = []
        x = features[:, :, None]
        for stem in self._stems:
            x, kept = stem.step(x, next(past))
            new.append(kept)
        x, kept = self._down.step(self._mix.step(x), next(past))
        new.append(kept)
        for block in self._blocks:
            x, kept = block.step(x, next(past))
            new.append(kept)
        pooled, ring = self._pool.step(x, next(past))
        new.append(ring)
        np.matmul(pooled, self._heads, out=self._out)
        np.add(self._out, self._heads_bias, out=self._out)
        logits, adv = self._out[0, : self._labels], self._out[0, self._labels :]
        return Outputs(_sigmoid(adv), logits.copy()), tuple(new)


def _sigmoid(x: np.ndarray) -> np.ndarray:
    with np.errstate(over="ignore"):  # exp of a large -x is inf, and 1 / inf is the 0 that is meant
        return 1 / (1 + np.exp(-x))


def _bias_relu(x: np.ndarray, bias: np.ndarray) -> None:
    np.add(x, bias, out=x)
    np.maximum(x, np.float32(0), out=x)
