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
    ],
)
def test_a_value_out_of_range_is_named(change: dict[str, object], says: str) -> None:
    with pytest.raises(EdgeSerError, match=says):
        MelSpec(**change)  # type: ignore[arg-type]


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
