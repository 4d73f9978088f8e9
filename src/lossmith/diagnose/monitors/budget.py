"""How much watching a run can bear: what was spent is measured, and no more is begun than its share allows."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import final

_FREE = 2
_LOOK = 8
_LONGEST = 1000
# However dear each step's toll is, this much of the share stays for measurements.
_FLOOR = 0.2


@final
class Budget:
    """Keeps the time that watching takes within a share of the time of the run itself.

    Each kind of measurement has its own part of the share, so that a frequent cheap one does not starve a rare dear
    one. What a measurement costs is learned from doing it. The first of each kind is allowed and not counted: it
    warms up caches, and a run's first step is worth seeing.

    Parameters
    ----------
    parts : dict of str to float
        Share of the run's own time for each kind of measurement.
    clock : callable
        Tells the time of the run. By default the processor time of this thread: on a busy machine wall time goes on
        while the run waits, and would be mistaken for work.

    toll : float
        Seconds of watching at each step that are never left out, over the share of time that watching may take in
        all: as much of the run's own time counts as used up at each step.

    Attributes
    ----------
    spent : float
        Seconds spent watching so far, the first measurements included.

    Examples
    --------
    >>> budget = Budget({"layers": 0.05})
    >>> budget.allows("layers")
    True
    """

    def __init__(
        self, parts: dict[str, float], clock: Callable[[], float] = time.thread_time, *, toll: float = 0.0
    ) -> None:
        self._parts = parts
        self._used = dict.fromkeys(parts, 0.0)
        self._cost: dict[str, float] = {}
        self._done = dict.fromkeys(parts, 0)
        self._clock, self._toll = clock, toll
        self._started = clock()
        self._asked, self._latest, self._levied = 0, 0.0, 0.0
        self.spent = 0.0

    def allows(self, kind: str) -> bool:
        """Tell whether one more measurement fits.

        Parameters
        ----------
        kind : str
            One of the parts.

        Returns
        -------
        bool
            True the first two times.
        """
        if self._done[kind] < _FREE or math.isinf(self._parts[kind]):
            return True
        self._asked += 1
        if self._asked % _LOOK == 0:
            self._look()
        return self._used[kind] + self._cost[kind] <= self._parts[kind] * self._latest

    def pause(self, kind: str, steps: int) -> int:
        """Tell how many steps to wait until one more measurement fits.

        Parameters
        ----------
        kind : str
            One of the parts.
        steps : int
            Steps done so far.

        Returns
        -------
        int
            0 if it fits now.
        """
        if self._done[kind] < _FREE or math.isinf(self._parts[kind]):
            return 0
        self._look()
        left = self._latest - steps * self._toll - self._levied
        room = self._parts[kind] * max(_FLOOR * self._latest, left)
        missing = self._used[kind] + self._cost[kind] - room
        if missing <= 0:
            return 0
        return min(_LONGEST, max(1, math.ceil(missing * max(1, steps) / room))) if room > 0 else _FREE

    def charge(self, kind: str, seconds: float) -> None:
        """Book what a measurement took.

        Parameters
        ----------
        kind : str
            One of the parts.
        seconds : float
            Time it took.
        """
        self.spent += seconds
        self._done[kind] += 1
        if self._done[kind] <= _FREE:
            self._cost[kind] = seconds
            return
        self._used[kind] += seconds
        self._cost[kind] = 0.5 * (self._cost[kind] + seconds)

    def levy(self, seconds: float) -> None:
        """Use up some of the run's own time, as each step's toll does.

        Parameters
        ----------
        seconds : float
            As of ``toll``: what watching took, over the share of time that it may take in all.
        """
        self._levied += seconds

    def overhead(self, aside: float = 0.0) -> float:
        """Tell what watching took so far.

        Parameters
        ----------
        aside : float
            Seconds of watching that were not booked.

        Returns
        -------
        float
            Time spent watching over the time of the run itself.
        """
        own = self._clock() - self._started - self.spent - aside
        return (self.spent + aside) / own if own > 0 else 0.0

    def _look(self) -> None:
        """Look up the time that the run itself has had."""
        now = self._clock()
        # Made in one thread and used in another, whose clock stands elsewhere: begin anew.
        self._started = min(self._started, now)
        self._latest = max(0.0, now - self._started - self.spent)
