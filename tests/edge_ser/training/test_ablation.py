"""Ablation: a recipe's variants under names of their own, side by side."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

pytest.importorskip("torch")

from edge_ser.errors import EdgeSerError
from edge_ser.training.ablation import Ablation, run_ablation
from tests.edge_ser.training.tones import SMALLEST, write_tones

BASE = """[data]
corpora = ["{corpus}"]
folds = [0, 1, 2]
[fit]
epochs = 2
batch = 8
crop_s = 0.5
"""
PLAN = """recipe = "base.toml"
always = ["data.folds=[0, 2]", "fit.seeds=[0, 1]"]
[variants]
"everything" = []
"without any warping" = ["augment.speed=0", "augment.bands_shift=0.0"]
"""


def write(folder: Path, plan: str = PLAN) -> Path:
    (folder / "base.toml").write_text(BASE.format(corpus=write_tones(folder)) + SMALLEST)
    path = folder / "plan.toml"
    path.write_text(plan)
    return path


def test_variants_differ_in_what_they_change_and_in_their_names_alone(tmp_path: Path) -> None:
    ablation = Ablation.read(write(tmp_path))
    whole, without = (ablation.read_variant(name).to_dict() for name in ablation.variants)
    assert (whole.pop("name"), without.pop("name")) == ("plan-everything", "plan-without-any-warping")
    assert without["augment"].pop("speed") == 0.0 and whole["augment"].pop("speed") > 0
    assert without["augment"].pop("bands_shift") == 0.0 and whole["augment"].pop("bands_shift") > 0
    assert whole == without
    assert whole["data"]["folds"] == (0, 2) and whole["fit"]["seeds"] == (0, 1)


def test_every_variant_is_trained_and_scored_once(tmp_path: Path) -> None:
    ablation = Ablation.read(write(tmp_path))
    seen: list[str] = []
    result = run_ablation(ablation, tmp_path / "runs", tmp_path / "results", report=seen.append)
    assert seen == ["everything", "without any warping"]
    assert json.loads((tmp_path / "results" / "plan.json").read_text()) == result
    for row in result["variants"]:
        own = f"plan-{row['variant'].replace(' ', '-')}"
        figures = json.loads((tmp_path / "results" / f"{own}.json").read_text())
        seeds = [[one["uar"] for one in figures["folds"] if one["seed"] == seed] for seed in (0, 1)]
        assert row["seeds"] == pytest.approx([sum(one) / 2 for one in seeds])
        assert row["uar"] == pytest.approx(sum(row["seeds"]) / 2)
        assert row["spread"] == pytest.approx(abs(row["seeds"][0] - row["seeds"][1]) / 2**0.5)
    made = {path: path.stat().st_mtime_ns for path in (tmp_path / "runs").rglob("*.safetensors")}
    assert len(made) == 8
    assert run_ablation(ablation, tmp_path / "runs", tmp_path / "results") == result
    assert {path: path.stat().st_mtime_ns for path in made} == made


def test_ratings_are_in_the_rows_where_there_are_any(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    figures = {
        "folds": [{"seed": 0, "uar": 0.5}],
        "adv": {d: {"ccc": c} for d, c in (("arousal", 0.8), ("dominance", 0.7), ("valence", 0.6))},
    }
    monkeypatch.setattr("edge_ser.training.ablation.run_recipe", lambda *_: figures)
    [row, _] = run_ablation(Ablation.read(write(tmp_path)), tmp_path, tmp_path / "results")["variants"]
    assert row["ccc"] == {"arousal": 0.8, "dominance": 0.7, "valence": 0.6} and row["spread"] is None


def test_folds_of_the_last_variant_are_looked_at_before_the_first_is_trained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = PLAN.replace("[0, 2]", "[0]").replace(
        '["augment.speed=0", "augment.bands_shift=0.0"]', '["data.folds=[1]"]'
    )
    path, table = write(tmp_path, plan), tmp_path / "tones.csv"
    table.write_text(table.read_text().replace("tones-2,calm,,,,1", "tones-2,calm,,,,2", 1))
    trained: list[str] = []
    monkeypatch.setattr(
        "edge_ser.training.ablation.run_recipe", lambda recipe, *_: trained.append(recipe.name)
    )
    with pytest.raises(EdgeSerError, match="tones-2 would stand on both sides of fold 1"):
        run_ablation(Ablation.read(path), tmp_path / "runs", tmp_path / "results")
    assert trained == []


@pytest.mark.parametrize(
    ("plan", "says"),
    [
        (PLAN.replace("recipe =", "recipes ="), "must say recipe"),
        ("name = ''\n" + PLAN, "the name '' is no file's"),
        (PLAN.replace("[variants]", "[variants]\n'a/b' = []"), "the name 'plan-a/b' is no file's"),
        (PLAN.replace('"without any warping" = ["augment.speed=0", "augment.bands_shift=0.0"]', ""), "two"),
        (PLAN.replace('["augment.speed=0", ', "[1, "), "must say recipe"),
        (PLAN.replace("augment.speed", "augment.spede"), "spede"),
        (PLAN.replace("augment.speed=0", "augment.speed"), "changes nothing"),
        (PLAN.replace("[0, 2]", "[]"), "holds no fold out"),
        (PLAN.replace("base.toml", "nobody.toml"), "nobody.toml"),
        ("[variants", "is not TOML"),
        ('recipe = "base.toml"\nvariants = 3\n', "must say recipe"),
        (
            PLAN + '"without-any warping" = []\n',
            "'without any warping' and 'without-any warping' would both be called plan-without-any-warping",
        ),
    ],
)
def test_a_plan_that_cannot_be_run_is_refused_before_anything_is(
    tmp_path: Path, plan: str, says: str
) -> None:
    path = write(tmp_path, plan)
    with pytest.raises(EdgeSerError, match=says):
        Ablation.read(path)


def test_there_must_be_a_file(tmp_path: Path) -> None:
    with pytest.raises(EdgeSerError, match="cannot read"):
        Ablation.read(tmp_path / "none.toml")
