"""Points of reference beside our figures: other networks and programs, none of which is needed."""

import json
import shutil
import sys

import pytest

from edge_ser.bundle import Bundle
from edge_ser.cli import main
from edge_ser.commands import bench
from edge_ser.errors import EdgeSerError, MissingExtraError
from firmware_py import peer_child
from firmware_py.peers import RUNTIMES, measure_runtimes, read_models

QUICK = ["--engine", "numpy", "--rounds", "1", "--steps", "4"]

# Stand-ins of the programs' own interfaces, as far as a step needs them.
OPENWAKEWORD = """
import sys, types
def get_pretrained_model_paths(): return [__file__]
model = types.ModuleType("openwakeword.model")
class Model:
    def __init__(self, wakeword_model_paths): assert wakeword_model_paths == [__file__]
    def predict(self, samples): assert samples.dtype == "int16" and len(samples) == 1280
model.Model = Model
sys.modules["openwakeword.model"] = model
"""
VOSK = """
def SetLogLevel(level): pass
class Model:
    def __init__(self, folder): self.folder = folder
class KaldiRecognizer:
    def __init__(self, model, rate): assert rate == 16000
    def AcceptWaveform(self, data): assert len(data) == 8000
    def PartialResult(self): return "{}"
"""
SHERPA = """
class Stream:
    ready = 0
    def accept_waveform(self, rate, samples): self.ready = 2
class OnlineRecognizer:
    @classmethod
    def from_transducer(cls, tokens, encoder, decoder, joiner, num_threads):
        assert "encoder" in encoder and "decoder" in decoder and "joiner" in joiner and num_threads == 1
        return cls()
    def create_stream(self): return Stream()
    def is_ready(self, stream): return stream.ready > 0
    def decode_stream(self, stream): stream.ready -= 1
    def get_result(self, stream): return ""
"""


@pytest.fixture
def programs(tmp_path, monkeypatch):
    """The three programs installed, and a folder with a model."""
    site, model = tmp_path / "site", tmp_path / "model"
    site.mkdir(), model.mkdir()
    for module, name, text in (
        ("openwakeword", "openwakeword", OPENWAKEWORD),
        ("vosk", "vosk", VOSK),
        ("sherpa_onnx", "sherpa-onnx", SHERPA),
    ):
        (site / f"{module}.py").write_text(text)
        (site / f"{module}-1.2.dist-info").mkdir()
        (site / f"{module}-1.2.dist-info" / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.2\n"
        )
    for name in ("tokens.txt", "encoder.int8.onnx", "decoder.onnx", "joiner.onnx"):
        (model / name).write_text("")
    monkeypatch.setenv("PYTHONPATH", str(site))
    return model


def test_the_programs_steps_are_measured(programs) -> None:
    rows = measure_runtimes({"vosk": str(programs), "sherpa-onnx": str(programs)}, rounds=2, steps=3)
    assert [row["peer"] for row in rows] == list(RUNTIMES)
    for row in rows:
        assert row["ok"], row
        assert row["steps"] == 6
        assert row["precision"] == "1.2"
        assert row["duty_cycle"] == pytest.approx(row["cpu_ms"] / 1e3 / row["step_s"], rel=0.05, abs=1e-5)
    assert rows[0]["step_s"] == 0.08


def test_what_is_absent_is_named_and_no_error(tmp_path, monkeypatch) -> None:
    rows = measure_runtimes({}, rounds=3, steps=1)
    for row in rows:
        assert row["ok"] or row["missing"], row


def test_a_program_without_its_model_is_absent_and_a_wrong_model_is_a_failure(programs, tmp_path) -> None:
    rows = {row["peer"]: row for row in measure_runtimes({"sherpa-onnx": str(tmp_path)}, rounds=1, steps=1)}
    assert rows["vosk"]["missing"]
    assert "give --peer-model vosk=FOLDER" in rows["vosk"]["reason"]
    assert not rows["sherpa-onnx"]["ok"] and not rows["sherpa-onnx"]["missing"]
    assert "holds no tokens*.txt" in rows["sherpa-onnx"]["reason"]


def test_models_by_name() -> None:
    assert read_models(["vosk=a=b", "openwakeword=c"]) == {"vosk": "a=b", "openwakeword": "c"}
    for wrong in ("vosk", "vosk=", "siri=folder"):
        with pytest.raises(EdgeSerError, match="give NAME=PATH"):
            read_models([wrong])


def test_the_child_says_why_not(capsys) -> None:
    assert peer_child.main(["vosk", "/nonexistent-folder", "1", "0.0"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["error"]


def test_the_command_beside_its_peers(numpy_bundle: Bundle, tmp_path, capsys, monkeypatch) -> None:
    kept = tmp_path / "peers"
    shutil.copytree(numpy_bundle.path, kept / "wav2small-72k")  # what is kept is taken as it is

    def no_torch(package, *, extra, purpose):
        raise MissingExtraError(f"{package} is not installed; it is needed for {purpose}")

    monkeypatch.setattr(bench, "require", no_torch)
    command = ["bench", str(numpy_bundle.path), *QUICK, "--peers", str(kept)]
    assert main([*command, "-o", "json", "--submit-file", str(tmp_path / "mine.json")]) == 0
    report = json.loads(capsys.readouterr().out)
    rows = {row["peer"]: row for row in report["peers"]}
    assert set(rows) == {"wav2small-72k", "wav2small-17k", "mobilenetv4-s", *RUNTIMES}
    assert rows["wav2small-72k"]["ok"] and rows["wav2small-72k"]["steps"] == 1
    assert "random weights" in rows["wav2small-72k"]["note"]
    assert rows["mobilenetv4-s"]["missing"] and "torch is not installed" in rows["mobilenetv4-s"]["reason"]
    assert json.loads((tmp_path / "mine.json").read_text())["peers"] == report["peers"]
    assert main(command) == 0
    out = capsys.readouterr().out
    assert "as points of reference" in out
    assert "mobilenetv4-s was not measured: torch is not installed" in out


def test_a_damaged_peer_takes_nothing_of_our_own_figures(
    numpy_bundle: Bundle, tmp_path, capsys, monkeypatch
) -> None:
    damaged = tmp_path / "wav2small-72k"
    damaged.mkdir()
    (damaged / "bundle.json").write_text("{}")
    monkeypatch.setattr(bench, "_PEERS", ("wav2small-72k",))
    monkeypatch.setattr(bench, "measure_runtimes", lambda *_, **__: [])
    assert main(["bench", str(numpy_bundle.path), *QUICK, "--peers", str(tmp_path), "-o", "json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["runs"][0]["ok"]
    [row] = report["peers"]
    assert not row["ok"] and not row["missing"] and "is not a bundle" in row["reason"]


def test_a_folder_of_peers_that_cannot_be_made_is_told(tmp_path) -> None:
    pytest.importorskip("torch", reason="torch is not installed (extra 'export')")
    from export.peers import write_peer

    (tmp_path / "file").touch()
    with pytest.raises(EdgeSerError, match="cannot make the folder"):
        write_peer("wav2small-17k", tmp_path / "file")


def test_a_peers_model_without_peers_is_refused(numpy_bundle: Bundle, capsys) -> None:
    assert main(["bench", str(numpy_bundle.path), *QUICK, "--peer-model", "vosk=folder"]) == 2
    assert "goes with --peers" in capsys.readouterr().err


def test_a_peer_of_random_weights_runs(tmp_path) -> None:
    for module in ("torch", "onnxscript", "litert_torch", "onnxruntime"):
        pytest.importorskip(module, reason=f"{module} is not installed (extra 'export')")
    from export.peers import write_peer

    before = sys.modules["torch"].random.get_rng_state()
    bundle = write_peer("wav2small-17k", tmp_path / "kept")
    assert (sys.modules["torch"].random.get_rng_state() == before).all()
    assert bundle.variants() == [("litert", "fp32"), ("onnx", "fp32")]
    assert bundle.window is not None and bundle.window.samples == 80_000
    assert "random weights" in str(bundle.licence)
