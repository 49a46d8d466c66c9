"""What converters start from: the folded model, a set to calibrate on, and what several of them need once."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

from edge_ser.errors import EdgeSerError
from export.calibration import CalibrationSet
from export.equalise import equalised
from export.quantise import Observed, observe

if TYPE_CHECKING:
    from edge_ser.models.stream72k import Stream72k

__all__ = ["Source"]


class Source:
    """A model to convert.

    Parameters
    ----------
    model : Stream72k
        Folded, in inference mode.
    calibration : CalibrationSet, optional
        What formats with quantised activations need.
    """

    def __init__(self, model: Stream72k, calibration: CalibrationSet | None = None) -> None:
        self.model = model
        self._calibration = calibration

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
    def even(self) -> Stream72k:
        """The model that is rounded: the same function, its channels equalised."""
        return equalised(self.model, observe(self.model, self.calibration.features))

    @functools.cached_property
    def observed(self) -> dict[str, Observed]:
        """What the convolutions of `even` meet in the calibration set."""
        return observe(self.even, self.calibration.features)

    @functools.cached_property
    def onnx(self) -> bytes:
        """The float32 ONNX file."""
        from export.to_onnx import convert

        return convert(self.model)

    @functools.cached_property
    def tflite(self) -> bytes:
        """The float32 TFLite file."""
        from export.to_tflite import convert

        return convert(self.model)
