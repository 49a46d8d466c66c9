"""Latency percentiles against NumPy's, memory against the system's."""

import math
import mmap
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware_py import meter
from firmware_py.meter import Latencies, Meter, children_cpu_s, children_rss_mb


@given(st.lists(st.floats(2e-6, 900), min_size=1, max_size=200), st.sampled_from([50, 95, 99]))
def test_percentiles_are_within_a_percent(values, percent):
    latencies = Latencies()
    for value in values:
        latencies.add(value)
    true = float(np.percentile(values, percent, method="inverted_cdf"))
    assert latencies.percentile(percent) == pytest.approx(true, rel=0.011)
    assert latencies.max_s == max(values)
    assert latencies.percentile(percent) <= latencies.max_s


def test_ends_of_the_range_and_nothing():
    latencies = Latencies()
    assert latencies.to_json() == {"p50": None, "p95": None, "p99": None, "max": None}
    assert math.isnan(latencies.percentile(50))
    latencies.add(0.0)
    latencies.add(1e6)
    assert latencies.count == 2 and latencies.to_json()["max"] == 1e9


def test_memory_grows_with_what_is_held():
    used = Meter()
    used.mark("start")
    with mmap.mmap(-1, 64 << 20) as held:  # new pages, whatever the heap has kept of tests before
        np.frombuffer(held, np.uint8)[:] = 1
        used.mark("held")
    assert used.rss_by_stage["held"] - used.rss_by_stage["start"] > 60
    assert used.rss_json()["peak"] >= used.rss_by_stage["held"] - 1  # Linux counts pages in batches


def test_without_proc(monkeypatch, tmp_path):
    monkeypatch.setattr(meter, "_STATUS", tmp_path / "absent")
    assert meter.rss_mb() == meter.peak_rss_mb() > 5


def test_processor_time_counts_from_begin():
    used = Meter()
    used.begin()
    assert sum(i * i for i in range(300_000)) and 0 < used.cpu_s < 5


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="/proc is Linux's")
def test_processor_time_of_children_counts_while_they_run_and_after():
    """Theirs too, once and not twice, and what a child took before `begin` is no listening."""
    burn = f"{sys.executable} -c 'while True: pass' & echo started; wait"
    used = Meter()
    child = subprocess.Popen(
        ["sh", "-c", burn], stdout=subprocess.PIPE, start_new_session=True
    )  # it, and one of its own
    try:
        child.stdout.readline()
        give_up = time.monotonic() + 60
        while used.cpu_s < 0.5 and time.monotonic() < give_up:
            time.sleep(0.05)
        assert used.cpu_s >= 0.5
        assert children_cpu_s() >= 0.4 and children_rss_mb() > 4
        used.begin()
        assert used.cpu_s < 0.3
    finally:
        os.killpg(child.pid, signal.SIGTERM)
        before = children_cpu_s()
        child.wait()
        child.stdout.close()
    # An ended one is counted by the system, unless its own parent was killed before it could.
    assert children_cpu_s() < before + 0.3


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="/proc is Linux's")
def test_a_child_is_counted_once_whether_it_runs_has_ended_or_was_waited_for():
    before = children_cpu_s()
    child = subprocess.Popen([sys.executable, "-c", "x = sum(i * i for i in range(3_000_000))"])
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)  # ended, and not waited for
    ended = children_cpu_s() - before
    child.wait()
    assert ended > 0.05 and children_cpu_s() - before == pytest.approx(ended, abs=0.05)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="/proc is Linux's")
def test_what_a_childs_own_children_took_before_they_ended_counts():
    before = children_cpu_s()
    work = f"{sys.executable} -c 'sum(i * i for i in range(3_000_000))'; echo done; read wait"
    with subprocess.Popen(["sh", "-c", work], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        child.stdout.readline()
        assert children_cpu_s() - before > 0.05


def test_importing_the_device_side_loads_nothing_heavy():
    code = (
        "import pkgutil, importlib, sys, firmware_py\n"
        "for m in pkgutil.walk_packages(firmware_py.__path__, 'firmware_py.'): importlib.import_module(m.name)\n"
        "import edge_ser.recognizer, edge_ser.commands.listen, edge_ser.commands.devices\n"
        "print(*sorted({name.split('.')[0] for name in sys.modules}))"
    )
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.split()
    heavy = {"torch", "numba", "scipy", "librosa", "sklearn", "pandas", "matplotlib"}
    optional = {"soundfile", "soxr", "sounddevice", "onnxruntime", "ai_edge_litert", "tflite_runtime"}
    assert not (heavy | optional) & set(loaded)


def test_memory_of_children_is_told_where_there_were_any(monkeypatch):
    used = Meter()
    monkeypatch.setattr(meter, "children_rss_mb", lambda: 0.0)
    used.mark("start")
    assert set(used.rss_json()) == {"start", "peak"}
    monkeypatch.setattr(meter, "children_rss_mb", lambda: 3.14)
    used.mark("audio")
    monkeypatch.setattr(meter, "children_rss_mb", lambda: 2.0)
    used.mark("end")
    assert used.rss_json()["children"] == 3.1
