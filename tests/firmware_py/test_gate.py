"""The level gate: opens on speech, not on a click or on steady noise, and holds over pauses."""

import numpy as np
import pytest

from firmware_py.gate import FLOOR_DB, LevelGate, level_db

STEP, HOP = 4000, 200


def gate(**options):
    return LevelGate(HOP, 16000, **options)


def tone(db, samples=STEP):
    """A square wave of that level in dBFS."""
    return np.where(np.arange(samples) % 2, 1, -1).astype(np.float32) * np.float32(10 ** (db / 20))


def states(steps, used=None):
    used = gate() if used is None else used
    return [used.push(step).open for step in steps]


@pytest.mark.parametrize("db", [0.0, -20.0, -96.0])
def test_level(db):
    assert level_db(tone(db)) == pytest.approx(db, abs=0.01)
    assert gate().push(tone(db)).level_db == pytest.approx(db, abs=0.01)


def test_level_of_nothing():
    assert gate().push(np.zeros(STEP, np.float32)).level_db == FLOOR_DB


def test_opens_at_once_and_hangs_over():
    room, speech = tone(-70), tone(-25)
    # 0.6 s of hang-over: open through two quiet steps and the part of a third
    assert states([room, room, speech, speech, room, room, room, room, room]) == [
        False, False, True, True, True, True, True, False, False,
    ]  # fmt: skip


def test_a_click_does_not_open():
    click = tone(-70)
    click[1000:1010] = 0.9
    assert states([tone(-70), click, tone(-70)]) == [False] * 3


def test_steady_noise_closes():
    heard = states([tone(-40)] * 12)
    assert not any(heard[1:])


def test_speech_over_noise_opens():
    heard = states([tone(-40)] * 8 + [tone(-20)] * 2)
    assert heard[-2:] == [True, True]


def test_a_muted_microphone_is_silent_and_does_not_set_the_floor():
    muted = np.zeros(STEP, np.float32)
    used = gate()
    assert states([muted] * 4, used) == [False] * 4
    assert not used.push(tone(-62)).open
    assert used.push(tone(-20)).open


def test_the_floor_forgets():
    used = gate(floor_s=2.0)
    states([tone(-75)] * 4 + [tone(-40)] * 12, used)
    assert used.floor_db == pytest.approx(-40, abs=0.1)
