"""With NumPy and nothing else installed, what can work does, and what cannot names the extra to install."""

import importlib.metadata
import json
import os
import subprocess
import venv
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from edge_ser.audio import write_wav
from edge_ser.bundle import Bundle

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The interpreter of an environment that holds NumPy and this checkout alone."""
    folder = tmp_path_factory.mktemp("base")
    venv.create(folder, with_pip=False, symlinks=True)
    [site] = folder.glob("lib/python*/site-packages")
    for file in importlib.metadata.files("numpy") or ():
        top = file.parts[0]
        if top.startswith("numpy") and not (site / top).exists():
            (site / top).symlink_to(Path(str(file.locate())).resolve().parents[len(file.parts) - 2])
    (site / "checkout.pth").write_text(f"{ROOT}\n")
    return folder / "bin" / "python"


@pytest.fixture
def base(python: Path, tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs ``edge-ser`` in that environment, in a folder with ``sound.wav``."""
    write_wav(tmp_path / "sound.wav", np.random.default_rng(0).normal(0, 0.1, 16000))
    env = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}

    def run(*argv: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [python, "-m", "edge_ser", *argv],
            env=env, cwd=tmp_path, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL,
        )  # fmt: skip

    return run


def test_only_numpy_is_there(python: Path) -> None:
    code = "import importlib.util as u; print([n for n in ('numpy', 'torch', 'soundfile') if u.find_spec(n)])"
    run = subprocess.run([python, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "['numpy']"


def test_listening_to_a_wav_file_works(base, numpy_bundle: Bundle) -> None:
    run = base("listen", "sound.wav", "--model", str(numpy_bundle.path), "-o", "jsonl")
    assert run.returncode == 0, run.stderr
    lines = [json.loads(line) for line in run.stdout.splitlines()]
    assert [line["type"] for line in lines] == ["prediction"] * 4 + ["summary"]
    assert lines[-1]["engine"] == "numpy"


def test_one_answer_a_file_works(base, numpy_bundle: Bundle) -> None:
    run = base("predict", "sound.wav", "--model", str(numpy_bundle.path), "-o", "jsonl")
    assert run.returncode == 0, run.stderr
    assert 0 <= json.loads(run.stdout)["arousal"] <= 1


@pytest.mark.parametrize("command", ["models", "formats"])
def test_lists_work(base, command: str) -> None:
    run = base(command, "-o", "json")
    assert run.returncode == 0, run.stderr
    json.loads(run.stdout)


def test_bench_measures_what_is_here(base, numpy_bundle: Bundle, full_bundle: Bundle) -> None:
    run = base("bench", str(full_bundle.path), "--rounds", "1", "--steps", "2", "-o", "json")
    assert run.returncode == 0, run.stderr
    reasons = {row["engine"]: row["reason"] for row in json.loads(run.stdout)["runs"]}
    assert reasons["numpy"] is None
    assert "edge-ser[litert]" in reasons["litert"]
    assert "edge-ser[onnx]" in reasons["onnx"]


def test_a_bundle_is_scored_without_torch(base, numpy_bundle: Bundle, tmp_path: Path) -> None:
    (tmp_path / "mine.csv").write_text("file,speaker,emotion\nsound.wav,a,sad\nsound.wav,b,happy\n")
    run = base("evaluate", str(numpy_bundle.path), "--corpus", "mine.csv", "-o", "json")
    assert "Traceback" not in run.stderr
    assert run.returncode in (0, 2)


@pytest.mark.parametrize(
    ("argv", "extra"),
    [
        (["listen"], "mic"),
        (["devices"], "mic"),
        (["listen", str(ROOT / "edge_ser/samples/demo.flac")], "audio"),
        (["listen", "sound.wav", "--engine", "litert"], "litert"),
        (["listen", "sound.wav", "--engine", "onnx"], "onnx"),
        (["predict", "sound.wav", "--plot", "x.png"], "plot"),
        (["train", "recipe.toml"], "train"),
        (["evaluate", "--corpus", "c.csv", "--checkpoints", "runs"], "train"),
        (["export", "checkpoint.safetensors", "--out", "x"], "export"),
        (["verify"], "audio"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else value,
)
def test_what_is_missing_is_one_sentence_with_the_extra(
    base, argv: list[str], extra: str, tmp_path: Path, full_bundle: Bundle
) -> None:
    (tmp_path / "c.csv").write_text("file,speaker,emotion\nsound.wav,a,sad\n")
    (tmp_path / "recipe.toml").write_text('[data]\ncorpora = ["c.csv"]\n')
    if "--engine" in argv:
        argv = [*argv, "--model", str(full_bundle.path)]
    run = base(*argv)
    assert run.returncode == 2, run.stdout + run.stderr
    assert "Traceback" not in run.stderr
    assert run.stderr.startswith("edge-ser: ")
    assert run.stderr.count("\n") == 1
    assert f"pip install 'edge-ser[{extra}" in run.stderr
    assert not (tmp_path / "x.png").exists()
