"""Other classifiers of the table: shapes, counts, and classical ones counted by what they keep."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("sklearn")

from edge_ser.errors import EdgeSerError  # noqa: E402
from edge_ser.models.classifiers import ImageAndVector, Mlp, classical, count_classical  # noqa: E402


def test_each_takes_its_inputs() -> None:
    image, vector = torch.randn(2, 1, 32, 32), torch.randn(2, 20)
    for out in (Mlp(20, 5)(vector), ImageAndVector(20, 5)(image, vector)):
        assert out.shape == (2, 5)
        out.sum().backward()


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
