"""One hop of log-mel in each way that needs no more than NumPy: why the device's front end is a C file.

Run as it is, it prints microseconds. Under QEMU with ``instructions.c`` loaded it prints the instructions of
the machine that is emulated; ``bash benchmarks/instructions.sh`` does that for x86-64 and aarch64.
"""

import os
import sys
import time
from collections.abc import Callable

import one_thread  # noqa: F401 (beside this file)

# isort: split
import numpy as np

from edge_ser.dsp import LogMelStream, MelSpec
from edge_ser.dsp.filters import mel_filters
from edge_ser.dsp.frames import tables

SPEC = MelSpec(win_length=400, n_fft=512, hop_length=160, n_mels=64)
HOP = SPEC.hop_length
HOPS = 200
AUDIO = np.random.default_rng(0).normal(0, 0.1, HOPS * HOP).astype(np.float32)


def stream(backend: str, hops: int) -> Callable[[], int]:
    """`LogMelStream` on a backend, some hops a push."""

    def run() -> int:
        os.environ["EDGE_SER_DSP"] = backend
        front_end = LogMelStream(SPEC)
        return sum(len(front_end.push(AUDIO[i : i + hops * HOP])) for i in range(0, len(AUDIO), hops * HOP))

    return run


def bare_numpy() -> Callable[[], int]:
    """The least that NumPy can do: no checks, no state to speak of, a dense mel product, float32 where it has it."""
    window = tables(SPEC).window.astype(np.float32)
    mel = mel_filters(SPEC).astype(np.float32).T.copy()
    buffer = np.zeros(SPEC.n_fft, np.float32)

    def run() -> int:
        for i in range(0, len(AUDIO), HOP):
            buffer[:-HOP] = buffer[HOP:]
            buffer[-HOP:] = AUDIO[i : i + HOP]
            spectrum = np.fft.rfft(buffer * window)
            power = spectrum.real**2 + spectrum.imag**2
            np.log10(np.maximum(power.astype(np.float32) @ mel, np.float32(1e-10)))
        return HOPS

    return run


def matrix_product() -> Callable[[], int]:
    """The Fourier transform as a matrix of float32, the window inside it."""
    turns = np.exp(-2j * np.pi * np.outer(np.arange(SPEC.n_fft), np.arange(SPEC.n_fft // 2 + 1)) / SPEC.n_fft)
    turns *= tables(SPEC).window[:, None]
    matrix = np.concatenate([turns.real, turns.imag], axis=1).astype(np.float32)
    mel = np.tile(mel_filters(SPEC), (1, 2)).astype(np.float32).T.copy()
    buffer = np.zeros(SPEC.n_fft, np.float32)

    def run() -> int:
        for i in range(0, len(AUDIO), HOP):
            buffer[:-HOP] = buffer[HOP:]
            buffer[-HOP:] = AUDIO[i : i + HOP]
            parts = buffer @ matrix
            np.log10(np.maximum((parts * parts) @ mel, np.float32(1e-10)))
        return HOPS

    return run


CANDIDATES = {
    "C, one hop a push": stream("c", 1),
    "C, 20 hops a push": stream("c", 20),
    "NumPy, one hop a push": stream("numpy", 1),
    "NumPy, 20 hops a push": stream("numpy", 20),
    "bare NumPy rfft and dense mel in float32, one hop": bare_numpy(),
    "bare NumPy, transform as a matrix product": matrix_product(),
}


def main() -> None:
    """A line for each: name, cost of a frame."""
    counting = "--count" in sys.argv
    for name, run in CANDIDATES.items():
        run()
        best = float("inf")
        for _ in range(1 if counting else 20):
            if counting:
                print(name, end="\t", file=sys.stderr, flush=True)
                os.getppid()  # a system call that nothing else makes: the counter's mark
            start = time.perf_counter()
            frames = run()
            best = min(best, time.perf_counter() - start)
            if counting:
                os.getppid()
        if not counting:
            print(f"{best / frames * 1e6:8.2f} us  {name}")


if __name__ == "__main__":
    main()
