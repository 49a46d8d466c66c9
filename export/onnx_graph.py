"""What the int8 ONNX files begin from: the float32 graph with channels evened out, and names that they share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from edge_ser.errors import EdgeSerError

if TYPE_CHECKING:
    from export.source import Source

__all__ = ["CENTRE", "PREFIX", "even_graph", "unexpected"]

PREFIX = "model."  # of torch's names, since the step wraps the model
#: Zero point of weights in unsigned bytes.
CENTRE = 128


def even_graph(onnx: Any, source: Source) -> Any:
    """The float32 file's ``ModelProto`` with the weights of `Source.even` in the place of the model's.

    Raises
    ------
    EdgeSerError
        A weight is not in the graph as it was expected.
    """
    proto = onnx.load_from_string(source.onnx)
    constants = {item.name: item for item in proto.graph.initializer}
    trained = source.model.state_dict()
    for name, value in source.even.state_dict().items():
        old, new = trained[name].numpy(), value.numpy()
        if np.array_equal(old, new):
            continue
        item = constants.get(PREFIX + name)
        there = None if item is None else onnx.numpy_helper.to_array(item)
        if item is None or there is None or there.tobytes() != old.tobytes():
            raise unexpected(f"no constant {PREFIX + name} with the model's values")
        item.CopyFrom(onnx.numpy_helper.from_array(np.ascontiguousarray(new.reshape(there.shape)), item.name))
    return proto


def unexpected(what: str) -> EdgeSerError:
    """The error for a graph that torch exported otherwise than this code knows."""
    return EdgeSerError(
        f"the ONNX graph has {what}; this version of torch exports it otherwise: "
        "install the one that constraints.txt names"
    )
