"""``edge-ser label``: corpora in, a store out, alone and under torchrun."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from edge_ser.audio import load_audio, write_wav
from edge_ser.cli import main
from edge_ser.errors import EdgeSerError
from edge_ser.teachers.registry import TEACHERS, Kind, load_teacher
from edge_ser.teachers.targets import TargetStore, content_key
from tests.edge_ser.teachers.small import Counting, noise, save_dawn, save_odyssey

ROOT = Path(__file__).resolve().parents[3]
pytest.importorskip("torch", reason="torch is not installed (extra 'teach')")


@pytest.fixture
def corpus(tmp_path):
    """Seven recordings of two speakers with a table; two of them are the same sound."""
    folder = tmp_path / "mine"
    folder.mkdir()
    rows = ["file,speaker,emotion"]
    for i in range(7):
        write_wav(folder / f"{i}.wav", noise(0.2, min(i, 5)))
        rows.append(f"{i}.wav,s{i % 2},{'angry' if i % 2 else 'calm'}")
    with (folder / "6.wav").open(
        "ab"
    ) as file:  # the same bytes, too, would be a copy, which a corpus leaves out
        file.write(b"note\2\0\0\0hi")
    (folder / "metadata.csv").write_text("\n".join(rows) + "\n")
    return folder


@pytest.fixture
def counting(monkeypatch):
    """A kind of teacher, registered as another part of the toolkit would do it."""
    made = []

    def load(sources):
        made.append((Counting(), tuple(sources)))
        return made[-1][0]

    monkeypatch.setitem(TEACHERS, "counting", Kind(load, "counts", ("default",), 2))
    return made


def _run(capsys, *words):
    status = main(["label", *map(str, words)])
    out, err = capsys.readouterr()
    assert out == ""
    return status, err


def test_a_corpus_is_labelled_once_and_found_the_second_time(corpus, counting, capsys, tmp_path):
    status, err = _run(capsys, corpus, "--kind", "counting", "--out", tmp_path / "out")
    assert status == 0
    assert err == f"7 recordings: 6 labelled, 1 were there already\ntargets: {tmp_path / 'out'}\n"
    status, err = _run(capsys, corpus, "--kind", "counting", "--out", tmp_path / "out")
    assert status == 0 and "7 recordings: 0 labelled, 7 were there already" in err
    assert [teacher.heard for teacher, _ in counting] == [6, 0]
    store = TargetStore.open(tmp_path / "out")
    wave = load_audio(corpus / "3.wav")
    np.testing.assert_allclose(store.get(content_key(wave)).adv, Counting().targets(wave).adv, atol=1e-3)
    assert store.labels == Counting.labels


def test_sources_come_from_the_command_line_or_are_the_kinds_own(corpus, counting, capsys, tmp_path):
    _run(capsys, corpus, "--kind", "counting", "--out", tmp_path / "a")
    _run(capsys, corpus, "--kind", "counting", "--out", tmp_path / "a", "--teacher", "x", "--teacher", "y")
    assert [sources for _, sources in counting] == [("default",), ("x", "y")]
    status, err = _run(capsys, corpus, "--kind", "counting", "--out", tmp_path / "a", *["--teacher", "x"] * 3)
    assert status == 2 and "a teacher of the kind 'counting' has at most 2 --teacher, not 3" in err


def test_a_recording_that_cannot_be_done_is_reported_and_the_status_is_2(corpus, counting, capsys, tmp_path):
    (corpus / "2.wav").write_text("no sound")
    status, err = _run(capsys, corpus, "--kind", "counting", "--out", tmp_path / "out")
    assert status == 2 and "edge-ser: " in err and f"{corpus / '2.wav'} is not a sound file" in err
    assert "7 recordings: 5 labelled, 1 were there already; 1 could not be done" in err


def test_sounds_are_labelled_by_the_name_of_their_collection(counting, capsys, tmp_path, monkeypatch):
    (tmp_path / "data" / "noise").mkdir(parents=True)
    write_wav(tmp_path / "data" / "noise" / "n1.wav", noise(0.2))
    monkeypatch.setenv("EDGE_SER_DATA", str(tmp_path / "data"))
    status, err = _run(capsys, "noise", "--kind", "counting", "--out", tmp_path / "out")
    assert status == 0 and "1 recordings: 1 labelled" in err


def test_published_teachers_and_their_mean_by_their_folders(corpus, capsys, tmp_path):
    pytest.importorskip("transformers", reason="transformers is not installed (extra 'teach')")
    save_dawn(tmp_path / "dawn")
    save_odyssey(tmp_path / "odyssey")
    both = ["--teacher", tmp_path / "dawn", "--teacher", tmp_path / "odyssey"]
    for kind, sources in (("dawn", both[:2]), ("odyssey", both[2:]), ("mean", both)):
        status, err = _run(capsys, corpus, "--kind", kind, *sources, "--out", tmp_path / "out" / kind)
        assert status == 0 and "6 labelled" in err
    key = content_key(load_audio(corpus / "0.wav"))
    one, two, mean = (
        TargetStore.open(tmp_path / "out" / kind).get(key) for kind in ("dawn", "odyssey", "mean")
    )
    np.testing.assert_allclose(mean.adv, (one.adv + two.adv) / 2, atol=2e-3)
    assert mean.logits is None and mean.hint is None
    status, err = _run(capsys, corpus, "--kind", "odyssey", *both[2:], "--out", tmp_path / "out" / "dawn")
    assert status == 2 and "holds the targets of another teacher" in err


def test_views_are_perturbed_as_the_students_recipe_says(corpus, counting, capsys, tmp_path):
    recipe = tmp_path / "student.toml"
    recipe.write_text("[perturb]\np_room = 0.0\np_noise = 1.0\np_codec = 0.0\np_telephone = 0.0\n")
    status, err = _run(
        capsys, corpus, "--kind", "counting", "--out", tmp_path / "out", "--views", "3", "--recipe", recipe
    )
    assert status == 0 and "7 recordings in 3 views: 18 labelled, 3 were there already" in err
    from edge_ser.perturb import Perturb

    how = Perturb(p_room=0.0, p_noise=1.0, p_codec=0.0, p_telephone=0.0)
    store = TargetStore.open(tmp_path / "out")
    for i in range(7):
        wave = load_audio(corpus / f"{i}.wav")
        keys = [content_key(how.view(wave, content_key(wave), k)) for k in range(3)]
        assert store.missing(keys) == [] and len(set(keys)) == 3


def test_views_may_be_those_of_a_recipe_beside_the_students(corpus, counting, capsys, tmp_path):
    (tmp_path / "teacher.toml").write_text("[perturb]\np_room = 0.0\np_noise = 1.0\np_codec = 0.0\n")
    recipe = tmp_path / "student.toml"
    recipe.write_text('perturb = "teacher.toml"\n')
    words = ["--kind", "counting", "--out", tmp_path / "out", "--views", "2", "--recipe", recipe]
    status, err = _run(capsys, corpus, *words)
    assert status == 0 and "7 recordings in 2 views" in err
    from edge_ser.perturb import Perturb

    wave = load_audio(corpus / "3.wav")
    view = Perturb(p_room=0.0, p_noise=1.0, p_codec=0.0).view(wave, content_key(wave), 1)
    assert TargetStore.open(tmp_path / "out").missing([content_key(view)]) == []


@pytest.mark.parametrize(
    ("text", "words", "says"),
    [
        ('perturb = "none.toml"', ("--views", "2"), "the name of a recipe beside this one"),
        ("[perturb", ("--views", "2"), "is not a recipe in TOML"),
        ("[perturb]\np_nose = 1.0", ("--views", "2"), r"[perturb] has no p_nose; it has clip, codecs"),
        ("perturb = 3", ("--views", "2"), "perturb is no table"),
        ("[perturb]\np_noise = 2.0", ("--views", "2"), "p_noise must be a number from 0 to 1"),
        ("", (), "ask for --views 2 or more with it"),
    ],
)
def test_a_recipe_that_cannot_be_followed_is_a_sentence(
    corpus, counting, capsys, tmp_path, text, words, says
):
    (tmp_path / "r.toml").write_text(text)
    status, err = _run(
        capsys,
        corpus,
        "--kind",
        "counting",
        "--out",
        tmp_path / "out",
        *words,
        "--recipe",
        tmp_path / "r.toml",
    )
    assert status == 2 and says in err and err.count("\n") == 1


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stop_keeps_what_was_heard(corpus, capsys, tmp_path, monkeypatch, number):
    class Stopping(Counting):
        def targets(self, wave):
            if self.heard == 2:
                os.kill(os.getpid(), number)  # as from a terminal or a scheduler; the recording is finished
            return super().targets(wave)

    monkeypatch.setitem(TEACHERS, "stopping", Kind(lambda sources: Stopping(), "", ("x",)))
    status, err = _run(capsys, corpus, "--kind", "stopping", "--out", tmp_path / "out")
    assert status == 130
    assert err == f"stopped; what was heard is in {tmp_path / 'out'}, the same command goes on from there\n"
    assert len(TargetStore.open(tmp_path / "out")) == 3
    monkeypatch.setitem(TEACHERS, "stopping", Kind(lambda sources: Counting(), "", ("x",)))
    status, err = _run(capsys, corpus, "--kind", "stopping", "--out", tmp_path / "out")
    assert status == 0 and "7 recordings: 3 labelled, 4 were there already" in err


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--views", "0"], "--views must be at least 1"),
        (["--out", "{file}/x"], "cannot write"),
        (["--teacher", "/no/such", "--kind", "dawn"], "there is no folder /no/such"),
        (["nowhere"], "'nowhere' is neither a corpus"),
    ],
)
def test_bad_use_is_a_sentence(corpus, counting, capsys, tmp_path, words, says):
    (tmp_path / "file").write_text("")
    words = [word.replace("{file}", str(tmp_path / "file")) for word in words]
    source = words.pop() if len(words) == 1 else corpus
    status, err = _run(capsys, source, "--kind", "counting", "--out", tmp_path / "out", *words)
    assert status == 2 and says in err and err.count("\n") == 1 and "Traceback" not in err


def test_the_table_of_teachers_needs_no_torch_to_be_listed():
    code = "import sys; from edge_ser.cli import main\n"
    code += "try: main(['label', '--help'])\nexcept SystemExit: pass\nassert 'torch' not in sys.modules"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=ROOT)
    assert run.returncode == 0, run.stderr
    for name, kind in TEACHERS.items():
        assert f"  {name:<12} {kind.help}" in run.stdout


def test_a_teacher_that_is_not_known_or_not_named_is_said(monkeypatch):
    with pytest.raises(EdgeSerError, match="no kind of teacher 'gpt'; there are dawn, odyssey, mean"):
        load_teacher("gpt")
    monkeypatch.setitem(TEACHERS, "bare", Kind(lambda sources: Counting(), "x"))
    with pytest.raises(EdgeSerError, match="has to be named; give it with --teacher"):
        load_teacher("bare")
    with pytest.raises(EdgeSerError, match="a mean needs two teachers or more"):
        pytest.importorskip("transformers")
        from edge_ser.teachers.published import MeanTeacher

        MeanTeacher([])


@pytest.mark.slow
def test_a_process_of_its_own_says_nothing_but_what_was_done(corpus, tmp_path):
    """What only a fresh interpreter shows: imports that others have made here, and the packages' chatter."""
    pytest.importorskip("transformers", reason="transformers is not installed (extra 'teach')")
    save_dawn(tmp_path / "dawn")
    save_odyssey(tmp_path / "odyssey")
    words = [
        "label",
        corpus,
        "--kind",
        "mean",
        "--teacher",
        tmp_path / "dawn",
        "--teacher",
        tmp_path / "odyssey",
    ]
    command = [sys.executable, "-m", "edge_ser", *map(str, words), "--out", str(tmp_path / "out")]
    run = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    assert run.returncode == 0 and run.stdout == ""
    assert run.stderr == f"7 recordings: 6 labelled, 1 were there already\ntargets: {tmp_path / 'out'}\n"


def _torchrun(processes, *words):
    command = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--standalone",
        "--nproc-per-node",
        str(processes),
    ]
    environment = {name: value for name, value in os.environ.items() if name != "OMP_NUM_THREADS"}
    return subprocess.run(
        [*command, "-m", "tests.edge_ser.teachers.team", *map(str, words)],
        capture_output=True, text=True, check=False, cwd=ROOT, env=environment, timeout=240,
    )  # fmt: skip


@pytest.mark.slow
def test_two_processes_under_torchrun_give_what_one_gives(corpus, tmp_path, capsys, monkeypatch):
    from tests.edge_ser.teachers.team import Network

    sound = (corpus / "5.wav").read_bytes()
    (corpus / "5.wav").write_text("no sound")  # rank 1's: it must not end the run that rank 0 is in
    words = [corpus, "--kind", "network", "--out", tmp_path / "two"]
    run = _torchrun(2, *words)
    assert run.returncode != 0  # torchrun's own status for the 2 of a recording that failed
    assert "7 recordings: 6 labelled, 0 were there already; 1 could not be done" in run.stderr, run.stderr
    assert run.stderr.count("recordings:") == 1 and run.stderr.count("5.wav is not a sound file") == 1
    assert run.stdout.count("heard by rank 0 of 2 with 1 thread") == 4
    assert run.stdout.count("heard by rank 1 of 2 with 1 thread") == 2
    assert len(list((tmp_path / "two").glob("*.npz"))) == 2

    (corpus / "5.wav").write_bytes(sound)
    monkeypatch.setitem(TEACHERS, "network", Kind(lambda sources: Network(), "", ("x",)))
    assert main(["label", *map(str, words)]) == 0  # one process goes on where two were
    out, err = capsys.readouterr()
    assert out == "" and "7 recordings: 0 labelled, 7 were there already" in err
    assert main(["label", *map(str, words[:-1]), str(tmp_path / "one")]) == 0
    one, two = TargetStore.open(tmp_path / "one"), TargetStore.open(tmp_path / "two")
    assert len(one) == len(two) == 6 and one.teacher_id == two.teacher_id and one.labels == two.labels
    for i in range(7):
        key = content_key(load_audio(corpus / f"{i}.wav"))
        for ours, theirs in zip(one.get(key), two.get(key), strict=True):
            np.testing.assert_array_equal(ours, theirs)
