"""What all pictures share: colours, style, and a figure that is written whole or not at all."""

from __future__ import annotations

import io
import logging
import os
import re
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from edge_ser.errors import EdgeSerError, require
from edge_ser.files import valid_text, write_atomic

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = [
    "ACCENT",
    "EMOTION_COLOURS",
    "FAINT",
    "INK",
    "OTHER",
    "as_svg",
    "check_picture",
    "colours_of",
    "figure_at",
    "literal",
    "require_matplotlib",
    "svg",
]

EMOTION_COLOURS: Mapping[str, str] = {
    "angry": "#d1343b",
    "bored": "#8d7b68",
    "calm": "#5bb5a6",
    "disgust": "#7d9b3a",
    "fearful": "#7c559f",
    "happy": "#f2b722",
    "neutral": "#c3c7ce",
    "sad": "#3f72b0",
    "surprised": "#ee8550",
}
"""A fixed colour for each of the project's emotions, the same in every picture."""

_SPARE_COLOURS = ("#3aa3c9", "#b5651d", "#e377c2", "#17375e", "#a6d75b", "#f4c2c2")
INK, FAINT = "#2b2f36", "#d9dce1"
ACCENT, OTHER = "#3f72b0", "#ee8550"
_STYLE = {
    "font.size": 10,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": "#9aa0a8",
    "axes.titlesize": 12,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.color": INK,
    "ytick.color": INK,
    "legend.frameon": False,
    "svg.hashsalt": "edge-ser",  # the same figures give the same file
}
_SUFFIXES = (".png", ".svg", ".pdf")
_MISSING = re.compile(r"Glyph (\d+) ")


def check_picture(path: str | os.PathLike[str]) -> ModuleType:
    """Refuse a file that could not be drawn, before work is put into its content.

    Parameters
    ----------
    path : path
        The file to be.

    Returns
    -------
    module
        matplotlib.

    Raises
    ------
    MissingExtraError
        matplotlib is not installed.
    EdgeSerError
        It is no ``.png``, ``.svg`` or ``.pdf`` file.
    """
    if Path(path).suffix.lower() not in _SUFFIXES:
        raise EdgeSerError(
            f"{path} is no kind of picture that can be drawn; name a {', '.join(_SUFFIXES)} file"
        )
    return require_matplotlib("drawing pictures")


def require_matplotlib(purpose: str) -> ModuleType:
    """`edge_ser.errors.require` of matplotlib, without what it says where the home folder cannot be written."""
    log = logging.getLogger("matplotlib")
    level = log.level
    log.setLevel(logging.ERROR)
    try:
        return require("matplotlib", extra="plot", purpose=purpose)
    finally:
        log.setLevel(level)


@contextmanager
def figure_at(path: str | os.PathLike[str], inches: tuple[float, float], dpi: int) -> Iterator[Figure]:
    """A figure that is written to `path` when the block ends well; needs no display and no pyplot."""
    matplotlib = check_picture(path)
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    with matplotlib.rc_context(_STYLE):
        figure = Figure(figsize=inches, dpi=dpi, layout="constrained", facecolor="white")
        FigureCanvasAgg(figure)
        yield figure
        suffix = Path(path).suffix.lower()
        data = io.BytesIO()
        dated: dict[str, Any] = {".svg": {"Date": None}, ".pdf": {"CreationDate": None}}.get(suffix, {})
        with _missing_characters_told():
            figure.savefig(data, format=suffix[1:], metadata=dated)
    write_atomic(path, data.getvalue())


def literal(text: str) -> str:
    """A name as it is drawn as it stands: what lies between two dollars would be typeset as a formula, or be no formula
    and end the drawing, and a byte of a file's name that is no UTF-8 has no character to draw.
    """
    return valid_text(text).replace("$", r"\$")


@contextmanager
def _missing_characters_told() -> Iterator[None]:
    """One sentence on standard error for all characters that the font lacks, where matplotlib warns of each."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.filterwarnings("always", _MISSING.pattern, UserWarning)
        yield
    found = [_MISSING.match(str(one.message)) for one in caught]
    for one, match in zip(caught, found, strict=True):
        if match is None:
            warnings.warn_explicit(one.message, one.category, one.filename, one.lineno)
    if lacking := "".join(sorted({chr(int(match[1])) for match in found if match})):
        print(f"edge-ser: the picture's font has no {lacking!r}; boxes stand in their place", file=sys.stderr)


def svg(inches: tuple[float, float], draw: Callable[[Figure], None]) -> bytes:
    """What `draw` puts on a figure of a size, as SVG text; the same drawing gives the same bytes."""

    def drawn(path: Path) -> None:
        with figure_at(path, inches, dpi=100) as figure:
            draw(figure)

    return as_svg(drawn)


def as_svg(plot: Callable[..., None], *args: Any, **options: Any) -> bytes:
    """What a function that draws into a file would write, as SVG text."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "picture.svg"
        plot(path, *args, **options)
        return path.read_bytes()


def colours_of(names: Sequence[str]) -> list[str]:
    """The emotions' own colours, and spare ones in turn for all other names."""
    spare = iter(range(len(names)))
    return [EMOTION_COLOURS.get(name) or _SPARE_COLOURS[next(spare) % len(_SPARE_COLOURS)] for name in names]
