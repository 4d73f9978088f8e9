"""When to look closely: every so many steps, or as often as a budget allows."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import final

from .budget import Budget

NEVER = 1 << 62
_ASK = 16


@final
class Schedule:
    """Spaces each kind of measurement by what it was seen to cost.

    Parameters
    ----------
    gaps : mapping of str to int
        For each kind, the fewest steps between two of them.
    parts : mapping of str to float
        Share of the run's own time for each kind.
    every : int, optional
        Do the kind "layers" every so many steps, and the others at each, whatever it costs.
    toll : float
        Seconds that watching takes at each step anyway: they leave less for these measurements.

    Attributes
    ----------
    next : int
        No kind is due before this step.
    budget : Budget
        To be told what each measurement took.

    Examples
    --------
    >>> schedule = Schedule({"layers": 10}, {"layers": 0.05}, every=4)
    >>> [step for step in range(9) if schedule.due("layers", step)]
    [0, 4, 8]
    """

    def __init__(
        self, gaps: Mapping[str, int], parts: Mapping[str, float], *, every: int | None = None, toll: float = 0.0
    ) -> None:
        if every is not None and every < 1:
            raise ValueError(f"every={every}: give the number of steps between two looks at the layers, at least 1")
        self._every, self._gaps = every, dict(gaps)
        self._next = dict.fromkeys(gaps, 0)
        self.next = 0
        self.budget = Budget({kind: math.inf if every else part for kind, part in parts.items()}, toll=toll)

    def due(self, kind: str, step: int) -> bool:
        """Tell whether to measure at a step, and plan when to ask again.

        Parameters
        ----------
        kind : str
            One of the kinds.
        step : int
            Asked for once, in rising order.

        Returns
        -------
        bool
            If it is time, and the budget allows it.
        """
        if self._every is not None:
            self.next = step + 1
            return kind != "layers" or step % self._every == 0
        if step < self._next[kind]:
            return False
        pause = self.budget.pause(kind, step)
        # Ever rarer in a long run: what a record holds of layers is bounded.
        gap = self._gaps[kind]
        spaced = max(gap, step // 200) if gap > 1 else gap
        # Asking is not free either.
        self._next[kind] = step + (max(_ASK, pause) if pause else spaced)
        self.next = min(self._next.values())
        return not pause

    def holds_off(self, kind: str, step: int) -> bool:
        """Tell, at no cost, whether a kind is not due yet for certain.

        Parameters
        ----------
        kind : str
            One of the kinds.
        step : int
            The step.

        Returns
        -------
        bool
            False where `due` has to be asked.
        """
        return self._every is None and step < self._next[kind]
