"""Views of clips: computed once, the same every time, and what a teacher says of them in a student's order."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from edge_ser.audio import load_audio, write_wav  # noqa: E402
from edge_ser.corpora import Clip, load_corpus  # noqa: E402
from edge_ser.dsp import MelSpec, log_mel  # noqa: E402
from edge_ser.errors import EdgeSerError, MissingExtraError  # noqa: E402
from edge_ser.features.cache import Cache  # noqa: E402
from edge_ser.models.stream72k import Stream72k  # noqa: E402
from edge_ser.models.wav2small import Wav2Small  # noqa: E402
from edge_ser.perturb import Perturb, Perturber  # noqa: E402
from edge_ser.teachers.targets import Targets, TargetStore, content_key  # noqa: E402
from edge_ser.training.views import (  # noqa: E402
    CONTENT,
    ViewMaker,
    Views,
    computed,
    content_keys,
    taught_by,
)
from tests.edge_ser.training.tones import write_tones  # noqa: E402

NEVER = {name: 0.0 for name in Perturb.__dataclass_fields__ if name.startswith("p_")}
THREE = ViewMaker(3, Perturber(Perturb(**NEVER | {"p_gain": 1.0, "p_tilt": 1.0})))
SPEC = Stream72k.spec


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> list[Clip]:
    folder = tmp_path_factory.mktemp("tones")
    return list(load_corpus(str(write_tones(folder, clips=5))).clips)


class Counted:
    """The level of a recording; counts the calls."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, wave: np.ndarray) -> np.ndarray:
        self.calls += 1
        return np.array([wave.std(), len(wave)])


def test_what_was_computed_is_not_computed_again(
    clips: list[Clip], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    level, other = Counted(), Counted()
    rows = computed(clips, THREE, {"level": level}, Cache(tmp_path))
    assert level.calls == 15 and [len(row) for row in rows["level"]] == [5, 5, 5]
    for view, row in enumerate(rows["level"]):
        for clip, found in zip(clips, row, strict=True):
            wave = THREE.make(load_audio(clip.path), view)
            assert found.tolist() == [wave.std(), len(wave)]
    again = computed(clips, THREE, {"level": level, "other": other}, Cache(tmp_path))
    assert (level.calls, other.calls) == (15, 15)
    monkeypatch.setattr(
        "edge_ser.training.views.load_audio", None
    )  # no sound is read where nothing is needed
    third = computed(clips, THREE, {"level": level}, Cache(tmp_path))
    for one in (again, third):
        assert np.array_equal(one["level"], rows["level"])


def test_fewer_views_and_other_clips_use_what_is_there(clips: list[Clip], tmp_path: Path) -> None:
    level = Counted()
    computed(clips[:3], ViewMaker(2, THREE.perturber), {"level": level}, Cache(tmp_path))
    assert level.calls == 6
    computed(clips, ViewMaker(), {"level": level}, Cache(tmp_path))
    assert level.calls == 8
    computed(clips[:3], THREE, {"level": level}, Cache(tmp_path))
    assert level.calls == 11


def test_another_perturbation_is_another_view_but_view_0_is_the_clip(
    clips: list[Clip], tmp_path: Path
) -> None:
    level = Counted()
    computed(clips, THREE, {"level": level}, Cache(tmp_path))
    louder = ViewMaker(3, Perturber(Perturb(**NEVER | {"p_gain": 1.0, "gain_db": 20.0})))
    computed(clips, louder, {"level": level}, Cache(tmp_path))
    assert level.calls == 15 + 10


def test_a_damaged_entry_is_computed_anew(clips: list[Clip], tmp_path: Path) -> None:
    level = Counted()
    whole = computed(clips, THREE, {"level": level}, Cache(tmp_path))
    entries = sorted(path for path in tmp_path.rglob("*") if path.is_file())
    assert len(entries) == 15
    entries[0].write_bytes(entries[0].read_bytes()[:-3])  # cut off
    entries[1].write_bytes(entries[2].read_bytes())  # another entry's
    entries[3].write_bytes(b"")
    again = computed(clips, THREE, {"level": level}, Cache(tmp_path))
    assert level.calls == 15 + 3 and np.array_equal(whole["level"], again["level"])
    computed(clips, THREE, {"level": level}, Cache(tmp_path))
    assert level.calls == 15 + 3


def test_a_stop_keeps_what_was_computed(clips: list[Clip], tmp_path: Path) -> None:
    level = Counted()

    def stopped(wave: np.ndarray) -> np.ndarray:
        if level.calls == 7:
            raise KeyboardInterrupt
        return level(wave)

    with pytest.raises(KeyboardInterrupt):
        computed(clips, THREE, {"level": stopped}, Cache(tmp_path))
    computed(clips, THREE, {"level": level}, Cache(tmp_path))
    assert level.calls == 15


def test_keys_are_those_of_the_sound(clips: list[Clip], tmp_path: Path) -> None:
    keys = content_keys(computed(clips, THREE, CONTENT, Cache(tmp_path)))
    for i, clip in enumerate(clips):
        wave = load_audio(clip.path)
        assert keys[0][i] == content_key(wave)
        how = THREE.perturber
        assert how is not None
        assert [keys[k][i] for k in (1, 2)] == [content_key(how.view(wave, keys[0][i], k)) for k in (1, 2)]
    assert len({key for row in keys for key in row}) == 15


def test_features_are_those_of_the_prepared_recording_and_each_network_has_its_own(
    clips: list[Clip], tmp_path: Path
) -> None:
    found = Views.load(clips[:2], THREE, SPEC, Stream72k, Cache(tmp_path))
    assert len(found.features) == len(found.keys) == 3
    for view in range(3):
        wave = THREE.make(load_audio(clips[1].path), view)
        assert found.features[view][1].dtype == np.float16
        np.testing.assert_allclose(found.features[view][1], log_mel(wave, SPEC), atol=0.01)
    other = Views.load(clips[:2], THREE, Wav2Small.spec, Wav2Small, Cache(tmp_path))

    class Half(Stream72k):
        @staticmethod
        def prepare(wave: np.ndarray) -> np.ndarray:
            return wave / 2

    half = Views.load(clips[:2], THREE, SPEC, Half, Cache(tmp_path))
    lower = log_mel(load_audio(clips[0].path) / 2, SPEC)
    np.testing.assert_allclose(half.features[0][0], lower, atol=0.01)
    again = Views.load(clips[:2], THREE, SPEC, Stream72k, Cache(tmp_path))
    assert other.keys == found.keys and other.features[0][0].shape != found.features[0][0].shape
    assert np.array_equal(again.features[2][0], found.features[2][0])
    moved = Views.load(
        clips[:2], THREE, MelSpec(**SPEC.to_dict() | {"mean": 0.0}), Stream72k, Cache(tmp_path)
    )
    assert not np.array_equal(moved.features[0][0], found.features[0][0])


def test_pick_takes_the_same_clips_of_every_view(clips: list[Clip], tmp_path: Path) -> None:
    whole = Views.load(clips, THREE, SPEC, Stream72k, Cache(tmp_path))
    part = whole.pick([3, 1])
    assert [len(row) for row in part.features] == [len(row) for row in part.keys] == [2, 2, 2]
    for view in range(3):
        assert part.keys[view] == [whole.keys[view][3], whole.keys[view][1]]
        assert part.features[view][0] is whole.features[view][3]


def test_what_cannot_be_heard_is_named(clips: list[Clip], tmp_path: Path) -> None:
    def refusing(wave: np.ndarray) -> np.ndarray:
        raise EdgeSerError("too long; cut it")

    def lacking(wave: np.ndarray) -> np.ndarray:
        raise MissingExtraError("scipy is not installed")

    with pytest.raises(EdgeSerError, match=rf"^{clips[0].path}: too long; cut it$"):
        computed(clips, THREE, {"x": refusing}, Cache(tmp_path))
    computed(clips, ViewMaker(), {"level": Counted()}, Cache(tmp_path))
    heard = Counted()

    def once(wave: np.ndarray) -> np.ndarray:
        return refusing(wave) if heard.calls else heard(wave)

    with pytest.raises(EdgeSerError, match=rf"^{clips[0].path}, view 1: too long"):
        computed(clips, THREE, {"x": once}, Cache(tmp_path / "other"))
    with pytest.raises(MissingExtraError, match="^scipy is not installed$"):
        computed(clips, THREE, {"x": lacking}, Cache(tmp_path))
    (tmp_path / "text.wav").write_text("no sound")
    with pytest.raises(EdgeSerError, match=r"text.wav is not a sound file"):
        computed([Clip(tmp_path / "text.wav", "c", "s")], THREE, CONTENT, Cache(tmp_path))


def test_a_cache_that_cannot_be_used_is_a_sentence_about_the_runs_folder(
    clips: list[Clip], tmp_path: Path
) -> None:
    (tmp_path / "cache").write_text("a file")
    with pytest.raises(EdgeSerError, match="cache .* cannot be used .*choose other --runs"):
        computed(clips, THREE, CONTENT, Cache(tmp_path / "cache"))


def store_of(folder: Path, labels: tuple[str, ...], hint: int, said: dict[str, Targets]) -> TargetStore:
    store = TargetStore(folder, "teacher", labels, hint)
    for key, targets in said.items():
        store.add(key, targets)
    store.flush()
    return TargetStore.open(folder)


KEYS = [[content_key(np.full(8, 10 * view + i)) for i in range(2)] for view in range(3)]


def test_targets_come_in_the_students_order(tmp_path: Path) -> None:
    said = {
        key: Targets(np.full(3, i / 8), np.array([i, -i, 2.0 * i]), np.array([i, 1.0]))
        for i, key in enumerate(key for row in KEYS for key in row)
    }
    found = taught_by(store_of(tmp_path, ("sad", "angry", "calm"), 2, said), KEYS, ("angry", "calm", "sad"))
    assert [part.shape for part in found] == [(3, 2, 3), (3, 2, 3), (3, 2, 2)]
    for view in range(3):
        for clip in range(2):
            i = 2 * view + clip
            assert found.logits[view, clip].tolist() == [-i, 2 * i, i]
            assert found.adv[view, clip].tolist() == [i / 8] * 3
            assert found.hint[view, clip].tolist() == [i, 1]


def test_a_teacher_of_other_classes_altogether_is_refused(tmp_path: Path) -> None:
    said = {key: Targets(None, np.array([5.0, -3.0])) for row in KEYS for key in row}
    with pytest.raises(EdgeSerError, match="knows angry, sad, and none of the student's classes"):
        taught_by(store_of(tmp_path, ("angry", "sad"), 0, said), KEYS, ("bored", "calm"))


def test_a_class_that_the_teacher_does_not_know_gets_no_probability(tmp_path: Path) -> None:
    said = {key: Targets(None, np.array([5.0, -3.0])) for row in KEYS for key in row}
    found = taught_by(store_of(tmp_path, ("angry", "sad"), 0, said), KEYS, ("angry", "bored", "sad"))
    assert found.logits[1, 1].tolist() == [5, -23, -3]
    assert torch.softmax(found.logits[1, 1], 0)[1] < 1e-8


def test_what_the_teacher_does_not_give_is_no_number(tmp_path: Path) -> None:
    rated = {key: Targets(np.full(3, 0.25)) for row in KEYS for key in row}
    found = taught_by(store_of(tmp_path / "adv", (), 0, rated), KEYS, ("angry", "sad"))
    assert torch.isnan(found.logits).all() and found.logits.shape == (3, 2, 2)
    assert found.hint.shape == (3, 2, 0) and (found.adv == 0.25).all()
    named = {key: Targets(None, np.array([1.0, 0.0]), np.ones(4)) for row in KEYS for key in row}
    found = taught_by(store_of(tmp_path / "named", ("angry", "sad"), 4, named), KEYS, ("angry", "sad"))
    assert torch.isnan(found.adv).all() and (found.hint == 1).all()


def test_what_the_teacher_has_not_heard_is_counted(tmp_path: Path) -> None:
    store = store_of(tmp_path, ("angry",), 0, {KEYS[0][0]: Targets(None, np.ones(1))})
    with pytest.raises(
        EdgeSerError, match=r"lacks 5 of 6 recordings and views: .*edge-ser teach .*\[perturb\]"
    ):
        taught_by(store, KEYS, ("angry",))


def test_files_of_one_sound_share_their_views_and_are_computed_once(tmp_path: Path) -> None:
    wave = np.random.default_rng(0).normal(0, 0.1, 4000).astype(np.float32)
    for name in ("a", "b"):
        write_wav(tmp_path / f"{name}.wav", wave)
    twice = [Clip(tmp_path / f"{name}.wav", "c", "s") for name in ("a", "b")]
    level = Counted()
    rows = computed(twice, THREE, {"level": level, **CONTENT}, Cache(tmp_path / "cache"))
    keys = content_keys(rows)
    assert level.calls == 3 and all(row[0] == row[1] for row in keys) and len({row[0] for row in keys}) == 3
