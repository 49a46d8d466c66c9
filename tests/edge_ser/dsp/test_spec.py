"""MelSpec: what it refuses, and its trip through JSON."""

from __future__ import annotations

import json

import pytest

from edge_ser.dsp import MelSpec
from edge_ser.errors import EdgeSerError


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"sample_rate": 0}, "sample_rate"),
        ({"hop_length": 2.5}, "hop_length"),
        ({"n_mels": True}, "n_mels"),
        ({"floor": 0.0}, "floor"),
        ({"floor": True}, "floor must be a finite number, not True"),
        ({"fmin": "20"}, "fmin must be a finite number"),
        ({"scale": -1.0}, "scale"),
        ({"scale": 1e-300}, "scale must be at least 1e-06, not 1e-300"),
        ({"mean": -1e9}, "mean"),
        ({"mean": float("nan")}, "mean"),
        ({"window": "kaiser"}, "window must be one of"),
        ({"mel_scale": "bark"}, "mel_scale"),
        ({"log": "log2"}, "log"),
        ({"power": 1.5}, "power"),
        ({"padding": "left"}, "padding"),
        ({"win_length": 513}, "longer than n_fft"),
        ({"fmax": 8001.0}, "fmin < fmax <= 8000"),
        ({"fmin": 9.0, "fmax": 9.0}, "fmin < fmax"),
        ({"hop_length": 600}, "gaps"),
        ({"n_fft": 5_000_000}, "n_fft must be at most 32768, not 5000000"),
        ({"n_mels": 5_000_000}, "n_mels must be at most 32768, not 5000000"),
        ({"sample_rate": 2**31}, "sample_rate must be at most 2147483647, not 2147483648"),
        ({"hop_length": 2**64, "padding": "none"}, "hop_length must be at most 2147483647"),
        ({"fmax": 10**400}, "fmax must be a finite number"),
        ({"mean": float("inf")}, "mean must be a finite number, not inf"),
        ({"floor": 1.1e30}, r"floor must be above 0 and at most 1e\+30, not 1.1e\+30"),
    ],
)
def test_a_value_out_of_range_is_named(change: dict[str, object], says: str) -> None:
    with pytest.raises(EdgeSerError, match=says):
        MelSpec(**change)  # type: ignore[arg-type]


def test_the_ends_of_the_ranges_are_within() -> None:
    least = MelSpec(
        sample_rate=1,
        win_length=1,
        n_fft=1,
        hop_length=1,
        n_mels=1,
        fmin=0.0,
        fmax=0.5,
        scale=1e-6,
        mean=-1e6,
    )
    assert (least.frame_rate, least.frames(7)) == (1.0, 7)
    most = MelSpec(n_fft=32768, n_mels=32768, hop_length=32768, mean=1e6, floor=1e30)
    assert most.frame_rate == 16000 / 32768
    rare = MelSpec(sample_rate=2**31 - 1, hop_length=2**31 - 1, padding="none")
    assert (rare.frame_rate, rare.frames(512)) == (1.0, 1)


@pytest.mark.parametrize(
    ("padding", "samples", "frames"),
    [
        ("causal", 999, 4),  # of 512 every 200: the fifth would end with sample 1000
        ("causal", 1000, 5),
        ("none", 511, 0),
        ("none", 512, 1),
        ("none", 912, 3),
        ("center", 0, 1),
        ("center", 399, 2),
        ("reflect", 400, 3),
    ],
)
def test_frames_by_hand(padding: str, samples: int, frames: int) -> None:
    assert MelSpec(padding=padding).frames(samples) == frames


def test_json_round_trip_is_exact_and_complete() -> None:
    spec = MelSpec(mean=-50.1, scale=19.9, floor=3e-11, padding="center")
    assert MelSpec.from_dict(json.loads(json.dumps(spec.to_dict()))) == spec
    assert hash(spec) == hash(MelSpec.from_dict(spec.to_dict()))


def test_a_description_must_be_whole() -> None:
    fields = MelSpec().to_dict()
    del fields["floor"]
    with pytest.raises(EdgeSerError, match="lacks floor"):
        MelSpec.from_dict(fields)
    with pytest.raises(EdgeSerError, match="unknown fields: colour"):
        MelSpec.from_dict(MelSpec().to_dict() | {"colour": 1})
