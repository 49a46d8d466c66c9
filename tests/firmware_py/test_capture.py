"""The ring: every sample in order, or counted as lost; the callback never waits."""

import threading
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firmware_py.capture import Capture
from firmware_py.ledger import RING, Ledger


def pcm(start, count):
    return (np.arange(start, start + count) % 30_000).astype(np.int16)


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 60)), max_size=80))
def test_what_is_read_is_what_was_written_less_what_was_counted(moves):
    capture, total, told = Capture(100), 0, Ledger()
    kept, heard = [], []
    for write, count in moves:
        if write:
            fits = count <= 100 - capture.filled
            capture.write(pcm(total, count), 1.0)
            if fits:
                kept.append(pcm(total, count))
            total += count
        elif (chunk := capture.read(0)) is not None:
            told.add_lost({RING: chunk.dropped})
            heard.append(chunk.samples[:, 0])
    capture.end(2.0)
    while True:
        chunk = capture.read(0)
        told.add_lost({RING: chunk.dropped})
        heard.append(chunk.samples[:, 0])
        if chunk.end:
            break
    heard = np.concatenate(heard)
    np.testing.assert_array_equal(heard, np.concatenate([*kept, pcm(0, 0)]))
    assert len(heard) + told.lost[RING] == total
    assert capture.read(0) is None and capture.filled == 0


def test_losses_are_told_before_the_block_behind_the_gap():
    capture = Capture(10)
    capture.write(pcm(0, 8), 1.0)
    capture.write(pcm(8, 8), 2.0)  # does not fit
    capture.write(pcm(16, 2), 3.0, 2.5, overflow=True)
    first, second = capture.read(0), capture.read(0)
    assert first[1:] == (1.0, 0.0, False, 0, False) and len(first.samples) == 8
    assert second[1:] == (3.0, 2.5, True, 8, False) and len(second.samples) == 2
    capture.write(
        pcm(18, 11), 4.0, overflow=True
    )  # what is dropped, and told, before the end is not forgotten
    capture.end(5.0)
    assert capture.read(0)[2:] == (0.0, True, 11, True)
    with pytest.raises(ValueError, match="capacity"):
        Capture(0)


def test_the_drivers_word_is_kept_where_its_block_is_not():
    capture = Capture(10)
    capture.write(pcm(0, 8), 1.0)
    capture.write(pcm(8, 8), 2.0, overflow=True)  # does not fit
    capture.write(pcm(16, 2), 3.0)
    capture.write(pcm(0, 0), 4.0, overflow=True)  # holds nothing
    assert [capture.read(0).overflow for _ in range(2)] == [False, True]
    capture.write(pcm(18, 2), 5.0)
    capture.write(pcm(20, 2), 6.0)
    assert [capture.read(0).overflow for _ in range(2)] == [True, False]


class Driver(threading.Thread):
    """A fake input stream: calls back at its own pace, whatever the program does."""

    def __init__(self, capture, blocks, block, period):
        super().__init__(daemon=True)
        self.capture, self.blocks, self.block, self.period = capture, blocks, block, period
        self.took = []

    def run(self):
        due = time.monotonic()
        for i in range(self.blocks):
            due += self.period
            time.sleep(max(0, due - time.monotonic()))
            data = pcm(i * self.block, self.block).tobytes()
            before = time.perf_counter()
            self.capture.write(data, time.monotonic())
            self.took.append(time.perf_counter() - before)
        self.capture.end(time.monotonic())


def drain(capture, work=lambda number: None):
    ledger, heard = Ledger(), []
    while True:
        chunk = capture.read(1.0)
        assert chunk is not None, "the driver stands still"
        ledger.add_lost({RING: chunk.dropped})
        heard.append(chunk.samples[:, 0])
        if chunk.end:
            return np.concatenate(heard), ledger
        work(len(heard))


def test_every_callback_ends_within_its_block_and_nothing_is_lost():
    def work(number):  # as the pipeline does: little on most blocks, a step's work on every tenth
        if number % 10 == 0:
            np.linalg.svd(np.random.default_rng(number).normal(size=(120, 120)))

    # A busy machine takes the processor away from any thread; one undisturbed second in five shows that the
    # callback itself never waits. Nothing may be lost in any of them.
    for _ in range(5):
        capture = Capture(16_000)
        driver = Driver(capture, blocks=40, block=400, period=0.025)
        driver.start()
        heard, ledger = drain(capture, work)
        driver.join()
        np.testing.assert_array_equal(heard, pcm(0, 40 * 400))
        assert ledger.lost_samples == 0
        assert np.median(driver.took) < 0.001  # typically 20 us
        if max(driver.took) < 0.025:
            return
    raise AssertionError(f"a callback took {max(driver.took):.3f} s, its block 0.025 s")


@settings(max_examples=3)
@given(st.sampled_from([1_000, 3_000]))
def test_a_slow_consumer_loses_exactly_what_is_counted(capacity):
    capture = Capture(capacity)
    driver = Driver(capture, blocks=100, block=160, period=0.002)
    driver.start()
    heard, ledger = drain(capture, lambda number: time.sleep(0.01))
    driver.join()
    assert ledger.lost[RING] > 0 and ledger.lost[RING] % 160 == 0
    assert len(heard) + ledger.lost_samples == 100 * 160
    # what was kept is whole blocks in order
    starts = heard.reshape(-1, 160)[:, 0].astype(int)
    assert (np.diff(starts) > 0).all() and (starts % 160 == 0).all()


def test_channels_stay_beside_each_other():
    capture = Capture(5, channels=2, dtype="float32")
    for start in (0, 3):  # the second block lies around the ring's end
        block = np.arange(start, start + 3, dtype=np.float32)[:, None] + np.float32([0, 0.5])
        capture.write(block.tobytes(), 1.0)
        np.testing.assert_array_equal(capture.read(0).samples, block)
