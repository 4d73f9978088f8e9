"""CTC's forward sweep as a plain formula in log space, in operations of any library, which may differentiate it.

Blanks and labels are kept apart: state b_i is the blank behind i labels, state l_i is label i. What is impossible has a
large negative logarithm instead of -inf, whose differences are NaN.
"""

from __future__ import annotations

from typing import Any, NamedTuple, Self

from ..core.attach import attach, held
from ..ops import exp, full_like, log, namespace, square, where
from ..ops.arrays import column, moved, picked, positions, row_max, row_sum, scan, softmax, whole

Array = Any
_INFINITE = float("inf")
_NEVER = -1e30
_HARDLY = -1e29


class Task(NamedTuple):
    """A batch of sequences.

    Attributes
    ----------
    labels : array of int, shape (n, s)
        Classes.
    counts, frames : arrays of int, shape (n, 1)
        How many labels and frames count; -1 frames make the value NaN.
    z : array, shape (n, t, c)
        Logits.
    blank : int
        Class of the blank.
    """

    labels: Array
    counts: Array
    frames: Array
    z: Array
    blank: int

    @classmethod
    def of(cls, parts: tuple[Array, ...], z: Array, blank: int, padding: int) -> Self:
        """Read labels and lengths as CTC takes them apart; empty lengths are not given."""
        labels, counts, frames = map(whole, parts)
        if not parts[1].shape[0]:
            counts = row_sum(where(labels == padding, 0 * labels, 0 * labels + 1))
        if not parts[2].shape[0]:
            frames = row_sum(0 * whole(z[:, :, 0]) + 1)
        known = (labels >= 0) & (labels < z.shape[-1])
        return cls(where(known, labels, 0 * labels), whole(column(counts)), whole(column(frames)), z, blank)

    @property
    def running(self) -> Array:
        """Which frames count, (n, t)."""
        return whole(positions(self.z[:, :, 0]))[None, :] < self.frames

    @property
    def follows(self) -> Array:
        """Which labels may follow the one before them without a blank between, (n, s)."""
        before = namespace(self.labels).concat([self.labels[:, :1], self.labels[:, :-1]], axis=1)
        return self.labels != before


def cost(task: Task) -> Array:
    """Return -log P of each sequence (n,), inf without a path."""
    running = column(task.running)
    z = where(running, task.z, full_like(task.z, 0.0))
    log_p = moved(-surprises(z), 2, 1)
    blank, label = log_p[:, task.blank : task.blank + 1, :], picked(log_p, task.labels)
    items = moved(blank, 2, 0), moved(label, 2, 0), moved(running, 1, 0)
    follows = task.follows

    def step(state: tuple[Array, Array], item: tuple[Array, Array, Array]) -> tuple[Array, Array]:
        blanks, labels = state
        before = namespace(labels).concat([never, labels], axis=1)  # the label before each blank
        on_blank = joined(blanks, before) + item[0]
        leap = where(follows, before[:, :-1], full_like(labels, _NEVER))
        on_label = joined(labels, joined(blanks[:, :-1], leap)) + item[1]
        return where(item[2], on_blank, blanks), where(item[2], on_label, labels)

    labels = full_like(label[:, :, 0], _NEVER)
    never = full_like(blank[:, :, 0], _NEVER)
    start = namespace(labels).concat([full_like(never, 0.0), labels], axis=1)
    return _at_end(task, *scan(step, (start, labels), items))


def surprises(z: Array) -> Array:
    """Return -log softmax over the last axis, large where a logit is -inf; infinite logits share the whole mass."""
    certain, least = z == _INFINITE, full_like(z, -_INFINITE)
    z = where(row_max(held(z)) == _INFINITE, where(certain, full_like(z, 0.0), least), z)
    found = softmax(held(z))

    def value(a: Array) -> Array:
        silent = row_max(a) == -_INFINITE
        return where(silent, full_like(a, float("nan")), where(a == -_INFINITE, full_like(a, -_NEVER), found.surprise))

    def rise(a: Array, d: Array) -> Array:
        p = found.probability
        mean = column(row_sum(p * d))
        return mean - d + 0.5 * (column(row_sum(p * square(d))) - square(mean))

    return attach(z, value, rise)


def joined(x: Array, y: Array) -> Array:
    """Return log(exp(x) + exp(y))."""
    top = held(where(x > y, x, y))
    return top + log(exp(x - top) + exp(y - top))


def _at_end(task: Task, blanks: Array, labels: Array) -> Array:
    last, none = task.counts, full_like(blanks, 0.0)
    on_blank = row_sum(where(whole(positions(blanks)) == last, blanks, none))
    on_label = row_sum(where(whole(positions(labels)) == last - 1, labels, full_like(labels, 0.0)))
    on_label = where(last[:, 0] > 0, on_label, full_like(on_label, _NEVER))
    log_p = joined(on_blank, on_label)
    log_p = log_p - held(where(log_p > 0.0, log_p, full_like(log_p, 0.0)))
    wrong, unknown = full_like(log_p, _INFINITE), full_like(log_p, float("nan"))
    return where(task.frames[:, 0] < 0, unknown, where(log_p < _HARDLY, wrong, -log_p))
