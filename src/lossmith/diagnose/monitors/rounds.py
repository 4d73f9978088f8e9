"""What the monitors of boosters have in common: rounds with measures on sets of rows."""

from __future__ import annotations

import math
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self, Unpack, final

from ..readers.boosters import booster_roles
from ..record import Record, Step
from .derivatives import Watched
from .run import Run, RunOptions
from .trouble import NonFinite

Measures = Mapping[tuple[str, str], float]


@final
class Rounds:
    """Records the rounds of a booster.

    Parameters
    ----------
    framework : str
        Its name.
    **options
        ``path``, ``live``, ``nan``, ``facts``, ``limit``: see `lossmith.RunOptions`.

    Examples
    --------
    >>> rounds = Rounds("lightgbm", live=False)
    >>> rounds.add(0, {("training", "l2"): 0.5, ("valid_1", "l2"): 0.6}, 0.1)
    >>> rounds.run.record.steps[0].eval_loss
    0.6
    """

    def __init__(
        self,
        framework: str,
        **options: Unpack[RunOptions],
    ) -> None:
        self.run = Run(**options)
        self.run.learn(framework=framework, source=f"{framework} monitor")
        self._roles: dict[tuple[str, str], str] = {}

    @property
    def record(self) -> Record:
        """The run so far."""
        return self.run.record

    def add(self, number: int, measures: Measures, rate: float | None = None) -> None:
        """Record one round.

        Parameters
        ----------
        number : int
            From 0.
        measures : mapping of (str, str) to float
            By rows and measure.
        rate : float, optional
            Learning rate.

        Raises
        ------
        NonFiniteError
            If a measure is not finite and ``nan="stop"``.
        """
        if any(key not in self._roles for key in measures):
            self._roles = booster_roles(list(dict.fromkeys([*self._roles, *measures])))
        named = {self._roles[key]: float(value) for key, value in measures.items()}
        loss, held_out = named.pop("loss", None), named.pop("eval_loss", None)
        self.run.add(Step(number, loss, held_out, rate, seconds=self.run.seconds(), metrics=named))
        bad = next((key for key, value in measures.items() if not math.isfinite(value)), None)
        if bad is not None and self.run.nan != "ignore":
            self.run.trouble(NonFinite(number, f"{bad[1]} of '{bad[0]}'", detail=f"is {measures[bad]}"))

    def trouble(self, found: NonFinite) -> None:
        """Be told of a number that is not finite.

        Parameters
        ----------
        found : NonFinite
            Where it came up.
        """
        if self.run.nan != "ignore":
            self.run.trouble(found)

    def watch(self, booster: Any, number: int) -> None:
        """Look at the derivatives of a custom objective in the round that comes.

        Parameters
        ----------
        booster : object
            What is trained.
        number : int
            That round.
        """
        if self.run.nan != "ignore":
            Watched(booster, self.trouble, number)


class RoundMonitor:
    """Base of the boosters' monitors: a context that writes what is left when it ends.

    Parameters
    ----------
    framework : str
        Its name.
    **options
        ``path``, ``live``, ``nan``, ``facts``, ``limit``: see `lossmith.RunOptions`.
    """

    def __init__(self, framework: str, **options: Unpack[RunOptions]) -> None:
        self._rounds = Rounds(framework, **options)

    @property
    def record(self) -> Record:
        """The run so far."""
        return self._rounds.record

    def close(self) -> None:
        """Write what is left; a second call does nothing."""
        self._rounds.run.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
