"""Which tensor of a model file is which: by the names in bundle.json, else by their order in it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from edge_ser.errors import EdgeSerError
from edge_ser.interface import Interface

from .base import Outputs, State

if TYPE_CHECKING:
    from edge_ser.bundle import Bundle

__all__ = ["TensorOrder"]

Named = Sequence[tuple[str, tuple[int | str | None, ...]]]


@dataclass(frozen=True)
class TensorOrder:
    """A model file's own tensor names in the protocol's order: features and states in, adv, logits and states out."""

    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    states: tuple[tuple[tuple[int, ...], str], ...]
    interface: Interface | None = None

    @classmethod
    def of(
        cls, bundle: Bundle, *, inputs: Named, outputs: Named, path: Path, dynamic: bool = False
    ) -> TensorOrder:
        """Match a file's tensors with the bundle's.

        Parameters
        ----------
        bundle : Bundle
            Declares inputs, outputs and states.
        inputs, outputs : sequence of (name, shape)
            The file's tensors in the file's order.
        path : Path
            For the error sentence.
        dynamic : bool
            A dimension without a size in the file fits any: a model of the form ``clip`` takes many lengths.

        Raises
        ------
        EdgeSerError
            Their number or a shape is not what bundle.json says.
        """
        if bundle.interface is not None:
            return cls._foreign(bundle.interface, inputs=inputs, outputs=outputs, path=path)
        states = [(state.name, tuple(state.shape)) for state in bundle.states]
        wanted_in = [(item.name, tuple(item.shape)) for item in bundle.inputs] + states
        news = [(state.next_name, tuple(state.shape)) for state in bundle.states]
        wanted_out = [(item.name, tuple(item.shape)) for item in bundle.outputs] + news
        return cls(
            inputs=_match(wanted_in, inputs, f"{path.name}: input", dynamic),
            outputs=_match(wanted_out, outputs, f"{path.name}: output", dynamic),
            states=tuple((tuple(state.shape), state.dtype) for state in bundle.states),
        )

    @classmethod
    def _foreign(cls, interface: Interface, *, inputs: Named, outputs: Named, path: Path) -> TensorOrder:
        """Of a file that somebody else made: bundle.json says the names."""
        names = [name for name, _ in inputs]
        if names != [interface.input] or not _fits(interface.shape, inputs[0][1], True):
            raise EdgeSerError(
                f"{path.name} takes {_listed(inputs)} where bundle.json declares {interface.input} of "
                f"{interface.shape}; import it again"
            )
        there = [name for name, _ in outputs]
        if missing := [name for name in interface.outputs if name not in there]:
            raise EdgeSerError(
                f"{path.name} gives {_listed(outputs)} and no {missing[0]}, which bundle.json declares; import it again"
            )
        return cls((interface.input,), interface.outputs, (), interface)

    def given(self, features: np.ndarray, state: State) -> tuple[np.ndarray, ...]:
        """Values of `inputs` from a step's features or samples and states."""
        if self.interface is not None:
            return (self.interface.given(features),)
        return (features[None], *state)

    def taken(self, found: Sequence[np.ndarray]) -> tuple[Outputs, State]:
        """A step's answer and its new states from the values of `outputs`."""
        if self.interface is not None:
            return Outputs(*self.interface.answers(list(found))), ()
        adv, logits, *new = found
        return Outputs(adv[0], logits[0]), tuple(new)

    def initial_state(self) -> State:
        """Zeros of the declared shapes and types."""
        return tuple(np.zeros(shape, dtype) for shape, dtype in self.states)


def _listed(tensors: Named) -> str:
    return ", ".join(f"{name} of {shape}" for name, shape in tensors)


def _match(wanted: Named, found: Named, what: str, dynamic: bool) -> tuple[str, ...]:
    shapes = dict(found)
    chosen = list(found)
    if shapes.keys() >= {name for name, _ in wanted}:
        chosen = [(name, shapes[name]) for name, _ in wanted]
    if len(chosen) != len(wanted):
        raise EdgeSerError(
            f"{what}s: {len(chosen)} where bundle.json declares {len(wanted)}; export the bundle again"
        )
    for (name, shape), (own, own_shape) in zip(wanted, chosen, strict=True):
        if not _fits(shape, own_shape, dynamic):
            raise EdgeSerError(
                f"{what} {own} has the shape {own_shape}, bundle.json declares {shape} for {name}; "
                "export the bundle again"
            )
    return tuple(own for own, _ in chosen)


def _fits(wanted: tuple[int | str | None, ...], own: tuple[int | str | None, ...], dynamic: bool) -> bool:
    if not dynamic:
        return wanted == own
    return len(wanted) == len(own) and all(
        size == mine or not isinstance(mine, int) for size, mine in zip(wanted, own, strict=True)
    )
