"""Convolutions over time as ones over images: the same answers, and the kernels that it is done for."""

from __future__ import annotations

import collections

import numpy as np
import pytest

onnx = pytest.importorskip("onnx")
runtime = pytest.importorskip("onnxruntime")

from export.onnx_wide import widen  # noqa: E402


def graph(attributes, *, outputs=("y",), nodes=()):
    """One convolution of 4 channels over 20 frames, then `nodes`."""
    make, number = onnx.helper.make_node, onnx.TensorProto.FLOAT
    rng = np.random.default_rng(0)
    groups = attributes.get("group", 1)
    weight = onnx.numpy_helper.from_array(rng.normal(size=(4, 4 // groups, 3)).astype(np.float32), "w")
    bias = onnx.numpy_helper.from_array(rng.normal(size=4).astype(np.float32), "b")
    shift = onnx.numpy_helper.from_array(rng.normal(size=(4, 1)).astype(np.float32), "shift")
    taken = onnx.helper.make_tensor_value_info("x", number, [1, 4, 20])
    given = [onnx.helper.make_tensor_value_info(name, number, [1, 4, None]) for name in outputs]
    made = onnx.helper.make_graph(
        [make("Conv", ["x", "w", "b"], ["y"], **attributes), *nodes],
        "g",
        [taken],
        given,
        [weight, bias, shift],
    )
    return onnx.helper.make_model(made, opset_imports=[onnx.helper.make_opsetid("", 20)], ir_version=9)


def answers(model):
    session = runtime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    x = np.random.default_rng(1).normal(size=(1, 4, 20)).astype(np.float32)
    return session.run(None, {"x": x})


NODE = onnx.helper.make_node


@pytest.mark.parametrize(
    "made",
    [
        lambda: graph({"kernel_shape": [3]}),
        lambda: graph({"strides": [2], "dilations": [3], "group": 4}),
        lambda: graph({"pads": [2, 1], "strides": [2]}),
        lambda: graph({}, outputs=("z", "y"), nodes=[NODE("Relu", ["y"], ["z"])]),
        # read in both forms, beside what was never wide, and beside a constant of two dimensions
        lambda: graph({"pads": [1, 1]}, outputs=("z",), nodes=[NODE("Add", ["x", "y"], ["z"])]),
        lambda: graph({}, outputs=("z",), nodes=[NODE("Add", ["y", "shift"], ["z"])]),
        lambda: graph({}, outputs=("z",), nodes=[NODE("Relu", ["y"], ["r"]), NODE("Neg", ["r"], ["z"])]),
    ],
)
def test_answers_stay(made):
    model, wide = made(), made()
    widen(onnx, wide.graph)
    onnx.checker.check_model(wide, full_check=True)
    assert [len(item.dims) for item in wide.graph.initializer if item.name == "w"] == [4]
    assert [value.name for value in wide.graph.output] == [value.name for value in model.graph.output]
    for one, other in zip(answers(wide), answers(model), strict=True):
        assert one.shape == other.shape
        np.testing.assert_allclose(one, other, atol=1e-6)


def test_what_nothing_reads_is_left_out():
    wide = graph({}, outputs=("z",), nodes=[NODE("Relu", ["y"], ["z"])])
    widen(onnx, wide.graph)
    assert [node.op_type for node in wide.graph.node] == ["Unsqueeze", "Conv", "Relu", "Squeeze"]


def test_a_graph_of_images_stays():
    make = onnx.helper.make_tensor_value_info
    weight = onnx.numpy_helper.from_array(np.ones((1, 1, 3, 3), np.float32), "w")
    made = onnx.helper.make_graph(
        [NODE("Conv", ["x", "w"], ["y"])],
        "g",
        [make("x", 1, [1, 1, 5, 5])],
        [make("y", 1, [1, 1, 3, 3])],
        [weight],
    )
    before = made.SerializeToString(deterministic=True)
    widen(onnx, made)
    assert made.SerializeToString(deterministic=True) == before


def test_onnx_runtime_has_its_kernels_for_images(full_bundle, tmp_path):
    """Blocked channels on x86-64; a later version of torch or of the runtime must not lose them unnoticed."""
    options = runtime.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "fused.onnx")
    options.log_severity_level = 3
    runtime.InferenceSession(str(full_bundle.file("onnx")), options, providers=["CPUExecutionProvider"])
    nodes = onnx.load(tmp_path / "fused.onnx").graph.node
    domains = collections.Counter(node.domain for node in nodes if node.op_type in ("Conv", "FusedConv"))
    if not domains["com.microsoft.nchwc"]:
        pytest.skip("this processor has no blocked channels in ONNX Runtime")
    assert domains["com.microsoft.nchwc"] >= 12
