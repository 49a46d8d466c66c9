"""Spectrograms as pictures."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("PIL")

from edge_ser.errors import EdgeSerError
from edge_ser.features.pictures import (
    mel_picture,
    read_pictures,
    scaled_to,
    window_picture,
    write_pictures,
)

T = np.arange(16000) / 16000
LOW, HIGH = (np.sin(2 * np.pi * hz * T).astype(np.float32) for hz in (300, 6000))


def test_low_sounds_are_at_the_bottom_and_all_greys_are_used() -> None:
    low, high = mel_picture(LOW), mel_picture(HIGH)
    assert low.shape == (128, 67)
    assert low.dtype == np.uint8
    assert (low.min(), low.max()) == (0, 255)
    assert low[:, 30].argmax() > 100
    assert high[:, 30].argmax() < 28
    np.testing.assert_array_equal(
        mel_picture(LOW, frames=20), mel_picture(LOW[: 20 * 240 + 16000], frames=20)
    )
    assert mel_picture(np.concatenate([LOW, HIGH]), frames=40)[:, 30].argmax() > 100  # the first so many
    assert mel_picture(LOW, frames=200).shape == (128, 200)
    assert not mel_picture(LOW, frames=200)[:, 80:].any()
    assert not mel_picture(np.zeros(16000, np.float32)).any()


def test_a_picture_is_the_formula() -> None:
    from edge_ser.dsp.spectrum import melspectrogram

    logs = np.log(melspectrogram(LOW, n_fft=1024, hop_length=240, n_mels=128, power=1.0).astype(float) + 1e-9)
    grey = 255 * (logs - logs.min()) / (logs.max() - logs.min())
    np.testing.assert_allclose(mel_picture(LOW), grey.T[::-1], atol=0.51)


def test_windows_give_normalised_squares_that_differ() -> None:
    pictures = {name: window_picture(HIGH, name, side=48) for name in ("hann", "hamming", "rectangular")}
    for picture in pictures.values():
        assert picture.shape == (48, 48)
        assert picture.mean() == pytest.approx(0, abs=1e-4)
        assert picture.std() == pytest.approx(1, abs=1e-3)
        assert picture[:, 24].argmax() == pytest.approx(47 - 6000 / 8000 * 48, abs=1)
    # a tone stands alone under Hann's window and leaks under the rectangular one
    far = [float(pictures[name][40, 24]) for name in ("hann", "rectangular")]
    assert far[0] < far[1]
    usual = window_picture(HIGH)
    assert usual.shape == (224, 224)
    np.testing.assert_array_equal(usual, window_picture(HIGH, "hann", side=224, n_fft=1024, hop_length=256))
    np.testing.assert_allclose(window_picture(1e-6 * HIGH), usual, atol=1e-2)  # loudness is not told
    assert not window_picture(np.zeros(16000, np.float32)).any()


def test_a_square_is_the_formula() -> None:
    from edge_ser.dsp.spectrum import spectrogram

    # as many frames as frequencies, so that nothing is resized; half of them 70 dB softer, between tones 80 dB
    wave = (HIGH + LOW)[:8192] * np.repeat([1, 10**-3.5], 4096).astype(np.float32)
    power = spectrogram(wave, n_fft=64, hop_length=256, window="hann", power=2.0).astype(float)
    assert power.shape == (33, 33)
    levels = np.maximum(10 * np.log10(power / power.max() + 1e-30), -80).T[::-1]
    wanted = (levels - levels.mean()) / levels.std()
    np.testing.assert_allclose(window_picture(wave, side=33, n_fft=64), wanted, atol=1e-3)


def test_written_and_read_again(tmp_path) -> None:
    grey = [mel_picture(LOW), mel_picture(HIGH), mel_picture(LOW + HIGH)]
    folder = write_pictures(tmp_path / "p", grey, ["sad", "angry", "angry"], ["a", "b", "c"])
    pictures, truth, labels, paths = read_pictures(folder, 128, 67)
    assert labels == ("angry", "sad")
    assert [path.name for path in paths] == ["b.png", "c.png", "a.png"]
    assert truth.tolist() == [0, 0, 1]
    assert pictures.shape == (3, 1, 128, 67)
    np.testing.assert_allclose(pictures[2, 0], (grey[0] / 255 - 0.5) / 0.5, atol=1e-6)
    (folder / "notes").mkdir()
    (folder / "notes" / "read.me").write_text("no picture, no class")
    assert read_pictures(folder)[2] == labels
    small = read_pictures(folder)[0]
    assert small.shape == (3, 1, 50, 150)
    assert -1 <= small.min() < small.max() <= 1


def test_colours_are_read_as_their_greys(tmp_path) -> None:
    from PIL import Image

    for label, colour in (("blue", (0, 0, 255)), ("red", (255, 0, 0))):
        (tmp_path / label).mkdir()
        Image.new("RGB", (6, 4), colour).save(tmp_path / label / "a.png")
    pictures = read_pictures(tmp_path, 4, 6)[0]
    for picture, luma in zip(pictures[:, 0], (0.114, 0.299), strict=True):  # ITU-R BT.601
        np.testing.assert_allclose(picture, 2 * luma - 1, atol=0.005)


def test_what_is_no_picture_is_refused(tmp_path) -> None:
    with pytest.raises(EdgeSerError, match="two classes"):
        read_pictures(tmp_path / "gone")
    write_pictures(tmp_path, [mel_picture(LOW)], ["sad"], ["a"])
    with pytest.raises(EdgeSerError, match="two classes"):
        read_pictures(tmp_path)
    (tmp_path / "angry").mkdir()
    (tmp_path / "angry" / "x.png").write_bytes(b"no picture")
    with pytest.raises(EdgeSerError, match="x.png is no picture"):
        read_pictures(tmp_path)
    write_pictures(tmp_path, [mel_picture(LOW)], ["angry"], ["x"])
    data = bytearray((tmp_path / "angry" / "x.png").read_bytes())
    data[36] ^= 0xFF  # the length of a chunk
    (tmp_path / "angry" / "x.png").write_bytes(bytes(data))
    with pytest.raises(EdgeSerError, match="x.png is no picture"):
        read_pictures(tmp_path)
    with pytest.raises(EdgeSerError, match="one name"):
        write_pictures(tmp_path, [mel_picture(LOW)] * 2, ["sad", "sad"], ["a", "a"])
    with pytest.raises(EdgeSerError, match="side"):
        window_picture(LOW, side=0)
    for frames in (0, -1):
        with pytest.raises(EdgeSerError, match="no frame to draw"):
            mel_picture(LOW, frames=frames)
    for nothing in (mel_picture, window_picture):
        with pytest.raises(EdgeSerError, match="frame"):
            nothing(LOW[:0])
    for size in ((0, 4), (4, 0)):
        with pytest.raises(EdgeSerError, match="cannot be made one of"):
            scaled_to(mel_picture(LOW), *size)
