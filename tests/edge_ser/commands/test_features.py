"""``edge-ser features``: a table of what can be done, a list of what cannot."""

from __future__ import annotations

import csv
import io
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from edge_ser.audio import write_wav
from edge_ser.cli import main
from edge_ser.features import SETS, vector_names
from edge_ser.features.spec import load_spec

SPEC = """\
names = ["mfcc", "rms"]
functionals = ["mean", "std"]
whole = ["duration"]
[frames]
n_mfcc = 3
"""


@pytest.fixture(autouse=True)
def quiet_place(monkeypatch, tmp_path):
    monkeypatch.setenv("EDGE_SER_FEATURES", "numpy")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))


@pytest.fixture
def sounds(tmp_path):
    """Two sounds, and a description of few features beside them."""
    folder = tmp_path / "sounds"
    folder.mkdir()
    rng = np.random.default_rng(1)
    for i, name in enumerate("ab"):
        write_wav(folder / f"{name}.wav", rng.normal(0, 0.1, 4000 + 800 * i))
    (tmp_path / "spec.toml").write_text(SPEC)
    return folder


@pytest.fixture
def features(capsys, tmp_path):
    """Runs the command; gives status, standard output and standard error."""

    def call(*words):
        status = main(["features", *map(str, words), "--spec", str(tmp_path / "spec.toml")])
        out, err = capsys.readouterr()
        return status, out, err

    return call


def test_a_row_a_recording_on_standard_output(sounds, features):
    status, out, err = features(sounds)
    rows = list(csv.DictReader(io.StringIO(out)))
    assert status == 0 and [Path(row["file"]).name for row in rows] == ["a.wav", "b.wav"]
    assert [float(row["duration"]) for row in rows] == [0.25, pytest.approx(0.3)]
    assert list(rows[0])[1:3] == ["mfcc_0_mean", "mfcc_0_std"] and len(rows[0]) == 1 + 2 * 4 + 1
    assert err == "2 recordings, 9 features each\n"
    assert features(sounds) == (0, out, "2 recordings, 9 features each; 2 of them from the cache\n")
    assert features(sounds, "--no-cache", "--jobs", "2") == (0, out, err)


def test_a_file_that_cannot_be_done_is_listed_and_the_others_are_done(sounds, features, tmp_path):
    (sounds / "aa.wav").write_text("no sound")
    write_wav(sounds / "ab.wav", np.zeros(100))
    status, out, err = features(sounds, sounds / "gone.wav", "--out", tmp_path / "t.csv")
    assert status == 2 and out == ""
    rows = list(csv.DictReader((tmp_path / "t.csv").open(newline="")))
    assert [Path(row["file"]).name for row in rows] == ["a.wav", "b.wav"]
    assert f"edge-ser: {sounds / 'aa.wav'} is not a sound file" in err
    assert f"edge-ser: {sounds / 'ab.wav'}: 0.006 s of audio are too short" in err
    assert "2 recordings, 9 features each; 3 could not be done\n" in err
    listed = err[err.index("not in the table, 3 of 5 recordings:") :].split("\n")[1:4]
    assert listed == [f"  {sounds / name}" for name in ("aa.wav", "ab.wav", "gone.wav")]


def test_nothing_that_can_be_done_writes_nothing(sounds, features, tmp_path):
    status, out, err = features(sounds / "gone.wav", "--out", tmp_path / "t.csv")
    assert status == 2 and out == "" and "none of the 1 recordings could be done" in err
    assert not (tmp_path / "t.csv").exists()


def test_a_damaged_entry_is_said_and_computed_again(sounds, features, tmp_path):
    _, out, _ = features(sounds, "--cache", tmp_path / "mine")
    victim = sorted((tmp_path / "mine").glob("??/*"))[0]
    victim.write_bytes(b"rubbish")
    status, again, err = features(sounds, "--cache", tmp_path / "mine")
    assert status == 0 and again == out
    assert f"the cache's entry {victim} was damaged; computed again" in err
    assert "1 of them from the cache; 1 damaged in the cache and computed again" in err


@pytest.mark.parametrize("suffix", [".csv", ".npz", ".parquet"])
def test_each_kind_of_table(sounds, features, tmp_path, suffix):
    if suffix == ".parquet":
        pytest.importorskip("pyarrow", reason="pyarrow is not installed (extra 'features')")
    target = tmp_path / f"table{suffix}"
    status, out, err = features(sounds, "--out", target)
    assert status == 0 and out == "" and f"table: {target}\n" in err and target.stat().st_size > 100


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--out", "t.xlsx"], "t.xlsx is no kind of table"),
        (["--out", "gone/t.csv"], "there is no folder gone"),
        (["--jobs", "0"], "the number of jobs must be at least 1"),
        (["--cache", "x", "--no-cache"], "--cache and --no-cache are opposites"),
    ],
)
def test_bad_use_is_a_sentence(sounds, features, words, says, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    status, out, err = features(sounds, *words)
    assert status == 2 and out == "" and says in err


def test_an_empty_folder_and_no_source(features, sounds, tmp_path):
    (tmp_path / "empty").mkdir()
    status, _, err = features(tmp_path / "empty")
    assert status == 2 and "holds no sound files" in err
    status, _, err = features()
    assert status == 2 and "name a corpus, a folder or sound files" in err


def test_the_list_names_all_there_is(capsys):
    assert main(["features", "--list"]) == 0
    out = capsys.readouterr().out
    for name in SETS:
        assert f"| {name:<7} | {len(vector_names(load_spec(name))):>7} |" in out
    for word in ("mfcc_delta2", "kurtosis", "q0 ... q100", "tempo"):
        assert word in out


def test_interrupted_it_says_where_it_goes_on(sounds, tmp_path):
    pytest.importorskip("tqdm", reason="tqdm is not installed (extra 'features')")
    for i in range(200):
        write_wav(sounds / f"{i:03d}.wav", np.random.default_rng(i).normal(0, 0.1, 160000))
    cache = tmp_path / "cache"
    run = subprocess.Popen(
        [sys.executable, "-m", "edge_ser", "features", str(sounds), "--set", "full", "--cache", str(cache)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).resolve().parents[3])},
    )
    while run.poll() is None and len(list(cache.glob("??/*"))) < 2:
        time.sleep(0.01)
    run.send_signal(signal.SIGINT)
    out, err = run.communicate(timeout=30)
    assert run.returncode == 130 and out == ""
    assert f"stopped; what was done is in {cache}, the same command goes on from there" in err
    assert "Traceback" not in err


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_long_file_is_waited_for_until_the_second_interrupt(tmp_path, jobs):
    # Ten minutes of sound take longer than this test; with two jobs a process has them that hears no signal.
    write_wav(tmp_path / "long.wav", np.zeros(9_600_000, np.float32))
    write_wav(tmp_path / "short.wav", np.zeros(16_000, np.float32))
    files = [str(tmp_path / name) for name in ("long.wav", "short.wav")]
    cache = tmp_path / "cache"
    options = ["--set", "full", "--cache", str(cache), "--jobs", str(jobs)]
    run = subprocess.Popen(
        [sys.executable, "-m", "edge_ser", "features", *files, *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).resolve().parents[3])},
    )
    assert run.stderr is not None
    while run.poll() is None and not list(cache.glob("??")):  # tried out, and so in the midst of it
        time.sleep(0.01)
    run.send_signal(signal.SIGINT)
    said = b""
    while b"files in hand are done; Ctrl-C again ends at once" not in said:
        said += (part := os.read(run.stderr.fileno(), 4096))
        assert part, said
    assert run.poll() is None
    began = time.monotonic()
    run.send_signal(signal.SIGINT)
    _, err = run.communicate(timeout=60)
    assert run.returncode == 130 and b"stopped; what was done is in" in err and b"Traceback" not in err
    assert time.monotonic() - began < 20


def test_a_table_that_cannot_be_is_told_before_a_file_is_heard(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("edge_ser.features.extract_rows", lambda *_, **__: pytest.fail("work for nothing"))
    write_wav(tmp_path / "a.wav", np.zeros(8000, np.float32))
    assert main(["features", str(tmp_path / "a.wav"), "--out", str(tmp_path / "a.json")]) == 2
    assert "a.json is no kind of table that can be written" in capsys.readouterr().err
