"""The shared fit: it learns, goes on after a stop as if there had been none, chooses by validation alone."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402

from edge_ser.errors import EdgeSerError  # noqa: E402
from edge_ser.training.classify import Examples, Schedule, classify, fit_classifier  # noqa: E402


def points(n: int = 60, seed: int = 0, **more) -> Examples:
    """Three clouds in the plane."""
    rng = np.random.default_rng(seed)
    labels = np.arange(n) % 3
    centres = np.array([[0, 2], [2, -1], [-2, -1]], np.float32)
    return Examples(centres[labels] + rng.normal(0, 0.4, (n, 2)).astype(np.float32), labels=labels, **more)


def network(seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(2, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Dropout(0.2), nn.Linear(16, 3))


@pytest.mark.parametrize("rate", ["constant", "one-cycle", "plateau"])
@pytest.mark.parametrize("optimiser", ["adam", "adamw", "sgd"])
def test_it_learns_under_every_schedule(rate: str, optimiser: str) -> None:
    lr = 0.1 if optimiser == "sgd" else 0.02
    schedule = Schedule(epochs=12, batch=16, lr=lr, optimiser=optimiser, rate=rate, clip=1.0)
    fitted = fit_classifier(network(), points(), schedule, valid=points(30, 1))
    chances = classify(fitted.model, points(30, 2))
    assert chances.shape == (30, 3) and np.allclose(chances.sum(1), 1)
    assert np.mean(chances.argmax(1) == points(30, 2).labels) > 0.9
    assert [record["epoch"] for record in fitted.records] == list(range(1, 13))
    assert fitted.epoch == 12 and not fitted.diverged


def test_bfloat16_is_of_the_products_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edge_ser.precision.computes_bfloat16", lambda device: True)
    schedule = Schedule(epochs=12, batch=16, lr=0.02, bfloat16=True)
    fitted = fit_classifier(network(), points(), schedule)
    exact = fit_classifier(network(), points(), Schedule(epochs=12, batch=16, lr=0.02))
    assert {value.dtype for value in fitted.model.parameters()} == {torch.float32}
    assert fitted.records != exact.records
    chances = classify(fitted.model, points(30, 2))
    assert np.abs(chances - classify(exact.model, points(30, 2))).mean() < 0.02
    assert np.mean(chances.argmax(1) == points(30, 2).labels) > 0.9


@pytest.mark.parametrize("rate", ["one-cycle", "plateau"])
def test_a_stopped_fit_goes_on_as_if_not(rate: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edge_ser.training.classify._SAVE_S", 0.0)
    schedule = Schedule(epochs=6, batch=16, lr=0.02, rate=rate, keep="best")
    straight = fit_classifier(network(), points(), schedule, valid=points(30, 1))

    class Stop(Exception):
        pass

    def stop(record: dict[str, float]) -> None:
        if record["epoch"] == 4:
            raise Stop

    with pytest.raises(Stop):
        fit_classifier(network(), points(), schedule, valid=points(30, 1), folder=tmp_path, report=stop)
    epochs: list[float] = []

    def note(record: dict[str, float]) -> None:
        epochs.append(record["epoch"])

    again = fit_classifier(network(), points(), schedule, valid=points(30, 1), folder=tmp_path, report=note)
    assert again.records == straight.records and again.epoch == straight.epoch
    assert epochs == [4, 5, 6]  # three were kept
    for name, value in straight.model.state_dict().items():
        assert torch.equal(value, again.model.state_dict()[name]), name
    done = fit_classifier(network(), points(), schedule, valid=points(30, 1), folder=tmp_path, report=note)
    assert done.records == straight.records and epochs == [4, 5, 6]  # a finished one is not trained on


def mask(arrays, rng):
    return arrays


@dataclasses.dataclass(frozen=True)
class Noise:
    """Augmentation with a setting of its own."""

    size: float

    def __call__(self, arrays, rng):
        return arrays


def test_a_fit_goes_on_by_whatever_changes_it(tmp_path: Path) -> None:
    schedule = Schedule(epochs=1, batch=16)

    def fit(model: nn.Module, train: Examples, valid: Examples | None = None, seed: int = 0) -> None:
        fit_classifier(model, train, schedule, valid=valid, seed=seed, folder=tmp_path)

    fit(network(), points(augment=Noise(0.1)), points(30, 1))
    fit(network(), points(augment=Noise(0.1)), points(30, 1))  # the same, made anew
    turned = points(augment=Noise(0.1))
    turned.labels[:] = (turned.labels + 1) % 3  # as many of each class
    linear = network()
    linear[2] = nn.Tanh()  # without weights
    for model, train, valid, seed in (
        (network(), points(seed=5, augment=Noise(0.1)), points(30, 1), 0),
        (network(), turned, points(30, 1), 0),
        (network(), points(augment=Noise(0.2)), points(30, 1), 0),
        (network(), points(augment=mask), points(30, 1), 0),
        (network(), points(augment=Noise(0.1), fill=1.0), points(30, 1), 0),
        (network(), points(augment=Noise(0.1)), points(30, 2), 0),
        (network(), points(augment=Noise(0.1)), None, 0),
        (network(9), points(augment=Noise(0.1)), points(30, 1), 0),
        (linear, points(augment=Noise(0.1)), points(30, 1), 0),
        (network(), points(augment=Noise(0.1)), points(30, 1), 1),
    ):
        with pytest.raises(EdgeSerError, match="is of another fit: name another folder, or remove it"):
            fit(model, train, valid, seed)


def test_a_function_is_known_in_another_process(tmp_path: Path) -> None:
    schedule = Schedule(epochs=1, batch=16)
    fit_classifier(network(), points(augment=mask), schedule, folder=tmp_path)
    again = type(mask)(mask.__code__, mask.__globals__, "mask")  # elsewhere in memory
    assert repr(again) != repr(mask)
    fit_classifier(network(), points(augment=again), schedule, folder=tmp_path)


def test_the_best_epoch_is_kept_and_early_stop_ends_it() -> None:
    wrong = points(30, 1)
    wrong.labels[:] = (wrong.labels + 1) % 3  # the better the fit, the worse this validation
    schedule = Schedule(epochs=40, batch=16, lr=0.02, stop_after=3, keep="best")
    fitted = fit_classifier(network(), points(), schedule, valid=wrong)
    losses = [record["valid_loss"] for record in fitted.records]
    assert len(losses) == int(np.argmin(losses)) + 1 + 3 < 40
    right = [record["valid_accuracy"] for record in fitted.records]
    assert fitted.epoch == int(np.argmax(right)) + 1
    chances = classify(fitted.model, wrong)
    assert np.mean(chances.argmax(1) == wrong.labels) == max(right)


def test_augmentation_is_for_training_alone() -> None:
    seen = []

    def augment(arrays, rng):
        seen.append(1)
        return (arrays[0] + rng.normal(0, 0.1, 2).astype(np.float32),)

    examples = points(augment=augment)
    schedule = Schedule(epochs=1, batch=16)
    fit_classifier(network(), examples, schedule, valid=points(9, 1, augment=augment))
    assert len(seen) == 60
    assert torch.equal(examples.batch([0, 1])[0], examples.batch([0, 1])[0])


def test_shorter_examples_are_filled_up() -> None:
    arrays = [np.ones((2, n), np.float32) for n in (3, 5)]
    [batch] = Examples(arrays, labels=[0, 1], fill=-1.0).batch([0, 1])
    assert batch.shape == (2, 2, 5) and (batch[0, :, 3:] == -1).all() and (batch[1] == 1).all()


def test_a_rest_of_one_is_no_batch() -> None:
    fitted = fit_classifier(network(), points(33), Schedule(epochs=1, batch=16))  # batch norm refuses one
    assert len(fitted.records) == 1
    one = nn.Linear(2, 3)
    assert len(fit_classifier(one, points(3), Schedule(epochs=2, batch=1)).records) == 2


def test_divergence_is_an_error_or_a_finding() -> None:
    schedule = Schedule(epochs=30, batch=16, lr=3e38, optimiser="sgd")
    with pytest.raises(EdgeSerError, match="lower the rate"):
        fit_classifier(nn.Linear(2, 3), points(), schedule)
    fitted = fit_classifier(nn.Linear(2, 3), points(), schedule, may_diverge=True)
    assert fitted.diverged and len(fitted.records) < 30


def test_what_is_refused() -> None:
    with pytest.raises(EdgeSerError, match="no clips for it"):
        fit_classifier(network(), points(), Schedule(keep="best"))
    for bad in ({"optimiser": "lion"}, {"rate": "cosine"}, {"keep": "first"}, {"epochs": 0}, {"lr": 0.0}):
        with pytest.raises(EdgeSerError):
            Schedule(**bad)
    with pytest.raises(EdgeSerError, match="of one number"):
        Examples(np.zeros((3, 2)), labels=[0, 1])
    with pytest.raises(EdgeSerError, match="of one number"):
        Examples(labels=[0, 1])
