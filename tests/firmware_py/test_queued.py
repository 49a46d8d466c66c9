"""A queue at its edges: how much waits, and what counts as an answer that was dropped."""

import errno

from firmware_py.sinks import QueuedSink
from tests.firmware_py.test_outputs import Sink, prediction, wait_for


def stuck(capacity):
    """A sink that holds one answer and takes no more, and what it is behind."""
    inner = Sink()
    inner.free.clear()
    sink = QueuedSink(inner, "x", capacity=capacity)
    sink.prediction(prediction(end=0))
    wait_for(lambda: sink._queue.qsize() == 0)
    return sink, inner


def test_as_many_wait_as_it_holds_and_no_more():
    sink, inner = stuck(10)
    for end in range(1, 11):
        sink.prediction(prediction(end=end))
    assert sink.account.dropped == 0
    sink.prediction(prediction(end=11))
    assert sink.account.dropped == 1
    inner.free.set()
    sink.close()
    assert inner.got == list(range(11)) and sink.account.written == 11


def test_events_that_nobody_takes_fill_no_memory():
    sink, inner = stuck(10)
    for number in range(1_000):
        sink.event(number)
    inner.free.set()
    sink.close()
    assert inner.got == [0, *range(20)]


def test_an_event_that_is_not_written_is_no_answer_that_was_dropped():
    class Full(Sink):
        def event(self, event):
            raise OSError(errno.ENOSPC, "No space left on device")

    sink = QueuedSink(Full(), "x")
    sink.event("event")
    sink.prediction(prediction())
    sink.close()
    assert sink.account.to_json() == {"given": 1, "written": 1, "dropped": 0}


def test_what_waits_is_later_by_as_long_as_it_waits(monkeypatch):
    """For who reads it up to the writing, for the run's figures with the writing."""
    moments = iter([10.0, 12.0, 15.0])  # given, taken by the thread, written
    monkeypatch.setattr("firmware_py.sinks.queued.time.monotonic", lambda: next(moments))
    latencies, written = [], []

    class Noting(Sink):
        def prediction(self, prediction):
            latencies.append(prediction.latency_ms)

    sink = QueuedSink(Noting(), "x")
    sink.on_written = written.append
    sink.prediction(prediction(latency_ms=500.0))
    sink.close()
    sink.check()
    assert latencies == [2_500.0] and written == [5.5]
