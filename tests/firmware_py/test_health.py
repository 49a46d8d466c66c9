"""The microphone's check-up: each thing that is wrong is told, and nothing where all is well."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from benchmarks.simulated import World
from edge_ser.audio import load_audio, write_wav
from edge_ser.cli import main
from firmware_py.blocks import Block
from firmware_py.gate import FLOOR_DB
from firmware_py.health import Checkup
from firmware_py.ledger import DeviceAccount
from firmware_py.microphone import open_microphone
from firmware_py.replay import Recording

RNG = np.random.default_rng(0)


def voice(seconds=10, room=1e-3, loud=0.1):
    wave = RNG.normal(0, room, seconds * 16_000)
    for start in range(1, seconds, 3):
        wave[start * 16_000 : start * 16_000 + 16_000] += RNG.normal(0, loud, 16_000)
    return wave.astype(np.float32).clip(-1, 32767 / 32768)


def check(wave, *, faster=1.0, lost=0):
    checkup = Checkup()
    for at in range(0, len(wave), 1000):
        arrival = (at + 1000) / 16_000 / faster
        checkup.add(Block(wave[at : at + 1000], arrival, {"driver": lost} if at == 5000 and lost else {}))
    return checkup.to_json([DeviceAccount(48_000)])


def test_one_that_is_well():
    report = check(voice())
    assert report["ok"] and report["problems"] == []
    assert report["floor_db"] == pytest.approx(-60, abs=1) and report["loud_db"] == pytest.approx(-20, abs=1)
    assert report["rate"] == pytest.approx(48_000, abs=1) and report["seconds"] == 10.0


@pytest.mark.parametrize(
    ("wave", "options", "words"),
    [
        (np.empty(0, np.float32), {}, "nothing at all"),
        (np.zeros(160_000, np.float32), {}, "one and the same value"),
        (voice(loud=1.5), {}, "samples are clipped: turn its gain down"),
        (voice() * np.float32(0.9) + np.float32(0.05), {}, "direct current of 5.0%"),
        (voice(room=0.03), {}, "never quieter than -3"),
        (voice(loud=0.001), {}, "nothing was louder than -5"),
        (voice(), {"faster": 1.01}, "it gives 48480 samples a second and says 48000"),
        (voice(), {"lost": 7}, "7 samples were lost"),
    ],
)
def test_what_is_wrong_is_told(wave, options, words):
    report = check(wave, **options)
    assert not report["ok"]
    assert [problem for problem in report["problems"] if words in problem], report["problems"]
    assert len(report["problems"]) == 1


def clipped(samples):
    wave = voice()
    wave[::5000][:samples] = 32767 / 32768  # the greatest that 16 bits hold
    return wave


@pytest.mark.parametrize(
    ("within", "beyond"),
    [
        ((clipped(16), {}), (clipped(17), {})),  # of 160 000
        ((voice() - np.float32(0.0099), {}), (voice() - np.float32(0.0101), {})),
        ((voice(room=0.0096), {}), (voice(room=0.0109), {})),  # -40 dBFS is 0.01
        ((voice(room=1e-4, loud=0.0034), {}), (voice(room=1e-4, loud=0.0029), {})),  # -50 is 0.0032
        ((voice(), {"faster": 1.0018}), (voice(), {"faster": 1.0022})),
        ((voice(), {"faster": 0.9982}), (voice(), {"faster": 0.9978})),
    ],
    ids=["clipped", "direct current", "floor", "loud", "fast", "slow"],
)
def test_the_verdict_has_the_limits_that_it_tells(within, beyond):
    assert check(within[0], **within[1])["problems"] == []
    assert len(check(beyond[0], **beyond[1])["problems"]) == 1


def test_the_floor_is_that_of_the_pauses_however_much_is_said():
    wave = RNG.normal(0, 0.05, 160_000)
    wave[64_000:96_000] = RNG.normal(0, 1e-3, 32_000)  # two seconds of ten
    report = check(wave.astype(np.float32))
    assert report["ok"] and report["floor_db"] == pytest.approx(-60, abs=1)


def test_lost_samples_are_part_of_the_rate():
    """A thousand were lost; by those alone that came, it would be slow."""
    report = check(voice(), lost=1_000, faster=160_000 / 161_000)
    assert report["rate"] == pytest.approx(48_000, rel=5e-4) and len(report["problems"]) == 1


def square(db, samples):
    return np.where(np.arange(samples) % 2, 1, -1).astype(np.float32) * np.float32(10 ** (db / 20))


def test_what_is_clipped_either_way_and_the_greatest_of_all_blocks():
    checkup = Checkup()
    checkup.add(Block(np.float32([-1.0, 32767 / 32768, -32767 / 32768, 32766 / 32768, 0.5]), 1.0))
    checkup.add(Block(np.float32([0.25, 0.1]), 1.1))
    assert checkup.clipped == 3 and checkup.peak == 1.0
    quiet = Checkup()
    quiet.add(Block(np.float32([0.5, -0.25]), 1.0))
    assert quiet.to_json([])["peak_db"] == -6.0


def test_one_that_falls_silent_at_the_end_gave_more_than_one_value():
    checkup = Checkup()
    for block in ([0.0, 0.1], [0.0, 0.0]):
        checkup.add(Block(np.float32(block), 1.0))
    assert not any("one and the same value" in text for text in checkup.to_json([])["problems"])


def test_the_last_level_is_of_twenty_milliseconds_wherever_blocks_end():
    checkup, told = Checkup(), []
    for samples in np.split(np.concatenate([square(-20, 320), square(-40, 320)]), 4):
        checkup.add(Block(samples, 1.0))
        told.append(checkup.level)
    assert told == [FLOOR_DB, *(pytest.approx(db, abs=0.01) for db in (-20, -20, -40))]


@pytest.mark.parametrize(("last", "rate"), [(4.9, None), (5.0, 38_400)])
def test_a_rate_needs_five_seconds_and_is_the_last_devices(last, rate):
    """Behind the first block come 64 000 samples of 16 kHz in five seconds: four fifths of 48 000 a second."""
    checkup = Checkup()
    checkup.add(Block(square(-20, 320), 0.0))
    checkup.add(Block(square(-20, 64_000), last))
    assert checkup.rate([DeviceAccount(16_000), DeviceAccount(48_000)]) == rate


def test_the_command_on_a_file(tmp_path, capsys):
    write_wav(tmp_path / "a.wav", voice())
    argv = ["mic", str(tmp_path / "a.wav"), "--seconds", "3", "--save", str(tmp_path / "b.wav")]
    assert main([*argv, "-o", "json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["ok"] and report["seconds"] >= 3
    assert len(load_audio(tmp_path / "b.wav")) == round(report["seconds"] * 16_000)
    assert main(argv) == 0
    out = capsys.readouterr().out
    assert "healthy" in out and "noise floor" in out
    write_wav(tmp_path / "mute.wav", np.zeros(80_000, np.float32))
    assert main(["mic", str(tmp_path / "mute.wav")]) == 1
    assert "NOT healthy: it gave one and the same value" in capsys.readouterr().out
    capsys.readouterr()
    for seconds in ("0", "0.99", "3600.5", "nan"):
        assert main(["mic", str(tmp_path / "a.wav"), "--seconds", seconds]) == 2
        assert "is not between 1 and 3600" in capsys.readouterr().err


def test_the_file_that_is_heard_is_not_written_over(tmp_path, capsys):
    write_wav(tmp_path / "a.wav", voice())
    (tmp_path / "link.wav").symlink_to(tmp_path / "a.wav")
    before = (tmp_path / "a.wav").read_bytes()
    for name in ("a.wav", "link.wav"):
        assert main(["mic", str(tmp_path / "a.wav"), "--seconds", "1", "--save", str(tmp_path / name)]) == 2
        out, err = capsys.readouterr()
        assert (out, err) == (
            "",
            f"edge-ser: --save {tmp_path / name} is the file that is heard; name another\n",
        )
    assert (tmp_path / "a.wav").read_bytes() == before


def test_the_command_ends_though_the_microphone_is_lost_for_good(monkeypatch, capsys, tmp_path):
    world = World()

    def open_world(text, **options):
        return open_microphone("", backend=world, clock=world.clock, capture=world.capture, rate=world.rate)

    monkeypatch.setattr("edge_ser.commands.mic.open_source", open_world)
    began = world.time
    world.later(3.0, world.unplug)
    world.later(600.0, world.plug)  # so that the test ends
    assert main(["mic", "-o", "json", "--save", str(tmp_path / "a.wav")]) == 1
    assert world.time - began == pytest.approx(10, abs=2)
    report = json.loads(capsys.readouterr().out)
    assert report["lost_samples"] == pytest.approx(7 * 16_000, abs=2 * 16_000)
    assert any("looking for it" in event for event in report["events"])
    kept = Recording.read(tmp_path / "a.wav")  # what was lost is a gap there
    assert sum(sum(lost.values()) for _, lost in kept.gaps) == report["lost_samples"]


@pytest.mark.microphone
@pytest.mark.slow
@pytest.mark.parametrize("source", ["mic", "arecord"])
def test_a_virtual_microphone(virtual_microphone, tmp_path, source):
    if source == "arecord" and shutil.which("arecord") is None:
        pytest.skip("arecord is not installed (apt install alsa-utils)")
    write_wav(tmp_path / "voice.wav", voice(8))
    command = [sys.executable, "-m", "edge_ser", "mic", source, "--seconds", "6", "-o", "json"]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, cwd=Path(__file__).parents[2], env=virtual_microphone.env
    )
    virtual_microphone.play(tmp_path / "voice.wav")
    stdout, _ = process.communicate(timeout=60)
    report = json.loads(stdout)
    assert report["lost_samples"] == 0 and report["clipped"] == 0 and report["seconds"] >= 6
    # PulseAudio comes to give everything later when the player starts, which six seconds do not average out
    assert report["loud_db"] > -40 and report["rate"] == pytest.approx(16_000, rel=0.15)
