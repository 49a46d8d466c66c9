"""Losses from time stamps: exact where stamps are, none where blocks are late, crystals slow or clocks step."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firmware_py.losses import LossTracker

RATE, BLOCK = 48_000, 3_000


class Driver:
    """Blocks with stamps and arrivals, for one tracker."""

    def __init__(self, rate=RATE, jitter_s=0.0, drift=0.0, seed=0):
        self.tracker = LossTracker(rate)
        self.rate, self.true_rate = rate, rate * (1 + drift)
        self.rng, self.jitter_s = np.random.default_rng(seed), jitter_s
        self.taken, self.offset, self.delay = 0, 50.0, 0.0

    def block(self, lost=0, *, told=False, stamped=True, block=BLOCK):
        self.taken += lost
        stamp = self.taken / self.true_rate + self.offset
        self.taken += block
        late = self.rng.uniform(0, self.jitter_s) if self.jitter_s else 0.0
        arrival = 1000 + self.taken / self.true_rate + self.delay + late
        stamp += self.rng.uniform(0, self.jitter_s / 25) if self.jitter_s else 0.0
        return self.tracker.push(block, stamp if stamped else 0.0, arrival, told)

    def blocks(self, count, **options):
        return sum(self.block(**options) for _ in range(count))


@settings(max_examples=60)
@given(st.lists(st.tuples(st.integers(500, 300_000), st.booleans()), max_size=8), st.integers(0, 99))
def test_every_loss_is_found_to_the_sample(losses, seed):
    driver = Driver(seed=seed)
    found = driver.blocks(20)
    for lost, told in losses:
        found += driver.block(lost, told=told) + driver.blocks(20)
    assert found == sum(lost for lost, _ in losses)
    assert driver.tracker.clock_steps == 0


@pytest.mark.parametrize("told", [1, 7, 100])
def test_the_drivers_word_finds_the_smallest(told):
    driver = Driver()
    assert driver.blocks(10) == 0
    assert driver.block(told, told=True) == told
    assert driver.blocks(30) == 0


def test_what_the_ring_dropped_is_not_found_once_more():
    driver = Driver()
    driver.blocks(20)
    driver.tracker.add_known(9_000)
    assert driver.block(9_000) + driver.blocks(20) == 0
    assert driver.block(7_000) + driver.blocks(20) == 7_000


def test_a_word_without_a_loss():
    driver = Driver()
    driver.blocks(10)
    assert driver.block(0, told=True) == 0
    assert driver.block(0, told=True, stamped=False) == 0


def test_a_word_without_stamps_goes_by_the_systems_clock():
    driver = Driver()
    driver.blocks(10, stamped=False)
    assert driver.block(20_000, told=True, stamped=False) == 20_000


def test_without_stamps_lateness_is_no_loss():
    driver = Driver()
    driver.blocks(10, stamped=False)
    driver.delay = 0.1  # a server that settles
    assert driver.blocks(200, stamped=False) == 0
    assert driver.block(200_000, stamped=False) + driver.blocks(20, stamped=False) == 200_000


@pytest.mark.parametrize("drift", [-5e-4, -1e-4, 1e-4, 5e-4])
def test_a_crystal_that_is_off_loses_nothing(drift):
    driver = Driver(drift=drift, jitter_s=0.004)
    assert driver.blocks(16 * 3600) == 0  # an hour
    assert driver.tracker.measured_rate == pytest.approx(RATE * (1 + drift), rel=2e-5)


def test_late_blocks_lose_nothing():
    driver = Driver(jitter_s=0.1)
    assert driver.blocks(2000) == 0
    driver.delay = 0.5  # for a moment everything is late, and caught up
    assert driver.blocks(3) == 0
    driver.delay = 0.0
    assert driver.blocks(100) == 0


@pytest.mark.parametrize("step", [-3600.0, -1.0, 0.7, 86_400.0])
def test_a_clock_that_steps_loses_nothing(step):
    driver = Driver()
    driver.blocks(50)
    driver.offset += step
    assert driver.blocks(50) == 0
    assert driver.tracker.clock_steps == 1
    assert driver.block(10_000) + driver.blocks(20) == 10_000  # and what comes after is still found


@pytest.mark.parametrize("step", [-0.3, 0.3])
def test_a_drivers_better_estimate_is_no_step(step):
    driver = Driver()
    driver.blocks(50)
    driver.offset += step
    assert driver.blocks(50) == 0
    assert driver.tracker.clock_steps == 0


def test_a_stream_that_ends_before_a_loss_is_sure():
    driver = Driver()
    driver.blocks(20)
    assert driver.block(9_000) + driver.block() == 0
    assert driver.tracker.settle() == 9_000
    assert driver.tracker.settle() == 0


def test_the_rate_is_told_after_ten_seconds():
    driver = Driver()
    driver.blocks(150)
    assert driver.tracker.measured_rate is None
    driver.blocks(50)
    assert driver.tracker.measured_rate == pytest.approx(RATE)


def test_a_clock_that_jumps_while_one_block_is_late_loses_nothing():
    driver = Driver()
    driver.blocks(20)
    driver.offset += 1.0
    found = driver.blocks(5)
    driver.delay = 1.0
    found += driver.block()
    driver.delay = 0.0
    assert found + driver.blocks(20) == 0 and driver.tracker.clock_steps == 1


def test_a_stream_that_ends_after_its_clock_jumped_has_lost_nothing():
    driver = Driver()
    driver.blocks(20)
    driver.offset += 1.0
    assert driver.blocks(3) == 0 and driver.tracker.settle() == 0
