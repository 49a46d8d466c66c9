"""``edge-ser teach``: its words, statuses and help; what it computes is tested with `edge_ser.training.teach`."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from edge_ser.cli import main

torch = pytest.importorskip("torch", reason="torch is not installed (extra 'teach')")

from tests.edge_ser.training.tones import Bands, use_encoder, write_teacher, write_tones  # noqa: E402

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("teach")
    return write_teacher(folder, [write_tones(folder)])


def run(capsys: pytest.CaptureFixture[str], tmp_path: Path, *words: object) -> tuple[int, str, str]:
    torch.set_num_threads(1)
    places = ["--runs", tmp_path / "runs", "--results", tmp_path / "results"]
    status = main(["teach", *map(str, [*words, *places])])
    out, err = capsys.readouterr()
    return status, out, re.sub(r".*\r", "", err)


def test_it_teaches_and_says_where(
    recipe: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    use_encoder(monkeypatch, Bands())
    status, out, err = run(capsys, tmp_path, recipe, "--encoder", "models/bands")
    assert status == 0
    figures = json.loads((tmp_path / "results" / "teacher.json").read_text())
    assert out.startswith(
        f"linear heads on bands ({figures['params']} parameters) on tones\n3 speaker-disjoint"
    )
    assert f"UAR {figures['uar']['mean']:.3f}" in out
    assert err.endswith(
        f"teachers and targets: {tmp_path / 'runs' / 'teacher'}\nfigures: {tmp_path / 'results' / 'teacher.json'}\n"
    )


def test_a_recipe_can_be_changed_from_outside(
    recipe: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    use_encoder(monkeypatch, Bands())
    changes = ["--set", "name=other", "--set", "head.weight_decay=0.3"]
    assert run(capsys, tmp_path, recipe, "--encoder", "bands", *changes)[0] == 0
    said = json.loads((tmp_path / "results" / "other.json").read_text())["recipe"]
    assert (said["name"], said["head"]["weight_decay"]) == ("other", 0.3)
    assert run(capsys, tmp_path, recipe, "--encoder", "bands", "--set", "head.size=3")[0] == 2


def test_everything_that_the_help_says_is_written(
    recipe: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    use_encoder(monkeypatch, Bands())
    run(capsys, tmp_path, recipe, "--encoder", "bands")
    said = re.findall(r"^  ((?:RUNS|RESULTS)/NAME\S*)", helped(capsys), re.MULTILINE)
    assert len(said) == 5
    for path in said:
        path = path.replace("RUNS", "runs").replace("RESULTS", "results").replace("NAME", "teacher")
        for fold in "012":
            assert (tmp_path / path.replace("foldF", f"fold{fold}")).exists(), path


def test_a_stop_keeps_what_was_heard(
    recipe: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    use_encoder(monkeypatch, Bands(stop_after=20))
    status, out, err = run(capsys, tmp_path, recipe, "--encoder", "bands")
    assert status == 130 and out == ""
    assert f"stopped; what was heard is kept in {tmp_path / 'runs' / 'cache'}" in err
    encoder = use_encoder(monkeypatch, Bands())
    assert run(capsys, tmp_path, recipe, "--encoder", "bands")[0] == 0
    assert encoder.heard == 2 * 36 - 20


@pytest.mark.parametrize(
    ("text", "encoder", "says"),
    [
        (
            '[distil]\ntargets = "x"\n',
            "bands",
            "unknown fields distil; there are attentive, data, head, name, perturb, teach",
        ),
        ("[teach]\nviews = 0\n", "bands", "[teach] needs views of at least 1"),
        ("", "/no/such", "there is no folder /no/such"),
        (
            "[head]\ncomponents = 9999\nhint = 1\n",
            None,
            "too few for 9999 components: lower [head] components",
        ),
    ],
)
def test_what_cannot_be_taught_is_a_sentence(
    recipe: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch,
    text: str, encoder: str | None, says: str,
) -> None:  # fmt: skip
    if encoder is None:
        use_encoder(monkeypatch, Bands())
    wrong = tmp_path / "wrong.toml"
    wrong.write_text(recipe.read_text().split("[teach]")[0] + text)
    status, out, err = run(capsys, tmp_path, wrong, "--encoder", encoder or "bands")
    sentence = err.splitlines()[-1]
    assert status == 2 and out == "" and sentence.startswith("edge-ser: ") and says in sentence
    assert "Traceback" not in err and not (tmp_path / "results").exists()


def test_an_encoder_must_be_named(recipe: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["teach", str(recipe)])
    assert stop.value.code == 2 and "--encoder" in capsys.readouterr().err


def helped(capsys: pytest.CaptureFixture[str], command: str = "teach") -> str:
    with pytest.raises(SystemExit) as stop:
        main([command, "--help"])
    assert stop.value.code == 0
    return capsys.readouterr().out


@pytest.mark.parametrize("command", ["teach", "distil", "train"])
def test_examples_of_the_help_are_commands_on_what_there_is(
    command: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from edge_ser.cli import _build_parser

    text = helped(capsys, command)
    examples = re.findall(r"^  (edge-ser .+?)(?:  +.*)?$", text.split("examples:")[1], re.MULTILINE)
    assert f"edge-ser {command} " in " ".join(examples)
    for example in examples:
        words = shlex.split(example)[1:]
        args = _build_parser(words[0]).parse_args(words)
        if args.recipe.parts[0] == "recipes":
            assert (ROOT / args.recipe).is_file(), example


@pytest.mark.parametrize("command", ["teach", "distil"])
def test_help_needs_no_torch(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    code = f"import sys; from edge_ser.cli import main\ntry: main([{command!r}, '--help'])\n"
    code += "except SystemExit: pass\nassert 'torch' not in sys.modules"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=ROOT)
    assert run.returncode == 0, run.stderr


def test_figures_that_could_not_be_written_are_told_before_the_work(
    recipe: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "results").write_text("a file")
    status, _, err = run(capsys, tmp_path, recipe, "--encoder", "models/bands")
    assert status == 2 and f"{tmp_path / 'results'} is no folder" in err
    assert not (tmp_path / "runs").exists()
