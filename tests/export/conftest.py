"""What an export's tests need not wait for."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True, scope="module")
def short_timings():
    """Latencies of a few steps: no test asks what they are, and each file's would take two seconds."""
    gate = pytest.importorskip("export.gate")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gate, "_ROUND_S", 0.01)
        yield
