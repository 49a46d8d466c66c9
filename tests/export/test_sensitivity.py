"""Which layers stay float32: the ranking, the ways to say how many, and files that keep them."""

from __future__ import annotations

import numpy as np
import pytest

from edge_ser.errors import EdgeSerError
from edge_ser.evaluation.parity import Limit

torch = pytest.importorskip("torch")

from edge_ser.tensors import unpack_tensors  # noqa: E402
from export.sensitivity import Mixed, parse_mixed, sweep  # noqa: E402
from export.to_numpy import to_numpy_int8  # noqa: E402
from tests.support import source_of  # noqa: E402

#: How much each layer moves the answers when it is in int8, in a world where errors add up.
COST = {"mix.conv": 0.1, "down.conv": 0.4, "blocks.0.pointwise.conv": 0.2}
WANTED = {"one": np.zeros((4, 5)), "other": np.zeros((2, 5))}


def run(source):
    """Answers that are off by the costs of the layers that are in int8."""
    off = sum(COST[name] for name in COST if name in source.int8_layers)
    size = 1000 - 10 * sum(name in source.int8_layers for name in COST)
    return size, {name: values + off * np.array([1, 1, 1, 0, 0]) for name, values in WANTED.items()}


def test_the_most_sensitive_first():
    found = sweep(source_of(), tuple(COST), run, WANTED)
    assert [one.layer for one in found.effects] == ["down.conv", "blocks.0.pointwise.conv", "mix.conv"]
    assert found.effects[0].weights == 96 * 5
    assert found.effects[0].outputs == pytest.approx(
        {"arousal": 0.4, "dominance": 0.4, "valence": 0.4, "emotion": 0.0}
    )
    assert [len(one.kept) for one in found.trials] == [0, 1, 2, 3]
    assert [one.size for one in found.trials] == [970, 980, 990, 1000]
    assert [one.error.largest for one in found.trials] == pytest.approx([0.7, 0.3, 0.1, 0.0])
    assert found.trials[2].kept == ("down.conv", "blocks.0.pointwise.conv")


def test_as_many_as_it_takes_and_no_more():
    found = sweep(source_of(), tuple(COST), run, WANTED, limit=Limit(0.35, rounded=True))
    assert [len(one.kept) for one in found.trials] == [0, 1]
    never = sweep(source_of(), tuple(COST), run, WANTED, limit=Limit(-1.0))
    assert len(never.trials) == 4
    one = sweep(source_of(), tuple(COST), run, WANTED, count=2)
    assert [len(trial.kept) for trial in one.trials] == [2]
    every = sweep(source_of(), tuple(COST), run, WANTED, count=3)
    assert [len(trial.kept) for trial in every.trials] == [3]
    with pytest.raises(EdgeSerError, match="4 layers cannot stay float32 where int8 rounds 3"):
        sweep(source_of(), tuple(COST), run, WANTED, count=4)


def test_errors_are_those_of_probabilities_and_means_rank():
    """Of three labels alike one becomes four times as likely: 4/6 and 1/6 twice for a third each."""
    wanted = {"one": np.zeros((4, 6))}

    def rounds(source):
        answers = np.zeros((4, 6))
        answers[:, 3] = np.log(4) * ("mix.conv" in source.int8_layers)  # a little off, always
        answers[0, 0] = 0.5 * ("down.conv" in source.int8_layers)  # far off, once
        return 1000, {"one": answers}

    found = sweep(source_of(), ("down.conv", "mix.conv"), rounds, wanted).to_dict()
    mix, down = found["layers"]
    assert (mix["layer"], down["layer"]) == ("mix.conv", "down.conv")
    assert mix["by_output"] == pytest.approx(
        {"arousal": 0.0, "dominance": 0.0, "valence": 0.0, "emotion": 2 / 9}
    )
    assert (mix["max_abs_error"], mix["mean_abs_error"]) == pytest.approx((1 / 3, 1 / 9))
    assert (down["max_abs_error"], down["mean_abs_error"]) == pytest.approx((0.5, 0.5 / 24))
    none, one, both = found["mixed"]
    assert (none["float_layers"], one["float_layers"]) == ([], ["mix.conv"])
    assert (none["max_abs_error"], none["mean_abs_error"]) == pytest.approx((0.5, 1 / 9 + 0.5 / 24))
    assert (both["max_abs_error"], both["agreement"], both["bytes"]) == (0.0, 1.0, 1000)


def test_how_many_in_words():
    assert parse_mixed("2") == Mixed(count=2)
    assert parse_mixed("0.004") == Mixed(mean=0.004)
    assert parse_mixed("auto") == Mixed()
    gate = Limit(0.2, mean=0.01, agreement=0.9, rounded=True)
    assert parse_mixed("auto").limit(gate) == gate
    assert parse_mixed("0.004").limit(gate) == gate._replace(mean=0.004)
    for text in ("", "many", "-1", "1.5", "nan", "0.0", "1.0"):
        with pytest.raises(EdgeSerError, match="--mixed is a number of layers"):
            parse_mixed(text)


def test_layers_that_are_kept_are_float_and_the_others_as_before():
    source = source_of()
    kept = source.keeping(["mix.conv", "down.conv"])
    plain, mixed = (unpack_tensors(bytearray(to_numpy_int8(one)), "it")[0] for one in (source, kept))
    for name in ("mix.conv", "down.conv"):
        assert plain[f"{name}.weight"].dtype == np.int8 and mixed[f"{name}.weight"].dtype == np.float32
        assert f"{name}.weight.scale" not in mixed
    assert np.array_equal(plain["blocks.1.pointwise.conv.weight"], mixed["blocks.1.pointwise.conv.weight"])
    assert len(kept.int8_layers) == len(source.int8_layers) - 2
    assert "mix.conv" in source.integer_layers and "mix.conv" not in kept.integer_layers
    assert kept.observed is source.observed


def test_onnx_keeps_them_too():
    onnx = pytest.importorskip("onnx")
    from export.to_onnx_int8 import to_onnx_int8

    source = source_of()
    kinds = [
        [node.op_type for node in onnx.load_from_string(to_onnx_int8(one)).graph.node].count("QuantizeLinear")
        for one in (source, source.keeping(["mix.conv"]), source.keeping(source.integer_layers))
    ]
    assert kinds == [10, 8, 0]


@pytest.mark.parametrize("method", ["percentile", "mse"])
def test_ranges_of_another_method_lie_within_those_of_min_and_max(method):
    from export.quantise import observe

    source = source_of()
    features = source.calibration.features[:2]
    wide, narrow = observe(source.even, features), observe(source.even, features, method)
    assert any(narrow[name].taken != wide[name].taken for name in wide)
    for name, one in narrow.items():
        for part in ("taken", "given", "rectified"):
            (low, high), (least, most) = getattr(one, part), getattr(wide[name], part)
            assert least <= low <= high <= most, (name, part)
        assert np.array_equal(one.mean, wide[name].mean)
    assert wide["mix.conv"].rectified == (0.0, max(wide["mix.conv"].given[1], 0.0))
