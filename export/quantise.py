"""int8 as every format here means it: which layers keep float32, how weights are rounded, what activations are.

States, the pool's sums and the heads' answers are float32 in every int8 file but `int8-full`, so nothing that is
carried from step to step is ever rounded, and an hour of streaming drifts no more than a second does. In `int8-full`
states are bytes: each value is rounded once, and then only moved.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from export.ranges import Histogram

if TYPE_CHECKING:
    from torch import Tensor, nn

    from edge_ser.models.base import Network

__all__ = [
    "FLOAT_LAYERS",
    "Layer",
    "Observed",
    "biased_layers",
    "corrected_bias",
    "float_layers",
    "hear",
    "int8_layers",
    "integer_layers",
    "observe",
    "room_for_bias",
    "round_weight",
]

#: Layers that keep float32 weights. Of all layers, rounding these moved the answers most for what they weigh: 2.6 K
#: of 68 K weights, a third of the probabilities' mean error. The first convolution's 72 weights see decibels; the
#: attention's scores go into an exponential; the heads end in the answer.
FLOAT_LAYERS = ("stem.0.conv", "attend", "emotion", "adv")


#: Most units of 32-bit sums that a bias may have: half of them, as the products are added to it.
_UNITS = 2.0**30


class Layer(NamedTuple):
    """A convolution's weight (outputs, inputs / groups, ...) and bias (outputs,), float32."""

    weight: np.ndarray
    bias: np.ndarray


class Observed(NamedTuple):
    """What a layer met.

    Attributes
    ----------
    taken, given : (float, float)
        Range of what went in and came out, before the ReLU that may follow; see `export.ranges`.
    rectified : (float, float)
        Range of what came out, after a ReLU.
    mean : (inputs,) float64
        Mean of each input channel.
    peaks, depths : (outputs,) float64
        Greatest value of each output channel, at least 0, and least, at most 0.
    single : bool
        It heard one vector of each recording, a mean over places, and not places.
    """

    taken: tuple[float, float]
    given: tuple[float, float]
    rectified: tuple[float, float]
    mean: np.ndarray
    peaks: np.ndarray
    depths: np.ndarray
    single: bool = False


def float_layers(model: Network) -> tuple[str, ...]:
    """Layers of a folded model that keep float32 weights: of a clip network front end, first layer and heads."""
    if model.streams:
        return FLOAT_LAYERS
    names = [name for name, _ in _convolutions(model)]
    front = [name for name in names if name.startswith("front_end.")]
    return (*front, names[len(front)], "emotion", "adv")


def int8_layers(model: Network, kept: Collection[str] = ()) -> dict[str, Layer]:
    """Layers whose weights become int8, by name, in the order of the model; `model` is folded, `kept` stays float."""
    kept = {*float_layers(model), *kept}
    return {name: layer for name, layer in biased_layers(model).items() if name not in kept}


def biased_layers(model: Network) -> dict[str, Layer]:
    """All convolutions with a bias, which in a folded model are all but those of a front end, by name."""
    return {
        name: Layer(module.weight.detach().numpy(), module.bias.detach().numpy())
        for name, module in _convolutions(model)
        if module.bias is not None
    }


def _convolutions(model: Network) -> Iterator[tuple[str, nn.Conv1d | nn.Conv2d]]:
    from torch import nn

    for name, module in model.named_modules():
        if isinstance(module, nn.Conv1d | nn.Conv2d):
            yield name, module


def integer_layers(model: Network, kept: Collection[str] = ()) -> tuple[str, ...]:
    """Those of `int8_layers` whose inputs and outputs are rounded too, where a runtime has integer arithmetic.

    They are the products over channels, nine tenths of the weights. In the other convolutions, of few weights, the
    rounding of what goes in and out adds half to the answers' error, and saves no time beside the conversions. A
    network that does not stream spends its time in all of its convolutions, and has them all in integers.
    """
    if not model.streams:
        return tuple(int8_layers(model, kept))
    return tuple(
        name
        for name, layer in int8_layers(model, kept).items()
        if all(size == 1 for size in layer.weight.shape[2:])
    )


def round_weight(weight: np.ndarray, largest: int = 127) -> tuple[np.ndarray, np.ndarray]:
    """Symmetric int8, one scale for each output channel.

    Parameters
    ----------
    weight : (outputs, ...) float32
    largest : int
        Greatest magnitude used, at most 127.

    Returns
    -------
    values : (outputs, ...) int8
        In ``-largest..largest``.
    scales : (outputs,) float32
        ``values * scales`` is the weight to within half a scale.
    """
    magnitude = np.abs(weight.reshape(len(weight), -1)).max(1)
    # A channel of zeros needs any scale but zero; a subnormal one would lose its precision.
    scales = np.maximum(magnitude / largest, np.finfo(np.float32).tiny).astype(np.float32)
    values = np.rint(weight / scales.reshape(-1, *[1] * (weight.ndim - 1)))
    return np.clip(values, -largest, largest).astype(np.int8), scales


def room_for_bias(layer: Layer, step: float) -> np.ndarray:
    """A layer's weight, with scales so large that products of bytes can be added to its bias in 32 bits.

    A unit of the sums is worth the step of what goes in, times the channel's scale. Of a channel of zeros, or nearly,
    that is next to nothing, and its bias would be cut off at 2**31 of them. There the greatest weight is raised, by
    which the layer's answers change by 3e-5 of the bias at the most.

    Parameters
    ----------
    layer : Layer
    step : float
        Of the bytes that go in.

    Returns
    -------
    (outputs, ...) float32
        For `round_weight`; where all channels are large enough, the layer's own.
    """
    flat = layer.weight.reshape(len(layer.weight), -1)
    units = np.maximum(np.abs(layer.bias.astype(np.float64)) / _UNITS, np.finfo(np.float32).tiny)
    least = (127 * units / step).astype(np.float32)
    small = np.flatnonzero(np.abs(flat).max(1) < least)
    if not small.size:
        return layer.weight
    raised, places = flat.copy(), np.abs(flat[small]).argmax(1)
    raised[small, places] = np.copysign(least[small], flat[small, places])
    return raised.reshape(layer.weight.shape)


def corrected_bias(layer: Layer, values: np.ndarray, scales: np.ndarray, mean: np.ndarray) -> np.ndarray:
    """A bias that takes back what rounding its layer's weights shifts the outputs by on average.

    The pool averages over seconds, so a shift stays where noise cancels (Nagel et al. 2019, arXiv 1906.04721).

    Parameters
    ----------
    layer : Layer
    values, scales
        What `round_weight` made of its weight.
    mean : (inputs,) float64
        Mean of each input channel.

    Returns
    -------
    (outputs,) float32
    """
    rounded = values.astype(np.float64) * scales.reshape(-1, *[1] * (values.ndim - 1))
    lost = (layer.weight - rounded).reshape(*values.shape[:2], -1).sum(2)
    depthwise = lost.shape[1] == 1 and len(mean) == len(lost)
    shift = lost[:, 0] * mean if depthwise else lost @ mean
    return (layer.bias + shift).astype(np.float32)


def observe(model: Network, features: Sequence[np.ndarray], method: str = "minmax") -> dict[str, Observed]:
    """Run a model over recordings and note what each layer meets.

    One pass over a recording hands every layer what the steps would, states included.

    Parameters
    ----------
    model : Network
        Folded, in inference mode.
    features : sequence of (steps, step_frames, n_mels) float32
        One array a recording; of a network that does not stream what it is given, (frames, n_mels) or (samples,).
    method : str
        Of `export.ranges.METHODS`; all but ``minmax`` take a second pass, for how often each value occurs.

    Returns
    -------
    dict of str to Observed
        For each convolution.
    """
    notes = {name: _Notes() for name, _ in _convolutions(model)}
    hear(model, features, {name: note.hear for name, note in notes.items()})
    if method == "minmax":
        return {name: note.result() for name, note in notes.items()}
    counts = {name: _Counts(note) for name, note in notes.items()}
    hear(model, features, {name: count.hear for name, count in counts.items()})
    return {name: counts[name].result(method) for name in notes}


def hear(model: Network, features: Iterable[np.ndarray], hooks: Mapping[str, Callable[..., None]]) -> None:
    """Run a model over recordings, as `observe` takes them, with a forward hook on each of the layers named."""
    import torch

    from edge_ser.models.base import ClipNetwork

    handles = [model.get_submodule(name).register_forward_hook(hook) for name, hook in hooks.items()]
    try:
        with torch.inference_mode():
            for given in features:
                values = torch.from_numpy(np.ascontiguousarray(given))
                if not isinstance(model, ClipNetwork):
                    model(values.reshape(1, -1, values.shape[-1]))
                elif values.dim() == 1:
                    model.hear(values[None])
                else:
                    model.answer(model.body(values[None], None))
    finally:
        for handle in handles:
            handle.remove()


class _Notes:
    """Limits and sums of what one layer has met so far."""

    def __init__(self) -> None:
        self.taken = self.given = (np.inf, -np.inf)
        self.total = self.peaks = self.depths = np.zeros(1)
        self.count = self.recordings = 0

    def hear(self, _: object, inputs: tuple[Tensor, ...], given: Tensor) -> None:
        [taken] = inputs
        self.taken = min(self.taken[0], float(taken.min())), max(self.taken[1], float(taken.max()))
        self.given = min(self.given[0], float(given.min())), max(self.given[1], float(given.max()))
        # (batch, channels, ...) of a convolution
        self.total = self.total + taken.double().transpose(0, 1).flatten(1).sum(1).numpy()
        self.count += taken.numel() // taken.shape[1]
        self.recordings += len(taken)
        channels = given.double().transpose(0, 1).flatten(1)
        self.peaks = np.maximum(self.peaks, channels.amax(1).numpy())
        self.depths = np.minimum(self.depths, channels.amin(1).numpy())

    def result(self) -> Observed:
        rectified = (0.0, max(self.given[1], 0.0))
        mean = self.total / max(self.count, 1)
        single = self.count == self.recordings
        return Observed(self.taken, self.given, rectified, mean, self.peaks, self.depths, single)


class _Counts:
    """How often one layer met each value, within the limits of a first pass."""

    def __init__(self, notes: _Notes) -> None:
        self.notes = notes
        self.taken, self.given = Histogram(*notes.taken), Histogram(*notes.given)
        self.rectified = Histogram(*notes.result().rectified)

    def hear(self, _: object, inputs: tuple[Tensor, ...], given: Tensor) -> None:
        [taken] = inputs
        self.taken.add(taken.numpy())
        self.given.add(given.numpy())
        self.rectified.add(given.clamp_min(0).numpy())

    def result(self, method: str) -> Observed:
        return self.notes.result()._replace(
            taken=self.taken.range(method),
            given=self.given.range(method),
            rectified=self.rectified.range(method),
        )
