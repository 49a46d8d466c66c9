"""Sinks for people: a live reading on a terminal, plain lines elsewhere."""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Mapping
from pathlib import Path
from typing import TextIO

from edge_ser.audio import SAMPLE_RATE

from ..events import Event
from ..meter import rss_mb
from ..prediction import Prediction
from ..summary import Run, Summary

__all__ = ["LiveSink", "PlainSink", "text_sink"]

_REDRAW_S = 0.04  # a file that is read faster than people see is not drawn faster either
_LEVEL_RANGE = (-60.0, -10.0)  # dBFS from the meter's left end to its right
_EMOTIONS_SHOWN = 3
_Piece = tuple[str, str]  # text and the name of its style, empty for plain
_STYLES = {"bold": "1", "dim": "2", "arousal": "33", "dominance": "35", "valence": "36", "level": "32",
           "speech": "32", "unsure": "33", "silence": "2", "noise": "2", "emotion": "34", "lost": "31;1"}  # fmt: skip


class PlainSink:
    """A line for each prediction and the summary at the end; for files, pipes and terminals that cannot redraw."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._head: str | None = None

    def start(self, run: Run) -> None:
        """Say what is heard: now where somebody waits for it, else with the first answer."""
        self._head = f"{run.source}, {run.model} on {run.engine} {run.precision}"
        if run.live:
            self._write_head()

    def _write_head(self) -> None:
        if self._head is not None:
            self._write(self._head)
            self._head = None

    def prediction(self, prediction: Prediction) -> None:
        """Write a line."""
        self._write_head()
        p = prediction
        said = f"{'':15}  (dozing){'':37}" if p.dozed else f"{p.label:>10} {p.confidence:4.0%}"
        if p.rated:
            said += f"  arousal {p.arousal:.2f}  dominance {p.dominance:.2f}  valence {p.valence:.2f}"
        self._write(
            f"{p.end / p.sample_rate:8.2f} s  {p.state:7}  {said}  {p.level_db:4.0f} dB"
            + (f"  {p.lost_samples} samples lost" if p.lost_samples else "")
        )

    def event(self, event: Event) -> None:
        """Write a line."""
        self._write(f"{event.at / SAMPLE_RATE:8.2f} s  {event.kind}: {event.text}")

    def summary(self, summary: Summary) -> None:
        """Write the summary."""
        self._write(summary.to_text())

    def _write(self, line: str) -> None:
        self._out.write(line + "\n")
        self._out.flush()

    def close(self) -> None:
        """Nothing to let go of."""


class LiveSink:
    """A reading that redraws itself in place.

    Parameters
    ----------
    out : text file
        A terminal that knows the ANSI sequences for colour and cursor.
    colour : bool
        Use colours.
    """

    def __init__(self, out: TextIO, *, colour: bool = True) -> None:
        self._out, self._colour = out, colour
        self._fine = _can_encode(out, "█▌▁▇·")
        self._levels: deque[float] = deque(maxlen=200)
        self._drawn = 0  # lines of ours on the screen
        self._last: Prediction | None = None
        self._drawn_at = -_REDRAW_S

    def start(self, run: Run) -> None:
        """Remember what is heard; the first answer draws."""
        self._run = run

    def prediction(self, prediction: Prediction) -> None:
        """Draw the reading anew."""
        self._last = prediction
        self._levels.append(prediction.level_db)
        now = time.monotonic()
        if now - self._drawn_at >= _REDRAW_S:
            self._drawn_at = now
            self._draw(prediction)

    def event(self, event: Event) -> None:
        """Write it above the reading, where it stays."""
        self._out.write((f"\x1b[{self._drawn}A\r\x1b[J" if self._drawn else "") + f"edge-ser: {event.text}\n")
        self._drawn = 0
        if self._last is not None:
            self._draw(self._last)
        self._out.flush()

    def summary(self, summary: Summary) -> None:
        """Leave the last reading and write the summary under it."""
        if self._last is not None:
            self._draw(self._last)
        self._out.write(summary.to_text() + "\n")
        self._out.flush()

    def close(self) -> None:
        """Nothing to let go of: each drawing leaves the cursor under it and the colours as they were."""

    def _draw(self, prediction: Prediction) -> None:
        columns, rows = _size(self._out)
        lines = self._lines(prediction, max(1, columns - 1))[: max(1, rows - 1)]
        # One write, so that no half of a drawing is seen.
        up = f"\x1b[{self._drawn}A" if self._drawn else ""
        self._out.write(up + "".join(f"\r{line}\x1b[K\n" for line in lines) + "\x1b[J")
        self._out.flush()
        self._drawn = len(lines)

    def _lines(self, p: Prediction, width: int) -> list[str]:
        run = self._run
        bar = max(0, width - 18)  # between a name of 11 columns and a value of 7
        quiet = p.state in ("silence", "noise")

        def row(name: str, share: float, value: str, style: str) -> list[_Piece]:
            if p.dozed:  # the model heard nothing, so there is nothing to show
                share, value = 0.0, "-"
            return [
                (f"{name[:10]:11}", ""),
                (self._bar(share, bar), "dim" if quiet else style),
                (f"{value:>6}", ""),
            ]

        rows = [self._head(p, width), self._level(p, width)]
        for name in ("arousal", "dominance", "valence") if p.rated or p.dozed else ():
            value = getattr(p, name)
            rows.append(row(name, value, f"{value:.2f}", name))
        for place, (label, share) in enumerate(p.ranked()[:_EMOTIONS_SHOWN]):
            rows.append(row(label, share, f"{share:.0%}", "emotion" if place == 0 else "dim"))
        lost = run.ledger.lost_samples
        duty = run.duty_cycle(run.meter.cpu_s) or 0.0
        foot = f"   answer {p.latency_ms:.1f} ms   load {duty:.1%}   {rss_mb():.0f} MB"
        rows.append([
            (f"lost {lost}" if lost else "nothing lost", "lost" if lost else "dim"),
            (foot + ("   Ctrl-C ends" if run.live else ""), "dim"),
        ])  # fmt: skip
        return [self._line(pieces, width) for pieces in rows]

    def _head(self, p: Prediction, width: int) -> list[_Piece]:
        run = self._run
        encoding = self._out.encoding or "ascii"
        # Escaped here as it is on its way out, so that the line is as wide as it is counted.
        source = Path(run.source).name.encode(encoding, "backslashreplace").decode(encoding)
        text = f"edge-ser  {run.model}  {run.engine} {run.precision}  {source}"
        clock = _clock(p.end / p.sample_rate)
        room = max(0, width - len(clock) - 1)
        return [(f"{text[:room]:{room}} {clock}", "bold")]

    def _level(self, p: Prediction, width: int) -> list[_Piece]:
        told = f" {p.level_db:4.0f} dB  {p.state:7}"
        room = max(0, width - 11 - len(told))
        low, high = _LEVEL_RANGE
        steps = " ▁▂▃▄▅▆▇█" if self._fine else " .:-=+*#%"
        shares = [min(1.0, max(0.0, (level - low) / (high - low))) for level in self._levels]
        curve = "".join(steps[round(share * (len(steps) - 1))] for share in shares)
        curve = curve[-room:] if room else ""
        return [(f"{'level':11}", ""), (f"{curve:{room}}", "level"), (told, p.state)]

    def _line(self, pieces: list[_Piece], width: int) -> str:
        """Pieces of a line, cut to the width: a line that wraps would break the redrawing."""
        line = ""
        for text, style in pieces:
            text, width = text[:width], width - len(text[:width])
            line += f"\x1b[{_STYLES[style]}m{text}\x1b[0m" if self._colour and style and text else text
        return line

    def _bar(self, share: float, width: int) -> str:
        share = min(1.0, max(0.0, share))
        if not self._fine:
            full = round(share * width)
            return "#" * full + "." * (width - full)
        eighths = round(share * width * 8)
        full, part = divmod(eighths, 8)
        bar = "█" * full + (" ▏▎▍▌▋▊▉"[part] if part else "")
        return bar + "·" * (width - len(bar))


def text_sink(out: TextIO, environment: Mapping[str, str] = os.environ) -> LiveSink | PlainSink:
    """The sink that suits a text file: live on a terminal, plain lines elsewhere.

    Parameters
    ----------
    out : text file
        Usually standard output.
    environment : mapping
        ``NO_COLOR`` (any value but the empty one) turns colours off, ``TERM=dumb`` the redrawing.
    """
    if not out.isatty() or environment.get("TERM") == "dumb":
        return PlainSink(out)
    return LiveSink(out, colour=not environment.get("NO_COLOR"))


def _size(out: TextIO) -> tuple[int, int]:
    """Columns and rows; 80 x 24 for what has no size."""
    try:
        size = os.get_terminal_size(out.fileno())
    except (OSError, ValueError):
        return 80, 24
    return size.columns or 80, size.lines or 24


def _can_encode(out: TextIO, text: str) -> bool:
    try:
        text.encode(out.encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return False
    return True


def _clock(seconds: float) -> str:
    minutes, rest = divmod(seconds, 60)
    hours, minutes = divmod(int(minutes), 60)
    return f"{hours:02}:{minutes:02}:{rest:05.2f}"
