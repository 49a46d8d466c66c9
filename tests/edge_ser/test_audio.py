"""Files of every kind become the same 16 kHz mono, in blocks or whole; what is no sound is one sentence."""

import os
import wave
from pathlib import Path

import numpy as np
import pytest
import soundfile
import soxr
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from edge_ser import audio
from edge_ser.audio import AudioBlocks, float_to_pcm16, load_audio, pcm16_to_float, write_wav
from edge_ser.errors import EdgeSerError, MissingExtraError


@pytest.fixture(scope="module")
def tone() -> np.ndarray:
    """1.03 s of two tones and a little noise at 16 kHz, below full scale."""
    t = np.arange(16480) / 16000
    noise = np.random.default_rng(1).standard_normal(len(t)) * 0.01
    return (0.4 * np.sin(2 * np.pi * 220 * t) + 0.2 * np.sin(2 * np.pi * 1330 * t) + noise).astype(np.float32)


@pytest.mark.parametrize(
    ("subtype", "step"),
    [("PCM_U8", 2.0**-7), ("PCM_16", 2.0**-15), ("PCM_24", 2.0**-23), ("PCM_32", 2.0**-23), ("FLOAT", 0.0)],
)
def test_every_width_of_wav_is_the_same_sound(
    tmp_path: Path, tone: np.ndarray, subtype: str, step: float
) -> None:
    path = tmp_path / "tone.wav"
    soundfile.write(path, tone, 16000, subtype=subtype)
    loaded = load_audio(path)
    assert loaded.dtype == np.float32
    assert loaded.shape == tone.shape
    np.testing.assert_allclose(loaded, tone, rtol=0, atol=step)
    # our reader of PCM and libsndfile's agree to the bit
    np.testing.assert_array_equal(loaded, soundfile.read(path, dtype="float32")[0])


@pytest.mark.parametrize("subtype", ["PCM_U8", "PCM_16", "PCM_24", "PCM_32"])
def test_pcm_wav_needs_no_optional_package(
    tmp_path: Path, tone: np.ndarray, subtype: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "tone.wav"
    soundfile.write(path, tone, 16000, subtype=subtype)
    expected = load_audio(path)
    monkeypatch.setattr(audio, "require", _nothing_installed)
    np.testing.assert_array_equal(load_audio(path), expected)


def _nothing_installed(module: str, *, extra: str, purpose: str) -> None:
    raise MissingExtraError(f"{module}: pip install 'edge-ser[{extra}]'")


@pytest.mark.parametrize(("suffix", "rate"), [("flac", 16000), ("wav", 48000)])
def test_what_needs_an_extra_names_it(
    tmp_path: Path, tone: np.ndarray, suffix: str, rate: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / f"tone.{suffix}"
    soundfile.write(path, tone, rate)
    monkeypatch.setattr(audio, "require", _nothing_installed)
    with pytest.raises(MissingExtraError, match=r"edge-ser\[audio\]"):
        load_audio(path)


def test_flac_is_lossless_and_ogg_is_near(tmp_path: Path, tone: np.ndarray) -> None:
    soundfile.write(tmp_path / "tone.flac", tone, 16000, subtype="PCM_16")
    np.testing.assert_allclose(load_audio(tmp_path / "tone.flac"), tone, rtol=0, atol=2.0**-15)
    soundfile.write(tmp_path / "tone.ogg", tone, 16000)
    vorbis = load_audio(tmp_path / "tone.ogg")
    assert vorbis.shape == tone.shape
    assert np.corrcoef(vorbis, tone)[0, 1] > 0.99


@pytest.mark.parametrize("channels", [2, 6])
def test_channels_are_averaged(tmp_path: Path, tone: np.ndarray, channels: int) -> None:
    path = tmp_path / "many.wav"
    frames = np.stack([tone * gain for gain in np.linspace(-0.3, 0.9, channels)], axis=1)
    soundfile.write(path, frames, 16000, subtype="FLOAT")
    np.testing.assert_allclose(load_audio(path), frames.mean(axis=1), rtol=0, atol=1e-7)


@pytest.mark.parametrize("rate", [8000, 44100, 48000])
@pytest.mark.parametrize("block", [333, 4000])
def test_streaming_resampling_is_offline_resampling(
    tmp_path: Path, tone: np.ndarray, rate: int, block: int
) -> None:
    path = tmp_path / "tone.wav"
    native = soxr.resample(tone, 16000, rate)
    soundfile.write(path, native, rate, subtype="FLOAT")
    with AudioBlocks(path, block) as blocks:
        assert blocks.native_rate == rate
        assert blocks.duration_s == pytest.approx(len(native) / rate)
        streamed = list(blocks)
    assert {len(part) for part in streamed[:-1]} <= {block}
    np.testing.assert_array_equal(np.concatenate(streamed), soxr.resample(native, rate, 16000, quality="HQ"))
    np.testing.assert_array_equal(np.concatenate(streamed), load_audio(path))


def test_a_tone_keeps_its_frequency_and_level_through_resampling(tmp_path: Path) -> None:
    path = tmp_path / "tone.wav"
    soundfile.write(path, 0.5 * np.sin(2 * np.pi * 1000 * np.arange(44100) / 44100), 44100)
    wave_16k = load_audio(path)
    assert len(wave_16k) == 16000
    spectrum = np.abs(np.fft.rfft(wave_16k)) / 8000
    assert int(spectrum.argmax()) == 1000
    assert spectrum[1000] == pytest.approx(0.5, abs=1e-3)


@pytest.mark.parametrize("block", [1, 7, 160, 4000, 20000])
@pytest.mark.parametrize("suffix", ["wav", "flac"])
def test_blocks_are_full_but_the_last_and_join_to_the_whole(
    tmp_path: Path, tone: np.ndarray, block: int, suffix: str
) -> None:
    path = tmp_path / f"tone.{suffix}"
    soundfile.write(path, tone[:8000], 16000)
    with AudioBlocks(path, block) as blocks:
        parts = list(blocks)
    assert all(len(part) == block for part in parts[:-1])
    assert 1 <= len(parts[-1]) <= block
    np.testing.assert_array_equal(np.concatenate(parts), load_audio(path))


def test_a_closed_reader_ends(tmp_path: Path, tone: np.ndarray) -> None:
    write_wav(tmp_path / "tone.wav", tone)
    with AudioBlocks(tmp_path / "tone.wav", 1000) as blocks:
        next(blocks)
    assert list(blocks) == []


@given(arrays(np.int16, st.integers(1, 300)))
def test_pcm16_survives_the_round_trip_exactly(samples: np.ndarray) -> None:
    data = samples.astype("<i2").tobytes()
    floats = pcm16_to_float(data)
    assert floats.dtype == np.float32
    assert np.abs(floats).max() <= 1.0
    assert float_to_pcm16(floats) == data


def test_write_wav_reads_back_and_clips(tmp_path: Path) -> None:
    path = tmp_path / "out.wav"
    write_wav(path, np.array([0.0, 0.5, -0.25, 2.0, -2.0], np.float32))
    np.testing.assert_array_equal(load_audio(path), np.float32([0, 0.5, -0.25, 32767 / 32768, -1]))
    with wave.open(str(path)) as file:
        assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (16000, 1, 2)
    write_wav(path, np.zeros(8, np.float32), 8000)
    with wave.open(str(path)) as file:
        assert (file.getframerate(), file.getnframes()) == (8000, 8)


def test_write_wav_leaves_the_old_file_when_it_fails(tmp_path: Path) -> None:
    path = tmp_path / "out.wav"
    path.write_bytes(b"old")
    with pytest.raises(EdgeSerError, match="not finite"):
        write_wav(path, [0.0, np.nan])
    assert path.read_bytes() == b"old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["out.wav"]


def test_a_header_without_a_true_length_is_read_to_the_end(tmp_path: Path, tone: np.ndarray) -> None:
    path = tmp_path / "piped.wav"
    write_wav(path, tone)
    data = bytearray(path.read_bytes())
    data[4:8] = data[40:44] = b"\xff\xff\xff\xff"  # what a writer into a pipe leaves
    path.write_bytes(data)
    loaded = load_audio(path)
    assert len(loaded) == len(tone)
    with AudioBlocks(path) as blocks:
        assert blocks.duration_s == pytest.approx(len(tone) / 16000, abs=0.01)


def test_a_wav_cut_inside_a_sample_gives_what_is_whole(tmp_path: Path, tone: np.ndarray) -> None:
    path = tmp_path / "cut.wav"
    write_wav(path, tone)
    expected = load_audio(path)
    path.write_bytes(path.read_bytes()[:-1001])
    np.testing.assert_array_equal(load_audio(path), expected[:-501])


def _missing(folder: Path) -> Path:
    return folder / "missing.wav"


def _folder(folder: Path) -> Path:
    return folder


def _no_bytes(folder: Path) -> Path:
    (folder / "zero.wav").touch()
    return folder / "zero.wav"


def _no_samples(folder: Path) -> Path:
    soundfile.write(folder / "none.wav", np.zeros(0), 16000)
    return folder / "none.wav"


def _no_samples_float(folder: Path) -> Path:
    soundfile.write(folder / "none.wav", np.zeros(0), 16000, subtype="FLOAT")
    return folder / "none.wav"


def _text(folder: Path) -> Path:
    (folder / "text.wav").write_text("this is not a sound\n" * 50)
    return folder / "text.wav"


def _truncated_header(folder: Path) -> Path:
    (folder / "head.wav").write_bytes(b"RIFF\x00\x00")
    return folder / "head.wav"


def _raw(folder: Path) -> Path:
    (folder / "sound.raw").write_bytes(bytes(1000))
    return folder / "sound.raw"


def _with(value: float, at: int, rate: int = 16000) -> Path:
    def make(folder: Path) -> Path:
        samples = np.zeros(rate, np.float32)
        samples[at] = value
        soundfile.write(folder / "bad.wav", samples, rate, subtype="FLOAT")
        return folder / "bad.wav"

    return make  # type: ignore[return-value]


def _odd_rate(folder: Path) -> Path:
    soundfile.write(folder / "slow.wav", np.zeros(100), 10)
    return folder / "slow.wav"


def _one_sample(folder: Path) -> Path:
    soundfile.write(folder / "one.wav", np.zeros(1), 192000)
    return folder / "one.wav"


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (_missing, "there is no file"),
        (_folder, "is a folder"),
        (_no_bytes, r"is empty \(0 bytes\)"),
        (_no_samples, "holds no samples"),
        (_no_samples_float, "holds no samples"),
        (_text, "is not a sound file"),
        (_truncated_header, "is not a sound file"),
        (_raw, "does not say its own format"),
        (_with(np.nan, 12000), "sample at 0.750 s"),
        (_with(np.inf, 0), "sample at 0.000 s"),
        (_with(-np.inf, 15999), "sample at 1.000 s"),
        (_with(1e30, 8000), "sample at 0.500 s"),
        (_with(np.nan, 24000, 48000), "sample at 0.500 s"),
        (_odd_rate, "10 samples a second"),
        (_one_sample, "less than one sample"),
    ],
)
def test_what_is_no_recording_is_one_sentence(tmp_path: Path, make: object, says: str) -> None:
    path = make(tmp_path)  # type: ignore[operator]
    with pytest.raises(EdgeSerError, match=says) as caught:
        load_audio(path)
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)


def test_a_damaged_flac_says_where(tmp_path: Path, tone: np.ndarray) -> None:
    path = tmp_path / "tone.flac"
    soundfile.write(path, np.tile(tone, 10), 16000)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    with pytest.raises(EdgeSerError, match=r"damaged|ends at") as caught:
        load_audio(path)
    assert str(path) in str(caught.value)


def test_odd_bytes_are_no_pcm() -> None:
    with pytest.raises(EdgeSerError, match="3 bytes"):
        pcm16_to_float(b"abc")


def test_a_block_has_at_least_one_sample(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="block_samples"):
        AudioBlocks(tmp_path / "x.wav", 0)


@pytest.mark.parametrize("name", ["-", "pipe", "a.raw"])
def test_what_only_listen_hears_is_sent_there(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    os.mkfifo("pipe")
    (tmp_path / "a.raw").write_bytes(bytes(100))
    with pytest.raises(EdgeSerError, match="edge-ser listen -"):
        load_audio(name)
