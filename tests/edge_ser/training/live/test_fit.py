"""Fits side by side: a stop changes nothing, and nothing of another recipe is gone on from."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from edge_ser.errors import EdgeSerError  # noqa: E402
from edge_ser.models.base import Network  # noqa: E402
from edge_ser.training.live.fit import Trainee, fit_together  # noqa: E402
from tests.edge_ser.training.live.made import live_set, noise  # noqa: E402
from tests.edge_ser.training.live.test_step import network, recipe  # noqa: E402

HOW = recipe(epochs=4, quantised=0.25, steady=0.5, logit_adjustment=1.0, dropout=0.2, consistency=1.0)


def trainee(folder: Path, seed: int = 0, how: Any = HOW) -> Trainee:
    return Trainee(network(), live_set(30, others=12, share=0.25, noise=noise()), how, seed, folder)


def weights(model: Network) -> dict[str, Any]:
    return {name: value.clone() for name, value in model.state_dict().items()}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[int, dict[str, Any]]:
    folder = tmp_path_factory.mktemp("whole")
    two = [trainee(folder / str(seed), seed) for seed in (0, 1)]
    found = {one.seed: weights(model) for one, model in fit_together(two)}
    for one in two:
        lines = (one.folder / "log.jsonl").read_text().splitlines()
        assert [json.loads(line)["epoch"] for line in lines] == [1, 2, 3, 4]
        assert json.loads(lines[-1])["loss"] < json.loads(lines[0])["loss"]
    return found


def test_networks_of_other_seeds_differ(whole: dict[int, dict[str, Any]]) -> None:
    assert not torch.equal(whole[0]["emotion.weight"], whole[1]["emotion.weight"])


def test_a_stop_at_an_epoch_changes_nothing(
    whole: dict[int, dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edge_ser.training.live.fit._SAVE_S", 0.0)
    for turn in trainee(tmp_path).turns():
        assert turn is None
        if (tmp_path / "last.pt").exists():
            break  # stopped in the second epoch
    again = trainee(tmp_path)
    assert 0 < len(again.records) < 4
    [(_, model)] = fit_together([again])
    found = weights(model)
    assert all(torch.equal(found[name], value) for name, value in whole[0].items())


def test_the_last_epochs_are_rounded_and_rates_are_told_as_they_end(tmp_path: Path) -> None:
    one = trainee(tmp_path)
    flags: list[bool] = []
    run = one.step.run
    one.step.run = lambda *, rounded: (flags.append(rounded), run(rounded=rounded))[1]  # type: ignore[method-assign]
    for _ in one.turns():
        pass
    assert flags == [False] * 3 * one.batches + [True] * one.batches  # a quarter of four epochs
    ends = one.step.rates[one.batches - 1 :: one.batches, 0].tolist()
    assert [record["lr"] for record in one.records] == ends and len(set(ends)) > 1


def test_what_a_prior_adds_comes_off_at_the_end(tmp_path: Path) -> None:
    one = trainee(tmp_path)
    before = weights(one.step.averaged())
    second = torch.nonzero(one.clips.labels == 1)[:, 0]
    one.clips.labels[second[:10]] = -1  # five stay, beside fifteen of the first
    after = weights(one.finished())
    moved = [name for name, value in before.items() if not torch.equal(value, after[name])]
    assert moved == ["emotion.bias"]
    change = after["emotion.bias"] - before["emotion.bias"]
    assert change[0] < 0 < change[1]


def test_what_another_recipe_left_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edge_ser.training.live.fit._SAVE_S", 0.0)
    for _ in trainee(tmp_path).turns():
        if (tmp_path / "last.pt").exists():
            break
    for seed, how in ((1, HOW), (0, dataclasses.replace(HOW, name="other"))):
        with pytest.raises(EdgeSerError, match="another recipe"):
            trainee(tmp_path, seed, how)


def test_a_loss_that_is_no_number_ends_it(tmp_path: Path) -> None:
    one = trainee(tmp_path)
    one.step.values.fill_(float("nan"))
    with pytest.raises(EdgeSerError, match="no longer a number in epoch 1: lower"):
        list(fit_together([one]))


def test_a_quadrant_without_ratings_is_refused(tmp_path: Path) -> None:
    how = dataclasses.replace(HOW, distil=dataclasses.replace(HOW.distil, quadrant=1.0))
    with pytest.raises(EdgeSerError, match="quadrant has nothing to go by"):
        trainee(tmp_path, how=how)


def test_too_few_clips_are_refused(tmp_path: Path) -> None:
    with pytest.raises(EdgeSerError, match="fewer than one batch of 64"):
        trainee(tmp_path, how=recipe(batch=64))
