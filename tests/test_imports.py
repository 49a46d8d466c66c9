"""Imports run downwards only, and a device loads nothing of the host's."""

import ast
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

#: What both sides share: NumPy and the standard library when imported.
SHARED = {
    "edge_ser",  # the version
    "edge_ser.audio",
    "edge_ser.bundle",
    "edge_ser.calibration",
    "edge_ser.detector",
    "edge_ser.entries",
    "edge_ser.dsp",
    "edge_ser.errors",
    "edge_ser.files",
    "edge_ser.interface",
    "edge_ser.manifest",
    "edge_ser.progress",
    "edge_ser.tensors",
    "edge_ser.vector_input",
}

#: Each part of the house and the parts of it that it may import. Longest prefix wins; a part may import itself.
MAY_IMPORT: dict[str, set[str]] = {
    "edge_ser": set(),
    "edge_ser.errors": set(),
    "edge_ser.files": {"edge_ser.errors"},
    "edge_ser.audio": {"edge_ser.errors", "edge_ser.files"},
    "edge_ser.tensors": {"edge_ser.errors", "edge_ser.files"},
    "edge_ser.dsp": {"edge_ser.errors", "edge_ser.tensors", "edge_ser.files"},
    "edge_ser.entries": {"edge_ser.errors"},
    "edge_ser.calibration": {"edge_ser.entries"},
    "edge_ser.detector": {"edge_ser.entries", "edge_ser.errors"},
    "edge_ser.interface": {"edge_ser.entries", "edge_ser.errors"},
    "edge_ser.vector_input": {"edge_ser.entries"},
    "edge_ser.manifest": {
        "edge_ser.calibration",
        "edge_ser.detector",
        "edge_ser.dsp",
        "edge_ser.entries",
        "edge_ser.errors",
        "edge_ser.interface",
        "edge_ser.vector_input",
    },
    "edge_ser.bundle": {"edge_ser.errors", "edge_ser.dsp", "edge_ser.files", "edge_ser.manifest"},
    "edge_ser.corpora": SHARED,
    "edge_ser.deploy": {"edge_ser.errors", "edge_ser.files"},
    "edge_ser.features": SHARED | {"edge_ser.corpora"},
    "edge_ser.precision": set(),
    "edge_ser.progress": {"edge_ser.errors"},
    "edge_ser.models": SHARED,
    "edge_ser.perturb": SHARED | {"edge_ser.corpora"},
    "edge_ser.teachers": SHARED | {"edge_ser.corpora", "edge_ser.precision"},
    "edge_ser.training": SHARED
    | {
        "edge_ser.corpora",
        "edge_ser.models",
        "edge_ser.evaluation",
        "edge_ser.features",
        "edge_ser.perturb",
        "edge_ser.precision",
        "edge_ser.teachers",
    },
    "edge_ser.evaluation": SHARED
    | {
        "edge_ser.corpora",
        "edge_ser.features",
        "edge_ser.models",
        "edge_ser.perturb",
        "edge_ser.recognizer",
        "edge_ser.teachers",
        "firmware_py",
    },
    "edge_ser.recognizer": SHARED | {"firmware_py"},
    "edge_ser.studies": SHARED
    | {
        "edge_ser.corpora",
        "edge_ser.evaluation",
        "edge_ser.features",
        "edge_ser.models",
        "edge_ser.perturb",
        "edge_ser.teachers",
        "edge_ser.training",
        "firmware_py",
    },
    "edge_ser.vector_recognizer": SHARED | {"edge_ser.features", "firmware_py"},
    "edge_ser.commands": {"edge_ser", "export", "firmware_py"},
    "edge_ser.cli": {"edge_ser", "edge_ser.errors"},
    "edge_ser.__main__": {"edge_ser.cli"},
    "export": SHARED
    | {
        "edge_ser.corpora",
        "edge_ser.evaluation",
        "edge_ser.features",
        "edge_ser.models",
        "edge_ser.teachers",
        "edge_ser.vector_recognizer",
        "firmware_py",
    },
    "firmware_py": SHARED,
}

#: What a device has no room for.
HEAVY = ("torch", "numba", "scipy", "librosa", "sklearn", "pandas", "matplotlib")
#: Packages of the extras that are imported when they are needed and not before.
OPTIONAL = (
    *HEAVY,
    "soundfile",
    "soxr",
    "sounddevice",
    "ai_edge_litert",
    "onnxruntime",
    "onnx",
    "litert_torch",
    "transformers",
)


def _modules() -> Iterator[tuple[str, Path]]:
    for package in ("edge_ser", "export", "firmware_py"):
        for path in sorted((ROOT / package).rglob("*.py")):
            parts = path.relative_to(ROOT).with_suffix("").parts
            yield ".".join(parts[:-1] if parts[-1] == "__init__" else parts), path


MODULES = dict(_modules())


def _imports(name: str, path: Path, *, at_import_only: bool = False) -> Iterator[str]:
    """Full names of what a module imports; ``from package import module`` gives ``package.module``."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    package = name if path.stem == "__init__" else name.rpartition(".")[0]
    for node in _walk(tree, at_import_only):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                above = package.split(".")[: len(package.split(".")) - node.level + 1]
                base = ".".join([*above, base] if base else above)
            for alias in node.names:
                inner = f"{base}.{alias.name}"
                yield inner if inner in MODULES else base


def _walk(tree: ast.AST, at_import_only: bool) -> Iterator[ast.AST]:
    for node in ast.iter_child_nodes(tree):
        if at_import_only and isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
            continue
        if at_import_only and isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            continue
        yield node
        yield from _walk(node, at_import_only)


def _part(name: str) -> str:
    """The longest entry of `MAY_IMPORT` that the module lies in."""
    while name not in MAY_IMPORT and "." in name:
        name = name.rpartition(".")[0]
    return name


def _allowed(part: str, other: str) -> bool:
    if other == part or _part(other) == part:
        return True
    if part == "edge_ser.commands":
        return True  # the top: a command may use everything below it
    permitted = MAY_IMPORT[part]
    return _part(other) in permitted


@pytest.mark.parametrize("name", sorted(MODULES))
def test_imports_run_downwards(name: str) -> None:
    part = _part(name)
    own = {other for other in _imports(name, MODULES[name]) if other.split(".")[0] in MAY_IMPORT}
    bad = sorted(other for other in own if not _allowed(part, other))
    assert not bad, f"{name} ({part}) may not import {', '.join(bad)}"


def test_every_part_of_the_house_has_a_rule() -> None:
    # edge_ser's own entry is for its __init__ alone: a new module or package needs a line of its own
    strays = sorted(n for n in MODULES if _part(n) == "edge_ser" and n != "edge_ser")
    assert not strays, f"say in MAY_IMPORT what {', '.join(strays)} may import"


LIGHT = sorted(
    name for name in MODULES if _part(name) in SHARED | {"firmware_py", "edge_ser.cli", "edge_ser.recognizer"}
)


@pytest.mark.parametrize("name", LIGHT)
def test_optional_packages_wait_until_they_are_needed(name: str) -> None:
    early = {other.split(".")[0] for other in _imports(name, MODULES[name], at_import_only=True)}
    compiled = {"numba"} if name.startswith("edge_ser.dsp.kernels") else set()
    assert not early & set(OPTIONAL) - compiled


def _loaded_after(code: str) -> set[str]:
    """Top-level modules that a fresh interpreter has loaded after `code`."""
    report = "\nimport json, sys\nprint('\\n' + json.dumps(sorted({m.split('.')[0] for m in sys.modules})))"
    run = subprocess.run(
        [sys.executable, "-c", code + report], capture_output=True, text=True, check=False, cwd=ROOT
    )
    assert run.returncode == 0, run.stderr
    return set(json.loads(run.stdout.splitlines()[-1]))


def test_importing_the_device_side_loads_only_numpy() -> None:
    names = [n for n in LIGHT if not n.startswith("edge_ser.dsp.kernels")]
    loaded = _loaded_after("\n".join(f"import {name}" for name in names))
    assert "numpy" in loaded
    assert not loaded & set(OPTIONAL)


@pytest.mark.parametrize("engine", ["numpy", "litert", "onnx"])
def test_listening_loads_nothing_of_the_host(engine: str, full_bundle, tmp_path: Path) -> None:
    packages = {"litert": "ai_edge_litert", "onnx": "onnxruntime"}
    if engine in packages:
        pytest.importorskip(packages[engine])
    import numpy as np

    from edge_ser.audio import write_wav

    write_wav(tmp_path / "noise.wav", np.random.default_rng(0).normal(0, 0.1, 24000))
    argv = ["listen", str(tmp_path / "noise.wav"), "--model", str(full_bundle.path)]
    argv += ["--engine", engine, "-o", "jsonl"]
    loaded = _loaded_after(f"from edge_ser.cli import main\nassert main({argv!r}) == 0")
    assert not loaded & set(HEAVY)
    others = {
        "numpy": {"ai_edge_litert", "onnxruntime"},
        "litert": {"onnxruntime"},
        "onnx": {"ai_edge_litert"},
    }
    assert not loaded & others[engine]
