"""What one inference costs, counted while it runs."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, TypeVar

from torch import Tensor, nn

__all__ = ["Cost", "cost_of"]

T = TypeVar("T")


class Cost(NamedTuple):
    """Cost of a run.

    Attributes
    ----------
    macs : int
        Multiply-accumulates of all convolutions and linear layers; normalisation folds into them, and
        element-wise work (a pool's weighted sums) is below a hundredth of them in every network here.
    activation_bytes : int
        The largest tensor that a layer puts out; at least its input is alive beside it.
    """

    macs: int
    activation_bytes: int


def cost_of(model: nn.Module, run: Callable[[], T]) -> tuple[Cost, T]:
    """Count what runs through a model's layers.

    Parameters
    ----------
    model : nn.Module
    run : callable
        Uses the model; the tensors may lie on the device "meta", where nothing is computed.

    Returns
    -------
    cost : Cost
    result
        What `run` returned.
    """
    macs = largest = 0

    def see(module: nn.Module, inputs: object, output: object) -> None:
        nonlocal macs, largest
        if not isinstance(output, Tensor):
            return
        if isinstance(module, nn.Conv1d | nn.Conv2d | nn.Linear):
            macs += output.numel() * module.weight[0].numel()  # each output value is a sum over those weights
        largest = max(largest, output.numel() * output.element_size())

    layers = [module for module in model.modules() if not any(module.children())]
    handles = [layer.register_forward_hook(see) for layer in layers]
    try:
        result = run()
    finally:
        for handle in handles:
            handle.remove()
    return Cost(macs, largest), result
