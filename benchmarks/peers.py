"""Log-mel in ours and in other libraries, under one signature, with one spec as far as each allows.

`BATCH` holds makers of a function of a whole recording, `HOP` makers of a function of one new hop; both return
frames in decibels or another logarithm. A maker raises ImportError where its library is not installed. `ALONE`
holds the code of a process that does hops in that way and nothing else.
"""

import os
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from edge_ser.dsp import LogMelStream, MelSpec, log_mel
from edge_ser.dsp.backends import VARIABLE
from edge_ser.dsp.filters import mel_filters, window

Wave = npt.NDArray[np.float32]
Run = Callable[[Wave], Any]
Maker = Callable[[MelSpec], Run]
T = TypeVar("T")

FLOOR = np.float32(1e-10)


def _forced(backend: str, make: Callable[[], T]) -> T:
    """Ours on a backend: what is made keeps it."""
    before = os.environ.get(VARIABLE)
    os.environ[VARIABLE] = backend
    try:
        return make()
    finally:
        os.environ.pop(VARIABLE)
        if before is not None:
            os.environ[VARIABLE] = before


def _ours_batch(backend: str) -> Maker:
    return lambda spec: lambda x: _forced(backend, lambda: log_mel(x, spec))


def _ours_hop(backend: str) -> Maker:
    return lambda spec: _forced(backend, lambda: LogMelStream(spec).push)


def _numba_kernel(spec: MelSpec) -> Run:
    import numba  # noqa: F401

    from edge_ser.dsp.kernels.mel import log_mel_frames

    return lambda x: log_mel_frames(x, spec)


def _librosa(spec: MelSpec) -> Run:
    import librosa

    settings = {"n_fft": spec.n_fft, "win_length": spec.win_length, "hop_length": spec.hop_length}
    bands = {"n_mels": spec.n_mels, "fmin": spec.fmin, "fmax": spec.fmax}
    return lambda x: np.log10(
        np.maximum(
            librosa.feature.melspectrogram(y=x, sr=spec.sample_rate, center=False, **settings, **bands), FLOOR
        )
    )


def _torch(spec: MelSpec) -> Run:
    import torch

    torch.set_num_threads(1)
    mel = torch.from_numpy(mel_filters(spec).astype(np.float32))
    shape = torch.from_numpy(window(spec.window, spec.win_length).astype(np.float32))

    @torch.inference_mode()
    def run(x: Wave) -> Any:
        spectrum = torch.stft(
            torch.from_numpy(x),
            spec.n_fft,
            spec.hop_length,
            spec.win_length,
            shape,
            center=False,
            return_complex=True,
        )
        return torch.log10(torch.clamp(mel @ (spectrum.real**2 + spectrum.imag**2), min=1e-10))

    return run


def _scipy(spec: MelSpec) -> Run:
    from scipy.fft import rfft

    mel = mel_filters(spec).astype(np.float32).T.copy()
    shape = np.zeros(spec.n_fft, np.float32)
    left = (spec.n_fft - spec.win_length) // 2
    shape[left : left + spec.win_length] = window(spec.window, spec.win_length)

    def run(x: Wave) -> Any:
        frames = np.lib.stride_tricks.sliding_window_view(x, spec.n_fft)[:: spec.hop_length]
        spectrum = rfft(frames * shape)
        return np.log10(np.maximum((spectrum.real**2 + spectrum.imag**2) @ mel, FLOOR))

    return run


def _kaldi_options(spec: MelSpec) -> Any:
    import kaldi_native_fbank

    options = kaldi_native_fbank.FbankOptions()
    options.frame_opts.dither = 0.0
    options.frame_opts.window_type = "hanning"
    options.frame_opts.frame_shift_ms = 1000 * spec.hop_length / spec.sample_rate
    options.frame_opts.frame_length_ms = 1000 * spec.win_length / spec.sample_rate
    options.mel_opts.num_bins = spec.n_mels
    return options


def _kaldi_batch(spec: MelSpec) -> Run:
    import kaldi_native_fbank

    options = _kaldi_options(spec)

    def run(x: Wave) -> Any:
        fbank = kaldi_native_fbank.OnlineFbank(options)
        fbank.accept_waveform(spec.sample_rate, x)
        return np.array([fbank.get_frame(i) for i in range(fbank.num_frames_ready)])

    return run


def _kaldi_hop(spec: MelSpec) -> Run:
    import kaldi_native_fbank

    fbank = kaldi_native_fbank.OnlineFbank(_kaldi_options(spec))

    def run(x: Wave) -> Any:
        fbank.accept_waveform(spec.sample_rate, x)
        ready = fbank.num_frames_ready
        if not ready:
            return None
        frame = fbank.get_frame(ready - 1)
        fbank.pop(ready)
        return frame

    return run


def _micro_batch(spec: MelSpec) -> Run:
    from pymicro_features import MicroFrontend

    def run(x: Wave) -> Any:
        front_end, pcm = MicroFrontend(), (x * 32767).astype(np.int16).tobytes()
        hop = 2 * spec.hop_length
        return [
            front_end.process_samples(pcm[i : i + hop]).features for i in range(0, len(pcm) - hop + 1, hop)
        ]

    return run


def _micro_hop(spec: MelSpec) -> Run:
    from pymicro_features import MicroFrontend

    front_end = MicroFrontend()
    pcm = np.random.default_rng(0).integers(-3000, 3000, spec.hop_length, np.int16).tobytes()
    return lambda x: front_end.process_samples(pcm)  # its own form of samples, made outside the timing


def _python_speech_features(spec: MelSpec) -> Run:
    from python_speech_features import logfbank

    times = {"winlen": spec.win_length / spec.sample_rate, "winstep": spec.hop_length / spec.sample_rate}
    return lambda x: logfbank(
        x, spec.sample_rate, **times, nfilt=spec.n_mels, nfft=spec.n_fft, lowfreq=spec.fmin
    )


_SMILE = r"""
[componentInstances:cComponentManager]
instance[dataMemory].type=cDataMemory
\{{\cm[source{{?}}:include external source]}}
[componentInstances:cComponentManager]
instance[frames].type=cFramer
instance[windowed].type=cWindower
instance[spectrum].type=cTransformFFT
instance[magnitude].type=cFFTmagphase
instance[mel].type=cMelspec
instance[log].type=cVectorOperation
[frames:cFramer]
reader.dmLevel=wave
writer.dmLevel=frames
frameSize={window}
frameStep={step}
frameCenterSpecial=left
[windowed:cWindower]
reader.dmLevel=frames
writer.dmLevel=windowed
winFunc=han
[spectrum:cTransformFFT]
reader.dmLevel=windowed
writer.dmLevel=spectrum
[magnitude:cFFTmagphase]
reader.dmLevel=spectrum
writer.dmLevel=magnitude
[mel:cMelspec]
reader.dmLevel=magnitude
writer.dmLevel=mel
nBands={bands}
lofreq={low}
hifreq={high}
usePower=1
[log:cVectorOperation]
reader.dmLevel=mel
writer.dmLevel=func
operation=log
\{{\cm[sink{{?}}:include external sink]}}
"""


def _opensmile(spec: MelSpec) -> Run:
    import opensmile

    folder = TemporaryDirectory()
    config = Path(folder.name, "mel.conf")
    config.write_text(
        _SMILE.format(
            window=spec.win_length / spec.sample_rate,
            step=spec.hop_length / spec.sample_rate,
            bands=spec.n_mels,
            low=spec.fmin,
            high=spec.fmax,
        )
    )
    smile = opensmile.Smile(feature_set=str(config), feature_level="func")

    def run(x: Wave) -> Any:
        assert folder.name  # the configuration is read at every call
        return smile.process_signal(x, spec.sample_rate)

    return run


def _buffered(make: Maker) -> Maker:
    """A hop for a library that only takes whole recordings: its function of the last ``n_fft`` samples."""

    def maker(spec: MelSpec) -> Run:
        run, buffer = make(spec), np.zeros(spec.n_fft, np.float32)

        def hop(x: Wave) -> Any:
            buffer[: -len(x)] = buffer[len(x) :]
            buffer[-len(x) :] = x
            return run(buffer)

        return hop

    return maker


OURS = "edge-ser, C"
BATCH: dict[str, Maker] = {
    OURS: _ours_batch("c"),
    "edge-ser, NumPy": _ours_batch("numpy"),
    "edge-ser, Numba kernel in float32": _numba_kernel,
    "torch, stft and matrix product": _torch,
    "librosa": _librosa,
    "scipy, rfft in float32 and matrix product": _scipy,
    "pymicro-features": _micro_batch,
    "kaldi-native-fbank": _kaldi_batch,
    "python_speech_features": _python_speech_features,
    "openSMILE": _opensmile,
}
HOP: dict[str, Maker] = {
    OURS: _ours_hop("c"),
    "edge-ser, NumPy": _ours_hop("numpy"),
    "edge-ser, Numba kernel in float32": _buffered(_numba_kernel),
    "torch, stft and matrix product": _buffered(_torch),
    "librosa": _buffered(_librosa),
    "scipy, rfft in float32 and matrix product": _buffered(_scipy),
    "pymicro-features": _micro_hop,
    "kaldi-native-fbank": _kaldi_hop,
}
# Any n_fft: these take it as it is.
FREE = [
    OURS,
    "edge-ser, Numba kernel in float32",
    "torch, stft and matrix product",
    "librosa",
    "scipy, rfft in float32 and matrix product",
]

_OURS_ALONE = """
import os; os.environ["EDGE_SER_DSP"] = {backend!r}
import numpy as np
from edge_ser.dsp import LogMelStream, MelSpec
stream, x = LogMelStream(MelSpec(win_length=400, hop_length=160)), np.zeros(160, np.float32)
for _ in range(1000): stream.push(x)
"""
_PEER_ALONE = """
import numpy as np
import benchmarks.peers as peers
from edge_ser.dsp import MelSpec
run, x = peers.HOP[{name!r}](MelSpec(win_length=400, hop_length=160)), np.zeros(160, np.float32)
for _ in range(100): run(x)
"""
ALONE: dict[str, str] = {name: _PEER_ALONE.format(name=name) for name in HOP} | {
    "bare Python": "",
    "Python and NumPy": "import numpy",
    OURS: _OURS_ALONE.format(backend="c"),
    "edge-ser, NumPy": _OURS_ALONE.format(backend="numpy"),
    "pymicro-features": """
from pymicro_features import MicroFrontend
front_end, x = MicroFrontend(), bytes(320)
for _ in range(1000): front_end.process_samples(x)
""",
    "kaldi-native-fbank": """
import kaldi_native_fbank
options = kaldi_native_fbank.FbankOptions()
options.mel_opts.num_bins = 64
fbank, x = kaldi_native_fbank.OnlineFbank(options), [0.0] * 160
for _ in range(1000):
    fbank.accept_waveform(16000, x)
    if fbank.num_frames_ready:
        fbank.get_frame(fbank.num_frames_ready - 1)
""",
}
