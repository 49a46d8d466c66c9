"""Features in batches are those of each wave alone."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from edge_ser.dsp import MelSpec, log_mel  # noqa: E402
from edge_ser.errors import EdgeSerError  # noqa: E402
from edge_ser.teachers.whisper import WHISPER_MELS  # noqa: E402
from edge_ser.training.live.mels import LogMels, within  # noqa: E402

SPECS = {
    "stream72k's": MelSpec(mean=-50.0, scale=20.0),
    "Whisper's": WHISPER_MELS,
    "magnitudes": MelSpec(power=1.0, mean=-20.0, scale=5.0),
    "ln": MelSpec(log="ln", win_length=400, n_fft=512),
    "plain": MelSpec(log="none"),
}


@pytest.mark.parametrize("name", SPECS)
def test_a_wave_among_others_has_the_features_that_it_has_alone(name: str) -> None:
    spec = SPECS[name]
    rng = np.random.default_rng(0)
    waves = [rng.normal(0, 0.1, n).astype(np.float32) for n in (9000, 4321, 16000)]
    batch = torch.zeros(3, 17000)
    for row, wave in zip(batch, waves, strict=True):
        row[: len(wave)] = torch.from_numpy(wave)
    features, frames = LogMels(spec)(batch, torch.tensor([len(wave) for wave in waves]))
    for found, count, wave in zip(features, frames.tolist(), waves, strict=True):
        expected = log_mel(wave, spec)
        assert count == len(expected) == spec.frames(len(wave))
        np.testing.assert_allclose(found[:count].numpy(), expected, rtol=1e-4, atol=1e-4)


def test_a_padding_that_is_not_made_in_batches_is_refused() -> None:
    with pytest.raises(EdgeSerError, match="'causal' or 'reflect', not 'center'"):
        LogMels(dataclasses.replace(SPECS["stream72k's"], padding="center"))


def test_the_first_places_of_each_row_are_its_own() -> None:
    found = within(3, torch.tensor([0, 2, 5]))
    assert found.tolist() == [[False] * 3, [True, True, False], [True] * 3]
