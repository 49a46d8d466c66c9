"""Perturbations in batches: each does what it is named for, and nothing else."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from torch import Tensor  # noqa: E402

from edge_ser.errors import EdgeSerError  # noqa: E402
from edge_ser.perturb import Perturb  # noqa: E402
from edge_ser.training.live.views import check_perturb, perturbed, smooth  # noqa: E402

NOTHING = Perturb(**{f.name: 0.0 for f in dataclasses.fields(Perturb) if f.name.startswith("p_")})  # type: ignore[arg-type]
SIZE, ROWS = 16384, 8
LENGTHS = torch.full((ROWS,), 12000)


def tone(hz: float = 440.0) -> Tensor:
    """The same voice-like tone in every row, silence at its end."""
    t = torch.arange(SIZE) / 16000
    wave = sum(torch.sin(2 * math.pi * k * hz * t) / k for k in range(1, 6))
    assert isinstance(wave, Tensor)
    return (0.1 * wave * (torch.arange(SIZE) < 12000)).repeat(ROWS, 1)


def run(how: Perturb, waves: Tensor | None = None, seed: int = 0) -> tuple[Tensor, Tensor]:
    torch.manual_seed(seed)
    return perturbed(tone() if waves is None else waves, LENGTHS, how, np.random.default_rng(seed))


def pitch_of(wave: Tensor, length: int) -> float:
    """Hz of the strongest partial of the middle."""
    middle = wave[length // 4 : 3 * length // 4]
    spectrum = torch.fft.rfft(middle * torch.hann_window(len(middle)), 1 << 17).abs()
    return float(spectrum.argmax()) * 16000 / (1 << 17)


def only(**fields: object) -> Perturb:
    return dataclasses.replace(NOTHING, **fields)  # type: ignore[arg-type]


def test_nothing_happens_to_what_nothing_is_to_happen_to() -> None:
    found, lengths = run(NOTHING)
    assert torch.equal(lengths, LENGTHS)
    torch.testing.assert_close(found, tone())


def test_speed_moves_length_and_pitch_together() -> None:
    found, lengths = run(only(p_speed=1.0, speed=0.2))
    assert len(set(lengths.tolist())) > 4
    for wave, length in zip(found, lengths.tolist(), strict=True):
        factor = 12000 / length
        assert 1 / 1.21 < factor < 1.21
        assert pitch_of(wave, length) == pytest.approx(440 * factor, rel=0.01)


def test_tempo_moves_length_alone() -> None:
    found, lengths = run(only(p_tempo=1.0, tempo=0.25))
    assert min(lengths.tolist()) < 11000 and max(lengths.tolist()) > 13000
    for wave, length in zip(found, lengths.tolist(), strict=True):
        assert pitch_of(wave, length) == pytest.approx(440, rel=0.01)
        power = wave[:length].square().mean() / tone()[0, :12000].square().mean()
        assert abs(10 * math.log10(float(power))) < 2.0  # phases that fit keep the power


def test_pitch_moves_pitch_alone() -> None:
    found, lengths = run(only(p_pitch=1.0, pitch=4.0))
    assert (lengths - 12000).abs().max() <= 2
    hz = [pitch_of(wave, 12000) for wave in found]
    assert min(hz) < 420 and max(hz) > 460
    assert all(440 * 2 ** (-4 / 12) - 5 < one < 440 * 2 ** (4 / 12) + 5 for one in hz)


def test_formants_move_the_envelope_and_leave_pitch_and_length() -> None:
    """Noise through a resonance at 1500 Hz: the resonance moves."""
    torch.manual_seed(3)
    hz = torch.linspace(0, 8000, SIZE // 2 + 1)
    shape = 1 / (1 + ((hz - 1500) / 250) ** 2)
    noise = torch.fft.irfft(torch.fft.rfft(torch.randn(ROWS, SIZE)) * shape, SIZE) * (
        torch.arange(SIZE) < 12000
    )
    found, lengths = run(only(p_formants=1.0, formants=0.3), noise)
    assert torch.equal(lengths, LENGTHS)
    power = torch.fft.rfft(found).abs().square()
    peak = (power * hz).sum(1) / power.sum(1)
    assert peak.min() < 1450 and peak.max() > 1650
    changed, _ = run(only(p_formants=1.0, formants=0.3))
    for wave in changed:  # another partial may be the strongest now
        partial = pitch_of(wave, 12000) / 440
        assert partial == pytest.approx(round(partial), abs=0.01)


def test_a_room_keeps_the_power_and_sounds_on_until_the_clip_ends() -> None:
    waves = tone()
    waves[:, 6000:] = 0.0
    found, lengths = run(only(p_room=1.0, rt60_s=(0.6, 0.6), direct_db=(0.0, 0.0)), waves)
    torch.testing.assert_close(found.square().sum(1), waves.square().sum(1), rtol=1e-3, atol=0)
    assert torch.all(found[:, 6100:9000].abs().mean(1) > 1e-3)
    assert torch.all(found[:, 12000:] == 0) and torch.equal(lengths, LENGTHS)


def test_a_room_has_the_reverberation_and_the_direct_sound_that_were_asked_for() -> None:
    """A click gives what the room answers: the direct sound 6 dB over all echoes, which fall by 60 dB in 0.6 s."""
    click = torch.zeros(64, SIZE)
    click[:, 0] = 1.0
    torch.manual_seed(0)
    how = only(p_room=1.0, rt60_s=(0.6, 0.6), direct_db=(6.0, 6.0))
    found, _ = perturbed(click, LENGTHS[:1].repeat(64), how, np.random.default_rng(0))
    power = found.square()
    ratio = 10 * torch.log10(power[:, 0] / power[:, 1:].sum(1))
    torch.testing.assert_close(ratio, torch.full((64,), 6.0), atol=0.1, rtol=0)
    early, late = (power[:, start : start + 800].sum() for start in (1600, 6400))
    assert float(10 * torch.log10(early / late)) == pytest.approx(60 * 4800 / 9600, abs=1.0)


def test_where_a_room_does_not_happen_nothing_does() -> None:
    found, _ = run(only(p_room=0.5, rt60_s=(0.6, 0.6), direct_db=(0.0, 0.0)))
    apart = (found - tone()).abs().amax(1)
    assert 0 < (apart < 1e-5).sum() < ROWS and 0 < (apart > 1e-3).sum() < ROWS


def test_babble_is_of_others() -> None:
    """Of two clips each is the other's babble; what is no babble has no tones."""
    hz = (300.0, 950.0)
    waves = torch.cat([tone(one)[:1] for one in hz])
    babbling = [0, 0]
    for seed in range(8):
        rng = np.random.default_rng(seed)
        found, _ = perturbed(waves, LENGTHS[:2], only(p_noise=1.0, snr_db=(0.0, 0.0)), rng)
        power = torch.fft.rfft(found - waves).abs().square()
        for row, which in zip(power, (0, 1), strict=True):
            bins = [round(one * SIZE / 16000) for one in hz]
            own, other = (float(row[bins[i] - 3 : bins[i] + 4].sum() / row.sum()) for i in (which, 1 - which))
            if max(own, other) > 0.2:
                babbling[which] += 1
                assert own < 0.02
    assert min(babbling) > 0


def test_what_would_come_to_lie_above_the_band_is_left_out() -> None:
    """7.6 kHz played a tenth faster is above 8 kHz, and must not come back mirrored."""
    t = torch.arange(SIZE) / 16000
    high = (torch.sin(2 * math.pi * 7600 * t) * (torch.arange(SIZE) < 12000)).repeat(ROWS, 1)
    found, lengths = run(only(p_speed=1.0, speed=0.3), high)
    power = found.square().sum(1) / lengths
    faster = lengths < 12000 / 1.1
    assert faster.any() and (power[faster] < 0.05).all()
    assert (power[lengths > 12000] > 0.25).all()


def test_noise_comes_at_the_ratio_asked_for() -> None:
    found, _ = run(only(p_noise=1.0, snr_db=(6.0, 6.0)))
    added = found - tone()
    ratio = 10 * torch.log10(tone().square().sum(1) / added.square().sum(1))
    torch.testing.assert_close(ratio, torch.full((ROWS,), 6.0), atol=0.05, rtol=0)
    assert torch.all(added[:, 12000:] == 0)


def test_a_telephone_takes_what_is_outside_its_band() -> None:
    torch.manual_seed(1)
    found, _ = run(only(p_telephone=1.0), torch.randn(ROWS, SIZE) * (torch.arange(SIZE) < 12000))
    power = torch.fft.rfft(found).abs().square().mean(0)
    hz = torch.linspace(0, 8000, len(power))
    inside = power[(hz > 500) & (hz < 3000)].mean()
    assert torch.all(found[:, 12000:] == 0)  # a filter sounds on
    for outside in (hz < 150, hz > 5000):
        assert power[outside].mean() < 1e-2 * inside


def test_microphones_and_tilts_change_the_balance_of_bands() -> None:
    for how in (only(p_microphone=1.0, microphone_db=6.0), only(p_tilt=1.0, tilt_db=6.0)):
        found, lengths = run(how)
        assert torch.equal(lengths, LENGTHS)
        spectrum = torch.fft.rfft(found).abs()
        first, fifth = (spectrum[:, round(k * 440 * SIZE / 16000)] for k in (1, 5))
        assert (20 * torch.log10(fifth / first)).std() > 1.0


def test_a_draw_is_the_same_again_and_chance_takes_some_clips_alone() -> None:
    how = only(p_speed=0.5, speed=0.2, p_noise=0.5)
    first, again, other = run(how), run(how), run(how, seed=1)
    assert torch.equal(first[0], again[0]) and not torch.equal(first[0], other[0])
    assert 0 < (first[1] != LENGTHS).sum() < ROWS


@pytest.mark.parametrize("step", ["clip", "gain", "dc", "codec", "loss", "lowpass", "invert"])
def test_steps_that_are_not_made_in_batches_are_refused(step: str) -> None:
    with pytest.raises(EdgeSerError, match=f"p_{step} is above 0"):
        check_perturb(only(**{f"p_{step}": 0.5}))
    check_perturb(NOTHING)


def test_sizes_are_few() -> None:
    assert [smooth(n) for n in (1, 8192, 8193)] == [8192, 8192, 16384]
