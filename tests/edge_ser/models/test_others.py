"""Networks of other answers in the table."""

import pytest

torch = pytest.importorskip("torch")

from edge_ser.models.counting import cost_of  # noqa: E402
from edge_ser.models.others import OTHERS, describe_others  # noqa: E402


def test_the_table_counts_them() -> None:
    rows = {row["name"]: row for row in describe_others()}
    assert list(rows) == list(OTHERS)
    frames, bins = 24000 // 128 + 1, 257
    each = 4 * 8 * (bins + 8) + 8 * 8 + 8 * 2 * bins
    assert rows["lstm-separator"]["macs_per_second"] == round(frames * each / 3)
    assert rows["lstm-separator"]["parameters"] == each + 8 * 4 * 2 + 8 + 2 * bins
    assert 50_000 < rows["ctc-two-task"]["parameters"] < 120_000


@pytest.mark.parametrize(("both", "layers"), [(False, 1), (True, 1), (True, 2)])
def test_an_lstm_is_counted_a_step(both: bool, layers: int) -> None:
    lstm = torch.nn.LSTM(5, 4, layers, batch_first=True, bidirectional=both)
    cost, _ = cost_of(torch.nn.Sequential(lstm), lambda: lstm(torch.zeros(2, 7, 5)))
    ways = 2 if both else 1
    each = ways * 16 * (5 + 4) + (layers - 1) * ways * 16 * (4 * ways + 4)
    assert cost.macs == 2 * 7 * each
    assert cost.activation_bytes == 4 * 2 * 7 * 4 * ways
