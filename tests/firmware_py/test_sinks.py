"""Sinks: documented keys for programs, a reading that fits any terminal for people."""

import csv
import io
import json
import math
import re
import struct

import pytest

from edge_ser.errors import EdgeSerError
from firmware_py.ledger import DRIVER, MICROPHONE, RING, Ledger
from firmware_py.meter import Meter
from firmware_py.prediction import Prediction
from firmware_py.sinks import FORMS, Descriptor, open_sink
from firmware_py.sinks.lines import CsvSink, JsonlSink
from firmware_py.sinks.queued import SinkAccount
from firmware_py.sinks.terminal import LiveSink, PlainSink, text_sink
from firmware_py.summary import Run, Summary

ANSI = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")


def prediction(**changes):
    values = {
        "start": 0, "end": 4000, "sample_rate": 16000, "arousal": 0.25, "dominance": 0.5, "valence": 1.0,
        "emotion": {"calm": 0.2, "angry": 0.7, "sad": 0.1}, "state": "speech", "level_db": -23.4,
        "latency_ms": 1.25,
    }  # fmt: skip
    return Prediction(**(values | changes))


def a_run(**changes):
    ledger = Ledger(heard=5000, tail=1000)
    values = {
        "source": "/some/where/speech.flac", "live": False, "model": "tiny", "engine": "numpy", "precision": "fp32",
        "labels": ("calm", "angry", "sad"), "ledger": ledger, "meter": Meter(),
    }  # fmt: skip
    return Run(**(values | changes))


def a_summary(run=None, predictions=1):
    run = a_run() if run is None else run
    for _ in range(predictions):
        run.meter.latencies.add(0.002)
    run.meter.mark("start")
    return Summary(run=run, predictions=predictions, ended="end", cpu_s=0.003125)


class Screen(io.StringIO):
    """A terminal of a given size that understands what the live sink writes."""

    def __init__(self, encoding="utf-8"):
        super().__init__()
        self._encoding = encoding

    @property
    def encoding(self):
        return self._encoding

    def isatty(self):
        return True

    def picture(self):
        lines, row = [""], 0
        for part in re.findall(r"\x1b\[\d*[A-Za-z]|\x1b\[[\d;]*m|\n|\r|[^\x1b\n\r]+", self.getvalue()):
            if part.endswith("A") and part.startswith("\x1b"):
                row -= int(part[2:-1])
                assert row >= 0
            elif part == "\n":
                row += 1
                if row == len(lines):
                    lines.append("")
            elif part == "\r":
                lines[row] = ""
            elif part == "\x1b[J":
                lines[row:] = [""]
            elif not part.startswith("\x1b"):
                lines[row] += part
        return lines


@pytest.fixture
def sized(monkeypatch):
    def set_size(columns, rows=24):
        monkeypatch.setattr("firmware_py.sinks.terminal._size", lambda out: (columns, rows))
        monkeypatch.setattr("firmware_py.sinks.terminal._REDRAW_S", 0.0)

    return set_size


def test_jsonl_has_the_documented_keys():
    out = io.StringIO()
    sink = JsonlSink(out)
    sink.start(a_run())
    sink.prediction(prediction())
    sink.summary(a_summary())
    sink.close()
    first, last = map(json.loads, out.getvalue().splitlines())
    assert first == {
        "type": "prediction", "start": 0.0, "end": 0.25, "arousal": 0.25, "dominance": 0.5, "valence": 1.0,
        "emotion": {"calm": 0.2, "angry": 0.7, "sad": 0.1}, "label": "angry", "confidence": 0.7, "state": "speech",
        "level_db": -23.4, "lost_samples": 0, "lost_total": 0, "steady": None, "latency_ms": 1.25,
    }  # fmt: skip
    assert last["type"] == "summary" and last["ended"] == "end"
    assert last["audio_s"] == 0.3125 and last["predictions"] == 1 and last["lost_samples"] == 0
    assert last["samples"] == {"in": 5000, "processed": 4000, "lost": {"ring": 0, "driver": 0}, "tail": 1000}
    assert set(last["latency_ms"]) == {"p50", "p95", "p99", "max"} and last["latency_ms"]["max"] == 2.0
    assert last["duty_cycle"] == 0.01
    assert {"start", "peak"} <= set(last["rss_mb"])
    assert (last["engine"], last["precision"], last["model"]) == ("numpy", "fp32", "tiny")


def test_jsonl_is_json_in_every_encoding():
    raw = io.BytesIO()
    sink = JsonlSink(io.TextIOWrapper(raw, encoding="ascii", errors="backslashreplace"))
    sink.summary(a_summary(a_run(source="ü 日本 \udcfc.wav")))
    assert json.loads(raw.getvalue())["source"] == "ü 日本 \udcfc.wav"


def test_csv_is_a_table_with_words_beside_it():
    out, words = io.StringIO(), io.StringIO()
    sink = CsvSink(out, words)
    sink.start(a_run())
    sink.prediction(prediction())
    sink.prediction(prediction(end=8000, state="unsure"))
    sink.summary(a_summary())
    sink.close()
    rows = list(csv.DictReader(out.getvalue().splitlines()))
    assert [row["end"] for row in rows] == ["0.25", "0.5"]
    assert rows[1]["state"] == "unsure" and rows[0]["emotion.angry"] == "0.7" and rows[0]["label"] == "angry"
    assert "type" not in rows[0]
    assert "0.31 s heard, 1 answer, nothing lost" in words.getvalue()


def test_a_live_head_is_no_wider_where_the_encoding_lacks_its_characters(sized):
    sized(60)
    screen = Screen("ascii")
    sink = text_sink(screen, {})
    sink.start(a_run(source="ü 日本語.wav"))
    sink.prediction(prediction())
    head = screen.picture()[0]
    assert len(head) == 59 and r"\xfc \u65e5" in head and head.endswith("00:00:00.25")
    assert screen.getvalue().isascii()


def test_summary_in_words_tells_losses():
    run = a_run()
    run.ledger.add_lost({RING: 160, DRIVER: 1})
    text = a_summary(run).to_text()
    assert "161 samples LOST (160 in the ring, 1 in the driver)" in text
    assert "1.0% of one core" in text
    nothing = Summary(run=a_run(ledger=Ledger()), predictions=0, ended="signal", cpu_s=0.1)
    assert nothing.to_text() == "0.00 s heard, 0 answers, nothing lost"
    assert nothing.to_json()["duty_cycle"] is None


def test_the_live_reading_and_the_summary_tell_one_load(sized, monkeypatch):
    """Of all the audio there was, the lost one too, with a microphone that was away for most of it."""
    monkeypatch.setattr(Meter, "cpu_s", 0.05)
    run = a_run(ledger=Ledger(heard=16_000))
    run.ledger.add_lost({MICROPHONE: 9 * 16_000})
    summary = Summary(run=run, predictions=0, ended="end", cpu_s=run.meter.cpu_s)
    run.meter.mark("start")
    assert summary.to_json()["duty_cycle"] == 0.005 and "0.5% of one core" in summary.to_text()
    sized(80)
    screen = Screen()
    sink = text_sink(screen, {})
    sink.start(run)
    sink.prediction(prediction())
    assert "load 0.5%" in "\n".join(screen.picture())


def test_a_summary_of_answers_that_were_never_written():
    run = a_run(outputs={"standard output": SinkAccount(given=3, dropped=3)})
    run.meter.mark("start")
    text = Summary(run=run, predictions=3, ended="duration", cpu_s=0.1).to_text()
    assert (
        "3 answers" in text
        and "answer after" not in text
        and "3 answers NOT written to standard output" in text
    )


def test_plain_lines():
    out = io.StringIO()
    sink = text_sink(out, {})
    assert isinstance(sink, PlainSink)
    sink.start(a_run())
    sink.prediction(prediction(lost_samples=7))
    sink.summary(a_summary())
    sink.close()
    lines = out.getvalue().splitlines()
    assert "angry  70%" in lines[1] and "arousal 0.25" in lines[1] and "7 samples lost" in lines[1]
    assert "\x1b" not in out.getvalue()


def test_what_the_model_never_learnt_is_not_shown(sized):
    unrated = prediction(arousal=math.nan, dominance=math.nan, valence=math.nan)
    assert not unrated.rated and not unrated.dozed and unrated.label == "angry"
    assert [unrated.to_json()[name] for name in ("arousal", "dominance", "valence")] == [None] * 3
    plain = io.StringIO()
    sink = text_sink(plain, {})
    sink.start(a_run())
    sink.prediction(unrated)
    assert "angry  70%" in plain.getvalue() and "valence" not in plain.getvalue()
    sized(80)
    live = Screen()
    sink = text_sink(live, {})
    sink.start(a_run(live=True))
    sink.prediction(unrated)
    picture = "\n".join(live.picture())
    assert "angry" in picture and "valence" not in picture


@pytest.mark.parametrize(
    ("environment", "kind", "coloured"),
    [({}, LiveSink, True), ({"NO_COLOR": "1"}, LiveSink, False), ({"NO_COLOR": ""}, LiveSink, True),
     ({"TERM": "dumb"}, PlainSink, False)],
)  # fmt: skip
def test_what_the_terminal_can(sized, environment, kind, coloured):
    sized(80)
    out = Screen()
    sink = text_sink(out, environment)
    assert isinstance(sink, kind)
    sink.start(a_run())
    sink.prediction(prediction())
    assert ("\x1b[1m" in out.getvalue()) == coloured


def test_the_reading_redraws_in_place(sized):
    sized(80)
    out = Screen()
    sink = text_sink(out, {})
    run = a_run(live=True)
    sink.start(run)
    sink.prediction(prediction(arousal=0.9))
    sink.prediction(prediction(end=16000 * 3661, emotion={"calm": 0.8, "angry": 0.15, "sad": 0.05}))
    lines = out.picture()
    assert sum("arousal" in line for line in lines) == 1
    assert lines[0].startswith("edge-ser  tiny  numpy fp32  speech.flac") and lines[0].endswith("01:01:01.00")
    assert re.search(r"arousal +█+.*0\.25$", lines[2])
    assert lines[5].startswith("calm") and lines[5].endswith("80%")
    assert "nothing lost   answer 1.2 ms" in lines[8] and "Ctrl-C ends" in lines[8]
    run.ledger.add_lost({RING: 160})
    sink.summary(a_summary(run))
    assert "160 samples LOST" in "\n".join(out.picture())
    assert "lost 160" in "\n".join(out.picture())


@pytest.mark.parametrize("columns", [1, 2, 10, 17, 20, 33, 40, 60, 80, 200])
@pytest.mark.parametrize("rows", [2, 5, 24])
def test_no_line_is_wider_than_the_terminal(sized, columns, rows):
    sized(columns, rows)
    out = Screen()
    sink = text_sink(out, {})
    sink.start(a_run(live=True))
    for state in ("speech", "silence", "unsure"):
        sink.prediction(prediction(state=state, level_db=-120.0))
    lines = out.picture()
    assert len(lines) <= rows
    assert max(map(len, lines)) < columns or columns == 1


def test_bars_are_proportional_and_ascii_where_it_must_be(sized):
    sized(118)  # 100 columns of bar
    out = Screen("ascii")
    sink = LiveSink(out, colour=False)
    sink.start(a_run())
    sink.prediction(prediction(arousal=0.42))
    assert out.getvalue().isascii()
    bar = out.picture()[2].split()[1]
    assert abs(bar.count("#") / len(bar) - 0.42) < 0.01


def test_a_fast_file_is_drawn_no_faster_than_seen(monkeypatch):
    monkeypatch.setattr("firmware_py.sinks.terminal._size", lambda out: (80, 24))
    out = Screen()
    sink = LiveSink(out)
    sink.start(a_run())
    for i in range(1000):
        sink.prediction(prediction(end=4000 * (i + 1)))
    sink.summary(a_summary())
    assert out.getvalue().count("arousal") < 500
    assert out.picture()[0].endswith("00:04:10.00")  # the last is always drawn


def test_a_real_terminal(tmp_path):
    fcntl = pytest.importorskip("fcntl")
    import os
    import termios

    master, slave = os.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 10, 44, 0, 0))
    with os.fdopen(slave, "w", encoding="utf-8") as out:
        sink = text_sink(out, {})
        assert isinstance(sink, LiveSink)
        sink.start(a_run())
        sink.prediction(prediction())
        data = os.read(master, 1 << 16).decode()
    os.close(master)
    lines = [ANSI.sub("", line).strip("\r") for line in data.split("\n")]
    assert len(lines) <= 10 and max(map(len, lines)) == 43


def test_the_table_of_sinks():
    assert FORMS == ("text", "jsonl", "csv")
    assert isinstance(open_sink("jsonl", io.StringIO()), JsonlSink)
    with pytest.raises(EdgeSerError, match="unknown output 'mqtt'; choose one of text, jsonl, csv"):
        open_sink("mqtt", io.StringIO())


@pytest.mark.parametrize(("live", "at_first"), [(True, 1), (False, 0)])
def test_plain_lines_say_what_is_heard_once_and_at_once_where_somebody_waits(live, at_first):
    out = io.StringIO()
    sink = PlainSink(out)
    sink.start(a_run(live=live))
    head = "/some/where/speech.flac, tiny on numpy fp32\n"
    assert out.getvalue() == head * at_first
    sink.prediction(prediction())
    sink.prediction(prediction())
    assert out.getvalue().startswith(head) and out.getvalue().count(head) == 1
    assert out.getvalue().count("\n") == 3


@pytest.mark.parametrize("form", ["csv", "text"])
def test_a_descriptor_gets_what_a_text_file_gets(form, tmp_path):
    """One head, then every row: standard output is a descriptor where the audio does not wait."""
    expected = io.StringIO()
    with open(tmp_path / "out", "wb") as file:
        for out in (expected, Descriptor(file.fileno())):
            sink = open_sink(form, out)
            sink.start(a_run(live=True))
            sink.prediction(prediction())
            sink.prediction(prediction())
            sink.close()
    assert (tmp_path / "out").read_text() == expected.getvalue() and expected.getvalue().count("\n") == 3
