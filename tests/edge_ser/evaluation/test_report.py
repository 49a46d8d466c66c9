"""A report is one page without addresses, the same twice, and says what was left out and what leaks."""

import json
import re
from pathlib import Path

import numpy as np
import pytest

from edge_ser.audio import write_wav
from edge_ser.cli import main
from edge_ser.evaluation.answers import Answers
from edge_ser.evaluation.report import _left_out, all_figures, write_report
from edge_ser.evaluation.score import Scored, summarise
from tests.edge_ser.evaluation.making import make
from tests.support import blank_pictures

pytest.importorskip("matplotlib")


def figures_of(answers: Answers, **about: object) -> dict:
    scored = [
        Scored(clip, answers.labels[said], tuple(adv), int(fold))
        for clip, said, adv, fold in zip(answers.clips, answers.said, answers.adv, answers.folds, strict=True)
    ]
    return all_figures(answers, {**answers.about, **summarise(scored, answers.labels), **about})


def test_the_page_is_whole_offline_and_the_same_twice(tmp_path: Path) -> None:
    a = make(90)
    figures = figures_of(a, leaks=True, not_scored={"homesick": 2})
    pages = [write_report(tmp_path / name, a, figures).read_bytes() for name in ("one", "two")]
    assert pages[0] == pages[1]
    page = pages[0].decode()
    outside = re.findall(r'(?:src|href)="(?!data:)[^"]*"', page)
    assert not outside and "<script" not in page and page.count("<img") == 5
    for words in (
        "say nothing about new speakers",
        "lost.wav",
        "too short",
        "homesick",
        "Worst clips",
        "not at hand",
    ):
        assert words in page
    assert json.loads((tmp_path / "one" / "figures.json").read_text())["clips"] == 90
    assert len(Answers.read(tmp_path / "one")) == 90


def test_what_the_stream_left_out_stands_on_the_page() -> None:
    a = make(30)
    excluded = [{"file": "short.wav", "reason": "its speech is too short for two answers"}]
    stream = {"protocol": "joined", "figures": {"turns": 1}, "by_seconds": [], "excluded": excluded}
    page = "".join(_left_out({**figures_of(a), "streaming": stream}))
    assert "short.wav" in page and "of the stream: its speech is too short" in page
    assert "Nothing" in "".join(
        _left_out({"streaming": {"figures": {}}})
    )  # as written before these were counted


def test_names_cannot_become_markup(tmp_path: Path) -> None:
    a = make(30)
    page = write_report(tmp_path, a, figures_of(a, model="<b>x</b>")).read_text()
    assert "<b>x</b>" not in page and "&lt;b&gt;x" in page


def test_worst_clips_can_be_heard_where_they_are(tmp_path: Path) -> None:
    import dataclasses

    write_wav(tmp_path / "x.wav", np.zeros(1600, np.float32))
    a = make(60, right=0.2)
    a = dataclasses.replace(a, clips=tuple(dataclasses.replace(c, path=tmp_path / "x.wav") for c in a.clips))
    assert write_report(tmp_path / "r", a, figures_of(a)).read_text().count("<audio") == 8


def test_two_reports_are_compared(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name, right in (("a", 0.3), ("b", 0.9)):
        a = make(60, right=right)
        with blank_pictures():
            write_report(tmp_path / name, a, figures_of(a))
    assert main(["compare", str(tmp_path / "a"), str(tmp_path / "b"), "-o", "json"]) == 0
    assert json.loads(capsys.readouterr().out)["uar"]["difference"] > 0.2
    assert main(["compare", str(tmp_path / "a"), str(tmp_path / "b")]) == 0
    printed = capsys.readouterr().out
    assert "| uar" in printed and "A is of seed 0, B of seed 0" in printed
    assert main(["compare", str(tmp_path / "a"), str(tmp_path)]) == 2
