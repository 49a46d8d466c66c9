"""The gate: every file runs on the device's own engine against the trained model; one over its limit is refused.

Beside the errors it measures what a step costs: time here, working memory, and, where it is given clips of speakers
that were not trained on, what the file loses in figures.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from edge_ser.bundle import Bundle
from edge_ser.corpora import ADV
from edge_ser.errors import EdgeSerError
from edge_ser.evaluation.parity import (
    Difference,
    compare,
    compare_all,
    device_answers,
    errors,
    inputs_of,
    torch_answers,
)
from export.calibration import Say
from export.formats import Format
from export.memory import Memory, working_memory
from export.source import Source

if TYPE_CHECKING:
    from edge_ser.models.base import Network
    from export.sensitivity import Sweep
    from export.validation import Drop, ValidationSet
    from firmware_py.engines import Engine

__all__ = ["OUTPUTS", "Exam", "Exported", "Latency", "asked", "convert", "gate"]

#: What errors are told of, in their order: the three ratings, and the emotions' logits or probabilities together.
OUTPUTS = (*ADV, "emotion")

#: Seconds from one window to the next that is asked about: each costs as much as a whole clip.
_WINDOWS_EVERY_S = 3.0
_ROUNDS, _ROUND_S = 4, 0.5  # of timing, over all files in turn, so that a disturbance meets them all
_WARM_UP, _LEAST = 20, 10  # steps


@dataclasses.dataclass(frozen=True)
class Latency:
    """Milliseconds of a step of the engine on this machine, one thread, the front end not counted."""

    p50: float
    p95: float
    steps: int


@dataclasses.dataclass(frozen=True)
class Exported:
    """What became of one format.

    Attributes
    ----------
    format : Format
    data : bytes or None
        The file; None where the converter failed.
    error : Difference or None
        From torch, the worst of all sounds.
    worst : str
        The sound with the largest error, or why there is no file.
    applies : bool
        False where a model of this kind cannot become such a file at all, as `worst` says: then its absence is no
        failure.
    sounds : mapping of str to Difference
        From torch, of each sound.
    outputs : mapping of str to mapping
        Of each sound, for each of `OUTPUTS` the largest error.
    memory : Memory or None
    latency : Latency or None
    drop : Drop or None
        On the validation set; None where there is none.
    kept : tuple of str
        Layers that stay float32 beside those that always do.
    sweep : Sweep or None
        What each layer costs, where that was asked.
    about : mapping
        ``name``, ``architecture``, ``parameters``, ``macs_per_step`` and ``step_ms`` of the model; empty until the gate
        ran the file.
    """

    format: Format
    data: bytes | None
    error: Difference | None = None
    worst: str = ""
    applies: bool = True
    sounds: Mapping[str, Difference] = dataclasses.field(default_factory=dict)
    outputs: Mapping[str, Mapping[str, float]] = dataclasses.field(default_factory=dict)
    memory: Memory | None = None
    latency: Latency | None = None
    drop: Drop | None = None
    kept: tuple[str, ...] = ()
    sweep: Sweep | None = None
    about: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    @property
    def ok(self) -> bool:
        """The file is there and within its limits."""
        within = self.error is not None and self.error.within(self.format.limit)
        return within and (self.drop is None or self.drop.ok)

    def to_dict(self) -> dict[str, Any]:
        """The row of ``edge-ser export -o json``."""
        error, limit = self.error, self.format.limit
        finite = error is not None and np.isfinite(error.largest)
        return {
            "format": self.format.name,
            "precision": self.format.precision,
            "file": self.format.file,
            "kb": None if self.data is None else round(len(self.data) / 1024, 1),
            "bytes": None if self.data is None else len(self.data),
            "max_abs_error": error.largest if error is not None and finite else None,
            "limit": limit.largest,
            "mean_abs_error": error.mean if error is not None and finite else None,
            "mean_limit": limit.mean,
            "agreement": None if error is None else error.agreement,
            "agreement_limit": limit.agreement,
            "metric_drop": None if self.drop is None else self.drop.uar_drop,
            "ok": self.ok,
            "applies": self.applies,
            "note": self.worst,
            "sounds": [
                {
                    "sound": name,
                    "max_abs_error": _finite(one.largest),
                    "mean_abs_error": _finite(one.mean),
                    "agreement": one.agreement,
                    "by_output": dict(self.outputs.get(name, {})),
                }
                for name, one in self.sounds.items()
            ],
            "working_memory": None if self.memory is None else self.memory.to_dict(),
            "macs_per_step": self.about.get("macs_per_step"),
            "latency_ms": None if self.latency is None else dataclasses.asdict(self.latency),
            "validation": None if self.drop is None else self.drop.to_dict(),
            "float_layers": list(self.kept),
            "sweep": None if self.sweep is None else self.sweep.to_dict(),
        }


def _finite(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def asked(row: Format, refusal: str | None, say: Say) -> Exported:
    """A row before its file is made: where there is a reason, one that the model cannot become."""
    if refusal is not None:
        say(f"not made: {refusal}")
    return Exported(row, None, worst=refusal or "", applies=refusal is None)


def convert(row: Format, source: Source, say: Say) -> Exported:
    """Make a file; a converter that fails is the row's answer, not an error."""
    if not (one := asked(row, row.refusal(source.form, source.takes), say)).applies:
        return one
    say(f"{row.key}: converting")
    try:
        return Exported(row, row.function(source))
    except EdgeSerError:
        raise
    except Exception as error:  # a converter's own: of any class, and the row's answer rather than a crash
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:300]
        say(f"{row.key}: the converter failed: {reason}")
        return Exported(row, None, worst=f"the converter failed: {reason}")


class Exam:
    """What files are asked, and what the trained model, its batch normalisation not folded, answers in one pass.

    A model that hears windows is asked every three seconds. So the folding, the streaming, the converter and the
    engine are all inside what is measured.

    Parameters
    ----------
    bundle : Bundle
        Of the model; which files it holds makes no difference.
    model : Network
        As trained.
    sounds : mapping of str to (n,) float32
        Audio at the bundle's sample rate.
    validation : ValidationSet, optional
        Clips of speakers that were not trained on.
    """

    def __init__(
        self,
        bundle: Bundle,
        model: Network,
        sounds: Mapping[str, np.ndarray],
        validation: ValidationSet | None = None,
    ) -> None:
        self.inputs = inputs_of(bundle, sounds)
        self.every = max(1, round(_WINDOWS_EVERY_S * bundle.spec.frame_rate / bundle.step_frames))
        self.wanted = {
            name: torch_answers(model, bundle, steps, self.every) for name, steps in self.inputs.items()
        }
        self.validation = validation
        if validation is not None:
            found = validation.waves(bundle.step_frames * bundle.spec.hop_length)
            self.clips = [clip for clip, _ in found]
            heard = inputs_of(bundle, {str(i): wave for i, (_, wave) in enumerate(found)})
            self._heard = list(heard.values())
            self._reference = np.array(
                [torch_answers(model, bundle, one, len(one))[-1] for one in self._heard]
            )

    def answers(self, engine: Engine) -> dict[str, np.ndarray]:
        """An engine's answers to the sounds."""
        return {name: device_answers(engine, steps, self.every) for name, steps in self.inputs.items()}

    def drop(self, engine: Engine) -> Drop | None:
        """What an engine loses on the validation set."""
        if self.validation is None:
            return None
        answers = np.array([device_answers(engine, one, len(one))[-1] for one in self._heard])
        return self.validation.drop(self.clips, answers, self._reference)


def gate(made: Sequence[Exported], bundle: Bundle, exam: Exam, say: Say) -> list[Exported]:
    """Run each file on the device's own engine, step by step, and hold its answers to the model's.

    Parameters
    ----------
    made : sequence of Exported
        Those without a file stay as they are.
    bundle : Bundle
        Holds the files.
    exam : Exam
    say : callable
        Gets a line for each file.

    Returns
    -------
    list of Exported
        With their errors and what they cost.
    """
    from firmware_py.engines import open_engine

    engines = {
        row.format.key: open_engine(bundle, row.format.engine, row.format.precision)
        for row in made
        if row.data is not None
    }
    latencies = _timed(engines, exam)
    about = _about(bundle)
    checked: list[Exported] = []
    for row in made:
        if row.data is None:
            checked.append(row)
            continue
        engine, rounded = engines[row.format.key], row.format.limit.rounded
        answers = exam.answers(engine)
        error, sound = compare_all(answers, exam.wanted, rounded=rounded)
        done = dataclasses.replace(
            row,
            error=error,
            worst=f"largest at {sound}",
            sounds={n: compare(answers[n], wanted, rounded=rounded) for n, wanted in exam.wanted.items()},
            outputs={n: _by_output(answers[n], wanted, rounded) for n, wanted in exam.wanted.items()},
            memory=working_memory(bundle, engine, row.format.precision),
            latency=latencies[row.format.key],
            drop=exam.drop(engine),
            about=about,
        )
        checked.append(done)
        verdict = "ok" if done.ok else "REFUSED"
        say(f"{row.format.key}: {len(row.data) / 1024:.0f} KB, {_measured(done, sound)}: {verdict}")
    return checked


def _about(bundle: Bundle) -> dict[str, Any]:
    seconds = bundle.step_s
    return {
        "name": bundle.name,
        "architecture": bundle.architecture,
        "parameters": bundle.parameters,
        "macs_per_step": round(bundle.macs_per_second * seconds),
        "step_ms": 1000 * seconds,
    }


def _by_output(answers: np.ndarray, reference: np.ndarray, rounded: bool) -> dict[str, float]:
    """The largest error of each of `OUTPUTS`; none where answers are no numbers."""
    if answers.shape != reference.shape or not len(answers) or not np.isfinite(answers).all():
        return {}
    worst = errors(answers, reference, rounded=rounded).max(0)
    return dict(zip(OUTPUTS, (*map(float, worst[:3]), float(worst[3:].max(initial=0.0))), strict=True))


def _timed(engines: Mapping[str, Engine], exam: Exam) -> dict[str, Latency]:
    """Time all engines on the loudest sound, in turn."""
    steps = max(exam.inputs.values(), key=lambda one: float(np.abs(one).mean()))
    seconds: dict[str, list[float]] = {key: [] for key in engines}
    for _ in range(_ROUNDS):
        for key, engine in engines.items():
            state, began, count = engine.initial_state(), time.perf_counter(), 0
            # at least one: a machine that stops for half a second in the warm-up leaves none
            while count < _LEAST or time.perf_counter() - began < _ROUND_S or not seconds[key]:
                start = time.perf_counter()
                _, state = engine.step(steps[count % len(steps)], state)
                count += 1
                if count > _WARM_UP or start - began > _ROUND_S:  # windows are slow, and warm after one
                    seconds[key].append(time.perf_counter() - start)
    return {
        key: Latency(1e3 * float(np.median(values)), 1e3 * float(np.percentile(values, 95)), len(values))
        for key, values in seconds.items()
    }


def _measured(row: Exported, sound: str) -> str:
    """Each part of a difference beside its limit, where it has one."""
    error, limit = row.error, row.format.limit
    assert error is not None
    parts = [f"largest error {error.largest:.2g} at {sound} (limit {limit.largest:g})"]
    if limit.mean is not None:
        parts.append(f"mean {error.mean:.2g} (limit {limit.mean:g})")
    if limit.agreement is not None:
        parts.append(f"same emotion {error.agreement:.1%} (at least {limit.agreement:.0%})")
    if row.drop is not None and row.drop.uar_drop is not None:
        parts.append(
            f"UAR {row.drop.uar:.3f}, lost {row.drop.uar_drop:+.4f} (limit {row.drop.uar_limit:.4f})"
        )
    if row.drop is not None and row.drop.ccc_drop is not None:
        parts.append(f"CCC lost {max(row.drop.ccc_drop):+.4f}")
    if row.memory is not None and row.latency is not None:
        parts.append(f"{row.memory.total / 1000:.0f} kB at work, {row.latency.p50:.2f} ms a step")
    return ", ".join(parts)
