"""How listening ends: one flag, set by a signal, by the wanted duration or by the caller."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

__all__ = ["Stop", "stop_on_signals"]

_NAP_S = 0.2  # Python resumes an interrupted sleep, so a long wait looks at the flag this often


class Stop:
    """A request to end, with its reason.

    Not a `threading.Event`: its lock is not re-entrant, and a signal handler that sets it while the main thread
    waits on it may block for ever.
    """

    def __init__(self) -> None:
        self.reason: str | None = None

    @property
    def requested(self) -> bool:
        """Whether somebody asked for the end."""
        return self.reason is not None

    def request(self, reason: str) -> None:
        """Ask for the end; the first reason stays."""
        if self.reason is None:
            self.reason = reason

    def sleep_until(self, moment: float) -> None:
        """Sleep until `moment` of `time.monotonic`, or until the end is asked for."""
        while not self.requested and (left := moment - time.monotonic()) > 0:
            time.sleep(min(left, _NAP_S))


@contextmanager
def stop_on_signals(at_first: Callable[[], None] = lambda: None) -> Iterator[Stop]:
    """A `Stop` that Ctrl-C, SIGTERM and a terminal that hangs up request, the last where ``nohup`` does not forbid it.

    A second Ctrl-C interrupts as usual. Main thread only.

    Parameters
    ----------
    at_first : callable
        Called at the first of them, within the signal's handler.
    """
    stop = Stop()

    def handle(number: int, frame: FrameType | None) -> None:
        if stop.requested and number == signal.SIGINT:
            raise KeyboardInterrupt
        if not stop.requested:
            at_first()
        stop.request("signal")

    ends = [signal.SIGINT, signal.SIGTERM]
    if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:
        ends.append(signal.SIGHUP)
    before = {number: signal.signal(number, handle) for number in ends}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
