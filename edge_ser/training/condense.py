"""Dataset distillation by distribution matching: a few synthetic log-mel clips of each class in place of a corpus.

Distribution matching (Zhao & Bilen, arXiv 2110.04181) makes the clips S so that networks which nobody has trained
hear the same on average in them as in the real clips T, class by class::

    minimise over S   E_theta,omega  sum_c || mean_{x in T_c} psi(A(x, omega)) - mean_{s in S_c} psi(A(s, omega)) ||^2

``psi`` is `Network.pool` with weights theta drawn anew in each iteration, ``A`` an augmentation with figures omega that
are the same for both sides (Zhao & Bilen, arXiv 2102.08259) and that has a gradient: level, shift in time, a band mask.

Here theta's batch normalisation is set by the real clips of the iteration and then held. Were each side normalised by
itself, both means would lose what the classes have in common, and the synthetic clips could be of any level.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from edge_ser.dsp import MelSpec
from edge_ser.errors import EdgeSerError
from edge_ser.models.base import Network
from edge_ser.training.augment import Augment
from edge_ser.training.data import ClipSet
from edge_ser.training.parts import need
from edge_ser.training.states import write_state

__all__ = [
    "Change",
    "CondensePart",
    "Condensed",
    "agrees",
    "class_means",
    "condense",
    "drawn_clips",
    "middles",
]

_STILL = Augment(0.0, 0.0, 0.0, 0.0, 0.0, 0, 0, 0.0)


@dataclasses.dataclass(frozen=True)
class CondensePart:
    """``[condense]``: the synthetic clips and how they are made.

    Attributes
    ----------
    clips : tuple of int
        Synthetic clips of each class; one experiment each.
    iterations : int
        Networks drawn, one step of Adam each.
    real : int
        Real clips of each class that a step hears.
    start : {'real', 'noise'}
        What the synthetic clips begin as: the middles of real training clips, or noise of the real clips' mean and
        spread in each band.
    lr : float
        Of Adam (the paper has plain SGD), in units of the normalised log-mel; it falls to 0 as half a cosine.
    gain_db, shift_s, band_mask : float, float, int
        The augmentation: standard deviation of the level, cut at two of them; largest shift; widest band mask.
    keep_every : int
        Iterations after which the state is written, from which an interrupted run goes on.

    Raises
    ------
    EdgeSerError
        A value is out of its range.
    """

    clips: tuple[int, ...] = (5, 10)
    iterations: int = 500
    real: int = 16
    start: str = "real"
    lr: float = 0.02
    gain_db: float = 8.0
    shift_s: float = 0.25
    band_mask: int = 8
    keep_every: int = 50

    def __post_init__(self) -> None:
        need(
            {
                "clips of at least 1": bool(self.clips) and min(self.clips) >= 1,
                "clips of no number twice": len(set(self.clips)) == len(self.clips),
                "iterations, real and keep_every of at least 1": min(
                    self.iterations, self.real, self.keep_every
                )
                >= 1,
                "start of 'real' or 'noise'": self.start in ("real", "noise"),
                "lr above 0": self.lr > 0,
                "gain_db, shift_s and band_mask of at least 0": min(
                    self.gain_db, self.shift_s, self.band_mask
                )
                >= 0,
            }
        )


class Condensed(NamedTuple):
    """What `condense` makes."""

    clips: Tensor  # (L, n, T, n_mels), normalised log-mel: n clips of each of L classes
    distances: list[float]  # of each iteration, the sum over classes of the formula above


class Change(NamedTuple):
    """One draw of the augmentation: the same change for every clip that it is called with."""

    gain: float  # in units of the normalised log-mel
    shift: int  # frames later; negative is earlier
    first: int  # band of the mask
    width: int  # bands of the mask
    floor: float  # the least that a log-mel can be

    @classmethod
    def draw(cls, part: CondensePart, spec: MelSpec, rng: np.random.Generator) -> Change:
        """A change as `part` allows."""
        widest = round(part.shift_s * spec.frame_rate)
        width = int(rng.integers(0, min(part.band_mask, spec.n_mels) + 1))
        return cls(
            gain=float(np.clip(rng.standard_normal(), -2, 2)) * part.gain_db / spec.scale,
            shift=int(rng.integers(-widest, widest + 1)),
            first=int(rng.integers(0, spec.n_mels - width + 1)),
            width=width,
            floor=_floor(spec),
        )

    def __call__(self, batch: Tensor, frames: Tensor) -> Tensor:
        """Changed clips.

        Parameters
        ----------
        batch : Tensor (B, T, n_mels)
        frames : Tensor (B,)
            Valid frames of each, at least 1; what a shift uncovers is the nearest of them.

        Returns
        -------
        Tensor (B, T, n_mels)
            As many frames are valid; 0 in the mask.
        """
        place = (torch.arange(batch.shape[1]) - self.shift).clamp(min=0)
        place = torch.minimum(place[None], frames[:, None] - 1)
        moved = batch.gather(1, place[:, :, None].expand(-1, -1, batch.shape[2]))
        band = torch.arange(batch.shape[2])
        hidden = (band >= self.first) & (band < self.first + self.width)
        return (moved + self.gain).clamp(min=self.floor).masked_fill(hidden, 0.0)


def drawn_clips(labels: Tensor, classes: int, count: int, seed: int) -> Tensor:
    """Some clips of each class at random; of one seed, fewer clips are among more.

    Parameters
    ----------
    labels : Tensor (N,)
        Class index of each clip.
    classes, count, seed : int

    Returns
    -------
    Tensor (classes, count) int64
        Indices.

    Raises
    ------
    EdgeSerError
        A class has fewer clips.
    """
    rng = np.random.default_rng(seed)
    rows = []
    for label in range(classes):
        own = np.flatnonzero(labels.numpy() == label)
        if len(own) < count:
            raise EdgeSerError(
                f"a class has {len(own)} training clips, fewer than {count}: lower [condense] clips"
            )
        rows.append(rng.permutation(own)[:count])
    return torch.from_numpy(np.array(rows))


def middles(clips: ClipSet, index: Tensor, frames: int) -> Tensor:
    """The middle of clips; of shorter ones all, and their last frame repeated.

    Parameters
    ----------
    clips : ClipSet
    index : Tensor (...) int64
    frames : int
        T of the result.

    Returns
    -------
    Tensor (..., T, n_mels) float32
    """
    rows = []
    for i in index.flatten().tolist():
        clip = clips.views[0][i].float()
        start = max(0, (len(clip) - frames) // 2)
        rows.append(clip[(start + torch.arange(frames)).clamp(max=len(clip) - 1)])
    return torch.stack(rows).unflatten(0, index.shape)


def class_means(clips: ClipSet, classes: int, count: int, frames: int, seed: int) -> Tensor:
    """The plainest synthetic clips: each class is split into so many parts at random, each part gives its mean.

    Parameters
    ----------
    clips : ClipSet
    classes, count : int
        With a count of 1 they are the means of the classes.
    frames : int
        T; the clips' middles are averaged.
    seed : int

    Returns
    -------
    Tensor (classes, count, T, n_mels) float32

    Raises
    ------
    EdgeSerError
        A class has fewer clips than there are to be means.
    """
    means = []
    for label in range(classes):
        own = drawn_clips((clips.labels != label).long(), 1, int((clips.labels == label).sum()), seed)[0]
        if len(own) < count:
            raise EdgeSerError(
                f"a class has {len(own)} training clips, fewer than {count}: lower [condense] clips"
            )
        means.append(torch.stack([middles(clips, part, frames).mean(0) for part in own.tensor_split(count)]))
    return torch.stack(means)


def condense(
    clips: ClipSet,
    build: Callable[[], Network],
    part: CondensePart,
    spec: MelSpec,
    *,
    count: int,
    frames: int,
    seed: int,
    state: Path,
    about: dict[str, Any],
    report: Callable[[], None],
) -> Condensed:
    """Synthetic clips of each class by the formula at the head of this module.

    Parameters
    ----------
    clips : ClipSet
        Real ones to condense, each with a class, and nothing else: nothing here sees a test clip.
    build : callable
        A network with fresh weights, drawn from torch's global generator.
    part : CondensePart
    spec : MelSpec
    count : int
        Synthetic clips of each class.
    frames : int
        Of each synthetic clip, and of the real crops that they are compared with.
    seed : int
        All chance follows from it and the number of the iteration.
    state : Path
        File that keeps the work of an interrupted run, which goes on to the same clips as without a stop. It is left
        when all is done, for the caller to remove once the clips are safe.
    about : dict
        What the state must agree with to be gone on from: the recipe, and as ``heard`` the speakers.
    report : callable
        Called after each iteration, also for those that were done before.

    Returns
    -------
    Condensed

    Raises
    ------
    EdgeSerError
        A class has fewer than `count` clips, the crop does not suit the network, the distance is no longer a number,
        or the state is another recipe's.
    """
    classes = clips.allowed.shape[1]
    start = _start(clips, part, classes, count, frames, seed)
    made = start.clone().contiguous().requires_grad_()
    optimiser = torch.optim.Adam([made], lr=part.lr)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, part.iterations)
    distances = _resume(state, about, made, optimiser, schedule)
    pools = [np.flatnonzero(clips.labels.numpy() == label) for label in range(classes)]
    whole = torch.full((classes * count,), frames)
    for _ in distances:
        report()
    for iteration in range(len(distances), part.iterations):
        rng = np.random.default_rng([seed, count, iteration])
        torch.manual_seed(seed * 1_000_003 + iteration)
        drawn = [rng.choice(pool, part.real, replace=len(pool) < part.real) for pool in pools]
        real = clips.batch(np.concatenate(drawn).tolist(), frames, _STILL, spec, rng)
        change = Change.draw(part, spec, rng)
        network = build()
        network.check_crop(frames)
        heard = _hold(network, change(real.features, real.frames), real.frames)
        said = network.pool(change(made.flatten(0, 1), whole), whole)
        apart = heard.unflatten(0, (classes, -1)).mean(1) - said.unflatten(0, (classes, -1)).mean(1)
        distance = (apart**2).sum()
        if not torch.isfinite(distance):
            raise EdgeSerError(
                f"the distance is {distance.item()} in iteration {iteration + 1}: lower [condense] lr"
            )
        optimiser.zero_grad()
        distance.backward()
        optimiser.step()
        schedule.step()
        with torch.no_grad():
            made.clamp_(min=_floor(spec))
        distances.append(float(distance.detach()))
        if len(distances) % part.keep_every == 0 or len(distances) == part.iterations:
            _keep(state, about, made, optimiser, schedule, distances)
        report()
    return Condensed(made.detach(), distances)


def _floor(spec: MelSpec) -> float:
    return (10 * math.log10(spec.floor) - spec.mean) / spec.scale


def _start(clips: ClipSet, part: CondensePart, classes: int, count: int, frames: int, seed: int) -> Tensor:
    """What the synthetic clips begin as."""
    index = drawn_clips(clips.labels, classes, count, seed)
    if part.start == "real":
        return middles(clips, index, frames)
    every = torch.cat([clip.float() for clip in clips.views[0]])
    chance = torch.Generator().manual_seed(seed)
    noise = torch.randn((classes, count, frames, every.shape[1]), generator=chance)
    return noise * every.std(0) + every.mean(0)


def _hold(network: Network, features: Tensor, frames: Tensor) -> Tensor:
    """What a fresh network hears in a batch, by whose statistics its normalisation is then held; weights too."""
    network.requires_grad_(False).eval()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            module.momentum = 1.0  # the statistics of this batch alone
            module.train()
    with torch.no_grad():
        heard = network.pool(features, frames)
    network.eval()
    return heard


def agrees(said: Mapping[str, Any], about: Mapping[str, Any]) -> bool:
    """Whether work that says so of itself is what `about` asks for; older work lacks ``heard`` and ``told``."""
    later = ("heard", "told")
    return {**{key: about.get(key) for key in later}, **said} == {**dict.fromkeys(later), **about}


def _keep(
    path: Path,
    about: dict[str, Any],
    made: Tensor,
    optimiser: torch.optim.Optimizer,
    schedule: torch.optim.lr_scheduler.LRScheduler,
    distances: list[float],
) -> None:
    kept = {"optimiser": optimiser.state_dict(), "schedule": schedule.state_dict()}
    write_state(path, {"about": about, "made": made.detach(), "distances": distances, **kept})


def _resume(
    path: Path,
    about: dict[str, Any],
    made: Tensor,
    optimiser: torch.optim.Optimizer,
    schedule: torch.optim.lr_scheduler.LRScheduler,
) -> list[float]:
    """Load the state where there is one; the distances of the iterations done."""
    if not path.exists():
        return []
    saved = torch.load(path, weights_only=True)
    if not agrees(saved["about"], about):
        raise EdgeSerError(
            f"{path} was written by another recipe or for other speakers: give the run another name or remove the file"
        )
    with torch.no_grad():
        made.copy_(saved["made"])
    optimiser.load_state_dict(saved["optimiser"])
    schedule.load_state_dict(saved["schedule"])
    return list(saved["distances"])
