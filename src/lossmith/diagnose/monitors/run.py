"""What every monitor does with the steps it has seen: keep them, write them down, show them."""

from __future__ import annotations

import dataclasses
import os
import time
from typing import Any, final

from ..journal import Journal
from ..record import LIMIT, Facts, Record, Step
from .live import screen
from .trouble import NonFinite, check_policy, tell


@final
class Run:
    """A record that grows, with its journal and its drawing.

    Parameters
    ----------
    facts : Facts, optional
        What the user knows of the run; monitors fill in the rest.
    path : str or Path, optional
        JSON lines to write while the run goes on.
    live : bool, optional
        See `lossmith.diagnose.monitors.live.screen`.
    nan : {"stop", "warn", "ignore"}
        What to do at the first number that is not finite.
    limit : int
        Steps kept in memory.

    Attributes
    ----------
    record : Record
        The run so far.
    started : float
        When it began, by ``time.perf_counter``.
    found : NonFinite or None
        The first number that was not finite.

    Examples
    --------
    >>> run = Run(None, live=False)
    >>> run.add(Step(0, loss=1.0))
    >>> run.record.total
    1
    """

    def __init__(
        self,
        facts: Facts | None,
        *,
        path: str | os.PathLike[str] | None = None,
        live: bool | None = None,
        nan: str = "stop",
        limit: int = LIMIT,
    ) -> None:
        self.nan = check_policy(nan)
        self.record = Record(facts, limit=limit)
        self.started = time.perf_counter()
        self.found: NonFinite | None = None
        self._journal = None if path is None else Journal(path, self.record.facts)
        self._screen = screen(live)

    def learn(self, **facts: Any) -> None:
        """Fill in facts that the user did not give.

        Parameters
        ----------
        **facts : object
            Fields of `Facts`; those already known, and those that are None, are left alone.
        """
        known = self.record.facts
        fresh = {k: v for k, v in facts.items() if v is not None and getattr(known, k) in (None, ())}
        if fresh:
            self.record.facts = dataclasses.replace(known, **fresh)
            if self._journal is not None:
                self._journal.facts(self.record.facts)

    def add(self, step: Step) -> None:
        """Take in a step.

        Parameters
        ----------
        step : Step
            What was recorded.
        """
        self.record.add(step)
        if self._journal is not None:
            self._journal.write(step)
        self._screen.update(self.record)

    def note(self, step: int, text: str) -> None:
        """Take in a remark.

        Parameters
        ----------
        step : int
            The step it is about.
        text : str
            One line.
        """
        self.record.note(text)
        if self._journal is not None:
            self._journal.note(step, text)

    def trouble(self, found: NonFinite) -> None:
        """Note the first number that is not finite, and stop or warn; later ones are passed over.

        Parameters
        ----------
        found : NonFinite
            Where it came up.

        Raises
        ------
        NonFiniteError
            If the run is to stop; its journal is complete on disk then.
        """
        if self.found is not None:
            return
        self.found = found
        self.note(found.step, f"first number that is not finite: {found}")
        tell(found, self.nan)

    def seconds(self) -> float:
        """Return the time since the run began."""
        return time.perf_counter() - self.started

    def close(self) -> None:
        """Write what is left; a second call does nothing."""
        self._screen.close(self.record)
        if self._journal is not None:
            self._journal.end()
