"""What ``train``, ``ablate`` and ``condense`` say beside the work itself."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NoReturn

import pytest

pytest.importorskip("torch")

from edge_ser.cli import main
from edge_ser.commands._arguments import count

GOOD = '[data]\ncorpora = ["ravdess"]\nfolds = [0]\n'
ROW = {"kind": "synthetic", "clips": 1, "uar": 0.5}


@pytest.fixture
def plan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "student.toml").write_text(GOOD)
    path = tmp_path / "plan.toml"
    path.write_text('recipe = "student.toml"\n')
    return path


def stopped(*_: Any, **__: Any) -> NoReturn:
    raise KeyboardInterrupt


def test_condensing_is_told_to_programs_and_to_people(
    plan: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    result = {"rows": [ROW], "left_out": [{"what": "4.wav", "reason": "no fold given"}]}
    monkeypatch.setattr("edge_ser.training.condensing.run_condensing", lambda *_, **__: result)
    assert main(["condense", str(plan), "-o", "json"]) == 0
    out, err = capsys.readouterr()
    assert json.loads(out) == result and "left out: 4.wav: no fold given" in err
    assert main(["condense", str(plan)]) == 0
    assert "| synthetic |" in capsys.readouterr().out


def test_a_stop_says_how_to_go_on(
    plan: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("edge_ser.training.condensing.run_condensing", stopped)
    assert main(["condense", str(plan)]) == 130
    assert "goes on from what is in runs/plan" in capsys.readouterr().err
    plan.write_text('recipe = "student.toml"\n[variants]\na = []\nb = []\n')
    monkeypatch.setattr("edge_ser.training.ablation.run_ablation", stopped)
    assert main(["ablate", str(plan)]) == 130
    assert "goes on from the last epoch in runs" in capsys.readouterr().err


def test_an_ablation_names_each_variant_and_its_figures(
    plan: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def run(*_: Any, report: Any) -> dict[str, Any]:
        report("a")
        return {"variants": [{"variant": "a", "uar": 0.5, "spread": None}]}

    plan.write_text('recipe = "student.toml"\n[variants]\na = []\nb = []\n')
    monkeypatch.setattr("edge_ser.training.ablation.run_ablation", run)
    assert main(["ablate", str(plan)]) == 0
    out, err = capsys.readouterr()
    assert "| a " in out and err.splitlines() == ["a:", "figures: results/plan.json"]


@pytest.mark.parametrize(("asked", "has", "told"), [(1, 0, True), (1, 1, False), (0, 0, False)])
def test_a_processor_without_bfloat16_is_named_where_it_was_asked_for(
    asked: bool,
    has: bool,
    told: bool,
    plan: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("edge_ser.precision.computes_bfloat16", lambda: bool(has))
    monkeypatch.setattr("edge_ser.training.run.run_recipe", lambda *_, **__: None)
    change = f"fit.bfloat16={str(bool(asked)).lower()}"
    assert main(["train", str(plan.with_name("student.toml")), "--set", change]) == 0
    assert ("no bfloat16 on this processor" in capsys.readouterr().err) == told


@pytest.mark.parametrize(("device", "told"), [("cuda", False), ("cpu", True)])
def test_where_an_accelerator_computes_the_processor_may_lack_it(
    device: str,
    told: bool,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    asked: list[tuple[Any, ...]] = []
    monkeypatch.setattr("edge_ser.precision.computes_bfloat16", lambda: False)
    monkeypatch.setattr("edge_ser.training.live.run.run_live", lambda *given: asked.append(given))
    recipe = Path(__file__).parents[3] / "recipes" / "ravdess-live.toml"
    call = ["distil", str(recipe), "--encoder", "whisper", "--device", device, "--runs", str(tmp_path)]
    assert main([*call, "--results", str(tmp_path), "--set", "fit.bfloat16=true"]) == 0
    assert ("no bfloat16 on this processor" in capsys.readouterr().err) == told
    assert asked[0][3:] == ("whisper", device, [])


def test_one_is_a_count() -> None:
    assert count("1") == 1
