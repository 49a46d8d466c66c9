"""The build hook: with a C compiler a wheel carries the front end and is this platform's, without one anybody's."""

from __future__ import annotations

import ctypes
import sysconfig
import zipfile
from pathlib import Path

import pytest

pytest.importorskip("hatchling", reason="hatchling is not installed (extra 'dev')")

from hatchling.builders.sdist import SdistBuilder
from hatchling.builders.wheel import WheelBuilder

ROOT = Path(__file__).resolve().parents[1]
LIBRARY = "edge_ser/dsp/_front_end.so"
PLATFORM = sysconfig.get_platform().replace("-", "_").replace(".", "_")


@pytest.fixture(autouse=True)
def plain(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("CC", "EDGE_SER_BUILD"):
        monkeypatch.delenv(name, raising=False)


def wheel(folder: Path) -> Path:
    before = (ROOT / LIBRARY).read_bytes() if (ROOT / LIBRARY).exists() else None
    [path] = WheelBuilder(str(ROOT)).build(directory=str(folder), versions=["standard"])
    after = (ROOT / LIBRARY).read_bytes() if (ROOT / LIBRARY).exists() else None
    assert before == after  # a wheel, maybe for another machine, leaves the tree's library alone
    return Path(path)


def test_with_a_compiler(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if not any((folder / "cc").exists() for folder in map(Path, ("/usr/bin", "/usr/local/bin"))):
        pytest.skip("no C compiler here")
    monkeypatch.setenv("EDGE_SER_BUILD", "c")
    built = wheel(tmp_path)
    assert built.name.endswith(f"-py3-none-{PLATFORM}.whl")
    with zipfile.ZipFile(built) as archive:
        assert (
            "Root-Is-Purelib: false"
            in archive.read(f"{built.name.split('-py3')[0]}.dist-info/WHEEL").decode()
        )
        library = archive.extract(LIBRARY, tmp_path)
    assert ctypes.CDLL(library).edge_ser_push


@pytest.mark.parametrize("compiler", ["/nonexistent/cc", "false"])
def test_without_one_that_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, compiler: str) -> None:
    monkeypatch.setenv("CC", compiler)
    built = wheel(tmp_path)
    assert built.name.endswith("-py3-none-any.whl")
    with zipfile.ZipFile(built) as archive:
        assert LIBRARY not in archive.namelist()
    monkeypatch.setenv("EDGE_SER_BUILD", "c")
    with pytest.raises(RuntimeError, match=f"was not built: .*{compiler}"):
        wheel(tmp_path)


def test_without_a_compiler(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert wheel(tmp_path).name.endswith("-py3-none-any.whl")
    out, err = capsys.readouterr()
    assert "there is no C compiler" in out + err


def test_left_out_on_purpose(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGE_SER_BUILD", "numpy")
    assert wheel(tmp_path).name.endswith("-py3-none-any.whl")
    monkeypatch.setenv("EDGE_SER_BUILD", "rust")
    with pytest.raises(ValueError, match="'rust'; it may be 'c', 'numpy'"):
        wheel(tmp_path)


def test_another_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("_PYTHON_HOST_PLATFORM", "linux-aarch64")
    assert wheel(tmp_path).name.endswith("-py3-none-linux_aarch64.whl")


def test_the_source_distribution_can_be_built_from(tmp_path: Path) -> None:
    import tarfile

    [path] = SdistBuilder(str(ROOT)).build(directory=str(tmp_path), versions=["standard"])
    with tarfile.open(path) as archive:
        names = {name.split("/", 1)[1] for name in archive.getnames()}
    assert {"hatch_build.py", "edge_ser/dsp/front_end.c", "pyproject.toml"} <= names
    assert LIBRARY not in names
    # what is named is the package's own folders, not those of their names elsewhere
    assert not any(name.startswith(("tests/", "benchmarks/", "results/", "runs/")) for name in names)
    assert {"edge_ser/bundles/stream72k/bundle.json", "export/formats.py", "firmware_py/gate.py"} <= names
