"""A microphone over months: what happens to it is told once, and in words."""

import numpy as np
import pytest

from benchmarks.simulated import World
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
