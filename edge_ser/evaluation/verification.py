"""Prove a bundle: its files whole, every engine giving the model's answers, chunks making no difference."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import numpy as np

from edge_ser.bundle import PRECISIONS, Bundle
from edge_ser.errors import EdgeSerError, MissingExtraError
from edge_ser.evaluation.parity import (
    LIMITS,
    compare_all,
    device_answers,
    features_of,
    hard_sounds,
    inputs_of,
    largest_error,
    one_pass_answers,
    step_answers,
)
from edge_ser.tensors import read_safetensors

if TYPE_CHECKING:
    from edge_ser.models.stream72k import Stream72k
    from firmware_py.engines import Engine

__all__ = ["CHUNKS", "LONG_MINUTES", "Check", "verify_bundle"]

#: Samples pushed at once; every one must give the same bits.
CHUNKS = (1, 7, 160, 1000, 16000)
#: Minutes streamed to see whether an engine drifts; the same minute of sound again and again.
LONG_MINUTES = 10
_QUICK_MINUTES = 3  # the second is measured against the last
_CHUNKED_SECONDS = 6  # longer than the pool's window; a sample at a time takes seconds as it is

_WINDOWS_EVERY_S = 3.0  # what hears a window as a whole costs as much each time as for a whole clip

Answers = dict[str, np.ndarray]


@dataclasses.dataclass(frozen=True)
class Check:
    """One thing that was checked, or why it could not be.

    Attributes
    ----------
    name : str
        ``files``, ``card``, ``streaming``, ``answers``, ``chunks`` or ``drift``.
    engine, precision : str or None
        What was checked; None where it is the bundle as such.
    max_abs_error, limit : float or None
        None where nothing is measured. Of rounded numbers (int8) it is the error of A/D/V and probabilities.
    ok : bool or None
        None: not checked here, and `note` says why.
    note : str
        The sound with the largest error and the reference, or the reason.
    mean_abs_error, agreement : float or None
        Of answers: the largest mean error of a sound, and the share of steps with the same emotion.
    """

    name: str
    engine: str | None
    precision: str | None
    max_abs_error: float | None
    limit: float | None
    ok: bool | None
    note: str = ""
    mean_abs_error: float | None = None
    agreement: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """As JSON writes it; an infinite error becomes None, which JSON has no number for."""
        row = dataclasses.asdict(self)
        for key in ("max_abs_error", "mean_abs_error"):
            if row[key] is not None and not math.isfinite(row[key]):
                row[key] = None
        return row


def verify_bundle(
    bundle: Bundle,
    sounds: Mapping[str, np.ndarray],
    report: Callable[[Check], None] = lambda check: None,
    *,
    quick: bool = False,
    minutes: int | None = None,
) -> list[Check]:
    """Check everything of a bundle that can be checked here.

    Parameters
    ----------
    bundle : Bundle
        Loaded, so its files have the sizes and hashes that it says.
    sounds : mapping of str to (n,) float32
        Audio at the bundle's sample rate.
    report : callable
        Called with each check as it is done.
    quick : bool
        Leave out the smallest chunks, and stream three minutes for the drift: for slow boards and emulators.
    minutes : int, optional
        Stream so many for the drift, at least three; `LONG_MINUTES` when left out.

    Returns
    -------
    list of Check
        A check that is not ok is in it; nothing is raised for it.

    Raises
    ------
    EdgeSerError
        Too few minutes.
    """
    if minutes is None:
        minutes = _QUICK_MINUTES if quick else LONG_MINUTES
    if minutes < _QUICK_MINUTES:
        raise EdgeSerError(f"a drift shows in {_QUICK_MINUTES} minutes or more, not in {minutes}")
    if bundle.vector is not None:
        raise EdgeSerError(
            f"{bundle.name} answers feature vectors; edge-ser export compared it with scikit-learn, and there is no "
            "stream to verify"
        )
    checks: list[Check] = []

    def add(*found: Check) -> None:
        for check in found:
            checks.append(check)
            report(check)

    add(Check("files", None, None, None, None, True, f"{len(bundle.files)} files, size and SHA-256"))
    add(_card(bundle))
    inputs = inputs_of(bundle, sounds)
    every = (
        1
        if bundle.window is None
        else max(1, round(_WINDOWS_EVERY_S * bundle.spec.frame_rate / bundle.step_frames))
    )
    model = _torch_model(bundle)
    reference: Answers | None = None
    source = ""
    if model is None:
        note = (
            "torch is not installed"
            if find_spec("torch") is None
            else "the bundle holds no weights for torch"
        )
        note += "; engines are compared with each other"
        add(Check("streaming", "torch", "fp32", None, None, None, note))
    else:
        reference = {name: one_pass_answers(model, steps) for name, steps in inputs.items()}
        source = "torch"
        streamed = {name: step_answers(model, steps) for name, steps in inputs.items()}
        add(_compare("streaming", "torch", "fp32", streamed, reference, "one pass"))
    minute = _minute(bundle) if bundle.window is None else None
    for name, precision in _reference_first(bundle):
        engine = _open(bundle, name, precision)
        if isinstance(engine, MissingExtraError):
            add(Check("answers", name, precision, None, None, None, str(engine)))
            continue
        answers = {sound: device_answers(engine, steps, every) for sound, steps in inputs.items()}
        if reference is None:
            reference, source = answers, f"{name} {precision}"
            note = "the reference of the others, without torch"
            add(Check("answers", name, precision, None, None, None, note))
        else:
            add(_compare("answers", name, precision, answers, reference, source))
        add(_chunks(bundle, engine, precision, sounds, CHUNKS[2:] if quick else CHUNKS))
        if minute is None:
            note = "nothing is carried from step to step but the window's sound"
            add(Check("drift", name, precision, None, None, None, note))
        else:
            add(_drift(engine, precision, minute, minutes))
    return checks


def _card(bundle: Bundle) -> Check:
    card = bundle.card
    if card is None:
        return Check("card", None, None, None, None, False, "the bundle has no MODEL_CARD.md")
    named = bundle.name in card.read_text(encoding="utf-8", errors="replace")
    return Check("card", None, None, None, None, named, "" if named else "MODEL_CARD.md is of another model")


def _torch_model(bundle: Bundle) -> Stream72k | None:
    """The torch module with the bundle's weights, where both are to be had."""
    if find_spec("torch") is None or ("numpy", "fp32") not in bundle.variants():
        return None
    import torch

    from edge_ser.models import build_model
    from edge_ser.models.stream72k import Stream72k

    _open(bundle, "numpy", "fp32")  # names what is wrong in config or weights; torch would end in a traceback
    model = build_model(bundle.architecture, bundle.config, folded=True).eval()
    assert isinstance(model, Stream72k)  # the one network that has a folded form
    weights = read_safetensors(bundle.file("numpy", "fp32"))
    model.load_state_dict({name: torch.from_numpy(value) for name, value in weights.items()})
    return model


def _reference_first(bundle: Bundle) -> list[tuple[str, str]]:
    """All variants, the most exact and of those NumPy first: where torch is missing the first is the reference."""
    return sorted(bundle.variants(), key=lambda kind: (PRECISIONS.index(kind[1]), kind[0] != "numpy"))


def _open(bundle: Bundle, name: str, precision: str) -> Engine | MissingExtraError:
    from firmware_py.engines import open_engine

    try:
        return open_engine(bundle, name, precision)
    except MissingExtraError as error:  # reported as "not checked here"; any other error is the bundle's
        return error


def _compare(
    name: str, engine: str, precision: str, answers: Answers, reference: Answers, source: str
) -> Check:
    limit = LIMITS[precision]
    error, worst = compare_all(answers, reference, rounded=limit.rounded)
    note = f"against {source}; largest at {worst}"
    if limit.mean is not None:
        note += f"; mean {error.mean:.2g} (limit {limit.mean:g}), same emotion {error.agreement:.1%}"
    return Check(
        name,
        engine,
        precision,
        error.largest,
        limit.largest,
        error.within(limit),
        note,
        error.mean,
        error.agreement,
    )


def _chunks(
    bundle: Bundle, engine: Engine, precision: str, sounds: Mapping[str, np.ndarray], sizes: Sequence[int]
) -> Check:
    """Predictions of the listening pipeline for each size of chunk against those of one push."""
    from firmware_py.pipeline import Pipeline

    rate = bundle.spec.sample_rate
    # The last sound is the caller's or the most voice-like one; a little noise keeps every step different.
    wave = next(reversed(list(sounds.values())))[: _CHUNKED_SECONDS * rate]
    wave = wave + np.random.default_rng(0).normal(0, 1e-3, len(wave)).astype(np.float32)

    def predictions(size: int) -> np.ndarray:
        pipeline = Pipeline(bundle, engine)
        found = [p for start in range(0, len(wave), size) for p in pipeline.push(wave[start : start + size])]
        rows = [
            [p.start, p.end, *((p.arousal, p.dominance, p.valence) if p.rated else ()), *p.emotion.values()]
            for p in found
        ]
        return np.array(rows, np.float64)

    whole = predictions(len(wave))
    errors = {size: largest_error(predictions(size), whole) for size in sizes}
    worst = max(errors, key=lambda size: errors[size])
    ok = errors[worst] == 0 and len(whole) > 0
    note = f"{', '.join(map(str, sizes))} samples at once" + ("" if ok else f"; {worst} differs most")
    return Check("chunks", engine.name, precision, errors[worst], 0.0, ok, note)


def _minute(bundle: Bundle) -> np.ndarray:
    """Features of a minute of generated sound, (steps, step_frames, n_mels), to be heard again and again.

    Each time through it a model with a finite memory is where it was the time before.
    """
    rate = bundle.spec.sample_rate
    wave = hard_sounds(60.0, rate)["voice-like"] + np.float32(0.01) * hard_sounds(60.0, rate)["noise"]
    steps = round(60 * bundle.spec.frame_rate / bundle.step_frames)
    [features] = features_of(
        {"a minute": np.concatenate([wave, wave[:rate]])}, bundle.spec, bundle.step_frames
    ).values()
    return features[:steps]


def _drift(engine: Engine, precision: str, minute: np.ndarray, minutes: int) -> Check:
    """Answers in the last of many minutes of the same sound against those in the second.

    What an engine adds by rounding what it carries from step to step would grow; the first minute begins with an
    empty state, so it is no measure.
    """
    state = engine.initial_state()
    heard = []
    for _ in range(minutes):
        rows = []
        for step in minute:
            outputs, state = engine.step(step, state)
            rows.append(np.concatenate([outputs.adv, outputs.logits]))
        heard.append(np.array(rows))
    error = largest_error(heard[-1], heard[1])
    limit = LIMITS["fp32"].largest
    note = f"minute {minutes} against minute 2 of the same sound"
    return Check("drift", engine.name, precision, error, limit, error <= limit, note)
