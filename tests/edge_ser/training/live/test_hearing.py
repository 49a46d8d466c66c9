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


def test_an_encoder_that_hears_otherwise_is_refused() -> None:
    other: Any = Bands()
    with pytest.raises(EdgeSerError, match="encoder of a Whisper"):
        BatchListener(other)
