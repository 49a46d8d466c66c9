"""What converters start from: the folded model, a set to calibrate on, and what several of them need once."""

from __future__ import annotations

import copy
import functools
from collections.abc import Iterable
from typing import TYPE_CHECKING

from edge_ser.errors import EdgeSerError
from export.calibration import CalibrationSet
from export.equalise import equalised
from export.quantise import Layer, Observed, int8_layers, integer_layers, observe

if TYPE_CHECKING:
    from edge_ser.models.base import ClipNetwork
    from edge_ser.models.stream72k import Stream72k
    from export.step import NamedStep
    from export.window import NamedWindow, WindowPlan

__all__ = ["Source"]


class Source:
    """A model to convert.

    Parameters
    ----------
    model : Stream72k or ClipNetwork
        Folded, in inference mode.
    calibration : CalibrationSet, optional
        What formats with quantised activations need.
    plan : WindowPlan, optional
        How a network that does not stream is fed; needed for one, and its linear maps become convolutions.
    """

    def __init__(
        self,
        model: Stream72k | ClipNetwork,
        calibration: CalibrationSet | None = None,
        plan: WindowPlan | None = None,
    ) -> None:
        self.model = model
        self.plan = plan
        if plan is not None:
            from export.window import as_convolutions

            self.model = as_convolutions(self.clip)
        self._calibration = calibration
        self._kept: frozenset[str] = frozenset()

    def keeping(self, layers: Iterable[str]) -> Source:
        """The same source, of which these layers stay float32 in int8 files too: mixed precision.

        Ranges are learnt once for both; the float32 files are shared where they are made by now.

        Raises
        ------
        EdgeSerError
            There is no calibration set.
        """
        _ = self.observed  # before the copy, so that it is in both
        other = copy.copy(self)
        other._kept = frozenset(layers)
        for name in ("int8_layers", "integer_layers", "dynamic_layers"):
            other.__dict__.pop(name, None)
        return other

    @functools.cached_property
    def int8_layers(self) -> dict[str, Layer]:
        """Layers of `even` whose weights are rounded; see `export.quantise.int8_layers`."""
        return int8_layers(self.even, self._kept)

    @functools.cached_property
    def integer_layers(self) -> tuple[str, ...]:
        """Those of them whose inputs and outputs are rounded too."""
        return integer_layers(self.even, self._kept)

    @functools.cached_property
    def dynamic_layers(self) -> tuple[str, ...]:
        """Those of `integer_layers` that round their inputs by each window's own range, and their answers not at all.

        One that hears a single vector of a window: what a few odd sounds give it may be fifty times what speech does,
        and no histogram of one vector a recording tells the two apart. And one whose answers go into an exponential,
        where a step of a range is a factor. Of MobileNetV4-S and Wav2Small 72 K nearly all that static ranges cost was
        lost in their one such layer.
        """
        if self.plan is None:
            return ()
        raised = self.clip.into_exponentials
        return tuple(
            name
            for name in self.integer_layers
            if self.observed[name].single or name.removesuffix(".conv") in raised
        )

    @property
    def stream(self) -> Stream72k:
        """The model, where it streams."""
        from edge_ser.models.stream72k import Stream72k

        assert isinstance(self.model, Stream72k)
        return self.model

    @property
    def clip(self) -> ClipNetwork:
        """The model, where it hears a window."""
        from edge_ser.models.base import ClipNetwork

        assert isinstance(self.model, ClipNetwork)
        return self.model

    @property
    def form(self) -> str:
        """``step``, ``window`` or ``clip``."""
        return "step" if self.plan is None else self.plan.form

    @property
    def takes(self) -> str:
        """``features`` or ``waveform``."""
        return "features" if self.plan is None else self.plan.takes

    @property
    def states(self) -> tuple[str, ...]:
        """Names of the states that a step carries on; none where a window is heard."""
        return () if self.plan is not None else self.stream.state_names

    def named(self) -> NamedStep | NamedWindow:
        """The model as converters take it."""
        if self.plan is None:
            from export.step import NamedStep

            return NamedStep(self.stream)
        from export.window import NamedWindow

        return NamedWindow(self.clip, self.plan)

    @property
    def calibration(self) -> CalibrationSet:
        """The set to calibrate on.

        Raises
        ------
        EdgeSerError
            There is none.
        """
        if self._calibration is None:
            raise EdgeSerError(
                "quantising activations needs recordings to calibrate on; give a calibration set"
            )
        return self._calibration

    @functools.cached_property
    def even(self) -> Stream72k | ClipNetwork:
        """The model that is rounded: the same function, its channels equalised."""
        return equalised(self.model, observe(self.model, self.calibration.features))

    @functools.cached_property
    def observed(self) -> dict[str, Observed]:
        """What the convolutions of `even` meet in the calibration set."""
        return observe(self.even, self.calibration.features, self.calibration.method)

    @functools.cached_property
    def onnx(self) -> bytes:
        """The float32 ONNX file."""
        from export.to_onnx import convert

        return convert(self.named())

    @functools.cached_property
    def tflite(self) -> bytes:
        """The float32 TFLite file."""
        from export.to_tflite import convert

        return convert(self.named())

    @functools.cached_property
    def full(self) -> bytes:
        """The TFLite file of bytes throughout."""
        from export.to_tflite_full import quantised

        return quantised(self)
