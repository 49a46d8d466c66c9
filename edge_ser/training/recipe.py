"""Recipes: what a training run is, read from TOML and checked before any work is done."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import torch

from edge_ser.dsp import MelSpec
from edge_ser.errors import EdgeSerError
from edge_ser.files import read_part
from edge_ser.models import architecture, build_model
from edge_ser.models.base import Network
from edge_ser.perturb import Perturb
from edge_ser.teachers.linear import HeadPart
from edge_ser.training.augment import Augment
from edge_ser.training.live.views import check_perturb
from edge_ser.training.parts import (
    BesidePart,
    DataPart,
    DistilPart,
    FitPart,
    LivePart,
    NoisePart,
    SessionPart,
    TasksPart,
)
from edge_ser.training.tables import read_toml

__all__ = [
    "BesidePart",
    "DataPart",
    "DistilPart",
    "FitPart",
    "LivePart",
    "NoisePart",
    "Recipe",
    "SessionPart",
    "TasksPart",
]

#: Fields that are newer than the first checkpoints, and do nothing when they are false.
_LATER = (
    ("fit", "start"),
    ("fit", "steady"),
    ("fit", "quantised"),
    ("fit", "bfloat16"),
    ("fit", "sharpness"),
    ("fit", "consistency"),
    ("fit", "logit_adjustment"),
    ("augment", "style"),
    ("augment", "narrow"),
    ("augment", "telephone"),
    ("augment", "early"),
    ("distil", "adv"),
)


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
    noise : NoisePart, optional
    live : LivePart, optional
    head : HeadPart
        Of the teacher of ``[live]``.
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
    tasks: TasksPart = TasksPart()  # noqa: RUF009 (frozen)
    beside: BesidePart | None = None
    session: SessionPart | None = None
    noise: NoisePart | None = None
    live: LivePart | None = None
    head: HeadPart = HeadPart()  # noqa: RUF009 (frozen)

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
            noise=optional("noise", NoisePart),
            live=optional("live", LivePart),
            head=read_part(HeadPart, fields.get("head", {}), path, "head"),
        )
        recipe._check_config(path)
        recipe._check_teacher(path)
        if recipe.fit.consistency > 0 and recipe.augment.mixup > 0:
            raise EdgeSerError(
                f"{path}: [fit] consistency compares a clip with itself, and [augment] mixup leaves none: set one to 0"
            )
        if recipe.beside and (both := sorted({*recipe.beside.corpora} & {*recipe.data.corpora})):
            raise EdgeSerError(f"{path}: {both[0]} stands in [data] and in [beside]: leave it out of one")
        return recipe

    def _check_config(self, path: Path) -> None:
        """Refuse a ``[config]`` with what the network's configuration has not, in another type or out of its range."""
        if told := sorted({"labels", "n_mels"} & set(self.config)):
            place = "[data] labels" if told[0] == "labels" else "[spec] n_mels"
            raise EdgeSerError(f"{path}: [config] takes no {told[0]}: the network's follow from {place}")
        given = {"labels": (), "n_mels": self.spec.n_mels} | self.config
        read_part(architecture(self.model).config, given, path, "config")

    def _check_teacher(self, path: Path) -> None:
        """Refuse a recipe that has two teachers for the same clips, or words for a teacher that it has not."""
        if self.live is None:
            if self.distil and not self.distil.targets:
                raise EdgeSerError(
                    f"{path}: [distil] needs targets = FOLDER of a teacher, or [live] that makes them"
                )
            return
        if self.distil is None:
            raise EdgeSerError(f"{path}: [live] needs [distil], which says how the teacher is learnt from")
        if self.distil.targets or self.distil.adv or self.distil.views != 1 or self.beside:
            raise EdgeSerError(
                f"{path}: with [live], leave out [distil] targets, views and adv, and [beside]: [live] says them"
            )
        if both := sorted({*self.live.others} & {*self.data.corpora}):
            raise EdgeSerError(
                f"{path}: {both[0]} stands in [data] and in [live] others: leave it out of one"
            )
        if self.augment.mixup or self.augment.style or self.fit.sharpness:
            raise EdgeSerError(
                f"{path}: with [live], 0 for mixup and style in [augment] and for sharpness in [fit]"
            )
        check_perturb(self.perturb)

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
            if table in fields and not fields[table][name]:
                del fields[table][name]
        if self.live is None:
            del fields["head"]
        for table in ("beside", "session", "noise", "live"):
            if fields[table] is None:
                del fields[table]
        if self.noise is not None and self.noise.room == 0:
            for name in ("room", "room_s", "direct_db"):
                del fields["noise"][name]
        if not any(fields["tasks"].values()):
            del fields["tasks"]
        return fields
