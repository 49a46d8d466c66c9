"""Clips to train on: their views, what raters and a teacher say of them, and batches."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from edge_ser.corpora import Clip, Corpus, LeftOut  # noqa: E402
from edge_ser.dsp import MelSpec  # noqa: E402
from edge_ser.errors import EdgeSerError  # noqa: E402
from edge_ser.training.augment import Augment  # noqa: E402
from edge_ser.training.data import ClipSet, Taught, check_folds, left_out, pool_corpora, with_answers  # noqa: E402
from tests.edge_ser.training.tones import write_tones  # noqa: E402

LABELS = ("angry", "calm", "sad")
KNOWN = {"named": LABELS, "rated": ("angry", "sad")}
STILL = Augment(0, 0, 0, 0, 0, 0, 0, 0)
SPEC = MelSpec(n_mels=4)
FRAMES = 10
NAN = float("nan")


def clips(count: int = 12) -> list[Clip]:
    """Every third has ratings, of a corpus that knows two emotions; every fourth has no emotion."""
    return [
        Clip(
            Path(f"{i}.wav"),
            "named" if i % 3 else "rated",
            f"s{i}",
            emotion=None if i % 4 == 0 else "sad",
            **({} if i % 3 else {"arousal": 0.1, "dominance": 0.2, "valence": 0.3}),
        )
        for i in range(count)
    ]


def features(count: int, views: int) -> list[list[np.ndarray]]:
    """Clips whose every value says which view of which clip it is of."""
    return [
        [np.full((FRAMES + 5, 4), 100 * view + i, np.float16) for i in range(count)] for view in range(views)
    ]


def taught(count: int, views: int, hint: int = 2) -> Taught:
    """Answers that say the same."""

    def part(width: int) -> torch.Tensor:
        number = 100.0 * torch.arange(views)[:, None, None] + torch.arange(count)[None, :, None]
        return number.repeat(1, 1, width)

    return Taught(part(3), part(3) / 1000, part(hint))


def test_each_clip_of_a_batch_is_one_view_with_the_answer_to_that_view() -> None:
    data = ClipSet(clips(), features(12, 3), LABELS, KNOWN, taught(12, 3))
    rng = np.random.default_rng(0)
    seen = set()
    for _ in range(8):
        index = rng.permutation(12).tolist()
        batch = data.batch(index, FRAMES, STILL, SPEC, rng)
        value = batch.features[:, 0, 0]
        assert (batch.features == value[:, None, None]).all()
        assert torch.equal(value % 100, torch.tensor(index).float())
        assert torch.equal(batch.logits, value[:, None].expand(12, 3))
        assert torch.equal(batch.hint, value[:, None].expand(12, 2))
        unrated = torch.tensor([i % 3 > 0 for i in index])
        assert torch.allclose(batch.adv[unrated], value[unrated, None].expand(-1, 3) / 1000)
        seen |= set((value // 100).int().tolist())
    assert seen == {0, 1, 2}


def test_views_are_drawn_alike() -> None:
    data = ClipSet(clips(), features(12, 4), LABELS, KNOWN, taught(12, 4))
    rng = np.random.default_rng(1)
    drawn = torch.cat(
        [data.batch(list(range(12)), FRAMES, STILL, SPEC, rng).logits[:, 0] // 100 for _ in range(200)]
    )
    shares = torch.bincount(drawn.int()) / len(drawn)
    assert shares.numpy() == pytest.approx([0.25] * 4, abs=0.03)


def test_one_view_draws_nothing_so_that_recipes_of_before_there_were_views_give_the_same_weights() -> None:
    data = ClipSet(clips(), features(12, 1), LABELS, KNOWN)
    rng, same = np.random.default_rng(2), np.random.default_rng(2)
    data.batch([0, 1], FRAMES + 5, STILL, SPEC, rng)
    assert rng.random() == same.random()


def test_raters_count_before_the_teacher() -> None:
    data = ClipSet(clips(), features(12, 1), LABELS, KNOWN, taught(12, 1))
    batch = data.batch([0, 1, 3, 5], FRAMES, STILL, SPEC, np.random.default_rng(0))
    expected = torch.tensor([[0.1, 0.2, 0.3], [0.001] * 3, [0.1, 0.2, 0.3], [0.005] * 3])
    assert torch.allclose(batch.adv, expected)


def test_without_a_teacher_nothing_is_said() -> None:
    data = ClipSet(clips(), features(12, 1), LABELS, KNOWN)
    batch = data.batch([0, 1, 2], FRAMES, STILL, SPEC, np.random.default_rng(0))
    assert torch.isnan(batch.logits).all() and batch.logits.shape == (3, 3)
    assert batch.hint.shape == (3, 0)
    assert torch.equal(torch.isnan(batch.adv).all(1), torch.tensor([False, True, True]))
    assert batch.labels.tolist() == [-1, 2, 2]
    assert batch.allowed.tolist() == [[True, False, True], [True] * 3, [True] * 3]


def test_a_short_clip_is_padded_and_its_length_given() -> None:
    short = [[np.ones((FRAMES - 4, 4), np.float16), np.ones((FRAMES + 4, 4), np.float16)]]
    data = ClipSet(clips(2), short, LABELS, KNOWN)
    batch = data.batch([0, 1], FRAMES, STILL, SPEC, np.random.default_rng(0))
    assert batch.frames.tolist() == [FRAMES - 4, FRAMES]
    assert batch.features[0, FRAMES - 4 :].abs().max() == 0 and batch.features[1].min() == 1


def test_beside_a_batch_stand_other_crops_of_the_same_views_as_they_are() -> None:
    long = [
        [f.repeat(3, 0) + np.arange(3 * len(f), dtype=np.float16)[:, None] for f in v]
        for v in features(12, 2)
    ]
    data = ClipSet(clips(), long, LABELS, KNOWN, taught(12, 2))
    loud = dataclasses.replace(STILL, gain_db=30.0, early=1.0)
    batch = data.batch(list(range(12)), FRAMES, loud, SPEC, np.random.default_rng(0), plain=True)
    assert batch.plain is not None
    heard, frames = batch.plain
    assert frames.tolist() == [FRAMES] * 12
    start = heard[:, 0, 0] - batch.logits[:, 0]  # of the view that the teacher's answer is of
    assert (start >= 0).all() and (start <= 3 * (FRAMES + 5) - FRAMES).all() and len(start.unique()) > 3
    assert torch.equal(heard, (heard[:, :1, :1] + torch.arange(FRAMES)[:, None]).expand(heard.shape))
    assert data.batch([0, 1], FRAMES, loud, SPEC, np.random.default_rng(0)).plain is None


def test_taught_picks_clips_of_all_views() -> None:
    picked = taught(12, 3).pick(torch.tensor([5, 2]))
    assert [part.shape for part in picked] == [(3, 2, 3), (3, 2, 3), (3, 2, 2)]
    assert picked.logits[:, :, 0].tolist() == [[5, 2], [105, 102], [205, 202]]


def test_corpora_are_pooled_with_the_labels_that_each_knows(tmp_path: Path) -> None:
    names = [
        str(write_tones(tmp_path, "tones")),
        str(write_tones(tmp_path, "rated", ("sad", "angry"), 12, rated=True)),
    ]
    corpus, known = pool_corpora(names)
    assert corpus.name == "tones+rated" and len(corpus.clips) == 48 and corpus.labels == LABELS
    assert known == {"tones": LABELS, "rated": ("angry", "sad")}
    fewer, known = pool_corpora(names, ("calm", "angry"))
    assert fewer.labels == ("angry", "calm") and known == {"tones": ("angry", "calm"), "rated": ("angry",)}
    assert {clip.emotion for clip in fewer.clips} == {"angry", "calm"}
    with pytest.raises(EdgeSerError, match="at least one corpus"):
        pool_corpora([])
    with pytest.raises(EdgeSerError, match=r"tones\+rated has no clam; it has angry, calm, sad"):
        pool_corpora(names, ("clam", "angry"))


def test_corpora_of_one_name_are_not_taken_for_one(tmp_path: Path) -> None:
    names = []
    for folder, labels in (("mine", ("sad", "angry")), ("yours", ("calm", "sad"))):
        (tmp_path / folder).mkdir()
        names.append(str(write_tones(tmp_path / folder, "metadata", labels, 12)))
    with pytest.raises(EdgeSerError, match="two corpora are called metadata: leave one out, or give"):
        pool_corpora(names)
    with pytest.raises(EdgeSerError, match="two corpora are called metadata"):
        pool_corpora([names[0], names[0]])


def test_one_emotion_alone_is_nothing_to_learn(tmp_path: Path) -> None:
    angry, rated = (
        pool_corpora([str(write_tones(tmp_path, name, ("angry",), 12, rated=name == "rated"))])[0]
        for name in ("angry", "rated")
    )
    with pytest.raises(
        EdgeSerError, match="all clips of angry are angry: a model needs two emotions at least"
    ):
        check_folds(angry, (0,))
    check_folds(rated, (0,))  # the ratings are


def test_a_recording_of_two_corpora_is_pooled_once(tmp_path: Path) -> None:
    mine, yours = (write_tones(tmp_path, name, clips=clips) for name, clips in (("mine", 12), ("yours", 24)))
    (tmp_path / "yours" / "5.wav").write_bytes((tmp_path / "mine" / "3.wav").read_bytes())
    corpus, _ = pool_corpora([str(mine), str(yours)])
    assert len(corpus) == 12 + 24 - 1
    (left,) = corpus.left_out
    assert left.what == "5.wav" and left.reason.startswith(
        "the same recording as 3.wav, there of corpus mine and "
    )


def test_a_recording_that_is_held_out_is_not_heard_beside(tmp_path: Path) -> None:
    mine, yours = (write_tones(tmp_path, name, clips=clips) for name, clips in (("mine", 12), ("yours", 24)))
    corpus, _ = pool_corpora([str(mine)])
    check_folds(corpus, (0, 1), [str(yours)])
    held_out = next(clip.path for clip in corpus.clips if clip.fold == 1)
    (tmp_path / "yours" / "5.wav").write_bytes(held_out.read_bytes())
    check_folds(corpus, (0,), [str(yours)])
    said = rf"{held_out.name} of fold 1, which is held out, is the same recording as .*5\.wav of yours, which is heard"
    with pytest.raises(EdgeSerError, match=said):
        check_folds(corpus, (0, 1), [str(yours)])


def test_clips_without_emotion_stay_when_labels_are_chosen(tmp_path: Path) -> None:
    table = write_tones(tmp_path, "rated", ("sad", "angry"), 12, rated=True)
    table.write_text(table.read_text().replace(",sad,", ",,"))
    corpus, known = pool_corpora([str(table)], ("angry",))
    assert len(corpus.clips) == 12 and known == {"rated": ("angry",)}
    unnamed = [clip for clip in corpus.clips if clip.emotion is None]
    assert len(unnamed) == 6 and all(clip.adv for clip in unnamed)
    still = [dataclasses.replace(clip, emotion=None) for clip in corpus.clips]
    data = ClipSet(still, features(12, 1), corpus.labels, known)
    assert set(data.labels.tolist()) == {-1} and torch.isfinite(data.adv).all()


def test_what_no_fold_is_scored_on_is_named_with_its_reason() -> None:
    mine = [
        Clip(Path("a.wav"), "c", "s1", emotion="sad", fold=0),
        Clip(Path("b.wav"), "c", "s2", emotion="sad"),
        Clip(Path("c.wav"), "c", "s3", fold=1),
        Clip(Path("d.wav"), "c", "s4", arousal=0.1, dominance=0.2, valence=0.3, fold=1),
    ]
    corpus = Corpus("c", tuple(mine), ("sad",), left_out=(LeftOut("e.wav", "a duplicate"),))
    first = {"what": "e.wav", "reason": "a duplicate"}
    second = {"what": "b.wav", "reason": "no fold given"}
    third = {"what": "c.wav", "reason": "no emotion and no ratings"}
    assert left_out(corpus, with_answers(corpus)) == [first, second, third]
    named = [clip for clip in mine if clip.emotion]
    assert left_out(corpus, named) == [first, second, third, {"what": "d.wav", "reason": "no emotion"}]
