"""The listener: the account of every sample, the end in every way, latencies, recordings."""

import errno
import io
import json
import time

import numpy as np
import pytest

from benchmarks.simulated import World
from edge_ser.audio import load_audio, write_wav
from edge_ser.errors import EdgeSerError
from firmware_py.blocks import Block
from firmware_py.engines import open_engine
from firmware_py.ledger import DRIVER, RING
from firmware_py.listener import Listener
from firmware_py.microphone import open_microphone
from firmware_py.pipeline import Pipeline
from firmware_py.recorder import Recorder
from firmware_py.sinks import QueuedSink
from firmware_py.sinks.lines import JsonlSink
from firmware_py.sources import FileSource
from firmware_py.stop import Stop


class Played:
    """A source that gives what the test says."""

    name, live = "played", False

    def __init__(self, *blocks, fault=None):
        self.given, self.fault = blocks, fault

    def blocks(self, stop):
        for block in self.given:
            if stop.requested:
                return
            yield block
        if self.fault:
            raise self.fault

    def close(self):
        pass


def noise(samples, seed=0):
    return (np.random.default_rng(seed).integers(-8000, 8000, samples) / 32768).astype(np.float32)


def block(samples, lost=None, seed=0):
    return Block(noise(samples, seed), time.monotonic(), lost or {})


def listen(bundle, source, stop=None, every=1, **options):
    out = io.StringIO()
    pipeline = Pipeline(bundle, open_engine(bundle, "numpy"), every=every)
    listener = Listener(source, pipeline, [JsonlSink(out)], **options)
    fault = None
    try:
        listener.run(stop or Stop())
    except EdgeSerError as error:
        fault = error
    return [json.loads(line) for line in out.getvalue().splitlines()], fault


def balanced(samples):
    return samples["in"] == samples["processed"] + sum(samples["lost"].values()) + samples["tail"]


def test_every_sample_is_accounted_for(numpy_bundle):
    source = Played(block(3_999), block(1), block(9_000, {RING: 800, DRIVER: 3}), block(0, {RING: 7}))
    (*predictions, summary), fault = listen(numpy_bundle, source)
    assert fault is None and summary["ended"] == "end"
    assert [p["end"] * 16000 for p in predictions] == [4000, 8803, 12803]
    assert [p["lost_samples"] for p in predictions] == [0, 803, 0]
    assert summary["samples"] == {
        "in": 13_810,
        "processed": 12_000,
        "lost": {"ring": 807, "driver": 3},
        "tail": 1_000,
    }
    assert balanced(summary["samples"])
    assert (
        summary["lost_samples"] == 810
        and summary["predictions"] == 3
        and summary["audio_s"] == 13_000 / 16000
    )


@pytest.mark.parametrize("duration", [0.25, 0.5, 0.7])
def test_a_duration_to_the_sample(numpy_bundle, duration, tmp_path):
    recorder = Recorder(tmp_path / "heard.wav")
    source = Played(*[block(700, seed=i) for i in range(40)])
    (*predictions, summary), _ = listen(numpy_bundle, source, duration_s=duration, recorder=recorder)
    recorder.close()
    assert summary["ended"] == "duration" and summary["samples"]["in"] == round(duration * 16000)
    assert len(predictions) == int(duration / 0.25) and balanced(summary["samples"])
    assert len(load_audio(tmp_path / "heard.wav")) == round(duration * 16000)


def test_a_duration_counts_what_was_lost(numpy_bundle):
    source = Played(block(4000), block(4000, {RING: 6000}))
    (*predictions, summary), _ = listen(numpy_bundle, source, duration_s=0.5)
    assert summary["samples"]["processed"] == 4000 and len(predictions) == 1
    assert summary["samples"]["in"] == 10_000 and balanced(summary["samples"])


def test_a_duration_ends_though_the_microphone_is_lost_for_good(numpy_bundle):
    world = World()
    source = open_microphone("", backend=world, clock=world.clock, capture=world.capture, rate=world.rate)
    world.later(5.0, world.unplug)
    world.later(600.0, lambda: stop.request("signal"))  # so that the test ends
    stop, began = Stop(), world.time
    (*_, summary), _ = listen(numpy_bundle, source, stop, duration_s=10.0)
    assert summary["ended"] == "duration" and world.time - began == pytest.approx(10, abs=2)
    assert balanced(summary["samples"])


def test_a_recording_gives_the_same_answers(numpy_bundle, tmp_path):
    source = Played(block(10_000), block(7_000, {RING: 400}, seed=1))
    recorder = Recorder(tmp_path / "heard.wav")
    live, _ = listen(numpy_bundle, source, recorder=recorder)
    recorder.close()
    again, _ = listen(numpy_bundle, FileSource(tmp_path / "heard.wav"))
    for one, other in zip(live[:-1], again[:-1], strict=True):
        for key in ("arousal", "dominance", "valence", "emotion", "label", "state", "level_db"):
            assert one[key] == other[key]


def test_a_recording_that_fails_is_told_once_and_listening_goes_on(numpy_bundle, tmp_path):
    class Full(Recorder):
        def write(self, samples, lost=None):
            raise EdgeSerError("cannot record: the disk is full")

    recorder = Full(tmp_path / "heard.wav")
    lines, fault = listen(numpy_bundle, Played(*[block(4_000)] * 3), recorder=recorder)
    recorder.close()
    assert [line["type"] for line in lines] == ["event", *["prediction"] * 3, "summary"]
    assert lines[0]["event"] == "recording" and "the disk is full" in str(fault)


def test_a_sink_that_fails_is_told_once_and_so_is_its_end(numpy_bundle):
    class Disk:
        full = True

        def start(self, run): ...
        def prediction(self, prediction):
            if self.full:
                raise OSError(errno.ENOSPC, "No space left on device")

        def event(self, event): ...
        def summary(self, summary): ...
        def close(self): ...

    disk, out = Disk(), io.StringIO()
    sink = QueuedSink(disk, "the log")

    class Slow(Played):
        def blocks(self, stop):
            for number in range(6):
                disk.full = number < 3
                yield block(4_000)
                give_up = time.monotonic() + 10
                while sink.account.written + sink.account.dropped < number + 1:
                    assert time.monotonic() < give_up
                    time.sleep(0.005)

    pipeline = Pipeline(numpy_bundle, open_engine(numpy_bundle, "numpy"))
    Listener(Slow(), pipeline, [sink, JsonlSink(out)]).run(Stop())
    sink.close()
    told = [line for line in map(json.loads, out.getvalue().splitlines()) if line["type"] == "event"]
    assert [line["event"] for line in told] == ["sink", "sink"]
    assert "the log is not written (No space left on device)" in told[0]["text"]
    assert told[1]["text"] == "the log is written again"
    assert sink.account.to_json() == {"given": 6, "written": 3, "dropped": 3}


def test_what_starting_costs_is_not_listening(numpy_bundle):
    class Heavy(Played):
        def blocks(self, stop):
            began = time.process_time()
            while time.process_time() - began < 0.5:
                pass
            yield block(4_000)

    pipeline = Pipeline(numpy_bundle, open_engine(numpy_bundle, "numpy"))
    assert Listener(Heavy(), pipeline, []).run(Stop()).cpu_s < 0.5


def test_too_short_a_file_is_bad_input(numpy_bundle, tmp_path):
    write_wav(tmp_path / "short.wav", noise(3_999))
    lines, fault = listen(numpy_bundle, FileSource(tmp_path / "short.wav"))
    assert lines == []
    assert "holds 0.2499 s of audio and the first answer needs 0.25 s" in str(fault)
    lines, fault = listen(numpy_bundle, Played(block(9_000)), every=4)
    assert lines == [] and "or a shorter --hop" in str(fault)


def test_a_stop_before_the_first_answer_is_no_error(numpy_bundle):
    stop = Stop()
    stop.request("signal")
    (summary,), fault = listen(numpy_bundle, Played(block(100)), stop)
    assert fault is None and summary["ended"] == "signal" and summary["predictions"] == 0
    assert summary["latency_ms"] == {"p50": None, "p95": None, "p99": None, "max": None}
    assert summary["duty_cycle"] is None


def test_a_source_that_breaks_off(numpy_bundle):
    broken = EdgeSerError("mic:usb stopped giving audio")
    lines, fault = listen(numpy_bundle, Played(block(5_000), fault=broken))
    assert fault is broken and [line["type"] for line in lines] == ["prediction", "summary"]
    assert lines[-1]["ended"] == "error" and balanced(lines[-1]["samples"])
    lines, fault = listen(numpy_bundle, Played(fault=broken))
    assert fault is broken and lines == []


def test_latency_is_from_arrival_to_written(numpy_bundle):
    class Slow(JsonlSink):
        def prediction(self, prediction):
            super().prediction(prediction)
            time.sleep(0.05)

    out = io.StringIO()
    early = Block(noise(4_000), time.monotonic() - 0.1)
    pipeline = Pipeline(numpy_bundle, open_engine(numpy_bundle, "numpy"))
    summary = Listener(Played(early), pipeline, [Slow(out)]).run(Stop()).to_json()
    line = json.loads(out.getvalue().splitlines()[0])
    assert 100 < line["latency_ms"] < summary["latency_ms"]["max"] - 45
    assert summary["latency_ms"]["max"] < 1000


def test_a_closed_pipe_is_not_swallowed(numpy_bundle):
    class Closed:
        def start(self, run): ...
        def prediction(self, prediction):
            raise BrokenPipeError

        def event(self, event): ...
        def summary(self, summary):
            raise AssertionError("nobody reads it")

        def close(self): ...

    pipeline = Pipeline(numpy_bundle, open_engine(numpy_bundle, "numpy"))
    with pytest.raises(BrokenPipeError):
        Listener(Played(block(4000)), pipeline, [Closed()]).run(Stop())


def test_a_model_of_another_rate_is_refused(numpy_bundle):
    import dataclasses

    spec = dataclasses.replace(numpy_bundle.spec, sample_rate=48_000)
    pipeline = Pipeline(dataclasses.replace(numpy_bundle, spec=spec), open_engine(numpy_bundle, "numpy"))
    with pytest.raises(EdgeSerError, match="wants 48000 Hz"):
        Listener(Played(), pipeline, [])
