"""A sink behind a bounded queue: what is slow or dead there never holds up the listener."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from queue import SimpleQueue
from threading import Thread
from typing import Any

from edge_ser.errors import EdgeSerError

from ..events import Event
from ..prediction import Prediction
from ..summary import Run, Summary
from .base import Sink

__all__ = ["QueuedSink", "SinkAccount"]

_END_S = 2.0  # how long the end waits for what is queued


@dataclass
class SinkAccount:
    """Counts in predictions; ``given = written + dropped + waiting`` at any time.

    Attributes
    ----------
    given, written, dropped : int
        Handed to the sink; written by it; dropped because its queue was full, or because writing failed.
    failure : str or None
        Why writing fails, while it does.
    """

    given: int = 0
    written: int = 0
    dropped: int = 0
    failure: str | None = None

    def to_json(self) -> dict[str, Any]:
        """For the summary."""
        return {"given": self.given, "written": self.written, "dropped": self.dropped}


class QueuedSink:
    """Hands everything to another sink on a thread of its own.

    A prediction that finds the queue full is dropped and counted. An error of writing (a full disk, a file system
    that went away) drops the prediction and counts it, and the next one is tried again; a closed pipe, or anything
    unforeseen, ends the thread and is raised by `check`.

    Parameters
    ----------
    sink : Sink
        Where things go.
    name : str
        What it is, for people.
    capacity : int
        Predictions that may wait: a minute at four a second.
    """

    def __init__(self, sink: Sink, name: str, *, capacity: int = 240) -> None:
        self.name, self._sink, self._capacity = name, sink, capacity
        self.account = SinkAccount()
        self.on_written: Callable[[float], None] | None = None  # gets the latency in seconds
        self._error: BaseException | None = None
        self._queue: SimpleQueue[tuple[Callable[[Any], None], Any, float] | None] = SimpleQueue()
        self._thread = Thread(target=self._work, name=f"sink {name}", daemon=True)
        self._thread.start()

    def start(self, run: Run) -> None:
        """See `Sink.start`."""
        self._queue.put((self._sink.start, run, 0.0))

    def prediction(self, prediction: Prediction) -> None:
        """See `Sink.prediction`; it is not out when this returns."""
        self.account.given += 1
        if self._queue.qsize() >= self._capacity or not self._thread.is_alive():
            self.account.dropped += 1
            return
        self._queue.put((self._write, prediction, time.monotonic()))

    def event(self, event: Event) -> None:
        """See `Sink.event`; dropped where the queue is full twice over."""
        if self._queue.qsize() < 2 * self._capacity:
            self._queue.put((self._sink.event, event, 0.0))

    def summary(self, summary: Summary) -> None:
        """See `Sink.summary`."""
        self._queue.put((self._sink.summary, summary, 0.0))

    def check(self) -> None:
        """Raise what ended the thread, if anything did."""
        if self._error is not None:
            raise self._error

    def check_end(self) -> None:
        """As `check`, when no more will come: an `EdgeSerError` where the last could not be written."""
        self.check()
        if why := self.account.failure:
            lost = f"{self.account.dropped} of {self.account.given} answers are not in it"
            raise EdgeSerError(f"{self.name} could not be written to the end ({why}): {lost}; make room")

    def close(self) -> None:
        """Wait for what is queued, two seconds at most; what a stuck sink still holds then is given up."""
        self._queue.put(None)
        self._thread.join(_END_S)
        if not self._thread.is_alive():
            self._sink.close()

    def _work(self) -> None:
        while (item := self._queue.get()) is not None:
            call, value, self._since = item
            try:
                call(value)
            except BrokenPipeError as error:
                self._error = error
                return
            except OSError as error:
                self.account.failure = error.strerror or str(error)
                if call == self._write:
                    self.account.dropped += 1
            except BaseException as error:  # raised where the listener checks
                self._error = error
                return

    def _write(self, prediction: Prediction) -> None:
        waited = time.monotonic() - self._since
        latency_s = prediction.latency_ms / 1e3 + waited
        self._sink.prediction(replace(prediction, latency_ms=latency_s * 1e3))
        self.account.written += 1
        self.account.failure = None
        if self.on_written is not None:
            self.on_written(prediction.latency_ms / 1e3 + time.monotonic() - self._since)
