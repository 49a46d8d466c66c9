"""Other classifiers of the table: shapes, counts, and classical ones counted by what they keep."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("sklearn")

from edge_ser.errors import EdgeSerError  # noqa: E402
from edge_ser.models.classifiers import (  # noqa: E402
    CLASSICAL,
    CLASSIFIERS,
    Mlp,
    classical,
    count_classical,
    describe_classifiers,
)


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_each_takes_its_inputs(name: str) -> None:
    row = CLASSIFIERS[name]
    out = row.build(5)(*(torch.randn(2, *shape) for shape in row.inputs))
    assert out.shape == (2, 5)
    out.sum().backward()


def test_the_table_counts_them() -> None:
    rows = {row["name"]: row for row in describe_classifiers()}
    assert list(rows) == [*CLASSIFIERS, *CLASSICAL]
    sizes = [(798, 256), (256, 128), (128, 64)]
    assert rows["mlp"]["parameters"] == sum((i + 1) * o + 2 * o for i, o in sizes) + 65 * 8
    assert rows["mlp"]["macs_per_second"] == round((sum(i * o for i, o in sizes) + 64 * 8) / 3)
    assert rows["svm"]["parameters"] is None and "once fitted" in rows["svm"]["about"]


def test_widths_and_dropout_of_an_mlp() -> None:
    shares = [layer.p for layer in Mlp(10, 3) if isinstance(layer, torch.nn.Dropout)]
    assert shares == [0.4, 0.4, 0.3]


def test_classical_ones_are_fitted_and_counted() -> None:
    rng = np.random.default_rng(0)
    x = np.concatenate([rng.normal(c, 1, (20, 2)) for c in (-2, 2)])
    y = np.repeat([0, 1], 20)
    forest = classical("random-forest", n_estimators=2, max_depth=1).fit(x, y)
    assert count_classical(forest) == 2 * (2 * 1 + 2 * 2)  # one split and two leaves of two classes, twice
    machine = classical("svm", C=1.0).fit(x, y)
    assert count_classical(machine) == len(machine.support_) * (2 + 1) + 1
    assert (machine.predict(x) == y).mean() > 0.9
    with pytest.raises(EdgeSerError, match="there are random-forest, svm"):
        classical("perceptron")
    with pytest.raises(EdgeSerError, match="cannot be counted"):
        count_classical(object())
