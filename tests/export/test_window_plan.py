"""How a network that hears a window is fed: lengths, forms, what it is given, and its form for converters."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from edge_ser import manifest
from edge_ser.cli import main
from edge_ser.dsp import log_mel
from edge_ser.errors import EdgeSerError

torch = pytest.importorskip("torch")

from edge_ser.models import ARCHITECTURES, build_model  # noqa: E402
from export.window import (  # noqa: E402
    LONGEST_S,
    NamedWindow,
    as_convolutions,
    plan_window,
    whole_steps,
)

LABELS = ("angry", "happy", "neutral", "sad")


def network(name):
    torch.manual_seed(0)
    return build_model(name, ARCHITECTURES[name].config(LABELS).to_dict()).eval()


@pytest.fixture(scope="module")
def small():
    """It hears waveforms and features, and brings them to one power."""
    return network("wav2small-17k")


@pytest.fixture(scope="module")
def mobile():
    """It hears features alone, and those of each frame by itself."""
    return network("mobilenetv4-s")


def sound(seconds):
    return np.random.default_rng(3).normal(0, 0.1, round(16000 * seconds)).astype(np.float32)


def test_plans(small, mobile):
    plan = plan_window(small, small.spec, window_s=2.0, hop_s=0.5)
    assert (plan.samples, plan.step_frames, plan.takes, plan.form) == (32000, 250, "waveform", "window")
    assert plan.shape == (1, 32000) and plan.normalise == "unit_power" and not plan.streamed
    usual = plan_window(small, small.spec)
    assert (usual.samples, usual.step_frames) == (80000, 125)
    assert plan_window(small, small.spec, form="clip").form == "clip"
    other = dataclasses.replace(small.spec, fmin=50.0)
    features = plan_window(small, other, takes="features")
    assert features.shape == (1, small.spec.frames(80000), 26) and features.spec == other
    with pytest.raises(EdgeSerError, match="another front end"):
        plan_window(small, other)
    with pytest.raises(EdgeSerError, match="--input features"):
        plan_window(mobile, mobile.spec, takes="waveform")
    with pytest.raises(EdgeSerError, match="hears waveforms alone"):
        plan_window(network("cnn-1d"), network("cnn-1d").spec, takes="features")


def test_lengths_are_whole_steps_of_whole_frames(small, mobile):
    rate = small.spec.frame_rate
    assert rate == 500
    assert whole_steps(small.spec, 0.9, 0.5) == (2, 250)  # 1.8 steps
    assert whole_steps(small.spec, 0.7, 0.5) == (1, 250)  # 1.4
    assert whole_steps(small.spec, 0.3, 0.0016) == (150, 1)  # 0.8 of a frame
    assert whole_steps(small.spec, LONGEST_S, LONGEST_S) == (1, LONGEST_S * 500)
    for words, lengths in {
        "at least one step": {"window_s": 0.12},
        "at least one frame": {"hop_s": 0.4 / rate},
        "at most 600 s in whole steps": {"window_s": 600.0, "hop_s": 0.372},
        "--window must be more than 0 s": {"window_s": 0.0},
        "--hop must be more than 0 s": {"hop_s": 0.0},
    }.items():
        with pytest.raises(EdgeSerError, match=words):
            plan_window(small, small.spec, **lengths)
    assert plan_window(small, small.spec, window_s=600.0).samples == LONGEST_S * 16000
    assert LONGEST_S == manifest._MAX_WINDOW_S


@pytest.mark.parametrize("seconds", ["nan", "inf", "-inf", "-1", "0", "1e9"])
@pytest.mark.parametrize("option", ["--window", "--hop"])
def test_lengths_that_cannot_be(tmp_path, capsys, small, option, seconds):
    from edge_ser.models.checkpoint import save_checkpoint

    path = tmp_path / "small.safetensors"
    config = ARCHITECTURES["wav2small-17k"].config(LABELS).to_dict()
    meta = {"architecture": "wav2small-17k", "config": config, "spec": small.spec.to_dict()}
    save_checkpoint(path, small, meta | {"training": {"licence": "none", "adv_source": "raters of nobody"}})
    call = ["export", str(path), "--out", str(tmp_path / "a"), "--format", "onnx"]
    assert main([*call, f"{option}={seconds}"]) == 2
    assert f"{option} must be more than 0 s and at most 600 s" in capsys.readouterr().err


def test_features_are_streamed_where_no_window_changes_them(mobile):
    plan = plan_window(mobile, mobile.spec, window_s=1.0)
    assert plan.streamed
    for changed in (
        {"takes": "waveform"},
        {"normalise": "unit_power"},
        {"spec": dataclasses.replace(mobile.spec, padding="center")},
    ):
        assert not dataclasses.replace(plan, **changed).streamed


@pytest.mark.parametrize("seconds", [0.25, 0.75, 1.0, 1.5])
def test_a_file_is_given_the_newest_second_or_what_there_is(small, mobile, seconds):
    """As a window: what there is, again and again, its end last."""
    wave = sound(seconds)
    newest, again = wave[-16000:], np.tile(wave, 4)[-16000:]

    def given(model, **how):
        return plan_window(model, model.spec, window_s=1.0, **how).given(model, wave)

    np.testing.assert_array_equal(given(small), again)
    np.testing.assert_array_equal(given(small, form="clip"), newest)
    features = given(small, takes="features")
    np.testing.assert_array_equal(features, small.heard(again, small.spec))
    features = given(small, takes="features", form="clip")
    np.testing.assert_array_equal(features, small.heard(newest, small.spec))
    frames = log_mel(wave, mobile.spec)
    length = mobile.spec.frames(16000)
    np.testing.assert_array_equal(given(mobile), np.tile(frames, (5, 1))[-length:])
    np.testing.assert_array_equal(given(mobile, form="clip"), frames[-length:])


def test_folding_and_convolutions_are_the_same_function():
    for name in ("wav2small-72k", "mobilenetv4-s"):
        model = network(name)
        for module in model.modules():
            if isinstance(module, torch.nn.BatchNorm1d | torch.nn.BatchNorm2d):
                module.running_mean.normal_(std=0.3)
                module.running_var.uniform_(0.5, 2.0)
        folded = model.fold()
        before = [type(module) for module in folded.modules()]
        plain = as_convolutions(folded)
        assert [type(module) for module in folded.modules()] == before
        left = [
            module
            for module in plain.modules()
            if isinstance(module, torch.nn.BatchNorm1d | torch.nn.BatchNorm2d)
        ]
        assert left == []
        linear = [n for n, module in plain.named_modules() if isinstance(module, torch.nn.Linear)]
        assert sorted(linear) == ["adv", "emotion"]
        features = torch.randn(1, 130, model.config.n_mels)
        with torch.no_grad():
            wanted = model.answer(model.body(features, None))
            given = plain.answer(plain.body(features, None))
        for one, other in zip(given, wanted, strict=True):
            torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("bias", [True, False])
def test_a_linear_map_of_rows_or_of_one_is_its_convolution(bias):
    torch.manual_seed(1)
    model = torch.nn.Sequential(torch.nn.Linear(5, 3, bias=bias))
    plain = as_convolutions(model)
    assert isinstance(model[0], torch.nn.Linear)
    assert sum(p.numel() for p in plain.parameters()) == 15 + 3 * bias
    for shape in ((2, 5), (2, 7, 5)):
        x = torch.randn(shape)
        torch.testing.assert_close(plain(x), model(x))


def test_tensors_have_the_names_of_the_bundle(small):
    for how, name, shape in (
        ({}, "waveform", (1, 16000)),
        ({"takes": "features"}, "features", (1, small.spec.frames(16000), 26)),
    ):
        plan = plan_window(small, small.spec, window_s=1.0, **how)
        named = NamedWindow(small.train(), plan)
        assert not small.training
        [(key, example)] = named.example().items()
        assert (key, example.shape) == (name, shape)
        assert named.dynamic is None
        clip = NamedWindow(small, dataclasses.replace(plan, form="clip"))
        assert clip.dynamic == {name: {1: torch.export.Dim.DYNAMIC}}
        given = torch.from_numpy(plan.given(small, sound(1.0)))[None]
        with torch.no_grad():
            answers = named(**{name: given})
            adv, logits = small.hear(given) if name == "waveform" else small.answer(small.body(given, None))
        assert list(answers) == list(named.output_names)
        assert answers["adv"].shape == (1, 3) and answers["logits"].shape == (1, 4)
        assert torch.equal(answers["adv"], adv) and torch.equal(answers["logits"], logits)
