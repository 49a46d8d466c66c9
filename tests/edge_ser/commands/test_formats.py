"""``edge-ser formats``."""

from __future__ import annotations

import json

import edge_ser.commands.formats as module
from edge_ser.cli import main
from export.formats import FORMATS


def test_every_row_of_the_table_is_listed(capsys):
    assert main(["formats", "-o", "json"]) == 0
    rows = json.loads(capsys.readouterr().out)["formats"]
    assert [(row["format"], row["precision"], row["file"]) for row in rows] == [
        (row.name, row.precision, row.file) for row in FORMATS
    ]
    assert main(["formats"]) == 0
    table = capsys.readouterr().out
    assert all(row.file in table for row in FORMATS)


def test_what_is_missing_here(capsys, monkeypatch):
    monkeypatch.setattr(module, "find_spec", lambda name: None)
    assert main(["formats", "-o", "json"]) == 0
    rows = json.loads(capsys.readouterr().out)["formats"]
    assert all(row["available"] is False and row["missing"] == row["needs"] for row in rows)
