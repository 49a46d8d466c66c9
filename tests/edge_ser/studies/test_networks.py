"""What studies of networks share."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("matplotlib")

import torch

from edge_ser.evaluation.class_answers import ClassAnswers, Figure
from edge_ser.evaluation.divisions import Division
from edge_ser.studies import Line, StudyRun
from edge_ser.studies.networks import (
    Labelled,
    course,
    learning_curves,
    network_part,
    save_network,
    short_of,
    splits_note,
    splits_reason,
)
from edge_ser.training.classify import Fitted, Schedule


def _records(*shares: float) -> list[dict[str, float]]:
    return [{"epoch": n + 1, "valid_accuracy": share} for n, share in enumerate(shares)]


@pytest.mark.parametrize(
    ("shares", "asked", "epoch", "said"),
    [
        ((0.2, 0.4, 0.3), 10, 2, "stopped by itself after 3 of 10 epochs, best in 2"),
        (
            (*[0.4] * 8, 0.5, 0.6, 0.5, 0.5),
            12,
            10,
            "12 epochs, best in 10, still rising (the last third added +0.200)",
        ),
        ((0.5, *[0.4] * 11), 12, 1, "12 epochs, best in 1, no longer rising (the last third added +0.000)"),
        ((0.3, 0.4), 2, 2, "2 epochs, best in 2, too few to tell what more would do"),
    ],
)
def test_a_curve_says_whether_it_was_the_length(
    shares: tuple[float, ...], asked: int, epoch: int, said: str
) -> None:
    assert course(_records(*shares), asked, epoch) == said


def test_a_figure_under_the_published_one_says_why() -> None:
    good, bad = Line("a", "a net", 0.7, Figure(0.68)), Line("b", "a forest", 0.7, Figure(0.6))
    none = Line("c", "another", None, Figure(0.1))
    assert short_of([none], {}) is None
    assert (
        short_of([good, none], {"a": "never said"})
        == "As published 1 of 1 published figures are reached, less 0.03."
    )
    said = short_of([good, bad, none], {"b": "too short"})
    assert said is not None and said.endswith(
        "Short of theirs fall a forest with 0.600 of 0.700 (too short)."
    )
    assert said.startswith("As published 1 of 2")
    few = short_of([Line("b", "a forest", 0.7, Figure(0.5, n=100))], {})
    assert few is not None and few.endswith(
        "a forest with 0.500 of 0.700 (chance alone ±0.098 of 100 clips)."
    )


def _split(right: int, seed: int) -> ClassAnswers:
    """Ten clips of two classes, of which so many are answered right."""
    truth = np.arange(10) % 2
    said = np.where(np.arange(10) < right, truth, 1 - truth)
    return ClassAnswers.of(("a", "b"), truth, np.eye(2)[said], [str(i) for i in range(10)], fold=0, seed=seed)


def test_random_splits_say_between_what_they_lie_and_whether_they_explain_a_figure() -> None:
    two = ClassAnswers.joined([_split(6, 0), _split(8, 1)])
    assert splits_note(two) == "2 random splits, 0.600 to 0.800 (published: one)"
    assert (
        splits_reason(two, 0.82) == "0.600 to 0.800 over 2 random splits, so the split alone may explain it"
    )
    assert splits_reason(two, 0.85).endswith("so it is not the split")
    assert splits_note(_split(6, 0)) == splits_reason(_split(6, 0), 0.9) == splits_reason(two, None) == ""


@pytest.mark.parametrize(
    ("asked", "last", "said"),
    [(11, 0.4, "too few to tell"), (12, 0.415, "still rising"), (12, 0.405, "no longer rising")],
)
def test_a_curve_is_judged_from_twelve_epochs_and_a_hundredth_on(asked: int, last: float, said: str) -> None:
    assert said in course(_records(*[0.4] * (asked - 1), last), asked, asked)


def test_a_network_is_fitted_on_what_the_study_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[dict[str, Any]] = []

    def fit(model, train, schedule, *, valid, seed, folder, **_):
        seen.append(
            {"train": train.labels.tolist(), "valid": valid and valid.labels.tolist(), "folder": folder}
        )
        assert folder.is_dir() and torch.initial_seed() == seed
        return Fitted(model.eval(), [], 1, False)

    def build() -> torch.nn.Module:
        network = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Linear(4, 2))
        return network.requires_grad_(False).append(torch.nn.Linear(2, 2))

    monkeypatch.setattr("edge_ser.training.classify.fit_classifier", fit)
    clips = Labelled(("a", "b"), np.array([0, 1, 0, 1, 1, 0]), list("uvwxyz"), [0] * 6)
    division = Division(0, np.array([0, 1]), np.array([2]), np.array([3, 4, 5]))
    inputs = [np.zeros((6, 3), np.float32)]
    for chosen in (False, True):
        torch.manual_seed(99)
        told = network_part(
            StudyRun("x", tmp_path), "net", build, inputs, clips, division, Schedule(1), seed=7, copies=2,
            choose_on_test=chosen,
        )  # fmt: skip
        assert told["parameters"] == 6  # of the last layer: what is frozen is not fitted
    assert [one["train"] for one in seen] == [[0, 0, 1, 1]] * 2
    assert [one["valid"] for one in seen] == [[0], [1, 1, 0]]
    assert not any(one["folder"].exists() for one in seen)  # states of large networks would fill the disk


@pytest.mark.parametrize(("protocol", "held_out"), [("honest", 3), ("as-published", None)])
def test_a_saved_network_names_a_held_out_fold_where_there_is_one(
    protocol: str, held_out: int | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept: list[dict[str, Any]] = []
    monkeypatch.setattr("edge_ser.models.checkpoint.save_checkpoint", lambda _, __, meta: kept.append(meta))
    part = SimpleNamespace(to_dict=dict)
    corpus = SimpleNamespace(name="mine", licence="MIT", citation="us")
    clips = [SimpleNamespace(speaker=name) for name in "uuv"]
    division = Division(3, np.array([0, 1]), np.array([], int), np.array([2]))
    network = SimpleNamespace(config=part, spec=part)
    save_network(StudyRun("x", tmp_path), "cnn-1d", network, corpus, clips, division, protocol, 0)
    about = kept[0]["training"]
    assert (about["held_out_fold"], about["clips"], about["speakers"]) == (held_out, {"mine": 2}, 1)


def test_a_fit_without_epochs_has_no_curve() -> None:
    assert learning_curves({"none": []}).pictures == {}
