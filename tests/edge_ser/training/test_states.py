"""States: whole on disk or not there, and data told apart."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from edge_ser.training.states import digest, write_state  # noqa: E402


def test_a_write_that_fails_leaves_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = tmp_path / "run" / "last.pt"
    write_state(place, {"epoch": 1, "weights": torch.ones(3)})

    def full(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("edge_ser.files.write_synced", full)
    with pytest.raises(KeyboardInterrupt):
        write_state(place, {"epoch": 2})
    found = torch.load(place, weights_only=True)
    assert found["epoch"] == 1 and torch.equal(found["weights"], torch.ones(3))
    assert list(place.parent.iterdir()) == [place]


def test_arrays_are_told_apart_by_values_types_and_shapes() -> None:
    one = np.arange(6, dtype=np.float32)
    assert digest([one, one]) == digest(iter([one.copy(), one[::-1][::-1]]))
    others = (
        [one],
        [one, one + 1],
        [one, one.astype(np.float64)],
        [one, one.reshape(2, 3)],
        [one[:3], one[3:]],
    )
    assert len({digest([one, one]), *map(digest, others)}) == 6
    assert digest([np.float32(3)]) != digest([np.float32(4)])  # no dimension
