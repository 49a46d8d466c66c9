"""Labelling: once, by one process or several, and on from where it was stopped."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from edge_ser.audio import write_wav
from edge_ser.errors import EdgeSerError, MissingExtraError
from edge_ser.teachers import label as module
from edge_ser.teachers.label import Labelled, Team, label
from edge_ser.teachers.targets import Targets, TargetStore, content_key
from tests.edge_ser.teachers.small import Counting, noise

ROOT = Path(__file__).resolve().parents[3]
WAVES = [noise(0.1 + 0.01 * i, i) for i in range(9)]


def _store(folder, teacher, **options):
    return TargetStore(folder, teacher.identity, teacher.labels, teacher.hint_size, **options)


def _all(store, keys):
    return {key: [None if part is None else part.tolist() for part in store.get(key)] for key in keys}


def _keys():
    return [content_key(wave) for wave in WAVES]


def test_every_recording_is_heard_once_and_never_again(tmp_path):
    teacher = Counting()
    outcome = label(teacher, [*WAVES, WAVES[2]], _store(tmp_path, teacher))
    assert outcome == Labelled(9, 1, []) and teacher.heard == 9
    store = TargetStore.open(tmp_path)
    for wave in WAVES:
        for got, given in zip(store.get(content_key(wave)), Counting().targets(wave), strict=True):
            np.testing.assert_allclose(got, given, atol=1e-3)
    teacher = Counting()
    assert label(teacher, WAVES, _store(tmp_path, teacher)) == Labelled(0, 9, []) and teacher.heard == 0


def test_files_are_known_by_their_sound(tmp_path):
    (tmp_path / "in").mkdir()
    for i, wave in enumerate(WAVES[:3]):
        write_wav(tmp_path / "in" / f"{i}.wav", wave)
        write_wav(tmp_path / "in" / f"copy of {i}.wav", wave)
    teacher = Counting()
    paths = sorted((tmp_path / "in").glob("*.wav"))
    assert label(teacher, paths, _store(tmp_path / "out", teacher)) == Labelled(3, 3, [])


def test_shares_of_processes_are_disjoint_and_together_all(tmp_path):
    whole, parts = Counting(), [Counting() for _ in range(4)]
    label(whole, WAVES, _store(tmp_path / "one", whole))
    for rank, teacher in enumerate(parts):
        label(teacher, WAVES, _store(tmp_path / "four", teacher), rank=rank, world_size=4)
    assert [teacher.heard for teacher in parts] == [3, 2, 2, 2]
    stores = [TargetStore.open(tmp_path / name) for name in ("one", "four")]
    assert _all(stores[0], _keys()) == _all(stores[1], _keys())


def test_views_are_further_sounds_under_keys_of_their_own(tmp_path):
    asked = []

    def view(wave, content, k):
        asked.append((content, k))
        return (wave * np.float32(1 + k)).astype(np.float32)

    teacher = Counting()
    store = _store(tmp_path, teacher)
    assert label(teacher, WAVES[:2], store, view=view, views=3) == Labelled(6, 0, [])
    assert asked == [(key, k) for key in _keys()[:2] for k in (1, 2)]
    doubled = store.get(content_key(WAVES[1] * np.float32(2)))
    np.testing.assert_allclose(doubled.adv, Counting().targets(WAVES[1] * 2).adv, atol=1e-3)
    assert label(teacher, WAVES[:2], store, view=view, views=3) == Labelled(0, 6, [])
    assert label(teacher, WAVES[:2], store, view=lambda wave, *_: wave, views=3) == Labelled(0, 6, [])


def test_what_cannot_be_done_is_listed_and_the_others_are_done(tmp_path):
    class Picky(Counting):
        def targets(self, wave):
            if len(wave) == len(WAVES[1]):
                raise EdgeSerError("too lovely")
            return super().targets(wave)

    (tmp_path / "bad.wav").write_text("no sound")
    teacher = Picky()
    outcome = label(teacher, [*WAVES, tmp_path / "bad.wav"], _store(tmp_path / "out", teacher))
    assert outcome.done == 8 and outcome.failed[0] == ("recording 1", "too lovely")
    assert outcome.failed[1][0].endswith("bad.wav") and "not a sound file" in outcome.failed[1][1]


def test_what_every_recording_would_share_ends_the_run_with_the_rest_written(tmp_path):
    class Lacking(Counting):
        def targets(self, wave):
            if self.heard == 4:
                raise MissingExtraError("nothing to hear with")
            return super().targets(wave)

    teacher = Lacking()
    with pytest.raises(MissingExtraError):
        label(teacher, WAVES, _store(tmp_path / "a", teacher))
    assert len(TargetStore.open(tmp_path / "a")) == 4

    class Misshapen(Counting):
        def targets(self, wave):
            answer = super().targets(wave)
            return answer if self.heard < 4 else Targets(adv=np.ones(5))

    teacher = Misshapen()
    with pytest.raises(EdgeSerError, match="its store expects"):
        label(teacher, WAVES, _store(tmp_path / "b", teacher))
    assert len(TargetStore.open(tmp_path / "b")) == 3


def test_ctrl_c_keeps_what_was_heard(tmp_path):
    def progress(recordings):
        yield from list(recordings)[:5]
        raise KeyboardInterrupt

    teacher = Counting()
    with pytest.raises(KeyboardInterrupt):
        label(teacher, WAVES, _store(tmp_path, teacher), progress=progress)
    assert len(TargetStore.open(tmp_path)) == 5


def test_what_was_heard_is_written_after_a_minute(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "FLUSH_S", -1.0)
    seen = []

    def progress(recordings):
        for recording in recordings:
            seen.append(len(list(tmp_path.glob("*.npz"))))
            yield recording

    teacher = Counting()
    label(teacher, WAVES, _store(tmp_path, teacher), progress=progress)
    assert seen == list(range(9))


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"views": 0}, "0 views by process 0 of 1"),
        ({"rank": 2, "world_size": 2}, "process 2 of 2"),
        ({"views": 2}, "nothing that makes further views"),
    ],
)
def test_bad_use_is_a_sentence(tmp_path, options, says):
    teacher = Counting()
    with pytest.raises(EdgeSerError, match=says):
        label(teacher, WAVES, _store(tmp_path, teacher), **options)


def test_a_store_of_another_teacher_is_refused(tmp_path):
    with pytest.raises(EdgeSerError, match="store of another teacher"):
        label(Counting(1), WAVES, _store(tmp_path, Counting(0)))


def test_a_team_of_one_needs_no_torch(monkeypatch):
    monkeypatch.delenv("RANK", raising=False)
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    with Team.from_environment() as team:
        assert (team.rank, team.size, team.gather("x")) == (0, 1, ["x"])
    assert Labelled(1, 2, [("a", "b")]) + Labelled(3, 4, []) == Labelled(4, 6, [("a", "b")])


SLOW = """
import sys, time
from edge_ser.teachers.label import label
from edge_ser.teachers.targets import TargetStore
from tests.edge_ser.teachers.small import Counting
from tests.edge_ser.teachers.test_label import WAVES

class Slow(Counting):
    def targets(self, wave):
        time.sleep(0.1)
        return super().targets(wave)

teacher = Slow()
store = TargetStore(sys.argv[1], teacher.identity, teacher.labels, teacher.hint_size, shard_size=2)
label(teacher, WAVES, store)
"""


def test_a_killed_run_goes_on_where_it_was(tmp_path):
    run = subprocess.Popen([sys.executable, "-c", SLOW, str(tmp_path)], cwd=ROOT)
    try:
        deadline = time.monotonic() + 60
        while len(list(tmp_path.glob("targets-*.npz"))) < 2 and time.monotonic() < deadline:
            assert run.poll() is None, "it ended before it could be killed"
            time.sleep(0.01)
        os.kill(run.pid, signal.SIGKILL)
    finally:
        run.kill()
        assert run.wait() == -signal.SIGKILL
    teacher = Counting()
    store = _store(tmp_path, teacher)
    before = len(store)
    assert 4 <= before < 9 and before % 2 == 0
    assert label(teacher, WAVES, store) == Labelled(9 - before, before, [])
    assert teacher.heard == 9 - before
    unbroken = Counting()
    label(unbroken, WAVES, _store(tmp_path / "unbroken", unbroken))
    assert _all(store, _keys()) == _all(TargetStore.open(tmp_path / "unbroken"), _keys())
