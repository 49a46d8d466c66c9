"""``edge-ser listen`` as people run it: in its own process."""

import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
import termios
import time
from pathlib import Path

import numpy as np
import pytest

from edge_ser.audio import load_audio, write_wav
from tests.support import need_corpus

ROOT = Path(__file__).parents[2]
HEAVY = {"torch", "numba", "scipy", "librosa", "sklearn", "pandas", "matplotlib"}


def command(*args, code=None):
    start = ["-c", code] if code else ["-m", "edge_ser"]
    return [sys.executable, *start, *map(str, args)]


def run(*args, code=None, **options):
    return subprocess.run(command(*args, code=code), capture_output=True, cwd=ROOT, timeout=60, **options)


def values(stdout):
    """The lines without what a clock measures."""
    lines = [json.loads(line) for line in stdout.splitlines()]
    for line in lines:
        line.pop("latency_ms")
    return [line for line in lines if line["type"] == "prediction"]


def refused(result, *words):
    """Exit status 2, one sentence, nothing on standard output, no traceback."""
    text = result.stderr.decode()
    assert result.returncode == 2, text
    assert result.stdout == b""
    assert text.startswith("edge-ser: ") and text.count("\n") == 1 and "Traceback" not in text
    for word in words:
        assert word in text
    return text


@pytest.fixture(scope="module")
def speech(tmp_path_factory):
    """Something like speech: bursts of coloured noise, 16 bits, 3.1 s."""
    rng = np.random.default_rng(5)
    wave = np.convolve(rng.normal(0, 1, 49_600), np.hanning(16) / 8, "same")
    wave *= np.repeat(rng.uniform(0, 0.2, 31), 1_600)
    path = tmp_path_factory.mktemp("audio") / "speech.wav"
    write_wav(path, wave.astype(np.float32).clip(-1, 1))
    return path


@pytest.fixture
def listen(numpy_bundle):
    def start(*args, **options):
        return run("listen", *args, "--model", numpy_bundle.path, "--engine", "numpy", **options)

    return start


def test_a_file_as_json_lines(listen, speech):
    result = listen(speech, "-o", "jsonl")
    assert result.returncode == 0 and result.stderr == b""
    lines = [json.loads(line) for line in result.stdout.splitlines()]
    assert [line["type"] for line in lines] == ["prediction"] * 12 + ["summary"]
    assert [line["end"] for line in lines[:-1]] == [0.25 * (i + 1) for i in range(12)]
    assert lines[-1]["samples"] == {
        "in": 49_600,
        "processed": 48_000,
        "lost": {"ring": 0, "driver": 0},
        "tail": 1_600,
    }


@pytest.mark.parametrize("chunk", [1, 7, 160, 1000, 16000])
def test_standard_input_in_chunks_is_the_file(listen, speech, numpy_bundle, chunk):
    expected = values(listen(speech, "-o", "jsonl").stdout)
    data = (load_audio(speech) * 32768).astype("<i2").tobytes()
    process = subprocess.Popen(
        command("listen", "-", "-o", "jsonl", "--model", numpy_bundle.path, "--engine", "numpy"),
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT, bufsize=0,
    )  # fmt: skip
    for at in range(0, len(data), 2 * chunk):
        process.stdin.write(data[at : at + 2 * chunk])
    stdout, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    assert values(stdout) == expected and len(expected) == 12


@pytest.mark.parametrize("kind", ["wav", "flac"])
def test_memory_and_modules(speech, numpy_bundle, tmp_path, kind):
    path = speech
    if kind == "flac":
        soundfile = pytest.importorskip("soundfile")
        path = tmp_path / "speech.flac"
        soundfile.write(path, load_audio(speech), 16000, subtype="PCM_16")
    code = (
        "import sys\nfrom edge_ser.cli import main\nstatus = main(sys.argv[1:])\n"
        "print(*sorted({name.split('.')[0] for name in sys.modules}), file=sys.stderr)\nsys.exit(status)"
    )
    result = run("listen", path, "-o", "jsonl", "--model", numpy_bundle.path, "--engine", "numpy", code=code)
    assert result.returncode == 0
    assert not HEAVY & set(result.stderr.decode().split())
    peak = json.loads(result.stdout.splitlines()[-1])["rss_mb"]["peak"]
    assert 5 < peak < 64  # the bar; 38 with NumPy 2.4 on x86-64


@pytest.mark.parametrize(
    ("signum", "source"),
    [(signal.SIGINT, "file"), (signal.SIGTERM, "file"), (signal.SIGHUP, "file"), (signal.SIGINT, "-")],
)
def test_a_signal_ends_with_the_summary(speech, numpy_bundle, signum, source):
    args = [speech, "--realtime"] if source == "file" else ["-"]
    process = subprocess.Popen(
        command("listen", *args, "-o", "jsonl", "--model", numpy_bundle.path, "--engine", "numpy"),
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=ROOT,
    )  # fmt: skip
    if source == "-":
        process.stdin.write(bytes(9_000))
        process.stdin.flush()
    first = json.loads(process.stdout.readline())  # so it runs
    process.send_signal(signum)
    asked = time.monotonic()
    process.wait(timeout=20)
    assert time.monotonic() - asked < 2
    lines = [first, *map(json.loads, process.stdout.read().splitlines())]
    assert process.returncode == 0 and process.stderr.read() == b""
    assert lines[-1]["type"] == "summary" and lines[-1]["ended"] == "signal"
    assert lines[-1]["predictions"] == len(lines) - 1
    process.stdin.close(), process.stdout.close(), process.stderr.close()


def test_a_terminal_that_hangs_up_ends_with_the_recording(speech, numpy_bundle, tmp_path):
    """As an ssh session that drops: SIGHUP, and nothing can be written any more."""
    master, slave = os.openpty()
    process = subprocess.Popen(
        command("listen", speech, "--realtime", "--record", tmp_path / "heard.wav", "--model", numpy_bundle.path),
        stdin=slave, stdout=slave, stderr=slave, cwd=ROOT, start_new_session=True,
        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
    )  # fmt: skip
    os.close(slave)
    while b"arousal" not in os.read(master, 1 << 16):
        pass
    os.close(master)
    assert process.wait(timeout=20) == 0
    assert [entry.name for entry in tmp_path.iterdir()] == ["heard.wav"]
    assert len(load_audio(tmp_path / "heard.wav")) >= 4_000


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
def test_a_full_disk_at_the_end_is_no_success(speech, numpy_bundle):
    """The audio does not wait for what is written, so it is told when all was heard."""
    words = command(
        "listen", speech, "--realtime", "--duration", "1", "--model", numpy_bundle.path, "-o", "jsonl"
    )
    with open("/dev/full", "w") as full:
        ran = subprocess.run(words, stdout=full, stderr=subprocess.PIPE, text=True, cwd=ROOT, timeout=60)
    assert ran.returncode == 2
    assert "could not be written to the end (No space left on device): 4 of 4 answers" in ran.stderr


def test_nohup_is_respected(speech, numpy_bundle):
    process = subprocess.Popen(
        command("listen", speech, "--realtime", "-o", "jsonl", "--model", numpy_bundle.path),
        stdout=subprocess.PIPE, cwd=ROOT, preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN),
    )  # fmt: skip
    process.stdout.readline()
    process.send_signal(signal.SIGHUP)
    stdout, _ = process.communicate(timeout=20)
    assert process.returncode == 0 and json.loads(stdout.splitlines()[-1])["ended"] == "end"


def test_a_file_at_its_own_pace(listen, speech):
    before = time.monotonic()
    lines = [json.loads(line) for line in listen(speech, "-o", "jsonl", "--realtime").stdout.splitlines()]
    assert time.monotonic() - before > 3.1
    assert len(lines) == 13 and lines[-1]["lost_samples"] == 0
    assert 0 < lines[-1]["latency_ms"]["p50"] < 100


def test_hop_duration_and_csv(listen, speech):
    half = values(listen(speech, "-o", "jsonl", "--hop", "0.5").stdout)
    assert [line["end"] for line in half] == [0.5 * (i + 1) for i in range(6)]
    result = listen(speech, "-o", "csv", "--duration", "1")
    rows = result.stdout.decode().splitlines()
    assert len(rows) == 5 and rows[0].startswith("start,end,arousal")
    assert "1.00 s heard, 4 answers, nothing lost" in result.stderr.decode()


def test_text_into_a_pipe(listen, speech):
    result = listen(speech)
    lines = result.stdout.decode().splitlines()
    assert result.returncode == 0 and len(lines) == 1 + 12 + 3 and "\x1b" not in result.stdout.decode()
    assert "12 answers, nothing lost" in lines[-3]


def test_recording_is_said_and_exact(listen, speech, tmp_path):
    result = listen(speech, "-o", "jsonl", "--record", tmp_path / "heard.wav")
    assert result.stderr.decode() == f"edge-ser: recording to {tmp_path / 'heard.wav'}\n"
    np.testing.assert_array_equal(load_audio(tmp_path / "heard.wav"), load_audio(speech))
    assert values(listen(tmp_path / "heard.wav", "-o", "jsonl").stdout) == values(result.stdout)
    refused(listen(speech, "--record", speech), "is the file that is heard")
    refused(listen(speech, "--record", tmp_path / "absent" / "x.wav"), "cannot record to")
    assert [entry.name for entry in tmp_path.iterdir()] == ["heard.wav"]


def test_a_reader_that_goes_away(speech, numpy_bundle):
    process = subprocess.Popen(
        command("listen", speech, "--realtime", "-o", "jsonl", "--model", numpy_bundle.path, "--engine", "numpy"),
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=ROOT,
    )  # fmt: skip
    process.stdout.readline()
    process.stdout.close()
    assert process.wait(timeout=20) == 141 and process.stderr.read() == b""
    process.stderr.close()


def test_a_full_disk_ends_a_file_with_the_recording(speech, numpy_bundle, tmp_path):
    words = [
        "listen",
        speech,
        "-o",
        "jsonl",
        "--record",
        tmp_path / "heard.wav",
        "--model",
        numpy_bundle.path,
    ]
    with open("/dev/full", "w") as full:
        result = subprocess.run(command(*words), stdout=full, stderr=subprocess.PIPE, cwd=ROOT, timeout=60)
    assert result.returncode == 2
    assert result.stderr.splitlines()[1:] == [
        b"edge-ser: cannot write (No space left on device); make room, or write elsewhere"
    ]
    assert (tmp_path / "heard.wav").exists()


def test_bad_use_is_one_sentence(listen, speech, tmp_path):
    refused(listen(tmp_path / "absent.wav"), "there is no file")
    refused(listen(tmp_path), "is a folder")
    refused(listen(speech, "--hop", "0.3"), "--hop 0.3 is no multiple of the model's step")
    refused(listen(speech, "--hop", "nan"), "--hop nan")
    refused(listen(speech, "--duration", "0.1"), "shorter than one answer")
    for option, value in (
        ("--duration", "inf"),
        ("--duration", "nan"),
        ("--log-mb", "nan"),
        ("--channel", "left"),
    ):
        for name in ("listen", "mic") if option == "--channel" else ("listen",):
            result = run(name, speech, option, value)
            assert result.returncode == 2 and b"Traceback" not in result.stderr
            assert f"error: argument {option}: a ".encode() in result.stderr
            assert result.stderr.endswith(f"not '{value}'\n".encode())
    refused(run("mic", speech, "--channel", "2"), "--rate and --channel are for microphones")
    refused(listen(speech, "--precision", "int8"), "no model file for numpy int8; it has: numpy fp32")
    both = tmp_path / "both.csv"
    refused(listen(speech, "--log", both, "--record", both), "--record and --log are one file")
    assert not both.exists()
    refused(run("listen", speech, "--model", "absent"), "there is no model or bundle folder 'absent'")


def test_a_log_larger_than_any_disk_is_one_that_is_never_rotated(listen, speech, tmp_path):
    result = listen(speech, "--log", tmp_path / "day.jsonl", "--log-mb", "1e305", "-o", "jsonl")
    assert result.returncode == 0 and [path.name for path in tmp_path.iterdir()] == ["day.jsonl"]
    said = [line for line in values(result.stdout) if line["type"] == "prediction"]
    logged = [line for line in values((tmp_path / "day.jsonl").read_bytes()) if line["type"] == "prediction"]
    assert len(logged) == len(said) > 4
    assert [line["arousal"] for line in logged] == [line["arousal"] for line in said]


def test_bad_sound_is_one_sentence(listen, tmp_path):
    def file(name, data):
        (tmp_path / name).write_bytes(data)
        return tmp_path / name

    refused(listen(file("text.wav", b"this is no sound" * 9)), "not a sound file")
    refused(listen(file("empty.wav", b"")), "is empty")
    write_wav(tmp_path / "short.wav", np.full(3_000, 0.1, np.float32))
    refused(listen(tmp_path / "short.wav"), "holds 0.1875 s of audio", "needs 0.25 s")
    refused(listen("-", input=b""), "standard input is empty")
    refused(listen("-", input=bytes(201)), "ended within a sample")
    refused(listen("-", input=bytes(1_000)), "holds 0.0312 s")
    refused(listen("-", input=b"RIFF" + bytes(9_000)), "is a WAV file, not raw PCM")
    soundfile = pytest.importorskip("soundfile")
    wave = np.full(9_000, 0.1, np.float32)
    wave[8_000] = np.nan
    soundfile.write(tmp_path / "nan.wav", wave, 16000, subtype="FLOAT")
    assert "0.500 s" in refused_after_answers(listen(tmp_path / "nan.wav", "-o", "jsonl"))


def refused_after_answers(result):
    """What was heard before stays, with a summary that says how it ended; then the sentence."""
    text = result.stderr.decode()
    assert result.returncode == 2 and text.count("\n") == 1 and "Traceback" not in text
    assert json.loads(result.stdout.splitlines()[-1])["ended"] == "error"
    return text


def test_a_channel_of_a_file_is_refused_whichever_it_is(listen, speech):
    for channel in ("1", "2", "mix"):
        refused(listen(speech, "--channel", channel), "--channel", "a file's channels are mixed")


@pytest.mark.parametrize(
    ("subtype", "rate", "channels"),
    [
        ("PCM_U8", 16000, 1),
        ("PCM_24", 16000, 1),
        ("FLOAT", 16000, 1),
        ("PCM_16", 16000, 2),
        ("PCM_16", 44100, 2),
    ],
)
def test_other_kinds_of_files_are_heard(listen, speech, tmp_path, subtype, rate, channels):
    soundfile = pytest.importorskip("soundfile")
    wave = load_audio(speech)
    if rate != 16000:
        wave = pytest.importorskip("soxr").resample(wave, 16000, rate)
    path = tmp_path / "other.wav"
    soundfile.write(path, np.stack([wave] * channels, 1), rate, subtype=subtype)
    result = listen(path, "-o", "jsonl")
    lines = [json.loads(line) for line in result.stdout.splitlines()]
    assert result.returncode == 0 and len(lines) == 13
    samples = lines[-1]["samples"]
    assert abs(samples["in"] - 49_600) <= 1 and samples["in"] == samples["processed"] + samples["tail"]


def test_one_actor_of_real_speech(numpy_bundle):
    clips = sorted((need_corpus("ravdess") / "audio").glob("*-01.flac"))
    pytest.importorskip("soundfile")
    options = ["-o", "jsonl", "--engine", "numpy", "--model", str(numpy_bundle.path)]
    code = (
        f"import sys\nfrom edge_ser.cli import main\nfor f in sys.argv[1:]: main(['listen', f, *{options!r}])"
    )
    result = run(*clips, code=code)
    assert result.returncode == 0 and result.stderr == b""
    lines = [json.loads(line) for line in result.stdout.splitlines()]
    summaries = [line for line in lines if line["type"] == "summary"]
    assert len(summaries) == len(clips)
    assert len(lines) - len(clips) == sum(summary["predictions"] for summary in summaries)
    for clip, summary in zip(clips, summaries, strict=True):
        samples = summary["samples"]
        assert summary["lost_samples"] == 0 and samples["in"] == samples["processed"] + samples["tail"]
        assert summary["predictions"] == samples["in"] // 4000
        assert samples["in"] == len(load_audio(clip))


def test_a_speaker_is_got_used_to_where_the_bundle_can(listen, speech, numpy_bundle, tmp_path):
    refused(listen(speech, "--adapt", "-o", "jsonl"), "typical answer", "edge-ser calibrate")
    bundle = shutil.copytree(numpy_bundle.path, tmp_path / "b")
    about = json.loads((bundle / "bundle.json").read_text())
    about["calibration"]["typical"] = [0.0] * len(about["labels"])
    (bundle / "bundle.json").write_text(json.dumps(about))

    wave, pause = load_audio(speech), np.zeros(48_000, np.float32)
    twice = tmp_path / "twice.wav"
    write_wav(twice, np.concatenate([wave, pause, wave]))
    second = (len(wave) + len(pause)) / 16_000

    def heard(*options):
        result = run("listen", twice, "-o", "jsonl", "--model", bundle, "--engine", "numpy", *options)
        assert result.returncode == 0, result.stderr
        return values(result.stdout)

    plain, adapted = heard(), heard("--adapt")
    assert (
        heard("--doze", "--adapt")[-1]["emotion"] == adapted[-1]["emotion"]
    )  # who sleeps counts turns as well
    changed = [a["end"] for a, b in zip(plain, adapted, strict=True) if a["emotion"] != b["emotion"]]
    assert changed and min(changed) > second and plain[-1]["end"] in changed
    heard("--adapt", "--record", tmp_path / "kept.wav")
    again = run("replay", tmp_path / "kept.wav")
    assert again.returncode == 0 and b"answers are the same" in again.stderr
    assert all(a["arousal"] == b["arousal"] for a, b in zip(plain, adapted, strict=True))
