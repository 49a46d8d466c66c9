"""Sources: the audio as it is, in time; what cannot be heard is said in a sentence."""

import os
import socket
import threading
import time

import numpy as np
import pytest

from edge_ser.audio import write_wav
from edge_ser.errors import EdgeSerError
from firmware_py.engines import ENGINES, open_engine
from firmware_py.pipeline import Pipeline
from firmware_py.sources import FileSource, PcmSource, open_source
from firmware_py.stop import Stop


def integers(samples, seed=0):
    return (np.random.default_rng(seed).normal(0, 3000, samples)).clip(-32768, 32767).astype("<i2")


def heard(source, stop=None):
    return [*source.blocks(stop if stop is not None else Stop())]


def joined(blocks):
    return np.concatenate([block.samples for block in blocks])


class Datagrams:
    """A descriptor on which each read gives one message: the pieces stay as they were sent."""

    def __init__(self, pieces):
        self.reader, self.writer = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.pieces = pieces
        self.thread = threading.Thread(target=self._send, daemon=True)

    def _send(self):
        for piece in self.pieces:
            self.writer.send(piece)
        self.writer.close()

    def __enter__(self):
        self.thread.start()
        return self.reader.fileno()

    def __exit__(self, *error):
        self.reader.close()
        self.thread.join()


@pytest.fixture
def pipe():
    reader, writer = os.pipe()
    open_ends = {reader, writer}

    def send(data, close=True):
        os.write(writer, data)
        if close:
            os.close(writer)
            open_ends.discard(writer)
        return reader

    yield send
    for end in open_ends:
        os.close(end)


def test_a_file_as_fast_as_it_goes(tmp_path):
    wave = integers(41_234)
    write_wav(tmp_path / "a.wav", wave.astype(np.float32) / 32768)
    source = open_source(str(tmp_path / "a.wav"))
    before = time.monotonic()
    blocks = heard(source)
    source.close()
    np.testing.assert_array_equal(joined(blocks), wave.astype(np.float32) / 32768)
    assert not source.live and source.name.endswith("a.wav")
    assert all(before <= block.arrival <= time.monotonic() and not block.lost for block in blocks)


def test_a_file_at_its_own_pace(tmp_path):
    write_wav(tmp_path / "a.wav", np.full(8_000, 0.1, np.float32))
    source = FileSource(tmp_path / "a.wav", realtime=True)
    start, late = time.monotonic(), []
    total = 0
    for block in source.blocks(Stop()):
        total += len(block.samples)
        late.append(time.monotonic() - block.arrival)
        assert block.arrival - start == pytest.approx(total / 16000, abs=0.02)
    source.close()
    assert total == 8_000 and source.live
    assert min(late) >= 0  # never before a microphone would have had it
    assert time.monotonic() - start >= 0.5


def test_a_stop_ends_a_slow_file_soon(tmp_path):
    write_wav(tmp_path / "a.wav", np.full(160_000, 0.1, np.float32))
    source, stop = FileSource(tmp_path / "a.wav", realtime=True), Stop()
    blocks = source.blocks(stop)
    next(blocks)
    stop.request("signal")
    assert [*blocks] == []
    source.close()


@pytest.mark.parametrize("name", ENGINES)
@pytest.mark.parametrize("chunk", [1, 7, 160, 1000, 16000])
def test_pcm_in_chunks_is_the_file(full_bundle, tmp_path, name, chunk):
    wave = integers(26_123)
    write_wav(tmp_path / "a.wav", wave.astype(np.float32) / 32768)
    engine = open_engine(full_bundle, name)
    pieces = [wave[i : i + chunk].tobytes() for i in range(0, len(wave), chunk)]

    def answers(source):
        pipeline = Pipeline(full_bundle, engine)
        return [p.to_json() for block in source.blocks(Stop()) for p in pipeline.push(block.samples)]

    file = FileSource(tmp_path / "a.wav")
    expected = answers(file)
    file.close()
    with Datagrams(pieces) as descriptor:
        assert answers(PcmSource(descriptor)) == expected
    assert len(expected) == 6


@pytest.mark.parametrize("chunk", [1, 3, 101])
def test_pcm_cut_within_samples(chunk):
    data = integers(1_001).tobytes()
    with Datagrams([data[i : i + chunk] for i in range(0, len(data), chunk)]) as descriptor:
        blocks = heard(PcmSource(descriptor))
    np.testing.assert_array_equal(joined(blocks) * 32768, integers(1_001))


def test_pcm_with_an_odd_byte(pipe):
    reader = pipe(integers(100).tobytes() + b"x")
    blocks = []
    with pytest.raises(EdgeSerError, match=r"ended within a sample \(an odd number of bytes, 201\)"):
        for block in PcmSource(reader).blocks(Stop()):
            blocks.append(block)
    assert len(joined(blocks)) == 100


def test_empty_pcm(pipe):
    with pytest.raises(EdgeSerError, match="standard input is empty"):
        heard(PcmSource(pipe(b"")))


@pytest.mark.parametrize(
    ("head", "kind"), [(b"RIFF", "WAV"), (b"fLaC", "FLAC"), (b"OggS", "Ogg"), (b"ID3\x04", "MP3")]
)
def test_a_file_piped_by_mistake(pipe, head, kind):
    with pytest.raises(EdgeSerError, match=f"is a {kind} file, not raw PCM"):
        heard(PcmSource(pipe(head + bytes(400))))


def test_a_silent_pipe_looks_whether_to_stop(pipe):
    reader, stop = pipe(integers(10).tobytes(), close=False), Stop()
    blocks = PcmSource(reader).blocks(stop)
    assert len(next(blocks).samples) == 10
    threading.Timer(0.1, stop.request, ("signal",)).start()
    before = time.monotonic()
    assert [*blocks] == [] and time.monotonic() - before < 2


def test_a_terminal_and_a_folder_as_pcm(tmp_path):
    master, slave = os.openpty()
    folder = os.open(tmp_path, os.O_RDONLY)
    try:
        with pytest.raises(EdgeSerError, match="is a terminal; pipe audio in: arecord"):
            PcmSource(slave)
        with pytest.raises(EdgeSerError, match="is a folder"):
            PcmSource(folder)
    finally:
        for descriptor in (master, slave, folder):
            os.close(descriptor)


def test_no_such_file(tmp_path):
    with pytest.raises(EdgeSerError, match="there is no file"):
        open_source(str(tmp_path / "absent.wav"))


def test_a_file_whose_name_begins_like_a_microphone(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_wav("mic:1.wav", np.full(4000, 0.1, np.float32))
    source = open_source("mic:1.wav")
    assert isinstance(source, FileSource)
    source.close()
