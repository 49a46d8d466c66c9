"""Rounding to int8: laws of the numbers, and that nothing else of the function changes."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

torch = pytest.importorskip("torch")

from edge_ser.errors import EdgeSerError  # noqa: E402
from edge_ser.evaluation.parity import LIMITS, compare, one_pass_answers  # noqa: E402
from export.calibration import calibrate_on_sample  # noqa: E402
from export.equalise import equalised  # noqa: E402
from export.quantise import (  # noqa: E402
    FLOAT_LAYERS,
    Layer,
    corrected_bias,
    int8_layers,
    integer_layers,
    observe,
    room_for_bias,
    round_weight,
)
from export.source import Source  # noqa: E402
from tests.edge_ser.models.networks import lively  # noqa: E402
from tests.support import CONFIG, SPEC, random_weights, torch_model  # noqa: E402

SMALL = CONFIG | {"stem": [4], "channels": 16, "heads": 2, "dilations": [1, 3]}
weights = arrays(
    np.float32,
    array_shapes(min_dims=2, max_dims=4, max_side=6),
    elements=st.floats(-1e4, 1e4, width=32, allow_subnormal=False),
)


@pytest.fixture(scope="module")
def model():
    return torch_model(random_weights())


@pytest.fixture(scope="module")
def features():
    return calibrate_on_sample(SPEC, CONFIG["step_frames"]).features[:3]


@given(weights, st.sampled_from([63, 127]))
def test_a_weight_is_its_bytes_times_its_scale_to_half_a_step(weight, largest):
    values, scales = round_weight(weight, largest)
    assert values.dtype == np.int8 and values.shape == weight.shape and scales.shape == weight.shape[:1]
    assert np.abs(values.astype(int)).max() <= largest
    step = scales.reshape(-1, *[1] * (weight.ndim - 1)).astype(np.float64)
    assert (np.abs(values * step - weight) <= 0.5001 * step).all()
    for row, rounded in zip(weight, values, strict=True):  # each channel uses the whole range
        if np.abs(row).max() > 1e-30:
            assert np.abs(rounded.astype(int)).max() == largest


@given(weights)
def test_rounding_again_changes_nothing(weight):
    values, scales = round_weight(weight)
    once = values * scales.reshape(-1, *[1] * (weight.ndim - 1))
    assert np.array_equal(round_weight(once)[0], values)


@given(
    weights, st.floats(1e-8, 1e3), st.floats(-1e4, 1e4, width=32), st.sampled_from([1.0, 1e-12, 1e-30, 0.0])
)
def test_a_bias_fits_into_sums_of_32_bits_however_small_its_channel(weight, step, bias, share):
    layer = Layer((weight * np.float32(share)).astype(np.float32), np.full(len(weight), bias, np.float32))
    roomy = room_for_bias(layer, step)
    _, scales = round_weight(roomy)
    units = abs(bias) / (step * scales.astype(np.float64))
    assert np.isfinite(units).all() and (units <= 1.0001 * 2**30).all()
    # what is raised adds, by the greatest byte, next to nothing to the bias
    added = 255 * step * np.abs(roomy.astype(np.float64) - layer.weight).reshape(len(weight), -1)
    assert (added <= 1e-30 + 4e-5 * abs(bias)).all()
    assert ((roomy != layer.weight).reshape(len(weight), -1).sum(1) <= 1).all()
    large = (
        np.abs(layer.weight).reshape(len(weight), -1).max(1) > 1.001 * 127 * abs(bias) / 2**30 / step + 1e-28
    )
    assert np.array_equal(roomy[large], layer.weight[large])
    if large.all():
        assert roomy is layer.weight


@pytest.mark.parametrize("groups", [1, 6])
def test_the_bias_takes_back_the_mean_shift(groups):
    rng = np.random.default_rng(groups)
    weight = rng.normal(0, 1, (6, 6 // groups, 3)).astype(np.float32)
    layer = Layer(weight, rng.normal(0, 1, 6).astype(np.float32))
    x = torch.from_numpy((rng.gamma(1, 1, (1, 6, 4000)) * np.arange(6)[:, None]).astype(np.float32))
    values, scales = round_weight(weight, 7)  # coarse, so that there is something to take back
    rounded = torch.from_numpy(values * scales[:, None, None])
    bias = corrected_bias(layer, values, scales, x.double().mean((0, 2)).numpy())

    def mean(weight, bias):
        return torch.nn.functional.conv1d(x, weight, torch.from_numpy(bias), groups=groups).mean((0, 2))

    wanted = mean(torch.from_numpy(weight), layer.bias)
    before = (mean(rounded, layer.bias) - wanted).abs().max()
    after = (mean(rounded, bias) - wanted).abs().max()
    assert after < before / 20


def test_which_layers_are_rounded(model):
    assert not set(FLOAT_LAYERS) & set(int8_layers(model))
    assert integer_layers(model) == ("mix.conv", *(f"blocks.{i}.pointwise.conv" for i in range(4)))
    assert set(integer_layers(model)) < set(int8_layers(model))
    rounded = sum(layer.weight.size for layer in int8_layers(model).values())
    assert rounded > 0.95 * sum(w.size for name, w in random_weights().items() if name.endswith("weight"))


def test_what_was_observed_is_what_a_layer_meets(model, features):
    seen = observe(model, features)
    met = {}
    handle = model.get_submodule("mix.conv").register_forward_hook(
        lambda _, taken, given: met.update(taken=taken[0].numpy(), given=given.numpy())
    )
    one_pass_answers(model, features[0])
    handle.remove()
    alone = observe(model, features[:1])["mix.conv"]
    assert alone.taken == (met["taken"].min(), met["taken"].max())
    assert alone.given == (met["given"].min(), met["given"].max())
    assert alone.rectified == (0.0, met["given"].max()) and not alone.single
    np.testing.assert_allclose(alone.mean, met["taken"].mean((0, 2)), rtol=1e-4)
    np.testing.assert_allclose(alone.peaks, np.maximum(met["given"].max((0, 2)), 0))
    assert seen["mix.conv"].taken[1] >= alone.taken[1]
    less = observe(model, features[:1], "percentile")["mix.conv"]
    for narrow, all_met in ((less.taken, alone.taken), (less.given, alone.given)):
        assert all_met[0] <= narrow[0] < narrow[1] <= all_met[1]
    assert less.rectified[0] == 0.0 < less.rectified[1] <= met["given"].max()
    assert not model.get_submodule("mix.conv")._forward_hooks


@pytest.mark.parametrize("config", [CONFIG, SMALL], ids=["shipped", "small"])
def test_even_channels_are_the_same_function(config, features):
    model = torch_model(random_weights(3, config), config)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    seen = observe(model, features)
    even = equalised(model, seen)
    for steps in features:
        assert (
            compare(one_pass_answers(even, steps), one_pass_answers(model, steps)).largest
            < LIMITS["fp32"].largest
        )
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())

    def spread(peaks):
        return peaks.max() / np.median(peaks)

    after = observe(even, features)
    before_peaks, after_peaks = seen["mix.conv"].peaks, after["mix.conv"].peaks
    heard = before_peaks > 0.05 * before_peaks.max()
    assert heard.mean() > 0.5
    np.testing.assert_allclose(after_peaks[heard], before_peaks.max(), rtol=1e-3)
    np.testing.assert_allclose(
        after_peaks[~heard & (before_peaks > 0)], 20 * before_peaks[~heard & (before_peaks > 0)], rtol=1e-3
    )
    # half of the way where the next layer's channels meet in one scale
    for name in (f"stem.{len(model.stem) - 1}.conv", "blocks.0.depthwise.conv"):
        was, now = seen[name].peaks, after[name].peaks
        heard = was > 0.05 * was.max()
        np.testing.assert_allclose(now[heard], np.sqrt(was[heard] * was.max()), rtol=1e-3)
    assert spread(after["blocks.0.depthwise.conv"].peaks) < spread(seen["blocks.0.depthwise.conv"].peaks)


@pytest.mark.parametrize("name", ["mobilenetv4-s", "mobilenetv4-m", "wav2small-72k", "wav2small-17k"])
def test_even_channels_of_networks_that_hear_a_window_are_the_same_function(name):
    model = lively(name).fold()
    heard = [
        np.random.default_rng(i).normal(0, 2, (60, model.config.n_mels)).astype(np.float32) for i in (0, 1)
    ]
    seen = observe(model, heard)
    even = equalised(model, seen)
    features = torch.from_numpy(heard[0])[None]
    with torch.inference_mode():
        for mine, theirs in zip(
            even.answer(even.body(features, None)), model.answer(model.body(features, None)), strict=True
        ):
            torch.testing.assert_close(mine, theirs, rtol=1e-3, atol=1e-4)
    after = observe(even, heard)
    pairs = [pair for chain in model.chains() for pair in itertools.pairwise(chain)]
    assert len(pairs) > 5
    changed = 0
    for one, other in pairs:
        met = [of[f"{one}.conv"] for of in (seen, after)]
        active = model.get_submodule(one).active
        was, now = (x.peaks if active else np.maximum(x.peaks, -x.depths) for x in met)
        # nothing rises above the largest channel, and the others come nearer to it
        assert now.max() <= was.max() * 1.01
        depthwise = next(model.get_submodule(other).parameters()).shape[1] == 1
        heard = was > 0.06 * was.max()
        even_size = np.full_like(was, was.max()) if depthwise else np.sqrt(was * was.max())
        np.testing.assert_allclose(now[heard], even_size[heard], rtol=1e-2)
        changed += bool(now.mean() > was.mean() * 1.02)
    assert changed > len(pairs) / 2


def test_silent_channels_stay_as_they_are(features):
    weights = random_weights()
    weights["mix.conv.weight"][5] = 0
    weights["mix.conv.bias"][5] = -1
    weights["blocks.1.depthwise.conv.weight"][:] = 0
    weights["blocks.1.depthwise.conv.bias"][:] = -1
    model = torch_model(weights)
    even = equalised(model, observe(model, features))
    assert even.mix.conv.bias[5] == -1
    assert all(torch.isfinite(value).all() for value in even.state_dict().values())
    assert (
        compare(one_pass_answers(even, features[0]), one_pass_answers(model, features[0])).largest
        < LIMITS["fp32"].largest
    )


def test_a_source_without_a_calibration_set_says_so(model):
    with pytest.raises(EdgeSerError, match="give a calibration set"):
        _ = Source(model).observed
