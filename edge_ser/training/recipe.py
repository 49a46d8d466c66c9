"""Recipes: what a training run is, read from TOML and checked before any work is done."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import torch

from edge_ser.dsp import MelSpec
from edge_ser.errors import EdgeSerError
from edge_ser.models import architecture, build_model
from edge_ser.models.base import Network
from edge_ser.perturb import Perturb
from edge_ser.training.augment import Augment
from edge_ser.training.tables import read_part, read_toml

__all__ = [
    "BesidePart",
    "DataPart",
    "DistilPart",
    "FitPart",
    "Recipe",
    "SessionPart",
    "TasksPart",
]

#: Fields that are newer than the first checkpoints, and do nothing when they are false.
_LATER = (
    ("fit", "start"),
    ("fit", "quantised"),
    ("fit", "bfloat16"),
    ("fit", "sharpness"),
    ("augment", "style"),
)


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
    """

    corpora: tuple[str, ...]
    folds: tuple[int, ...] = ()
    labels: tuple[str, ...] = ()


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
        Checkpoint to begin from, where its tensors fit (a head of other classes begins anew); ``{fold}``, as in
        ``[distil]``, and ``{seed}`` in it are replaced. None begins from chance.
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
        Decay of the moving average of the weights, which is what is kept (arXiv 1803.05407's idea).
    dropout : float
        On the pooled vector.
    threads : int
        Of torch.
    quantised : float
        Share of the epochs, the last ones, in which weights act rounded to eight bits for each output channel
        (quantisation-aware training, arXiv 1712.05877), 0..1.
    bfloat16 : bool
        Convolutions and products compute in bfloat16 in training; the weights stay float32. A quarter faster on a CPU
        that has it.
    sharpness : float
        Radius within which the loss of ``[data]`` is made small at its worst (arXiv 2010.01412), at twice the work; 0
        is the place itself.
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
    dropout: float = 0.2
    threads: int = 1
    quantised: float = 0.0
    bfloat16: bool = False
    sharpness: float = 0.0


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
        Where none is, ``fold{fold}`` or ``{fold}`` becomes ``all``.
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

    Raises
    ------
    EdgeSerError
        A value is out of its range.
    """

    targets: str
    views: int = 1
    soft: float = 0.5
    temperature: float = 2.0
    hint: float = 0.5
    quadrant: float = 0.0

    def __post_init__(self) -> None:
        ranges = {
            "views of at least 1": self.views >= 1,
            "soft from 0 to 1": 0 <= self.soft <= 1,
            "temperature above 0": self.temperature > 0,
            "hint of at least 0": self.hint >= 0,
            "quadrant of at least 0": self.quadrant >= 0,
        }
        if bad := [what for what, holds in ranges.items() if not holds]:
            raise EdgeSerError(f"needs {' and '.join(bad)}")


@dataclasses.dataclass(frozen=True)
class Recipe:
    """A training run.

    Attributes
    ----------
    name : str
        Of the run's folder and its results file.
    model : str
        A name of `edge_ser.models.ARCHITECTURES`.
    data, fit : DataPart, FitPart
    augment : Augment
    spec : MelSpec
        The front end, by default the network's own.
    config : dict
        Fields of the model's configuration that differ from its defaults.
    distil : DistilPart, optional
    perturb : Perturb
        What makes the views of ``[distil]``.
    tasks : TasksPart
    beside : BesidePart, optional
    session : SessionPart, optional
    """

    name: str
    model: str
    data: DataPart
    fit: FitPart
    augment: Augment
    spec: MelSpec
    config: dict[str, Any]
    distil: DistilPart | None = None
    perturb: Perturb = Perturb()  # noqa: RUF009 (frozen)
    tasks: TasksPart = TasksPart()
    beside: BesidePart | None = None
    session: SessionPart | None = None

    @classmethod
    def read(cls, path: str | Path, changes: Iterable[str] = ()) -> Recipe:
        """Read and check a recipe.

        Parameters
        ----------
        path : str or Path
        changes : iterable of str
            ``TABLE.FIELD=VALUE`` or ``name=VALUE`` in the place of what the file says, the value as TOML writes it;
            text needs no quotes.

        Raises
        ------
        EdgeSerError
            No such file, not TOML, or a field that is unknown, missing, of another type or out of its range.
        """
        path = Path(path)
        fields = read_toml(path, {field.name for field in dataclasses.fields(cls)}, changes)
        model = fields.get("model", "stream72k")

        def optional(name: str, part: type[Any]) -> Any:
            return read_part(part, fields[name], path, name) if name in fields else None

        recipe = cls(
            name=fields.get("name", path.stem),
            model=model,
            data=read_part(DataPart, fields["data"], path, "data"),
            fit=read_part(FitPart, fields.get("fit", {}), path, "fit"),
            augment=read_part(Augment, fields.get("augment", {}), path, "augment"),
            spec=read_part(
                MelSpec, architecture(model).model.spec.to_dict() | fields.get("spec", {}), path, "spec"
            ),
            config=fields.get("config", {}),
            distil=optional("distil", DistilPart),
            perturb=read_part(Perturb, fields.get("perturb", {}), path, "perturb"),
            tasks=read_part(TasksPart, fields.get("tasks", {}), path, "tasks"),
            beside=optional("beside", BesidePart),
            session=optional("session", SessionPart),
        )
        if recipe.fit.epochs < 1 or recipe.fit.batch < 2 or not recipe.fit.seeds:
            raise EdgeSerError(f"{path}: [fit] needs epochs of at least 1, batch of at least 2, and a seed")
        if not 0 <= recipe.fit.quantised <= 1:
            raise EdgeSerError(f"{path}: [fit] quantised is a share of the epochs, 0 to 1")
        if recipe.fit.sharpness < 0:
            raise EdgeSerError(f"{path}: [fit] sharpness is a radius, at least 0")
        if recipe.beside and (both := sorted({*recipe.beside.corpora} & {*recipe.data.corpora})):
            raise EdgeSerError(f"{path}: {both[0]} stands in [data] and in [beside]: leave it out of one")
        return recipe

    def shape(self, labels: Sequence[str]) -> dict[str, Any]:
        """The network's whole configuration for some classes, as `edge_ser.models.build_model` takes it.

        Raises
        ------
        EdgeSerError
            ``[config]`` has a field that is not the network's, or an impossible value.
        """
        kind = architecture(self.model).config
        default = kind(labels=tuple(labels), n_mels=self.spec.n_mels).to_dict()
        return kind.from_dict(default | self.config).to_dict()

    def fresh(self, labels: Sequence[str], seed: int) -> Network:
        """The network to train, with weights drawn from a seed and the dropout of ``[fit]``."""
        torch.manual_seed(seed)
        model = build_model(self.model, self.shape(labels))
        if model.dropout.p > 0:  # a network without any stays without
            model.dropout.p = self.fit.dropout
        return model

    def to_dict(self) -> dict[str, Any]:
        """All fields as plain values, for results and checkpoints."""
        fields = dataclasses.asdict(self)
        fields["perturb"] = self.perturb.to_dict()
        if self.distil is None:  # then nothing is perturbed
            del fields["distil"], fields["perturb"]
        # What came later is left out where it says nothing, so that checkpoints of before still belong to their recipe.
        for table, name in _LATER:
            if not fields[table][name]:
                del fields[table][name]
        for table in ("beside", "session"):
            if fields[table] is None:
                del fields[table]
        if not any(fields["tasks"].values()):
            del fields["tasks"]
        return fields
