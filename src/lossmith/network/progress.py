"""A bar while a network trains."""

from __future__ import annotations

import math
import sys
import time
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from .events import EpochEvent, Event, Watch

if TYPE_CHECKING:
    from rich.progress import Progress as RichBar

# Seconds after which a bar appears, and between plain lines.
_PATIENCE = 1.0
_BETWEEN = 5.0


class Bar:
    """Shows epochs and losses on stderr: a bar on a terminal, a plain line now and then elsewhere.

    Parameters
    ----------
    epochs : int
        How many are planned.
    watch : callable, optional
        Another one who watches; what it returns counts.

    Examples
    --------
    >>> with Bar(epochs=10) as watch:
    ...     watch(EpochEvent(1, 5, 0.5, 0.4, 0.1, 1.0, 0.01))
    """

    def __init__(self, epochs: int, watch: Watch | None = None) -> None:
        self._epochs, self._watch = epochs, watch
        self._bar: RichBar | None = None
        self._task: Any = None
        self._said = 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def __call__(self, event: Event) -> bool | None:
        """Show an epoch, and pass the event on."""
        if isinstance(event, EpochEvent) and event.seconds > _PATIENCE:
            self._show(event)
        return None if self._watch is None else self._watch(event)

    def _show(self, event: EpochEvent) -> None:
        line = f"epoch {event.epoch}/{self._epochs}  loss {event.loss:.4g}"
        if not math.isnan(event.valid_loss):
            line += f"  held out {event.valid_loss:.4g}"
        left = event.seconds / event.epoch * (self._epochs - event.epoch)
        if sys.stderr.isatty():
            self._drawn().update(self._task, completed=event.epoch, description=f"{line}  at most {left:.0f} s left")
        elif time.monotonic() - self._said > _BETWEEN:
            self._said = time.monotonic()
            print(line, file=sys.stderr, flush=True)

    def _drawn(self) -> RichBar:
        if self._bar is None:
            from rich.console import Console
            from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn

            columns = SpinnerColumn(), BarColumn(bar_width=24), TextColumn("{task.description}", markup=False)
            self._bar = Progress(*columns, console=Console(stderr=True), transient=True)
            self._task = self._bar.add_task("", total=self._epochs)
            self._bar.start()
        return self._bar
