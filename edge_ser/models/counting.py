"""What one inference costs, counted while it runs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

from torch import Tensor, nn

__all__ = ["Cost", "cost_of", "counted"]

T = TypeVar("T")


class Cost(NamedTuple):
    """Cost of a run.

    Attributes
    ----------
    macs : int
        Multiply-accumulates of all convolutions, linear layers and LSTMs; normalisation folds into them, and
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
        if isinstance(module, nn.LSTM):
            output = output[0]  # type: ignore[index]
            assert isinstance(output, Tensor)
            steps = output.numel() // output.shape[-1]
            macs += steps * sum(weight.numel() for weight in module.parameters() if weight.ndim == 2)
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


def counted(
    name: str, about: str, model: nn.Module, run: Callable[[], object], seconds: float
) -> dict[str, Any]:
    """A row of the table of networks, as `edge_ser.models.describe` has them, of one that is no `Network`.

    Parameters
    ----------
    name, about : str
    model : nn.Module
    run : callable
        Infers once.
    seconds : float
        Of the audio that this stands for.
    """
    cost, _ = cost_of(model, run)
    return {
        "name": name,
        "about": about,
        "parameters": sum(p.numel() for p in model.parameters()),
        "frozen": 0,
        "buffers": sum(b.numel() for b in model.buffers()),
        "streams": False,
        "macs_per_second": round(cost.macs / seconds),
        "activation_bytes": cost.activation_bytes,
    }
