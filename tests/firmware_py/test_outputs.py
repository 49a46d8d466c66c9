"""Outputs: lines whole or not at all, rotation, queues that never hold up, a command on a change of label."""

import errno
import io
import json
import os
import resource
import shutil
import signal
import subprocess
import threading
import time
from contextlib import contextmanager

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_ser.errors import EdgeSerError
from firmware_py.prediction import Prediction
from firmware_py.sinks import Descriptor, ExecSink, QueuedSink, RotatingFile, open_log
from firmware_py.sinks.lines import CsvSink


def prediction(label="calm", end=4000, **changes):
    emotion = {name: 0.8 if name == label else 0.1 for name in ("calm", "angry", "sad")}
    values = {
        "start": 0, "end": end, "sample_rate": 16_000, "arousal": 0.25, "dominance": 0.5, "valence": 1.0,
        "emotion": emotion, "state": "speech", "level_db": -20.0, "latency_ms": 1.0, "steady": label,
    }  # fmt: skip
    return Prediction(**(values | changes))


class Sink:
    """Notes what it gets; waits, fails or breaks as the test says."""

    def __init__(self):
        self.got, self.free, self.fails, self.closed = [], threading.Event(), None, False
        self.free.set()

    def start(self, run):
        self.got.append("start")

    def prediction(self, prediction):
        self.free.wait()
        if self.fails is not None:
            raise self.fails
        self.got.append(prediction.end)

    def event(self, event):
        self.got.append(event)

    def summary(self, summary):
        self.got.append("summary")

    def close(self):
        self.closed = True


def wait_for(condition):
    give_up = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < give_up
        time.sleep(0.005)


# --- queues


def test_everything_in_order():
    inner = Sink()
    sink = QueuedSink(inner, "x")
    sink.start("run")
    for end in range(5):
        sink.prediction(prediction(end=end))
    sink.event("event")
    sink.summary("summary")
    sink.close()
    assert inner.got == ["start", 0, 1, 2, 3, 4, "event", "summary"] and inner.closed
    assert sink.account.to_json() == {"given": 5, "written": 5, "dropped": 0}


def test_a_stuck_sink_holds_nobody_up_and_drops_are_counted(monkeypatch):
    monkeypatch.setattr("firmware_py.sinks.queued._END_S", 0.2)
    inner = Sink()
    inner.free.clear()
    sink = QueuedSink(inner, "x", capacity=10)
    for end in range(100):
        sink.prediction(prediction(end=end))
    wait_for(lambda: sink._queue.qsize() <= 10)
    assert sink.account.dropped >= 89 and sink.account.given == 100
    sink.close()  # gives up
    assert not inner.closed
    inner.free.set()
    wait_for(lambda: sink.account.written + sink.account.dropped == 100)


def test_a_full_disk_drops_and_goes_on():
    inner = Sink()
    inner.fails = OSError(errno.ENOSPC, "No space left on device")
    sink = QueuedSink(inner, "x")
    sink.prediction(prediction(end=1))
    wait_for(lambda: sink.account.dropped == 1)
    assert sink.account.failure == "No space left on device"
    sink.check()  # no reason to end
    with pytest.raises(EdgeSerError, match=r"x could not be written .*1 of 1 answers are not in it"):
        sink.check_end()
    inner.fails = None
    sink.prediction(prediction(end=2))
    wait_for(lambda: sink.account.written == 1)
    assert sink.account.failure is None
    sink.check_end()
    sink.close()


@pytest.mark.parametrize("error", [BrokenPipeError(), ValueError("a mistake of ours")])
def test_a_closed_pipe_and_a_mistake_are_raised_where_it_is_asked(error):
    inner = Sink()
    inner.fails = error
    sink = QueuedSink(inner, "x")
    sink.prediction(prediction())
    wait_for(lambda: not sink._thread.is_alive())
    with pytest.raises(type(error)):
        sink.check()
    sink.prediction(prediction())
    assert sink.account.dropped >= 1
    sink.close()


def test_the_latency_holds_the_waiting():
    inner, told = Sink(), []
    inner.free.clear()
    sink = QueuedSink(inner, "x")
    sink.on_written = told.append
    sink.prediction(prediction())
    time.sleep(0.1)
    inner.free.set()
    sink.close()
    assert told and told[0] > 0.1


# --- lines


@contextmanager
def no_file_over(size):
    """A limit on files' size stands for the disk."""
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)


def test_a_line_that_a_full_disk_cut_is_completed_first(tmp_path):
    descriptor = os.open(tmp_path / "lines", os.O_WRONLY | os.O_CREAT)
    out = Descriptor(descriptor)
    out.put("first\n")
    with no_file_over(10):
        out.put("second\n")  # four bytes of it fit; the rest comes later
        for _ in range(3):
            with pytest.raises(OSError, match="too large"):
                out.put("lost\n")
    out.put("third\n")
    os.close(descriptor)
    assert (tmp_path / "lines").read_text() == "first\nsecond\nthird\n"


def test_what_the_encoding_lacks_is_escaped(tmp_path):
    descriptor = os.open(tmp_path / "lines", os.O_WRONLY | os.O_CREAT)
    out = Descriptor(descriptor, "ascii")
    out.put("ü 日\n")
    out.close()
    os.close(descriptor)
    assert (tmp_path / "lines").read_bytes() == rb"\xfc \u65e5" + b"\n"


@settings(max_examples=40)
@given(st.lists(st.integers(1, 60), max_size=60), st.integers(20, 120), st.integers(0, 4))
def test_rotation_keeps_the_last_lines_whole(tmp_path_factory, sizes, limit, keep):
    folder = tmp_path_factory.mktemp("log")
    lines = [f"{i:02}" + "x" * size + "\n" for i, size in enumerate(sizes)]
    out = RotatingFile(folder / "log", limit=limit, keep=keep)
    for line in lines:
        out.put(line, head="head\n")
    out.close()
    out.close()
    names = ["log", *[f"log.{i}" for i in range(1, keep + 1)]]
    assert {path.name for path in folder.iterdir()} <= set(names)
    kept = []
    for name in reversed(names):
        if (folder / name).exists():
            text = (folder / name).read_text()
            if text:
                head, *rest = text.splitlines(keepends=True)
                assert head == "head\n" and (len(text) <= limit or len(rest) == 1)
                kept += rest
    assert kept == lines[len(lines) - len(kept) :] and (not lines or kept)


def test_a_log_has_one_writer(tmp_path):
    first = RotatingFile(tmp_path / "log", limit=10, keep=1)
    for _ in range(2):
        first.put("12345678\n")  # the second goes to a new file, which is locked as the one before it
        with pytest.raises(
            EdgeSerError, match="another process writes to it, and would rotate it; choose another place"
        ):
            RotatingFile(tmp_path / "log")
    first.close()
    second = RotatingFile(tmp_path / "log", limit=10, keep=1)
    second.put("abc\n")
    second.close()
    assert (tmp_path / "log").read_text() == "abc\n"
    pipes = [RotatingFile("/dev/null") for _ in range(2)]  # holds nothing, so nothing is rotated
    for pipe in pipes:
        pipe.close()


def test_a_rotation_that_fails_is_tried_again_and_touches_no_other_file(tmp_path):
    lines = [letter * 90 + "\n" for letter in "abc"]
    out = RotatingFile(tmp_path / "log", limit=100, keep=1)
    out.put(lines[0])
    (tmp_path / "log.1" / "in the way").mkdir(
        parents=True
    )  # the renaming fails, as on a disk that went read-only
    with pytest.raises(OSError, match="directory"):
        out.put(lines[1])
    others = [
        os.open(tmp_path / "other", os.O_WRONLY | os.O_CREAT) for _ in range(2)
    ]  # one gets the log's number
    with pytest.raises(OSError, match="directory"):
        out.put(lines[1])
    for other in others:
        os.close(other)  # still open
    shutil.rmtree(tmp_path / "log.1")
    out.put(lines[2])
    out.close()
    assert [(tmp_path / name).read_text() for name in ("log.1", "log")] == [lines[0], lines[2]]


def test_a_link_stays_and_what_it_leads_to_is_rotated_where_it_lies(tmp_path):
    (tmp_path / "disk").mkdir()
    (tmp_path / "log").symlink_to(tmp_path / "disk" / "real")
    out = RotatingFile(tmp_path / "log", limit=10, keep=1)
    for line in ("first\n", "second\n", "third\n"):
        out.put(line)
    out.close()
    assert {path.name for path in tmp_path.iterdir()} == {"disk", "log"} and (tmp_path / "log").is_symlink()
    assert [(tmp_path / "disk" / name).read_text() for name in ("real.1", "real")] == ["second\n", "third\n"]


def test_a_pipe_is_never_put_aside(tmp_path):
    os.mkfifo(tmp_path / "log")
    reader = os.open(tmp_path / "log", os.O_RDONLY | os.O_NONBLOCK)
    out = RotatingFile(tmp_path / "log", limit=10, keep=1)
    for line in ("first\n", "second\n"):
        out.put(line, head="head\n")
    out.close()
    assert os.read(reader, 100) == b"head\nfirst\nsecond\n"
    os.close(reader)
    assert [path.name for path in tmp_path.iterdir()] == ["log"] and (tmp_path / "log").is_fifo()


def test_a_log_is_not_rotated_within_a_line(tmp_path):
    out = RotatingFile(tmp_path / "log", limit=10, keep=1)
    with no_file_over(4):
        out.put("second\n")
        with pytest.raises(OSError, match="too large"):
            out.put("lost\n")
    out.put("third\n")
    out.close()
    assert [(tmp_path / name).read_text() for name in ("log.1", "log")] == ["second\n", "third\n"]


def test_a_log_goes_on_where_it_was_and_its_name_tells_its_form(tmp_path):
    for end in (4000, 8000):
        sink = open_log(str(tmp_path / "a.csv"))
        sink.prediction(prediction(end=end))
        sink.close()
    head, first, second = (tmp_path / "a.csv").read_text().splitlines()
    assert head.startswith("start,end,") and first.startswith("0.0,0.25") and second.startswith("0.0,0.5")
    sink = open_log(str(tmp_path / "a.jsonl"))
    sink.prediction(prediction())
    sink.close()
    assert json.loads((tmp_path / "a.jsonl").read_text())["steady"] == "calm"
    with pytest.raises(EdgeSerError, match="neither"):
        open_log(str(tmp_path / "a.txt"))
    with pytest.raises(EdgeSerError, match="cannot write the log"):
        open_log(str(tmp_path / "absent" / "a.csv"))


def test_a_table_of_another_model_begins_a_file_of_its_own(tmp_path):
    for emotion in ({"calm": 0.5, "sad": 0.5}, {"happy": 1.0}, {"happy": 1.0}):
        sink = open_log(str(tmp_path / "a.csv"))
        for end in (4000, 8000):
            sink.prediction(prediction(emotion=emotion, end=end))
        sink.close()
    older, newer = ((tmp_path / name).read_text().splitlines() for name in ("a.csv.1", "a.csv"))
    assert "emotion.sad" in older[0] and len(older) == 3 and "emotion.happy" in newer[0] and len(newer) == 5
    for lines in (older, newer):
        assert len({line.count(",") for line in lines}) == 1
    assert not (tmp_path / "a.csv.2").exists()
    for keep in (1, 0):
        sink = open_log(str(tmp_path / "a.csv"), keep=keep)
        (tmp_path / "a.csv").unlink()  # by somebody else
        sink.prediction(prediction())
        sink.close()
        assert len((tmp_path / "a.csv").read_text().splitlines()) == 2


def test_events_go_beside_the_table():
    words, table = io.StringIO(), io.StringIO()
    from firmware_py.events import Event

    CsvSink(table, words).event(Event("silent", "mic gives nothing", 16_000))
    assert words.getvalue() == "edge-ser: mic gives nothing\n" and table.getvalue() == ""


# --- the command


def test_a_command_on_each_change(tmp_path):
    log, words = tmp_path / "log", io.StringIO()
    sink = ExecSink(
        f'cat > {tmp_path}/line; echo "$EDGE_SER_BEFORE>$EDGE_SER_LABEL $EDGE_SER_AROUSAL" >> {log}', words
    )
    for label in ("calm", "calm", "angry", None):
        sink.prediction(prediction(label, steady=label))
        wait_for(lambda: not sink._busy())
    sink.close()
    assert log.read_text().splitlines() == [">calm 0.2500", "calm>angry 0.2500", "angry> 0.2500"]
    assert json.loads((tmp_path / "line").read_text())["type"] == "prediction"
    assert sink.runs == 3 and words.getvalue() == ""


def test_only_the_last_change_is_told_to_a_slow_one(tmp_path):
    sink = ExecSink(f"echo $EDGE_SER_LABEL >> {tmp_path}/log; sleep 0.3", io.StringIO())
    began = time.monotonic()
    for label in ("calm", "angry", "sad", "angry", "sad"):
        sink.prediction(prediction(label))
    assert time.monotonic() - began < 0.25  # nobody waited
    wait_for(lambda: not sink._busy())
    sink.prediction(prediction("sad"))
    sink.close()
    assert (tmp_path / "log").read_text().split() == ["calm", "sad"]


def test_the_change_that_waits_is_told_when_the_source_ends(tmp_path):
    sink = ExecSink(f'sleep 0.2; echo "$EDGE_SER_BEFORE>$EDGE_SER_LABEL" >> {tmp_path}/log', io.StringIO())
    for label in ("calm", "angry", "sad"):
        sink.prediction(prediction(label))
    sink.close()
    sink.close()
    assert (tmp_path / "log").read_text().split() == [">calm", "calm>sad"] and sink.runs == 2


def test_a_change_that_cannot_be_told_now_is_told_later(tmp_path, monkeypatch):
    def full(*args, **options):
        raise BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable")

    words = io.StringIO()
    sink = ExecSink(f'echo "$EDGE_SER_BEFORE>$EDGE_SER_LABEL" >> {tmp_path}/log', words)
    with monkeypatch.context() as system:
        system.setattr(subprocess, "Popen", full)
        with pytest.raises(OSError, match="temporarily"):  # the queue before it tells that once
            sink.prediction(prediction("calm"))
    sink.prediction(prediction("calm"))
    wait_for(lambda: not sink._busy())
    with monkeypatch.context() as system:
        system.setattr(subprocess, "Popen", full)
        with pytest.raises(OSError, match="temporarily"):
            sink.prediction(prediction("sad"))
        sink.close()
    assert (tmp_path / "log").read_text().split() == [">calm"] and sink.runs == 1
    assert "cannot be started (Resource temporarily unavailable)" in words.getvalue()


def test_commands_that_fail_or_hang_are_told():
    words = io.StringIO()
    sink = ExecSink("exit 3", words)
    sink.prediction(prediction())
    sink.close()
    sink = ExecSink("sleep 60 & sleep 60", words, limit_s=0.2)
    sink.prediction(prediction())
    sink.close()
    assert "ended with status 3" in words.getvalue() and "was killed after 0.2 s" in words.getvalue()
