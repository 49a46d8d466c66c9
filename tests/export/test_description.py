"""What a bundle is called."""

from pathlib import Path

import pytest

from edge_ser.dsp import MelSpec
from edge_ser.errors import EdgeSerError
from export.description import describe, model_name


def test_the_name_that_is_given_or_the_folders():
    assert model_name(None, Path("out/mine-2.1")) == "mine-2.1"
    assert model_name("yours", Path("my model")) == "yours"


@pytest.mark.parametrize(
    ("name", "folder", "told"),
    [
        (None, "my model", "the folder's name 'my model'"),
        ("größer", "mine", "the name"),
        ("", "mine", "the name"),
    ],
)
def test_one_that_no_bundle_can_have_is_told_before_anything_is_converted(name, folder, told):
    with pytest.raises(EdgeSerError, match=told):
        model_name(name, Path(folder))


def described(**changed):
    about = {
        "name": "mine", "architecture": "stream72k", "config": {"labels": ["angry", "sad"], "step_frames": 20},
        "spec": MelSpec(), "states": {"down": (1, 96, 2)}, "parameters": 5, "macs_per_second": 7, "training": {},
        "licence": "none", "adv_source": "nobody", "rated": True, "figures": [], "calibration": {}, "files": [],
    }  # fmt: skip
    return describe(**about | changed)


def test_the_tensors_of_a_network_that_streams_and_of_one_that_hears_a_window():
    streams = described()
    assert [(one["name"], one["shape"]) for one in streams["inputs"]] == [("features", [1, 20, 64])]
    assert [(one["name"], one["shape"]) for one in streams["states"]] == [("down", [1, 96, 2])]
    assert [(one["name"], one["shape"]) for one in streams["outputs"]] == [
        ("adv", [1, 3]), ("logits", [1, 2]),
    ]  # fmt: skip
    assert streams["step_frames"] == 20 and not {"window", "quantisation"} & set(streams)
    window = {
        "input": "waveform",
        "shape": (1, 16_000),
        "samples": 16_000,
        "normalise": "none",
        "step_frames": 8,
    }
    clip = described(window=window, states={})
    assert [(one["name"], one["shape"]) for one in clip["inputs"]] == [("waveform", [1, 16_000])]
    assert clip["step_frames"] == 8 and clip["window"] == {"samples": 16_000, "normalise": "none"}


def test_ratings_that_nobody_gave_are_said_to_be_none():
    assert "learnt" not in described()["adv"] and described(rated=False)["adv"]["learnt"] is False
