"""The forward-backward sweep over CTC's lattice of states in NumPy, in log space, for a whole batch at once.

The states of a sequence of U labels are blank, label 1, blank, ..., label U, blank. A frame stays in its
state, goes on to the next, or skips a blank between two different labels. The forward sweep keeps the log
probability of all paths that lead to a state; the backward sweep of those that lead on from it; their sum,
normalised, is the share of paths through the state. Every number is a logarithm, so nothing underflows, and
relative to the best of its frame, so that a long sequence costs no digits.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Lattice:
    """States of a batch of label sequences.

    Attributes
    ----------
    classes : ndarray of int, shape (N, L)
        The class each state emits; L = 2 S + 1.
    closed : ndarray, shape (N, L)
        0 for a state of the sequence, -inf beyond its end.
    skip : ndarray, shape (N, L)
        0 where the state may follow the one two before it, else -inf.
    last : ndarray of int, shape (N,)
        The final blank of each sequence.
    """

    classes: Integers
    closed: Floats
    skip: Floats
    last: Integers

    @classmethod
    def of(cls, labels: Integers, lengths: Integers, blank: int) -> Self:
        """Lay out labels (N, S), of which the first ``lengths`` of each row count."""
        count, size = labels.shape
        valid = np.arange(size) < lengths[:, None]
        classes = np.full((count, 2 * size + 1), blank)
        classes[:, 1::2] = np.where(valid, labels, blank)
        closed = np.where(np.arange(2 * size + 1) <= 2 * lengths[:, None], 0.0, -np.inf)
        skip = np.full((count, 2 * size + 1), -np.inf)
        skip[:, 3::2] = np.where(classes[:, 3::2] != classes[:, 1:-2:2], 0.0, -np.inf)
        return cls(classes, closed, skip, 2 * lengths)


def posteriors(emission: Floats, lattice: Lattice, lengths: Integers) -> tuple[Floats, Floats]:
    """Sum over all alignments.

    Parameters
    ----------
    emission : ndarray, shape (N, T, L)
        Log probability of each state's class in each frame.
    lattice : Lattice
        The states.
    lengths : ndarray of int, shape (N,)
        Frames of each sequence.

    Returns
    -------
    tuple of ndarrays
        -log P of each sequence (N,), inf without a path, and the share of paths in each state (N, T, L); the
        shares of a sequence without a path are NaN.
    """
    steps = _steps(emission, lattice)
    forward, levels = _forward(steps, lattice, lengths)
    values = _cost(forward, levels, lattice)
    return values, np.moveaxis(_backward(steps, forward[1:], lattice, lengths), 0, 1)


def log_likelihood(emission: Floats, lattice: Lattice, lengths: Integers) -> Floats:
    """Return -log P of each sequence (N,) alone; parameters as in :func:`posteriors`."""
    forward, levels = _forward(_steps(emission, lattice), lattice, lengths)
    return _cost(forward, levels, lattice)


def _steps(emission: Floats, lattice: Lattice) -> Floats:
    """Put time first, so that each step works on one contiguous block."""
    steps = np.ascontiguousarray(np.moveaxis(emission, 1, 0))
    steps += lattice.closed
    return steps


def _cost(forward: Floats, levels: Floats, lattice: Lattice) -> Floats:
    log_p = _at_end(forward[-1], lattice) + np.array([math.fsum(column) for column in levels.T])
    return np.asarray(np.maximum(-log_p, 0.0))


def _forward(steps: Floats, lattice: Lattice, lengths: Integers) -> tuple[Floats, Floats]:
    """Return log probabilities (T + 1, N, L) of reaching each state, and their levels (T, N).

    Frame 0 is before the first. Each frame is relative to its best state, and the level is how far that one fell:
    so a long sequence's numbers stay small and keep their digits.
    """
    frames, count, states = steps.shape
    found = np.full((frames + 1, count, states), -np.inf)
    levels = np.zeros((frames, count))
    found[0, :, 0] = 0.0
    for t in range(frames):
        before, now = found[t], found[t + 1]
        now[...] = before
        now[:, 1:] = np.logaddexp(now[:, 1:], before[:, :-1])
        now[:, 3::2] = np.logaddexp(now[:, 3::2], before[:, 1:-2:2] + lattice.skip[:, 3::2])
        now += steps[t]
        running = t < lengths
        levels[t] = np.where(running, _level(now), 0.0)
        now -= levels[t, :, None]
        now[~running] = before[~running]
    return found, levels


def _level(x: Floats) -> Floats:
    """Return the largest number of each row; 0 for a row of -inf."""
    top = x.max(axis=1)
    return np.where(top == -np.inf, 0.0, top)


def _at_end(reached: Floats, lattice: Lattice) -> Floats:
    rows = np.arange(len(reached))
    label = np.where(lattice.last > 0, reached[rows, lattice.last - 1], -np.inf)
    return np.asarray(np.logaddexp(reached[rows, lattice.last], label))


def _backward(steps: Floats, forward: Floats, lattice: Lattice, lengths: Integers) -> Floats:
    """Return the share of paths in each state (T, N, L), in the place of ``forward``."""
    frames, count, states = steps.shape
    place = np.arange(states)
    final = (place == lattice.last[:, None]) | (place == lattice.last[:, None] - 1)
    end = np.where(final, 0.0, -np.inf)
    onward = np.full((count, states), -np.inf)
    for t in range(frames - 1, -1, -1):
        onward[t == lengths - 1] = end[t == lengths - 1]
        forward[t] += onward
        ahead = onward + steps[t]
        onward = _step_back(ahead - _level(ahead)[:, None], lattice)
    # Every path is in some state: dividing by the sum, not by P, leaves only rounding within the frame.
    forward -= forward.max(axis=2, keepdims=True)
    np.exp(forward, out=forward)
    forward /= forward.sum(axis=2, keepdims=True)
    return forward


def _step_back(ahead: Floats, lattice: Lattice) -> Floats:
    """Return the log probability of going on from each state, given that of being in each next one."""
    found = ahead.copy()
    found[:, :-1] = np.logaddexp(found[:, :-1], ahead[:, 1:])
    found[:, 1:-2:2] = np.logaddexp(found[:, 1:-2:2], ahead[:, 3::2] + lattice.skip[:, 3::2])
    return found
