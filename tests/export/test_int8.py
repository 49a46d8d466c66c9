"""Files in int8: what is rounded in them and what is not, and that a converter's surprise is an error."""

from __future__ import annotations

import copy

import numpy as np
import pytest

from edge_ser.errors import EdgeSerError
from tests.support import random_weights, state_shapes

torch = pytest.importorskip("torch")

from export import flatbuffer  # noqa: E402
from export.quantise import FLOAT_LAYERS, int8_layers, integer_layers  # noqa: E402
from export.source import Source  # noqa: E402
from export.to_numpy import to_numpy_int8  # noqa: E402
from export.to_onnx_int8 import to_onnx_int8  # noqa: E402
from export.to_tflite_full import to_tflite_full  # noqa: E402
from export.to_tflite_int8 import to_tflite_int8  # noqa: E402
from tests.support import source_of, torch_model  # noqa: E402

INTEGER = 5
#: Layers, a channel of each, and what is left of its weights.
ZEROS = (("blocks.0.pointwise.conv", 5, 0.0), ("blocks.2.pointwise.conv", 7, 1e-12), ("mix.conv", 9, 0.0))
UNBIASED = ("blocks.1.pointwise.conv", "blocks.3.pointwise.conv")


@pytest.fixture(scope="module")
def source(int8_bundle) -> Source:
    """What `int8_bundle` was made from."""

    return source_of()


def test_the_source_is_the_shared_one(source):
    assert len(integer_layers(source.model)) == INTEGER


def test_numpy_holds_bytes_and_scales(int8_bundle):
    from edge_ser.tensors import read_safetensors

    tensors = read_safetensors(int8_bundle.file("numpy", "int8"))
    whole = {name for name in random_weights() if name.endswith("weight") and tensors[name].dtype != np.int8}
    assert whole == {f"{name}.weight" for name in FLOAT_LAYERS}
    assert all(tensors[name].dtype == np.float32 for name in tensors if not name.endswith(".weight"))
    assert int8_bundle.file("numpy", "int8").stat().st_size < 90_000


def test_onnx_has_float_states_and_integer_products(int8_bundle):
    onnx = pytest.importorskip("onnx")
    path = int8_bundle.file("onnx", "int8")
    proto = onnx.load(path)
    onnx.checker.check_model(proto, full_check=True)
    floats = [value.type.tensor_type.elem_type for value in (*proto.graph.input, *proto.graph.output)]
    assert set(floats) == {onnx.TensorProto.FLOAT}
    bytes_ = {
        item.name
        for item in proto.graph.initializer
        if item.data_type == onnx.TensorProto.UINT8 and item.dims
    }
    assert {f"{name}.weight" for name in ("mix.conv", "blocks.3.pointwise.conv")} <= bytes_
    kinds = [node.op_type for node in proto.graph.node]
    # what goes in and what comes out of each product, and not one state
    assert kinds.count("QuantizeLinear") == 2 * INTEGER
    assert not any(node.output[0] in bytes_ for node in proto.graph.node)
    assert path.stat().st_size < 110_000
    # what is computed has numbers; a reader finds the layers by their names
    named = {node.name for node in proto.graph.node if node.op_type == "Conv"}
    assert {"mix.conv", "blocks.3.pointwise.conv", "stem.0.conv", "attend"} <= named


def test_onnx_runtime_computes_them_with_integers(int8_bundle, tmp_path):
    """The pairs of nodes are ones that it fuses; left alone they would cost time and save nothing."""
    runtime, onnx = pytest.importorskip("onnxruntime"), pytest.importorskip("onnx")
    options = runtime.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "fused.onnx")
    options.log_severity_level = 3
    path = str(int8_bundle.file("onnx", "int8"))
    runtime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    kinds = [node.op_type for node in onnx.load(tmp_path / "fused.onnx").graph.node]
    assert kinds.count("QLinearConv") == INTEGER
    assert kinds.count("QuantizeLinear") == INTEGER
    assert "ConvInteger" not in kinds


def test_tflite_has_float_states_and_integer_products(int8_bundle):
    pytest.importorskip("ai_edge_litert")
    path = int8_bundle.file("litert", "int8")
    graph = flatbuffer.read(path.read_bytes())
    [part] = graph.subgraphs
    kinds = [graph.operatorCodes[operation.opcodeIndex].builtinCode for operation in part.operators]
    quantize, dequantize = 114, 6
    assert kinds.count(quantize) == INTEGER
    # one after each product, one before each convolution of which the weights alone are bytes
    assert kinds.count(dequantize) == INTEGER + (1 + 5)
    assert all(part.tensors[index].type == 0 for index in (*part.inputs, *part.outputs))
    names = [tensor.name.decode() for tensor in part.tensors]
    assert len(set(names)) == len(names)
    assert not any("torch" in name or "edge_ser" in name or "NamedStep" in name for name in names)
    assert path.stat().st_size < 107_000


def test_layers_that_stay_float_are_evened_out_with_the_others(int8_bundle, source, tmp_path):
    """Mixed precision is the same function: the fewer layers are rounded, the smaller the error, down to none."""
    from edge_ser.evaluation.parity import compare, engine_answers, one_pass_answers
    from firmware_py.engines.litert_engine import LiteRTEngine

    pytest.importorskip("ai_edge_quantizer")
    features = np.random.default_rng(1).normal(-0.5, 1, (20, 20, 64)).astype(np.float32)
    wanted = one_pass_answers(source.model, features)
    errors = []
    for kept in (["mix.conv", "blocks.0.pointwise.conv"], list(source.int8_layers)):
        path = tmp_path / f"{len(kept)}.tflite"
        path.write_bytes(to_tflite_int8(source.keeping(kept)))
        engine = LiteRTEngine(int8_bundle, path, "int8")
        errors.append(compare(engine_answers(engine, features), wanted, rounded=True).largest)
    assert 1e-4 < errors[0] < 0.1 and errors[1] < 1e-5


@pytest.mark.parametrize("function", [to_numpy_int8, to_onnx_int8, to_tflite_int8], ids=lambda f: f.__name__)
def test_without_a_calibration_set(source, function):
    bare = Source(source.model)
    bare.__dict__.update(onnx=source.onnx, tflite=source.tflite)
    with pytest.raises(EdgeSerError, match="give a calibration set"):
        function(bare)


@pytest.mark.parametrize(("function", "words"), [(to_onnx_int8, "torch"), (to_tflite_int8, "litert-torch")])
def test_a_graph_of_other_weights_is_an_error(source, function, words):
    """A converter that folds or reorders constants in another way must not go unnoticed."""
    other = copy.deepcopy(source.model)
    with torch.no_grad():
        other.mix.conv.weight.add_(1e-3)
    strange = Source(other, source.calibration)
    strange.__dict__.update(onnx=source.onnx, tflite=source.tflite)
    with pytest.raises(
        EdgeSerError, match=rf"{words}.* otherwise: install the one that constraints.txt names"
    ):
        function(strange)


def test_rounding_is_small_in_every_engine(int8_bundle, source):
    from edge_ser.evaluation.parity import LIMITS, compare, engine_answers, one_pass_answers
    from firmware_py.engines import open_engine

    features = np.random.default_rng(1).normal(-0.5, 1, (60, 20, 64)).astype(np.float32)
    model = source.model
    wanted = one_pass_answers(model, features)
    for name, precision in int8_bundle.variants():
        engine = open_engine(int8_bundle, name, precision)
        assert [array.dtype for array in engine.initial_state()] == [np.float32] * len(state_shapes())
        difference = compare(engine_answers(engine, features), wanted, rounded=True)
        assert difference.within(LIMITS[precision]), (name, precision, difference)
        if precision == "int8":
            assert difference.largest > 1e-5  # it is not the float file under another name
    assert len(int8_layers(model)) == 11


@pytest.fixture(scope="module")
def strange(int8_bundle, source, tmp_path_factory):
    """Files of a model with channels of zeros and layers without a bias, and how far from it each one is."""
    from edge_ser.evaluation.parity import compare, engine_answers, one_pass_answers
    from firmware_py.engines.litert_engine import LiteRTEngine
    from firmware_py.engines.onnx_engine import OnnxEngine

    pytest.importorskip("ai_edge_quantizer")
    weights = random_weights()
    for name, channel, size in ZEROS:
        weights[f"{name}.weight"][channel] *= np.float32(size)
        weights[f"{name}.bias"][channel] = 8.0
    for name in UNBIASED:
        weights[f"{name}.bias"][:] = 0
    made = Source(torch_model(weights), source.calibration)
    features = np.random.default_rng(1).normal(-0.5, 1, (20, 20, 64)).astype(np.float32)
    wanted = one_pass_answers(made.model, features)
    folder = tmp_path_factory.mktemp("strange")
    found = {}
    for engine, precision, function in (
        (OnnxEngine, "int8", to_onnx_int8),
        (LiteRTEngine, "int8", to_tflite_int8),
        (LiteRTEngine, "int8-full", to_tflite_full),
    ):
        path = folder / f"{function.__name__}.model"
        path.write_bytes(function(made))
        answers = engine_answers(engine(int8_bundle, path, precision), features)
        found[function.__name__] = path, compare(answers, wanted, rounded=True)
    return found


def test_a_channel_of_zeros_keeps_its_bias(strange):
    """A unit of its sums would be worth next to nothing, and 32 bits of them would not hold it."""
    for name, (_, error) in strange.items():  # without the three biases .36 and .072
        assert error.largest < 0.1 and error.mean < 0.01, (name, error)


def test_layers_without_a_bias(strange):
    """One converter leaves a bias of zeros out, the other gives such layers the same one; corrected they differ."""
    path, _ = strange["to_tflite_int8"]
    graph = flatbuffer.read(path.read_bytes())
    [part] = graph.subgraphs
    int32 = 2
    added = [tensor for tensor in part.tensors if tensor.type == int32 and tensor.quantization is not None]
    rounded = [flatbuffer.constant(graph, tensor, np.int32) for tensor in added]
    assert len(rounded) == len({values.tobytes() for values in rounded}) == INTEGER
