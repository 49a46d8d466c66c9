"""A recording heard again: the same answers bit for bit, gaps and dozing and all."""

import io
import json
import signal
import time

import numpy as np
import pytest

from edge_ser.audio import load_audio, write_wav
from edge_ser.bundle import load_bundle
from edge_ser.cli import main
from edge_ser.errors import EdgeSerError
from firmware_py.blocks import Block
from firmware_py.engines import open_engine
from firmware_py.gates import open_gate
from firmware_py.listener import Listener
from firmware_py.pipeline import Pipeline
from firmware_py.recorder import Recorder
from firmware_py.replay import Recording, RecordingSource, recording_settings
from firmware_py.sinks.lines import JsonlSink
from firmware_py.stop import Stop


class Played:
    name, live = "played", False

    def __init__(self, blocks):
        self.given = blocks

    def blocks(self, stop):
        yield from self.given

    def close(self):
        pass


def blocks(seed=0):
    """Loud and quiet, gaps in places, and samples between the steps of 16 bits."""
    rng = np.random.default_rng(seed)
    for i in range(150):
        loud = 0.1 if i % 50 < 20 else 1e-4
        lost = {"ring": int(rng.integers(1, 9_000))} if rng.random() < 0.1 else {}
        lost |= {"driver": 5} if rng.random() < 0.05 else {}
        size = int(rng.integers(0, 3_000))
        yield Block(rng.normal(0, loud, size).astype(np.float32), time.monotonic(), lost)
    yield Block(np.empty(0, np.float32), time.monotonic(), {"microphone": 777})


@pytest.fixture
def recorded(numpy_bundle, tmp_path):
    def record(**options):
        options = {"every": 1, "gate": "level", "doze": False, "adapt": False, "turns": False} | options
        engine = open_engine(numpy_bundle, "numpy")
        gate = open_gate(options["gate"], numpy_bundle.spec)
        pipeline = Pipeline(
            numpy_bundle,
            engine,
            every=options["every"],
            gate=gate,
            doze=options["doze"],
            adapt=options["adapt"],
            turns=options["turns"],
        )
        path = tmp_path / "heard.wav"
        recorder = Recorder(path, recording_settings(numpy_bundle, engine, source="test", **options))
        out = io.StringIO()
        Listener(Played(blocks()), pipeline, [JsonlSink(out)], recorder=recorder).run(Stop())
        recorder.close()
        return path, [json.loads(line) for line in out.getvalue().splitlines()]

    return record


def without_clock(lines):
    return [
        {k: v for k, v in line.items() if k != "latency_ms"} for line in lines if line["type"] == "prediction"
    ]


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"every": 3},
        {"doze": True},
        {"gate": "mel", "doze": True},
        {"turns": True},
        {"turns": True, "doze": True},
    ],
)
def test_the_same_answers(recorded, numpy_bundle, capsys, options):
    path, live = recorded(**options)
    assert main(["replay", str(path), "--model", str(numpy_bundle.path), "-o", "jsonl"]) == 0
    out, err = capsys.readouterr()
    again = [json.loads(line) for line in out.splitlines()]
    assert without_clock(again) == without_clock(live)
    assert any(line["lost_samples"] for line in without_clock(again))
    assert again[-1]["samples"] == live[-1]["samples"]
    assert f"all {len(live) - 1} answers are the same" in err


def test_a_chunk_of_odd_length_is_passed_over(recorded):
    """As programs that note a title leave them: a byte of padding is not counted in its size."""
    path, _ = recorded()
    found, data = Recording.read(path), path.read_bytes()
    behind = found.start + 2 * found.samples
    path.write_bytes(data[:behind] + b"LIST\x03\x00\x00\x00abc\x00" + data[behind:])
    assert Recording.read(path) == found


def test_others_are_told(recorded, numpy_bundle, capsys):
    path, _ = recorded()
    data = bytearray(path.read_bytes())
    data[50_000:50_400] = bytes(400)
    path.write_bytes(data)
    assert main(["replay", str(path), "--model", str(numpy_bundle.path)]) == 1
    assert "NOT those of the recording" in capsys.readouterr().err


def test_the_folder_of_a_model_of_ones_own_is_remembered(recorded, numpy_bundle, capsys):
    path, _ = recorded()
    assert main(["replay", str(path)]) == 0
    assert "are the same" in capsys.readouterr().err
    recording = Recording.read(path)
    assert recording.model == str(numpy_bundle.path.resolve())
    recording.settings["folder"] = "/moved/elsewhere"
    with pytest.raises(EdgeSerError, match=r"was in /moved/elsewhere, which is not there; say with --model"):
        _ = recording.model
    shipped = load_bundle("stream72k")
    how = {"every": 1, "gate": "level", "doze": False, "adapt": False, "turns": True, "source": "mic"}
    settings = recording_settings(shipped, open_engine(shipped, "numpy"), **how)
    assert (settings["model"], settings["folder"]) == ("stream72k", None)
    recording.settings.clear()
    recording.settings["model"] = "stream72k"  # as recordings were before
    assert recording.model == "stream72k"


@pytest.mark.parametrize("every", [b"0", b"[]", b"{}"])
def test_notes_that_say_no_number_are_damaged(every, recorded, numpy_bundle, capsys):
    path, _ = recorded()
    told = b'"every":' + every
    path.write_bytes(path.read_bytes().replace(b'"every": 1,', (told + b",").ljust(11)))
    assert main(["replay", str(path), "--model", str(numpy_bundle.path)]) == 2
    assert "are damaged (every is" in capsys.readouterr().err


def test_an_interruption_is_no_difference(recorded, numpy_bundle, capsys, monkeypatch):
    path, live = recorded()
    hear = RecordingSource.blocks

    def interrupted(source, stop):
        for i, block in enumerate(hear(source, stop)):
            yield block
            if i == 20:
                signal.raise_signal(signal.SIGTERM)

    monkeypatch.setattr(RecordingSource, "blocks", interrupted)
    assert main(["replay", str(path), "--model", str(numpy_bundle.path)]) == 130
    said = capsys.readouterr().err
    assert f" of {len(live) - 1} answers, too early to compare" in said and "NOT" not in said


def test_another_engine_is_another_model_file(recorded, full_bundle, numpy_bundle, capsys):
    pytest.importorskip("onnxruntime")
    path, _ = recorded()
    assert main(["replay", str(path)]) == 0
    assert "not the model file" not in capsys.readouterr().err
    words = ["replay", str(path), "--model", str(full_bundle.path), "--engine", "onnx", "-o", "jsonl"]
    assert main(words) in (0, 1)  # close, and perhaps the same bits
    out, err = capsys.readouterr()
    assert json.loads(out.splitlines()[-1])["engine"] == "onnx"
    assert f"edge-ser: this is not the model file that listened ({numpy_bundle.name})\n" in err


def test_players_hear_the_samples_alone(recorded):
    path, live = recorded()
    assert len(load_audio(path)) == live[-1]["samples"]["processed"] + live[-1]["samples"]["tail"]


def test_gaps_lie_where_they_were(tmp_path):
    recorder = Recorder(tmp_path / "a.wav", {"model": "x"})
    recorder.write(np.zeros(10, np.float32), {"ring": 3})
    recorder.write(np.zeros(5_000, np.float32))
    for lost in (3, 1):  # one gap, however often it was told
        recorder.write(np.zeros(0, np.float32), {"driver": lost})
    recorder.close()
    recording = Recording.read(tmp_path / "a.wav")
    assert recording.settings == {"model": "x"} and recording.samples == 5_010
    assert recording.gaps == [(0, {"ring": 3}), (5_010, {"driver": 4})]
    got = [(len(block.samples), dict(block.lost)) for block in RecordingSource(recording).blocks(Stop())]
    assert got == [(4_000, {"ring": 3}), (1_010, {}), (0, {"driver": 4})]


def test_what_is_no_recording(tmp_path):
    write_wav(tmp_path / "a.wav", np.zeros(100))
    with pytest.raises(EdgeSerError, match="holds no notes"):
        Recording.read(tmp_path / "a.wav")
    (tmp_path / "b.txt").write_text("hello")
    with pytest.raises(EdgeSerError, match="holds no notes"):
        Recording.read(tmp_path / "b.txt")
    with pytest.raises(EdgeSerError, match="cannot read"):
        Recording.read(tmp_path / "absent.wav")


def test_a_full_disk_ends_the_recording_and_not_the_listening(numpy_bundle, tmp_path):
    class Full(Recorder):
        def write(self, samples, lost=None):
            if self._bytes > 20_000:
                raise EdgeSerError("cannot record: No space left on device")
            return super().write(samples, lost)

    out = io.StringIO()
    recorder = Full(tmp_path / "a.wav")
    pipeline = Pipeline(numpy_bundle, open_engine(numpy_bundle, "numpy"))
    with pytest.raises(EdgeSerError, match="No space left"):  # at the end
        Listener(Played(blocks()), pipeline, [JsonlSink(out)], recorder=recorder).run(Stop())
    recorder.close()
    lines = [json.loads(line) for line in out.getvalue().splitlines()]
    assert [line["event"] for line in lines if line["type"] == "event"] == ["recording"]
    assert lines[-1]["type"] == "summary" and lines[-1]["predictions"] > 40
    assert len(load_audio(tmp_path / "a.wav")) > 10_000
