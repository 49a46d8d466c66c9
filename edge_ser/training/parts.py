"""The tables of a recipe, each with its fields, their defaults and their ranges."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping

from edge_ser.errors import EdgeSerError

__all__ = [
    "BesidePart",
    "DataPart",
    "DistilPart",
    "FitPart",
    "LivePart",
    "NoisePart",
    "SessionPart",
    "TasksPart",
    "need",
]


def need(ranges: Mapping[str, bool]) -> None:
    """Raise an `EdgeSerError` that names what does not hold, from each range in words and whether it does."""
    if bad := [what for what, holds in ranges.items() if not holds]:
        raise EdgeSerError(f"needs {' and '.join(bad)}")


@dataclasses.dataclass(frozen=True)
class DataPart:
    """``[data]``: which recordings.

    Attributes
    ----------
    corpora : tuple of str
        Names of corpora, folders of official copies, or CSV tables.
    folds : tuple of int
        Test folds to hold out, one model each; none trains one model on everything.
    labels : tuple of str
        Emotion classes; none takes all that the corpora have.

    Raises
    ------
    EdgeSerError
        A fold stands there twice: its clips would count twice.
    """

    corpora: tuple[str, ...]
    folds: tuple[int, ...] = ()
    labels: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if len(set(self.folds)) < len(self.folds):
            raise EdgeSerError(f"folds holds one twice: {', '.join(map(str, self.folds))}")


@dataclasses.dataclass(frozen=True)
class FitPart:
    """``[fit]``: the optimisation, AdamW on a one-cycle schedule; the last epoch is kept.

    Attributes
    ----------
    epochs, batch : int
        Passes over the data, clips in a batch.
    seeds : tuple of int
        One model each.
    start : str
        Checkpoint to begin from, where its tensors fit (a head of other classes begins anew; a narrower stream72k is
        widened); ``{fold}``, as in ``[distil]``, and ``{seed}`` in it are replaced. None begins from chance.
    lr, weight_decay : float
        Peak learning rate and decoupled weight decay.
    crop_s : float
        Seconds of a clip that one pass sees; a multiple of the model's step, at most its window.
    label_smoothing : float
        0..1.
    adv_weight : float
        Weight of the loss of arousal, dominance and valence (one minus CCC) beside that of emotion.
    balance : float
        0 draws clips alike, 1 corpora alike; between, a corpus of n clips weighs ``n ** (1 - balance)``.
    ema : float
        Decay of the moving average of the weights, which is what is kept.
    steady : float
        Share of the epochs, the last ones, in which the rate stays as they find it and what is kept is the plain mean
        of their weights (stochastic weight averaging, arXiv 1803.05407), 0..1; 0 lets the rate fall to nothing.
    dropout : float
        On the pooled vector.
    threads : int
        Of torch.
    quantised : float
        Share of the epochs, the last ones, in which weights act rounded to eight bits for each output channel
        (quantisation-aware training, arXiv 1712.05877), 0..1.
    bfloat16 : bool
        Convolutions and products compute in bfloat16 in training; the weights stay float32. A quarter faster on a CPU
        that has it; one that has not computes in float32, which is faster there.
    sharpness : float
        Radius within which the loss of ``[data]`` is made small at its worst (arXiv 2010.01412), at twice the work; 0
        is the place itself.
    consistency : float
        Weight of how far the answers are from those that the moving average gives to another stretch of the same clips
        without any disturbance (mean teacher, arXiv 1703.01780): noise or a narrow line are to change nothing.
    logit_adjustment : float
        How much of the classes' shares of the training is taken off the emotions' bias at its end, so that a rare class
        is named as readily as a frequent one (arXiv 2007.07314): 1 is all of it, 0 none.

    Raises
    ------
    EdgeSerError
        A value is out of its range, or a seed stands there twice: it would be one model that counts as two.
    """

    epochs: int = 60
    batch: int = 32
    seeds: tuple[int, ...] = (0,)
    start: str = ""
    lr: float = 4e-3
    weight_decay: float = 0.02
    crop_s: float = 3.0
    label_smoothing: float = 0.1
    adv_weight: float = 1.0
    balance: float = 0.0
    ema: float = 0.995
    steady: float = 0.0
    dropout: float = 0.2
    threads: int = 1
    quantised: float = 0.0
    bfloat16: bool = False
    sharpness: float = 0.0
    consistency: float = 0.0
    logit_adjustment: float = 0.0

    def __post_init__(self) -> None:
        if len(set(self.seeds)) < len(self.seeds):
            raise EdgeSerError(f"seeds holds one twice: {', '.join(map(str, self.seeds))}")
        need(
            {
                "epochs of at least 1": self.epochs >= 1,
                "batch of at least 2": self.batch >= 2,
                "seeds, each of at least 0": min(self.seeds, default=-1) >= 0,
                "lr above 0": 0 < self.lr < math.inf,
                "weight_decay of at least 0": 0 <= self.weight_decay < math.inf,
                "crop_s above 0": 0 < self.crop_s < math.inf,
                "label_smoothing from 0 to 1": 0 <= self.label_smoothing <= 1,
                "adv_weight of at least 0": 0 <= self.adv_weight < math.inf,
                "balance from 0 to 1": 0 <= self.balance <= 1,
                "ema from 0 to below 1": 0 <= self.ema < 1,
                "dropout from 0 to below 1": 0 <= self.dropout < 1,
                "threads of at least 1": self.threads >= 1,
            }
        )
        if not 0 <= self.quantised <= 1:
            raise EdgeSerError("quantised is a share of the epochs, 0 to 1")
        if self.logit_adjustment < 0:
            raise EdgeSerError("logit_adjustment is at least 0; 1 takes the classes' shares out whole")
        if not 0 <= self.steady < 1:
            raise EdgeSerError("steady is a share of the epochs, from 0 to below 1")
        if self.sharpness < 0:
            raise EdgeSerError("sharpness is a radius, at least 0")
        if self.consistency < 0:
            raise EdgeSerError("consistency is a weight, at least 0")


@dataclasses.dataclass(frozen=True)
class TasksPart:
    """``[tasks]``: what else is guessed from the pooled vector in training, each with its weight; 0 is no such task.

    Attributes
    ----------
    intensity, sex : float
        Of clips that tell.
    speaker : float
        Against the grain: the vector is to hide who speaks (gradient reversal, arXiv 1409.7495).
    """

    intensity: float = 0.0
    sex: float = 0.0
    speaker: float = 0.0

    def __post_init__(self) -> None:
        if min(dataclasses.astuple(self)) < 0:
            raise EdgeSerError("needs weights of at least 0")


@dataclasses.dataclass(frozen=True)
class SessionPart:
    """``[session]``: each clip is heard twice, alone and as one of its speaker's, see `edge_ser.training.session`.

    Attributes
    ----------
    clips : int
        Of one speaker side by side in a batch, at least 2.
    weight : float
        Of the emotion loss of what was heard so, beside that of what was heard alone; above 0.

    Raises
    ------
    EdgeSerError
        A value is out of its range.
    """

    clips: int = 8
    weight: float = 1.0

    def __post_init__(self) -> None:
        if self.clips < 2 or not self.weight > 0:
            raise EdgeSerError("needs clips of at least 2 and weight above 0")


@dataclasses.dataclass(frozen=True)
class NoisePart:
    """``[noise]``: what rooms and other sounds add to the features while training, see `edge_ser.training.noise`.

    Attributes
    ----------
    sounds : tuple of str
        Collections of sounds. What a model is tested in (``noise``, for `edge-ser evaluate --robustness`) is to be none
        of them.
    share, babble : float
        Chance that a clip is heard in one of them, and in other clips of its batch; together at most 1.
    snr_db : (float, float)
        Drawn evenly between.
    room : float
        Chance, 0..1, that a clip, before any noise, is heard in a room.
    room_s : (float, float)
        Its reverberation time (the level falls by 60 dB), drawn evenly between, above 0.
    direct_db : (float, float)
        Power that comes straight over power that comes from the walls, drawn evenly between.

    Raises
    ------
    EdgeSerError
        A value is out of its range.
    """

    sounds: tuple[str, ...] = ("esc10",)
    share: float = 0.4
    babble: float = 0.1
    snr_db: tuple[float, float] = (0.0, 30.0)
    room: float = 0.0
    room_s: tuple[float, float] = (0.2, 1.2)
    direct_db: tuple[float, float] = (-6.0, 12.0)

    def __post_init__(self) -> None:
        chances = min(self.share, self.babble, self.room) >= 0 and self.room <= 1
        if not (self.sounds and chances and 0 < self.share + self.babble <= 1):
            raise EdgeSerError(
                "needs sounds; room, share and babble from 0 to 1, the last two together as well"
            )
        for name in ("snr_db", "room_s", "direct_db"):
            pair = getattr(self, name)
            if len(pair) != 2 or pair[0] > pair[1]:
                raise EdgeSerError(f"needs {name} with the lower first")
        if self.room_s[0] <= 0:
            raise EdgeSerError("needs room_s above 0")


@dataclasses.dataclass(frozen=True)
class BesidePart:
    """``[beside]``: other corpora, learnt in batches and with heads of their own, see `edge_ser.training.beside`.

    Attributes
    ----------
    corpora : tuple of str
        None of them in ``[data]``, whose held-out speakers would be heard else.
    targets : str
        Folder of a teacher's targets of these corpora, as in ``[distil]``.
    weight : float
        Of all of it beside the loss of ``[data]``; above 0.
    soft : float
        Share of the teacher's answer in the emotion loss, 0..1.
    hint : float
        Weight of the teacher's features; at least 0.
    balance : float
        As in ``[fit]``.

    Raises
    ------
    EdgeSerError
        A value is out of its range.
    """

    corpora: tuple[str, ...]
    targets: str
    weight: float = 0.5
    soft: float = 0.5
    hint: float = 1.0
    balance: float = 0.3

    def __post_init__(self) -> None:
        if not (self.weight > 0 and 0 <= self.soft <= 1 and self.hint >= 0 and 0 <= self.balance <= 1):
            raise EdgeSerError("needs weight above 0, soft and balance from 0 to 1, hint of at least 0")


@dataclasses.dataclass(frozen=True)
class DistilPart:
    """``[distil]``: what a teacher adds; without this table a recipe trains on labels alone.

    Attributes
    ----------
    targets : str
        Folder of the teacher's targets, as ``edge-ser teach`` and ``edge-ser label`` write them. ``{fold}`` in it
        becomes the number of the fold held out, so that each student learns from a teacher that never heard its test.
        Where none is, ``fold{fold}`` or ``{fold}`` becomes ``all``. Nothing where there is ``[live]``.
    views : int
        Versions of each clip to learn from, at least 1: the clip itself and ``views - 1`` perturbed as ``[perturb]``
        says.
    soft : float
        Share of the teacher's softened answer in the emotion loss, 0..1; the rest is the label's.
    temperature : float
        That softens it; above 0.
    hint : float
        Weight of the loss of the teacher's features, guessed from the pooled vector; at least 0.
    quadrant : float
        Weight of the penalty on arousal and valence on the wrong side of 0.5; at least 0.
    adv : str
        Folder of another teacher's targets, named as ``targets``, whose arousal, dominance and valence of each clip are
        learnt from all of its views, as raters' would be; none takes those of ``targets``.

    Raises
    ------
    EdgeSerError
        A value is out of its range.
    """

    targets: str = ""
    views: int = 1
    soft: float = 0.5
    temperature: float = 2.0
    hint: float = 0.5
    quadrant: float = 0.0
    adv: str = ""

    def __post_init__(self) -> None:
        need(
            {
                "views of at least 1": self.views >= 1,
                "soft from 0 to 1": 0 <= self.soft <= 1,
                "temperature above 0": self.temperature > 0,
                "hint of at least 0": self.hint >= 0,
                "quadrant of at least 0": self.quadrant >= 0,
            }
        )


@dataclasses.dataclass(frozen=True)
class LivePart:
    """``[live]``: views and a teacher's answers made at the beginning of the run, see `edge_ser.training.live`.

    So many views of each clip fit no store of files, and an accelerator makes them in seconds. ``[head]`` says how the
    teacher's heads are fitted, as in a teacher's recipe.

    Attributes
    ----------
    views : int
        Versions of each clip of ``[data]``, at least 1: the clip itself and perturbed ones.
    fitted : int
        The first so many are those that the teacher's heads are fitted on.
    seconds : float
        A longer clip is cut.
    others : tuple of str
        Corpora beside those of ``[data]``, of whose clips only the teacher speaks: more voices to imitate it on.
    others_views : int
        As `views`.
    others_share : float
        Of a batch, 0 to below 1.
    others_balance : float
        As ``[fit] balance``.

    Raises
    ------
    EdgeSerError
        A value is out of its range.
    """

    views: int = 32
    fitted: int = 8
    seconds: float = 5.0
    others: tuple[str, ...] = ()
    others_views: int = 8
    others_share: float = 0.5
    others_balance: float = 0.3

    def __post_init__(self) -> None:
        need(
            {
                "views of at least 1": self.views >= 1 and self.others_views >= 1,
                "fitted from 1 to views": 1 <= self.fitted <= self.views,
                "seconds of at least 0.5": self.seconds >= 0.5,
                "others_share from 0 to below 1": 0 <= self.others_share < 1,
                "others_balance from 0 to 1": 0 <= self.others_balance <= 1,
            }
        )
