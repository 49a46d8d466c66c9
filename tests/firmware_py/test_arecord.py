"""arecord as a source, with a program of ours in its place; named pipes."""

import errno
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from edge_ser.errors import EdgeSerError
from firmware_py import live
from firmware_py.arecord import ArecordOpening, open_arecord
from firmware_py.sources import open_source
from firmware_py.stop import Stop

ROOT = Path(__file__).parents[2]


@pytest.fixture
def arecord(tmp_path):
    """Makes a program that stands for arecord and does what the shell lines say."""

    def make(lines):
        path = tmp_path / "arecord"
        path.write_text(f'#!/bin/sh\necho "$@" > {tmp_path}/arguments\n{lines}\n')
        path.chmod(0o755)
        return str(path)

    return make


def hear(source, stop=None, enough=lambda samples: False):
    stop = stop or Stop()
    samples, events = [], []
    for block in source.blocks(stop):
        samples.append(block.samples)
        events += [event.kind for event in block.events]
        if enough(sum(map(len, samples))):
            stop.request("signal")
    source.close()
    return np.concatenate(samples), events


def test_samples_and_arguments(arecord, tmp_path):
    pcm = np.arange(-3_000, 3_000, dtype="<i2")
    (tmp_path / "pcm").write_bytes(pcm.tobytes() + b"\x01")  # and half a sample
    source = open_arecord("plughw:1", command=arecord(f"cat {tmp_path}/pcm; exec sleep 60"))
    heard, _ = hear(source, enough=lambda count: count >= 6_000)
    np.testing.assert_array_equal(heard * 32768, pcm)
    arguments = (tmp_path / "arguments").read_text()
    assert "-D plughw:1" in arguments and "-f S16_LE -r 16000 -c 1" in arguments
    assert source.name == "arecord:plughw:1" and source.devices[0].read == 6_000


def test_a_block_that_comes_in_two_is_one(arecord, tmp_path):
    (tmp_path / "pcm").write_bytes(bytes(4_000))
    half = f"cat {tmp_path}/pcm"
    opening = ArecordOpening(command=arecord(f"{half}; sleep 0.4; {half}; exec sleep 60"))
    opening.start()
    try:
        assert len(opening.read(30.0).samples) == 4_000  # the step that was asked for
    finally:
        opening.close()


def test_two_channels_at_another_rate(arecord, tmp_path):
    pytest.importorskip("soxr")
    pair = np.stack([np.zeros(48_000), np.full(48_000, 8_192)], axis=1).astype("<i2")
    (tmp_path / "pcm").write_bytes(pair.tobytes())
    source = open_arecord(rate=48_000, channel=2, command=arecord(f"cat {tmp_path}/pcm; exec sleep 60"))
    # the resampler keeps its last milliseconds until it knows what follows
    heard, _ = hear(source, enough=lambda count: count >= 15_000)
    assert len(heard) == 16_000 and heard[8_000] == pytest.approx(0.25, abs=1e-3)
    assert "-r 48000 -c 2" in (tmp_path / "arguments").read_text()


def test_one_that_cannot_be_opened_says_why(arecord):
    source = open_arecord(
        "nothere", command=arecord("echo 'arecord: main:831: audio open error: No such device' >&2; exit 1")
    )
    with pytest.raises(EdgeSerError, match=r"arecord:nothere stopped giving audio \(.*No such device\)"):
        hear(source)
    with pytest.raises(EdgeSerError, match="no-such-arecord is not installed.*apt install alsa-utils"):
        open_arecord(command="no-such-arecord")


def test_one_that_breaks_off_is_started_anew(arecord, tmp_path, monkeypatch):
    monkeypatch.setattr(live, "_RETRY_S", (0.01, 0.01))
    (tmp_path / "pcm").write_bytes(np.ones(2_000, "<i2").tobytes())
    # every second start fails
    program = arecord(
        f"n=$(cat {tmp_path}/n 2>/dev/null || echo 0); echo $((n + 1)) > {tmp_path}/n\n"
        f"[ $((n % 2)) = 1 ] && exit 1\ncat {tmp_path}/pcm"
    )
    source = open_arecord(command=program)
    heard, events = hear(source, enough=lambda count: count >= 6_000)
    assert events[:4] == ["microphone-lost", "microphone-found"] * 2
    [device] = source.devices
    assert device.read == len(heard) >= 6_000 and device.lost["microphone"] > 0


def test_one_that_cannot_be_run_now_is_tried_again(arecord, tmp_path, monkeypatch):
    monkeypatch.setattr(live, "_RETRY_S", (0.01, 0.01))
    (tmp_path / "pcm").write_bytes(np.ones(2_000, "<i2").tobytes())
    popen, runs = subprocess.Popen, []

    def sometimes(*args, **options):
        runs.append(args)
        if len(runs) == 2:
            raise BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable")
        return popen(*args, **options)

    monkeypatch.setattr(subprocess, "Popen", sometimes)
    source = open_arecord(command=arecord(f"cat {tmp_path}/pcm"))
    _, events = hear(source, enough=lambda count: count >= 4_000)
    assert events[:2] == ["microphone-lost", "microphone-found"] and len(runs) >= 3
    monkeypatch.setattr(subprocess, "Popen", lambda *args, **options: popen(["/absent"]))
    with pytest.raises(EdgeSerError, match="cannot be run .No such file"):
        hear(open_arecord(command=arecord("")))


def test_a_program_that_hangs_is_started_anew(arecord, tmp_path, monkeypatch):
    monkeypatch.setattr(live, "_DEAD_AFTER_S", 0.3)
    monkeypatch.setattr(live, "_WAIT_S", 0.05)
    (tmp_path / "pcm").write_bytes(np.ones(2_000, "<i2").tobytes())
    source = open_arecord(command=arecord(f"cat {tmp_path}/pcm; exec sleep 60"))
    _, events = hear(source, enough=lambda count: count >= 4_000)
    assert events[:2] == ["microphone-lost", "microphone-found"]


def test_an_overrun_is_counted(arecord, tmp_path):
    (tmp_path / "pcm").write_bytes(np.ones(4_000, "<i2").tobytes())
    program = arecord(
        f"cat {tmp_path}/pcm; sleep 0.7; echo 'overrun!!! (at least 400.000 ms long)' >&2; sleep 0.05\n"
        f"cat {tmp_path}/pcm; exec sleep 60"
    )
    source = open_arecord(command=program)
    hear(source, enough=lambda count: count >= 8_000)
    # 0.75 s passed and 0.25 s of audio came; the rest was lost
    assert source.devices[0].lost["driver"] == pytest.approx(0.5 * 16_000, abs=4_000)


def test_the_command_ends_with_its_child(arecord, tmp_path, numpy_bundle):
    program = arecord("exec cat /dev/zero")
    command = [sys.executable, "-m", "edge_ser", "listen", "arecord", "--engine", "numpy", "-o", "jsonl"]
    process = subprocess.Popen(
        [*command, "--model", numpy_bundle.path], stdout=subprocess.PIPE, cwd=ROOT,
        env=os.environ | {"PATH": f"{Path(program).parent}:{os.environ['PATH']}"},
    )  # fmt: skip
    process.stdout.readline()
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    process.send_signal(signal.SIGTERM)
    stdout, _ = process.communicate(timeout=20)
    assert process.returncode == 0 and json.loads(stdout.splitlines()[-1])["ended"] == "signal"
    assert json.loads(stdout.splitlines()[-1])["rss_mb"]["children"] > 0
    assert len(children) == 1 and not Path(f"/proc/{children[0]}").exists()


def test_its_processor_time_is_in_the_load(arecord, tmp_path, numpy_bundle):
    # A second of audio for which it works for a second; the listener alone takes a few hundredths.
    program = arecord(
        f"exec {sys.executable} -c 'import os, time\n"
        "for i in range(4):\n"
        "    os.write(1, bytes(8000))\n"
        "    done = time.process_time() + 0.25\n"
        "    while time.process_time() < done: pass\n"
        "time.sleep(60)'"
    )
    command = [sys.executable, "-m", "edge_ser", "listen", "arecord", "--engine", "numpy", "-o", "jsonl"]
    run = subprocess.run(
        [*command, "--model", numpy_bundle.path, "--duration", "1"], stdout=subprocess.PIPE, cwd=ROOT, timeout=60,
        env=os.environ | {"PATH": f"{Path(program).parent}:{os.environ['PATH']}"},
    )  # fmt: skip
    assert run.returncode == 0
    assert json.loads(run.stdout.splitlines()[-1])["duty_cycle"] > 0.2


# --- named pipes


def test_a_named_pipe_waits_for_its_writer_and_ends_with_it(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    source = open_source(str(tmp_path / "pipe"))
    pcm = np.arange(5_000, dtype="<i2")

    def write():
        time.sleep(0.4)
        (tmp_path / "pipe").write_bytes(pcm.tobytes())

    writer = threading.Thread(target=write)
    writer.start()
    heard, _ = hear(source)
    writer.join()
    np.testing.assert_array_equal(heard * 32768, pcm)
    source.close()


def test_a_named_pipe_without_a_writer_can_be_stopped(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    source, stop = open_source(str(tmp_path / "pipe")), Stop()
    threading.Timer(0.2, stop.request, ["signal"]).start()
    assert [*source.blocks(stop)] == []
    source.close()


@pytest.mark.parametrize("given", [{"rate": 48_000}, {"channel": 1}, {"channel": 2}, {"channel": "mix"}])
def test_rates_and_channels_are_for_microphones(tmp_path, given):
    with pytest.raises(
        EdgeSerError, match="--rate and --channel are for microphones.*a file's channels are mixed"
    ):
        open_source(str(tmp_path / "a.wav"), **given)
