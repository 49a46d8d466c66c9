"""Networks that hear a clip as a whole, as converters want them: a window in, answers out, no states."""

from __future__ import annotations

import copy
import dataclasses
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from edge_ser.dsp import MelSpec, log_mel
from edge_ser.errors import EdgeSerError
from edge_ser.models.base import CLIP_S, ClipNetwork
from firmware_py.engines.window import filled

__all__ = [
    "HOP_S",
    "LONGEST_S",
    "OPTIONS",
    "NamedWindow",
    "WindowPlan",
    "as_convolutions",
    "plan_window",
    "whole_steps",
]

#: Seconds from one answer to the next: those of the streaming student's step.
HOP_S = 0.25
#: Most seconds of a window that a bundle may hold, by `edge_ser.manifest`.
LONGEST_S = 600
#: What `plan_window` takes, by the command line's names.
OPTIONS = {"window_s": "--window", "hop_s": "--hop", "takes": "--input", "form": "--form"}
_HEADS = ("adv", "emotion")


@dataclasses.dataclass(frozen=True)
class WindowPlan:
    """How a network is fed.

    Attributes
    ----------
    spec : MelSpec
        The front end that it was trained with.
    samples : int
        Length of the window.
    step_frames : int
        Hops of the front end from one answer to the next.
    takes : {'features', 'waveform'}
        The files' input.
    normalise : str
        See `edge_ser.manifest.Window`.
    form : {'window', 'clip'}
    """

    spec: MelSpec
    samples: int
    step_frames: int
    takes: str
    normalise: str
    form: str

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the input of a whole window, batch of one included."""
        if self.takes == "waveform":
            return (1, self.samples)
        return (1, self.spec.frames(self.samples), self.spec.n_mels)

    @property
    def streamed(self) -> bool:
        """Its features do not depend on the window, and are taken once; see `Manifest.hears`."""
        return self.takes == "features" and self.normalise == "none" and self.spec.padding == "causal"

    def given(self, model: ClipNetwork, wave: np.ndarray) -> np.ndarray:
        """What a file is given at the end of a recording: (frames, n_mels) or (samples,).

        Parameters
        ----------
        model : ClipNetwork
        wave : (n,) float32
            At least one step.
        """
        if self.streamed:
            features = log_mel(wave, self.spec)
            length = self.spec.frames(self.samples)
            return features[-length:] if self.form == "clip" else filled(features, length)
        heard = wave[-self.samples :] if self.form == "clip" else filled(wave, self.samples)
        return heard if self.takes == "waveform" else model.heard(heard, self.spec)


def plan_window(
    model: ClipNetwork,
    spec: MelSpec,
    *,
    window_s: float | None = None,
    hop_s: float | None = None,
    takes: str | None = None,
    form: str | None = None,
) -> WindowPlan:
    """Choose how a network is fed.

    Parameters
    ----------
    model : ClipNetwork
    spec : MelSpec
        The front end that it was trained with.
    window_s, hop_s : float, optional
        Seconds that it hears, 5 where left out, and from one answer to the next, `HOP_S`.
    takes : {'features', 'waveform'}, optional
        A waveform where the network has a front end of its own, else features.
    form : {'window', 'clip'}, optional

    Raises
    ------
    EdgeSerError
        The network has no front end for a waveform, or the lengths do not fit each other.
    """
    if takes == "waveform" and not model.hears_waveform:
        raise EdgeSerError(
            f"{type(model).__name__} has no front end of its own, and one inside the file would compute each frame "
            "anew at every step; export it with --input features"
        )
    if takes == "features" and not model.hears_features:
        raise EdgeSerError(
            f"{type(model).__name__} hears waveforms alone; export it without --input features"
        )
    chosen = takes or ("waveform" if model.hears_waveform else "features")
    if chosen == "waveform" and spec != type(model).spec:
        raise EdgeSerError(
            f"{type(model).__name__} was trained with another front end than its own; export it with --input features"
        )
    steps, step_frames = whole_steps(
        spec, CLIP_S if window_s is None else window_s, HOP_S if hop_s is None else hop_s
    )
    samples = steps * step_frames * spec.hop_length
    return WindowPlan(spec, samples, step_frames, chosen, model.normalise, form or "window")


def whole_steps(spec: MelSpec, window_s: float, hop_s: float) -> tuple[int, int]:
    """Steps of a window and frames of a step, to the nearest whole ones.

    Raises
    ------
    EdgeSerError
        They are no lengths, the window is shorter than a step, or longer than a bundle may hold.
    """
    for option, seconds in (("--window", window_s), ("--hop", hop_s)):
        if not 0 < seconds <= LONGEST_S:  # nor NaN
            raise EdgeSerError(f"{option} must be more than 0 s and at most {LONGEST_S} s, not {seconds:g}")
    step_frames = round(hop_s * spec.frame_rate)
    steps = round(window_s * spec.frame_rate / max(step_frames, 1))
    if step_frames < 1 or not 1 <= steps <= LONGEST_S * spec.frame_rate / step_frames:
        raise EdgeSerError(
            f"a window of {window_s:g} s and a step of {hop_s:g} s do not fit; give a step of at least one frame "
            f"({1 / spec.frame_rate:g} s) and a window of at least one step, of at most {LONGEST_S} s in whole steps"
        )
    return steps, step_frames


class _Rows(nn.Module):
    """A linear map of the last dimension, as the convolution that quantisers and engines know best."""

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        self.conv = nn.Conv1d(linear.in_features, linear.out_features, 1, bias=linear.bias is not None)
        with torch.no_grad():
            self.conv.weight.copy_(linear.weight[:, :, None])
            if self.conv.bias is not None:
                self.conv.bias.copy_(linear.bias)

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs) or (B, T, inputs)."""
        if x.dim() == 2:
            return self.conv(x[:, :, None])[:, :, 0]
        return self.conv(x.transpose(1, 2)).transpose(1, 2)


def as_convolutions(model: ClipNetwork) -> ClipNetwork:
    """The same network with every linear map but the heads as a convolution of one; `model` stays as it is."""
    plain = copy.deepcopy(model)
    for name, module in list(plain.named_modules()):
        if isinstance(module, nn.Linear) and name not in _HEADS:
            plain.set_submodule(name, _Rows(module))
    return plain


class NamedWindow(nn.Module):
    """A clip network, its tensors in and out by the names that bundle.json gives them.

    Parameters
    ----------
    model : ClipNetwork
        Folded, in inference mode.
    plan : WindowPlan
    """

    def __init__(self, model: ClipNetwork, plan: WindowPlan) -> None:
        super().__init__()
        self.model = model
        self.plan = plan
        self.eval()

    @property
    def output_names(self) -> tuple[str, ...]:
        """Names of the outputs."""
        return ("adv", "logits")

    @property
    def dynamic(self) -> dict[str, dict[int, Any]] | None:
        """Dimensions of the inputs that have no fixed size."""
        return {self.plan.takes: {1: torch.export.Dim.DYNAMIC}} if self.plan.form == "clip" else None

    def example(self) -> dict[str, Tensor]:
        """An input of a whole window."""
        return {self.plan.takes: torch.zeros(self.plan.shape)}

    def forward(self, features: Tensor | None = None, waveform: Tensor | None = None) -> dict[str, Tensor]:
        """See `ClipNetwork.body` and `ClipNetwork.hear`; one of the two is given."""
        if waveform is not None:
            answers = self.model.hear(waveform)
        else:
            assert features is not None  # one of the two is given
            answers = self.model.answer(self.model.body(features, None))
        return dict(zip(self.output_names, answers, strict=True))
