"""The steps of a view: what each draws, how often and how far."""

import dataclasses
import math
from collections import Counter

import numpy as np
import pytest

from edge_ser.perturb import Perturb, Sounds, steps
from edge_ser.perturb.codecs import GRADED
from tests.edge_ser.perturb.signals import band_db, level_db, noise_of, tone

pytest.importorskip("scipy")
pytest.importorskip("soxr")
pytest.importorskip("soundfile")

NAMES = [field.name[2:] for field in dataclasses.fields(Perturb) if field.name.startswith("p_")]


def only(name, **fields):
    """One step, always."""
    return Perturb(**{f"p_{other}": float(other == name) for other in NAMES}, **fields)


def views(how, wave, count, sounds=None):
    return [how.view(wave, "key", k, sounds) for k in range(1, count + 1)]


@pytest.mark.parametrize(
    ("name", "function", "place", "low", "middle", "high", "fields"),
    [
        ("speed", "speed", 1, 1 / 1.3, 1, 1.3, {"speed": 0.3}),
        ("tempo", "tempo", 1, 1 / 1.6, 1, 1.6, {"tempo": 0.6}),
        ("pitch", "pitch", 1, -5, 0, 5, {"pitch": 5}),
        ("formants", "formants", 1, 1 / 1.3, 1, 1.3, {"formants": 0.3}),
        ("mix", "mix", 2, 0.2, 0.45, 0.7, {"mix_share": (0.2, 0.7), "mix_with": ("noise",)}),
        ("room", "room_response", 0, 0.2, 0.5, 0.8, {"rt60_s": (0.2, 0.8)}),
        ("room", "room_response", 1, -7, 0, 7, {"direct_db": (-7, 7)}),
        ("noise", "add_noise", 2, 3, 8, 13, {"snr_db": (3, 13)}),
        ("noise", "coloured_noise", 2, -6, -3, 0, {}),
        ("microphone", "microphone", 1, 7, 7, 7, {"microphone_db": 7}),
        ("tilt", "tilt", 1, -5, 0, 5, {"tilt_db": 5}),
        ("lowpass", "lowpass", 1, 1000, 2500, 4000, {"lowpass_hz": (1000, 4000)}),
        ("clip", "clip", 1, 0.2, 0.3, 0.4, {"clip": (0.2, 0.4)}),
        ("dc", "dc", 1, -0.1, 0, 0.1, {"dc": 0.1}),
        ("loss", "lose_packets", 1, 0.1, 0.3, 0.5, {"loss": (0.1, 0.5)}),
    ],
)
def test_a_figure_is_drawn_evenly_from_all_of_its_range(
    monkeypatch, name, function, place, low, middle, high, fields
):
    work, drawn = getattr(steps, function), []

    def noted(*given):
        drawn.append(given[place])
        return work(*given)

    monkeypatch.setattr(steps, function, noted)
    views(only(name, **fields), noise_of(400), 200, Sounds(others=(noise_of(400, 1),)))
    assert len(drawn) == 200
    assert low <= min(drawn) <= low + 0.05 * (high - low)
    assert high - 0.05 * (high - low) <= max(drawn) <= high
    # half lie on either side of the middle; factors and their inverses come alike
    if high > low:
        assert 80 < sum(one < middle for one in drawn) < 120


def test_half_of_the_rooms_are_real_where_there_are_some():
    wave = noise_of(800)
    empty = Sounds(rooms=(np.ones(1, np.float32),))  # changes nothing
    same = [np.allclose(view, wave, atol=1e-6) for view in views(only("room"), wave, 200, empty)]
    assert 80 < sum(same) < 120
    assert not any(np.allclose(view, wave, atol=1e-6) for view in views(only("room"), wave, 50))


def test_each_kind_of_noise_comes_as_often_and_real_noise_twice():
    wave = tone(60, 0.5)
    whole = Sounds((tone(1000),), (), (tone(3000),))
    for sounds, shares in (
        (whole, {"real": 0.5, "babble": 0.25, "coloured": 0.25}),
        (Sounds(whole.noises), {"real": 2 / 3, "coloured": 1 / 3}),
        (Sounds(voices=whole.voices), {"babble": 0.5, "coloured": 0.5}),
        (None, {"coloured": 1}),
    ):
        kinds = Counter()
        for view in views(only("noise"), wave, 300, sounds):
            added = view - wave
            level = band_db(added, 20, 8000)
            tones = {"real": band_db(added, 900, 1100), "babble": band_db(added, 2900, 3100)}
            kinds[next((kind for kind, db in tones.items() if db > level - 0.5), "coloured")] += 1
        assert {kind: count / 300 for kind, count in kinds.items()} == pytest.approx(shares, abs=0.08)


def test_three_to_eight_talk_at_once():
    wave = tone(60, 0.5)
    voices = Sounds(voices=tuple(tone(200.0 * k) for k in range(1, 11)))
    talkers = Counter()
    for view in views(only("noise", snr_db=(0, 0)), wave, 200, voices):
        powers = np.abs(np.fft.rfft(view - wave)[100:1001:100]) ** 2
        if powers.sum() > 0.9 * (np.abs(np.fft.rfft(view - wave)) ** 2).sum():  # no coloured noise
            talkers[int((powers > 0.01 * powers.max()).sum())] += 1
    assert sorted(talkers) == [3, 4, 5, 6, 7, 8]


def test_a_mixture_is_with_any_stretch_of_any_sound():
    wave = noise_of(800)
    sounds = Sounds(others=(noise_of(60000, 1), tone(1000, 3.0)))
    found = views(only("mix", mix_share=(0, 0), mix_with=("noise",)), wave, 60, sounds)
    assert len({view.tobytes() for view in found}) == 60
    assert 18 < sum(band_db(view, 800, 1200) > band_db(view, 20, 8000) - 0.5 for view in found) < 42


def test_a_gain_has_its_deviation_and_is_cut_at_two():
    wave = tone(200, 0.05, 1e-4)
    gains = np.array([level_db(view) - level_db(wave) for view in views(only("gain", gain_db=6), wave, 400)])
    assert gains.min() == pytest.approx(-12, abs=1e-3) and gains.max() == pytest.approx(12, abs=1e-3)
    # of a normal distribution whose ends are gathered at 2, with its density and its share within 2
    density, within = math.exp(-2) / math.sqrt(2 * math.pi), math.erf(math.sqrt(2))
    wanted = math.sqrt(within - 4 * density + 4 * (1 - within))
    assert gains.std() == pytest.approx(6 * wanted, rel=0.08)
    assert abs(gains.mean()) < 0.6
    assert not any(view.any() for view in views(only("gain"), np.zeros(10), 5))
    # what is beyond full scale already is made no louder, and softer as often as it should be
    beyond = tone(200, 0.05, 1.5)
    assert 75 < sum(np.array_equal(view, beyond) for view in views(only("gain"), beyond, 200)) < 125


def test_codecs_are_drawn_alike_and_squeezed_where_they_can_be(monkeypatch):
    drawn = []

    def noted(wave, name, squeeze):
        drawn.append((name, squeeze))
        return wave

    monkeypatch.setattr(steps, "codec", noted)
    names = ("mu-law", "gsm", "mp3", "opus")
    views(only("codec", codecs=names), noise_of(10), 400)
    for name in names:
        squeezes = [squeeze for one, squeeze in drawn if one == name]
        assert 75 < len(squeezes) < 125
        if name in GRADED:
            assert 0.3 <= min(squeezes) < 0.35 and 0.95 < max(squeezes) <= 1
        else:
            assert set(squeezes) == {None}
