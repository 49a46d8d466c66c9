"""Wav2Small: every figure of the published networks' shapes, and that features and audio give one answer."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from edge_ser.dsp import log_mel  # noqa: E402
from edge_ser.dsp.filters import mel_filters  # noqa: E402
from edge_ser.errors import EdgeSerError  # noqa: E402
from edge_ser.models.counting import cost_of  # noqa: E402
from edge_ser.models.wav2small import Wav2Small, Wav2Small17k, Wav2SmallConfig, _rows  # noqa: E402
from tests.edge_ser.models.networks import lively  # noqa: E402

PUBLISHED = Wav2SmallConfig(labels=())
FIVE_SECONDS = 80_000


def values(*modules: torch.nn.Module) -> int:
    return sum(p.numel() for module in modules for p in module.parameters())


def voice(seconds: float = 1.0, seed: int = 0) -> np.ndarray:
    """Gliding harmonics in a little noise, away from zero."""
    t = np.arange(round(16000 * seconds)) / 16000
    phase = 2 * np.pi * (140 * t + 30 * np.sin(3 * t))
    wave = sum(np.sin(k * phase) / k for k in range(1, 20)) * (1 + np.sin(25 * t))
    noise = np.random.default_rng(seed).normal(0, 0.02, len(t))
    return (0.1 * wave + noise + 0.01).astype(np.float32)


def test_the_72k_has_the_published_counts() -> None:
    model = Wav2Small(PUBLISHED)
    assert values(model) == 72_659
    assert model.count_parameters() == 67_577
    assert values(model.front_end.real, model.front_end.imaginary) == 4224
    assert values(model.front_end.mel) == 858
    assert values(model.before[0]) == 117 + 26
    assert values(*model.before[1:], *model.after) == 6 * (1521 + 26)
    assert values(model.mix) == 182
    assert values(model.score) == values(model.value) == 28_730
    assert values(model.adv) == 510
    assert sum(b.numel() for b in model.buffers()) == 189
    frozen = [name for name, p in model.named_parameters() if not p.requires_grad]
    assert frozen == [f"front_end.{part}.weight" for part in ("real", "imaginary", "mel")]


def test_the_72k_has_the_published_layers() -> None:
    model = Wav2Small(PUBLISHED)
    assert [len(model.before), len(model.after)] == [3, 4]
    assert model.before[0].conv.weight.shape == (13, 1, 3, 3)
    for block in [*model.before[1:], *model.after]:
        assert block.conv.weight.shape == (13, 13, 3, 3) and block.conv.bias is None
        assert block.conv.stride == (1, 1) and block.active
    assert model.mix.weight.shape == (13, 13, 1, 1) and model.mix.bias is not None
    assert model.score.weight.shape == model.value.weight.shape == (169, 169)
    assert model.adv.weight.shape == (3, 169) and model.hidden == 169
    assert model.front_end.real.weight.shape == (33, 1, 64) and model.front_end.mel.weight.shape == (
        26,
        33,
        1,
    )


def test_the_72k_costs_what_is_published_for_five_seconds() -> None:
    with torch.device("meta"):
        model = Wav2Small(PUBLISHED).eval()
        cost, answer = cost_of(model, lambda: model(torch.zeros(1, FIVE_SECONDS)))
        maps = torch.zeros(1, 1, 2501, 26)
        first = sum(
            cost_of(block, lambda block=block, x=x: block(x, None))[0].macs
            for block, x in zip(model.before, (maps, *[maps.expand(1, 13, -1, -1)] * 2), strict=True)
        )
    assert answer.shape == (1, 3)
    assert round(cost.macs / 1e6) == 391
    assert round(100 * first / cost.macs) == 52
    assert round(cost.activation_bytes / 1e6, 1) == 3.4


def test_five_seconds_are_2501_frames_and_250_tokens_a_second() -> None:
    model = Wav2Small(PUBLISHED).eval()
    seen: list[torch.Size] = []
    model.mix.register_forward_hook(lambda module, inputs, output: seen.append(output.shape))
    with torch.inference_mode():
        frames = model.front_end(torch.zeros(1, FIVE_SECONDS))
        model.body(frames[:, :2500], None)
    assert frames.shape == (1, 2501, 26)
    assert model.spec.frame_rate == 500
    assert seen == [(1, 13, 1250, 13)]


@pytest.mark.parametrize("name", ["wav2small-72k", "wav2small-17k"])
def test_the_convolutions_see_25_frames_which_are_52_ms(name: str) -> None:
    model = lively(name)
    seen = []
    model.attend = lambda x, tokens: seen.append(x) or x.flatten(1)[:, : model.hidden]
    features = torch.randn(61, 60, 26, generator=torch.Generator().manual_seed(1))[:1].repeat(61, 1, 1)
    for frame in range(60):
        features[frame, frame] += 30.0  # far enough to win in the pool, where it is seen at all
    features = torch.cat([features, features[:1] - 60.0])
    features[61] = features[60]
    for frame in range(60):
        features = torch.cat([features, features[60:61]])
        features[-1, frame] -= 30.0
    with torch.inference_mode():
        model.body(features, None)
    token = seen[0][:, :, 15]
    reached = [
        f
        for f in range(60)
        if not torch.equal(token[f], token[60]) or not torch.equal(token[62 + f], token[60])
    ]
    assert reached == list(range(30 - 12, 30 + 13))
    assert 1000 * (24 * model.spec.hop_length + model.spec.n_fft) / 16000 == 52


def test_band_0_is_silent_as_published() -> None:
    filters = mel_filters(Wav2Small.spec)
    assert not filters[0].any()
    assert all(row.any() for row in filters[1:])


def test_the_17k_has_the_published_counts() -> None:
    model = Wav2Small17k(PUBLISHED)
    assert values(model) == 15_888
    assert values(Wav2Small17k(Wav2SmallConfig(labels=("a", "b", "c", "d")))) == 17_244
    assert values(model.score) == values(model.value) == 182
    assert model.hidden == 338 and model.adv.weight.shape == (3, 338)
    assert model.spec.padding == "none"


def test_the_17k_pools_the_weighted_sum_and_its_gram_matrix_in_any_order() -> None:
    model = lively("wav2small-17k")
    x = torch.randn(2, 13, 50, 13, generator=torch.Generator().manual_seed(2))
    with torch.inference_mode():
        pooled = model.attend(x, None)
        shuffled = model.attend(x[:, :, torch.randperm(50, generator=torch.Generator().manual_seed(3))], None)
        weight = torch.softmax(model.score(x), 2)
        mean = torch.einsum("bctm,bctm->bcm", weight, model.value(x))
    assert torch.allclose(pooled, shuffled, atol=1e-5)
    parts = pooled.reshape(2, 13, 26)
    assert torch.allclose(parts[:, :, :13], mean, atol=1e-5)
    assert torch.allclose(parts[:, :, 13:], torch.einsum("bcm,bdm->bcd", mean, mean), atol=1e-4)


@pytest.mark.parametrize("name", ["wav2small-72k", "wav2small-17k"])
def test_audio_and_features_give_one_answer(name: str) -> None:
    model = lively(name)
    wave = voice()
    features = torch.from_numpy(log_mel(model.prepare(wave), model.spec))[None]
    with torch.inference_mode():
        heard = model(torch.from_numpy(wave)[None])
        adv, logits = model.clip(features, torch.tensor([features.shape[1]]))
        inside = model.front_end(torch.from_numpy(model.prepare(wave))[None])
    assert inside.shape == features.shape and features[:, :, 0].max() == -100
    assert torch.allclose(inside, features, atol=0.02)  # dB; float32 against double
    assert torch.allclose(heard, adv, atol=1e-3 * float(heard.abs().max()))
    assert logits.shape == (1, 4)


@pytest.mark.parametrize("name", ["wav2small-72k", "wav2small-17k"])
def test_neither_level_nor_offset_changes_the_answer(name: str) -> None:
    model = lively(name)
    wave = torch.from_numpy(voice())[None]
    with torch.inference_mode():
        assert torch.allclose(model(0.1 * wave - 0.2), model(wave), rtol=0.01, atol=0.02)


def test_preparing_is_the_published_normalisation() -> None:
    wave = voice()
    done = Wav2Small.prepare(wave)
    assert done.dtype == np.float32
    assert abs(float(done.mean())) < 1e-5 and float((done**2).mean()) == pytest.approx(1, abs=1e-4)
    assert not Wav2Small.prepare(np.full(100, 0.5, np.float32)).any()  # silence stays silence


def test_a_row_is_13_frames_of_one_channel() -> None:
    x = torch.arange(13 * 26 * 13).reshape(1, 13, 26, 13)
    rows = _rows(x, None)
    assert rows.shape == (1, 26, 169)
    assert torch.equal(rows[0, 3], x[0, 1, 13:26].flatten())
    assert torch.equal(_rows(x, torch.tensor([26])), rows)


@pytest.mark.parametrize("tokens", [1, 7, 13, 20, 25])
def test_rows_of_a_padded_clip_are_those_of_the_clip_alone(tokens: int) -> None:
    x = torch.randn(2, 13, 26, 13, generator=torch.Generator().manual_seed(4))
    rows = _rows(x, torch.tensor([26, tokens]))
    assert torch.equal(rows[0], _rows(x, None)[0])
    assert torch.equal(rows[1, :tokens], _rows(x[1:, :, :tokens], None)[0])


def test_arousal_is_linear() -> None:
    model = lively("wav2small-17k")
    with torch.inference_mode():
        adv, _ = model.answer(100 * torch.ones(1, 338))
    assert adv.abs().max() > 1


def test_another_front_end_is_refused() -> None:
    with pytest.raises(EdgeSerError, match="26 bands, not 64"):
        Wav2SmallConfig(labels=(), n_mels=64)


def test_the_mean_of_a_click_in_silence_keeps_the_silences_level():
    """Added up in parts: every sample counts, at any length, also where one is a million times the others."""
    from edge_ser.models.wav2small import _PART, _mean

    for length in (1, 65, _PART - 1, _PART, _PART + 1, 80_000):
        wave = torch.full((2, length), 1e-5)
        wave[1, length // 3] = 1.0
        torch.testing.assert_close(
            _mean(wave).double(), wave.double().mean(1, keepdim=True), rtol=1e-5, atol=0
        )


def test_a_first_batch_sets_the_scale_of_scores_and_pooled_vector() -> None:
    """Without it two clips differ by hundredths in what is pooled, and training stands still."""
    torch.manual_seed(0)
    model = Wav2Small(Wav2SmallConfig(labels=("angry", "sad"))).train()
    level = torch.linspace(-60, -20, 24)[:, None, None]
    features = level + 15 * torch.randn(24, 1, 26) + 10 * torch.randn(24, 260, 26)
    frames = torch.full((24,), 260)
    with torch.no_grad():
        assert model.pool(features, frames).std(0).mean() < 0.2
    counted = values(model)
    model.settle(features, frames)
    assert values(model) == counted
    with torch.no_grad():
        pooled = model.pool(features, frames)
        x, _ = model.maps(features, None)
        scores = model.score(_rows(model.mix(x), None)).flatten(0, 1)
    torch.testing.assert_close(pooled.std(0), torch.ones(model.hidden), rtol=0.05, atol=0)
    torch.testing.assert_close(pooled.mean(0), torch.zeros(model.hidden), rtol=0, atol=0.05)
    torch.testing.assert_close(scores.std(0), torch.ones(model.hidden), rtol=0.05, atol=0)


def test_clips_that_differ_in_length_settle_by_their_own_frames() -> None:
    torch.manual_seed(0)
    one, other = (Wav2Small(Wav2SmallConfig(labels=("angry",))).eval() for _ in range(2))
    other.load_state_dict(one.state_dict())
    features, frames = torch.randn(6, 130, 26) * 20 - 40, torch.tensor([130, 104, 130, 65, 130, 91])
    padded = features.clone()
    padded[torch.arange(130)[None] >= frames[:, None]] = 1e4
    one.settle(features, frames)
    other.settle(padded, frames)
    for name, value in one.state_dict().items():
        torch.testing.assert_close(value, other.state_dict()[name])
    one.settle(torch.zeros(3, 65, 26), torch.full((3,), 65))  # nothing differs: nothing becomes infinite
    assert all(torch.isfinite(value).all() for value in one.state_dict().values())
