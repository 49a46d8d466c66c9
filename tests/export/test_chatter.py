"""Converters' output is held back; what is not explained is shown."""

from __future__ import annotations

import io
import os
import sys
import warnings

import pytest

from export.chatter import EXPLAINED, hush, unexplained


def test_known_lines_and_others():
    text = "(00:01) [ DONE] LiteRT-Torch Convert\n\x1b[32m[torch.onnx] Optimize ...\x1b[0m\n\nW: weights were dropped\n"
    assert unexplained(text) == ["W: weights were dropped"]
    assert all(reason for _, reason in EXPLAINED)


def test_python_and_native_output_are_held_back(capfd):
    shown = io.StringIO()
    with hush(shown):
        print("[torch.onnx] progress")
        print("from python", file=sys.stderr)
        os.write(1, b"from native code\n")
        os.write(2, b"I0000 00:00 x.cc:1] Estimated count of arithmetic ops: 1\n")
        warnings.warn("weights were dropped", UserWarning, stacklevel=1)
    print("after")
    lines = shown.getvalue().splitlines()
    assert "converter: from python" in lines
    assert "converter: from native code" in lines
    assert any("weights were dropped" in line for line in lines)
    assert not any("progress" in line or "Estimated" in line for line in lines)
    assert capfd.readouterr() == ("after\n", "")


def test_all_is_shown_where_it_fails(capfd):
    shown = io.StringIO()
    with pytest.raises(ValueError, match="no"), hush(shown):
        print("[torch.onnx] progress")
        raise ValueError("no")
    assert "[torch.onnx] progress" in shown.getvalue()
    print("after")
    assert capfd.readouterr().out == "after\n"
