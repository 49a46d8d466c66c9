"""Train attentive teachers: members of several seeds for each set of held-out folds, resumable at every epoch."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from edge_ser.corpora import Clip
from edge_ser.errors import EdgeSerError
from edge_ser.progress import progress_bar
from edge_ser.teachers.attention import AttentiveHead, AttentiveShape, Heard, Listener, pad
from edge_ser.teachers.attentive import AttentiveHeads, AttentiveTeacher
from edge_ser.teachers.encoders import Encoder
from edge_ser.training.losses import ccc_loss, emotion_loss, smooth_targets
from edge_ser.training.material import Answers, Known, Material
from edge_ser.training.parts import need
from edge_ser.training.states import write_state

__all__ = ["AttentiveMaterial", "AttentivePart", "Hearing"]

Array = npt.NDArray[Any]
_ANSWERED_AT_ONCE = 32


@dataclasses.dataclass(frozen=True)
class AttentivePart:
    """``[attentive]``: a teacher that attends to layers and time, and may change its encoder.

    Attributes
    ----------
    adapted : int
        Upper layers of the encoder that are fine-tuned, by adapters on their attention projections; 0 leaves all as
        they are, at most all but the lowest.
    rank, alpha : int, float
        Of an adapter, see `edge_ser.teachers.attention.AttentiveShape`.
    stride : int
        Frames of the encoder that are averaged to one.
    attention : int
        Width of the layer that weighs frames.
    hint : int
        Principal components of the pooled vectors that are the hint for a student.
    seeds : tuple of int
        One member each; their answers are averaged.
    epochs, batch : int
    lr, adapter_lr : float
        Peaks of one cycle of AdamW, for what reads the encoder and for the adapters.
    weight_decay, dropout, label_smoothing : float
    adv_weight : float
        Weight of the loss of arousal, dominance and valence (one minus CCC) beside that of emotion.
    balance : float
        0 draws clips alike, 1 corpora alike, as in a student's ``[fit]``.
    crop_s : float
        Seconds of a clip that one pass hears; 0 is all of it.
    cross_fit : bool
        A training clip is answered for students of a fold by members that heard neither that fold nor the clip's own:
        for F folds ``F (F + 1) / 2 + 1`` teachers are trained. Without, the F + 1 teachers of one fold each (and of
        none) answer alone: they never heard the students' fold, but they did hear the clip.

    Raises
    ------
    EdgeSerError
        A value is out of its range.
    """

    adapted: int = 0
    rank: int = 8
    alpha: float = 16.0
    stride: int = 5
    attention: int = 64
    hint: int = 96
    seeds: tuple[int, ...] = (0, 1, 2)
    epochs: int = 20
    batch: int = 16
    lr: float = 2e-3
    adapter_lr: float = 5e-4
    weight_decay: float = 0.1
    dropout: float = 0.3
    label_smoothing: float = 0.1
    adv_weight: float = 1.0
    balance: float = 0.0
    crop_s: float = 0.0
    cross_fit: bool = True

    def __post_init__(self) -> None:
        need(
            {
                "adapted, hint, adv_weight, weight_decay and crop_s of at least 0": min(
                    self.adapted, self.hint, self.adv_weight, self.weight_decay, self.crop_s
                )
                >= 0,
                "rank, stride, attention, epochs of at least 1": min(
                    self.rank, self.stride, self.attention, self.epochs
                )
                >= 1,
                "batch of at least 2": self.batch >= 2,
                "seeds that differ": bool(self.seeds) and len(set(self.seeds)) == len(self.seeds),
                "lr, adapter_lr and alpha above 0": min(self.lr, self.adapter_lr, self.alpha) > 0,
                "dropout and label_smoothing from 0 to below 1": 0 <= self.dropout < 1
                and 0 <= self.label_smoothing < 1,
                "balance from 0 to 1": 0 <= self.balance <= 1,
            }
        )

    def shape(self, encoder: Encoder, labels: tuple[str, ...]) -> AttentiveShape:
        """Of the members on an encoder."""
        own = {
            name: getattr(self, name)
            for name in ("adapted", "rank", "alpha", "stride", "attention", "dropout")
        }
        return AttentiveShape(labels=labels, states=encoder.states, width=encoder.width, **own)


class Hearing:
    """What `edge_ser.training.views.computed` asks a listener for: three arrays of one pass over a recording."""

    def __init__(self, listener: Listener) -> None:
        self.listener = listener
        self._wave: npt.NDArray[np.float32] | None = None
        self._arrays: dict[str, Array] = {}
        shape = listener.shape
        about = f"{listener.encoder.identity} {shape.stride} {listener.first}"
        self.names = {part: f"attentive {part} {about}" for part in ("fixed", "entering", "moments")}

    def functions(self) -> dict[str, Any]:
        """From what names an array to what computes it."""
        return {name: self._function(part) for part, name in self.names.items()}

    def _function(self, part: str) -> Any:
        def of(wave: npt.NDArray[np.float32]) -> Array:
            if wave is not self._wave:
                heard, moments = self.listener.hear(wave)
                self._arrays = {"moments": moments.numpy()}
                for name, states in heard._asdict().items():
                    if not float(states.abs().max() if states.numel() else 0.0) <= np.finfo(np.float16).max:
                        raise EdgeSerError(
                            "the encoder's states are no numbers or beyond 65504; use another encoder"
                        )
                    self._arrays[name] = states.numpy().astype(np.float16)
                self._wave = wave
            return self._arrays[part]

        return of


class AttentiveMaterial(Material):
    """Of an encoder's states; in memory, in half precision (RAVDESS by Whisper base: 0.4 to 0.6 GB a view).

    Parameters
    ----------
    clips, labels, known
        As of `Material`.
    heard : mapping
        ``[view][clip]`` arrays under the names of `Hearing.names`.
    listener : Listener
    how : AttentivePart
    centred : str
        'speaker': frames are heard around the mean of all of a speaker's frames in a view, which is that of the
        unchanged encoder for the adapted layers too.
    folder : Path
        Keeps members that are trained, and what a stopped training goes on from.
    identity : str
        Hash of all that members follow from but their seed and the folds left out.
    """

    what = "attentive heads"

    def __init__(
        self,
        clips: Sequence[Clip],
        labels: tuple[str, ...],
        known: Known,
        heard: dict[str, list[list[Array]]],
        listener: Listener,
        how: AttentivePart,
        centred: str,
        folder: Path,
        identity: str,
    ) -> None:
        super().__init__(clips, labels, known)
        self.listener, self.how, self.centred = listener, how, centred
        self.folder, self.identity, self.hint_size = folder, identity, how.hint
        if how.adapted:
            self.what = f"attentive heads and adapters of {how.adapted} layers"
        names = Hearing(listener).names
        self.fixed, self.entering = heard[names["fixed"]], heard[names["entering"]]
        self.moments = torch.from_numpy(np.array(heard[names["moments"]], np.float32))  # (V, N, 2, S, D)
        self.views = len(self.fixed)
        self._centres = self._speakers() if centred else None

    def _speakers(self) -> Tensor:
        """Mean of the speaker of each clip in each view, (V, N, S, D)."""
        centres = self.moments[:, :, 0].clone()
        speakers = np.array([clip.speaker for clip in self.clips])
        for speaker in np.unique(speakers):
            mine = torch.from_numpy(np.flatnonzero(speakers == speaker))
            centres[:, mine] = centres[:, mine].mean(1, keepdim=True)
        return centres

    def _heard(self, view: int, clip: int) -> Heard:
        return Heard(
            torch.from_numpy(self.fixed[view][clip]).float(),
            torch.from_numpy(self.entering[view][clip]).float(),
        )

    def _around(self, views: Sequence[int], clips: Sequence[int]) -> Tensor | None:
        return None if self._centres is None else self._centres[list(views), list(clips)]

    def answering(self, fold: int | None, other: int | None) -> AttentiveHeads:
        """As `Material.answering`; without ``cross_fit`` they may have heard `other`."""
        heads: AttentiveHeads = self.heads(fold, other) if self.how.cross_fit else self.heads(fold)
        return heads

    def fit(self, part: npt.NDArray[np.int64], out: frozenset[int]) -> AttentiveHeads:
        """As `Material.fit`; what was fitted before is read."""
        name = "without" + "-".join(map(str, sorted(out))) if out else "of-all"
        members = [self._member(part, f"{name}-seed{seed}", seed) for seed in self.how.seeds]
        rated = bool(np.isfinite(self.adv[part]).all(1).any())
        pooled = [
            np.concatenate([self._pooled(members, part[at], view) for at in _chunks(len(part))])
            for view in range(self.views)
        ]
        return AttentiveHeads.of(members, rated, np.concatenate(pooled), self.how.hint)

    def _pooled(
        self, members: Sequence[AttentiveHead], chunk: npt.NDArray[np.int64], view: int
    ) -> npt.NDArray[np.float32]:
        heard = [self._heard(view, i) for i in chunk.tolist()]
        around = self._around([view] * len(chunk), chunk.tolist())
        with torch.inference_mode():
            vectors = [one.pool(*pad(self.listener.frames(one, heard)), around) for one in members]
        return torch.cat(vectors, 1).numpy()

    def answers(self, heads: AttentiveHeads, part: npt.NDArray[np.int64], view: int) -> Answers:
        """As `Material.answers`."""
        said = [
            heads.answer(
                self.listener,
                [self._heard(view, i) for i in part[at].tolist()],
                self._around([view] * len(part[at]), part[at].tolist()),
            )
            for at in _chunks(len(part))
        ]
        logits, adv, hints = (np.concatenate(column) for column in zip(*said, strict=True))
        return logits, adv, hints

    def teacher(self, heads: AttentiveHeads, identity: str) -> AttentiveTeacher:
        """As `Material.teacher`."""
        return AttentiveTeacher(self.listener, heads, self.centred, identity)

    def _member(self, part: npt.NDArray[np.int64], name: str, seed: int) -> AttentiveHead:
        """A trained member, from its file where it is done."""
        how = self.how
        truths = [(int(i), int(self.classes[i]), self.adv[i].tolist(), self.clips[i].speaker) for i in part]
        what = f"{self.identity} {name} {self.labels} {self.known} {truths}"
        about = hashlib.sha256(what.encode()).hexdigest()
        torch.manual_seed(seed)
        head = AttentiveHead(self.listener.shape, self.listener.projections())
        chosen = self.moments[:, torch.from_numpy(part)].flatten(0, 1)
        around = None if self._centres is None else self._centres[:, torch.from_numpy(part)].flatten(0, 1)
        head.standardise_by(chosen, around)
        groups = [
            {"params": [p for n, p in head.named_parameters() if not n.startswith(("up.", "down."))]},
            {"params": [*head.up.parameters(), *head.down.parameters()]},
        ]
        peaks = [how.lr, how.adapter_lr]
        groups, peaks = groups[: 1 + bool(how.adapted)], peaks[: 1 + bool(how.adapted)]
        optimiser = torch.optim.AdamW(groups, lr=how.lr, weight_decay=how.weight_decay)
        batches = max(1, len(part) // how.batch)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, peaks, how.epochs * batches + 1)
        path = self.folder / f"{name}.pt"
        parts = {"head": head, "optimiser": optimiser, "schedule": schedule}
        done = _resume(path, about, parts)
        with progress_bar(name, how.epochs, "epoch") as bar:
            for epoch in range(how.epochs):
                if epoch >= done:
                    # All chance of an epoch follows from seed and epoch, so that a resumed run draws the same.
                    rng = np.random.default_rng([seed, epoch])
                    torch.manual_seed(seed * 1_000_003 + epoch)
                    head.train()
                    order = self._order(part, rng)
                    for i in range(batches):
                        self._step(head, order[i * how.batch : (i + 1) * how.batch], optimiser, rng)
                        schedule.step()
                    _keep(path, about, parts, epoch + 1)
                bar.update()
        return head.eval().requires_grad_(False)

    def _order(self, part: npt.NDArray[np.int64], rng: np.random.Generator) -> npt.NDArray[np.int64]:
        """Clips of one epoch in random order."""
        corpora = np.array([self.clips[i].corpus for i in part])
        _, group, size = np.unique(corpora, return_inverse=True, return_counts=True)
        weight = size[group] ** -self.how.balance
        return part[rng.choice(len(part), len(part), replace=self.how.balance > 0, p=weight / weight.sum())]

    def _step(
        self,
        head: AttentiveHead,
        index: npt.NDArray[np.int64],
        optimiser: torch.optim.Optimizer,
        rng: np.random.Generator,
    ) -> None:
        views = rng.integers(self.views, size=len(index)).tolist()
        heard = [self._crop(self._heard(v, i), rng) for v, i in zip(views, index.tolist(), strict=True)]
        frames, valid = pad(self.listener.frames(head, heard))
        logits, adv = head(head.pool(frames, valid, self._around(views, index.tolist())))
        allowed = torch.from_numpy(self.allowed[index])
        targets = smooth_targets(torch.from_numpy(self.classes[index]), allowed, self.how.label_smoothing)
        loss = emotion_loss(logits, targets, allowed)
        loss = loss + self.how.adv_weight * ccc_loss(adv, torch.from_numpy(self.adv[index]))
        if not torch.isfinite(loss):
            raise EdgeSerError(f"the teacher's loss is {loss.item()}: lower [attentive] lr and adapter_lr")
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(head.parameters(), 5.0)
        optimiser.step()

    def _crop(self, heard: Heard, rng: np.random.Generator) -> Heard:
        """A random stretch of ``crop_s`` seconds."""
        stride = self.how.stride
        frames = round(self.how.crop_s * self.listener.encoder.frame_rate / stride)
        spare = heard.fixed.shape[1] - frames
        if frames == 0 or spare <= 0:
            return heard
        start = int(rng.integers(spare + 1))
        stop = start + frames
        return Heard(heard.fixed[:, start:stop], heard.entering[start * stride : stop * stride])


def _chunks(count: int) -> list[slice]:
    return [slice(at, at + _ANSWERED_AT_ONCE) for at in range(0, count, _ANSWERED_AT_ONCE)]


def _keep(path: Path, about: str, parts: dict[str, Any], epoch: int) -> None:
    kept = {name: part.state_dict() for name, part in parts.items()}
    write_state(path, {"about": about, "epoch": epoch, **kept})


def _resume(path: Path, about: str, parts: dict[str, Any]) -> int:
    """Load the state of a training where there is one; the epochs done."""
    if not path.exists():
        return 0
    saved = torch.load(path, weights_only=True)
    if saved["about"] != about:
        raise EdgeSerError(
            f"{path} was written by another recipe: give the run another name or remove {path.parent}"
        )
    for name, part in parts.items():
        part.load_state_dict(saved[name])
    return int(saved["epoch"])
