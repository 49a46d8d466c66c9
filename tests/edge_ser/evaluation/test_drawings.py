"""The report's pictures: their axes."""

from __future__ import annotations

import pytest

pytest.importorskip("matplotlib", reason="matplotlib is not installed (extra 'plot')")

from matplotlib.figure import Figure

from edge_ser.evaluation.drawings import _calibration


@pytest.mark.parametrize(("accuracy", "top"), [((1.0, 1.0), 1.02), ((1.0, 0.9), 1.02), ((0.5, 0.4), 0.51)])
def test_a_share_right_above_one_has_no_room_on_the_axis(accuracy, top):
    figure = Figure()
    rows = [{"coverage": k, "accuracy": a} for k, a in zip((0.5, 1.0), accuracy, strict=True)]
    reliability = [{"confidence": 0.9, "accuracy": accuracy[1], "clips": 4}]
    _calibration(figure, {"reliability": reliability, "ece": 0.1, "risk_coverage": rows})
    low, high = figure.axes[1].get_ylim()
    assert low < min(accuracy) and max(accuracy) < high <= top
