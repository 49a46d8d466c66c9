"""Several members that attend to an encoder's layers and time, alike but for their seed, as one fine-tuned teacher."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from edge_ser.errors import EdgeSerError
from edge_ser.teachers.attention import LEAST_SPREAD, AttentiveHead, AttentiveShape, Heard, Listener, pad
from edge_ser.teachers.checkpoints import check_encoder, read_teacher, refuse_alone, write_teacher
from edge_ser.teachers.encoders import load_encoder
from edge_ser.teachers.targets import Targets

__all__ = ["AttentiveHeads", "AttentiveTeacher"]

Floats = npt.NDArray[np.float32]


@dataclasses.dataclass(frozen=True)
class AttentiveHeads:
    """Members and what turns their pooled vectors into a hint: all that a teacher is beside its encoder.

    Attributes
    ----------
    members : tuple of AttentiveHead
    rated : bool
        Some training clip had ratings; without, arousal, dominance and valence are not answered.
    mean, scale : (M * 2 * width,)
        Of the members' pooled vectors on the training clips.
    basis : (M * 2 * width, K)
        Principal components of the standardised vectors, each divided by its deviation.
    """

    members: tuple[AttentiveHead, ...]
    rated: bool
    mean: Floats
    scale: Floats
    basis: Floats

    @classmethod
    def of(cls, members: Sequence[AttentiveHead], rated: bool, pooled: Floats, hint: int) -> AttentiveHeads:
        """With the principal components of the training clips' vectors (N, M * 2 * width).

        Raises
        ------
        EdgeSerError
            There are fewer clips than components.
        """
        if hint > min(pooled.shape):
            raise EdgeSerError(
                f"{pooled.shape[0]} recordings are too few for a hint of {hint}: lower [attentive] hint"
            )
        mean, scale = pooled.mean(0), np.maximum(pooled.std(0), LEAST_SPREAD)
        basis = np.zeros((pooled.shape[1], 0), np.float32)
        if hint:
            x = torch.from_numpy((pooled - mean) / scale)
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(0)  # the method is a random projection, refined
                _, values, found = torch.svd_lowrank(x, q=hint, niter=3)
            spread = (values / len(x) ** 0.5).clamp(min=LEAST_SPREAD)
            basis = np.ascontiguousarray((found / spread).numpy())
        return cls(tuple(members), rated, mean, scale, basis)

    def answer(
        self, listener: Listener, heard: Sequence[Heard], centres: Tensor | None = None
    ) -> tuple[Floats, Floats, Floats]:
        """Means of the members' answers: logits (N, L), A/D/V (N, 3) in 0..1 or NaN, hints (N, K)."""
        with torch.inference_mode():
            vectors, logits, adv = [], [], []
            for member in self.members:
                pooled = member.pool(*pad(listener.frames(member, heard)), centres)
                said = member(pooled)
                vectors.append(pooled)
                logits.append(said[0])
                adv.append(said[1])
            ratings = torch.stack(adv).mean(0)
            if not self.rated:
                ratings.fill_(torch.nan)
            meant: Floats = torch.stack(logits).mean(0).numpy()
            hint = np.asarray(
                ((torch.cat(vectors, 1).numpy() - self.mean) / self.scale) @ self.basis, np.float32
            )
            return meant, ratings.numpy(), hint

    def tensors(self) -> dict[str, npt.NDArray[Any]]:
        """The arrays by name; the basis in half precision."""
        arrays: dict[str, npt.NDArray[Any]] = {
            f"members.{i}.{name}": tensor.numpy()
            for i, member in enumerate(self.members)
            for name, tensor in member.state_dict().items()
        }
        return arrays | {"mean": self.mean, "scale": self.scale, "basis": self.basis.astype(np.float16)}

    def digest(self) -> str:
        """SHA-256 of the arrays."""
        digest = hashlib.sha256(json.dumps(dataclasses.asdict(self.members[0].shape)).encode())
        for _, array in sorted(self.tensors().items()):
            digest.update(array.tobytes())
        return digest.hexdigest()


class AttentiveTeacher:
    """An encoder and its attentive members, as `edge_ser.teachers.targets.Teacher`.

    Parameters
    ----------
    listener : Listener
    heads : AttentiveHeads
    centred : str
        What was subtracted from the frames that the members were fitted on beside the mean; such a teacher cannot
        answer a recording by itself.
    identity : str, optional
        What the members were fitted on and how, as a hash; by default that of their tensors.
    """

    kind = "attentive"

    def __init__(
        self, listener: Listener, heads: AttentiveHeads, centred: str = "", identity: str | None = None
    ) -> None:
        self.listener, self.heads, self.centred = listener, heads, centred
        self.labels = listener.shape.labels
        self.hint_size = heads.basis.shape[1]
        about = f"attentive {listener.encoder.identity} {heads.digest()} {centred}"
        self.identity = identity or hashlib.sha256(about.encode()).hexdigest()

    @property
    def params(self) -> int:
        """Values that were fitted."""
        return sum(p.numel() for member in self.heads.members for p in member.parameters())

    def targets(self, wave: Floats) -> Targets:
        """Answer to a recording (n,) at 16 kHz.

        Raises
        ------
        EdgeSerError
            The teacher needs the speaker's other recordings.
        """
        refuse_alone(self.centred)
        heard, _ = self.listener.hear(wave)
        # as it is kept for training
        kept = Heard(*(part.half().float() for part in heard))
        logits, adv, hint = self.heads.answer(self.listener, [kept])
        return Targets(
            adv[0] if np.isfinite(adv).all() else None,
            logits[0] if self.labels else None,
            hint[0] if self.hint_size else None,
        )

    def save(self, path: str | Path, about: dict[str, Any]) -> None:
        """Write the members, what they were trained on, and the encoder's identity."""
        meta = about | {
            "kind": self.kind,
            "shape": dataclasses.asdict(self.listener.shape),
            "members": len(self.heads.members),
            "rated": self.heads.rated,
            "encoder": self.listener.encoder.identity,
            "centred": self.centred,
            "identity": self.identity,
        }
        write_teacher(path, self.heads.tensors(), meta)

    @classmethod
    def load(cls, path: str | Path, encoder: str | Path) -> AttentiveTeacher:
        """Read members and put them on the encoder in `encoder`, a folder or a hub name.

        Raises
        ------
        EdgeSerError
            No such file, or one of another kind or not whole, or trained on another encoder.
        """
        arrays, meta = read_teacher(path, cls.kind, {"shape", "members", "rated"}, {"mean", "scale", "basis"})
        found = load_encoder(encoder)
        check_encoder(path, meta, found.identity, encoder)
        listener = Listener(found, AttentiveShape.from_dict(meta["shape"]))
        members = []
        for i in range(int(meta["members"])):
            head = AttentiveHead(listener.shape, listener.projections())
            start = f"members.{i}."
            own = {
                n.removeprefix(start): torch.from_numpy(a) for n, a in arrays.items() if n.startswith(start)
            }
            try:
                head.load_state_dict(own)
            except RuntimeError as error:
                raise EdgeSerError(
                    f"{path} does not fit its own description: train it again with edge-ser teach"
                ) from error
            members.append(head.eval())
        rest = {name: arrays[name] for name in ("mean", "scale", "basis")}
        heads = AttentiveHeads(tuple(members), bool(meta["rated"]), **rest)
        return cls(listener, heads, meta["centred"], meta["identity"])
