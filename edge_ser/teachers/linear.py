"""A frozen encoder with linear heads: the teacher that two cores can train.

A recording becomes the mean and the deviation over time of every state of the encoder; these are standardised, turned
onto their principal components, and answered by a logistic and a ridge regression. On RAVDESS this linear reading of
Whisper base does better than the same encoder with its upper half fine-tuned on so few speakers.
"""

from __future__ import annotations

import dataclasses
import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from edge_ser.errors import EdgeSerError
from edge_ser.precision import bfloat16
from edge_ser.teachers.checkpoints import check_encoder, read_teacher, refuse_alone, write_teacher
from edge_ser.teachers.encoders import Encoder, load_encoder
from edge_ser.teachers.targets import Targets

__all__ = ["LEAST_SPREAD", "HeadPart", "LinearHeads", "LinearTeacher", "ridge", "statistics"]

Floats = npt.NDArray[np.float32]
LEAST_SPREAD = 1e-4  # of a statistic; below it stands still


@dataclasses.dataclass(frozen=True)
class HeadPart:
    """``[head]``: how the linear heads are fitted.

    Attributes
    ----------
    components : int
        Principal components that the heads see.
    hint : int
        The first of them, each scaled to a spread of one, are the hint for a student.
    weight_decay, adv_weight_decay : float
        Weight of half the squared norm beside the mean loss (of A/D/V, half the squared error), of emotion and of
        A/D/V; above 0.

    Raises
    ------
    EdgeSerError
        A value is out of its range.
    """

    components: int = 384
    hint: int = 96
    weight_decay: float = 0.4
    adv_weight_decay: float = 4.7

    def __post_init__(self) -> None:
        if not 0 <= self.hint <= self.components or self.components < 1:
            raise EdgeSerError(
                f"needs components of at least 1 and a hint of 0 to {self.components} of them, not {self.hint}"
            )
        if self.weight_decay <= 0 or self.adv_weight_decay <= 0:
            raise EdgeSerError("needs weight_decay and adv_weight_decay above 0")


def statistics(encoder: Encoder, wave: Floats) -> Floats:
    """Mean and deviation over time of every state of an encoder, computed in bfloat16 where the processor
    has it: twice as fast, and read as well.

    Parameters
    ----------
    encoder : Encoder
    wave : (n,) float32
        16 kHz.

    Returns
    -------
    (2 * states * width,) float32
    """
    with torch.inference_mode(), bfloat16():
        states = [state.float() for state in encoder.hidden(wave)]
        parts = [torch.cat([state.mean(0), state.std(0, unbiased=False)]) for state in states]
    return torch.cat(parts).numpy()


@dataclasses.dataclass(frozen=True)
class LinearHeads:
    """What was fitted on statistics; all that a teacher is beside its encoder.

    Attributes
    ----------
    labels : tuple of str
    mean, scale : (D,)
        Of the statistics.
    basis : (D, R)
        Principal components of the standardised statistics.
    spread : (R,)
        Deviation of each component on the recordings that it was fitted on.
    weight, bias : (R, L), (L,)
    adv_weight, adv_bias : (R, 3), (3,)
        NaN where no recording had ratings.
    hint_size : int
    """

    labels: tuple[str, ...]
    mean: Floats
    scale: Floats
    basis: Floats
    spread: Floats
    weight: Floats
    bias: Floats
    adv_weight: Floats
    adv_bias: Floats
    hint_size: int

    @classmethod
    def fit(
        cls,
        rows: Floats,
        classes: npt.NDArray[np.int64],
        allowed: npt.NDArray[np.bool_],
        adv: Floats,
        labels: tuple[str, ...],
        how: HeadPart,
    ) -> LinearHeads:
        """Fit on statistics of recordings; the same input gives the same heads.

        Parameters
        ----------
        rows : (N, D) float32
        classes : (N,) int64
            Index into `labels`; -1 where unknown.
        allowed : (N, L) bool
            Classes among which a recording's was chosen, those of its corpus; the others take no part in its softmax.
        adv : (N, 3) float32
            Ratings in 0..1; NaN where there are none.
        labels : tuple of str
        how : HeadPart

        Raises
        ------
        EdgeSerError
            There are fewer recordings, or fewer statistics of each, than components.
        """
        if min(rows.shape) < how.components:
            raise EdgeSerError(
                f"{rows.shape[0]} recordings of {rows.shape[1]} statistics are too few for {how.components} "
                "components: lower [head] components"
            )
        mean, scale = rows.mean(0), np.maximum(rows.std(0), LEAST_SPREAD)
        x = torch.from_numpy((rows - mean) / scale)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)  # the method is a random projection, refined
            _, _, basis = torch.svd_lowrank(x, q=how.components, niter=3)
        z = x @ basis
        known = classes >= 0
        weight, bias = _logistic(
            z[torch.from_numpy(known)], classes[known], allowed[known], how.weight_decay, len(labels)
        )
        rated = np.isfinite(adv).all(1)
        adv_weight, adv_bias = ridge(
            z[torch.from_numpy(rated)], torch.from_numpy(adv[rated]), how.adv_weight_decay
        )
        return cls(
            labels=labels,
            mean=mean,
            scale=scale,
            basis=np.ascontiguousarray(basis.numpy()),
            spread=z.std(0).numpy(),
            weight=weight.numpy(),
            bias=bias.numpy(),
            adv_weight=adv_weight.numpy(),
            adv_bias=adv_bias.numpy(),
            hint_size=how.hint,
        )

    def answer(self, rows: Floats) -> tuple[Floats, Floats, Floats]:
        """Answers to statistics (N, D), float32: logits (N, L), A/D/V (N, 3) in 0..1 or NaN, hints (N, K)."""
        z = ((rows - self.mean) / self.scale) @ self.basis
        logits = z @ self.weight + self.bias
        adv = np.clip(z @ self.adv_weight + self.adv_bias, np.float32(0), np.float32(1))
        hint = z[:, : self.hint_size] / self.spread[: self.hint_size]
        return np.asarray(logits, np.float32), np.asarray(adv, np.float32), np.asarray(hint, np.float32)

    def tensors(self) -> dict[str, Floats]:
        """The arrays by name."""
        return {name: getattr(self, name) for name in self.names()}

    @classmethod
    def names(cls) -> list[str]:
        """Names of the arrays."""
        return [f.name for f in dataclasses.fields(cls) if f.name not in ("labels", "hint_size")]


def _logistic(
    z: Tensor, classes: npt.NDArray[np.int64], allowed: npt.NDArray[np.bool_], decay: float, labels: int
) -> tuple[Tensor, Tensor]:
    """Multinomial logistic regression with a partial softmax for each row, by L-BFGS."""
    truth, closed = torch.from_numpy(classes), torch.from_numpy(~allowed)
    weight = torch.zeros(z.shape[1], labels, requires_grad=True)
    bias = torch.zeros(labels, requires_grad=True)
    search = torch.optim.LBFGS(
        [weight, bias], max_iter=200, tolerance_grad=1e-5, line_search_fn="strong_wolfe"
    )

    def loss() -> Tensor:
        search.zero_grad()
        logits = (z @ weight + bias).masked_fill(closed, -1e4)
        value = torch.nn.functional.cross_entropy(logits, truth) + decay / 2 * weight.square().sum()
        value.backward()
        return value

    if len(z):
        search.step(loss)
    return weight.detach(), bias.detach()


def ridge(z: Tensor, ratings: Tensor, decay: float) -> tuple[Tensor, Tensor]:
    """Ridge regression of centred ratings (N, 3) on (N, R): weight (R, 3) and bias (3,), NaN where there are none."""
    if len(z) == 0:
        return z.new_full((z.shape[1], 3), torch.nan), z.new_full((3,), torch.nan)
    y = ratings.double()
    x, centre = z.double() - z.double().mean(0), y.mean(0)
    gram = x.T @ x / len(x) + decay * torch.eye(x.shape[1], dtype=torch.float64, device=z.device)
    weight = torch.linalg.solve(gram, x.T @ (y - centre) / len(x))
    return weight.float(), (centre - z.double().mean(0) @ weight).float()


def _digest(encoder: Encoder, heads: LinearHeads, centred: str) -> str:
    digest = hashlib.sha256(f"linear {encoder.identity} {heads.labels} {heads.hint_size}{centred}".encode())
    for _, array in sorted(heads.tensors().items()):
        digest.update(array.tobytes())
    return digest.hexdigest()


class LinearTeacher:
    """An encoder and its linear heads, as `edge_ser.teachers.targets.Teacher`.

    Parameters
    ----------
    encoder : Encoder
    heads : LinearHeads
    centred : str
        What was subtracted from the statistics that the heads were fitted on; such a teacher cannot answer a recording
        by itself.
    identity : str, optional
        What the heads were fitted on and how, as a hash: the same for heads that differ in rounding alone, as another
        number of threads makes them. By default the hash of the heads.
    """

    def __init__(
        self, encoder: Encoder, heads: LinearHeads, centred: str = "", identity: str | None = None
    ) -> None:
        self.encoder, self.heads, self.centred = encoder, heads, centred
        self.labels, self.hint_size = heads.labels, heads.hint_size
        self.identity = identity or _digest(encoder, heads, centred)

    @property
    def params(self) -> int:
        """Values that were fitted."""
        return sum(array.size for array in self.heads.tensors().values())

    def targets(self, wave: Floats) -> Targets:
        """Answer to a recording (n,) at 16 kHz.

        Raises
        ------
        EdgeSerError
            The teacher needs the speaker's other recordings.
        """
        refuse_alone(self.centred)
        logits, adv, hint = self.heads.answer(statistics(self.encoder, wave)[None])
        return Targets(
            adv[0] if np.isfinite(adv).all() else None, logits[0], hint[0] if self.hint_size else None
        )

    def save(self, path: str | Path, about: dict[str, Any]) -> None:
        """Write the heads in half precision, with what they were trained on and the encoder's identity."""
        meta = about | {
            "labels": list(self.labels),
            "hint_size": self.hint_size,
            "encoder": self.encoder.identity,
            "centred": self.centred,
            "identity": self.identity,
        }
        arrays = {
            name: array.astype(np.float16) if name == "basis" else array
            for name, array in self.heads.tensors().items()
        }
        write_teacher(path, arrays, meta)

    @classmethod
    def load(cls, path: str | Path, encoder: str | Path) -> LinearTeacher:
        """Read heads and put them on the encoder in `encoder`, a folder or a hub name.

        Raises
        ------
        EdgeSerError
            No such file, or one of another kind or not whole, or trained on another encoder.
        """
        names = set(LinearHeads.names())
        arrays, meta = read_teacher(path, "linear", {"labels", "hint_size"}, names)
        own = {name: arrays[name] for name in LinearHeads.names()}
        heads = LinearHeads(tuple(meta["labels"]), **own, hint_size=int(meta["hint_size"]))
        found = load_encoder(encoder)
        check_encoder(path, meta, found.identity, encoder)
        return cls(found, heads, meta["centred"], meta["identity"])
