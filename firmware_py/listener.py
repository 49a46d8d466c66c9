"""The listener: source, pipeline and sinks in one loop, with the account of every sample."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from edge_ser.audio import SAMPLE_RATE
from edge_ser.errors import EdgeSerError

from .blocks import Block, Source
from .events import Event
from .ledger import Ledger
from .meter import Meter
from .pipeline import Pipeline
from .prediction import Prediction
from .recorder import Recorder
from .sinks import QueuedSink, Sink
from .steady import Steady
from .stop import Stop
from .summary import Run, Summary

__all__ = ["Listener"]


class Listener:
    """Hears a source to its end.

    Parameters
    ----------
    source : Source
        What is heard.
    pipeline : Pipeline
        What answers.
    sinks : sequence of Sink
        Where the answers go; a latency ends when the last of them has written.
    meter : Meter, optional
        One that has noted earlier stages.
    recorder : Recorder, optional
        Gets every sample that is heard, and what is recorded is what the model hears. When it fails, it is told and
        listening goes on; the error is raised at the end.
    steady : Steady, optional
        Puts one label on predictions.
    heartbeat : callable, optional
        Called at each block, also while a microphone is looked for, with whether the block holds any audio.
    duration_s : float, optional
        End after so much audio, to the sample.
    """

    def __init__(
        self,
        source: Source,
        pipeline: Pipeline,
        sinks: Sequence[Sink],
        *,
        meter: Meter | None = None,
        recorder: Recorder | None = None,
        steady: Steady | None = None,
        heartbeat: Callable[[bool], None] | None = None,
        duration_s: float | None = None,
    ) -> None:
        if pipeline.bundle.spec.sample_rate != SAMPLE_RATE:
            raise EdgeSerError(
                f"{pipeline.bundle.name} wants {pipeline.bundle.spec.sample_rate} Hz, "
                f"sources give {SAMPLE_RATE} Hz; choose another model"
            )
        self._source, self._pipeline, self._sinks = source, pipeline, sinks
        self._queued_sinks = [sink for sink in sinks if isinstance(sink, QueuedSink)]
        self._meter = meter if meter is not None else Meter()
        self._recorder = recorder
        self._recording_failed: EdgeSerError | None = None
        self._steady = steady if steady is not None else Steady()
        self._heartbeat = heartbeat
        self._failures: dict[str, str | None] = {}  # of sinks, as told last
        self._limit = None if duration_s is None else round(duration_s * SAMPLE_RATE)
        self._ledger = Ledger(devices=getattr(source, "devices", []))
        self._predictions = self._events = 0
        self._arrival = 0.0
        engine = pipeline.engine
        self._run = Run(
            source=source.name,
            live=source.live,
            model=pipeline.bundle.name,
            engine=engine.name,
            precision=engine.precision,
            labels=pipeline.bundle.labels,
            ledger=self._ledger,
            meter=self._meter,
            outputs={sink.name: sink.account for sink in self._queued_sinks},
        )
        if self._queued_sinks:  # the first one's latency is that of the run
            self._queued_sinks[0].on_written = self._meter.latencies.add

    def run(self, stop: Stop) -> Summary:
        """Listen until the source ends, the duration is reached or `stop` is requested.

        Returns
        -------
        Summary
            The same that the sinks got.

        Raises
        ------
        EdgeSerError
            The source cannot be heard or breaks off, is shorter than one answer, or the recording failed. What was
            answered before stays; sinks get a summary if anything was heard.
        BrokenPipeError
            Nobody reads what a sink writes.
        """
        self._pipeline.warm_up()
        for sink in self._sinks:
            sink.start(self._run)
        fault: EdgeSerError | None = None
        try:
            for block in self._source.blocks(stop):
                self._take(block)
                if self._limit is not None and self._ledger.taken >= self._limit:
                    stop.request("duration")
                    break
        except EdgeSerError as error:
            fault = error
        summary = Summary(
            run=self._run,
            predictions=self._predictions,
            ended="error" if fault else stop.reason or "end",
            cpu_s=self._meter.cpu_s,
            events=self._events,
        )
        self._meter.mark("end")
        if fault is None and summary.ended == "end" and not self._predictions:
            fault = self._too_short()
        if fault is None or self._predictions:
            for sink in self._sinks:
                sink.summary(summary)
        fault = fault or self._recording_failed
        if fault is not None:
            raise fault
        return summary

    def _take(self, block: Block) -> None:
        if self._heartbeat is not None:
            self._heartbeat(len(block.samples) > 0)
        for sink in self._queued_sinks:
            self._check(sink)
        for event in block.events:
            self._tell(event)
        if not self._ledger.taken:
            self._meter.begin()  # starting a microphone's stream is not listening
        lost = self._ledger.add_lost(block.lost)
        if lost:
            self._pipeline.skip(lost)
        samples = block.samples
        if self._limit is not None:
            samples = samples[: max(0, self._limit - self._ledger.taken)]
        if self._recorder is not None:
            samples = self._record(self._recorder, samples, block)
        self._arrival = block.arrival
        # Booked before they are worked on, so that a sink that shows the account finds these samples in it.
        self._ledger.heard += len(samples)
        self._ledger.tail = (self._pipeline.pending + len(samples)) % self._pipeline.step_samples
        self._pipeline.push(samples, self._answer)
        self._ledger.dozed = self._pipeline.dozed

    def _check(self, sink: QueuedSink) -> None:
        sink.check()
        failure = sink.account.failure
        if failure != self._failures.get(sink.name):
            self._failures[sink.name] = failure
            text = (
                f"is not written ({failure}); answers are dropped until it is"
                if failure
                else "is written again"
            )
            self._tell(Event("sink", f"{sink.name} {text}", self._ledger.taken))

    def _tell(self, event: Event) -> None:
        self._events += 1
        for sink in self._sinks:
            sink.event(event)

    def _record(self, recorder: Recorder, samples: np.ndarray, block: Block) -> np.ndarray:
        try:
            return recorder.write(samples, block.lost)
        except EdgeSerError as error:
            self._recorder, self._recording_failed = None, error
            self._tell(Event("recording", str(error), self._ledger.taken))
            return samples

    def _answer(self, prediction: Prediction) -> None:
        label = self._steady.label_after(prediction)
        latency_ms = (time.monotonic() - self._arrival) * 1e3
        prediction = replace(prediction, steady=label, latency_ms=latency_ms)
        for sink in self._sinks:
            sink.prediction(prediction)
        if not self._queued_sinks:
            self._meter.latencies.add(time.monotonic() - self._arrival)
        if self._recorder is not None:
            self._recorder.answer(prediction)
        self._predictions += 1
        if self._predictions == 1:
            self._meter.mark("first_answer")

    def _too_short(self) -> EdgeSerError:
        needed = self._pipeline.step_samples * self._pipeline.every
        return EdgeSerError(
            f"{self._source.name} holds {self._ledger.heard / SAMPLE_RATE:.4f} s of audio and the first answer needs "
            f"{needed / SAMPLE_RATE:g} s; give a longer one"
            + (" or a shorter --hop" if self._pipeline.every > 1 else "")
        )
