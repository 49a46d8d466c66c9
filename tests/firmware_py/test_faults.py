"""Listening through faults of every kind: an exact account, no crash, no hang, recovery."""

import pytest

from benchmarks.faults import Faults, run


@pytest.mark.parametrize(("rate", "seed"), [(16_000, 1), (48_000, 2), (44_100, 3)])
def test_the_account_is_exact(numpy_bundle, rate, seed):
    if rate != 16_000:
        pytest.importorskip("soxr")
    result = run(numpy_bundle, faults=68, seed=seed, rate=rate, doze=rate == 48_000)
    assert result["ok"], [name for name, holds in result["checks"].items() if not holds]
    assert len(result["faults"]) >= 16 and sum(result["faults"].values()) == 68
    lost = result["ledger"]["lost"]
    assert lost["driver"] > 0 and lost["microphone"] > 0 and lost["ring"] > 0
    assert result["outputs"]["dropped"] > 0


def test_there_are_more_than_ten_kinds():
    assert len([name for name in dir(Faults) if name.startswith("fault_")]) >= 17
