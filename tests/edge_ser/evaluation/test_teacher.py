"""A teacher is asked as its students are: each fold's heads, beside the speaker's other clips where they hear so."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from edge_ser.audio import load_audio
from edge_ser.cli import main
from edge_ser.corpora import load_csv
from edge_ser.errors import EdgeSerError

torch = pytest.importorskip("torch", reason="torch is not installed (extra 'train')")

from edge_ser.evaluation.teacher import evaluate_teacher, teacher_listener  # noqa: E402
from edge_ser.teachers.linear import LinearTeacher, statistics  # noqa: E402
from edge_ser.training.teach import TeachRecipe, run_teacher  # noqa: E402
from tests.edge_ser.training.tones import Bands, use_encoder, write_teacher, write_tones  # noqa: E402

KINDS = ("alone", "centred")


@pytest.fixture(scope="module")
def taught(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A table of tones, and the runs of two teachers: one hears clips alone, one beside the speaker's others."""
    folder = tmp_path_factory.mktemp("taught")
    table = write_tones(folder)
    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patch:
        use_encoder(patch, Bands())
        for name in KINDS:
            path = write_teacher(folder, [table], name=name)
            path.write_text(f'name = "{name}"\n' + path.read_text())
            if name == "centred":
                path.write_text(path.read_text().replace("views = 2\n", 'views = 2\ncentre = "speaker"\n'))
            run_teacher(TeachRecipe.read(path), "bands", folder / "runs", folder / "results")
    return table, folder / "runs"


@pytest.mark.parametrize("kind", KINDS)
def test_answers_are_those_of_the_folds_own_heads(
    taught: tuple[Path, Path], kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    table, runs = taught
    encoder = use_encoder(monkeypatch, Bands())
    corpus = load_csv(table)
    clips = [clip for clip in corpus.clips if clip.fold == 1]
    listener = teacher_listener(runs / kind, "bands", corpus, clips, folds=[1])
    result, scored = evaluate_teacher(listener, corpus, clips)
    heads = LinearTeacher.load(runs / kind / "fold1.safetensors", "bands").heads
    rows = np.array([statistics(encoder, load_audio(clip.path)) for clip in clips])
    if kind == "centred":
        for speaker in {clip.speaker for clip in clips}:
            mine = [clip.speaker == speaker for clip in clips]
            rows[mine] -= rows[mine].mean(0)
    expected = torch.softmax(torch.from_numpy(heads.answer(rows)[0]), 1).numpy()
    np.testing.assert_allclose([one.scores for one in scored], expected, atol=1e-4)
    assert result["protocol"].startswith("12 of 36 clips") and "of fold 1;" in result["protocol"]
    assert ("speaker's others" in result["protocol"]) == (kind == "centred")
    assert [one.fold for one in scored] == [1] * 12 and result["uar"]["mean"] > 0.6
    other = next(clip for clip in corpus.clips if clip.fold == 0)
    with pytest.raises(EdgeSerError, match="no teacher here held that out"):
        listener.hear(other, load_audio(other.path))


def test_a_clip_that_cannot_be_read_is_left_out_and_told(
    taught: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_encoder(monkeypatch, Bands())
    table = write_tones(tmp_path)
    corpus = load_csv(table)
    clips = [clip for clip in corpus.clips if clip.fold == 1]
    clips[0].path.write_bytes(b"no sound")
    listener = teacher_listener(taught[1] / "centred", "bands", corpus, clips, folds=[1])
    result, scored = evaluate_teacher(listener, corpus, clips)
    assert [one.clip for one in scored] == clips[1:] and result["protocol"].startswith("11 of 36 clips")
    assert [one["file"] for one in result["excluded"]] == [str(clips[0].path)]


def test_the_command(
    taught: tuple[Path, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    table, runs = taught
    use_encoder(monkeypatch, Bands())
    call = ["evaluate", "--corpus", str(table), "--teacher", str(runs / "centred"), "--encoder", "bands"]
    assert main([*call, "--clips", "12", "-o", "json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert {one["fold"] for one in result["folds"]} == {0, 1, 2} and result["model"] == "teacher"
    pytest.importorskip("matplotlib")
    assert main([*call, "--fold", "2", "--report", str(tmp_path / "report")]) == 0
    assert "speaker&#x27;s others" in (tmp_path / "report" / "report.html").read_text()
    assert main([*call, "--fold", "7"]) == 2
    assert "no fold7.safetensors" in capsys.readouterr().err


def test_heads_that_do_not_know_an_emotion(
    taught: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_encoder(monkeypatch, Bands())
    table = write_tones(tmp_path)
    table.write_text(table.read_text().replace(",sad,", ",happy,"))
    corpus = load_csv(table)
    with pytest.raises(EdgeSerError, match="does not know happy"):
        teacher_listener(taught[1] / "alone", "bands", corpus, corpus.clips)
