"""The one progress bar."""

from __future__ import annotations

import sys

import pytest

from edge_ser.progress import progress_bar


def test_a_bar_counts_what_it_wraps_and_lets_others_write(capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("tqdm", reason="tqdm is not installed (extra 'train')")
    with progress_bar("walking", 3, "step", leave=True) as bar:
        for step in bar.wrap("abc"):
            with bar.aside():
                print(f"at {step}", file=sys.stderr)
        bar.say("home")
    shown = capsys.readouterr().err
    assert "walking" in shown and "3/3" in shown and "home" in shown
    assert all(f"\rat {step}\n" in shown for step in "abc")  # on lines of their own


@pytest.mark.parametrize("quiet", [True, None])  # None: this is no terminal
def test_a_quiet_bar_shows_nothing(quiet: bool | None, capsys: pytest.CaptureFixture[str]) -> None:
    with progress_bar("walking", 3, quiet=quiet) as bar:
        assert list(bar.wrap("abc")) == list("abc")
        bar.epoch({"epoch": 2, "loss": 0.5})
    assert capsys.readouterr().err == ""


def test_without_tqdm_work_goes_on(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "tqdm", None)
    with progress_bar("walking", 3, leave=True) as bar:
        for step in bar.wrap("abc"):
            with bar.aside():
                print(f"at {step}", file=sys.stderr)
        bar.update(2)
        bar.say("home")
        bar.epoch({"epoch": 2, "loss": 0.5})
    assert capsys.readouterr().err == "at a\nat b\nat c\n"
