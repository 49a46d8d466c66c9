"""A recording's picture: what is in it lies where seconds and Hz say."""

from __future__ import annotations

import io

import numpy as np
import pytest

from edge_ser.errors import EdgeSerError
from edge_ser.evaluation.portrait import PANELS, _Sound, plot_recording

pytest.importorskip("matplotlib", reason="matplotlib is not installed (extra 'plot')")

T = np.arange(16000) / 16000


@pytest.fixture(autouse=True)
def numpy_backend(monkeypatch):
    monkeypatch.setenv("EDGE_SER_FEATURES", "numpy")


@pytest.mark.parametrize("window", ["hann", "hamming", "blackman", "rectangular"])
def test_levels_are_those_of_a_full_scale_sine_under_any_window(window):
    levels = _Sound(np.sin(2 * np.pi * 2000 * T), 512, 64, window).levels(window)
    inner = levels[20:-20]
    assert inner.max(axis=1) == pytest.approx(0.0, abs=0.05)
    assert (inner.argmax(axis=1) == 2000 * 512 // 16000).all()


def test_a_rectangular_window_leaks():
    sound = _Sound(np.sin(2 * np.pi * 2015 * T), 512, 64, "hann")
    far = slice(150, None)
    hann, hamming, rectangular = (
        sound.levels(w)[20:-20, far].mean() for w in ("hann", "hamming", "rectangular")
    )
    assert hann < hamming - 10 < rectangular - 20


def test_quiet_frames_are_known():
    wave = np.where(T < 0.5, 0.3 * np.sin(2 * np.pi * 440 * T), 1e-5)
    quiet = _Sound(wave, 512, 160, "hann").quiet
    assert not quiet[5:45].any() and quiet[55:].all()


@pytest.mark.parametrize("name", PANELS)
@pytest.mark.parametrize("wave", [0.3 * np.sin(2 * np.pi * 440 * T), np.zeros(512), np.ones(513)],
                         ids=["tone", "silence of one frame", "direct current"])  # fmt: skip
def test_every_panel_is_drawn(tmp_path, name, wave):
    plot_recording(tmp_path / "a.png", wave, what=[name], title="a tone")
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")
    assert [p.name for p in tmp_path.iterdir()] == ["a.png"]


def test_a_tone_lies_at_its_hz_and_seconds(tmp_path):
    """The brightest dots of the spectrogram: a tone of 4 kHz in the second half lies at half height, to the right."""
    from matplotlib.image import imread

    wave = np.where(T >= 0.5, np.sin(2 * np.pi * 4000 * T), 0.0)
    plot_recording(tmp_path / "a.png", wave, what=["spectrogram"])
    image = imread(io.BytesIO((tmp_path / "a.png").read_bytes()), format="png")[..., :3]
    dark = image.sum(axis=2) < 0.2  # the image's own ground
    rows, columns = np.flatnonzero(dark.mean(axis=1) > 0.3), np.flatnonzero(dark.mean(axis=0) > 0.5)
    bright = np.argwhere((image[..., 0] > 0.95) & (image[..., 2] < 0.8) & (image[..., 1] > 0.8))
    bright = bright[
        (bright[:, 1] < image.shape[1] * 0.85) & (bright[:, 0] > rows[0]) & (bright[:, 0] < rows[-1])
    ]
    height = (rows[-1] - np.median(bright[:, 0])) / (rows[-1] - rows[0])
    assert height == pytest.approx(0.5, abs=0.03)
    assert bright[:, 1].min() > columns[0] + 0.4 * (columns[-1] - columns[0])


def test_the_same_twice(tmp_path):
    for name in ("a.svg", "b.svg"):
        plot_recording(tmp_path / name, 0.3 * np.sin(2 * np.pi * 440 * T), what=["mfcc", "windows"])
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()


def test_an_hour_is_drawn(tmp_path):
    wave = np.tile(
        0.3 * np.sin(2 * np.pi * 440 * T), 120
    )  # two minutes stand for it: 15 000 frames, 1.9 M samples
    plot_recording(tmp_path / "a.png", wave, what=["waveform", "spectrogram"], hop_length=128)
    assert (tmp_path / "a.png").stat().st_size > 5000


def test_what_cannot_be_drawn_is_a_sentence(tmp_path):
    with pytest.raises(EdgeSerError, match="NaN or infinite"):
        plot_recording(tmp_path / "a.png", np.full(1000, np.nan), what=["mel"])
    with pytest.raises(EdgeSerError, match="there is nothing to draw"):
        plot_recording(tmp_path / "a.png", np.zeros(100), what=["mel"])
    assert list(tmp_path.iterdir()) == []
