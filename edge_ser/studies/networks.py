"""What studies of networks share: one fitted on one division, and its answers to the test as a part."""

from __future__ import annotations

import dataclasses
import math
import shutil
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from edge_ser.corpora import Clip, Corpus
from edge_ser.evaluation.class_answers import ClassAnswers
from edge_ser.evaluation.divisions import Division
from edge_ser.evaluation.drawings import as_svg, svg
from edge_ser.evaluation.plots import plot_confusion, plot_curves
from edge_ser.studies.base import TOLERANCE, Line, Section
from edge_ser.studies.run import Part, StudyRun

if TYPE_CHECKING:
    from torch import nn

    from edge_ser.models.base import Network
    from edge_ser.training.classify import Augmentation, Schedule

__all__ = [
    "Labelled",
    "confusions",
    "course",
    "durations",
    "learning_curves",
    "network_part",
    "save_network",
    "short_of",
    "splits_note",
    "splits_reason",
]


@dataclasses.dataclass(frozen=True)
class Labelled:
    """Clips as a study of classes has them.

    Attributes
    ----------
    labels : tuple of str
    truth : (n,) int64
        Index of each clip's class.
    groups : sequence of str
        Speaker of each clip, or what else must not stand on two sides.
    folds : sequence of int
        The test fold of each.
    """

    labels: tuple[str, ...]
    truth: np.ndarray
    groups: Sequence[str]
    folds: Sequence[int]

    def answers(self, division: Division, scores: np.ndarray, seed: int) -> ClassAnswers:
        """Answers to the test clips of a division."""
        groups = [self.groups[i] for i in division.test]
        return ClassAnswers.of(
            self.labels, self.truth[division.test], scores, groups, fold=division.fold, seed=seed
        )


def network_part(
    run: StudyRun,
    key: str,
    build: Callable[[], nn.Module],
    inputs: Sequence[Sequence[np.ndarray] | np.ndarray],
    clips: Labelled,
    division: Division,
    schedule: Schedule,
    *,
    seed: int = 0,
    augment: Augmentation | None = None,
    fill: float = 0.0,
    choose_on_test: bool = False,
    may_diverge: bool = False,
    copies: int = 1,
    keep: Callable[[nn.Module], None] | None = None,
    **identity: Any,
) -> Part:
    """Fit a network on a division's training clips and have it answer the test clips.

    Parameters
    ----------
    run : StudyRun
    key : str
        Of the unit; with `identity` it tells apart what is kept to go on from.
    build : callable
        Makes the network, after torch's seed was set.
    inputs : sequence
        For each input of the network one array for each clip, of all clips.
    clips : Labelled
    division : Division
    schedule : Schedule
    seed : int
    augment, fill : callable, float
        As of `edge_ser.training.classify.Examples`.
    choose_on_test : bool
        The epoch is chosen on the test clips, as some published figures are: they LEAK. Else on `division.valid`.
    may_diverge : bool
        A loss that is no number is a finding.
    keep : callable, optional
        Is given the fitted network, to save it.
    copies : int
        Times that an epoch sees each clip, each time augmented anew.

    Returns
    -------
    mapping
        Of `ClassAnswers.to_part`, and ``records`` (epochs), ``epoch`` (whose weights answered), ``diverged``,
        ``parameters``.
    """
    import torch

    from edge_ser.training.classify import Examples, classify, fit_classifier

    def examples(places: np.ndarray, **more: Any) -> Examples:
        chosen = [[one[i] for i in places] for one in inputs]
        return Examples(*chosen, labels=clips.truth[places], fill=fill, **more)

    chosen_on = division.test if choose_on_test else division.valid
    # nothing in miniature is worth going on from
    place = None
    if run.scale != "miniature":
        place = run.workplace(key, fold=division.fold, seed=seed, **identity)
    torch.manual_seed(seed)
    model = build()
    with run.bar(key, schedule.epochs, "epoch") as bar:
        fitted = fit_classifier(
            model,
            examples(np.repeat(division.train, copies), augment=augment),
            schedule,
            valid=examples(chosen_on) if len(chosen_on) else None,
            seed=seed,
            folder=place,
            report=bar.epoch,
            may_diverge=may_diverge,
        )
    if keep is not None:
        keep(fitted.model)
    scores = classify(fitted.model, examples(division.test), batch=schedule.batch)
    if place is not None:
        shutil.rmtree(place)  # the part follows; states of large networks would fill the disk
    return {
        **clips.answers(division, scores, seed).to_part(),
        "records": fitted.records,
        "epoch": fitted.epoch,
        "diverged": fitted.diverged,
        "parameters": sum(p.numel() for p in model.parameters() if p.requires_grad),
    }


def save_network(
    run: StudyRun,
    architecture: str,
    network: Network,
    corpus: Corpus,
    clips: Sequence[Clip],
    division: Division,
    protocol: str,
    seed: int,
) -> None:
    """Write a network to ``OUT/models``, so that ``edge-ser export`` takes it and it is listened to as any other.

    Parameters
    ----------
    run : StudyRun
    architecture : str
        Of `edge_ser.models.ARCHITECTURES`.
    network : Network
        Fitted on what its own front end makes of a recording.
    corpus, clips
        Where it comes from, and all clips that `division` numbers.
    division, protocol, seed
        What it was fitted on.
    """
    from edge_ser.models.checkpoint import save_checkpoint

    heard = [clips[i] for i in division.train]
    about = {
        "recipe": {"study": run.study, "scale": run.scale, "protocol": protocol},
        "seed": seed,
        "held_out_fold": division.fold if protocol == "honest" else None,
        "clips": {corpus.name: len(heard)},
        "speakers": len({clip.speaker for clip in heard}),
        "licence": corpus.licence,
        "citation": corpus.citation,
        "adv_source": None,
    }
    folder = run.folder / "models"
    folder.mkdir(parents=True, exist_ok=True)
    meta = {"architecture": architecture, "config": network.config.to_dict(), "spec": network.spec.to_dict()}
    name = f"{architecture}-{protocol}-fold{division.fold}-seed{seed}.safetensors"
    save_checkpoint(folder / name, network, meta | {"training": about})


def confusions(answers: Mapping[str, ClassAnswers], heading: str = "Confusion") -> Section:
    """A confusion matrix of each of some answers, named."""
    return Section(
        heading,
        "Share of the true class, and clips.",
        {name: as_svg(plot_confusion, one.confusion(), one.labels, title=name) for name, one in answers.items()},
    )  # fmt: skip


def durations(seconds: Sequence[float]) -> Section:
    """How long clips are: in words, and as a histogram."""

    def draw(figure: Any) -> None:
        axes = figure.subplots()
        axes.hist(seconds, bins=30, color="#3f72b0")
        axes.set(xlabel="seconds", ylabel="clips")

    told = f"{min(seconds):.1f} to {max(seconds):.1f} s, {np.mean(seconds):.1f} on average."
    return Section("Durations", told, {"histogram of the clips' durations": svg((7.0, 2.6), draw)})


def splits_note(answers: ClassAnswers) -> str:
    """For a line's note, between which figures as published its random splits lie; nothing of one split."""
    each = answers.by_seed()
    return (
        f"{len(each)} random splits, {min(each):.3f} to {max(each):.3f} (published: one)"
        if len(each) > 1
        else ""
    )


def splits_reason(answers: ClassAnswers, published: float | None) -> str:
    """Whether the random split may be why a published accuracy is missed; nothing of one split, or without a figure."""
    each = answers.by_seed()
    if published is None or len(each) < 2:
        return ""
    decides = (
        "so the split alone may explain it"
        if max(each) >= published - TOLERANCE
        else "so it is not the split"
    )
    return f"{min(each):.3f} to {max(each):.3f} over {len(each)} random splits, {decides}"


def course(records: Sequence[Mapping[str, float]], asked: int, epoch: int) -> str:
    """What a fit's curve says of its length, for a line's note.

    Parameters
    ----------
    records : sequence of mapping
        One an epoch, with ``valid_accuracy``.
    asked : int
        Epochs that it might have had.
    epoch : int
        Whose weights are kept: the best.

    Returns
    -------
    str
        That it stopped by itself; else what the last third of its epochs added to the best share of right answers, and
        whether it was still rising: by over .01. Of under twelve epochs none of that is said.
    """
    if len(records) < asked:
        return f"stopped by itself after {len(records)} of {asked} epochs, best in {epoch}"
    if asked < 12:
        return f"{asked} epoch{'s' if asked > 1 else ''}, best in {epoch}, too few to tell what more would do"
    shares = [record["valid_accuracy"] for record in records]
    earlier = shares[: max(1, len(shares) - len(shares) // 3)]
    gained = max(shares) - max(earlier)
    rising = "still rising" if gained > 0.01 else "no longer rising"
    return f"{asked} epochs, best in {epoch}, {rising} (the last third added {gained:+.3f})"


def short_of(lines: Sequence[Line], reasons: Mapping[str, str]) -> str | None:
    """How many published figures are reached, and which are not, by how much and why: a finding.

    Beside a share of right answers stands how far chance alone takes it on so many clips: the normal approximation's
    95 %.

    Parameters
    ----------
    lines : sequence of Line
    reasons : mapping
        Key of a line to what its runs say of why.

    Returns
    -------
    str or None
        None where no line has a published figure and ours.
    """
    compared = [line for line in lines if line.reached is not None]
    if not compared:
        return None
    short = [line for line in compared if not line.reached]
    reached = len(compared) - len(short)
    text = f"As published {reached} of {len(compared)} published figures are reached, less {TOLERANCE}"
    told = []
    for line in short:
        assert line.as_published is not None
        share, clips = line.as_published.value, line.as_published.n
        why = [reasons[line.key]] if line.key in reasons else []
        if clips:
            why.insert(
                0, f"chance alone ±{1.96 * math.sqrt(share * (1 - share) / clips):.3f} of {clips} clips"
            )
        told.append(
            f"{line.title} with {share:.3f} of {line.published:.3f}" + (f" ({'; '.join(why)})" if why else "")
        )
    return text + (f". Short of theirs fall {'; '.join(told)}." if told else ".")


def learning_curves(records: Mapping[str, Sequence[Mapping[str, float]]]) -> Section:
    """Losses and shares of right answers over the epochs of some fits, named."""
    drawn = {name: as_svg(plot_curves, one, title=name) for name, one in records.items() if one}
    return Section("Learning curves", "", drawn)
