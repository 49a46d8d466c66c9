"""What a batch hears is what each of its waves says alone."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from edge_ser.errors import EdgeSerError  # noqa: E402
from edge_ser.teachers.linear import statistics  # noqa: E402
from edge_ser.training.live.hearing import BatchListener  # noqa: E402
from tests.edge_ser.training.live.made import encoder  # noqa: E402
from tests.edge_ser.training.tones import Bands  # noqa: E402


def test_waves_of_several_lengths_are_heard_as_each_alone() -> None:
    rng = np.random.default_rng(0)
    waves = [rng.normal(0, 0.1, n).astype(np.float32) for n in (12000, 5000, 8123)]
    batch = torch.zeros(3, 16000)
    for row, wave in zip(batch, waves, strict=True):
        row[: len(wave)] = torch.from_numpy(wave)
    listener = BatchListener(encoder())
    heard = listener(batch, torch.tensor([len(wave) for wave in waves])).numpy()
    assert heard.shape == (3, listener.size)
    for found, wave in zip(heard, waves, strict=True):
        expected = statistics(listener.whisper, wave)
        assert np.linalg.norm(found - expected) < 0.02 * np.linalg.norm(expected)  # both in bfloat16
        assert np.corrcoef(found, expected)[0, 1] > 0.999


def test_what_stands_beside_a_wave_changes_nothing_and_what_is_soft_in_it_is_floored(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A click in digital silence: all of it is far below the loudest, and ends where the wave does."""
    monkeypatch.setattr(
        "edge_ser.precision.computes_bfloat16", lambda device="cpu": False
    )  # to see small ones
    rng = np.random.default_rng(0)
    wave = np.zeros(6000, np.float32)
    wave[:400] = rng.normal(0, 0.3, 400)
    wave[-400:] = rng.normal(0, 0.3, 400)
    listener = BatchListener(encoder())
    row = torch.from_numpy(wave)[None]
    alone = listener(row, torch.tensor([6000]))
    expected = statistics(listener.whisper, wave)
    assert np.linalg.norm(alone[0].numpy() - expected) < 1e-4 * np.linalg.norm(expected)
    padded = listener(torch.nn.functional.pad(row, (0, 9000)), torch.tensor([6000]))
    assert (padded - alone).norm() < 1e-4 * alone.norm()


def test_an_encoder_that_hears_otherwise_is_refused() -> None:
    other: Any = Bands()
    with pytest.raises(EdgeSerError, match="encoder of a Whisper"):
        BatchListener(other)
