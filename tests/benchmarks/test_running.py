"""Benchmarks: what cannot be done is refused in a sentence, and before the work."""

import json
import sys

import pytest

from benchmarks import faults, int8_folds, listening, soak, softening, study_costs
from benchmarks.running import beside_one_another, earlier, place, quartiles, run_main
from edge_ser.errors import EdgeSerError


@pytest.fixture
def called(monkeypatch):
    """A benchmark as it is called; its status and what it raised or said."""

    def call(module, *words):
        monkeypatch.setattr(sys, "argv", [module.__name__, *map(str, words)])
        with pytest.raises(SystemExit) as ended:
            run_main(module.main)
        return ended.value.code

    return call


def forbid(monkeypatch, module, *names):
    """The work must not be begun."""

    def begun(*_, **__):
        raise AssertionError("the work was begun")

    for name in names:
        monkeypatch.setattr(module, name, begun)


def test_an_error_is_one_sentence_and_status_2(capsys) -> None:
    def main():
        raise EdgeSerError("no such thing")

    with pytest.raises(SystemExit) as ended:
        run_main(main)
    assert ended.value.code == 2 and capsys.readouterr().err == "no such thing\n"


@pytest.mark.parametrize(
    "words", [("--hours", "nan"), ("--hours", "0.1"), ("--hours", "0"), ("--engine", "none")]
)
def test_a_soak_that_would_say_nothing_or_never_end(called, monkeypatch, tmp_path, words) -> None:
    forbid(monkeypatch, soak, "accelerated", "realtime")
    assert called(soak, *words, "--out", tmp_path / "out.json") == 2


def test_no_faults_are_no_proof(called, monkeypatch, tmp_path) -> None:
    forbid(monkeypatch, faults, "run")
    assert called(faults, "--faults", "0", "--out", tmp_path / "out.json") == 2


def test_what_lacks_is_found_before_the_first_is_measured(called, monkeypatch, tmp_path, capsys) -> None:
    forbid(monkeypatch, softening, "known")
    options = ("--known", tmp_path, "--out", tmp_path / "out.json", "--strangers")
    assert called(softening, *options, "emodb") == 2
    assert "takes CORPUS=DIR, not 'emodb'" in capsys.readouterr().err


def test_a_file_of_another_benchmark_is_refused_before_the_work(
    called, monkeypatch, tmp_path, capsys
) -> None:
    forbid(monkeypatch, int8_folds, "answers_of")
    out = tmp_path / "out.json"
    for document in ({"models": []}, {"runs": [{"engine": "numpy"}]}, {"runs": 1}):
        out.write_text(json.dumps(document))
        assert called(int8_folds, tmp_path, "--out", out) == 2
        assert "holds no 'runs' of this benchmark" in capsys.readouterr().err
        assert json.loads(out.read_text()) == document


def test_starts_go_beside_runs_that_are_there(called, monkeypatch, tmp_path, capsys) -> None:
    forbid(monkeypatch, listening, "starts", "measure")
    monkeypatch.setattr(listening.shutil, "which", lambda name: name)
    assert called(listening, "--starts", "--out", tmp_path / "none.json") == 2
    assert "leave --starts out" in capsys.readouterr().err


def test_a_study_that_there_is_not(called, tmp_path, capsys) -> None:
    for option in (("--only", "nobody"), ("--set", "nobody.epochs=1")):
        assert called(study_costs, *option, "--out", tmp_path / "out.json") == 2
        assert "there is no study nobody; there are aesdd," in capsys.readouterr().err


def test_rows_that_are_there(tmp_path) -> None:
    out = tmp_path / "out.json"
    assert earlier(None, "runs") == earlier(out, "runs") == []
    out.write_text('{"runs": [{"corpus": "emodb"}]}')
    assert earlier(out, "runs", "corpus") == [{"corpus": "emodb"}]


def test_a_place_that_cannot_be_written(called, monkeypatch, tmp_path, capsys) -> None:
    (tmp_path / "file").write_text("")
    forbid(monkeypatch, faults, "run")
    assert called(faults, "--out", tmp_path / "file" / "out.json") == 2
    assert "is no folder" in capsys.readouterr().err
    assert place(str(tmp_path / "out.json")) == tmp_path / "out.json"


def test_runs_take_turns_and_the_first_rounds_do_not_count(monkeypatch) -> None:
    clock = iter(range(100))
    monkeypatch.setattr("benchmarks.running.time.process_time", lambda: next(clock) ** 2 / 1000)
    order: list[str] = []
    spent = beside_one_another(
        {"a": lambda: order.append("a"), "b": lambda: order.append("b")}, rounds=2, warm=1
    )
    assert order == ["a", "b"] * 3
    # the clock's steps grow: two of them are the first round's
    assert spent == {"a": pytest.approx([5, 13]), "b": pytest.approx([9, 17])}


def test_quartiles_are_of_four_digits() -> None:
    assert quartiles([1, 2, 3, 4, 50000]) == {"median": 3.0, "q1": 2.0, "q3": 4.0}
    assert quartiles([1 / 3])["median"] == 0.3333
