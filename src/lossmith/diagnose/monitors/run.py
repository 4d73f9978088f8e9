"""What every monitor does with the steps it has seen: keep them, write them down, show them."""

from __future__ import annotations

import dataclasses
import math
import os
import time
from typing import Any, TypedDict, Unpack, final

from ..journal import Journal
from ..record import LIMIT, Facts, Record, Row, Step
from .live import screen
from .trouble import NonFinite, check_policy, tell

# Plain steps are handed on together: this many, or those of this many seconds.
_WINDOW = 64
_SECONDS = 0.2


class RunOptions(TypedDict, total=False):
    """What every monitor can be told about the record it makes.

    Attributes
    ----------
    path : str or Path
        JSON lines to write while the run goes on, at least once a second; `lossmith watch` follows them.
    live : bool
        Draw while the run goes on; by default on a terminal and in a notebook.
    nan : {"stop", "warn", "ignore"}
        What to do at the first number that is not finite; "stop", the default, raises `NonFiniteError`.
    facts : Facts
        What is known of the run, such as the task; monitors fill in what they see.
    limit : int
        Steps kept in memory: 20000 by default, then they are thinned evenly.

    Examples
    --------
    >>> import lossmith as lm
    >>> options: lm.RunOptions = {"live": False, "nan": "warn"}
    >>> lm.FitMonitor(**options).record.total
    0
    """

    path: str | os.PathLike[str] | None
    live: bool | None
    nan: str
    facts: Facts | None
    limit: int


def is_plain(name: str, value: float) -> bool:
    """Tell whether a metric may go with a plain step, as of `Run.quick`.

    Parameters
    ----------
    name : str
        Of the metric.
    value : float
        What was measured.

    Returns
    -------
    bool
        If it is finite and not of held-out rows.
    """
    return math.isfinite(value) and not name.startswith("eval_")


@final
class Run:
    """A record that grows, with its journal and its drawing.

    Parameters
    ----------
    **options
        As of `RunOptions`.

    Attributes
    ----------
    started : float
        When it began, by ``time.perf_counter``.
    found : NonFinite or None
        The first number that was not finite.

    Raises
    ------
    TypeError
        For an option that does not exist: a misspelt path would lose the record.

    Examples
    --------
    >>> run = Run(live=False)
    >>> run.add(Step(0, loss=1.0))
    >>> run.quick((1, 0.5, None, 0.1, None, None, None, None, 0.01))
    >>> run.record.total
    2
    """

    def __init__(self, **options: Unpack[RunOptions]) -> None:
        unknown = sorted(set(options) - RunOptions.__optional_keys__)
        if unknown:
            raise TypeError(
                f"no option is called {unknown[0]!r}; give {', '.join(sorted(RunOptions.__optional_keys__))}"
            )
        path = options.get("path")
        self.nan = check_policy(options.get("nan", "stop"))
        self._record = Record(options.get("facts"), limit=options.get("limit", LIMIT))
        self.started = time.perf_counter()
        self.found: NonFinite | None = None
        self._journal = None if path is None else Journal(path, self._record.facts)
        self._screen = screen(options.get("live"))
        self._rows: list[Row] = []
        self._due = 0.0

    @property
    def record(self) -> Record:
        """The run so far."""
        self.settle()
        return self._record

    def learn(self, **facts: Any) -> None:
        """Fill in facts that the user did not give.

        Parameters
        ----------
        **facts : object
            Fields of `Facts`; those already known, and those that are None, are left alone.
        """
        known = self._record.facts
        fresh = {k: v for k, v in facts.items() if v is not None and getattr(known, k) in (None, ())}
        if fresh:
            self._record.facts = dataclasses.replace(known, **fresh)
            if self._journal is not None:
                self._journal.facts(self._record.facts)

    def add(self, step: Step) -> None:
        """Take in a step.

        Parameters
        ----------
        step : Step
            What was recorded.
        """
        self.settle()
        self._record.add(step)
        if self._journal is not None:
            self._journal.write(step)
        self._screen.update(self._record)

    def quick(self, row: Row) -> None:
        """Take in a plain step, at a small part of what `add` costs.

        It is handed on with those that follow: some in a window of 0.2 s, each one where steps are long.

        Parameters
        ----------
        row : tuple
            As of `Record.add_rows`, with the seconds of ``Step.seconds``.
        """
        rows = self._rows
        rows.append(row)
        if len(rows) >= _WINDOW or row[8] >= self._due:
            self.settle()
            self._due = row[8] + _SECONDS

    def take(self, rows: list[Row]) -> None:
        """Take in plain steps that have waited for each other elsewhere.

        Parameters
        ----------
        rows : list of tuple
            As of `Record.add_rows`, each with its seconds.
        """
        self._rows += rows
        self.settle()

    def settle(self) -> None:
        """Hand on the plain steps that wait."""
        if self._rows:
            rows, self._rows = self._rows, []
            self._record.add_rows(rows)
            if self._journal is not None:
                self._journal.write_rows(rows)
            self._screen.update(self._record)

    def note(self, step: int, text: str) -> None:
        """Take in a remark.

        Parameters
        ----------
        step : int
            The step it is about.
        text : str
            One line.
        """
        self.settle()
        self._record.note(text)
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
