"""One progress bar for all long work of training."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TypeVar

from edge_ser.errors import require

__all__ = ["ProgressBar", "progress_bar"]

T = TypeVar("T")


class ProgressBar:
    """A bar on standard error; use it as a context manager."""

    def __init__(self, what: str, total: int, unit: str, *, leave: bool, quiet: bool) -> None:
        tqdm = require("tqdm", extra="train", purpose="progress bars")
        self._bar = tqdm.tqdm(total=total, desc=what, unit=unit, leave=leave, disable=quiet)

    def __enter__(self) -> ProgressBar:
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.close()

    def update(self, count: int = 1) -> None:
        """So many more are done."""
        self._bar.update(count)

    def wrap(self, items: Iterable[T]) -> Iterator[T]:
        """The items, each counted when the next is asked for."""
        for item in items:
            yield item
            self._bar.update()

    def say(self, what: str) -> None:
        """Show what is being done."""
        self._bar.set_postfix_str(what)

    def epoch(self, record: dict[str, float]) -> None:
        """Show an epoch's record."""
        self._bar.n = int(record["epoch"])
        self._bar.set_postfix(loss=f"{record['loss']:.3f}")


def progress_bar(
    what: str, total: int, unit: str = "it", *, leave: bool = False, quiet: bool = False
) -> ProgressBar:
    """A bar over `total` things that stays on the screen afterwards if it is to be left; a quiet one is not shown."""
    return ProgressBar(what, total, unit, leave=leave, quiet=quiet)
