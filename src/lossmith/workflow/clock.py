"""How much of the budget is left, and turning signals into a clean end."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class Clock:
    """The time of a run.

    Parameters
    ----------
    budget : float
        Wall time in seconds for the whole command.
    started : float, optional
        ``time.monotonic()`` at its beginning.

    Attributes
    ----------
    cut : bool
        Whether something was left out for lack of time.
    interrupted : bool
        Whether the user asked to end.
    """

    def __init__(self, budget: float, started: float | None = None) -> None:
        self.budget = budget
        self.started = time.monotonic() if started is None else started
        self.stop_at = self.started + budget
        self.cut = False
        self.interrupted = False

    @property
    def elapsed(self) -> float:
        """Seconds since the beginning."""
        return time.monotonic() - self.started

    @property
    def spent(self) -> bool:
        """Whether to launch no more."""
        return self.interrupted or time.monotonic() >= self.stop_at

    def reserve(self, share: float) -> None:
        """Keep a share of the whole budget for what comes after."""
        self.stop_at = self.started + self.budget * (1.0 - share)

    def estimate(self, remaining: int, jobs: int, seconds: float) -> float:
        """Estimate the seconds until the remaining trials are done or the time is up.

        Parameters
        ----------
        remaining : int
            Trials to go.
        jobs : int
            How many run at once.
        seconds : float
            What the last one took.

        Returns
        -------
        float
            At least 0.
        """
        return max(0.0, min(remaining * seconds / jobs, self.stop_at - time.monotonic()))


@contextmanager
def signals_interrupt() -> Iterator[None]:
    """Let SIGTERM end the training as Ctrl-C does; the steps that follow work with what is there.

    Signals reach the main thread only; elsewhere this changes nothing.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
