"""Other speeds and tempos: compiled and by torch the same, and what a sine is to become."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

torch = pytest.importorskip("torch")

from torch import Tensor  # noqa: E402

from edge_ser.training.live import warps  # noqa: E402
from edge_ser.training.live.mels import within  # noqa: E402

SIZE = 4096


def sounds(count: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Tones over noise, of other lengths each; the last is silent."""
    chance = torch.Generator().manual_seed(seed)
    lengths = torch.randint(1, SIZE + 1, (count,), generator=chance)
    hz = 100 + 3000 * torch.rand(count, 3, 1, generator=chance)
    tones = torch.sin(2 * math.pi * hz * torch.arange(SIZE) / 16000).sum(1)
    waves = (tones + 0.1 * torch.randn(count, SIZE, generator=chance)) * within(SIZE, lengths)
    waves[-1] = 0
    return waves, lengths


@given(
    seed=st.integers(0, 99),
    factors=st.lists(st.sampled_from([0.7, 1.0, 1.3]) | st.floats(0.6, 1.6), min_size=1),
)
@settings(max_examples=20)
def test_played_by_either_way(seed: int, factors: list[float]) -> None:
    waves, lengths = sounds(len(factors), seed)
    speeds = torch.tensor(factors, dtype=torch.float32)
    found, new = warps.played(waves, lengths, speeds)
    expected = torch.where((speeds != 1)[:, None], warps._interpolated_by_torch(waves, new, speeds), waves)
    torch.testing.assert_close(found, expected * within(SIZE, new), rtol=0, atol=2e-6)
    assert torch.equal(found[speeds == 1], waves[speeds == 1])


@given(seed=st.integers(0, 99), rates=st.lists(st.just(1.0) | st.floats(0.6, 1.6), min_size=1))
@settings(max_examples=20)
def test_vocoded_by_either_way(seed: int, rates: list[float]) -> None:
    """But for a bin or two in ten thousand, between two peaks so equal that rounding settles which is higher."""
    waves, _ = sounds(len(rates), seed)
    waves = waves + 1e-3 * torch.randn(
        waves.shape, generator=torch.Generator().manual_seed(seed)
    )  # nothing has no phase
    spectrum = torch.stft(waves, 512, 128, window=torch.hann_window(512), return_complex=True)
    paces = torch.tensor(rates, dtype=torch.float32)
    found, expected = warps._vocoded(spectrum, paces), warps._vocoded_by_torch(spectrum, paces)
    torch.testing.assert_close(found.abs(), expected.abs(), rtol=1e-4, atol=1e-4)
    loudest = expected.abs().amax((1, 2), keepdim=True)
    assert float(((found - expected).abs() > 1e-4 * loudest).float().mean()) < 2e-4
    exact = paces == 1
    torch.testing.assert_close(found[exact], spectrum[exact], rtol=1e-5, atol=1e-4)


def test_silence_is_vocoded_to_silence() -> None:
    silence = torch.zeros(2, 257, 9, dtype=torch.complex64)
    rates = torch.tensor([0.7, 1.3])
    assert torch.equal(warps._vocoded(silence, rates), silence)


def test_threads_change_nothing() -> None:
    waves, lengths = sounds(70)
    factors = torch.linspace(0.7, 1.4, 70)
    before = torch.get_num_threads()
    made = []
    for threads in (1, 3):
        torch.set_num_threads(threads)
        try:
            faster, shorter = warps.played(waves, lengths, factors)
            made.append(warps.stretched(faster, shorter, factors, factors.flip(0)))
        finally:
            torch.set_num_threads(before)
    assert torch.equal(made[0][0], made[1][0]) and torch.equal(made[0][1], made[1][1])


@pytest.mark.parametrize("factor", [0.8, 0.97, 1.1, 1.25])
def test_a_sine_played_faster_is_one_of_more_hertz(factor: float) -> None:
    t = np.arange(SIZE) / 16000
    wave = torch.from_numpy(np.sin(2 * np.pi * 1000 * t)[None].astype(np.float32))
    found, length = warps.played(wave, torch.tensor([SIZE]), torch.tensor([factor]))
    assert int(length) == min(SIZE, round(SIZE / factor))
    due = np.sin(2 * np.pi * 1000 * np.float32(factor) * t)
    heard = slice(50, int(SIZE / max(factor, 1)) - 50)  # at its ends it meets silence
    assert np.abs(found[0].numpy()[heard] - due[heard]).max() < 0.003


@pytest.mark.parametrize("rate", [0.8, 1.25])
def test_a_steady_sine_at_another_tempo_goes_on_in_its_own_phase(rate: float) -> None:
    """A partial's phase is turned on from frame to frame: the sine is one sine all along, at its own pitch."""
    t = np.arange(4 * SIZE) / 16000
    wave = torch.from_numpy(np.sin(2 * np.pi * 1000 * t)[None].astype(np.float32))
    rates, as_it_is = torch.tensor([rate]), torch.ones(1)
    found, length = warps.stretched(wave, torch.tensor([4 * SIZE]), rates, as_it_is)
    assert int(length) == min(4 * SIZE, round(4 * SIZE / rate))
    middle = slice(1024, int(length) - 1024 if rate > 1 else 3 * SIZE)
    angles = np.stack([np.sin(2 * np.pi * 1000 * t), np.cos(2 * np.pi * 1000 * t)], 1)[middle]
    left = found[0].numpy()[middle]
    left = left - angles @ np.linalg.lstsq(angles, left, rcond=None)[0]
    assert np.square(left).mean() < 1e-4 * 0.5


def test_of_clips_that_stay_as_they_are_nothing_is_made() -> None:
    waves, lengths = sounds(3)
    ones = torch.ones(3)
    for found, new in (warps.played(waves, lengths, ones), warps.stretched(waves, lengths, ones, ones)):
        assert torch.equal(found, waves) and torch.equal(new, lengths)


def test_an_accelerators_way_gives_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """By torch's operations, on all clips whatever happens to them."""
    waves, lengths = sounds(24)
    chance = torch.Generator().manual_seed(1)
    factors, rates, formants = (
        torch.exp(0.2 * torch.randn(24, generator=chance) * (torch.rand(24, generator=chance) < 0.7))
        for _ in range(3)
    )

    def made() -> tuple[Tensor, Tensor]:
        return warps.stretched(*warps.played(waves, lengths, factors), rates, formants)

    ours, new = made()
    monkeypatch.setattr(warps, "_rows", lambda happens: torch.arange(len(happens)))
    monkeypatch.setattr(warps, "_interpolated", warps._interpolated_by_torch)
    monkeypatch.setattr(warps, "_vocoded", warps._vocoded_by_torch)
    theirs, same = made()
    assert torch.equal(new, same)
    assert (ours - theirs).square().sum() < 1e-6 * ours.square().sum()
