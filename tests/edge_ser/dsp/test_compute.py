"""Which backend computes features, and that nobody pays for numba who did not ask for features."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

from edge_ser.dsp import compute
from edge_ser.errors import EdgeSerError, MissingExtraError

ROOT = Path(__file__).parents[3]
NUMBA = pytest.mark.skipif(
    importlib.util.find_spec("numba") is None, reason="numba is not installed (extra 'fast')"
)


@pytest.fixture(autouse=True)
def nothing_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(compute.VARIABLE, raising=False)
    monkeypatch.setattr(compute, "_chosen", None)


def run(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )


def test_numba_is_used_where_it_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compute, "_installed", lambda: True)
    assert compute.features_backend() == "numba"
    monkeypatch.setattr(compute, "_installed", lambda: False)
    assert compute.features_backend() == "numpy"


def test_it_can_be_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(compute.VARIABLE, "numpy")
    assert compute.implementation().__name__ == "edge_ser.dsp.twins"
    compute.use_features_backend("numpy")
    monkeypatch.setenv(compute.VARIABLE, "fortran")
    assert compute.features_backend() == "numpy"
    compute.use_features_backend(None)
    with pytest.raises(EdgeSerError, match=r"EDGE_SER_FEATURES.*fortran"):
        compute.features_backend()
    with pytest.raises(EdgeSerError, match="fortran"):
        compute.use_features_backend("fortran")


def test_numba_that_is_asked_for_and_absent_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "numba", None)
    with pytest.raises(MissingExtraError, match="fast"):
        compute.use_features_backend("numba")


def test_importing_the_features_loads_no_numba() -> None:
    code = (
        "import sys, numpy as np, edge_ser.dsp.features as f; "
        "from edge_ser.dsp import MelSpec, log_mel; log_mel(np.zeros(4000), MelSpec()); "
        "loaded = [m for m in ('numba', 'scipy', 'llvmlite') if m in sys.modules]; print(loaded, f.features_backend())"
    )
    done = run(code)
    assert done.stdout.startswith("[]"), done.stdout + done.stderr


def test_numpy_alone_computes_them() -> None:
    code = (
        "import sys; sys.modules['numba'] = None; import numpy as np; from edge_ser.dsp import features as f; "
        "print(len(f.frame_features(np.ones(9000, np.float32))), 'edge_ser.dsp.kernels' in sys.modules)"
    )
    done = run(code, EDGE_SER_FEATURES="numpy")
    assert done.stdout.split() == ["17", "False"], done.stderr


@NUMBA
def test_numba_without_its_compiler_is_refused_in_a_sentence() -> None:
    code = "import numpy as np; from edge_ser.dsp import features as f; f.rms(np.ones(4000))"
    done = run(code, NUMBA_DISABLE_JIT="1")
    assert "EDGE_SER_FEATURES=numpy" in done.stderr.splitlines()[-1]


@NUMBA
def test_both_have_the_same_functions() -> None:
    from edge_ser.dsp import kernels, twins

    assert kernels.__all__ == twins.__all__


@NUMBA
def test_compiled_code_is_kept_where_one_may_write_and_nowhere_otherwise(tmp_path: Path) -> None:
    code = (
        "import numpy as np; from edge_ser.dsp import features as f; f.use_features_backend('numba'); "
        "print(f.rms(np.ones(4000, np.float32), center=False)); "
        "from edge_ser.dsp.kernels import jit; print(jit.CACHE_DIR)"
    )
    done = run(code, NUMBA_CACHE_DIR=str(tmp_path))
    assert done.returncode == 0, done.stderr
    folder = Path(done.stdout.splitlines()[-1])
    assert tmp_path in folder.parents
    assert any(folder.rglob("*.nbi"))
    again = run(code, NUMBA_CACHE_DIR=str(tmp_path))
    assert again.stdout == done.stdout
    closed = tmp_path / "file"
    closed.write_text("no folder")  # root may write everywhere, but not below a file
    done = run(code, NUMBA_CACHE_DIR=str(closed))
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == ""


@NUMBA
def test_without_a_home_folder_compiled_code_is_not_kept(homeless: None) -> None:
    from edge_ser.dsp.kernels import jit

    assert jit._cache_dir() == ""
