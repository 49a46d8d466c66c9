"""Which backend is used, how it is forced, and that the two agree."""

from __future__ import annotations

import dataclasses
import math
import os
import subprocess
import sys
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

import edge_ser.dsp
from edge_ser.audio import load_audio
from edge_ser.dsp import LogMelStream, MelSpec, _compiled, backend, log_mel
from edge_ser.dsp.backends import VARIABLE
from edge_ser.dsp.spec import LOGS, PADDINGS, WINDOWS
from edge_ser.errors import EdgeSerError
from tests.support import need_corpus

ODD = MelSpec(n_fft=441, win_length=441)
built = pytest.mark.skipif(not _compiled.LIBRARY.exists(), reason="the compiled front end is not built here")


@pytest.fixture(autouse=True)
def fresh_library(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.delenv(VARIABLE, raising=False)
    _compiled.library.cache_clear()
    yield
    _compiled.library.cache_clear()


def without_library(monkeypatch: pytest.MonkeyPatch, path: Path) -> None:
    monkeypatch.setattr(_compiled, "LIBRARY", path)
    _compiled.library.cache_clear()


def test_without_the_library_it_is_numpy(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    without_library(monkeypatch, tmp_path / "absent.so")
    assert backend() == "numpy"
    assert LogMelStream(MelSpec()).backend == "numpy"
    monkeypatch.setenv(VARIABLE, "c")
    with pytest.raises(EdgeSerError, match="was not built: install edge-ser again with a C compiler"):
        backend()
    with pytest.raises(EdgeSerError, match="was not built"):
        LogMelStream(MelSpec())


def test_a_library_of_another_machine_is_named_not_passed_over(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    foreign = tmp_path / "foreign.so"
    foreign.write_bytes(b"\x7fELF of another machine")
    without_library(monkeypatch, foreign)
    with pytest.raises(EdgeSerError, match="built for another machine .* set EDGE_SER_DSP=numpy"):
        backend()
    monkeypatch.setenv(VARIABLE, "numpy")
    assert backend() == "numpy"


@built
def test_with_the_library_it_is_c(monkeypatch: pytest.MonkeyPatch) -> None:
    assert edge_ser.dsp.backend() == "c"
    assert LogMelStream(MelSpec()).backend == "c"
    monkeypatch.setenv(VARIABLE, "numpy")
    assert LogMelStream(MelSpec()).backend == "numpy"
    monkeypatch.setenv(VARIABLE, "c")
    assert LogMelStream(MelSpec()).backend == "c"


@built
def test_a_spec_that_c_does_not_take(monkeypatch: pytest.MonkeyPatch) -> None:
    assert backend(ODD) == LogMelStream(ODD).backend == "numpy"
    assert backend(MelSpec(floor=1e-310)) == "numpy"
    even = MelSpec(n_fft=500, win_length=500, n_mels=40)
    assert backend(even) == "numpy"
    monkeypatch.setenv(VARIABLE, "c")
    with pytest.raises(EdgeSerError, match="does not take n_fft 441"):
        log_mel(np.zeros(1000), ODD)
    with pytest.raises(
        EdgeSerError, match="does not take n_fft 500 .* a multiple of 8 without prime factors"
    ):
        backend(even)


def test_an_unknown_backend_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "cuda")
    with pytest.raises(EdgeSerError, match="is 'cuda'; it may be 'c' or 'numpy'"):
        backend()


@built
def test_the_library_is_of_this_source() -> None:
    library = _compiled.library()
    assert library is not None
    source = _compiled.LIBRARY.with_name("front_end.c").read_bytes()
    assert library.edge_ser_source_crc() == zlib.crc32(source), (
        "front_end.c has changed: pip install -e . again"
    )


def both(x: np.ndarray, spec: MelSpec, monkeypatch: pytest.MonkeyPatch) -> tuple[np.ndarray, np.ndarray]:
    monkeypatch.setenv(VARIABLE, "c")
    c = log_mel(x, spec)
    monkeypatch.setenv(VARIABLE, "numpy")
    return c, log_mel(x, spec)


@built
@pytest.mark.parametrize(
    "n_fft",
    [
        8,
        16,
        24,
        40,
        64,
        72,
        128,
        200,
        240,
        256,
        400,
        480,
        496,
        512,
        600,
        640,
        1000,
        1024,
        1200,
        2048,
        4096,
        8192,
        9000,
        16384,
    ],
)
def test_every_length_of_transform(n_fft: int, monkeypatch: pytest.MonkeyPatch) -> None:
    assert math.prod(_compiled.radices(n_fft) or ()) == n_fft // 2
    x = 0.1 * np.random.default_rng(n_fft).standard_normal(3 * n_fft + 500)
    for n_mels in (1, 13, 64):
        spec = MelSpec(
            win_length=n_fft,
            n_fft=n_fft,
            hop_length=max(1, n_fft // 3),
            n_mels=n_mels,
            fmin=0.0,
            padding="none",
        )
        c, numpy = both(x, spec, monkeypatch)
        np.testing.assert_allclose(c, numpy, rtol=0, atol=1e-5)


@built
@pytest.mark.parametrize("log", LOGS)
@pytest.mark.parametrize("padding", PADDINGS)
@pytest.mark.parametrize("window", WINDOWS)
def test_every_kind_of_spec(window: str, padding: str, log: str, monkeypatch: pytest.MonkeyPatch) -> None:
    x = 0.1 * np.random.default_rng(5).standard_normal(9000)
    for change in (
        {},
        {"power": 1.0},
        {"mel_norm": "none", "mel_scale": "htk"},
        {"mean": -30.0, "scale": 12.0},
    ):
        spec = dataclasses.replace(
            MelSpec(win_length=400, hop_length=160), window=window, padding=padding, log=log, **change
        )
        c, numpy = both(x, spec, monkeypatch)
        np.testing.assert_allclose(c, numpy, rtol=1e-6, atol=0 if log == "none" else 1e-5)


@built
def test_the_least_floor_that_c_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Silence is at the floor itself: 3076.53 dB below 1, the least that a double holds with all its digits."""
    spec = MelSpec(floor=_compiled.SMALLEST_FLOOR)
    assert backend(spec) == "c"
    for found in both(np.zeros(1000), spec, monkeypatch):
        np.testing.assert_allclose(found, -3076.5265, rtol=0, atol=1e-3)


@built
def test_bands_beyond_the_bins_are_at_the_floor(monkeypatch: pytest.MonkeyPatch) -> None:
    spec = MelSpec(n_fft=64, win_length=64, hop_length=32, n_mels=64)  # most bands hold no bin
    c, numpy = both(np.random.default_rng(0).standard_normal(2000), spec, monkeypatch)
    assert (c == numpy).mean() > 0.99 and (numpy[5:] == -100).any()
    np.testing.assert_allclose(c, numpy, rtol=0, atol=1e-5)


@built
@pytest.mark.parametrize("corpus", ["ravdess", "emodb", "emotale", "nemo", "aesdd"])
def test_real_speech(corpus: str, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("soundfile", reason="soundfile is not installed (extra 'audio')")
    folder = need_corpus(corpus)
    sounds = sorted(path for path in folder.rglob("*") if path.suffix in (".wav", ".flac", ".ogg", ".opus"))
    for path in sounds[:: max(1, len(sounds) // 6)][:6]:
        c, numpy = both(load_audio(path), MelSpec(), monkeypatch)
        np.testing.assert_allclose(c, numpy, rtol=0, atol=1e-5)


@built
def test_the_logarithm_over_all_exponents() -> None:
    library = _compiled.library()
    assert library is not None
    rng = np.random.default_rng(0)
    mantissas = np.concatenate(
        [[1.0, np.nextafter(2, 1), np.sqrt(2), np.nextafter(np.sqrt(2), 2)], rng.uniform(1, 2, 12)]
    )
    near_one = 1.0 + np.concatenate([rng.uniform(-1, 1, 200) * 10.0 ** -rng.integers(0, 16, 200), [0.0]]) / 2
    for x in np.concatenate([np.ldexp(mantissas, e) for e in range(-1022, 1024)] + [near_one]):
        exact = math.log(x)
        assert abs(library.edge_ser_ln(x) - exact) <= 4.5e-16 * max(1.0, abs(exact)), x


@built
def test_two_streams_in_two_threads_do_not_meet() -> None:
    clips = [0.1 * np.random.default_rng(i).standard_normal(100_000) for i in range(4)]
    expected = [log_mel(x, MelSpec()) for x in clips]
    with ThreadPoolExecutor(4) as pool:
        for _ in range(5):
            for got, want in zip(pool.map(lambda x: log_mel(x, MelSpec()), clips), expected, strict=True):
                assert got.tobytes() == want.tobytes()


def test_the_front_end_imports_numpy_alone() -> None:
    code = (
        "import sys; import edge_ser.dsp; edge_ser.dsp.log_mel([0.0] * 1000, edge_ser.dsp.MelSpec()); "
        "print([m for m in ('numba', 'scipy', 'torch', 'librosa', 'cffi') if m in sys.modules])"
    )
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=os.environ
    )
    assert run.stdout.strip() == "[]"
