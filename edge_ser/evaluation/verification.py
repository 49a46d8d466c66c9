"""Prove a bundle: its files whole, every engine giving the model's answers, chunks making no difference."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import numpy as np

from edge_ser.bundle import Bundle
from edge_ser.errors import EdgeSerError, MissingExtraError
from edge_ser.evaluation.parity import (
    LIMITS,
    engine_answers,
    features_of,
    largest_error,
    one_pass_answers,
    step_answers,
)
from edge_ser.tensors import read_safetensors

if TYPE_CHECKING:
    from edge_ser.models.stream72k import Stream72k
    from firmware_py.engines import Engine

__all__ = ["CHUNKS", "Check", "verify_bundle"]

#: Samples pushed at once; every one must give the same bits.
CHUNKS = (1, 7, 160, 1000, 16000)
_CHUNKED_SECONDS = 6  # longer than the pool's window; a sample at a time takes seconds as it is

Answers = dict[str, np.ndarray]


@dataclasses.dataclass(frozen=True)
class Check:
    """One thing that was checked, or why it could not be.

    Attributes
    ----------
    name : str
        ``files``, ``card``, ``streaming``, ``answers`` or ``chunks``.
    engine, precision : str or None
        What was checked; None where it is the bundle as such.
    max_abs_error, limit : float or None
        None where nothing is measured.
    ok : bool or None
        None: not checked here, and `note` says why.
    note : str
        The sound with the largest error and the reference, or the reason.
    """

    name: str
    engine: str | None
    precision: str | None
    max_abs_error: float | None
    limit: float | None
    ok: bool | None
    note: str = ""

    def to_dict(self) -> dict[str, Any]:
        """As JSON writes it; an infinite error becomes None, which JSON has no number for."""
        row = dataclasses.asdict(self)
        if self.max_abs_error is not None and not math.isfinite(self.max_abs_error):
            row["max_abs_error"] = None
        return row


def verify_bundle(
    bundle: Bundle, sounds: Mapping[str, np.ndarray], report: Callable[[Check], None] = lambda check: None
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

    Returns
    -------
    list of Check
        A check that is not ok is in it; nothing is raised for it.
    """
    checks: list[Check] = []

    def add(*found: Check) -> None:
        for check in found:
            checks.append(check)
            report(check)

    add(Check("files", None, None, None, None, True, f"{len(bundle.files)} files, size and SHA-256"))
    add(_card(bundle))
    features = features_of(sounds, bundle.spec, bundle.step_frames)
    model = _torch_model(bundle)
    reference: Answers | None = None
    source = ""
    if model is None:
        note = (
            "torch is not installed"
            if find_spec("torch") is None
            else "the bundle holds no weights for torch"
        )
        add(
            Check(
                "streaming",
                "torch",
                "fp32",
                None,
                None,
                None,
                f"{note}; engines are compared with each other",
            )
        )
    else:
        reference, source = (
            {name: one_pass_answers(model, steps) for name, steps in features.items()},
            "torch",
        )
        streamed = {name: step_answers(model, steps) for name, steps in features.items()}
        add(_compare("streaming", "torch", "fp32", streamed, reference, LIMITS["fp32"], "one pass"))
    for name, precision in _reference_first(bundle):
        engine = _open(bundle, name, precision)
        if isinstance(engine, MissingExtraError):
            add(Check("answers", name, precision, None, None, None, str(engine)))
            continue
        answers = {sound: engine_answers(engine, steps) for sound, steps in features.items()}
        if reference is None:
            reference, source = answers, f"{name} {precision}"
            add(
                Check(
                    "answers", name, precision, None, None, None, "the reference of the others, without torch"
                )
            )
        else:
            add(
                _compare(
                    "answers", name, precision, answers, reference, LIMITS.get(precision, math.inf), source
                )
            )
        add(_chunks(bundle, engine, precision, sounds))
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

    model = build_model(bundle.architecture, bundle.config, folded=True).eval()
    assert isinstance(model, Stream72k)  # the one network that has a folded form
    weights = read_safetensors(bundle.file("numpy", "fp32"))
    try:
        model.load_state_dict({name: torch.from_numpy(value) for name, value in weights.items()})
    except RuntimeError as error:
        problem = " ".join(str(error).split())
        raise EdgeSerError(f"the weights of {bundle.name} do not fit its config: {problem}") from error
    return model


def _reference_first(bundle: Bundle) -> list[tuple[str, str]]:
    """All variants, NumPy fp32 and then other fp32 first: where torch is missing the first is the reference."""
    return sorted(bundle.variants(), key=lambda kind: (kind[1] != "fp32", kind[0] != "numpy"))


def _open(bundle: Bundle, name: str, precision: str) -> Engine | MissingExtraError:
    from firmware_py.engines import open_engine

    try:
        return open_engine(bundle, name, precision)
    except MissingExtraError as error:  # reported as "not checked here"; any other error is the bundle's
        return error


def _compare(
    name: str, engine: str, precision: str, answers: Answers, reference: Answers, limit: float, source: str
) -> Check:
    errors = {sound: largest_error(answers[sound], reference[sound]) for sound in reference}
    worst = max(errors, key=lambda sound: errors[sound])
    return Check(
        name,
        engine,
        precision,
        errors[worst],
        limit,
        errors[worst] <= limit,
        f"against {source}; largest at {worst}",
    )


def _chunks(bundle: Bundle, engine: Engine, precision: str, sounds: Mapping[str, np.ndarray]) -> Check:
    """Predictions of the listening pipeline for each size of chunk against those of one push."""
    from firmware_py.pipeline import Pipeline

    rate = bundle.spec.sample_rate
    # The last sound is the caller's or the most voice-like one; a little noise keeps every step different.
    wave = next(reversed(list(sounds.values())))[: _CHUNKED_SECONDS * rate]
    wave = wave + np.random.default_rng(0).normal(0, 1e-3, len(wave)).astype(np.float32)

    def predictions(size: int) -> np.ndarray:
        pipeline = Pipeline(bundle, engine)
        found = [p for start in range(0, len(wave), size) for p in pipeline.push(wave[start : start + size])]
        rows = [[p.start, p.end, p.arousal, p.dominance, p.valence, *p.emotion.values()] for p in found]
        return np.array(rows, np.float64)

    whole = predictions(len(wave))
    errors = {size: largest_error(predictions(size), whole) for size in CHUNKS}
    worst = max(errors, key=lambda size: errors[size])
    ok = errors[worst] == 0 and len(whole) > 0
    note = f"{', '.join(map(str, CHUNKS))} samples at once" + ("" if ok else f"; {worst} differs most")
    return Check("chunks", engine.name, precision, errors[worst], 0.0, ok, note)
