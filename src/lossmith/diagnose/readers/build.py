"""Rows of numbers become a record: steps counted where they are missing, put in order where they go back."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any, final

from ..record import SCALARS, Facts, Record, Step
from ..step import LARGEST_STEP
from .naming import STEP, Naming

_RESTARTS = 3


def whole(value: float | None) -> int | None:
    """Return the number of a step.

    Parameters
    ----------
    value : float, optional
        As read.

    Returns
    -------
    int or None
        None for what counts nothing: NaN, infinities, and what 64 bits cannot hold.

    Examples
    --------
    >>> whole(3.0), whole(float("nan")), whole(1e30)
    (3, None, None)
    """
    return None if value is None or not abs(value) < LARGEST_STEP else int(value)


@final
class Builder:
    """Collects the rows of one log.

    Parameters
    ----------
    facts : Facts
        Known before the first row.
    naming : Naming
        What the columns are.
    limit : int
        Steps kept in memory.

    Attributes
    ----------
    record : Record
        So far.
    skipped : int
        Lines that could not be read.

    Examples
    --------
    >>> builder = Builder(Facts(), Naming(), 100)
    >>> for loss in (1.0, 0.5):
    ...     builder.row({"train_loss": loss})
    >>> builder.finish().column("loss")
    (array([0, 1]), array([1. , 0.5]))
    """

    def __init__(self, facts: Facts, naming: Naming, limit: int) -> None:
        self.record = Record(facts, limit=limit)
        self.skipped = 0
        self._naming = naming
        self._clock: float | None = None
        self._counted = 0

    def row(self, numbers: Mapping[str, float], place: int | None = None) -> None:
        """Take in one row.

        Parameters
        ----------
        numbers : mapping of str to float
            By column; those not recorded are absent.
        place : int, optional
            Number of the row, where rows were passed over; the step if no column says it.
        """
        self._naming.learn(numbers)
        fields = {self._naming.field(name): float(value) for name, value in numbers.items()}
        step = whole(fields.pop(STEP, None))
        count = self._counted if place is None else place
        self._counted = count + 1
        if step is None:
            epoch = fields.get("epoch")
            step = whole(epoch) if epoch is not None and epoch.is_integer() else None
            step = count if step is None else step
            self.record.note("no column says the step: rows are counted, or epochs taken")
        if "seconds" in fields:
            self._clock = fields["seconds"] if self._clock is None else self._clock
            fields["seconds"] -= self._clock if self._clock > 1e8 else 0.0  # a date, not a duration
        scalars: dict[str, Any] = {name: fields.pop(name) for name in SCALARS if name in fields}
        if scalars or fields:
            self.record.add(Step(step, **scalars, metrics=fields))

    def finish(self) -> Record:
        """Return the record, in order, with notes on what was guessed and dropped.

        Returns
        -------
        Record
            Of the last run in the log.

        Raises
        ------
        ValueError
            If there was nothing in it.
        """
        if self.record.total == 0:
            raise ValueError("no line of it holds a number that could be read")
        for field, column in self._naming.missing().items():
            # Held-out figures may come later in a log that still grows; without the loss there is nothing to tell.
            if field == "loss":
                raise ValueError(self._naming.lacks(column))
            self.record.note(f"{field}: {self._naming.lacks(column)}")
        if self._naming.note:
            self.record.note(self._naming.note)
        if self.skipped:
            self.record.note(f"{self.skipped} line{'s' if self.skipped > 1 else ''} passed over: could not be read")
        return in_order(self.record)


def in_order(record: Record) -> Record:
    """Put steps that go back in order.

    Parameters
    ----------
    record : Record
        In the order of the log.

    Returns
    -------
    Record
        The same one if steps never go back. A run that was started again, or resumed, replaces what it did again;
        steps that go back often are sorted. Either is noted.
    """
    steps = list(record.steps)
    back = [i for i in range(1, len(steps)) if steps[i].step < steps[i - 1].step]
    kept: list[Step] = steps
    if back and len(back) <= _RESTARTS:
        kept = _resumed(steps)
        places = ", ".join(f"{steps[i - 1].step} to {steps[i].step}" for i in back)
        record.note(f"steps go back ({places}): the run was started again; what it did again replaces what was before")
    elif back:
        kept = sorted(steps, key=lambda s: s.step)
        record.note(f"steps go back {len(back)} times: sorted; several runs may be mixed in it")
    twice = sum(a.step == b.step and a.loss is not None and b.loss is not None for a, b in itertools.pairwise(kept))
    if twice:
        record.note(f"{twice} steps have more than one loss: several runs may be mixed in it")
    return record if kept is steps else record.with_steps(kept)


def _resumed(steps: list[Step]) -> list[Step]:
    kept: list[Step] = []
    for step in steps:
        while kept and kept[-1].step > step.step:
            kept.pop()
        # A second loss at the step it went back to belongs to the new part.
        if kept and kept[-1].step == step.step and step.loss is not None and kept[-1].loss is not None:
            kept.pop()
        kept.append(step)
    return kept
