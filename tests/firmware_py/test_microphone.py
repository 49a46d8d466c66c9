"""The microphone: names, errors, losses that the driver tells, and real recordings through a virtual one."""

import json
import select
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from edge_ser.audio import load_audio, write_wav
from edge_ser.errors import EdgeSerError
from firmware_py import live
from firmware_py.capture import Capture
from firmware_py.ledger import RING
from firmware_py.microphone import open_microphone
from firmware_py.stop import Stop
from tests.support import corpus_folder

ROOT = Path(__file__).parents[2]


class FakeSound:
    """Stands for the package sounddevice: a stream that the test drives."""

    class PortAudioError(Exception):
        pass

    also = ()  # numbers of channels that it opens with beside all of them

    def __init__(self, script, fails=None, channels=1, rates=(16_000,), name="USB: Audio (hw:1,0)"):
        self.script, self.fails, self.channels, self.rates, self.name = script, fails, channels, rates, name
        self.default = SimpleNamespace(device=[0, 0])
        self.restarts = self.fail_to_start = self.open = 0
        self.running = True

    def query_devices(self):
        entry = {"name": self.name, "hostapi": 0, "max_input_channels": self.channels}
        return [entry | {"default_samplerate": self.rates[-1]}]

    def query_hostapis(self):
        return [{"name": "ALSA"}]

    def _terminate(self):
        if not self.running:
            raise self.PortAudioError("PortAudio not initialized", -10000)
        self.running = False
        self.restarts += 1

    def _initialize(self):
        if self.fail_to_start:
            self.fail_to_start -= 1
            raise self.PortAudioError("Unanticipated host error", -9999)
        self.running = True

    def RawInputStream(self, **options):
        if self.fails == "open" or options["samplerate"] not in self.rates:
            raise self.PortAudioError("Invalid sample rate", -9997)
        if options["channels"] not in (self.channels, *self.also):
            raise self.PortAudioError("Invalid number of channels", -9998)
        self.options = options
        self.open += 1
        return self

    def start(self):
        if self.fails == "start":
            raise self.PortAudioError("Device unavailable", -9985)
        self.thread = threading.Thread(target=self._drive)
        self.thread.start()

    def _drive(self):
        for samples, adc, overflow in self.script:
            when = SimpleNamespace(inputBufferAdcTime=adc)
            data = memoryview(np.asarray(samples, self.options["dtype"]).tobytes())
            frames = len(samples)
            self.options["callback"](data, frames, when, SimpleNamespace(input_overflow=overflow))
        if self.fails == "ends":
            self.options["finished_callback"]()

    def stop(self):
        self.options["finished_callback"]()

    def close(self, ignore_errors=False):
        self.open -= 1


def heard(sound, **options):
    """The blocks with sound or losses of a stream that is stopped when its script is over."""
    source, stop, blocks = open_microphone(backend=sound, **options), Stop(), []
    for block in source.blocks(stop):
        if len(block.samples) or block.lost or block.events:
            blocks.append(block)
        sound.thread.join()
        stop.request("signal")
    source.close()
    return blocks, source


@pytest.mark.parametrize(
    ("rate", "block"),
    [(16_000, 4_000), (48_000, 3_000)],  # a step, and a quarter of one where a resampler is behind
)
def test_what_is_opened_and_that_it_is_let_go(rate, block):
    if rate != 16_000:
        pytest.importorskip("soxr")
    sound = FakeSound([], rates=(rate,))
    source = open_microphone(backend=sound)
    assert sound.open == 1 and sound.options["blocksize"] == block
    source.close()
    source.close()
    assert sound.open == 0


@pytest.mark.parametrize(("channel", "opened"), [(1, 1), (2, 2), ("mix", 2)])
def test_one_channel_is_opened_where_the_first_is_heard(channel, opened):
    sound = FakeSound([], channels=2)
    sound.also = (1,)
    open_microphone(backend=sound, channel=channel).close()
    assert sound.options["channels"] == opened


def test_samples_are_the_drivers_divided():
    blocks, source = heard(FakeSound([([1, -32768, 32767], 10.0, False)]))
    assert [block.samples.tolist() for block in blocks] == [[1 / 32768, -1.0, 32767 / 32768]]
    assert blocks[0].samples.dtype == np.float32
    assert source.name == "mic:USB: Audio (hw:1,0)"
    assert source.devices[0].to_json() == {
        "rate": 16_000, "in": 3, "read": 3, "lost": {}, "measured_rate": None,
    }  # fmt: skip


def test_a_rate_that_it_does_itself_and_ours():
    """16 kHz where the hardware takes it, its own rate and the resampler where not."""
    assert heard(FakeSound([([1], 1.0, False)], rates=(16_000, 48_000)))[1].devices[0].rate == 16_000
    tone = np.sin(np.arange(48_000) / 48_000 * 2 * np.pi * 440).astype(np.float32) / 2
    script = [(part, 1.0 + i / 10, False) for i, part in enumerate(np.split(tone, 10))]
    blocks, source = heard(FakeSound(script, rates=(48_000,)))
    assert source.devices[0].rate == 48_000 and source.devices[0].read == 48_000
    wave = np.concatenate([block.samples for block in blocks])
    assert len(wave) == 16_000
    ideal = np.sin(np.arange(16_000) / 16_000 * 2 * np.pi * 440) / 2
    np.testing.assert_allclose(wave[500:-500], ideal[500:-500], atol=1e-3)
    np.testing.assert_array_equal(wave * 32768, np.rint(wave * 32768))  # so that a recording is exact


def test_channels():
    pair = np.array([[100, 300], [200, 400]], np.int16)
    wanted = {1: [100, 200], 2: [300, 400], "mix": [200, 300]}
    for channel, samples in wanted.items():
        blocks, _ = heard(FakeSound([(pair, 1.0, False)], channels=2), channel=channel)
        np.testing.assert_array_equal(blocks[0].samples * 32768, samples)
    with pytest.raises(EdgeSerError, match=r"has 2 channels, no channel 3"):
        heard(FakeSound([(pair, 1.0, False)], channels=2), channel=3)


def test_a_full_ring_is_told():
    blocks, source = heard(
        FakeSound([(np.ones(600, np.int16), 1.0, False)] * 2),
        capture=lambda size, *kind: Capture(1000, *kind),
    )
    assert sum(len(block.samples) for block in blocks) == 600
    assert source.devices[0].lost == {RING: 600}


@pytest.mark.parametrize(
    ("fails", "words"), [("open", "cannot be opened at 16000 Hz"), ("start", "does not start")]
)
def test_a_stream_that_fails(fails, words):
    with pytest.raises(EdgeSerError, match=words):
        [*open_microphone(backend=FakeSound([], fails)).blocks(Stop())]


def test_one_that_never_works_is_an_error(monkeypatch):
    monkeypatch.setattr(live, "_DEAD_AFTER_S", 0.1)
    monkeypatch.setattr(live, "_WAIT_S", 0.02)
    with pytest.raises(EdgeSerError, match=r"has given nothing for 0.1 s .* `edge-ser mic`"):
        [*open_microphone(backend=FakeSound([])).blocks(Stop())]
    with pytest.raises(EdgeSerError, match="stopped giving audio"):
        [*open_microphone(backend=FakeSound([], "ends")).blocks(Stop())]


def test_one_that_breaks_off_is_opened_anew(monkeypatch):
    monkeypatch.setattr(live, "_RETRY_S", (0.01, 0.01))
    sound = FakeSound([(np.arange(1000), 5.0, False)], "ends")
    source, stop, events, samples = open_microphone(backend=sound), Stop(), [], 0
    for block in source.blocks(stop):
        events += [event.kind for event in block.events]
        samples += len(block.samples)
        if samples >= 3000:
            stop.request("signal")
    assert events[:4] == ["microphone-lost", "microphone-found"] * 2
    assert sound.restarts >= 2  # PortAudio was started anew each time
    assert source.devices[0].read == samples


def test_a_portaudio_that_does_not_start_at_once_is_tried_again(monkeypatch):
    monkeypatch.setattr(live, "_RETRY_S", (0.01, 0.01))
    sound = FakeSound([(np.arange(1000), 5.0, False)], "ends")
    sound.fail_to_start = 3  # its sound server is away
    source, stop, events = open_microphone(backend=sound), Stop(), []
    for block in source.blocks(stop):
        events += [event.kind for event in block.events]
        if "microphone-found" in events:
            stop.request("signal")
    assert events[:2] == ["microphone-lost", "microphone-found"] and sound.fail_to_start == 0


def test_one_that_is_plugged_in_elsewhere_is_heard_again(monkeypatch):
    monkeypatch.setattr(live, "_RETRY_S", (0.01, 0.01))
    sound = FakeSound([(np.arange(1000), 5.0, False)], "ends")
    source, stop, events, began = open_microphone("usb", backend=sound), Stop(), [], time.monotonic()
    for block in source.blocks(stop):
        events += [event.kind for event in block.events]
        sound.name = "USB: Audio (hw:2,0)"
        if "microphone-found" in events or time.monotonic() > began + 10:
            stop.request("signal")
    assert events[:2] == ["microphone-lost", "microphone-found"]


def test_a_stop_gives_what_is_in_the_ring():
    sound = FakeSound([(np.full(1000, i, np.int16), 1.0 + i / 16, False) for i in range(5)])
    source, stop = open_microphone(backend=sound), Stop()
    blocks = source.blocks(stop)
    got = [next(blocks)]
    sound.thread.join()
    stop.request("signal")
    got += blocks
    source.close()
    source.close()
    values = [round(float(block.samples[0]) * 32768) for block in got if len(block.samples)]
    assert values == [0, 1, 2, 3, 4]


# --- a virtual microphone


@pytest.fixture(scope="module")
def recording(tmp_path_factory):
    """Real speech where it is at hand, bursts of noise elsewhere; a second of silence before it."""
    folder = corpus_folder("ravdess")
    clips = sorted((folder / "audio").glob("03-01-05-02-01-01-1[12].flac")) if folder else []
    rng = np.random.default_rng(0)
    speech = [load_audio(clip) for clip in clips] or [rng.normal(0, 0.1, 60_000)]
    wave = np.concatenate([np.zeros(16_000), *speech, np.zeros(8_000)]).astype(np.float32)
    path = tmp_path_factory.mktemp("played") / "speech.wav"
    write_wav(path, wave)
    return path


def listen(bundle, source, *args, env=None):
    command = [
        sys.executable,
        "-m",
        "edge_ser",
        "listen",
        source,
        "--model",
        bundle.path,
        "--engine",
        "numpy",
    ]
    return subprocess.Popen(
        [*map(str, [*command, "-o", "jsonl", *args])],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=ROOT, env=env, bufsize=0,
    )  # fmt: skip


def first_line(process):
    ready, _, _ = select.select([process.stdout], [], [], 20)
    assert ready, "no answer within 20 s"
    return json.loads(process.stdout.readline())


def without_clock(lines):
    return [{key: value for key, value in line.items() if key != "latency_ms"} for line in lines]


def find(part, whole):
    """Where `part` lies in `whole`, by cross-correlation."""
    size = 1 << (len(part) + len(whole)).bit_length()
    product = np.fft.rfft(whole, size) * np.conj(np.fft.rfft(part, size))
    return int(np.argmax(np.fft.irfft(product, size)[: len(whole)]))


@pytest.mark.microphone
@pytest.mark.slow
def test_every_sample_arrives_and_answers_are_the_files(
    virtual_microphone, numpy_bundle, recording, tmp_path
):
    process = listen(numpy_bundle, "mic", "--record", tmp_path / "heard.wav", env=virtual_microphone.env)
    lines = [first_line(process)]
    virtual_microphone.play(recording)
    time.sleep(0.7)  # paplay ends when the server has the sound, not when it was heard
    process.send_signal(signal.SIGINT)
    stdout, stderr = process.communicate(timeout=20)
    assert process.returncode == 0, stderr
    lines += map(json.loads, stdout.splitlines())
    *live, summary = lines
    assert (
        summary["type"] == "summary" and summary["ended"] == "signal" and summary["source"] == "mic:default"
    )
    samples = summary["samples"]
    assert summary["lost_samples"] == 0 and samples["in"] == samples["processed"] + samples["tail"]
    assert summary["predictions"] == len(live) == samples["processed"] // 4000
    assert all(0 < line["latency_ms"] < 1000 for line in live)

    played, heard_all = load_audio(recording)[16_000:], load_audio(tmp_path / "heard.wav")
    assert len(heard_all) == samples["in"]
    at = find(played, heard_all)
    np.testing.assert_array_equal(heard_all[at : at + len(played)], played)

    def answers(wave, name):
        write_wav(tmp_path / name, wave)
        process = listen(numpy_bundle, tmp_path / name)
        stdout, _ = process.communicate(timeout=60)
        return without_clock(map(json.loads, stdout.splitlines()))[:-1]

    assert answers(heard_all, "again.wav") == without_clock(live)
    aligned = answers(heard_all[at : at + len(played)], "aligned.wav")
    assert aligned == answers(played, "played.wav") and len(aligned) == len(played) // 4000


@pytest.mark.microphone
@pytest.mark.slow
@pytest.mark.parametrize("source", ["mic:pulse", "arecord"])
def test_a_server_that_dies_and_comes_back(virtual_microphone, numpy_bundle, source):
    if source == "arecord" and shutil.which("arecord") is None:
        pytest.skip("arecord is not installed (apt install alsa-utils)")
    process = listen(numpy_bundle, source, env=virtual_microphone.env)
    began = time.monotonic()
    first_line(process)
    virtual_microphone.kill()
    time.sleep(1.5)
    virtual_microphone.start()
    back = time.monotonic()
    kinds = []
    while "microphone-found" not in kinds:
        line = first_line(process)
        kinds += [line["event"]] if line["type"] == "event" else []
    assert time.monotonic() - back < 6  # three seconds, and room for a busy machine
    after = [first_line(process) for _ in range(3)]
    assert {line["type"] for line in after} == {"prediction"}
    process.send_signal(signal.SIGINT)
    stdout, stderr = process.communicate(timeout=20)
    took = time.monotonic() - began
    assert process.returncode == 0 and b"Traceback" not in stderr
    assert "microphone-lost" in kinds
    summary = json.loads(stdout.splitlines()[-1])
    samples = summary["samples"]
    assert samples["in"] == samples["processed"] + samples["tail"] + sum(samples["lost"].values())
    [device] = samples["devices"]
    assert device["in"] == device["read"] + sum(device["lost"].values())
    assert samples["lost"]["microphone"] > 16_000  # the second and a half, and what finding it took
    assert samples["in"] / 16_000 < took + 0.5  # lost time is not counted twice


@pytest.mark.microphone
@pytest.mark.slow
def test_a_server_that_is_not_there(virtual_microphone, numpy_bundle):
    virtual_microphone.kill()
    stdout, stderr = listen(numpy_bundle, "mic", env=virtual_microphone.env).communicate(timeout=20)
    assert stdout == b"" and b"edge-ser: no microphone was found" in stderr


@pytest.mark.microphone
def test_devices_and_unknown_names(virtual_microphone, numpy_bundle):
    command = [sys.executable, "-m", "edge_ser", "devices", "-o", "json"]
    listed = subprocess.run(command, capture_output=True, cwd=ROOT, env=virtual_microphone.env, check=True)
    devices = json.loads(listed.stdout)["devices"]
    assert {"pulse", "default"} <= {entry["name"] for entry in devices}
    assert [entry["name"] for entry in devices if entry["default"]] == ["default"]
    process = listen(numpy_bundle, "mic:webcam", env=virtual_microphone.env)
    stdout, stderr = process.communicate(timeout=20)
    assert process.returncode == 2 and stdout == b""
    assert (
        stderr.startswith(b"edge-ser: there is no microphone 'webcam'; there are: ")
        and stderr.count(b"\n") == 1
    )
