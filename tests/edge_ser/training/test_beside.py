"""Other corpora beside: batches of their own, statistics left alone, heads that no checkpoint has; resumed exactly."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from edge_ser.cli import main  # noqa: E402
from edge_ser.corpora import Clip  # noqa: E402
from edge_ser.dsp import MelSpec  # noqa: E402
from edge_ser.errors import EdgeSerError  # noqa: E402
from edge_ser.models.checkpoint import load_checkpoint  # noqa: E402
from edge_ser.models.stream72k import Stream72k, Stream72kConfig  # noqa: E402
from edge_ser.training.augment import Augment  # noqa: E402
from edge_ser.training.beside import Beside, statistics_kept  # noqa: E402
from edge_ser.training.data import ClipSet, Taught  # noqa: E402
from edge_ser.training.fit import fit  # noqa: E402
from edge_ser.training.recipe import BesidePart, DataPart, FitPart, Recipe  # noqa: E402
from tests.edge_ser.training.tones import Bands, use_encoder, write_student, write_teacher, write_tones  # noqa: E402

LABELS = ("angry", "sad")
RECIPE = Recipe(
    name="tiny",
    model="stream72k",
    data=DataPart(("made",)),
    fit=FitPart(epochs=3, batch=8, crop_s=0.5, lr=0.02, ema=0.5),
    augment=Augment(),
    spec=MelSpec(mean=-50.0, scale=20.0),
    config={},
    beside=BesidePart(("other",), "nowhere"),
)


def clip_set(corpus: str, count: int, seed: int) -> ClipSet:
    """Clips whose emotion shows in the bands, and a teacher who says as much."""
    rng = np.random.default_rng(seed)
    clips, features = [], []
    for i in range(count):
        label = LABELS[i % 2]
        made = rng.standard_normal((60, 64)).astype(np.float16) * 0.3
        made[:, :32] += 1.5 * (label == "angry")
        features.append(made)
        clips.append(Clip(Path(f"{i}.wav"), corpus, f"s{i}", emotion=label))
    said = torch.tensor([[3.0, -3.0] if i % 2 == 0 else [-3.0, 3.0] for i in range(count)])
    taught = Taught(said[None], torch.full((1, count, 3), float("nan")), said[None])
    return ClipSet(clips, [features], LABELS, {corpus: LABELS}, taught)


def network(seed: int = 0) -> Stream72k:
    torch.manual_seed(seed)
    return Stream72k(Stream72kConfig(labels=LABELS, stem=(2,), channels=16, dilations=(1,), heads=2))


def train(folder: Path, recipe: Recipe = RECIPE, stop_after: int | None = None) -> Stream72k:
    def report(record: dict[str, float]) -> None:
        if record["epoch"] == stop_after:
            raise KeyboardInterrupt

    others = clip_set("other", 12, 1) if recipe.beside else None
    return fit(network(), clip_set("made", 32, 0), recipe, 0, folder, report, others)


def test_running_statistics_stay_and_momentum_comes_back() -> None:
    model = network().train()
    before = {name: value.clone() for name, value in model.state_dict().items() if "running" in name}
    features, frames = torch.randn(4, 40, 64), torch.full((4,), 40)
    with pytest.raises(ZeroDivisionError), statistics_kept(model):
        model.pool(features, frames)
        raise ZeroDivisionError
    assert before and all(torch.equal(value, model.state_dict()[name]) for name, value in before.items())
    model.pool(features, frames)
    assert not all(torch.equal(value, model.state_dict()[name]) for name, value in before.items())


def test_an_epoch_has_as_many_batches_as_the_recipes_own_however_few_the_clips() -> None:
    beside = Beside(clip_set("other", 12, 1), RECIPE, 32)
    batches = beside.epoch(np.random.default_rng(0), 5)
    assert [len(batch) for batch in batches] == [8] * 5
    assert batches == beside.epoch(np.random.default_rng(0), 5)


def test_its_loss_falls_and_the_terms_are_weighted() -> None:
    model, frames = network().train(), 40
    beside = Beside(clip_set("other", 32, 1), RECIPE, model.hidden)
    optimiser = torch.optim.AdamW([*model.parameters(), *beside.parameters()], 0.02)
    losses = []
    for _ in range(30):
        optimiser.zero_grad()
        loss = beside(model, list(range(32)), frames, np.random.default_rng(0))
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0] / 2
    model.eval()
    torch.manual_seed(0)
    one = beside(model, list(range(32)), frames, np.random.default_rng(0))
    beside.part = dataclasses.replace(beside.part, weight=1.0)  # twice the default
    torch.manual_seed(0)
    assert beside(model, list(range(32)), frames, np.random.default_rng(0)).item() == pytest.approx(
        2 * one.item(), rel=1e-5
    )


def test_too_few_clips_are_refused() -> None:
    with pytest.raises(EdgeSerError, match="6 clips, fewer than one batch of 8"):
        Beside(clip_set("other", 6, 1), RECIPE, 32)


def test_a_stop_changes_nothing(tmp_path: Path) -> None:
    whole = train(tmp_path / "whole").state_dict()
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path / "cut", stop_after=2)
    resumed = train(tmp_path / "cut").state_dict()
    assert all(torch.equal(value, resumed[name]) for name, value in whole.items())
    assert not [name for name in whole if "guess" in name]
    alone = train(tmp_path / "alone", dataclasses.replace(RECIPE, beside=None)).state_dict()
    assert not torch.equal(alone["attend.weight"], whole["attend.weight"])
    record = json.loads((tmp_path / "whole" / "log.jsonl").read_text().splitlines()[0])
    assert record["beside_loss"] > 0


@pytest.mark.parametrize(
    "values", [{"weight": 0.0}, {"soft": 1.5}, {"hint": -1.0}, {"balance": 2.0}], ids=str
)
def test_values_out_of_range_are_refused(values: dict[str, float]) -> None:
    with pytest.raises(EdgeSerError, match="needs weight above 0"):
        BesidePart(("other",), "nowhere", **values)


def test_a_student_beside_another_corpus(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    use_encoder(monkeypatch, Bands())
    places = ["--runs", str(tmp_path / "runs"), "--results", str(tmp_path / "results")]
    own, other = write_tones(tmp_path), write_tones(tmp_path, "other", ("angry", "sad"), 24)
    for name, corpus in (("teacher", own), ("others", other)):
        recipe = write_teacher(tmp_path, [corpus], name=name)
        assert main(["teach", str(recipe), "--encoder", "bands", *places]) == 0
    student = write_student(tmp_path, [own], tmp_path / "runs" / "teacher" / "fold{fold}", folds="[0]")
    beside = f'\n[beside]\ncorpora = ["{other}"]\ntargets = "{tmp_path}/runs/others/all"\n'
    text = student.read_text()
    student.write_text(text + beside)
    assert main(["distil", str(student), *places]) == 0
    model, meta = load_checkpoint(tmp_path / "runs" / "student" / "fold0-seed0.safetensors")
    assert model.config.labels == ("angry", "calm", "sad")
    assert meta["training"]["clips"] == {"tones": 24, "other": 24}
    assert meta["training"]["recipe"]["beside"]["weight"] == 0.5
    capsys.readouterr()
    student.write_text(text + beside.replace(str(other), str(own)))
    assert main(["distil", str(student), *places]) == 2
    assert "stands in [data] and in [beside]" in capsys.readouterr().err
    again = tmp_path / "again.csv"  # the same people under another corpus's name
    again.write_text(own.read_text())
    student.write_text(text + beside.replace(str(other), str(again)))
    assert main(["distil", str(student), *places, "--set", "name=again"]) == 2
    assert "tones-0 speaks in fold 0 of tones, which is held out, and in" in capsys.readouterr().err
