"""One progress bar for all long work."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from typing import Any, TypeVar

from edge_ser.errors import MissingExtraError, require

__all__ = ["ProgressBar", "progress_bar"]

T = TypeVar("T")


class ProgressBar:
    """What `progress_bar` makes, tqdm's bar or None; use it as a context manager."""

    def __init__(self, bar: Any) -> None:
        self._bar = bar

    def __enter__(self) -> ProgressBar:
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.close()

    def update(self, count: int = 1) -> None:
        """So many more are done."""
        if self._bar is not None:
            self._bar.update(count)

    def wrap(self, items: Iterable[T]) -> Iterator[T]:
        """The items, each counted when the next is asked for."""
        for item in items:
            yield item
            self.update()

    def aside(self) -> contextlib.AbstractContextManager[Any]:
        """While it lasts, others may write on standard error: the bar is taken away and drawn again."""
        return contextlib.nullcontext() if self._bar is None else self._bar.external_write_mode()

    def say(self, what: str) -> None:
        """Show what is being done."""
        if self._bar is not None:
            self._bar.set_postfix_str(what)

    def epoch(self, record: dict[str, float]) -> None:
        """Show an epoch's record."""
        if self._bar is not None:
            self._bar.n = int(record["epoch"])
            self._bar.set_postfix(loss=f"{record['loss']:.3f}")


def progress_bar(
    what: str | None,
    total: int | None,
    unit: str = "it",
    *,
    leave: bool = False,
    quiet: bool | None = False,
    delay: float = 0.0,
) -> ProgressBar:
    """A bar on standard error where tqdm is installed: what takes long is worth doing without one, too.

    Parameters
    ----------
    what : str or None
        In front of it.
    total : int or None
        So many things; None where nobody knows.
    unit : str
    leave : bool
        It stays on the screen afterwards.
    quiet : bool or None
        It is not shown; None shows it on a terminal alone.
    delay : float
        Seconds until it is shown, for work that may be done already.
    """
    try:
        tqdm = require("tqdm", extra="train", purpose="progress bars").tqdm
    except MissingExtraError:
        return ProgressBar(None)
    return ProgressBar(tqdm(total=total, desc=what, unit=unit, leave=leave, disable=quiet, delay=delay))
