"""Windows and mel filters against librosa."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_ser.dsp import MelSpec
from edge_ser.dsp.filters import hz_to_mel, mel_filters, mel_frequencies, mel_to_hz, window
from edge_ser.errors import EdgeSerError

librosa = pytest.importorskip("librosa")


@pytest.mark.parametrize(("ours", "theirs"), [("hann", "hann"), ("hamming", "hamming"), ("blackman", "blackman"),
                                              ("rectangular", "boxcar")])  # fmt: skip
@pytest.mark.parametrize("length", [1, 2, 63, 400, 512])
def test_windows(ours: str, theirs: str, length: int) -> None:
    expected = librosa.filters.get_window(theirs, length, fftbins=True)
    np.testing.assert_allclose(window(ours, length), expected, atol=1e-14)


@pytest.mark.parametrize("scale", ["slaney", "htk"])
@pytest.mark.parametrize("norm", ["slaney", "none"])
@pytest.mark.parametrize(("rate", "n_fft", "n_mels", "fmin", "fmax"), [
    (16000, 512, 64, 20.0, 8000.0), (16000, 64, 26, 0.0, 8000.0), (16000, 400, 80, 0.0, 8000.0),
    (48000, 2048, 128, 300.0, 20000.0), (22050, 16384, 3401, 0.0, 11025.0)])  # fmt: skip
@pytest.mark.filterwarnings("ignore:Empty filters")
def test_mel_filters(
    scale: str, norm: str, rate: int, n_fft: int, n_mels: int, fmin: float, fmax: float
) -> None:
    spec = MelSpec(sample_rate=rate, n_fft=n_fft, win_length=n_fft, hop_length=n_fft // 2, n_mels=n_mels, fmin=fmin,
                   fmax=fmax, mel_scale=scale, mel_norm=norm)  # fmt: skip
    expected = librosa.filters.mel(
        sr=rate, n_fft=n_fft, n_mels=n_mels, fmin=fmin, fmax=fmax, htk=scale == "htk",
        norm="slaney" if norm == "slaney" else None, dtype=np.float64)  # fmt: skip
    np.testing.assert_allclose(mel_filters(spec), expected, rtol=1e-9, atol=1e-12)


@given(st.floats(0, 24000), st.sampled_from(["slaney", "htk"]))
def test_mel_and_back(hz: float, scale: str) -> None:
    assert float(mel_to_hz(hz_to_mel(hz, scale), scale)) == pytest.approx(hz, rel=1e-9, abs=1e-9)


def test_bands_cover_the_range_in_order() -> None:
    edges = mel_frequencies(dataclasses.replace(MelSpec(), fmin=100.0, fmax=4000.0))
    assert edges[0] == pytest.approx(100) and edges[-1] == pytest.approx(4000) and (np.diff(edges) > 0).all()


@pytest.mark.parametrize("convert", [hz_to_mel, mel_to_hz])
def test_a_scale_of_no_name_is_not_taken_for_slaneys(convert) -> None:
    with pytest.raises(EdgeSerError, match="no mel scale 'HTK'; there are slaney and htk"):
        convert(100.0, "HTK")
