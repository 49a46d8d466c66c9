"""An option that was given and can have no effect is refused, in a sentence that says what to do."""

import os

import pytest

from edge_ser.cli import main

SERVICE = ["service", "show", "--program", "/bin/true"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["listen", "--log-mb", "10"], "--log-mb is of a log, and there is none: give --log FILE as well"),
        (["listen", "x.wav", "--log-keep", "5"], "--log-keep is of a log"),
        (["listen", "mic", "--exec", " "], "--exec names no command: give one, or leave it out"),
        (["listen", "-", "--realtime"], "--realtime is for sound files; - has a pace of its own"),
        (["listen", "mic", "--realtime"], "mic has a pace of its own: leave it out"),
        (["listen", "arecord:plughw:1", "--realtime"], "arecord:plughw:1 has a pace of its own"),
        (["bench", "--compare", "a.json", "b.json", "--rounds", "3"], "--rounds is of a measurement"),
        (["bench", "--compare", "a.json", "b.json", "--steps", "9"], "--steps is of a measurement"),
        (
            ["service", "status", "--root", "image"],
            "--root is for install and remove, and status does without",
        ),
        (["service", "logs", "--root", "image"], "and logs does without: leave it out"),
        (["service", "logs", "-o", "json"], "--output is for status"),
        (["service", "status", "--lines", "3"], "--lines is for logs"),
        (["service", "remove", "--listen", "mic"], "--listen is for install and show"),
        (["service", "remove", "--program", "/bin/true"], "--program is for install and show"),
        (["service", "remove", "--budget", "pi.toml"], "--budget is for install and show"),
        (["service", "logs", "--memory-mb", "96"], "--memory-mb is for install and show"),
        ([*SERVICE, "--follow"], "--follow is for logs, and show does without"),
        ([*SERVICE, "--root", "/"], "--root is for install and remove"),
        ([*SERVICE, "--memory-mb", "64", "--budget", "pi.toml"], "both say the memory limit: leave one out"),
        ([*SERVICE, "--listen", "mic --log-mb 3"], "edge-ser listen does not take"),
        (["deploy", "pi@nowhere.invalid", "--no-service", "--service", "ear"], "--no-service wants none"),
        (["deploy", "pi@nowhere.invalid", "--no-service", "--listen", "mic"], "--listen is of a service"),
    ],
)
def test_what_can_have_no_effect(words, said, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(words) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.startswith("edge-ser: ") and err.count("\n") == 1 and said in err
    assert not list(tmp_path.iterdir())


def test_a_named_pipe_has_a_pace_of_its_own(capsys, tmp_path):
    os.mkfifo(tmp_path / "pipe")
    assert main(["listen", str(tmp_path / "pipe"), "--realtime"]) == 2
    assert "pipe has a pace of its own" in capsys.readouterr().err


def test_names_that_are_empty_are_no_files(capsys, tmp_path, monkeypatch):
    """They name the folder that one is in, to a path, and nothing to the system."""
    monkeypatch.chdir(tmp_path)
    with open(os.devnull) as nothing:
        monkeypatch.setattr("sys.stdin", nothing)
        for words in (["listen", "-", "--record", ""], ["mic", "-", "--save", ""]):
            assert main(words) == 2
            assert f"{tmp_path} is a folder; name a file to record to" in capsys.readouterr().err
