"""Recipes: read whole, or refused by a sentence."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import pytest

pytest.importorskip("torch")

from edge_ser.bundle import DEFAULT_MODEL, load_bundle
from edge_ser.errors import EdgeSerError
from edge_ser.files import read_part
from edge_ser.training.ablation import Ablation
from edge_ser.training.condensing import Condensing
from edge_ser.training.recipe import FitPart, Recipe
from edge_ser.training.tables import read_toml
from edge_ser.training.teach import TeachRecipe

ROOT = Path(__file__).parents[3]
RECIPES = sorted((ROOT / "recipes").glob("*.toml"))
GOOD = '[data]\ncorpora = ["ravdess"]\nfolds = [0, 1]\n'


#: What a file of recipes/ is by a table that only its kind has.
KINDS = {"teach": TeachRecipe, "variants": Ablation, "condense": Condensing}


def any_recipe(path: Path) -> Recipe | TeachRecipe | Ablation | Condensing:
    fields = tomllib.loads(path.read_text())
    return next((kind for table, kind in KINDS.items() if table in fields), Recipe).read(path)


def read(tmp_path: Path, text: str) -> Recipe:
    path = tmp_path / "mine.toml"
    path.write_text(text)
    return Recipe.read(path)


def test_the_least_recipe(tmp_path: Path) -> None:
    recipe = read(tmp_path, GOOD + "[fit]\nlr = 1\nseeds = [3, 4]\n")
    assert recipe.name == "mine" and recipe.model == "stream72k"
    assert recipe.data.folds == (0, 1) and recipe.fit.lr == 1.0 and recipe.fit.seeds == (3, 4)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "what to train on"),
        ("[data\n", "not TOML"),
        (GOOD + "[fit]\nepoch = 3\n", "no field 'epoch'"),
        (GOOD + '[fit]\nepochs = "3"\n', "epochs must be of type int"),
        (GOOD + "[fit]\nepochs = true\n", "epochs must be of type int"),
        (GOOD + "[fit]\nseeds = ['a']\n", r"seeds must be of type tuple\[int, ...\], not \('a',\)"),
        (GOOD + "[fit]\nepochs = 0\n", "epochs of at least 1"),
        (GOOD + "[spec]\nhop_length = 0\n", "hop_length"),
        (GOOD + "[extra]\na = 1\n", "unknown fields extra"),
        (
            GOOD + "[teach]\nviews = 2\n",
            "unknown fields teach; there are augment, beside, config, data, distil, fit",
        ),
        ("name = 3\n" + GOOD, "name must be text, not 3"),
        ("model = ['a']\n" + GOOD, "model must be text"),
        ("model = 'stream9000'\n" + GOOD, "unknown network 'stream9000'"),
        ("fit = 3\n" + GOOD, "fit must be a table, not 3"),
        (
            "data = 'ravdess'\n",
            "data must be a table, or the name of a recipe beside this one that has it, not 'ravdess'",
        ),
        ("[data]\nfolds = [0]\n", "what to train on"),
        ("[data]\ncorpora = 'ravdess'\n", r"\[data\] corpora must be of type tuple"),
        (GOOD.replace("[0, 1]", "[0, 1, 0]"), r"\[data\] folds holds one twice: 0, 1, 0"),
        (GOOD + "[fit]\nseeds = [3, 3]\n", r"\[fit\] seeds holds one twice: 3, 3"),
        (GOOD + "[distil]\nviews = 3\n", r"\[distil\] needs targets"),
        (
            GOOD + "[distil]\ntarget = 'x'\n",
            r"\[distil\] has no field 'target'; there are targets, views, soft",
        ),
        (GOOD + "[distil]\ntargets = 3\n", "targets must be of type str"),
        (GOOD + "[distil]\ntargets = 'x'\nviews = 0\n", r"\[distil\] needs views of at least 1"),
        (GOOD + "[distil]\ntargets = 'x'\nviews = 2.0\n", "views must be of type int"),
        (GOOD + "[distil]\ntargets = 'x'\nsoft = 1.5\n", "needs soft from 0 to 1"),
        (GOOD + "[distil]\ntargets = 'x'\nsoft = nan\n", "needs soft from 0 to 1"),
        (GOOD + "[distil]\ntargets = 'x'\ntemperature = 0\n", "needs temperature above 0"),
        (
            GOOD + "[distil]\ntargets = 'x'\nhint = -1\nquadrant = -1.0\n",
            "needs hint of at least 0 and quadrant of at least 0",
        ),
        (GOOD + "[fit]\nseeds = []\n", r"\[fit\] needs seeds, each of at least 0$"),
        (
            GOOD + "[fit]\nseeds = [0, -1]\nbatch = 1\n",
            "needs batch of at least 2 and seeds, each of at least 0$",
        ),
        (GOOD + "[fit]\nlr = nan\nweight_decay = -1\n", "needs lr above 0 and weight_decay of at least 0$"),
        (GOOD + "[fit]\nlr = 0\ncrop_s = -1\n", "needs lr above 0 and crop_s above 0$"),
        (GOOD + "[fit]\nlr = inf\ncrop_s = 0\n", "needs lr above 0 and crop_s above 0$"),
        (
            GOOD + "[fit]\nlabel_smoothing = 2\nadv_weight = -1\n",
            "label_smoothing from 0 to 1 and adv_weight of",
        ),
        (GOOD + "[fit]\nbalance = 3\nema = 1\n", "balance from 0 to 1 and ema from 0 to below 1$"),
        (GOOD + "[fit]\ndropout = 1\nthreads = 0\n", "dropout from 0 to below 1 and threads of at least 1$"),
        (
            GOOD + "[augment]\nspeed = 1\nmixup = -1\n",
            r"\[augment\] needs speed from 0 to below 1 and mixup of at",
        ),
        (
            GOOD + "[augment]\nframe_mask = -1\nstyle = 1.1\n",
            "needs frame_mask of at least 0 and style from 0 to 1$",
        ),
        (
            GOOD + "[augment]\ngain_db = nan\ntilt_db = inf\n",
            "needs gain_db of at least 0 and tilt_db of at least 0$",
        ),
        (
            GOOD + "[config]\nchannels = 'abc'\n",
            r"mine.toml: \[config\] channels must be of type int, not 'abc'",
        ),
        (GOOD + "[config]\nstem = 8\n", r"\[config\] stem must be of type tuple\[int, ...\], not 8"),
        (GOOD + "[config]\nwidth = 8\n", r"\[config\] has no field 'width'; there are"),
        (GOOD + "[spec]\nn_mels = 36\n[config]\nstem = [8, 8, 8]\n", "n_mels 36 must halve 3 times"),
        (GOOD + "[config]\nheads = 0\n", r"\[config\] stream72k: .* are at least 1"),
        (GOOD + "[config]\ndilations = [1, 0]\n", "dilations, .* are at least 1"),
        (GOOD + "[config]\nlabels = ['a']\n", r"\[config\] takes no labels: .* follow from \[data\] labels"),
        (GOOD + "[config]\nn_mels = 32\n", r"\[config\] takes no n_mels: .* follow from \[spec\] n_mels"),
        ("name = ''\n" + GOOD, "the name '' is no file's: give one without /, such as mine"),
        ("name = '../x'\n" + GOOD, "the name '../x' is no file's"),
        ("name = '..'\n" + GOOD, "the name '..' is no file's"),
        (GOOD + "[fit]\nconsistency = -1.0\n", "consistency is a weight"),
        (GOOD + "[fit]\nconsistency = 1.0\n[augment]\nmixup = 0.2\n", "mixup leaves none"),
        (GOOD + "[perturb]\np_noise = 2\n", r"mine.toml: \[perturb\] p_noise must be a number from 0 to 1"),
        (GOOD + "[perturb]\nsnr_db = [30, 10]\n", "snr_db must be two numbers, the lower one first"),
        (GOOD + "[perturb]\nsnr_db = 10\n", "snr_db must be of type tuple"),
        (GOOD + "[perturb]\ncodecs = ['mp7']\n", "there is no codec mp7"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(EdgeSerError, match=says):
        read(tmp_path, text)


def test_no_such_file(tmp_path: Path) -> None:
    with pytest.raises(EdgeSerError, match="cannot read"):
        Recipe.read(tmp_path / "none.toml")


def test_no_text(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(EdgeSerError, match="mine.toml is not TOML"):
        read_toml(tmp_path / "mine.toml", {"data"})


def test_tables_are_given_as_they_are(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text("name = 'x'\n" + GOOD)
    fields = read_toml(tmp_path / "mine.toml", {"name", "data", "fit"})
    assert fields == {"name": "x", "data": {"corpora": ["ravdess"], "folds": [0, 1]}}
    assert read_part(FitPart, {"lr": 1, "seeds": [2]}, tmp_path, "fit") == FitPart(lr=1.0, seeds=(2,))


DISTIL = (
    GOOD
    + "[distil]\ntargets = 'runs/t/fold{fold}'\nviews = 3\nhint = 1\n[perturb]\np_noise = 1\nsnr_db = [5, 9]\n"
)


def test_a_recipe_with_a_teacher(tmp_path: Path) -> None:
    recipe = read(tmp_path, DISTIL)
    assert recipe.distil is not None
    assert recipe.distil.targets == "runs/t/fold{fold}" and recipe.distil.views == 3
    assert (recipe.distil.soft, recipe.distil.temperature, recipe.distil.hint) == (0.5, 2.0, 1.0)
    assert recipe.perturb.p_noise == 1.0 and recipe.perturb.snr_db == (5.0, 9.0)
    assert read(tmp_path, GOOD).distil is None


def test_a_teachers_recipe_says_the_same_of_views(tmp_path: Path) -> None:
    student = read(tmp_path, DISTIL)
    (tmp_path / "teacher.toml").write_text(
        "[data]\ncorpora = ['ravdess']\n[perturb]\np_noise = 1\nsnr_db = [5, 9]\n"
    )
    assert TeachRecipe.read(tmp_path / "teacher.toml").perturb == student.perturb


def test_a_table_may_stand_in_another_recipe(tmp_path: Path) -> None:
    (tmp_path / "teacher.toml").write_text(
        "[data]\ncorpora = ['emodb']\n[perturb]\npitch = 2.0\nspeed = 0.15\n"
    )
    (tmp_path / "r.toml").write_text("perturb = 'teacher.toml'\n[data]\ncorpora = ['ravdess']\n")
    recipe = Recipe.read(tmp_path / "r.toml", ["perturb.pitch=1.0"])
    assert recipe.data.corpora == ("ravdess",)
    assert (recipe.perturb.pitch, recipe.perturb.speed) == (1.0, 0.15)
    for other in ("r.toml", "nobody.toml"):  # its own name is no table either
        (tmp_path / "r.toml").write_text(f"perturb = '{other}'\n[data]\ncorpora = ['ravdess']\n")
        with pytest.raises(EdgeSerError, match="perturb must be a table, or the name of a recipe"):
            Recipe.read(tmp_path / "r.toml")


def test_as_plain_values_a_recipe_has_what_it_uses(tmp_path: Path) -> None:
    plain = read(tmp_path, GOOD + "[perturb]\np_noise = 1\n").to_dict()
    assert set(plain) == {"name", "model", "data", "fit", "augment", "spec", "config"}
    assert "start" not in plain["fit"]
    taught = read(tmp_path, DISTIL + "[fit]\nstart = 'x.safetensors'\n").to_dict()
    assert set(taught) == {*plain, "distil", "perturb"}
    assert taught["fit"] == plain["fit"] | {"start": "x.safetensors"}
    assert taught["distil"]["views"] == 3 and taught["perturb"]["snr_db"] == (5.0, 9.0)


@pytest.mark.parametrize(
    "path",
    [path for path in RECIPES if (ROOT / "results" / f"{path.stem}.json").exists()],
    ids=lambda p: p.stem,
)
def test_recipes_say_what_they_said_when_their_figures_were_made(path: Path) -> None:
    recipe = any_recipe(path)
    result = json.loads((ROOT / "results" / f"{path.stem}.json").read_text())
    if isinstance(recipe, Ablation):
        made = {row["variant"]: tuple(row["changes"]) for row in result["variants"]}
        assert (recipe.always, recipe.variants) == (tuple(result["always"]), made)
        whole = json.loads((ROOT / "results" / f"{path.stem}-everything.json").read_text())
        assert json.loads(json.dumps(recipe.read_variant("everything").to_dict())) == whole["recipe"]
    else:
        assert json.loads(json.dumps(recipe.to_dict())) == result["recipe"]


def test_the_shipped_models_recipe_says_what_it_said() -> None:
    training = json.loads((load_bundle(DEFAULT_MODEL).path / "bundle.json").read_text())["training"]
    recipe = Recipe.read(ROOT / "recipes" / f"{DEFAULT_MODEL}.toml")
    assert json.loads(json.dumps(recipe.to_dict())) == training["recipe"]


@pytest.mark.parametrize("path", RECIPES, ids=lambda p: p.stem)
def test_the_recipes_of_the_repository_are_good(path: Path) -> None:
    assert any_recipe(path).name == path.stem


def test_a_recipe_can_be_changed_from_outside(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(GOOD + "[fit]\nepochs = 5\n")
    changes = [
        "name=other",
        "fit.epochs=7",
        "fit.seeds = [1, 2]",
        "augment.speed=0",
        "fit.start=runs/x.safetensors",
    ]
    changed, plain = Recipe.read(path, changes), Recipe.read(path)
    assert (changed.name, changed.fit.epochs, changed.fit.seeds) == ("other", 7, (1, 2))
    assert changed.augment.speed == 0.0 and changed.fit.start == "runs/x.safetensors"
    assert plain.name == "mine" and plain.fit.epochs == 5


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ("fit.epochs", "changes nothing"),
        ("a.b.c=1", "changes nothing"),
        ("fit.epoch=1", "no field 'epoch'"),
        ("fit.epochs=many", "must be of type int"),
        ("fits.epochs=1", "unknown fields fits"),
        ("=1", "changes nothing"),
    ],
)
def test_a_change_that_fits_nothing_is_refused(tmp_path: Path, change: str, says: str) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(GOOD)
    with pytest.raises(EdgeSerError, match=says):
        Recipe.read(path, [change])


def test_a_student_and_its_teacher_agree_on_views() -> None:
    student, teacher = (
        any_recipe(ROOT / "recipes" / f"{name}.toml") for name in ("ravdess-distil", "teacher-ravdess")
    )
    assert isinstance(student, Recipe) and isinstance(teacher, TeachRecipe) and student.distil is not None
    assert student.distil.targets == f"runs/{teacher.name}/fold{{fold}}"
    assert student.distil.views <= teacher.teach.views and student.perturb == teacher.perturb
