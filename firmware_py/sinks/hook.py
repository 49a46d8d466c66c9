"""A sink that runs a command when the label changes."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import time
from typing import IO

from ..events import Event
from ..prediction import Prediction
from ..summary import Run, Summary

__all__ = ["ExecSink"]


class ExecSink:
    """Runs a command for each change of the steady label (see `firmware_py.steady`), one at a time.

    The command gets the answer as one line of JSON on its standard input, and in its environment ``EDGE_SER_LABEL``
    (empty when there is no label any more), ``EDGE_SER_BEFORE``, ``EDGE_SER_AROUSAL``, ``EDGE_SER_DOMINANCE``,
    ``EDGE_SER_VALENCE``. While it runs, changes wait; of several, only the last is told. One that takes longer than
    `limit_s` is killed, with what it has started.

    Parameters
    ----------
    command : str
        For the shell.
    words : text file
        Gets a line when the command fails.
    limit_s : float
        Seconds.
    """

    def __init__(self, command: str, words: IO[str], *, limit_s: float = 10.0) -> None:
        self._command, self._words, self._limit_s = command, words, limit_s
        self._told = ""
        self._last: Prediction | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._started = 0.0
        self.runs = self.failures = 0

    def start(self, run: Run) -> None:
        """Nothing to do yet."""

    def prediction(self, prediction: Prediction) -> None:
        """Run the command where the label is another one than it was told last; never waits for it.

        Raises
        ------
        OSError
            It cannot be started now; the change is told with the next answer.
        """
        self._last = prediction
        if not self._busy():
            self._tell_change(prediction)

    def _tell_change(self, prediction: Prediction) -> None:
        label = prediction.steady or ""
        if label == self._told:
            return
        answer = prediction.to_json()
        values = {name.upper(): answer[name] for name in ("arousal", "dominance", "valence")}
        env = os.environ | {"EDGE_SER_LABEL": label, "EDGE_SER_BEFORE": self._told}
        env |= {f"EDGE_SER_{name}": "" if value is None else f"{value:.4f}" for name, value in values.items()}
        self._process = subprocess.Popen(
            self._command, shell=True, env=env, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL,
            start_new_session=True,
        )  # fmt: skip
        self._started = time.monotonic()
        self._told = label
        self.runs += 1
        self._tell((json.dumps(answer, ensure_ascii=False) + "\n").encode())

    def _tell(self, line: bytes) -> None:
        pipe = self._process.stdin if self._process is not None else None
        if pipe is not None:
            with contextlib.suppress(BrokenPipeError):  # a command need not read
                pipe.write(line)  # it fits into the pipe, so this does not wait
                pipe.flush()
            with contextlib.suppress(BrokenPipeError):
                pipe.close()

    def _busy(self) -> bool:
        """Whether the command still runs; one that has ended, or takes too long, is done with."""
        process = self._process
        if process is None:
            return False
        if process.poll() is None:
            if time.monotonic() - self._started < self._limit_s:
                return True
            with contextlib.suppress(ProcessLookupError):  # it ended just now
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            self._failed(f"was killed after {self._limit_s:g} s")
        elif process.returncode:
            self._failed(f"ended with status {process.returncode}")
        self._process = None
        return False

    def _failed(self, how: str) -> None:
        self.failures += 1
        print(f"edge-ser: the command {self._command!r} {how}", file=self._words, flush=True)

    def event(self, event: Event) -> None:
        """Not told."""

    def summary(self, summary: Summary) -> None:
        """Not told."""

    def close(self) -> None:
        """Wait for the command that runs, as long as it may; then tell it the change that waited, if one did."""
        self._wait()
        if self._last is not None:
            try:
                self._tell_change(self._last)
            except OSError as error:
                self._failed(f"cannot be started ({error.strerror or error})")
            self._wait()

    def _wait(self) -> None:
        while self._busy():
            time.sleep(0.02)
