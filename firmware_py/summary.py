"""What a run of listening came to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from edge_ser.audio import SAMPLE_RATE

from .ledger import Ledger
from .meter import Meter

if TYPE_CHECKING:
    from .sinks.queued import SinkAccount

__all__ = ["Run", "Summary"]


@dataclass(frozen=True, slots=True)
class Run:
    """What is listened to, with what; `ledger` and `meter` go on counting while it runs.

    Attributes
    ----------
    source, model, engine, precision : str
        Names.
    live : bool
        The audio comes at its own pace.
    labels : tuple of str
        The model's emotions.
    outputs : mapping of str to SinkAccount
        What became of the predictions at each sink that has a queue.
    """

    source: str
    live: bool
    model: str
    engine: str
    precision: str
    labels: tuple[str, ...]
    ledger: Ledger
    meter: Meter
    outputs: Mapping[str, SinkAccount] = field(default_factory=dict)

    def duty_cycle(self, cpu_s: float) -> float | None:
        """Share of one core that so much processor time is at the audio's own pace; None before there was any.

        The time of lost samples counts: while a microphone is away, it is looked for.
        """
        taken = self.ledger.taken
        return cpu_s / (taken / SAMPLE_RATE) if taken else None


@dataclass(frozen=True, slots=True)
class Summary:
    """The figures of a run that has ended.

    Attributes
    ----------
    run : Run
        What was listened to.
    predictions : int
        Answers given.
    ended : {"end", "duration", "signal", "error"}
        The source ended, the wanted duration was reached, somebody ended it, or it broke off.
    cpu_s : float
        Processor time while listening, that of processes that were started for it included.
    events : int
        How many were told.
    """

    run: Run
    predictions: int
    ended: str
    cpu_s: float
    events: int = 0

    @property
    def audio_s(self) -> float:
        """Seconds of audio that were heard."""
        return self.run.ledger.heard / SAMPLE_RATE

    @property
    def duty_cycle(self) -> float | None:
        """Share of one core that listening has taken, see `Run.duty_cycle`."""
        return self.run.duty_cycle(self.cpu_s)

    def to_json(self) -> dict[str, Any]:
        """The documented keys of the last line of ``listen -o jsonl``, and the ledger."""
        run, duty = self.run, self.duty_cycle
        return {
            "type": "summary",
            "source": run.source,
            "audio_s": self.audio_s,
            "predictions": self.predictions,
            "lost_samples": run.ledger.lost_samples,
            "samples": run.ledger.to_json(),
            "latency_ms": run.meter.latencies.to_json(),
            "duty_cycle": None if duty is None else round(duty, 5),
            "rss_mb": run.meter.rss_json(),
            "engine": run.engine,
            "precision": run.precision,
            "model": run.model,
            "ended": self.ended,
            "events": self.events,
            "outputs": {name: account.to_json() for name, account in run.outputs.items()},
        }

    def to_text(self) -> str:
        """The same in a few lines for people."""
        run, figures = self.run, self.to_json()
        latency, memory = figures["latency_ms"], figures["rss_mb"]
        lines = [f"{self.audio_s:.2f} s heard, {_count(self.predictions, 'answer')}, {_lost(run.ledger)}"]
        if run.meter.latencies.count:  # none, with answers, where the first output wrote nothing
            lines.append(
                f"answer after {latency['p50']:.1f} ms (p95 {latency['p95']:.1f}, p99 {latency['p99']:.1f}, "
                f"max {latency['max']:.1f})"
            )
        if self.duty_cycle is not None:
            lines.append(
                f"{self.duty_cycle:.1%} of one core, {memory['peak']:.0f} MB at most; "
                f"{run.model} on {run.engine} {run.precision}"
            )
        for name, account in run.outputs.items():
            if account.dropped:
                lines.append(f"{_count(account.dropped, 'answer')} NOT written to {name}")
        return "\n".join(lines)


def _count(number: int, thing: str) -> str:
    return f"{number} {thing}" if number == 1 else f"{number} {thing}s"


def _lost(ledger: Ledger) -> str:
    if not ledger.lost_samples:
        return "nothing lost"
    places = ", ".join(f"{samples} in the {place}" for place, samples in ledger.lost.items() if samples)
    return f"{_count(ledger.lost_samples, 'sample')} LOST ({places})"
