"""One table in four forms."""

import csv
import io
import json
import math

import pytest

from edge_ser.commands._output import flatten, markdown_table, write_table

ROWS = [
    {"engine": "numpy", "step_ms": {"p50": 1.23456, "p99": 2.0}, "ok": True, "note": None},
    {"engine": "a|b", "step_ms": {"p50": 12.5, "p99": None}, "ok": False, "macs": 10_500_000},
]


def _written(form: str, **more: object) -> str:
    file = io.StringIO()
    write_table(ROWS, form, file=file, **more)  # type: ignore[arg-type]
    return file.getvalue()


def test_nested_keys_are_joined_with_dots() -> None:
    assert flatten({"a": {"b": {"c": 1}}, "d": 2}) == {"a.b.c": 1, "d": 2}


def test_markdown_is_aligned_and_numbers_stand_right() -> None:
    columns = {"engine": "engine", "step_ms.p50": "p50 ms", "step_ms.p99": "p99 ms", "ok": "ok"}
    assert markdown_table(ROWS, columns).splitlines() == [
        "| engine | p50 ms | p99 ms | ok  |",
        "|--------|-------:|-------:|-----|",
        "| numpy  |  1.235 |      2 | yes |",
        "| a\\|b   |   12.5 |      - | no  |",
    ]


def test_markdown_shows_every_key_when_no_columns_are_named() -> None:
    head = markdown_table(ROWS).splitlines()[0]
    assert [cell.strip() for cell in head.strip("|").split("|")] == [
        "engine",
        "step_ms.p50",
        "step_ms.p99",
        "ok",
        "note",
        "macs",
    ]


def test_markdown_of_nothing_is_a_head() -> None:
    assert len(markdown_table([], {"a": "a"}).splitlines()) == 2


def test_cells_are_as_people_write_them() -> None:
    rows = [
        {"n": 999.5, "names": ["x", 1.5], "text": "one\ntwo", "none": None, "big": math.inf},
        {"n": 1000.4, "names": [], "text": "a", "none": None, "big": math.nan},
    ]
    assert markdown_table(rows).splitlines() == [
        "|     n | names  | text    | none | big |",
        "|------:|--------|---------|------|----:|",
        "| 999.5 | x, 1.5 | one two | -    | inf |",
        "|  1000 |        | a       | -    | nan |",
    ]
    assert markdown_table([{"a": "b"}]).splitlines() == [
        "| a   |",
        "|-----|",
        "| b   |",
    ]  # a rule needs three


def test_csv_has_every_key() -> None:
    read = list(csv.DictReader(io.StringIO(_written("csv"))))
    assert read[0]["step_ms.p50"] == "1.23456"
    assert read[1]["macs"] == "10500000"
    assert read[0]["macs"] == ""


def test_csv_of_nothing_is_a_head() -> None:
    out = io.StringIO()
    write_table([], "csv", columns={"name": "microphone", "rate": "Hz"}, file=out)
    assert out.getvalue() == "name,rate\n"


def test_json_is_the_rows_or_the_document() -> None:
    assert json.loads(_written("json")) == ROWS
    assert json.loads(_written("json", document={"runs": ROWS})) == {"runs": ROWS}


def test_jsonl_is_one_object_a_line() -> None:
    assert [json.loads(line) for line in _written("jsonl").splitlines()] == ROWS


@pytest.mark.parametrize("form", ["json", "jsonl"])
def test_json_never_holds_what_is_no_json(form: str) -> None:
    with pytest.raises(ValueError, match="JSON"):
        write_table([{"x": float("nan")}], form, file=io.StringIO())


def test_an_unknown_form_is_refused() -> None:
    with pytest.raises(ValueError, match="md, csv, json, jsonl"):
        write_table(ROWS, "xml", file=io.StringIO())
