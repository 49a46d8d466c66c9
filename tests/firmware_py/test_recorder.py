"""Recordings: exact, put in place whole, truthful on a full disk."""

import os
import resource
import signal
import struct
import subprocess
import sys

import numpy as np
import pytest

from edge_ser.audio import load_audio
from edge_ser.errors import EdgeSerError
from firmware_py.recorder import Recorder


def test_sixteen_bits_are_kept_exactly(tmp_path):
    wave = np.random.default_rng(0).integers(-32768, 32768, 10_001).astype(np.float32) / 32768
    recorder = Recorder(tmp_path / "a.wav")
    for piece in np.split(wave, [3, 500, 501, 9000]):
        recorder.write(piece)
        assert not (tmp_path / "a.wav").exists()
    recorder.close()
    np.testing.assert_array_equal(load_audio(tmp_path / "a.wav"), wave)
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.wav"]
    size = (tmp_path / "a.wav").stat().st_size
    assert struct.unpack("<I", (tmp_path / "a.wav").read_bytes()[4:8]) == (size - 8,)
    assert (tmp_path / "a.wav").stat().st_mode & 0o777 == 0o666 & ~current_umask()


def current_umask():
    mask = os.umask(0)
    os.umask(mask)
    return mask


def test_nothing_heard_leaves_nothing(tmp_path):
    (tmp_path / "old.wav").write_bytes(b"old")
    Recorder(tmp_path / "old.wav").close()
    assert [entry.read_bytes() for entry in tmp_path.iterdir()] == [b"old"]


def test_places_that_cannot_be_written(tmp_path):
    with pytest.raises(EdgeSerError, match="is a folder"):
        Recorder(tmp_path)
    with pytest.raises(EdgeSerError, match="cannot record to .*No such file"):
        Recorder(tmp_path / "absent" / "a.wav")


def test_a_device_stays_one_and_a_link_stays_a_link(tmp_path):
    with pytest.raises(EdgeSerError, match="/dev/null is no file"):
        Recorder("/dev/null")
    (tmp_path / "link.wav").symlink_to(tmp_path / "real.wav")
    recorder = Recorder(tmp_path / "link.wav")
    recorder.write(np.full(160, 0.5, np.float32))
    recorder.close()
    assert (tmp_path / "link.wav").is_symlink() and len(load_audio(tmp_path / "real.wav")) == 160


def test_a_full_disk_keeps_what_was_written(tmp_path):
    # A limit on file size stands for the disk: the same failing write, without needing a disk.
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    wave = np.random.default_rng(0).uniform(-1, 1, 5_000).astype(np.float32)
    recorder = Recorder(tmp_path / "a.wav")
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (4_001, limits[1]))
        with pytest.raises(EdgeSerError, match="cannot record to .*a.wav: File too large"):
            recorder.write(wave)
        recorder.close()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
    kept = load_audio(tmp_path / "a.wav")
    assert len(kept) == (4_001 - 44) // 2
    assert (tmp_path / "a.wav").stat().st_size == 4_000  # no half of a sample, and no part of the notes
    np.testing.assert_allclose(kept, wave[: len(kept)], atol=2**-15)


def cut_off(path, wave):
    """A recording by a process that ends without a word, as at a power cut."""
    code = (
        "import os, sys, numpy\n"
        "from firmware_py.recorder import Recorder\n"
        "Recorder(sys.argv[1]).write(numpy.frombuffer(sys.stdin.buffer.read(), numpy.float32))\n"
        "os._exit(0)"
    )
    subprocess.run([sys.executable, "-c", code, path], input=wave.tobytes(), check=True)


def test_what_a_power_cut_left_is_put_beside_the_next_recording(tmp_path):
    wave = np.random.default_rng(0).integers(-32768, 32768, 4_001).astype(np.float32) / 32768
    cut_off(tmp_path / "a.wav", wave)
    cut_off(tmp_path / "other.wav", wave)
    (part,) = tmp_path.glob(".a.wav.*.part")
    with part.open("ab") as file:
        file.write(b"x")  # half a sample
    (tmp_path / "a.cut-off-1.wav").write_bytes(b"mine")
    recorder = Recorder(tmp_path / "a.wav")
    assert recorder.rescued == [tmp_path / "a.cut-off-2.wav"]
    recorder.close()
    np.testing.assert_array_equal(load_audio(tmp_path / "a.cut-off-2.wav"), wave)
    assert (tmp_path / "a.cut-off-1.wav").read_bytes() == b"mine"
    assert (tmp_path / "a.cut-off-2.wav").stat().st_mode & 0o777 == 0o666 & ~current_umask()
    assert len(list(tmp_path.glob(".other.wav.*.part"))) == 1  # of another place


def test_a_recording_that_was_whole_but_not_in_place_keeps_its_notes(tmp_path):
    recorder = Recorder(tmp_path / "b.wav", {"model": "x"})
    recorder.write(np.full(160, 0.5, np.float32))
    recorder.close()
    whole = (tmp_path / "b.wav").read_bytes()
    (tmp_path / ".a.wav.1.part").write_bytes(whole)
    (found,) = Recorder(tmp_path / "a.wav").rescued
    assert found.read_bytes() == whole


def test_what_is_being_recorded_is_left_alone(tmp_path):
    first = Recorder(tmp_path / "a.wav")
    first.write(np.full(160, 0.5, np.float32))
    second = Recorder(tmp_path / "a.wav")
    assert second.rescued == []
    second.close()
    first.close()
    assert len(load_audio(tmp_path / "a.wav")) == 160


@pytest.mark.parametrize("letters", [0, 1])
def test_chunks_are_of_even_length(tmp_path, letters):
    recorder = Recorder(tmp_path / "a.wav", {"source": "x" * letters})
    recorder.write(np.zeros(3, np.float32))
    recorder.close()
    assert (tmp_path / "a.wav").stat().st_size % 2 == 0


def test_a_full_file_is_told_and_kept(tmp_path, monkeypatch):
    monkeypatch.setattr("firmware_py.recorder._LARGEST", 1_000)
    recorder = Recorder(tmp_path / "a.wav")
    recorder.write(np.full(500, 0.5, np.float32))
    with pytest.raises(EdgeSerError, match="has reached the 4 GB of a WAV file; record in parts"):
        recorder.write(np.full(1, 0.5, np.float32))
    recorder.close()
    assert len(load_audio(tmp_path / "a.wav")) == 500
