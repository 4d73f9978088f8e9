"""A record as the rules look at it: columns as arrays, read once, and cut at any step."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import cached_property
from typing import final

import numpy as np

from ..record import Facts, Record
from .curves import Array, Curve

_HUGE = 1e100  # beyond it squares overflow; no rule tells such numbers apart


def _curve(steps: Array, values: Array) -> Curve:
    finite = np.isfinite(values)
    return Curve(steps, np.where(finite, np.clip(np.where(finite, values, 0.0), -_HUGE, _HUGE), values))


@final
class View:
    """A record up to a step.

    Parameters
    ----------
    record : Record
        What happened.
    until : int, optional
        Last step to look at; all of them by default.
    numbers : mapping of str to float, optional
        What probes of the live model measured.

    Examples
    --------
    >>> from lossmith.diagnose.record import Facts, Record, Step
    >>> view = View(Record.of(Facts(), [Step(i, loss=1.0 / (i + 1)) for i in range(10)]))
    >>> len(view.loss), len(view.until(4).loss)
    (10, 5)
    """

    def __init__(self, record: Record, until: int | None = None, numbers: Mapping[str, float] | None = None) -> None:
        self.record = record
        self.end = until
        self.numbers = dict(numbers or {})
        self._columns: dict[str, Curve] = {}
        self._layers: dict[str, dict[str, Curve]] = {}
        self._whole: View | None = None

    def until(self, step: int) -> View:
        """Return the same record cut after a step; what was read is shared."""
        cut = View(self.record, step, self.numbers)
        cut._whole = self._whole or self
        return cut

    @property
    def facts(self) -> Facts:
        """What is known of the run."""
        return self.record.facts

    def column(self, name: str) -> Curve:
        """Return a column; empty when it was never recorded."""
        if name not in self._columns:
            if self._whole is not None:
                self._columns[name] = self._whole.column(name).until(self._last)
            else:
                self._columns[name] = _curve(*self.record.column(name))
        return self._columns[name]

    def layers(self, name: str) -> dict[str, Curve]:
        """Return a quantity of every layer that has it, in forward order."""
        if name not in self._layers:
            if self._whole is not None:
                whole = self._whole.layers(name)
                found = {layer: curve.until(self._last) for layer, curve in whole.items()}
            else:
                found = {layer: _curve(*self.record.layer_column(layer, name)) for layer in self._layer_names}
            self._layers[name] = {layer: curve for layer, curve in found.items() if len(curve)}
        return self._layers[name]

    @cached_property
    def _layer_names(self) -> tuple[str, ...]:
        return self.record.layer_names

    @property
    def _last(self) -> int:
        return math.inf if self.end is None else self.end  # type: ignore[return-value]

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Columns of the record."""
        return self._whole.names if self._whole is not None else tuple(self.record.names)

    @property
    def loss(self) -> Curve:
        """Loss on the rows learned from."""
        return self.column("loss")

    @property
    def eval_loss(self) -> Curve:
        """Loss on held-out rows."""
        return self.column("eval_loss")

    @property
    def main(self) -> Curve:
        """The training loss, or the held-out loss where only that is there."""
        return self.loss if len(self.loss.finite) >= len(self.eval_loss.finite) else self.eval_loss

    @property
    def main_name(self) -> str:
        """Name of :attr:`main`."""
        return "loss" if self.main is self.loss else "eval_loss"

    @cached_property
    def length(self) -> int:
        """Last step number recorded so far, from the first."""
        steps = [c.steps for c in (self.loss, self.eval_loss, self.column("grad_norm")) if len(c)]
        return int(max(s.max() for s in steps) - min(s.min() for s in steps)) if steps else 0
