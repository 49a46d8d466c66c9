"""All views in one place, where they are once."""

from __future__ import annotations

import subprocess
import sys

import pytest

torch = pytest.importorskip("torch")

from edge_ser.training.live.pool import Pool  # noqa: E402
from tests.edge_ser.training.live.made import bank_of, clips_of  # noqa: E402

PEAK = """
import re
import torch
from edge_ser.training.live.bank import Bank
from edge_ser.training.live.pool import Pool
from edge_ser.training.memory import keep_freed_memory
from tests.edge_ser.training.live.made import clips_of
keep_freed_memory()
PARTS = (((2000, 64), torch.float16), ((), torch.int64), ((8,), torch.float16))
def banks():
    for corpus in "abcdef":
        clips = clips_of(corpus, 100)
        yield clips, Bank(*(torch.ones(2, 100, *n, dtype=kind) for n, kind in PARTS))
def peak():
    with open("/proc/self/status") as file:  # getrusage's begins as the parent's
        return int(re.search(r"VmHWM:\\s+(\\d+) kB", file.read())[1]) / 1024
next(banks())  # what making one takes
before = peak()
pool = Pool(banks())
print((peak() - before) / (pool.features.nbytes / 2**20))
"""


def test_every_row_is_where_it_is_said_to_be() -> None:
    first, second = bank_of(5), bank_of(3, views=4, seed=1)
    mine, yours = clips_of("mine", 5), clips_of("yours", 3)
    pool = Pool([(mine, first), (yours, second)])
    start, stride = pool.rows([mine[4], yours[0], yours[2]])
    assert start.tolist() == [4, 10, 12] and stride.tolist() == [5, 3, 3]
    for view in range(2):
        assert torch.equal(pool.features[4 + 5 * view], first.features[view, 4])
    for view in range(4):
        assert torch.equal(pool.features[12 + 3 * view], second.features[view, 2])
        assert pool.frames[10 + 3 * view] == second.frames[view, 0]
    assert torch.equal(pool.statistics([yours[2], mine[4]], 2), torch.stack(
        [torch.stack([second.heard[view, 2], first.heard[view, 4]]) for view in range(2)]))  # fmt: skip


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc's malloc")
def test_joining_banks_takes_not_the_memory_of_two_pools() -> None:
    done = subprocess.run([sys.executable, "-c", PEAK], capture_output=True, text=True, check=True)
    assert 0.8 < float(done.stdout) < 1.4, done.stdout
