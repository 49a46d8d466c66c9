"""Documents hold: they name what exists, and what exists is named."""

import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from edge_ser.audio import AudioBlocks
from edge_ser.bundle import DEFAULT_MODEL, load_bundle
from edge_ser.cli import COMMANDS, _build_parser

ROOT = Path(__file__).resolve().parents[1]
DOCUMENTS = sorted([*ROOT.glob("*.md"), ROOT / "models/README.md", *ROOT.glob("docs/**/*.md")])
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EXTRAS = PROJECT["optional-dependencies"]


def _text(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def test_the_readme_has_every_command_in_the_tables_order() -> None:
    rows = re.findall(r"^\| `edge-ser (\w+)", _text("README.md"), re.MULTILINE)
    assert set(rows) == set(COMMANDS)
    assert len(rows) == len(set(rows))


def test_the_readmes_model_is_the_shipped_one() -> None:
    [thousands] = re.findall(r"a model of (\d+) thousand parameters", _text("README.md"))
    assert int(thousands) == round(load_bundle(DEFAULT_MODEL).parameters / 1000)


def test_models_are_whole_small_and_told_of() -> None:
    page = _text("models/README.md")
    folders = [path for path in (ROOT / "models").iterdir() if path.is_dir()]
    for folder in folders:
        bundle = load_bundle(folder)
        assert bundle.name == folder.name and f"](../models/{folder.name}/MODEL_CARD.md)" in page
        assert bundle.card is not None
        card = bundle.card.read_text(encoding="utf-8")
        assert all(
            f"## {head}" in card for head in ("Trained on", "Figures", "Where it fails", "Responsible use")
        )
    named = re.findall(r"--model models/([\w-]+)|bench models/([\w-]+)", page)
    assert {one or other for one, other in named} == {folder.name for folder in folders}
    assert sum(file.stat().st_size for folder in folders for file in folder.iterdir()) < 8_000_000


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_commands_in_documents_exist(path: Path) -> None:
    named = re.findall(r"(?:^ {4,}|`|\| )edge-ser ([a-z]+)", path.read_text(encoding="utf-8"), re.MULTILINE)
    assert set(named) <= set(COMMANDS)


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_commands_in_documents_are_taken_as_they_stand(path: Path) -> None:
    text = re.sub(r" *\\\n\s+", " ", path.read_text(encoding="utf-8"))
    lines = re.findall(r"^ {4,}(?:sudo )?edge-ser ([a-z].*)", text, re.MULTILINE)
    lines += re.findall(r"^\| `edge-ser ([^`]*)`", text, re.MULTILINE)
    for line in lines:
        # a comment, other commands behind it, or words set off by blanks; what a shell fills in is not known here
        line = re.split(r" +#| \|| && |; | > | {3,}", line)[0]
        if not re.search(r"[$<{*\[]|\.\.\.", line):
            words = shlex.split(line)
            try:
                _build_parser(words[0]).parse_args(words)
            except SystemExit:
                pytest.fail(f"edge-ser {line}")


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_extras_in_documents_exist(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    named = {extra for group in re.findall(r"edge-ser\[([a-z,]+)\]", text) for extra in group.split(",")}
    assert named <= set(EXTRAS)


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_links_and_paths_lead_somewhere(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    links = [link for link in re.findall(r"\]\(([^)#]+)", text) if "://" not in link]
    paths = re.findall(r"`((?:edge_ser|export|firmware_py|tests|scripts|recipes|\.ci)/[\w./-]*)`", text)
    absent = [
        name
        for name in (*links, *paths)
        if not (ROOT / name).exists() and not (path.parent / name).exists() and not name.startswith(".")
    ]
    assert not absent


def test_make_targets_in_documents_exist() -> None:
    targets = set(re.findall(r"^([a-z]+):.*##", _text("Makefile"), re.MULTILINE))
    assert {"demo", "test", "bench", "lint", "clean", "help"} <= targets
    named = {
        name
        for path in DOCUMENTS
        for name in re.findall(r"(?:`|^ {4})make ([a-z]+)", path.read_text(encoding="utf-8"), re.MULTILINE)
    }
    assert named <= targets


def test_the_table_of_the_house_names_every_top_folder() -> None:
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False)
    if tracked.returncode != 0:
        pytest.skip("not a git checkout")
    folders = {line.split("/")[0] for line in tracked.stdout.splitlines() if "/" in line} - {".ci", "docs"}
    text = _text("CONTRIBUTING.md")
    assert {folder for folder in folders if f"`{folder}/" not in text} == set()


def test_the_base_install_is_numpy_alone() -> None:
    assert PROJECT["dependencies"] == ["numpy>=1.24"]


def test_every_extra_that_code_names_exists() -> None:
    sources = [
        path for folder in ("edge_ser", "export", "firmware_py") for path in (ROOT / folder).rglob("*.py")
    ]
    named = {
        extra
        for path in sources
        for pattern in (r'extra="(\w+)"', r"edge-ser\[(\w+)\]")
        for extra in re.findall(pattern, path.read_text(encoding="utf-8"))
    }
    assert named
    assert named <= set(EXTRAS)


def test_every_file_of_figures_is_made_by_a_command_that_is_told() -> None:
    text = _text("CONTRIBUTING.md")
    tables = [*ROOT.glob("benchmarks/*tables.py"), ROOT / "scripts/write_docs.py"]
    names = {
        name for path in tables for name in re.findall(r'"([\w.-]+\.json)"', path.read_text(encoding="utf-8"))
    }
    names -= {"bundle.json"}
    assert len(names) > 20
    makers = [path for path in ROOT.glob("benchmarks/*.*") if path not in tables and path.is_file()]
    for name in names:
        told = f"results/{name}" in text or f"recipes/{Path(name).stem}.toml" in text
        assert told or any(
            name in path.read_text(encoding="utf-8")
            and (f"benchmarks.{path.stem}" in text or f"benchmarks/{path.name}" in text)
            for path in makers
        ), name


def test_figures_in_documents_are_those_of_the_results() -> None:
    needed = ("ravdess.json", "emotale.json", "bench.json", "verify.json")
    if missing := [name for name in needed if not (ROOT / "results" / name).exists()]:
        pytest.skip(f"results/ lacks {', '.join(missing)} yet; CONTRIBUTING.md says what makes them")
    run = subprocess.run(
        [sys.executable, "scripts/write_docs.py", "--check"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stdout + run.stderr


def test_the_demos_sample_is_there_and_small() -> None:
    pytest.importorskip("soundfile")
    sample = ROOT / "edge_ser/samples/demo.flac"
    assert sample.stat().st_size < 500_000
    with AudioBlocks(sample) as blocks:
        assert blocks.native_rate == 16000
        assert 20 < blocks.duration_s < 32


def test_the_wheel_carries_bundles_and_sample(tmp_path: Path) -> None:
    import zipfile

    run = subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(tmp_path), str(ROOT)],
        capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    if run.returncode != 0 and "hatchling" in run.stderr:
        pytest.skip("hatchling cannot be had here")
    assert run.returncode == 0, run.stderr
    [wheel] = tmp_path.glob("*.whl")
    names = set(zipfile.ZipFile(wheel).namelist())
    wanted = {
        "edge_ser/samples/demo.flac",
        "edge_ser/cli.py",
        "export/__init__.py",
        "firmware_py/__init__.py",
    }
    bundles = (ROOT / "edge_ser" / "bundles").rglob("*.*")
    wanted |= {str(path.relative_to(ROOT)) for path in bundles if path.is_file()}
    assert wanted <= names
    assert not [name for name in names if name.startswith(("tests/", "benchmarks/", "scripts/"))]
