"""The separator, its transform and the ideal masks."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from edge_ser.corpora.mixtures import sinusoid_pairs
from edge_ser.errors import EdgeSerError
from edge_ser.evaluation.separation import si_snr_of_sources
from edge_ser.models.separator import LstmSeparator, Masking, SeparatorConfig


def network(**shape: object) -> LstmSeparator:
    torch.manual_seed(0)
    return LstmSeparator(SeparatorConfig(masking=Masking(64, 16), **shape)).eval()  # type: ignore[arg-type]


@pytest.mark.parametrize(("n_fft", "hop"), [(64, 16), (64, 32), (512, 128), (100, 30)])
def test_what_is_transformed_comes_back(n_fft: int, hop: int) -> None:
    masking = Masking(n_fft, hop)
    waves = 0.1 * torch.randn(2, 3 * n_fft + 7, generator=torch.Generator().manual_seed(0))
    spectra = masking.transform(waves)
    assert spectra.shape[2] == masking.bins
    torch.testing.assert_close(masking.invert(spectra, waves.shape[1]), waves, atol=1e-5, rtol=0)


@pytest.mark.parametrize("both_ways", [False, True])
def test_estimates_sum_to_the_mixture_at_any_level(both_ways: bool) -> None:
    model = network(sources=3, both_ways=both_ways)
    mixtures = 0.1 * torch.randn(2, 500, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        estimates = model.separate(mixtures)
        louder = model.separate(10 * mixtures)
        spectra, masks = model(mixtures)
    assert estimates.shape == (2, 3, 500) and spectra.shape == masks.shape == (2, 3, 32, 33)
    torch.testing.assert_close(estimates.sum(1), mixtures, atol=1e-6, rtol=0)
    torch.testing.assert_close(louder, 10 * estimates, atol=1e-5, rtol=0)
    assert masks.min() >= 0 and masks.max() <= 1


def test_silence_is_silent() -> None:
    with torch.no_grad():
        assert float(network().separate(torch.zeros(1, 300)).abs().max()) == 0


def test_ideal_masks_separate_sinusoids() -> None:
    waves = sinusoid_pairs(4).waves
    ideal = Masking().ideal(torch.from_numpy(waves)).numpy()
    np.testing.assert_allclose(ideal.sum(1), waves.sum(1), atol=1e-4)
    for one, truth in zip(ideal, waves, strict=True):
        values, order = si_snr_of_sources(one, truth)
        assert order == (0, 1) and values.min() > 20


def test_parameters_are_those_of_the_shape() -> None:
    count = sum(p.numel() for p in network(units=8).parameters())
    assert count == 4 * 8 * (33 + 8 + 2) + (8 * 8 + 8) + (8 * 66 + 66)
    json.dumps(SeparatorConfig().to_dict())


def test_shapes_that_cannot_be() -> None:
    for wrong in ({"sources": 1}, {"units": 0}, {"layers": 0}):
        with pytest.raises(EdgeSerError, match="at least two sources"):
            SeparatorConfig(**wrong)  # type: ignore[arg-type]
    for n_fft, hop in ((63, 16), (64, 40), (64, 0)):
        with pytest.raises(EdgeSerError, match="even n_fft"):
            Masking(n_fft, hop)
