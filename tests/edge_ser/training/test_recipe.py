"""Recipes: read whole, or refused by a sentence."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("torch")

from edge_ser.errors import EdgeSerError
from edge_ser.training.recipe import Recipe

GOOD = '[data]\ncorpora = ["ravdess"]\nfolds = [0, 1]\n'


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
        (GOOD + "[fit]\nepochs = 0\n", "epochs of at least 1"),
        (GOOD + "[spec]\nhop_length = 0\n", "hop_length"),
        (GOOD + "[extra]\na = 1\n", "unknown fields extra"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(EdgeSerError, match=says):
        read(tmp_path, text)


def test_no_such_file(tmp_path: Path) -> None:
    with pytest.raises(EdgeSerError, match="cannot read the recipe"):
        Recipe.read(tmp_path / "none.toml")


@pytest.mark.parametrize(
    "path", sorted((Path(__file__).parents[3] / "recipes").glob("*.toml")), ids=lambda p: p.stem
)
def test_the_recipes_of_the_repository_are_good(path: Path) -> None:
    assert Recipe.read(path).name == path.stem
