"""The page of an export: whole, without the network, and honest about what was refused or not measured."""

from __future__ import annotations

import dataclasses
import json
import re

import numpy as np
import pytest

pytest.importorskip("matplotlib")

from edge_ser.evaluation.parity import Difference
from export.formats import choose_formats
from export.gate import OUTPUTS, Exported, Latency
from export.memory import Memory
from export.report import write_report
from export.sensitivity import Effect, Sweep, Trial
from export.validation import Drop
from tests.support import blank_pictures

ABOUT = {"architecture": "stream72k", "parameters": 68_559, "macs_per_step": 1_310_000, "step_ms": 250.0}


def rows():
    """An fp32 file, an int8 one with everything, one that failed, and one that cannot be."""
    fp32, int8, dynamic, window = choose_formats("onnx,onnx-int8,onnx-int8-dynamic,numpy")[
        1:
    ] + choose_formats("numpy")
    sounds = {"silence": Difference(1e-6, 1e-7, 1.0), "<noise>": Difference(0.02, 0.003, 0.99)}
    outputs = {name: dict.fromkeys(OUTPUTS, one.largest) for name, one in sounds.items()}
    made = Exported(
        fp32, b"x" * 5000, sounds["silence"], "largest at silence", sounds=sounds, outputs=outputs,
        memory=Memory(274_000, 42_000, 114_000, "planned"), latency=Latency(0.2, 0.3, 100),
    )  # fmt: skip
    difference = Difference(0.01, 0.002, 1.0)
    effects = (Effect("mix.conv", 24_576, difference, dict.fromkeys(OUTPUTS, 0.001)),)
    trials = (Trial((), 4000, difference), Trial(("mix.conv",), 6000, Difference(0.0, 0.0, 1.0)))
    drop = Drop("mine, fold 1", 20, 3, 0.7, 0.71, 0.0125, (0.5, 0.5, 0.5), (0.5, 0.5, 0.505), 0.95)
    return [
        made,
        Exported(
            int8, b"x" * 4000, sounds["<noise>"], "largest at <noise>", sounds=sounds, outputs=outputs,
            memory=made.memory, latency=made.latency, drop=drop, kept=("mix.conv",), sweep=Sweep(effects, trials),
        ),
        Exported(dynamic, None, worst="the converter failed: <oops>"),
        Exported(window, None, worst="no form", applies=False),
    ]  # fmt: skip


def document(exported, *, ok):
    return {
        "name": "mine",
        **ABOUT,
        "formats": [row.to_dict() for row in exported],
        "ok": ok,
        "machine": "a & b",
    }


def test_a_page_of_everything(tmp_path):
    page = write_report(tmp_path / "deep" / "er", document(rows(), ok=False))
    text = page.read_text()
    assert not re.search(r'(src|href)="(?!data:)', text) and "http" not in text
    assert (
        "<noise>" not in text and "&lt;noise&gt;" in text and "&lt;oops&gt;" in text and "a &amp; b" in text
    )
    assert text.count("data:image/svg+xml;base64,") == 4
    assert text.count("was refused") == 1  # what has no such form was not refused
    assert "largest at" not in text  # why not is told of what was not made
    assert "was refused: the converter failed" in text and "Nothing was written." in text
    assert "mine, fold 1: 20 clips of 3 speakers" in text and "were not measured" not in text
    assert "2 of 3" in text and "has no such form" in text
    figures = json.loads((page.parent / "figures.json").read_text())
    assert figures["formats"][1]["sweep"]["layers"][0]["layer"] == "mix.conv"
    assert figures["formats"][1]["validation"]["uar_drop"] == pytest.approx(0.01)
    assert figures["formats"][1]["metric_drop"] == figures["formats"][1]["validation"]["uar_drop"]
    first = page.read_bytes()
    assert write_report(tmp_path / "deep" / "er", document(rows(), ok=False)).read_bytes() == first


@pytest.fixture
def undrawn():
    """Pages of blank pictures, which take most of their time."""
    with blank_pictures():
        yield


@pytest.mark.usefixtures("undrawn")
def test_the_smallest_the_least_and_the_fastest(tmp_path):
    fp32, int8, *_ = rows()
    greedy = dataclasses.replace(
        int8, memory=Memory(300_000, 42_000, 200_000, "planned"), latency=Latency(0.44, 1, 9)
    )
    text = write_report(tmp_path, document([fp32, greedy], ok=True)).read_text()
    for told, not_told in (("4.0 kB", "5.0 kB"), ("430 kB", "542 kB"), ("0.20 ms", "0.44 ms")):
        assert told in text and not_told not in text
    assert "onnx int8 took 0.440 ms a step here, and fp32 0.200." in text
    quick = dataclasses.replace(int8, latency=Latency(0.1, 0.2, 9))
    assert "ms a step here" not in write_report(tmp_path, document([fp32, quick], ok=True)).read_text()


@pytest.mark.usefixtures("undrawn")
def test_what_was_refused_and_is_there_all_the_same(tmp_path):
    text = write_report(tmp_path, document(rows()[:3], ok=True)).read_text()
    assert "it is in the bundle all the same" in text and "Nothing was written" not in text
    assert (
        "it is in the bundle all the same"
        not in write_report(tmp_path, document(rows(), ok=False)).read_text()
    )


@pytest.mark.usefixtures("undrawn")
def test_the_most_that_any_rating_lost_and_the_last_layer_that_was_kept(tmp_path):
    int8 = rows()[1]
    difference = Difference(0.01, 0.002, 1.0)
    sweep = Sweep(int8.sweep.effects, (Trial(("mix.conv", "down.conv"), 6000, difference),))
    drop = dataclasses.replace(int8.drop, ccc=(0.5, 0.5, 0.5), torch_ccc=(0.503, 0.507, 0.5))
    row = dataclasses.replace(int8, drop=drop, sweep=sweep)
    about = document([row], ok=True) | {"macs_per_step": None}
    text = write_report(tmp_path, about).read_text()
    assert text.count("0.007") == 2  # with the files, and with the figures
    assert re.search(r"<td[^>]*>down\.conv</td>", text) and "multiply-accumulates" not in text


def test_what_was_not_measured_is_said(tmp_path):
    text = write_report(tmp_path, document(rows()[:1], ok=True)).read_text()
    assert "UAR and CCC were not measured" in text and "refused" not in text
    assert text.count("data:image/svg+xml;base64,") == 2
    assert "Sensitivity" not in text
    assert "CCC lost" not in text and "float layers" not in text  # no columns of nothing


def test_answers_that_are_no_numbers_can_be_drawn(tmp_path):
    bad = rows()[0]
    sounds = dict.fromkeys(bad.sounds, Difference(np.inf, np.inf, 0.0))
    broken = Exported(bad.format, b"x", Difference(np.inf, np.inf, 0.0), sounds=sounds, memory=bad.memory,
                      latency=bad.latency)  # fmt: skip
    text = write_report(tmp_path, document([broken], ok=False)).read_text()
    assert "was refused: over its limits" in text
    json.dumps(broken.to_dict(), allow_nan=False)


def test_a_drop_over_its_limit_refuses_a_file():
    good = rows()[1]
    assert good.ok
    assert not dataclasses.replace(good, drop=dataclasses.replace(good.drop, uar=0.69)).ok
    assert not dataclasses.replace(good, drop=dataclasses.replace(good.drop, ccc=(0.5, 0.48, 0.5))).ok
