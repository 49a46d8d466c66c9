"""Noise in features: its level, where it goes, and that powers add up as those of waves do."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from edge_ser.audio import write_wav  # noqa: E402
from edge_ser.dsp import MelSpec, log_mel  # noqa: E402
from edge_ser.errors import EdgeSerError  # noqa: E402
from edge_ser.perturb import add_noise  # noqa: E402
from edge_ser.training.noise import Noise  # noqa: E402
from edge_ser.training.recipe import NoisePart  # noqa: E402

SPEC = MelSpec(mean=-50.0, scale=20.0)
RNG = np.random.default_rng(0)


def features(wave: np.ndarray) -> np.ndarray:
    return log_mel(wave.astype(np.float32), SPEC)


def hum(seconds: float = 2.0) -> np.ndarray:
    """A sound with a few strong bands."""
    t = np.arange(int(16000 * seconds)) / 16000
    return 0.1 * np.sin(2 * np.pi * 300 * t) * (1.2 + np.sin(2 * np.pi * 3 * t))


def power(levels: torch.Tensor) -> torch.Tensor:
    return 10 ** ((levels * SPEC.scale + SPEC.mean) / 10)


def added(noise: Noise, clean: torch.Tensor, frames: torch.Tensor, seed: int) -> torch.Tensor:
    torch.manual_seed(seed)
    return noise.add(clean, frames)


def batch(count: int = 16, frames: int = 120) -> torch.Tensor:
    return torch.from_numpy(np.stack([features(hum())[:frames]] * count))


def test_the_ratio_of_powers_is_the_one_asked_for() -> None:
    white = features(RNG.normal(0, 0.1, 16000))
    noise = Noise(NoisePart(share=1.0, babble=0.0, snr_db=(5.0, 5.0)), SPEC, [white])
    clean = batch()
    mixed = added(noise, clean, torch.full((16,), 120), 1)
    more = (power(mixed) - power(clean)).mean((1, 2))
    assert 10 * torch.log10(power(clean).mean((1, 2)) / more) == pytest.approx(np.full(16, 5.0), abs=0.05)


def test_features_of_a_mixture_are_those_of_mixed_waves() -> None:
    """Within the interference of the two, which is what adding powers leaves out."""
    own, other = hum(), RNG.normal(0, 0.05, 32000)
    wave = add_noise(own.astype(np.float32), other.astype(np.float32), 10.0, np.random.default_rng(0))
    sounds = [features(wave - own)[:120]]
    whole, rest = (power(torch.from_numpy(levels)).mean() for levels in (features(own)[:120], sounds[0]))
    ratio = 10 * torch.log10(whole / rest)
    noise = Noise(NoisePart(share=1.0, babble=0.0, snr_db=(float(ratio),) * 2), SPEC, sounds)
    noise._noise = lambda length, count: noise.sounds[None, :length]  # type: ignore[method-assign]  # from its start
    mixed = added(noise, batch(1), torch.tensor([120]), 0)[0].numpy()
    apart = SPEC.scale * np.abs(mixed - features(wave)[:120])
    assert np.median(apart) < 0.5 and np.quantile(apart, 0.95) < 6


def test_padding_and_clips_that_are_spared_stay() -> None:
    noise = Noise(NoisePart(share=0.5, babble=0.0), SPEC, [features(RNG.normal(0, 0.1, 4000))])
    clean, frames = batch(64), torch.full((64,), 70)
    mixed = added(noise, clean, frames, 2)
    changed = (mixed != clean).flatten(1).any(1)
    assert 16 < changed.sum() < 48
    assert torch.equal(mixed[~changed], clean[~changed])
    assert torch.allclose(mixed[:, 70:], clean[:, 70:], atol=1e-5)
    again = added(noise, clean, frames, 2)
    assert torch.equal(again, mixed)


def test_babble_is_of_others() -> None:
    clean = torch.full((6, 40, 64), -2.0)
    clean[3] = 1.0  # the one loud clip
    noise = Noise(NoisePart(share=0.0, babble=1.0, snr_db=(0.0, 0.0)), SPEC, [])
    mixed = added(noise, clean, torch.full((6,), 40), 0)
    # all of them have as much of others as of their own
    assert torch.allclose(power(mixed), 2 * power(clean), rtol=1e-3)


def test_collections_are_read_without_what_is_silent(tmp_path: Path) -> None:
    write_wav(tmp_path / "a.wav", RNG.normal(0, 0.1, 8000))
    write_wav(tmp_path / "b.wav", np.zeros(8000))
    noise = Noise.load(NoisePart((str(tmp_path),)), SPEC)
    assert noise.lengths.tolist() == [40] and noise.sounds.shape == (40, 64)
    (tmp_path / "a.wav").unlink()
    with pytest.raises(EdgeSerError, match="nothing is to be heard in"):
        Noise.load(NoisePart((str(tmp_path),)), SPEC)


def test_other_scales_are_refused() -> None:
    with pytest.raises(EdgeSerError, match="decibels"):
        Noise(NoisePart(), dataclasses.replace(SPEC, log="ln"), [])


def test_a_room_s_tail_falls_by_sixty_decibels_in_its_time_and_has_its_share_of_power() -> None:
    part = NoisePart(share=1e-9, babble=0.0, room=1.0, room_s=(0.5, 0.5), direct_db=(3.0, 3.0))
    noise = Noise(part, dataclasses.replace(SPEC, floor=1e-30), [features(RNG.normal(0, 0.1, 4000))])
    click = torch.full((2, 120, 64), -12.0)
    click[:, 10] = 2.0
    heard = added(noise, click, torch.full((2,), 120), 0)[0, :, 0] * SPEC.scale
    before = heard[:10] - click[0, :10, 0] * SPEC.scale
    assert before.min() >= -1e-3 and before.max() < 10 * np.log10(
        1 + 10**-0.3
    )  # no tail comes before its sound
    frames = 0.25 * SPEC.frame_rate
    assert heard[11] - heard[11 + int(frames)] == pytest.approx(30.0, abs=0.1)
    tail = power(heard[11:] / SPEC.scale).sum() / power(heard[10] / SPEC.scale)
    assert 10 * torch.log10(tail) == pytest.approx(-3.0, abs=0.05)


def test_a_room_changes_the_clips_that_it_is_asked_for_and_no_padding() -> None:
    part = NoisePart(share=1e-9, babble=0.0, room=0.5)
    noise = Noise(part, SPEC, [features(RNG.normal(0, 0.1, 4000))])
    clean, frames = batch(64), torch.full((64,), 70)
    mixed = added(noise, clean, frames, 2)
    assert 16 < (mixed != clean).flatten(1).any(1).sum() < 48
    assert torch.equal(mixed[:, 70:], clean[:, 70:])
    assert (mixed - clean).min() > -1e-4  # a tail only adds


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"sounds": ()}, "needs sounds"),
        ({"share": 0.0, "babble": 0.0}, "needs sounds"),
        ({"share": 0.8, "babble": 0.3}, "needs sounds"),
        ({"room": 1.5}, "needs sounds; room"),
        ({"snr_db": (5.0, 0.0)}, "snr_db with the lower first"),
        ({"room_s": (0.5,)}, "room_s with the lower first"),
        ({"room_s": (0.0, 1.0)}, "room_s above 0"),
    ],
)
def test_values_out_of_range_are_refused(values: dict[str, object], message: str) -> None:
    with pytest.raises(EdgeSerError, match=message):
        NoisePart(**values)  # type: ignore[arg-type]
