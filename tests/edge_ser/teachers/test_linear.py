"""Linear heads: as scikit-learn fits them, and the same after a trip to disk."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from edge_ser.errors import EdgeSerError  # noqa: E402
from edge_ser.teachers.linear import HeadPart, LinearHeads, LinearTeacher, statistics  # noqa: E402
from edge_ser.teachers.registry import load_teacher  # noqa: E402
from edge_ser.tensors import read_metadata, read_safetensors, write_safetensors  # noqa: E402
from tests.edge_ser.training.tones import Bands, use_encoder  # noqa: E402

LABELS = ("angry", "calm", "happy", "sad")
HOW = HeadPart(components=6, hint=3, weight_decay=0.05, adv_weight_decay=0.3)


def problem(n: int = 80, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Six statistics each, of other scales and centres, that say something of class and ratings."""
    rng = np.random.default_rng(seed)
    classes = rng.integers(0, 4, n)
    rows = rng.standard_normal((n, 6)) @ rng.standard_normal((6, 6)) + rng.normal(0, 1.5, (4, 6))[classes]
    adv = np.clip(0.5 + 0.1 * rows[:, :3] + 0.05 * rng.standard_normal((n, 3)), 0, 1)
    return (
        (rows * np.array([1, 10, 0.1, 3, 1, 50]) + 7).astype(np.float32),
        classes,
        np.ones((n, 4), bool),
        adv.astype(np.float32),
    )


def components(heads: LinearHeads, rows: np.ndarray) -> np.ndarray:
    return ((rows - heads.mean) / heads.scale) @ heads.basis


def softmax(logits: np.ndarray) -> np.ndarray:
    return torch.softmax(torch.from_numpy(np.asarray(logits, np.float64)), 1).numpy()


def logistic(z: np.ndarray, classes: np.ndarray, n: int) -> np.ndarray:
    """scikit-learn's probabilities of its own rows, for a problem of n rows in all."""
    linear_model = pytest.importorskip("sklearn.linear_model")
    # for two classes it has one vector w, where a softmax has w / 2 and -w / 2: half the norm
    halved = 2 if len(set(classes.tolist())) == 2 else 1
    model = linear_model.LogisticRegression(C=halved / (n * HOW.weight_decay), tol=1e-8, max_iter=5000)
    return model.fit(z.astype(np.float64), classes).predict_proba(z.astype(np.float64))


def test_emotions_are_scikit_learns_logistic_regression() -> None:
    rows, classes, allowed, adv = problem()
    heads = LinearHeads.fit(rows, classes, allowed, adv, LABELS, HOW)
    expected = logistic(components(heads, rows), classes, len(rows))
    np.testing.assert_allclose(softmax(heads.answer(rows)[0]), expected, atol=1e-3)


def test_a_class_that_a_corpus_does_not_know_takes_no_part_in_its_softmax() -> None:
    rows, classes, _, adv = problem()
    first = classes < 2
    allowed = np.where(first[:, None], [True, True, False, False], [False, False, True, True])
    heads = LinearHeads.fit(rows, classes, allowed, adv, LABELS, HOW)
    logits, z = heads.answer(rows)[0], components(heads, rows)
    # the problem falls apart into two that share nothing but the number of rows
    for part, columns in ((first, [0, 1]), (~first, [2, 3])):
        expected = logistic(z[part], classes[part], len(rows))
        np.testing.assert_allclose(softmax(logits[part][:, columns]), expected, atol=1e-3)


def test_ratings_are_scikit_learns_ridge_regression() -> None:
    linear_model = pytest.importorskip("sklearn.linear_model")
    rows, classes, allowed, adv = problem()
    adv[::5] = np.nan
    rated = np.isfinite(adv).all(1)
    heads = LinearHeads.fit(rows, classes, allowed, adv, LABELS, HOW)
    z = components(heads, rows).astype(np.float64)
    model = linear_model.Ridge(alpha=rated.sum() * HOW.adv_weight_decay).fit(z[rated], adv[rated])
    np.testing.assert_allclose(heads.answer(rows)[1], model.predict(z).clip(0, 1), atol=1e-4)


def test_rows_without_a_class_or_a_rating_still_shape_the_basis() -> None:
    rows, classes, allowed, adv = problem()
    whole = LinearHeads.fit(rows, classes, allowed, adv, LABELS, HOW)
    adv[:40], classes[40:] = np.nan, -1
    heads = LinearHeads.fit(rows, classes, allowed, adv, LABELS, HOW)
    assert np.array_equal(heads.basis, whole.basis) and np.array_equal(heads.mean, whole.mean)
    expected = logistic(components(heads, rows)[:40], classes[:40], 40)
    np.testing.assert_allclose(softmax(heads.answer(rows[:40])[0]), expected, atol=1e-3)


def test_components_are_principal_and_hints_are_the_first_of_them_at_a_spread_of_one() -> None:
    rows, classes, allowed, adv = problem(200)
    heads = LinearHeads.fit(rows, classes, allowed, adv, LABELS, HOW)
    z = (rows - rows.mean(0)) / rows.std(0)
    values, vectors = np.linalg.eigh(z.T.astype(np.float64) @ z)
    expected = vectors[:, ::-1]
    np.testing.assert_allclose(np.abs((heads.basis * expected).sum(0)), 1, atol=1e-3)  # but for the sign
    np.testing.assert_allclose(heads.spread, np.sqrt(values[::-1] / 199), rtol=1e-3)
    hints = heads.answer(rows)[2]
    assert hints.shape == (200, 3)
    np.testing.assert_allclose(hints.std(0, ddof=1), 1, rtol=1e-4)
    np.testing.assert_allclose(hints.mean(0), 0, atol=1e-4)


def test_the_same_rows_give_the_same_heads_and_leave_chance_alone() -> None:
    torch.manual_seed(3)
    before = torch.get_rng_state()
    one, two = (LinearHeads.fit(*problem(), LABELS, HOW) for _ in range(2))
    assert all(np.array_equal(one.tensors()[name], two.tensors()[name]) for name in LinearHeads.names())
    assert torch.equal(torch.get_rng_state(), before)


def test_a_statistic_that_stands_still_says_nothing() -> None:
    rows, classes, allowed, adv = problem()
    rows = np.concatenate([rows, np.full((len(rows), 1), 5, np.float32)], 1)
    heads = LinearHeads.fit(rows, classes, allowed, adv, LABELS, HOW)
    assert all(np.isfinite(part).all() for part in heads.answer(rows))


def test_answers_are_single_precision_and_ratings_stay_within_their_scale() -> None:
    rows, classes, allowed, adv = problem()
    heads = LinearHeads.fit(rows, classes, allowed, adv, LABELS, HOW)
    logits, ratings, hints = heads.answer(rows[:5] + 1000)
    assert [part.shape for part in (logits, ratings, hints)] == [(5, 4), (5, 3), (5, 3)]
    assert {part.dtype for part in (logits, ratings, hints)} == {np.dtype(np.float32)}
    assert ratings.min() >= 0 and ratings.max() <= 1 and (ratings % 1 == 0).any()
    assert [len(part) for part in heads.answer(rows[:0])] == [0, 0, 0]


def test_without_ratings_or_without_labels_there_is_no_such_answer() -> None:
    rows, classes, allowed, adv = problem()
    heads = LinearHeads.fit(rows, classes, allowed, np.full_like(adv, np.nan), LABELS, HOW)
    assert np.isnan(heads.answer(rows)[1]).all() and np.isfinite(heads.answer(rows)[0]).all()
    heads = LinearHeads.fit(rows, np.full_like(classes, -1), allowed[:, :0], adv, (), HOW)
    assert heads.answer(rows)[0].shape == (len(rows), 0) and np.isfinite(heads.answer(rows)[1]).all()


@pytest.mark.parametrize(
    ("count", "how", "says"),
    [
        (5, HOW, "5 recordings of 6 statistics are too few for 6"),
        (80, HeadPart(7, 3), "6 statistics are too few"),
    ],
)
def test_too_little_to_learn_from_is_said(count: int, how: HeadPart, says: str) -> None:
    with pytest.raises(EdgeSerError, match=f"{says}.*lower \\[head\\] components"):
        LinearHeads.fit(*problem(count), LABELS, how)


@pytest.mark.parametrize(
    "fields",
    [
        {"components": 0, "hint": 0},
        {"components": 4, "hint": 5},
        {"hint": -1},
        {"weight_decay": 0.0},
        {"adv_weight_decay": -1.0},
    ],
)
def test_heads_that_cannot_be_fitted_are_refused(fields: dict[str, float]) -> None:
    with pytest.raises(EdgeSerError, match="needs "):
        HeadPart(**fields)


def waves(count: int = 30) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    t = np.arange(8000) / 16000
    return [
        (0.2 * np.sin(2 * np.pi * (300 + 500 * (i % 4)) * t) + 0.01 * rng.standard_normal(8000)).astype(np.float32)
        for i in range(count)
    ]  # fmt: skip


def teacher(*, rated: bool = True) -> LinearTeacher:
    encoder = Bands()
    rows = np.stack([statistics(encoder, wave) for wave in waves()])
    classes = np.arange(len(rows)) % 4
    adv = (
        np.repeat(classes[:, None] / 4, 3, 1).astype(np.float32) if rated else np.full((len(rows), 3), np.nan)
    )
    how = HeadPart(components=10, hint=4)
    heads = LinearHeads.fit(rows, classes, np.ones((len(rows), 4), bool), adv.astype(np.float32), LABELS, how)
    return LinearTeacher(encoder, heads)


def test_statistics_are_mean_and_deviation_of_every_state() -> None:
    encoder, wave = Bands(), waves()[1]
    states = [state.numpy() for state in encoder.hidden(wave)]
    expected = np.concatenate([part for state in states for part in (state.mean(0), state.std(0))])
    found = statistics(encoder, wave)
    assert found.dtype == np.float32 and found.shape == (2 * encoder.states * encoder.width,)
    np.testing.assert_allclose(found, expected, atol=0.05)  # bfloat16 keeps eight bits


def test_a_teacher_answers_recordings() -> None:
    one = teacher()
    for i, wave in enumerate(waves()[:8]):
        said = one.targets(wave)
        assert said.adv is not None and said.logits is not None and said.hint is not None
        assert (said.adv.shape, said.logits.shape, said.hint.shape) == ((3,), (4,), (4,))
        assert said.logits.argmax() == i % 4
    assert teacher(rated=False).targets(waves()[0]).adv is None


def test_a_teacher_is_the_same_after_a_trip_to_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one = teacher()
    one.save(tmp_path / "t.safetensors", {"held_out_fold": 3, "recipe": {"name": "x"}})
    use_encoder(monkeypatch, one.encoder)
    again = LinearTeacher.load(tmp_path / "t.safetensors", "models/bands")
    assert again.labels == LABELS and again.hint_size == 4
    for wave in waves()[:8]:  # the basis passes through half precision
        for mine, theirs in zip(one.targets(wave), again.targets(wave), strict=True):
            np.testing.assert_allclose(theirs, mine, atol=0.02)
    assert '"held_out_fold": 3' in read_metadata(tmp_path / "t.safetensors")["edge_ser_teacher"]
    assert read_safetensors(tmp_path / "t.safetensors")["basis"].dtype == np.float16


def test_a_centred_teacher_says_that_it_needs_the_speakers_other_recordings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = teacher()
    centred = LinearTeacher(plain.encoder, plain.heads, centred="speaker")
    assert centred.identity != plain.identity
    centred.save(tmp_path / "t.safetensors", {})
    use_encoder(monkeypatch, plain.encoder)
    for one in (centred, LinearTeacher.load(tmp_path / "t.safetensors", "bands")):
        with pytest.raises(EdgeSerError, match="beside its speaker's others: .*edge-ser teach"):
            one.targets(waves()[0])


def test_identity_follows_what_answers_depend_on() -> None:
    one, other = teacher(), teacher(rated=False)
    assert one.identity == teacher().identity != other.identity
    encoder = Bands()
    encoder.identity = "other bands"
    assert LinearTeacher(encoder, one.heads).identity != one.identity
    assert LinearTeacher(encoder, one.heads, identity="what it heard").identity == "what it heard"


def test_a_teacher_read_from_its_file_is_the_one_that_was_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = teacher()
    one.save(tmp_path / "t.safetensors", {})
    use_encoder(monkeypatch, one.encoder)
    read = load_teacher("linear", [str(tmp_path / "t.safetensors"), "bands"])
    assert read.identity == one.identity and read.labels == one.labels
    with pytest.raises(EdgeSerError, match="two things"):
        load_teacher("linear", [str(tmp_path / "t.safetensors")])


def test_what_is_no_teacher_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one = teacher()
    path = tmp_path / "t.safetensors"
    one.save(path, {})
    metadata, arrays = read_metadata(path), read_safetensors(path)
    with pytest.raises(EdgeSerError, match="is not a file"):
        LinearTeacher.load(tmp_path / "none.safetensors", "models/bands")
    write_safetensors(tmp_path / "student.safetensors", arrays, {"edge_ser": "{}"})
    with pytest.raises(EdgeSerError, match="no teacher of edge-ser: train one with edge-ser teach"):
        LinearTeacher.load(tmp_path / "student.safetensors", "models/bands")
    del arrays["spread"]
    write_safetensors(tmp_path / "half.safetensors", arrays, metadata)
    with pytest.raises(EdgeSerError, match="lacks spread: train it again"):
        LinearTeacher.load(tmp_path / "half.safetensors", "models/bands")
    other = Bands()
    other.identity = "other bands"
    use_encoder(monkeypatch, other)
    with pytest.raises(EdgeSerError, match="trained on another encoder than models/bands: name the one"):
        LinearTeacher.load(path, "models/bands")
