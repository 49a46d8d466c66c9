"""stream72k: its size, its exact streaming, its folding."""

from __future__ import annotations

import dataclasses
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

torch = pytest.importorskip("torch")

from edge_ser.dsp import MelSpec  # noqa: E402
from edge_ser.errors import EdgeSerError  # noqa: E402
from edge_ser.models import build_model  # noqa: E402
from edge_ser.models.stream72k import Stream72k, Stream72kConfig  # noqa: E402

LABELS = ("angry", "calm", "disgust", "fearful", "happy", "neutral", "sad", "surprised")
SHIPPED = Stream72kConfig(labels=LABELS, stem=(8, 16))


def in_two_phases(model: Stream72k) -> Stream72k:
    """The same weights, hearing both halves of the frames."""
    both = Stream72k(dataclasses.replace(model.config, phases=2))
    both.load_state_dict(model.state_dict())
    return both.eval()


@pytest.fixture(
    scope="module", params=[(-1, 1), (0, 1), (1, 1), (-1, 2), (1, 2)], ids="halve, phases={}".format
)
def model(request: pytest.FixtureRequest) -> Stream72k:
    """Random weights and batch statistics far from their start, in inference mode."""
    torch.manual_seed(3)
    halve, phases = request.param
    model = Stream72k(dataclasses.replace(SHIPPED, halve=halve, phases=phases))
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm1d | torch.nn.BatchNorm2d):
            module.running_mean.normal_()
            module.running_var.uniform_(0.5, 2.0)
            torch.nn.init.uniform_(module.weight, 0.5, 1.5)
            torch.nn.init.normal_(module.bias, std=0.3)
    return model.eval()


def stream(model: Stream72k, features: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """All answers of a recording fed step by step."""
    state, size, answers = model.initial_state(len(features)), model.config.step_frames, []
    for start in range(0, features.shape[1] // size * size, size):
        adv, logits, *state = model.step(features[:, start : start + size], *state)
        answers.append((adv, logits))
    return torch.stack([a for a, _ in answers], 1), torch.stack([b for _, b in answers], 1)


def test_budget_of_parameters_and_macs(model: Stream72k) -> None:
    deployed = model.fold()
    assert model.count_parameters() <= 72_000
    assert deployed.count_parameters() == sum(v.numel() for v in deployed.state_dict().values()) <= 72_000
    assert model.macs_per_second(MelSpec()) <= 12_000_000


def test_macs_formula_equals_a_count_by_hooks(model: Stream72k) -> None:
    deployed, total = model.fold(), 0

    def count(module: torch.nn.Module, inputs: object, output: torch.Tensor) -> None:
        nonlocal total
        weight = module.weight  # one multiply-accumulate for each weight of an output channel, at each place
        total += output.numel() * weight[0].numel()

    for module in deployed.modules():
        if isinstance(module, torch.nn.Conv1d | torch.nn.Conv2d | torch.nn.Linear):
            module.register_forward_hook(count)
    deployed.step(torch.zeros(1, SHIPPED.step_frames, SHIPPED.n_mels), *deployed.initial_state())
    steps_per_second = MelSpec().frame_rate / SHIPPED.step_frames
    pool = 3 * SHIPPED.channels * (deployed.kept + SHIPPED.window_segments)
    assert deployed.macs_per_second(MelSpec()) == round((total + pool) * steps_per_second)


def test_streaming_equals_one_pass_beyond_the_window(model: Stream72k) -> None:
    torch.manual_seed(0)
    features = torch.randn(
        2, 33 * SHIPPED.step_frames + 7, SHIPPED.n_mels
    )  # longer than 20 segments, uneven end
    with torch.inference_mode():
        whole, steps = model(features), stream(model, features)
    for one, other in zip(whole, steps, strict=True):
        assert one.shape == other.shape == (2, 33, one.shape[2])
        assert torch.allclose(one, other, atol=2e-5)


@settings(max_examples=10)
@given(st.integers(1, 30), st.floats(0.1, 5.0), st.integers(0, 2**31))
def test_streaming_equals_one_pass_for_any_recording(
    model: Stream72k, steps: int, level: float, seed: int
) -> None:
    generator = torch.Generator().manual_seed(seed)
    features = level * torch.randn(1, steps * SHIPPED.step_frames, SHIPPED.n_mels, generator=generator)
    with torch.inference_mode():
        for one, other in zip(model(features), stream(model, features), strict=True):
            assert torch.allclose(one, other, atol=1e-4)


def test_folding_keeps_the_function(model: Stream72k) -> None:
    features = torch.randn(2, 400, SHIPPED.n_mels, generator=torch.Generator().manual_seed(1))
    folded = model.fold()
    assert not any("norm" in name for name in folded.state_dict())
    with torch.inference_mode():
        for one, other in zip(model(features), folded(features), strict=True):
            assert torch.allclose(one, other, atol=5e-5)


def test_the_clip_form_equals_the_stream_at_the_clip_end(model: Stream72k) -> None:
    features = torch.randn(2, 300, SHIPPED.n_mels, generator=torch.Generator().manual_seed(2))
    with torch.inference_mode():
        adv, logits = model.clip(features, torch.tensor([300, 300]))
        padded = torch.nn.functional.pad(features[:1, :200], (0, 0, 0, 100), value=9.0)
        short = model.clip(padded, torch.tensor([200]))
        for one, other in zip((adv, logits), model(features), strict=True):
            assert torch.allclose(one, other[:, -1], atol=2e-5)
        for one, other in zip(short, model(features[:1, :200]), strict=True):
            assert torch.allclose(one, other[:, -1], atol=2e-5)  # padding takes no part


@pytest.mark.parametrize("level", [0.0, 1.0, 30.0])
def test_a_steady_sound_is_answered_as_exactly_as_any(model: Stream72k, level: float) -> None:
    """Its variance is zero; a difference of large sums would leave rounding where runtimes differ."""
    features = torch.full((1, 900, SHIPPED.n_mels), level)
    exact = Stream72k(model.config, folded=True).eval()
    exact.load_state_dict(model.fold().state_dict())
    with torch.inference_mode():
        adv, logits = stream(model.fold(), features)
        torch.set_default_dtype(torch.float64)
        try:
            wanted = exact.double()(features.double())
        finally:
            torch.set_default_dtype(torch.float32)
    for one, other in zip((adv, logits), wanted, strict=True):
        assert torch.allclose(one.double(), other, atol=1e-5)


def test_it_is_causal(model: Stream72k) -> None:
    """What comes later does not change an answer already given."""
    features = torch.randn(1, 200, SHIPPED.n_mels, generator=torch.Generator().manual_seed(4))
    other = features.clone()
    other[:, 100:] += 3.0
    with torch.inference_mode():
        first, second = model(features)[1], model(other)[1]
    assert torch.equal(first[:, :5], second[:, :5])
    assert not torch.allclose(first[:, 5:], second[:, 5:])


def test_it_forgets_what_left_its_window(model: Stream72k) -> None:
    """Beyond window and receptive field of the convolutions, the past leaves no trace."""
    generator = torch.Generator().manual_seed(5)
    past, recent = torch.randn(2, 400, 64, generator=generator), torch.randn(1, 600, 64, generator=generator)
    with torch.inference_mode():
        first = model(torch.cat([past[:1], recent], 1))[1][0, -1]
        second = model(torch.cat([past[1:], recent], 1))[1][0, -1]
    assert torch.equal(first, second)


@pytest.mark.parametrize("halve", [-1, 1])
def test_two_phases_are_those_of_recordings_a_frame_apart(halve: int) -> None:
    torch.manual_seed(4)
    one = Stream72k(dataclasses.replace(SHIPPED, halve=halve)).eval()
    both = in_two_phases(one)
    features = torch.randn(2, 320, 64)
    with torch.inference_mode():
        every, _ = both.trunk(features, both.initial_state(2))
        odd, _ = one.trunk(features, one.initial_state(2))
        even, _ = one.trunk(features[:, 1:-1], one.initial_state(2))  # heard from one frame later on
    reach = 80  # frames that an answer looks back on, and more
    assert every.shape[2] == 2 * odd.shape[2]
    assert torch.allclose(every[:, :, 1::2], odd, atol=1e-5)
    assert torch.allclose(every[:, :, 2::2][:, :, reach:], even[:, :, reach:], atol=1e-5)


def test_two_phases_do_not_hear_on_which_frame_a_recording_begins() -> None:
    """Beyond what the first frames do: there is a silence to begin in."""
    torch.manual_seed(5)
    one = Stream72k(dataclasses.replace(SHIPPED, halve=1)).eval()
    quiet, sound = torch.zeros(1, 40, 64), torch.randn(1, 240, 64)

    def moved(model: Stream72k) -> float:
        with torch.inference_mode():
            answers = [
                model(torch.cat([quiet[:, :n], sound, quiet[:, : 40 - n]], 1))[1][:, -1] for n in (20, 21)
            ]
        return float((answers[0] - answers[1]).abs().max())

    assert moved(in_two_phases(one)) < 0.2 * moved(one)


def test_training_hears_one_phase() -> None:
    torch.manual_seed(6)
    one = Stream72k(dataclasses.replace(SHIPPED, halve=1), dropout=0.0)
    both = in_two_phases(one).train()
    both.dropout.p = 0.0
    features, frames = torch.randn(4, 80, 64), torch.tensor([80, 80, 60, 40])
    for model in (one, both):
        model.pool(features, frames).square().mean().backward()
    for (name, first), second in zip(one.named_parameters(), both.parameters(), strict=True):
        assert (first.grad is None) == (second.grad is None), name
        assert first.grad is None or torch.equal(first.grad, second.grad), name


def test_states_have_names_shapes_and_start_at_zero(model: Stream72k) -> None:
    state = model.initial_state(2)
    shapes = dict(zip(model.state_names, (tuple(s.shape) for s in state), strict=True))
    halve, phases = model.config.halve, model.config.phases
    one = (
        phases == 1
    )  # then the convolution that halves moves on by two frames and so reaches back to one less
    assert shapes["stem0"] == (2, 1, 1 if halve == 0 and one else 2, 64)
    assert shapes["stem1"] == (2, 8, 1 if halve == 1 and one else 2, 32)
    assert shapes["down"] == (2, 96, (3 if one else 4) if halve < 0 else 4 * phases)
    assert shapes["block3"] == (2, 96, 32 * phases) and shapes["pool"] == (2, 20, 196)
    assert all(not s.any() for s in state)


def test_dimensions_stay_in_range_for_wild_input(model: Stream72k) -> None:
    with torch.inference_mode():
        adv, logits = model(1e3 * torch.randn(1, 100, 64, generator=torch.Generator().manual_seed(6)))
    assert torch.isfinite(logits).all() and ((adv >= 0) & (adv <= 1)).all()


def test_config_survives_json_and_refuses_nonsense() -> None:
    assert Stream72kConfig.from_dict(json.loads(json.dumps(SHIPPED.to_dict()))) == SHIPPED
    before = SHIPPED.to_dict()
    del before["halve"], before["phases"]
    assert Stream72kConfig.from_dict(before) == SHIPPED
    with pytest.raises(EdgeSerError, match="halve 2 names none"):
        dataclasses.replace(SHIPPED, halve=2)
    with pytest.raises(EdgeSerError, match="phases 3 must be 1 or 2"):
        dataclasses.replace(SHIPPED, phases=3)
    with pytest.raises(EdgeSerError, match="the stem's last"):
        dataclasses.replace(SHIPPED, halve=0, phases=2)
    with pytest.raises(EdgeSerError, match="even"):
        dataclasses.replace(SHIPPED, step_frames=21)
    with pytest.raises(EdgeSerError, match="colour"):
        Stream72kConfig.from_dict(SHIPPED.to_dict() | {"colour": 1})
    with pytest.raises(EdgeSerError, match="unknown network"):
        build_model("stream73k", SHIPPED.to_dict())
