"""Codecs and the telephone: error bounds, bands, no delay."""

import io

import numpy as np
import pytest
from hypothesis import given

from edge_ser.errors import EdgeSerError
from edge_ser.perturb import CODECS, a_law, codec, mu_law, telephone
from tests.edge_ser.perturb.signals import LAW, RATE, band_db, is_wave, level_db, noise_of, tone, vowel, waves

soundfile = pytest.importorskip("soundfile")
pytest.importorskip("soxr")
pytest.importorskip("scipy")

SAMPLES = np.arange(-32768, 32768)


@LAW
@given(waves)
def test_mu_law_is_within_its_bound(wave):
    coded = mu_law(wave)
    assert is_wave(coded, len(wave))
    inside = np.abs(wave) < 0.98
    assert (np.abs(coded - wave)[inside] <= (np.abs(wave)[inside] + 0.0041) / 32 + 2**-16).all()
    assert np.array_equal(mu_law(coded), coded)


@LAW
@given(waves)
def test_a_law_is_within_its_bound(wave):
    coded = a_law(wave)
    assert is_wave(coded, len(wave))
    inside = np.abs(wave) < 0.98
    assert (np.abs(coded - wave)[inside] <= np.maximum(np.abs(wave)[inside] / 32, 2**-12) + 2**-15).all()
    assert np.array_equal(a_law(coded), coded)


def as_stored(subtype: str) -> np.ndarray:
    file = io.BytesIO()
    soundfile.write(file, SAMPLES.astype(np.int16), 8000, format="WAV", subtype=subtype)
    file.seek(0)
    return soundfile.read(file, dtype="int16")[0].astype(int)


def test_g711_is_that_of_another_implementation_bit_for_bit():
    whole = (SAMPLES / 32768).astype(np.float32)
    assert np.array_equal(np.rint(mu_law(whole) * 32768).astype(int), as_stored("ULAW"))
    ours, theirs = np.rint(a_law(whole) * 32768).astype(int), as_stored("ALAW")
    assert np.array_equal(ours[32768:], theirs[32768:])
    # below zero G.711 counts from -1: the mirror of what is above. libsndfile counts from 0, and differs where a
    # sample lies on a border of two steps, by which it makes no error that is larger
    assert np.array_equal(ours[:32768], -ours[:32767:-1])
    differs = ours != theirs
    assert (np.abs(ours - SAMPLES)[differs] == np.abs(theirs - SAMPLES)[differs]).mean() > 0.9
    assert differs.sum() < 130
    for coded in (ours, theirs):
        assert len(np.unique(coded)) == 256


@pytest.mark.parametrize("name", CODECS)
@pytest.mark.parametrize("samples", [1, 2, 100, 1023, 16001])
def test_every_codec_keeps_the_length(name, samples):
    wave = noise_of(samples)
    before = wave.copy()
    coded = codec(wave, name)
    assert is_wave(coded, samples)
    assert np.array_equal(wave, before)
    assert np.array_equal(coded, codec(wave, name))
    if name in ("mu-law", "a-law"):
        assert np.array_equal(coded, mu_law(wave) if name == "mu-law" else a_law(wave))


@pytest.mark.parametrize(
    ("name", "least_db"),
    [("mu-law", 30), ("a-law", 30), ("adpcm", 15), ("gsm", 5), ("mp3", 15), ("opus", 10), ("vorbis", 10)],
)
def test_every_codec_gives_the_voice_without_delay(name, least_db):
    wave = vowel(140, 2.2)
    coded = codec(wave, name)
    assert level_db(coded) == pytest.approx(level_db(wave), abs=1)
    # nor does it win or lose a sample on the way
    for part in (slice(0, 16000), slice(-16000, None)):
        assert np.argmax(np.correlate(coded[part], wave[part][2000:-2000], "valid")) == 2000
    assert level_db(wave) - level_db(coded - wave) > least_db


def test_squeezing_costs_quality():
    wave = vowel(140, 0.5) + noise_of(8000, level=0.01)
    for name in ("mp3", "opus", "vorbis"):
        error = [level_db(codec(wave, name, squeeze) - wave) for squeeze in (0.0, 0.5, 1.0)]
        assert error[0] < error[1] < error[2]


def test_gsm_alone_has_a_telephones_band():
    wave = noise_of(RATE)
    for name in CODECS:
        lost = band_db(wave, 4300, 7000) - band_db(codec(wave, name), 4300, 7000)
        assert (lost > 30) if name == "gsm" else (lost < 5), name


def test_beyond_full_scale_is_clipped():
    loud = tone(440, 0.2, 3.0)
    for name in ("mu-law", "a-law", "adpcm"):
        coded = codec(loud, name)
        assert np.abs(coded).max() <= 1
        # ADPCM's steps have to grow first
        assert np.abs(coded - np.clip(loud, -1, 1))[100:].max() < 0.3


def test_a_long_recording_does_not_end_the_process():
    # libvorbis keeps a whole write on its stack; five minutes at once end in a segmentation fault
    assert is_wave(codec(np.zeros(300 * RATE, np.float32), "vorbis"), 300 * RATE)


@LAW
@given(waves)
def test_a_telephone_keeps_the_length(wave):
    assert is_wave(telephone(wave), len(wave))


def test_a_telephone_has_300_to_3400_hz():
    wave = noise_of(4 * RATE)
    heard = telephone(wave)
    for low, high in ((0, 250), (3460, 4000), (4000, 8000)):
        assert band_db(heard, low, high) < band_db(wave, low, high) - 30
    assert band_db(heard, 400, 3300) == pytest.approx(band_db(wave, 400, 3300), abs=0.2)
    for hz in (100, 200, 250, 3450, 3600, 5000):
        assert level_db(telephone(tone(hz, level=0.3))) < level_db(tone(hz, level=0.3)) - 30
    for hz in (350, 1000, 3300):
        assert level_db(telephone(tone(hz, level=0.3))) == pytest.approx(
            level_db(tone(hz, level=0.3)), abs=0.2
        )
    for hz in (300, 3400):  # its ends: half the amplitude
        assert level_db(telephone(tone(hz, level=0.3))) == pytest.approx(
            level_db(tone(hz, level=0.3)) - 6.02, abs=0.2
        )


def test_a_telephone_has_eight_bits_of_mu_law():
    # whose rounding lies 38 dB below a loud tone
    x = telephone(tone(1013))[2000:-2000].astype(np.float64)
    angle = 2 * np.pi * 1013 * np.arange(len(x)) / RATE
    sines = np.stack([np.sin(angle), np.cos(angle)], axis=1)
    rest = x - sines @ np.linalg.lstsq(sines, x, rcond=None)[0]
    assert -42 < level_db(rest) - level_db(x) < -35
    # A-law has no code for silence
    assert not telephone(np.zeros(800)).any()


def test_a_telephone_has_no_delay():
    wave = np.convolve(noise_of(RATE), np.ones(4) / 4, "same").astype(np.float32)
    assert np.argmax(np.correlate(telephone(wave), wave[2000:-2000], "valid")) == 2000


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: codec(tone(100), "amr"), "no codec 'amr'"),
        (lambda: codec(tone(100), "gsm", 0.5), "one size"),
        (lambda: codec(tone(100), "a-law", 0.0), "one size"),
        (lambda: codec(tone(100), "opus", 1.01), "squeeze"),
        (lambda: codec(tone(100), "opus", -0.01), "squeeze"),
        (lambda: codec([], "opus"), "one row"),
    ],
)
def test_what_cannot_be_is_refused(call, words):
    with pytest.raises(EdgeSerError, match=words):
        call()


def test_a_libsndfile_without_the_codec_is_named(monkeypatch):
    monkeypatch.setattr(soundfile, "check_format", lambda *_: False)
    with pytest.raises(EdgeSerError, match="does not write mp3"):
        codec(tone(100), "mp3")
