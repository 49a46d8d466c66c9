"""scripts/write_docs.py: figures are replaced, and nothing else is lost."""

import json
import sys

import pytest

from benchmarks.results import read
from edge_ser.errors import EdgeSerError
from scripts import write_docs


@pytest.fixture(autouse=True)
def tables(monkeypatch):
    monkeypatch.setattr(
        write_docs, "TABLES", {"cost": lambda results: "dear", "int8": lambda results: "small"}
    )


def test_what_stands_between_is_made() -> None:
    text = "a\n<!-- figures: cost -->\nold\n<!-- end -->\nb\n<!-- figures: int8 -->\n<!-- end -->\n"
    fresh = "a\n<!-- figures: cost -->\ndear\n<!-- end -->\nb\n<!-- figures: int8 -->\nsmall\n<!-- end -->\n"
    assert write_docs.rewrite(text, write_docs.ROOT) == fresh


@pytest.mark.parametrize(
    "text",
    [
        "<!-- figures: cost -->\nold\nPROSE\n<!-- figures: int8 -->\n<!-- end -->\n",  # PROSE would go
        "<!-- figures: cost -->\nold\n",
        "<!-- figures: the cost -->\nold\n<!-- end -->\n",  # would never be made
    ],
)
def test_a_block_that_is_not_whole_is_refused(text) -> None:
    with pytest.raises(EdgeSerError, match="no <!-- end -->"):
        write_docs.rewrite(text, write_docs.ROOT)


def test_a_runtime_has_a_row_for_each_precision_and_one_where_nothing_ran(tmp_path) -> None:
    def check(name, precision, ok):
        return {"name": name, "precision": precision, "ok": ok, "max_abs_error": None if ok is None else 0.25}

    ran = [check("answers", "fp32", True), check("drift", "fp32", False), check("answers", "int8", None)]
    runtimes = [
        {"engine": "litert", "versions": {"old": "1"}, "checks": ran},
        {"engine": "onnx", "versions": {"new": "2"}, "checks": []},
    ]
    (tmp_path / "runtimes.json").write_text(json.dumps({"runtimes": runtimes}))
    lines = write_docs.runtimes(tmp_path).splitlines()[2:]
    assert [[cell.strip() for cell in line.strip("|").split("|")] for line in lines] == [
        ["litert fp32", "old 1", "**no**", "2.5e-01", "-", "2.5e-01"],
        ["litert int8", "old 1", "refused", "-", "-", "-"],
        ["onnx", "new 2", "**no**", "-", "-", "-"],
    ]


def test_each_document_is_told_of_and_the_others_are_made(tmp_path, monkeypatch, capsys) -> None:
    text = "<!-- figures: NAME -->\n<!-- end -->\n"
    for name in ("nothing", "cost"):
        (tmp_path / f"{name}.md").write_text(text.replace("NAME", name))
    monkeypatch.setattr(
        sys, "argv", ["", *(str(tmp_path / f"{name}.md") for name in ("nothing", "none", "cost"))]
    )
    assert write_docs.main() == 2
    said = capsys.readouterr()
    assert f"{tmp_path / 'nothing.md'}: there are no figures 'nothing'; there are cost, int8\n" in said.err
    assert str(tmp_path / "none.md") in said.err
    assert said.out == f"{tmp_path / 'cost.md'}: rewritten\n"
    assert "dear" in (tmp_path / "cost.md").read_text()


@pytest.mark.parametrize("text", ["", '{"runs": [', "\x00"])
def test_a_file_that_was_cut_short_is_named(tmp_path, text) -> None:
    (tmp_path / "bench.json").write_text(text)
    with pytest.raises(EdgeSerError, match="bench.json is no JSON .*: make it again"):
        read(tmp_path / "bench.json")
