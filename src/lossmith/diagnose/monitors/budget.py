"""How much watching a run can bear: what was spent is measured, and no more is begun than its share allows."""

from __future__ import annotations

import time
from typing import final

_CLOCK = time.perf_counter
_FREE = 2


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

    def __init__(self, parts: dict[str, float]) -> None:
        self._parts = parts
        self._used = dict.fromkeys(parts, 0.0)
        self._cost: dict[str, float] = {}
        self._done = dict.fromkeys(parts, 0)
        self._started = _CLOCK()
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
        if self._done[kind] < _FREE:
            return True
        own = _CLOCK() - self._started - self.spent
        return self._used[kind] + self._cost[kind] <= self._parts[kind] * own

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

    def overhead(self) -> float:
        """Return the time spent watching over the time of the run itself, so far."""
        own = _CLOCK() - self._started - self.spent
        return self.spent / own if own > 0 else 0.0
