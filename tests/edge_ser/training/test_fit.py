"""The loop: it learns, and a stop at any epoch changes nothing."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from edge_ser.corpora import Clip  # noqa: E402
from edge_ser.dsp import MelSpec  # noqa: E402
from edge_ser.errors import EdgeSerError  # noqa: E402
from edge_ser.models.stream72k import Stream72k, Stream72kConfig  # noqa: E402
from edge_ser.training.augment import Augment  # noqa: E402
from edge_ser.training.data import ClipSet  # noqa: E402
from edge_ser.training.fit import fit  # noqa: E402
from edge_ser.training.objective import Objective  # noqa: E402
from edge_ser.training.prior import class_shares  # noqa: E402
from edge_ser.training.recipe import DataPart, DistilPart, FitPart, Recipe  # noqa: E402

LABELS = ("angry", "sad")
SMALL = Stream72kConfig(labels=LABELS, stem=(2,), channels=16, dilations=(1, 2), heads=2)
RECIPE = Recipe(
    name="tiny",
    model="stream72k",
    data=DataPart(("made",)),
    fit=FitPart(epochs=4, batch=8, crop_s=1.0, lr=0.02, ema=0.5),
    augment=Augment(),
    spec=MelSpec(mean=-50.0, scale=20.0),
    config={},
)


def clip_set(count: int = 40) -> ClipSet:
    """Clips of two corpora: one whose emotion shows in the bands, one with ratings only."""
    rng = np.random.default_rng(0)
    clips, features = [], []
    for i in range(count):
        rated = i % 4 == 0
        label, arousal = LABELS[i // 2 % 2], float(rng.uniform())
        made = rng.standard_normal((int(rng.integers(60, 200)), 64)).astype(np.float16) * 0.3
        made[:, :32] += arousal if rated else 1.5 * (label == "angry")
        features.append(made)
        clips.append(
            Clip(Path(f"{i}.wav"), "rated", f"r{i}", arousal=arousal, dominance=arousal, valence=arousal)
            if rated
            else Clip(Path(f"{i}.wav"), "named", f"s{i}", emotion=label)
        )
    return ClipSet(clips, [features], LABELS, {"named": LABELS, "rated": ()})


def train(folder: Path, recipe: Recipe = RECIPE, stop_after: int | None = None, seed: int = 0) -> Stream72k:
    def report(record: dict[str, float]) -> None:
        if record["epoch"] == stop_after:
            raise KeyboardInterrupt

    torch.manual_seed(seed)
    return fit(Stream72k(SMALL), clip_set(), recipe, seed, folder, report)


def test_it_learns_both_heads(tmp_path: Path) -> None:
    longer = dataclasses.replace(RECIPE, fit=dataclasses.replace(RECIPE.fit, epochs=25))
    train(tmp_path, longer)
    records = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert [record["epoch"] for record in records] == list(range(1, 26))
    assert records[-1]["emotion_loss"] < 0.75 * records[0]["emotion_loss"]
    assert records[-1]["adv_loss"] < 0.8 * records[0]["adv_loss"]


def test_a_resumed_run_ends_with_the_same_weights(tmp_path: Path) -> None:
    unbroken = train(tmp_path / "whole").state_dict()
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path / "broken", stop_after=1)
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path / "broken", stop_after=3)
    log = tmp_path / "broken" / "log.jsonl"
    log.write_text(log.read_text() + '{"epoch": 4, "loss": 0}\n')  # as a stop between log and state leaves it
    resumed = train(tmp_path / "broken").state_dict()
    assert all(torch.equal(unbroken[name], resumed[name]) for name in unbroken)
    assert log.read_text() == (tmp_path / "whole" / "log.jsonl").read_text()


def test_seeds_differ(tmp_path: Path) -> None:
    one, two = (train(tmp_path / str(seed), seed=seed).state_dict() for seed in (0, 1))
    assert not torch.equal(one["emotion.weight"], two["emotion.weight"])


def test_another_recipe_does_not_go_on_from_it(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path, stop_after=1)
    other = dataclasses.replace(RECIPE, augment=Augment(gain_db=1.0))
    with pytest.raises(EdgeSerError, match="another recipe"):
        train(tmp_path, other)


def test_other_speakers_do_not_go_on_from_it(tmp_path: Path) -> None:
    unbroken = train(tmp_path / "whole").state_dict()
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path, stop_after=1)
    others = clip_set()
    others.speakers[0] = "somebody else"
    with pytest.raises(EdgeSerError, match="while other speakers were to be heard"):
        fit(Stream72k(SMALL), others, RECIPE, 0, tmp_path, lambda _: None)
    others = clip_set()
    others.told = "something else"
    with pytest.raises(EdgeSerError, match="or other clips or labels of theirs"):
        fit(Stream72k(SMALL), others, RECIPE, 0, tmp_path, lambda _: None)
    state = torch.load(tmp_path / "last.pt", weights_only=True)
    del state["heard"], state["told"]  # as it was written before speakers were named
    torch.save(state, tmp_path / "last.pt")
    resumed = train(tmp_path).state_dict()
    assert all(torch.equal(unbroken[name], resumed[name]) for name in unbroken)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"crop_s": 1.1}, "whole steps"),
        ({"crop_s": 6.0}, "at most 20"),
        ({"batch": 64}, "fewer than one batch"),
    ],
)
def test_impossible_recipes_are_refused(tmp_path: Path, change: dict[str, float], says: str) -> None:
    recipe = dataclasses.replace(RECIPE, fit=dataclasses.replace(RECIPE.fit, **change))
    with pytest.raises(EdgeSerError, match=says):
        train(tmp_path, recipe)


def test_a_quadrant_term_without_ratings_is_refused(tmp_path: Path) -> None:
    recipe = dataclasses.replace(RECIPE, distil=DistilPart("nowhere", quadrant=1.0))
    clips = clip_set()
    assert clips.rated
    clips.adv[:] = float("nan")
    with pytest.raises(EdgeSerError, match="quadrant has nothing to go by"):
        fit(Stream72k(SMALL), clips, recipe, 0, tmp_path, lambda _: None)


def test_a_class_without_clips_is_refused_before_anything_is_learnt(tmp_path: Path) -> None:
    level = dataclasses.replace(RECIPE, fit=dataclasses.replace(RECIPE.fit, logit_adjustment=1.0))
    clips = clip_set()
    clips.labels[clips.labels == 1] = 0
    with pytest.raises(EdgeSerError, match="every emotion"):
        fit(Stream72k(SMALL), clips, level, 0, tmp_path / "run", lambda _: None)
    assert not (tmp_path / "run").exists()


def test_shares_of_classes_are_taken_out_at_the_end(tmp_path: Path) -> None:
    short = dataclasses.replace(RECIPE, fit=dataclasses.replace(RECIPE.fit, epochs=1))
    level = dataclasses.replace(short, fit=dataclasses.replace(short.fit, logit_adjustment=1.0))
    found, plain = train(tmp_path / "a", level).state_dict(), train(tmp_path / "b", short).state_dict()
    bias = "emotion.bias"
    logs = torch.log(class_shares(clip_set(), 0.0)).float()
    assert torch.allclose(found.pop(bias), plain.pop(bias) - (logs - logs.mean()))
    assert all(torch.equal(value, plain[name]) for name, value in found.items())


def test_a_loss_that_is_no_number_stops_the_run(tmp_path: Path) -> None:
    recipe = dataclasses.replace(RECIPE, fit=dataclasses.replace(RECIPE.fit, lr=1e18))
    with pytest.raises(EdgeSerError, match="lower"):
        train(tmp_path, recipe)


def test_balance_draws_small_corpora_more_often() -> None:
    clips = clip_set()
    rng = np.random.default_rng(0)
    assert sorted(clips.order(rng, 0.0)) == list(range(len(clips)))
    drawn = np.concatenate([clips.order(rng, 1.0) for _ in range(50)])
    assert np.mean(drawn % 4 == 0) == pytest.approx(0.5, abs=0.04)


def test_bfloat16_costs_all_but_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """One batch: the loss is float32 and near that of float32, and so are the gradients, and neither is the same."""
    monkeypatch.setattr("edge_ser.precision.computes_bfloat16", lambda device: True)
    found = []
    for half in (True, False):
        torch.manual_seed(0)
        recipe = dataclasses.replace(RECIPE, fit=dataclasses.replace(RECIPE.fit, bfloat16=half))
        model = Stream72k(SMALL).train()
        objective = Objective(recipe, model.hidden, 0)
        made = clip_set().batch(range(32), 80, recipe.augment, recipe.spec, np.random.default_rng(0))
        loss = torch.stack(list(objective(model, made).values())).sum()
        loss.backward()
        gradient = torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None])
        assert loss.dtype == gradient.dtype == torch.float32
        found.append((loss.item(), gradient))
    (one, rough), (other, exact) = found
    assert one == pytest.approx(other, rel=0.02) and one != other
    assert (rough - exact).norm() < 0.25 * exact.norm()


def test_sharpness_changes_what_is_learnt_and_a_stop_does_not(tmp_path: Path) -> None:
    sharp = dataclasses.replace(RECIPE, fit=dataclasses.replace(RECIPE.fit, sharpness=0.05, quantised=0.5))
    whole = train(tmp_path / "whole", sharp).state_dict()
    plain = train(tmp_path / "plain").state_dict()
    assert not torch.equal(whole["attend.weight"], plain["attend.weight"])
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path / "cut", sharp, stop_after=3)
    resumed = train(tmp_path / "cut", sharp).state_dict()
    assert all(torch.equal(value, resumed[name]) for name, value in whole.items())


def test_steady_epochs_are_averaged_alike_and_a_stop_changes_nothing(tmp_path: Path) -> None:
    epochs = RECIPE.fit.epochs
    steady = dataclasses.replace(RECIPE, fit=dataclasses.replace(RECIPE.fit, steady=2 / epochs))
    whole = train(tmp_path / "whole", steady).state_dict()
    records = [json.loads(line) for line in (tmp_path / "whole" / "log.jsonl").read_text().splitlines()]
    rates = [record["lr"] for record in records[-3:]]
    assert len(set(rates)) == 1 and rates[0] > 0.1 * RECIPE.fit.lr  # that at the end of the epoch before
    falling = train(tmp_path / "plain").state_dict()
    assert not torch.equal(whole["attend.weight"], falling["attend.weight"])
    for stop in (epochs - 2, epochs - 1):  # as the mean begins, and within it
        with pytest.raises(KeyboardInterrupt):
            train(tmp_path / f"cut{stop}", steady, stop_after=stop)
        resumed = train(tmp_path / f"cut{stop}", steady).state_dict()
        assert all(torch.equal(value, resumed[name]) for name, value in whole.items())


def test_what_is_kept_of_one_steady_epoch_is_the_mean_of_its_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[torch.Tensor] = []
    real = torch.optim.AdamW.step

    def spy(self: torch.optim.AdamW, closure: None = None) -> None:
        real(self, closure)
        seen.append(self.param_groups[0]["params"][0].detach().double())

    monkeypatch.setattr(torch.optim.AdamW, "step", spy)
    fit_part = dataclasses.replace(RECIPE.fit, steady=1 / RECIPE.fit.epochs)
    model = train(tmp_path, dataclasses.replace(RECIPE, fit=fit_part))
    last = seen[-(len(seen) // RECIPE.fit.epochs) :]
    assert len(last) > 1 and torch.allclose(
        next(model.parameters()).double(), torch.stack(last).mean(0), atol=1e-6
    )


def test_consistency_is_with_the_moving_average_and_a_stop_changes_nothing(tmp_path: Path) -> None:
    loud = Augment(gain_db=20.0)
    steady, plain = (
        dataclasses.replace(RECIPE, augment=loud, fit=dataclasses.replace(RECIPE.fit, consistency=weight))
        for weight in (1.0, 0.0)
    )
    whole = train(tmp_path / "whole", steady).state_dict()
    without = train(tmp_path / "plain", plain).state_dict()
    assert not torch.equal(whole["attend.weight"], without["attend.weight"])
    records = [json.loads(line) for line in (tmp_path / "whole" / "log.jsonl").read_text().splitlines()]
    assert all(record["consistency_loss"] > 0 for record in records)
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path / "cut", steady, stop_after=2)
    resumed = train(tmp_path / "cut", steady).state_dict()
    assert all(torch.equal(value, resumed[name]) for name, value in whole.items())
