"""The picture of a mixture and its sources."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edge_ser.errors import EdgeSerError
from edge_ser.evaluation.sources import plot_sources

pytest.importorskip("matplotlib")


def test_each_sound_has_a_column(tmp_path: Path) -> None:
    t = np.arange(4000) / 8000
    waves = {f"source {k}": 0.4 * np.sin(2 * np.pi * 500 * k * t) for k in (1, 2)}
    plot_sources(tmp_path / "a.svg", {"mixture": sum(waves.values()), **waves}, 8000, title="a pair")  # type: ignore[dict-item]
    text = (tmp_path / "a.svg").read_text()
    assert all(f"<!-- {name} -->" in text for name in ("mixture", "source 1", "source 2", "a pair"))
    plot_sources(tmp_path / "b.png", {"silence": np.zeros(4000)}, 8000)
    assert (tmp_path / "b.png").stat().st_size > 3000


@pytest.mark.parametrize("waves", [{}, {"short": np.zeros(100)}])
def test_what_cannot_be_drawn(tmp_path: Path, waves: dict[str, np.ndarray]) -> None:
    with pytest.raises(EdgeSerError, match="cannot be drawn in frames of 512"):
        plot_sources(tmp_path / "a.png", waves, 8000)
