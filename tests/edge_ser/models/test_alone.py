"""Networks and classifiers of the table that become no bundle as they are."""

from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

from edge_ser.models import ALONE, ARCHITECTURES, NETWORKS, describe  # noqa: E402
from edge_ser.models.counting import cost_of  # noqa: E402


@pytest.fixture(scope="module")
def rows() -> dict:
    return {row["name"]: row for row in describe(tuple(ALONE))}


def test_one_table_holds_all() -> None:
    assert list(NETWORKS) == [*ARCHITECTURES, *ALONE]
    studies = (
        "random-forest svm mlp cnn-1d cnn-2d cnn-3 cnn-4 cnn-5 cnn+mlp resnet50 lstm-separator ctc-two-task"
    )
    assert set(studies.split()) <= set(NETWORKS)


def test_the_table_counts_them(rows: dict) -> None:
    frames, bins = 24000 // 128 + 1, 257
    each = 4 * 8 * (bins + 8) + 8 * 8 + 8 * 2 * bins
    assert rows["lstm-separator"]["macs_per_second"] == round(frames * each / 3)
    assert rows["lstm-separator"]["parameters"] == each + 8 * 4 * 2 + 8 + 2 * bins
    assert 50_000 < rows["ctc-two-task"]["parameters"] < 120_000
    sizes = [(798, 256), (256, 128), (128, 64)]
    assert rows["mlp"]["parameters"] == sum((i + 1) * o + 2 * o for i, o in sizes) + 65 * 8
    assert rows["mlp"]["macs_per_second"] == round((sum(i * o for i, o in sizes) + 64 * 8) / 3)
    assert rows["svm"]["parameters"] is None and "once fitted" in rows["svm"]["about"]


def test_each_says_why_it_is_not_exported_or_how_else(rows: dict) -> None:
    for name, row in rows.items():
        assert row["why_not"] and not row["why_not"].endswith("."), name
    assert [name for name, row in rows.items() if row["exports"]] == ["random-forest", "svm"]
    assert not any(row["why_not"] for row in describe(("stream72k", "cnn-1d", "cnn-2d")))


def test_the_documents_say_the_same(rows: dict) -> None:
    told = (Path(__file__).parents[3] / "docs" / "export.md").read_text()
    for name, row in rows.items():
        assert f"`{name}`" in told and row["why_not"] in told, name


@pytest.mark.parametrize("name", [name for name, row in ALONE.items() if row.build is not None])
def test_each_takes_its_inputs(name: str) -> None:
    row = ALONE[name]
    out = row.build().eval()(*row.inputs())
    assert out is not None


@pytest.mark.parametrize(("both", "layers"), [(False, 1), (True, 1), (True, 2)])
def test_an_lstm_is_counted_a_step(both: bool, layers: int) -> None:
    lstm = torch.nn.LSTM(5, 4, layers, batch_first=True, bidirectional=both)
    cost, _ = cost_of(torch.nn.Sequential(lstm), lambda: lstm(torch.zeros(2, 7, 5)))
    ways = 2 if both else 1
    each = ways * 16 * (5 + 4) + (layers - 1) * ways * 16 * (4 * ways + 4)
    assert cost.macs == 2 * 7 * each
    assert cost.activation_bytes == 4 * 2 * 7 * 4 * ways
