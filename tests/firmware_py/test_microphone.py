"""The microphone: names, errors, losses that the driver tells, and real recordings through a virtual one."""

import json
import select
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
from edge_ser.errors import EdgeSerError, MissingExtraError
from firmware_py import microphone
from firmware_py.capture import Capture
from firmware_py.ledger import DRIVER
from firmware_py.microphone import InputDevice, MicrophoneSource, find_device, input_devices
from firmware_py.stop import Stop
from tests.support import corpus_folder

ROOT = Path(__file__).parents[2]


def device(index, name, default=False):
    return InputDevice(index, name, "ALSA", 1, 48000, default)


DEVICES = [device(0, "USB Microphone: Audio (hw:1,0)"), device(3, "pulse"), device(4, "default", True)]


@pytest.mark.parametrize(
    ("name", "index"), [("", 4), ("usb", 0), ("PULSE", 3), ("default", 4), ("3", 3), ("hw:1,0", 0)]
)
def test_a_name_means_one_device(name, index):
    assert find_device(DEVICES, name).index == index


def test_names_that_mean_none_or_several():
    with pytest.raises(
        EdgeSerError, match=r"no microphone 'webcam'; there are: 'USB .*' \(0\), 'pulse' \(3\)"
    ):
        find_device(DEVICES, "webcam")
    with pytest.raises(
        EdgeSerError, match=r"several microphones fit 'u': 'USB .*' \(0\), 'pulse' \(3\), 'default'"
    ):
        find_device(DEVICES, "u")
    with pytest.raises(EdgeSerError, match="no microphone was found"):
        find_device([], "")
    assert find_device(DEVICES[:2], "").index == 0  # no default: the first
    # an exact name goes before a longer one that holds it
    assert find_device([device(0, "mic two"), device(1, "mic")], "mic").index == 1


def test_missing_packages(monkeypatch):
    monkeypatch.setitem(sys.modules, "sounddevice", None)
    with pytest.raises(MissingExtraError, match=r"hearing a microphone: pip install 'edge-ser\[mic\]'"):
        MicrophoneSource()

    def broken(*args, **options):
        raise MissingExtraError("sounddevice does not load (PortAudio library not found); ...")

    monkeypatch.setattr(microphone, "require", broken)
    with pytest.raises(EdgeSerError, match="apt install libportaudio2"):
        input_devices()


class FakeSound:
    """Stands for the package sounddevice: a stream that the test drives."""

    class PortAudioError(Exception):
        pass

    def __init__(self, script, fails=None):
        self.script, self.fails = script, fails
        self.running = threading.Event()

    def RawInputStream(self, **options):
        if self.fails == "open":
            raise self.PortAudioError("Invalid sample rate", -9997)
        self.options = options
        return self

    def start(self):
        if self.fails == "start":
            raise self.PortAudioError("Device unavailable", -9985)
        self.running.set()
        self.thread = threading.Thread(target=self._drive)
        self.thread.start()

    def _drive(self):
        for samples, adc, overflow in self.script:
            when = SimpleNamespace(inputBufferAdcTime=adc)
            data = memoryview(np.asarray(samples, np.int16).tobytes())
            self.options["callback"](data, len(samples), when, SimpleNamespace(input_overflow=overflow))
        if self.fails != "hangs":
            self.options["finished_callback"]()

    def stop(self):
        self.options["finished_callback"]()

    def close(self):
        self.running.clear()


def heard(sound, **options):
    source = MicrophoneSource(backend=sound, **options)
    blocks = []
    fault = None
    try:
        blocks.extend(source.blocks(Stop()))
    except EdgeSerError as error:
        fault = error
    source.close()
    return blocks, fault


def test_samples_are_the_drivers_divided():
    blocks, fault = heard(FakeSound([([1, -32768, 32767], 10.0, False)]))
    assert [block.samples.tolist() for block in blocks] == [[1 / 32768, -1.0, 32767 / 32768]]
    assert blocks[0].samples.dtype == np.float32
    assert "stopped giving audio" in str(fault)


def test_losses_that_the_driver_tells():
    block = np.zeros(1000, np.int16)
    script = [
        (block, 10.0, False),
        (block, 10.0625 + 0.1, True),  # stamps: 1600 samples are missing
        (block, 10.225, True),  # flagged, and the stamps show no gap
        (block, 0.0, True),  # flagged without a stamp: a block is assumed
        (block, 10.35, False),
    ]
    blocks, _ = heard(FakeSound(script))
    assert [dict(block.lost) for block in blocks] == [{}, {DRIVER: 1600}, {}, {DRIVER: 1000}, {}]


def test_a_full_ring_is_told():
    blocks, _ = heard(FakeSound([(np.ones(600, np.int16), 1.0, False)] * 2), capture=Capture(1000))
    assert sum(len(block.samples) for block in blocks) + sum(sum(b.lost.values()) for b in blocks) == 1200


@pytest.mark.parametrize(
    ("fails", "words"), [("open", "cannot be opened at 16000 Hz"), ("start", "does not start")]
)
def test_a_stream_that_fails(fails, words):
    with pytest.raises(EdgeSerError, match=words):
        [*MicrophoneSource(backend=FakeSound([], fails)).blocks(Stop())]


def test_a_stream_that_gives_nothing(monkeypatch):
    monkeypatch.setattr(microphone, "_DEAD_AFTER_S", 0.1)
    monkeypatch.setattr(microphone, "_WAIT_S", 0.02)
    _, fault = heard(FakeSound([], "hangs"))
    assert "has given nothing for 0.1 s" in str(fault)


def test_a_stop_gives_what_is_in_the_ring():
    sound = FakeSound([(np.full(1000, i, np.int16), 1.0, False) for i in range(5)], "hangs")
    source, stop = MicrophoneSource(backend=sound), Stop()
    blocks = source.blocks(stop)
    got = [next(blocks)]
    sound.thread.join()
    stop.request("signal")
    got += blocks
    source.close()
    source.close()
    assert [round(float(block.samples[0]) * 32768) for block in got] == [0, 1, 2, 3, 4]


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
def test_a_server_that_dies_ends_with_a_sentence(virtual_microphone, numpy_bundle):
    process = listen(numpy_bundle, "mic:pulse", env=virtual_microphone.env)
    first_line(process)
    virtual_microphone.kill()
    stdout, stderr = process.communicate(timeout=20)
    assert process.returncode == 2
    last = stderr.decode().splitlines()[-1]  # PortAudio itself writes lines before it
    assert last.startswith("edge-ser: mic:pulse stopped giving audio") and b"Traceback" not in stderr
    summary = json.loads(stdout.splitlines()[-1])
    samples = summary["samples"]
    assert summary["ended"] == "error" and samples["in"] == samples["processed"] + samples["tail"]

    # and a server that is not there in the first place
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
