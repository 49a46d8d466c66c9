"""A microphone over months: what happens to it is told once, and in words."""

import itertools

import numpy as np
import pytest

from benchmarks.simulated import World
from edge_ser.errors import EdgeSerError
from firmware_py.capture import Chunk
from firmware_py.live import Clock, LiveSource
from firmware_py.microphone import open_microphone
from firmware_py.stop import Stop


def listen(world, *moments, seconds):
    """Hear for so long; `moments` are (seconds, what happens then)."""
    source = open_microphone("", backend=world, clock=world.clock, capture=world.capture, rate=world.rate)
    for after, call in moments:
        world.later(after, call)
    stop, begin, events, positions, position = Stop(), world.time, [], [], 0
    for block in source.blocks(stop):
        position += sum(block.lost.values())
        for event in block.events:
            events.append(event)
            positions.append(position)
        position += len(block.samples)
        if world.time - begin > seconds:
            stop.request("signal")
    source.close()
    return source, events, position, positions


def test_nothing_happens():
    source, events, position, _ = listen(World(), seconds=30)
    assert events == [] and source.devices[0].lost == {}
    assert position == source.devices[0].read == pytest.approx(30 * 16_000, abs=4_000)
    assert source.devices[0].measured_rate == pytest.approx(16_000)


def test_an_unplugged_one_is_told_once_however_long():
    world = World()
    source, events, position, positions = listen(world, (3.0, world.unplug), (123.0, world.plug), seconds=130)
    assert [event.kind for event in events] == ["microphone-lost", "microphone-found"]
    lost, found = (event.at for event in events)
    assert found - lost == source.devices[0].lost["microphone"] and positions == [lost, found]
    assert "stopped giving audio" in events[0].text
    assert source.devices[0].lost["microphone"] == pytest.approx(120 * 16_000, abs=3 * 16_000)
    assert position == source.devices[0].taken == world.heard


def test_a_stop_while_it_is_away():
    world = World()
    source, events, position, _ = listen(world, (3.0, world.unplug), seconds=20)
    assert [event.kind for event in events] == ["microphone-lost"]
    assert position == source.devices[0].taken == pytest.approx(20 * 16_000, abs=3 * 16_000)


def test_what_is_missed_is_booked_as_it_passes_and_once():
    world = World()
    source = open_microphone("", backend=world, clock=world.clock, capture=world.capture, rate=world.rate)
    world.later(3.0, world.unplug)
    world.later(60.0, world.plug)
    stop, begin, position = Stop(), world.time, 0
    for block in source.blocks(stop):
        position += len(block.samples) + sum(block.lost.values())
        assert position == pytest.approx((world.time - begin) * 16_000, abs=2.5 * 16_000)  # the longest pause
        if world.time - begin > 70:
            stop.request("signal")
    assert position == source.devices[0].taken == world.heard


def test_a_stop_between_finding_it_and_its_first_audio():
    world = World()

    def plug_and_hang():
        world.plug()
        world.hangs_until = world.time + 60

    source, events, position, _ = listen(world, (3.0, world.unplug), (5.0, plug_and_hang), seconds=6.5)
    assert [event.kind for event in events] == ["microphone-lost"]
    assert position == source.devices[0].taken == pytest.approx(6.5 * 16_000, abs=16_000)


def test_a_muted_one_is_told_and_when_it_is_over():
    world = World()
    moments = [(2.0, lambda: setattr(world, "muted", True)), (20.0, lambda: setattr(world, "muted", False))]
    _, events, _, _ = listen(world, *moments, seconds=30)
    assert [event.kind for event in events] == ["silent", "heard"]
    assert "nothing but the value 0 for 10 s" in events[0].text
    assert events[0].at == pytest.approx(12 * 16_000, abs=2_000)


def test_a_short_silence_is_not_told():
    world = World()
    moments = [(2.0, lambda: setattr(world, "muted", True)), (10.0, lambda: setattr(world, "muted", False))]
    assert listen(world, *moments, seconds=15)[1] == []


def test_a_sleeping_machine_and_a_clock_that_jumps():
    world = World()
    jump = lambda: setattr(world, "stamp_offset", 3_600.0)  # noqa: E731
    source, events, _, _ = listen(world, (2.0, lambda: world.suspend(7_200)), (5.0, jump), seconds=12)
    assert [event.kind for event in events] == ["suspended", "clock"]
    assert "slept for 7200 s" in events[0].text
    assert source.devices[0].lost == {}


@pytest.mark.parametrize("seed", range(4))
def test_jitter_and_drift_over_an_hour_lose_nothing(seed):
    drift = (-2e-4, -5e-5, 5e-5, 2e-4)[seed]
    world = World(sound=np.arange(1_000, dtype=np.int16), jitter_s=0.02, drift=drift, seed=seed)
    source, events, _, _ = listen(world, seconds=900)
    assert events == [] and source.devices[0].lost == {}
    assert source.devices[0].measured_rate == pytest.approx(16_000 * (1 + drift), rel=3e-5)


# --- openings that give what is written down


class Tape:
    """A microphone's opening: gives its chunks, and what `last` is when there are no more."""

    name = "tape"

    def __init__(self, *chunks, rate=16_000, channels=1, last=None, starts=True):
        self.chunks, self.rate, self.channels, self.last, self.starts = (
            [*chunks],
            rate,
            channels,
            last,
            starts,
        )
        self.closed = False

    def start(self):
        if not self.starts:
            raise EdgeSerError("it does not start")

    def read(self, timeout):
        return self.chunks.pop(0) if self.chunks else self.last

    def stop(self):
        pass

    def ended(self):
        return "was taken away"

    def close(self):
        self.closed = True


def chunk(samples, arrival, **told):
    return Chunk(np.atleast_2d(np.asarray(samples).T).T, arrival, **told)


BROKEN_OFF = chunk(np.zeros(0, np.int16), 0.0, end=True)


def played(*openings, channel=1, oversleeps=0.0):
    """The blocks of openings one after the other; where none is left, looking for one is the end."""
    left, moment, stop, looks = [*openings], [0.0], Stop(), []

    def open_next():
        looks.append(moment[0])
        if not left:
            stop.request("signal")
            raise EdgeSerError("there is none")
        opening = left.pop(0)
        if isinstance(opening, EdgeSerError):
            raise opening
        return opening

    def sleep(until, stop):
        moment[0] = until + oversleeps

    clock = Clock(now=lambda: moment[0], asleep=lambda: 0.0, sleep=sleep)
    source = LiveSource(open_next, channel=channel, clock=clock)
    return source, [*source.blocks(stop)], looks[1:]


NONE = EdgeSerError("there is none")
SECOND = np.arange(16_000, dtype=np.int16) % 100


def test_a_lost_one_is_looked_for_at_once_then_twice_a_second_and_later_every_two():
    first, second = (Tape(chunk(SECOND, 0.0), last=BROKEN_OFF) for _ in range(2))
    looks = played(first, *[NONE] * 12, second, NONE)[2]
    assert looks[:13] == [0.0, *(0.5 * i for i in range(1, 11)), 7.0, 9.0]
    assert looks[13:] == [9.0, 9.5]  # lost a second time, it is looked for as the first time


def test_one_that_hangs_is_lost_after_two_seconds():
    world = World()
    _, events, _, _ = listen(world, (3.0, lambda: setattr(world, "hangs_until", world.time + 20)), seconds=30)
    assert [event.kind for event in events] == ["microphone-lost", "microphone-found"]
    assert "has given nothing for 2 s" in events[0].text
    hung = (events[1].at - events[0].at) / 16_000
    assert hung == pytest.approx(20, abs=0.5)
    world = World()
    moments = [(3.0, lambda: setattr(world, "hangs_until", world.time + 1.7))]
    assert listen(world, *moments, seconds=10)[1] == []


def test_what_is_missed_in_many_parts_is_exact():
    """Fifty sleeps of 8000.32 samples are 400 016, not fifty times 8000."""
    tape = Tape(chunk(SECOND, 0.0), last=BROKEN_OFF)
    source, _, looks = played(tape, *[NONE] * 9, oversleeps=0.00002)
    assert len(looks) == 10 and source.devices[0].lost["microphone"] == 72_003  # nine sleeps
    assert source.devices[0].taken == 16_000 + 72_003


def test_audio_from_before_it_was_lost_is_no_gain():
    """A server that kept the last tenth of a second gives it to the next opening; nothing was lost, nor less."""
    source, blocks, _ = played(
        Tape(chunk(SECOND, 0.0), last=BROKEN_OFF), Tape(chunk(SECOND[:1600], 0.0), last=BROKEN_OFF)
    )
    assert all(count >= 0 for block in blocks for count in block.lost.values())
    assert source.devices[0].read == 17_600


def test_what_the_ring_dropped_at_the_end_is_not_lost_with_the_microphone_again():
    end = chunk(np.zeros(0, np.int16), 1.1, dropped=1_600, end=True)
    found = chunk(SECOND, 2.6)  # begins at 1.6 s
    source, _, _ = played(Tape(chunk(SECOND, 1.0), end), Tape(found, last=BROKEN_OFF))
    assert source.devices[0].lost == {"ring": 1_600, "microphone": 8_000}


def test_another_rate_is_another_account():
    pytest.importorskip("soxr")
    loud = np.full(48_000, 0.25, np.float32)
    source, blocks, _ = played(
        Tape(chunk(SECOND, 0.0), last=BROKEN_OFF),
        Tape(chunk(loud, 1.5), rate=48_000, last=BROKEN_OFF),  # begins at half a second
    )
    assert [(one.rate, one.read, one.lost) for one in source.devices] == [
        (16_000, 16_000, {}),
        (48_000, 48_000, {"microphone": 24_000}),
    ]
    assert sum(len(block.samples) for block in blocks) == 32_000
    assert sum(sum(block.lost.values()) for block in blocks) == 8_000


def test_what_the_resampler_holds_comes_before_the_gap():
    pytest.importorskip("soxr")
    loud = np.full(4_800, 0.25, np.float32)
    more = chunk(loud, 0.4, stamp=10.3, overflow=True)  # 0.1 s of audio, 0.2 s of nothing, 0.1 s of audio
    source, blocks, _ = played(Tape(chunk(loud, 0.1, stamp=10.0), more, last=BROKEN_OFF, rate=48_000))
    assert source.devices[0].lost == {"driver": 9_600}
    gap = next(i for i, block in enumerate(blocks) if block.lost)
    assert dict(blocks[gap].lost) == {"driver": 3_200}
    assert sum(len(block.samples) for block in blocks[:gap]) == 1_600
    assert sum(len(block.samples) for block in blocks[gap:]) == 1_600


def test_what_was_dropped_before_the_last_blocks_is_found_at_the_end():
    """Five blocks are too few to tell a loss from lateness while they come; that they were the last decides."""
    tenths = [i / 10 + (0.5 if i >= 20 else 0.0) for i in range(25)]
    chunks = [chunk(SECOND[:1600], at + 0.1, stamp=50 + at) for at in tenths]
    source, blocks, _ = played(Tape(*chunks, last=BROKEN_OFF))
    assert source.devices[0].lost == {"driver": 8_000} and source.devices[0].read == 40_000
    assert sum(sum(block.lost.values()) for block in blocks) == 8_000


def test_a_stop_before_the_first_audio_is_no_error():
    stop = Stop()
    source = LiveSource(Tape, clock=Clock(now=itertools.count().__next__, asleep=lambda: 0.0))
    stop.request("signal")
    assert all(not len(block.samples) and not block.lost for block in source.blocks(stop))
    source.close()
    with pytest.raises(ValueError, match="closed"):
        next(source.blocks(stop))


def test_an_opening_that_does_not_start_is_let_go():
    mute = Tape(starts=False)
    played(Tape(chunk(SECOND, 0.0), last=BROKEN_OFF), mute)
    assert mute.closed


def test_an_opening_at_another_rate_that_does_not_start_has_no_account():
    mute, again = Tape(rate=48_000, starts=False), Tape(chunk(SECOND, 2.0), last=BROKEN_OFF)
    source, _, _ = played(Tape(chunk(SECOND, 0.0), last=BROKEN_OFF), mute, again)
    assert [device.rate for device in source.devices] == [16_000]


@pytest.mark.parametrize("channel", [0, 2, -1])
def test_a_channel_that_is_not_there(channel):
    with pytest.raises(EdgeSerError, match=f"tape has 1 channel, no channel {channel}; see"):
        played(Tape(last=BROKEN_OFF), channel=channel)


@pytest.mark.parametrize(("dtype", "full"), [(np.int16, 32_768), (np.float32, 1)])
def test_the_mean_of_channels_in_either_form(dtype, full):
    pair = (np.array([[0.25, 0.75], [-0.5, 0.25]]) * full).astype(dtype)
    _, blocks, _ = played(Tape(chunk(pair, 0.0), channels=2, last=BROKEN_OFF), channel="mix")
    assert np.concatenate([block.samples for block in blocks]).tolist() == [0.5, -0.125]


def test_a_tone_whose_blocks_begin_and_end_alike_is_no_silence():
    tone = np.resize(np.array([0, 100, 100], np.int16), 16_000)
    assert tone[0] == tone[-1] == 0
    _, blocks, _ = played(Tape(*(chunk(tone, float(i)) for i in range(12)), last=BROKEN_OFF))
    assert [event.kind for block in blocks for event in block.events] == ["microphone-lost"]


def test_what_is_no_sound_is_not_heard():
    """Over full scale a converter may be; twenty-four decibels over it nothing is."""
    values = np.array([0.5, 15.9, 17.0, -17.0, np.inf, np.nan, -0.25, 1.5], np.float32)
    source, blocks, _ = played(Tape(chunk(values, 0.0), last=BROKEN_OFF))
    assert source.devices[0].lost == {"invalid": 4} and source.devices[0].read == 4
    top = 32_767 / 32_768
    assert np.concatenate([block.samples for block in blocks]).tolist() == [0.5, top, -0.25, top]
