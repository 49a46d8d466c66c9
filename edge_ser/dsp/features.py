"""The features of a recording, under the names that librosa's users know.

>>> from edge_ser.dsp import features
>>> import numpy as np
>>> features.spectral_centroid(np.zeros(16000, np.float32)).shape
(32,)

Arrays are time-major, ``(frames, ...)``, audio is float in -1..1, ``sr`` is 16000 unless given. Computed by
Numba's kernels where numba is installed (the extra ``fast``) and by NumPy otherwise: see
`edge_ser.dsp.compute`. Importing this module does not import numba; the first call of a feature does.

The numbers are librosa 0.11's to a relative error of 1e-5 (`tests/edge_ser/dsp/test_parity.py` lists where single
precision does not allow it), with these differences of meaning: arrays are frames first and features of one number
have one axis; `tonnetz` and `chroma_stft` know no constant-Q transform; a stream needs ``top_db=None`` and
``tuning=0.0``, since librosa's defaults look at the whole recording.
"""

from edge_ser.dsp.cepstral import dct, delta, mfcc
from edge_ser.dsp.compute import features_backend, use_features_backend
from edge_ser.dsp.filters import window
from edge_ser.dsp.levels import amplitude_to_db, pcen, power_to_db
from edge_ser.dsp.pitch import yin
from edge_ser.dsp.rhythm import level_rises, onset_strength, tempo, tempogram
from edge_ser.dsp.spectral import (
    band_energy,
    spectral_bandwidth,
    spectral_centroid,
    spectral_contrast,
    spectral_flatness,
    spectral_rolloff,
)
from edge_ser.dsp.spectrum import Framing, fft_frequencies, melspectrogram, spectrogram, stft
from edge_ser.dsp.streaming import DeltaStream, FrameState, FrameStream, RowStream
from edge_ser.dsp.subbands import SubBands, mel_subbands, subbands
from edge_ser.dsp.table import FEATURES, FRAME_FEATURES, FeatureSpec, column_names, frame_features
from edge_ser.dsp.temporal import rms, zero_crossing_rate
from edge_ser.dsp.tonal import chroma_stft, estimate_tuning, tonnetz
from edge_ser.dsp.windows import WindowFigures, leakage, tone_spectrum, window_figures, window_response

__all__ = [
    "FEATURES",
    "FRAME_FEATURES",
    "DeltaStream",
    "FeatureSpec",
    "FrameState",
    "FrameStream",
    "Framing",
    "RowStream",
    "SubBands",
    "WindowFigures",
    "amplitude_to_db",
    "band_energy",
    "chroma_stft",
    "column_names",
    "dct",
    "delta",
    "estimate_tuning",
    "features_backend",
    "fft_frequencies",
    "frame_features",
    "leakage",
    "level_rises",
    "mel_subbands",
    "melspectrogram",
    "mfcc",
    "onset_strength",
    "pcen",
    "power_to_db",
    "rms",
    "spectral_bandwidth",
    "spectral_centroid",
    "spectral_contrast",
    "spectral_flatness",
    "spectral_rolloff",
    "spectrogram",
    "stft",
    "subbands",
    "tempo",
    "tempogram",
    "tone_spectrum",
    "tonnetz",
    "use_features_backend",
    "window",
    "window_figures",
    "window_response",
    "yin",
    "zero_crossing_rate",
]
