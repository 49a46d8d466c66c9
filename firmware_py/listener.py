"""The listener: source, pipeline and sinks in one loop, with the account of every sample."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace

from edge_ser.audio import SAMPLE_RATE
from edge_ser.errors import EdgeSerError

from .blocks import Block, Source
from .ledger import Ledger
from .meter import Meter
from .pipeline import Pipeline
from .prediction import Prediction
from .recorder import Recorder
from .sinks import Sink
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
        Gets every sample that is heard.
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
        duration_s: float | None = None,
    ) -> None:
        if pipeline.bundle.spec.sample_rate != SAMPLE_RATE:
            raise EdgeSerError(
                f"{pipeline.bundle.name} wants {pipeline.bundle.spec.sample_rate} Hz, "
                f"sources give {SAMPLE_RATE} Hz; choose another model"
            )
        self._source, self._pipeline, self._sinks = source, pipeline, sinks
        self._meter = meter if meter is not None else Meter()
        self._recorder = recorder
        self._limit = None if duration_s is None else round(duration_s * SAMPLE_RATE)
        self._ledger = Ledger()
        self._predictions = 0
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
        )

    def run(self, stop: Stop) -> Summary:
        """Listen until the source ends, the duration is reached or `stop` is requested.

        Returns
        -------
        Summary
            The same that the sinks got.

        Raises
        ------
        EdgeSerError
            The source cannot be heard or breaks off, is shorter than one answer, or the recording fails. What was
            answered before stays; sinks get a summary if anything was heard.
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
        )
        self._meter.mark("end")
        if fault is None and summary.ended == "end" and not self._predictions:
            fault = self._too_short()
        if fault is None or self._predictions:
            for sink in self._sinks:
                sink.summary(summary)
        if fault is not None:
            raise fault
        return summary

    def _take(self, block: Block) -> None:
        if not self._ledger.taken:
            self._meter.begin()  # starting a microphone's stream is not listening
        lost = self._ledger.add_lost(block.lost)
        if lost:
            self._pipeline.skip(lost)
        samples = block.samples
        if self._limit is not None:
            samples = samples[: max(0, self._limit - self._ledger.taken)]
        if self._recorder is not None:
            self._recorder.write(samples)
        self._arrival = block.arrival
        # Booked before they are worked on, so that a sink that shows the account finds these samples in it.
        self._ledger.heard += len(samples)
        self._ledger.tail = (self._pipeline.pending + len(samples)) % self._pipeline.step_samples
        self._pipeline.push(samples, self._answer)

    def _answer(self, prediction: Prediction) -> None:
        prediction = replace(prediction, latency_ms=(time.monotonic() - self._arrival) * 1e3)
        for sink in self._sinks:
            sink.prediction(prediction)
        self._meter.latencies.add(time.monotonic() - self._arrival)
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
