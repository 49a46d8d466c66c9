"""`verify` passes a good bundle and notices every kind of difference."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest

import edge_ser.evaluation.verification as module
import firmware_py.engines
from edge_ser.bundle import load_bundle, write_bundle
from edge_ser.errors import EdgeSerError, MissingExtraError
from edge_ser.evaluation.parity import LIMITS, hard_sounds
from edge_ser.evaluation.verification import CHUNKS, Check, verify_bundle
from firmware_py.engines import Outputs
from tests.support import make_bundle, manifest, random_weights


@pytest.fixture(autouse=True)
def three_minutes(monkeypatch):
    """Seconds instead of ten for each engine; the last minute is compared with the second whatever its number."""
    monkeypatch.setattr(module, "LONG_MINUTES", 3)


SOUNDS = {name: wave for name, wave in hard_sounds(6.0).items() if name in ("silence", "noise", "voice-like")}


PARTS = ("answers", "chunks", "drift")


def by_name(checks):
    return {(check.name, check.engine, check.precision): check for check in checks}


def test_a_whole_bundle_passes(full_bundle):
    reported = []
    checks = verify_bundle(full_bundle, SOUNDS, reported.append)
    assert reported == checks
    found = by_name(checks)
    assert set(found) == {
        ("files", None, None),
        ("card", None, None),
        ("streaming", "torch", "fp32"),
        *((name, engine, "fp32") for name in PARTS for engine in ("numpy", "onnx", "litert")),
    }
    for check in checks:
        assert check.ok, check
    assert found["answers", "litert", "fp32"].max_abs_error <= 1e-4
    assert found["chunks", "onnx", "fp32"].max_abs_error == 0
    json.dumps([check.to_dict() for check in checks], allow_nan=False)


def test_int8_passes_within_its_own_limits(int8_bundle):
    found = by_name(verify_bundle(int8_bundle, SOUNDS))
    variants = [("numpy", "fp32"), *((engine, "int8") for engine in ("numpy", "onnx", "litert"))]
    assert {key for key in found if key[1] not in (None, "torch")} == {
        (part, *variant) for part in PARTS for variant in variants
    }
    for check in found.values():
        assert check.ok, check
    check = found["answers", "onnx", "int8"]
    assert 1e-4 < check.max_abs_error <= check.limit == LIMITS["int8"].largest
    assert check.mean_abs_error < check.max_abs_error and check.agreement > 0.95
    assert "same emotion" in check.note
    for engine in ("numpy", "onnx", "litert"):
        assert found["chunks", engine, "int8"].max_abs_error == 0
        assert found["drift", engine, "int8"].max_abs_error == 0


def test_int8_of_another_model_is_noticed(full_bundle, int8_bundle, tmp_path):
    other = make_bundle(tmp_path / "other", seed=1)
    entries = [
        {"path": "weights.safetensors", "engine": "numpy", "precision": "fp32"},
        {"path": "model.int8.onnx", "engine": "onnx", "precision": "int8"},
    ]
    data = {
        "weights.safetensors": other.file("numpy").read_bytes(),
        "model.int8.onnx": int8_bundle.file("onnx", "int8").read_bytes(),
    }
    mixed = write_bundle(tmp_path / "mixed", manifest(entries), data)
    found = by_name(verify_bundle(mixed, SOUNDS))
    assert found["answers", "onnx", "int8"].ok is False
    assert found["drift", "onnx", "int8"].ok is True


def test_without_torch_numpy_is_the_reference(full_bundle, monkeypatch):
    monkeypatch.setattr(module, "find_spec", lambda name: None)
    found = by_name(verify_bundle(full_bundle, SOUNDS))
    assert found["streaming", "torch", "fp32"].ok is None
    assert "torch is not installed" in found["streaming", "torch", "fp32"].note
    assert found["answers", "numpy", "fp32"].ok is None
    assert found["answers", "onnx", "fp32"].ok is True
    assert "numpy fp32" in found["answers", "onnx", "fp32"].note


def test_the_most_exact_file_is_the_reference() -> None:
    class Holds:
        """A bundle with files and no more."""

        def __init__(self, *variants: str) -> None:
            self.pairs = [tuple(variant.split()) for variant in variants]

        def variants(self) -> list[tuple[str, ...]]:
            return self.pairs

    def first(*variants: str) -> str:
        return " ".join(module._reference_first(Holds(*variants))[0])

    assert first("onnx fp32", "numpy int8", "numpy fp32") == "numpy fp32"
    assert (
        first("numpy int8", "litert int8", "onnx fp16") == "onnx fp16"
    )  # rounded less than NumPy's eight bits
    assert first("litert int8", "numpy int8") == "numpy int8"


def test_a_runtime_that_is_not_installed_is_said(full_bundle, monkeypatch):
    real = firmware_py.engines.open_engine

    def open_engine(bundle, name, precision):
        if name == "onnx":
            raise MissingExtraError("onnxruntime is not installed")
        return real(bundle, name, precision)

    monkeypatch.setattr(firmware_py.engines, "open_engine", open_engine)
    found = by_name(verify_bundle(full_bundle, SOUNDS))
    assert found["answers", "onnx", "fp32"].ok is None
    assert "not installed" in found["answers", "onnx", "fp32"].note
    assert ("chunks", "onnx", "fp32") not in found


def test_files_of_another_model_are_noticed(full_bundle, tmp_path):
    """All hashes right, but the ONNX file is of other weights than the NumPy engine's."""
    other = make_bundle(tmp_path / "other", seed=1)
    entries = [
        {"path": "weights.safetensors", "engine": "numpy", "precision": "fp32"},
        {"path": "model.onnx", "engine": "onnx", "precision": "fp32"},
    ]
    data = {
        "weights.safetensors": other.file("numpy").read_bytes(),
        "model.onnx": full_bundle.file("onnx").read_bytes(),
    }
    mixed = write_bundle(tmp_path / "mixed", manifest(entries), data)
    found = by_name(verify_bundle(mixed, SOUNDS))
    assert found["answers", "numpy", "fp32"].ok is True
    assert found["answers", "onnx", "fp32"].ok is False
    assert found["card", None, None].ok is False


class Forgetful:
    """An engine whose answer depends on how often it was asked: its state is not all in the state."""

    name, precision = "numpy", "fp32"

    def __init__(self, engine):
        self.engine, self.calls = engine, 0

    def initial_state(self):
        return self.engine.initial_state()

    def step(self, features, state):
        self.calls += 1
        outputs, state = self.engine.step(features, state)
        return Outputs(outputs.adv, outputs.logits + np.float32(1e-6 * self.calls)), state


def test_an_engine_that_keeps_something_for_itself_is_noticed(numpy_bundle, monkeypatch):
    real = firmware_py.engines.open_engine
    monkeypatch.setattr(firmware_py.engines, "open_engine", lambda *args: Forgetful(real(*args)))
    found = by_name(verify_bundle(numpy_bundle, SOUNDS))
    assert found["chunks", "numpy", "fp32"].ok is False


class Slow(Forgetful):
    """An engine whose answers wander off a little at each step."""

    def step(self, features, state):
        self.calls += 1
        outputs, state = self.engine.step(features, state)
        return Outputs(outputs.adv + np.float32(2e-6 * self.calls), outputs.logits), state


def test_drift_is_noticed(numpy_bundle, monkeypatch):
    real = firmware_py.engines.open_engine
    monkeypatch.setattr(firmware_py.engines, "open_engine", lambda *args: Slow(real(*args)))
    check = by_name(verify_bundle(numpy_bundle, SOUNDS))["drift", "numpy", "fp32"]
    assert check.ok is False
    assert check.max_abs_error == pytest.approx(240 * 2e-6, rel=0.05)
    assert check.note == "minute 3 against minute 2 of the same sound"


def test_chunks_that_are_asked_for():
    assert CHUNKS == (1, 7, 160, 1000, 16000)


def test_an_infinite_error_is_still_json():
    check = Check("answers", "onnx", "fp32", float("inf"), 1e-4, False)
    assert check.to_dict()["max_abs_error"] is None


def test_weights_of_another_shape(tmp_path):
    from edge_ser.errors import EdgeSerError
    from edge_ser.tensors import pack_tensors

    pytest.importorskip("torch")
    weights = random_weights()
    del weights["adv.bias"]
    entries = [{"path": "weights.safetensors", "engine": "numpy", "precision": "fp32"}]
    broken = write_bundle(
        tmp_path / "broken", manifest(entries), {"weights.safetensors": pack_tensors(weights)}
    )
    with pytest.raises(EdgeSerError, match=r"no tensor adv\.bias"):
        verify_bundle(load_bundle(broken.path), SOUNDS)


def test_a_config_that_torch_cannot_build(numpy_bundle):
    pytest.importorskip("torch")
    broken = dataclasses.replace(numpy_bundle, config=numpy_bundle.config | {"heads": 0})
    with pytest.raises(EdgeSerError, match=r"config\.heads must be"):
        verify_bundle(broken, SOUNDS)


def test_quick_leaves_out_what_takes_long(numpy_bundle) -> None:
    sounds = {"noise": np.random.default_rng(0).normal(0, 0.1, 32_000).astype(np.float32)}
    checks = {check.name: check for check in verify_bundle(numpy_bundle, sounds, quick=True)}
    assert checks["chunks"].ok and checks["chunks"].note == "160, 1000, 16000 samples at once"
    assert checks["drift"].ok and checks["drift"].note.startswith("minute 3 ")


def test_minutes_of_streaming(numpy_bundle) -> None:
    sounds = {"speech": np.random.default_rng(0).normal(0, 0.1, 16000).astype(np.float32)}
    checks = {check.name: check for check in verify_bundle(numpy_bundle, sounds, quick=True, minutes=5)}
    assert checks["drift"].ok and "minute 5 against minute 2" in checks["drift"].note
    with pytest.raises(EdgeSerError, match="not in 2"):
        verify_bundle(numpy_bundle, sounds, minutes=2)
