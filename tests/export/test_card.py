"""The card says what the manifest says, and what a card has to say."""

from __future__ import annotations

import pytest

from export.card import card_text
from tests.support import manifest

ENTRIES = [{"path": "weights.safetensors", "engine": "numpy", "precision": "fp32"}]
FIGURE = {
    "corpus": "ravdess",
    "protocol": "5 speaker-disjoint folds | last epoch",
    "uar": {"mean": 0.6234, "ci95": [0.58, 0.66]},
    "baseline_uar": 0.125,
    "folds": [{"fold": 0, "uar": 0.61, "n": 300}],
    "adv": {"n": 9, **{d: {"ccc": 0.5} for d in ("arousal", "dominance", "valence")}},
}


def card(**changes):
    return card_text(manifest(ENTRIES) | changes)


def test_what_every_card_says():
    text = card()
    assert text.startswith("# tiny\n")
    for word in (
        "non-commercial",
        "acted",
        "Ask first",
        "must not decide",
        "article 5",
        "workplace",
        "education",
    ):
        assert word in text
    assert "`weights.safetensors`" in text
    assert "None were recorded" in text


def test_figures_come_with_their_protocol():
    text = card(figures=[FIGURE])
    assert "| ravdess | 5 speaker-disjoint folds \\| last epoch | 0.623 | 0.580 to 0.660 | 0.125 |" in text
    assert "0.500 / 0.500 / 0.500" in text
    assert "UAR by fold" not in text  # there is one
    two = FIGURE | {"folds": [*FIGURE["folds"], {"fold": 1, "uar": 0.636, "n": 299}]}
    assert "UAR by fold, ravdess: 0: 0.610, 1: 0.636." in card(figures=[two])


def test_a_mean_says_what_it_is_of():
    rough, start = ({"recipe": {"name": name}, "seed": 0} for name in ("rough", "start"))
    between = rough | {"share": 0.5, "averaged": [rough | {"share": 0.75}, start | {"share": 0.25}]}
    text = card(training={"averaged": [{"recipe": {"name": "last"}, "seed": 0, "share": 0.5}, between]})
    assert "a mean of networks that began alike: 50% last, 50% a mean (75% rough, 25% start)" in text
    assert "50% rough, 50% start" in card(
        training={"averaged": [rough, start]}
    )  # as written before there were shares


@pytest.mark.parametrize(("held_out", "theirs"), [(0, True), (1, False), (None, False)])
def test_whether_these_weights_heard_the_speakers_of_the_figures(held_out, theirs):
    training = {"clips": {"ravdess": 1139}, "held_out_fold": held_out}
    text = card(figures=[FIGURE], training=training)
    assert ("took no part in the training" in text) == theirs == ("may have heard all" not in text)
    other = FIGURE | {"folds": [{"fold": 0, "uar": 0.61}, {"fold": 1, "uar": 0.5}]}
    assert "may have heard all" in card(figures=[FIGURE, other], training=training)
    assert "may have heard all" in card(figures=[FIGURE, FIGURE | {"folds": []}], training=training)


def test_a_figure_of_another_kind_is_shown_with_dashes():
    assert "| mine | my protocol | - | - | - | - / - / - |" in card(
        figures=[{"corpus": "mine", "protocol": "my protocol", "uar": None, "adv": []}]
    )


def test_failures_are_named():
    worst = {
        "classes": [
            {"label": "sad", "clips": 40, "recall": 0.275, "taken_for": "happy", "share": 0.2},
            {"label": "calm", "clips": 4, "recall": 1.0, "taken_for": None, "share": 0.0},
        ],
        "sexes": {"f": 0.75, "m": 0.5937},
        "conditions": [{"condition": "babble 0 dB", "lost": 0.3406}],
    }
    again = {"classes": [worst["classes"][0] | {"recall": 0.3}], "sexes": {"f": 0.1, "m": 0.2}}
    text = card(figures=[FIGURE, FIGURE | {"failures": worst}, FIGURE | {"failures": again}])
    assert text.count("| ravdess | sad |") == 1 and "0.100 of f" not in text  # the first figures of a corpus
    assert (
        "| ravdess | sad | 40 | 28% | happy (20%) |" in text and "| ravdess | calm | 4 | 100% | - |" in text
    )
    assert "UAR: ravdess 0.750 of f, 0.594 of m." in text
    assert "undisturbed: babble 0 dB 0.341." in text and "irony" in text
    assert "Not recorded with this bundle. Expect" in card(figures=[FIGURE])
    # of a corpus tested more than once the worst of all, and no more of them than of one
    more = [
        {"label": label, "clips": 9, "recall": recall, "taken_for": "bored", "share": 0.1}
        for label, recall in (("sad", 0.1), ("angry", 0.2), ("happy", 0.3))
    ]
    later = {"classes": more, "sexes": {"f": 0.2, "m": 0.8}, "conditions": worst["conditions"]}
    fold = FIGURE | {"folds": [{"fold": 1, "seed": 0, "uar": 0.5, "n": 9}], "failures": later}
    text = card(figures=[FIGURE | {"failures": worst}, fold])
    assert text.index("| ravdess | sad | 9 | 10%") < text.index("| ravdess | angry | 9 |")
    assert text.count("| bored (10%) |") == 3 and "| sad | 40 |" not in text and "| calm |" not in text
    assert "UAR: ravdess 0.200 of f, 0.800 of m." in text
    assert "of ravdess (fold 1) undisturbed: babble 0 dB 0.341." in text


@pytest.mark.parametrize(
    "odd",
    [None, 3, [], {"classes": "sad"}, {"classes": [{"label": "sad"}, 1]}, {"sexes": [1]}, {"conditions": {"a": 1}},
     {"classes": [{"label": 1, "clips": [], "recall": "x", "taken_for": {}, "share": None}]}],
)  # fmt: skip
def test_failures_of_another_kind_are_left_out(odd):
    text = card(figures=[FIGURE | {"failures": odd}])
    assert "irony" in text and "sexes" not in text and "undisturbed" not in text


def test_training_data():
    training = {
        "clips": {"ravdess": 1439},
        "licence": "ravdess: CC BY-NC-SA 4.0",
        "speakers": 24,
        "held_out_fold": None,
    }
    text = card(training=training)
    assert "| ravdess | 1,439 |" in text
    assert "CC BY-NC-SA 4.0" in text
    assert "trained on all speakers" in text


@pytest.mark.parametrize("source", ["means of raters of emotale, scaled to 0..1", "Raters."])
def test_where_the_dimensions_come_from(source):
    text = card(adv={"order": ["arousal", "dominance", "valence"], "range": [0, 1], "source": source})
    assert source[1:].rstrip(".") + ".\n" in text
    assert ("three people each" in text) == ("emotale" in source)


def test_how_int8_files_came_about():
    quantisation = {
        "calibration": {"source": "training speech", "clips": {"ravdess": 64}, "steps": 1250, "seed": 0},
        "float_layers": ["attend", "adv"],
        "integer_layers": ["mix.conv"],
        "methods": {"onnx-int8": "products in integers"},
    }
    text = card(quantisation=quantisation)
    assert "- `onnx-int8`: products in integers" in text
    assert "from training speech: 64 of ravdess, 1,250 steps, drawn with seed 0" in text
    assert "the layers attend, adv" in text
    quantisation["calibration"]["seed"] = None
    assert "seed" not in card(quantisation=quantisation).split("Files in int8")[1]
    assert "int8" not in card()
