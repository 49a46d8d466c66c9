"""A large encoder with linear heads as a bundle for hosts: ONNX of the waveform, as a window or a clip.

What the encoder's family does to a recording first (a mean of 0 and a variance of 1, or Whisper's log-mel) is in the
file. It computes in float32, where the teacher's own answers are in bfloat16.
"""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from edge_ser.audio import SAMPLE_RATE
from edge_ser.bundle import Bundle, check_target
from edge_ser.dsp import MelSpec
from edge_ser.errors import EdgeSerError
from edge_ser.evaluation.parity import LIMITS, compare_all, inputs_of, window_engine_answers
from export.calibration import Say
from export.description import describe, model_name
from export.exporter import without_folders
from export.formats import Format
from export.gate import Exported, asked
from export.metadata import about, with_metadata
from export.to_onnx import convert
from export.window import whole_steps
from export.writing import write_files
from firmware_py.engines.window import WindowEngine, filled

if TYPE_CHECKING:
    from edge_ser.teachers.encoders import WaveEncoder
    from edge_ser.teachers.linear import LinearTeacher
    from edge_ser.teachers.whisper import WhisperEncoder

__all__ = ["NOT_EXPORTED", "NamedTeacher", "export_teacher"]

#: Kinds of `edge_ser.teachers.registry.TEACHERS` that become no bundle, and why, as the end of a sentence.
NOT_EXPORTED: Mapping[str, str] = {
    "dawn": "it names no emotion, and a bundle does",
    "odyssey": "it names no emotion, and a bundle does",
    "mean": "it names no emotion, and a bundle does",
    "attentive": "each of its members changes the encoder, so that a file would hold as many encoders",
}
#: Seconds from answer to answer: each costs as much as the whole clip before it.
HOP_S = 1.0
WINDOW_S = 5.0
_ONE = "onnx-fp32"
_KEPT = ("recipe", "held_out_fold", "seed", "clips", "speakers", "licence", "citation", "adv_source")


class NamedTeacher(nn.Module):
    """An encoder and its linear heads, their tensors in and out by the names that bundle.json gives them.

    Parameters
    ----------
    teacher : LinearTeacher
    samples : int
        Of a whole window.
    form : {'window', 'clip'}
    """

    output_names = ("adv", "logits")

    def __init__(self, teacher: LinearTeacher, samples: int, form: str) -> None:
        super().__init__()
        encoder: Any = teacher.encoder
        whisper = hasattr(encoder, "embed")
        self.body: nn.Module = _Whisper(encoder) if whisper else _Waves(encoder)
        self.samples, self.form = samples, form
        heads = teacher.heads
        # One linear map from the statistics: the standardisation, the components and the heads after one another.
        turn = heads.basis.astype(np.float64) / heads.scale.astype(np.float64)[:, None]
        rated = bool(np.isfinite(heads.adv_weight).all())
        self.rated = rated
        self.emotion = _linear(turn, heads.mean, heads.weight, heads.bias)
        self.adv = _linear(turn, heads.mean, heads.adv_weight, heads.adv_bias) if rated else None
        self.eval().requires_grad_(False)

    @property
    def dynamic(self) -> dict[str, dict[int, Any]] | None:
        """Dimensions of the inputs that have no fixed size."""
        return {"waveform": {1: torch.export.Dim.DYNAMIC}} if self.form == "clip" else None

    def example(self) -> dict[str, Tensor]:
        """An input of a whole window; not of zeros, whose variance is none."""
        return {"waveform": torch.sin(torch.arange(self.samples) / 9.0)[None]}

    def forward(self, waveform: Tensor) -> dict[str, Tensor]:
        """(1, n) to ``adv`` (1, 3) and ``logits`` (1, labels)."""
        parts = []
        for state in self.body(waveform):
            parts += [state.mean(1), state.std(1, correction=0)]
        found = torch.cat(parts, 1)
        middle = found.new_full((1, 3), 0.5)
        adv = middle if self.adv is None else self.adv(found).clamp(0, 1)
        return {"adv": adv, "logits": self.emotion(found)}


def _linear(turn: np.ndarray, mean: np.ndarray, weight: np.ndarray, bias: np.ndarray) -> nn.Linear:
    whole = turn @ weight.astype(np.float64)
    layer = nn.Linear(*whole.shape)
    with torch.no_grad():
        layer.weight.copy_(torch.from_numpy(whole.T))
        layer.bias.copy_(torch.from_numpy(bias - mean.astype(np.float64) @ whole))
    return layer


class _Waves(nn.Module):
    """wav2vec 2.0, WavLM, HuBERT, with what is done to a recording first."""

    def __init__(self, encoder: WaveEncoder) -> None:
        super().__init__()
        encoder.network.set_attn_implementation("eager")
        self.encoder = encoder

    def forward(self, waveform: Tensor) -> list[Tensor]:
        x = waveform
        if self.encoder.standardises:
            x = x - x.mean(1, keepdim=True)
            x = x - x.mean(1, keepdim=True)  # what float32 left of it, which of a steady sound would be all
            x = x / torch.sqrt((x * x).mean(1, keepdim=True) + 1e-7)
        states: list[Tensor] = self.encoder(x)
        return states


class _Whisper(nn.Module):
    """Whisper's encoder, with its front end."""

    def __init__(self, encoder: WhisperEncoder) -> None:
        super().__init__()
        from edge_ser.models.wav2small import FrontEnd

        encoder.encoder.config._attn_implementation = "eager"
        self.encoder, self.front_end = encoder, FrontEnd(encoder.spec)

    def forward(self, waveform: Tensor) -> list[Tensor]:
        peak = waveform.abs().amax(1, keepdim=True)
        x = torch.where(peak > 0, waveform * (self.encoder.peak / peak.clamp_min(1e-30)), waveform)
        bands = self.front_end(x)[:, :-1] / 10  # decibels to decades
        bands = torch.maximum(bands, bands.amax((1, 2), keepdim=True) - self.encoder.decades)
        states: list[Tensor] = self.encoder.run(self.encoder.embed(((bands + 4) / 4).transpose(1, 2)))
        return states


def export_teacher(
    teacher: LinearTeacher,
    out: str | Path,
    formats: Sequence[Format],
    sounds: Mapping[str, np.ndarray],
    training: Mapping[str, Any],
    *,
    window_s: float = WINDOW_S,
    hop_s: float = HOP_S,
    form: str = "window",
    name: str | None = None,
    licence: str | None = None,
    overwrite: bool = False,
    say: Say = lambda text: None,
) -> tuple[list[Exported], Bundle | None]:
    """Convert a teacher, compare the file with torch, and write a bundle.

    Parameters
    ----------
    teacher : LinearTeacher
    out : path
    formats : sequence of Format
        Only ``onnx-fp32`` is made; the others are refused with their reason.
    sounds : mapping of str to (n,) float32
        What the file is checked on.
    training : mapping
        The heads' own description; what a card says of a training is taken from it.
    window_s, hop_s : float
        Seconds that it hears, and from answer to answer.
    form : {'window', 'clip'}
    name, licence, overwrite, say
        As in `export.exporter.export_checkpoint`.

    Returns
    -------
    rows : list of Exported
        One a format.
    bundle : Bundle or None
        None where nothing was made, or its answers are not torch's.

    Raises
    ------
    EdgeSerError
        A teacher that cannot answer a recording by itself, a bad target, or lengths that cannot be.
    """
    from edge_ser.teachers.checkpoints import refuse_alone

    refuse_alone(teacher.centred)
    target = check_target(out, overwrite=overwrite)
    called = model_name(name, target)
    spec = MelSpec()  # of no use to it but for the rate and the hop that times are counted in
    steps, step = whole_steps(spec, window_s, hop_s)
    samples = steps * step * spec.hop_length
    named = NamedTeacher(teacher, samples, form)
    known = without_folders({key: training[key] for key in _KEPT if training.get(key) is not None})
    description = _describe(named, teacher, known, spec, step, called, licence)
    rows = []
    for row in formats:
        small = f"{row.key} is for boards, which have no room for a large encoder; it becomes {_ONE}"
        one = asked(row, None if row.key == _ONE else small, say)
        if one.applies:
            say(f"{row.key}: converting")
            content = with_metadata(convert(named), row.engine, about(description))
            one = dataclasses.replace(one, data=content)
        rows.append(one)
    if all(row.data is None for row in rows):
        return rows, None
    checked = _checked(rows, named, description, sounds, say)
    if not all(row.ok for row in checked if row.applies):
        return checked, None
    return checked, write_files(target, checked, description, form, overwrite=overwrite)


def _checked(
    rows: Sequence[Exported],
    named: NamedTeacher,
    description: Mapping[str, Any],
    sounds: Mapping[str, np.ndarray],
    say: Say,
) -> list[Exported]:
    from firmware_py.engines import open_engine

    done = []
    with tempfile.TemporaryDirectory() as folder:
        bundle = write_files(Path(folder) / "bundle", rows, description, named.form)
        inputs = inputs_of(bundle, sounds)
        wanted = {sound: _answers(named, steps) for sound, steps in inputs.items()}
        for row in rows:
            if row.data is None:
                done.append(row)
                continue
            engine = open_engine(bundle, row.format.engine, row.format.precision)
            assert isinstance(engine, WindowEngine)  # the form that it was written in
            answers = {sound: window_engine_answers(engine, steps) for sound, steps in inputs.items()}
            error, worst = compare_all(answers, wanted, rounded=True)
            one = dataclasses.replace(row, error=error, worst=f"largest at {worst}")
            say(f"{row.format.key}: {len(row.data) / 1024:.0f} KB, largest error {error.largest:.2g} at {worst} "
                f"(limit {LIMITS['fp32'].largest:g}): {'ok' if one.ok else 'REFUSED'}")  # fmt: skip
            done.append(one)
    return done


def _answers(named: NamedTeacher, steps: np.ndarray) -> np.ndarray:
    """Of the module, after each step of (steps, samples); the same as the engine's."""
    rows = []
    with torch.inference_mode():
        for number in range(1, len(steps) + 1):
            heard = steps[:number].reshape(-1)[-named.samples :]
            if named.form == "window":
                heard = filled(heard, named.samples)
            found = named(torch.from_numpy(np.ascontiguousarray(heard))[None])
            rows.append(torch.cat([found["adv"], found["logits"]], 1)[0].numpy())
    return np.array(rows)


def _describe(
    named: NamedTeacher,
    teacher: LinearTeacher,
    training: Mapping[str, Any],
    spec: MelSpec,
    step: int,
    name: str,
    licence: str | None,
) -> dict[str, Any]:
    if spec.sample_rate != SAMPLE_RATE:
        raise EdgeSerError(f"teachers hear {SAMPLE_RATE} Hz, not {spec.sample_rate}")
    kind = type(teacher.encoder).__name__
    data = training.get("licence") or "licences not recorded"
    return describe(
        name=name,
        architecture="linear-teacher",
        config={"labels": list(teacher.labels), "encoder": kind, "layers": teacher.encoder.depth},
        spec=spec,
        states={},
        parameters=sum(p.numel() for p in named.parameters()),
        macs_per_second=0,
        training=dict(training),
        licence=licence or f"non-commercial use, as the training data's ({data}) and the encoder's",
        adv_source=str(training.get("adv_source") or "the ratings that the heads were fitted on")
        if named.rated
        else "none: fitted without ratings",
        rated=named.rated,
        figures=[],
        calibration={"temperature": 1.0, "unsure_below": 0.0},
        files=(),
        window={
            "input": "waveform",
            "shape": (1, named.samples),
            "samples": named.samples,
            "normalise": "none",
            "step_frames": step,
        },
    )
