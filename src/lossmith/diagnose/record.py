"""What happened in a training run, step by step, in bounded memory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, final

import numpy as np

from .step import LAYER_FIELDS, SCALARS, Facts, Layer, Row, Step

__all__ = ["LAYER_FIELDS", "LIMIT", "SCALARS", "Facts", "Layer", "Record", "Row", "Step"]

Array = np.ndarray[Any, Any]

LIMIT = 20_000
"""Steps kept before a record begins to thin them."""


class _Shelf:
    """At most ``limit`` steps, evenly spread over those offered: the first is always among them."""

    __slots__ = ("held", "limit", "offered", "stride")

    def __init__(self, limit: int) -> None:
        self.limit, self.stride, self.offered = limit, 1, 0
        self.held: list[tuple[int, Step | Row]] = []

    def offer(self, index: int, step: Step | Row) -> None:
        if self.offered % self.stride == 0:
            self.held.append((index, step))
        self.offered += 1
        if len(self.held) > self.limit:
            self.held = self.held[::2]
            self.stride *= 2

    def extend(self, index: int, rows: Sequence[Row]) -> None:
        """Offer many, which follow one another from ``index`` on."""
        if self.stride == 1 and len(self.held) + len(rows) <= self.limit:
            self.held.extend(enumerate(rows, index))
            self.offered += len(rows)
            return
        for place, row in enumerate(rows, index):
            self.offer(place, row)

    def steps(self) -> list[tuple[int, Step]]:
        made = [(index, step if isinstance(step, Step) else Step(*step)) for index, step in self.held]
        self.held[:] = made
        return made


@final
class Record:
    """The facts and the steps of one run.

    Every step is kept up to a limit; then plain steps, steps with held-out figures or layers, and steps that are not
    finite are each thinned evenly on their own, so that rare ones do not vanish among many. The first step, the
    last, the first that is not finite and the one before it always stay.

    Parameters
    ----------
    facts : Facts, optional
        What is known of the run.
    limit : int, default 20000
        Steps kept in memory, at least 16.

    Attributes
    ----------
    facts : Facts
        May be replaced while the run goes on.
    total : int
        Steps seen, kept or not.

    Raises
    ------
    ValueError
        If ``limit`` is smaller than 16.

    Examples
    --------
    >>> record = Record.of(Facts(task="binary"), [Step(0, loss=0.9), Step(1), Step(2, loss=float("nan"))])
    >>> steps, values = record.column("loss")
    >>> steps.tolist(), values.tolist()
    ([0, 2], [0.9, nan])
    """

    __slots__ = ("_before", "_last", "_merged", "_notes", "_odd", "_plain", "_rich", "facts", "total")

    def __init__(self, facts: Facts | None = None, *, limit: int = LIMIT) -> None:
        if limit < 16:
            raise ValueError(f"limit is {limit}: a record keeps at least 16 steps")
        self.facts = Facts() if facts is None else facts
        self.total = 0
        self._plain, self._rich, self._odd = _Shelf(limit // 2), _Shelf(limit // 4), _Shelf(limit // 4)
        self._last: tuple[int, Step | Row] | None = None
        self._before: tuple[int, Step | Row] | None = None
        self._merged: tuple[Step, ...] | None = None
        self._notes: list[str] = []

    @classmethod
    def of(cls, facts: Facts, steps: Iterable[Step], *, limit: int = LIMIT) -> Record:
        """Make a record of steps that are already there.

        Parameters
        ----------
        facts : Facts
            Of the run.
        steps : iterable of Step
            In the order in which they happened; consumed as a stream.
        limit : int, default 20000
            Steps kept in memory.

        Returns
        -------
        Record
            Holding them.
        """
        record = cls(facts, limit=limit)
        for step in steps:
            record.add(step)
        return record

    def add(self, step: Step) -> None:
        """Take in the next step.

        Parameters
        ----------
        step : Step
            What was recorded.
        """
        here = (self.total, step)
        if not step.finite:
            if self._odd.offered == 0:
                self._before = self._last
            self._odd.offer(*here)
        elif step.rich:
            self._rich.offer(*here)
        else:
            self._plain.offer(*here)
        self._last, self._merged = here, None
        self.total += 1

    def add_rows(self, rows: Sequence[Row]) -> None:
        """Take in many plain steps at once; they are made into `Step` when someone looks.

        Parameters
        ----------
        rows : sequence of tuple
            Each as ``Step(*row)`` takes it: number, the fields named in `SCALARS`, then perhaps metrics. All numbers
            are finite, and none is of held-out rows.
        """
        if not rows:
            return
        self._plain.extend(self.total, rows)
        self.total += len(rows)
        self._last, self._merged = (self.total - 1, rows[-1]), None

    def with_steps(self, steps: Iterable[Step]) -> Record:
        """Return a record of the same run with other steps.

        Parameters
        ----------
        steps : iterable of Step
            Instead of those here.

        Returns
        -------
        Record
            With the facts and notes of this one.
        """
        other = Record.of(self.facts, steps, limit=max(16, 4 * len(self.steps)))
        other._notes = list(self.notes)
        return other

    def pass_over(self, count: int) -> None:
        """Count steps that a reader left out, evenly spread, to be quick.

        Parameters
        ----------
        count : int
            How many.
        """
        self.total += count

    def note(self, text: str) -> None:
        """Remember a remark on how this record came to be; the same remark is kept once.

        Parameters
        ----------
        text : str
            One line.
        """
        if text not in self._notes:
            self._notes.append(text)

    @property
    def notes(self) -> tuple[str, ...]:
        """Remarks: how columns were guessed, what was dropped."""
        thinned = self.total - len(self.steps)
        last = (f"{thinned} of {self.total} steps were thinned out evenly to bound memory",) if thinned else ()
        return (*self._notes, *last)

    @property
    def steps(self) -> Sequence[Step]:
        """The steps kept, in the order in which they came."""
        if self._merged is None:
            held = dict(self._plain.steps() + self._rich.steps() + self._odd.steps())
            for index, step in (kept for kept in (self._before, self._last) if kept is not None):
                held[index] = step if isinstance(step, Step) else Step(*step)
            self._merged = tuple(held[index] for index in sorted(held))
        return self._merged

    def __len__(self) -> int:
        return len(self.steps)

    def __iter__(self) -> Iterator[Step]:
        return iter(self.steps)

    def __repr__(self) -> str:
        return f"Record({self.total} steps, columns {', '.join(self.names) or 'none'})"

    @property
    def names(self) -> tuple[str, ...]:
        """Names that `column` knows in this record: scalar fields, metrics, then "samples." ones."""
        scalars = [name for name in SCALARS if any(s.value(name) is not None for s in self.steps)]
        metrics = dict.fromkeys(name for s in self.steps for name in s.metrics)
        samples = dict.fromkeys(f"samples.{name}" for s in self.steps for name in s.samples)
        return (*scalars, *metrics, *samples)

    @property
    def layer_names(self) -> tuple[str, ...]:
        """Layers seen, in forward order."""
        return tuple(dict.fromkeys(name for s in self.steps for name in s.layers))

    def column(self, name: str) -> tuple[Array, Array]:
        """Collect one quantity over the run.

        Parameters
        ----------
        name : str
            A scalar field of `Step`, a metric, or "samples." and a name from `Step.samples`.

        Returns
        -------
        steps : ndarray of int64, shape (m,)
            Steps at which it was recorded, in the order in which they came.
        values : ndarray of float64, shape (m,)
            What was recorded, NaN and infinities included; both are empty when it never was.

        Examples
        --------
        >>> record = Record.of(Facts(), [Step(0, loss=1.0), Step(5, loss=0.5, eval_loss=0.7)])
        >>> record.column("eval_loss")
        (array([5]), array([0.7]))
        """
        return _pairs((s.step, s.value(name)) for s in self.steps)

    def layer_column(self, layer: str, name: str) -> tuple[Array, Array]:
        """Collect one quantity of one layer over the run.

        Parameters
        ----------
        layer : str
            One of `layer_names`.
        name : str
            A field of `Layer`.

        Returns
        -------
        steps : ndarray of int64, shape (m,)
            Steps at which it was recorded.
        values : ndarray of float64, shape (m,)
            What was recorded.

        Raises
        ------
        ValueError
            If ``name`` is not a field of `Layer`.

        Examples
        --------
        >>> record = Record.of(Facts(), [Step(0, layers={"fc": Layer(zero_share=0.25)})])
        >>> record.layer_column("fc", "zero_share")
        (array([0]), array([0.25]))
        """
        if name not in LAYER_FIELDS:
            raise ValueError(f"{name!r} is not recorded of a layer: give one of {', '.join(LAYER_FIELDS)}")
        return _pairs((s.step, getattr(s.layers[layer], name)) for s in self.steps if layer in s.layers)


def _pairs(found: Iterable[tuple[int, float | None]]) -> tuple[Array, Array]:
    kept = [(step, value) for step, value in found if value is not None]
    return np.array([s for s, _ in kept], dtype=np.int64), np.array([v for _, v in kept], dtype=np.float64)
