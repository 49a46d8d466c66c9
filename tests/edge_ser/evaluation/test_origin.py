"""Whose answers these are: a bundle is calibrated by its own or its recipe's folds', and says what is known."""

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from edge_ser.bundle import Bundle
from edge_ser.corpora import load_csv
from edge_ser.errors import EdgeSerError
from edge_ser.evaluation.answers import Answers
from edge_ser.evaluation.evaluate import evaluate_bundle, evaluate_checkpoints
from edge_ser.evaluation.origin import check_fits, heard_before, of_bundle, of_checkpoints
from edge_ser.evaluation.score import Scored
from edge_ser.recognizer import Recognizer
from tests.edge_ser.evaluation.making import make

NEVER = "each answered by a model that never heard its speaker"
UNLISTED = "which the model's training does not list (whether it heard their speakers is not known)"


def meta(recipe: str = "mix", architecture: str = "stream72k", **more: Any) -> dict[str, Any]:
    """Of a checkpoint that learnt from two corpora, and from a third beside them."""
    training = {
        "recipe": {"name": recipe, "live": {"others": ["tables/third.csv"]}, **more},
        "clips": {"made": 80, "second": 9, "third": 9},
        "held_out_fold": 0,
    }
    return {"architecture": architecture, "training": training}


@pytest.fixture
def bundle(numpy_bundle: Bundle) -> Bundle:
    """As exported from a mean of what the recipe ``mix`` made."""
    training = {"recipe": {"name": "mix"}, "averaged": [{}, {}], "clips": {"made": 120, "second": 12}}
    return dataclasses.replace(numpy_bundle, training=training)


def test_folds_of_the_recipe_calibrate_its_bundle(bundle: Bundle) -> None:
    by = of_checkpoints([meta(), meta()], held_out=True)
    assert by == {
        "architecture": "stream72k",
        "recipe": "mix",
        "trained_on": ["made", "second", "third"],
        "held_out": ["made", "second"],
    }
    answers = make(answered_by=by)
    check_fits(answers, bundle, "out/made")
    assert heard_before(answers, "out/made") == NEVER


@pytest.mark.parametrize(
    "metas",
    [
        [meta("rival")],
        [meta(architecture="wav2small-17k")],
        [meta(), meta("rival")],  # a folder of both
    ],
)
def test_other_recipes_and_networks_do_not(bundle: Bundle, metas: list[dict[str, Any]]) -> None:
    with pytest.raises(
        EdgeSerError, match=r"out/made is of another model .*tiny \(stream72k of the recipe mix\)"
    ):
        check_fits(make(answered_by=of_checkpoints(metas, held_out=True)), bundle, "out/made")


def test_what_was_learnt_beside_the_folds_is_no_new_speech(bundle: Bundle) -> None:
    answers = make(answered_by=of_checkpoints([meta()], held_out=True))
    third = tuple(dataclasses.replace(clip, corpus="third") for clip in answers.clips)
    with pytest.raises(EdgeSerError, match="out/third holds answers to speakers that the model learnt from"):
        heard_before(dataclasses.replace(answers, clips=third), "out/third")
    unknown = tuple(dataclasses.replace(clip, corpus="mine") for clip in answers.clips)
    assert heard_before(dataclasses.replace(answers, clips=unknown), "out/mine") == UNLISTED


def test_a_bundle_calibrates_itself_and_says_what_it_knows(bundle: Bundle, numpy_bundle: Bundle) -> None:
    recognizer = Recognizer.load(numpy_bundle.path, engine="numpy")
    by = of_bundle(recognizer)
    assert by["file"] == numpy_bundle.model_file("numpy").sha256 and by["recipe"] is None
    own = make(answered_by=by, seen_in_training=False)
    check_fits(own, numpy_bundle, "out")
    assert heard_before(own, "out") == "answered by a model that does not say whose speech it learnt from"
    foreign = make(answered_by=by | {"file": "0" * 64}, seen_in_training=False)
    with pytest.raises(
        EdgeSerError, match="another model"
    ):  # of the same architecture, and nothing else is known
        check_fits(foreign, numpy_bundle, "out")
    of_recipe = of_bundle(Recognizer(bundle, recognizer.engine))
    fold = make(answered_by=of_recipe | {"file": "0" * 64}, seen_in_training=False)
    check_fits(fold, bundle, "out")  # the bundle of a fold, of the same recipe
    with pytest.raises(EdgeSerError, match="learnt from"):
        heard_before(fold, "out")
    mine = tuple(dataclasses.replace(clip, corpus="mine") for clip in fold.clips)
    assert heard_before(dataclasses.replace(fold, clips=mine), "out") == UNLISTED


def test_reports_of_before(bundle: Bundle) -> None:
    folds = make(model="stream72k", seeds=[0])
    check_fits(folds, bundle, "out")
    assert heard_before(folds, "out") == NEVER
    unheard = make(model="stream72k", seeds=[0], trained_on=["others"])
    check_fits(unheard, bundle, "out")
    assert heard_before(unheard, "out") == UNLISTED
    for other in (
        make(model="wav2small-17k", seeds=[0]),
        make(model="teacher", seeds=[0]),
        make(model="stream72k", params=None, leaks=False, splits=["fold 0"]),  # a pipeline of that name
    ):
        with pytest.raises(EdgeSerError, match="another model"):
            check_fits(other, bundle, "out")
    with pytest.raises(EdgeSerError, match="learnt from"):
        heard_before(make(model="svm", leaks=True), "out")


def test_evaluations_say_it(folds: Path, checkpoints: Path, numpy_bundle: Bundle) -> None:
    corpus = load_csv(folds)
    scored: list[Scored] = []
    result = evaluate_checkpoints(checkpoints, corpus, onto=scored)
    assert result["answered_by"]["architecture"] == "stream72k"
    check_fits(Answers.of(result, scored, result["labels"]), numpy_bundle, "out")
    scored = []
    result = evaluate_bundle(str(numpy_bundle.path), corpus, engine="numpy", onto=scored)
    assert result["answered_by"] == of_bundle(Recognizer.load(numpy_bundle.path, engine="numpy"))
    check_fits(Answers.of(result, scored, result["labels"]), numpy_bundle, "out")
