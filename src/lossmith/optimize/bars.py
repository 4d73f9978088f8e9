"""A progress bar for long fits, on terminals only."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from .result import Step

if TYPE_CHECKING:
    from rich.progress import Progress as RichProgress

# Fits that end sooner need no bar; between two drawings so much time goes by.
_PATIENCE, _PERIOD = 2.0, 0.1


class Bar:
    """How far a fit's optimality measure has come on its way to the tolerance, on a logarithmic scale.

    Parameters
    ----------
    tolerance : float
        Where the fit ends.
    """

    def __init__(self, tolerance: float) -> None:
        self._tolerance, self._began, self._drawn = tolerance, time.perf_counter(), 0.0
        self._first = self._share = 0.0
        self._screen: RichProgress | None = None

    @classmethod
    @contextmanager
    def shown(cls, wanted: bool, tolerance: float) -> Iterator[Bar | None]:
        """Yield a bar that is cleared away in the end; None where none is wanted, or nobody would see it."""
        if not (wanted and sys.stderr.isatty()):
            yield None
            return
        bar = cls(tolerance)
        try:
            yield bar
        finally:
            if bar._screen is not None:
                bar._screen.stop()

    def update(self, step: Step) -> None:
        """Draw a step, if it is time.

        Parameters
        ----------
        step : Step
            The latest.
        """
        self._first = self._first or step.optimality
        self._share = max(self._share, self._done(step.optimality))
        now = time.perf_counter()
        if now - self._began < _PATIENCE or now - self._drawn < _PERIOD:
            return
        self._drawn = now
        screen = self._screen = self._screen or _screen()
        text = f"step {step.iteration:,}  objective {step.objective:.6g}  optimality {step.optimality:.0e}"
        if not screen.tasks:
            screen.add_task("", total=1.0)
        screen.update(screen.tasks[0].id, completed=self._share, description=f"{text} of {self._tolerance:.0e}")

    def _done(self, optimality: float) -> float:
        if not (optimality > 0.0 and self._first > self._tolerance > 0.0):
            return 0.0
        return min(max(math.log(self._first / optimality) / math.log(self._first / self._tolerance), 0.0), 1.0)


def _screen() -> RichProgress:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(24), TimeElapsedColumn())
    screen = Progress(*columns, console=Console(stderr=True), transient=True)
    screen.start()
    return screen
