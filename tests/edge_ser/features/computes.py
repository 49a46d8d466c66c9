"""What worker processes compute in tests: functions that a fresh interpreter can import."""

from __future__ import annotations

import multiprocessing
import os
import time

import numpy as np

from edge_ser.dsp.compute import features_backend
from edge_ser.errors import EdgeSerError, MissingExtraError


def stats(wave: np.ndarray) -> np.ndarray:
    return np.array([len(wave), wave.mean(), np.abs(wave).max()], np.float64)


def slow(wave: np.ndarray, seconds: float = 0.05) -> np.ndarray:
    time.sleep(seconds)
    return stats(wave)


def picky(wave: np.ndarray) -> np.ndarray:
    if len(wave) > 6000:
        raise EdgeSerError("this one is too long")
    return stats(wave)


def broken(wave: np.ndarray) -> np.ndarray:
    raise ZeroDivisionError("a mistake in the code")


def dying(wave: np.ndarray) -> np.ndarray:
    if multiprocessing.parent_process() is not None:  # a worker, not the tests' own process
        os._exit(9)
    return slow(wave)


def lacking(wave: np.ndarray) -> np.ndarray:
    raise MissingExtraError("nothing is installed")


def backend(wave: np.ndarray) -> np.ndarray:
    time.sleep(0.05)
    return np.array([os.getpid(), features_backend() == "numba"])


def who(wave: np.ndarray) -> np.ndarray:
    time.sleep(0.05)
    return np.array([os.getpid()])
