"""CTC's forward-backward sweep as a kernel: each sequence in one go, its softmax included.

Its steps, and what its numbers mean, are in :mod:`.lattice_steps`.
"""

from __future__ import annotations

import math
import threading
from typing import Any, NamedTuple

import numpy as np

from ..engine.compiled import compiled
from ..ops import log, log1p, where
from .lattice_steps import (
    BLANK,
    LABEL,
    LN2_HIGH,
    LN2_LOW,
    MARGIN,
    NEVER,
    backward,
    extended,
    falls,
    filled_up,
    forward,
    gather,
    largest,
    log_sum,
    pick,
    rest,
    scale,
    split,
    sure_forward,
    through,
)

Array = Any
Number = Any

TOP, REST, BLANK_M, BLANK_K = range(4)
_INF = math.inf
# Where all frames together leave less than this to doubt, P may be so near 1 that 1 - P needs digits of its own.
_SURE = 0.0625


class Room(NamedTuple):
    """What one thread works with, for sequences of up to T frames and S labels; L = S + 1 filled up and a margin.

    Attributes
    ----------
    m, k : array, shape (T + 1, 2, L)
        Paths into each state after t frames, blanks and labels. Later m is that of the paths through it.
    onward_m, onward_k : array, shape (2, 2, L)
        Paths on from each state, of this frame and the next, in turns.
    emitted_m, emitted_k : array, shape (T, L)
        What each label emits in each frame.
    frames : array, shape (T, 4)
        Of each frame the largest logit, the sum of the others relative to it, and m and k of the blank.
    closed : array, shape (L,)
        0 where a label may follow the label before it without a blank, else "never".
    x : array, shape (L,)
        Logits of the states in one frame.
    row : array, shape (C,)
        One frame over the classes.
    """

    m: Array
    k: Array
    onward_m: Array
    onward_k: Array
    emitted_m: Array
    emitted_k: Array
    frames: Array
    closed: Array
    x: Array
    row: Array


# --- a sequence -------------------------------------------------------------------------------------------


def prepare(room: Any, labels: Array, count: Number) -> None:
    """Lay out the states of a sequence: before its first frame, and behind its last."""
    room.x[:] = -_INF
    room.closed[:] = NEVER
    for s in range(1, count):
        if labels[s] != labels[s - 1]:
            room.closed[s] = 0.0
    room.m[0] = room.onward_m[:] = 1.0
    room.k[0] = room.onward_k[:] = NEVER
    room.k[0, BLANK, MARGIN] = room.onward_k[0, BLANK, count] = 0.0
    if count > 0:
        room.onward_k[0, LABEL, count - 1] = 0.0


def at_end(m: Array, k: Array, length: Number, count: Number) -> tuple[Number, Number]:
    """Return the paths that end well, m and k."""
    s = count + MARGIN
    blank, label = k[length, BLANK, s], k[length, LABEL, s - 1]
    high = max(blank, label)
    return m[length, BLANK, s] * scale(blank - high) + m[length, LABEL, s - 1] * scale(label - high), high


def alone(room: Any, z: Array, length: Number, labels: Array, count: Number, blank: Number) -> tuple[Number, Number]:
    """Return -log P of a sequence, and the frame that is -inf throughout (else -1)."""
    # Out of the record once: each look into it counts a reference.
    m, k, em, ek = room.m, room.k, room.emitted_m, room.emitted_k
    frames, closed, x, row = room.frames, room.closed, room.x, room.row
    width = filled_up(count)
    doubt, lost = 0.0, 0.0
    for t in range(length):
        top = largest(z, t)
        if top == -_INF:
            return _INF, t
        falls(z, t, top, 1.0, row)
        others = rest(z, t, top, row)
        term = log1p(others) - lost
        lost, doubt = (doubt + term - doubt) - term, doubt + term  # what rounding takes is not lost in a long sum
        pick(row, labels, count, blank, x)
        if split(x, em, ek, t, width) > 0:
            gather(z, t, labels, count, blank, top, x)
            extended(x, em, ek, t, width)
        blank_m, blank_k = em[t, count], ek[t, count]
        em[t, count], ek[t, count] = 1.0, NEVER
        frames[t, TOP], frames[t, REST], frames[t, BLANK_M], frames[t, BLANK_K] = top, others, blank_m, blank_k
        forward(m, k, t, em, ek, blank_m, blank_k, closed, width)
    if doubt != doubt:
        return doubt, -1
    size, level = at_end(m, k, length, count)
    if level < 0.5 * NEVER:
        return _INF, -1
    if doubt < _SURE:
        return sure(room, z, length, labels, count, blank, doubt), -1
    value = (doubt - level * LN2_HIGH) - (level * LN2_LOW + log(size))
    return where(value < 0.0, 0.0, value), -1


def differences(
    room: Any, z: Array, length: Number, labels: Array, count: Number, blank: Number, gain: Number, place: Array
) -> None:
    """Set ``place`` to gain times the difference of probabilities and shares of paths, frame by frame."""
    m, k, om, ok, em, ek = room.m, room.k, room.onward_m, room.onward_k, room.emitted_m, room.emitted_k
    frames, closed, row = room.frames, room.closed, room.row
    width = filled_up(count)
    level = at_end(m, k, length, count)[1]
    i = 0
    for t in range(length - 1, -1, -1):
        blanks = through(m, k, t + 1, BLANK, om, ok, i, level, width)
        # Every path is in some state: dividing by the sum, not by P, leaves only rounding within the frame.
        each = gain / (blanks + through(m, k, t + 1, LABEL, om, ok, i, level, width))
        falls(z, t, frames[t, TOP], gain / (1.0 + frames[t, REST]), row)
        row[blank] -= each * blanks
        for s in range(count):
            row[labels[s]] -= each * m[t + 1, LABEL, s + MARGIN]
        for c in range(row.size):
            place[t, c] = row[c]
        backward(om, ok, i, 1 - i, em, ek, t, frames[t, BLANK_M], frames[t, BLANK_K], closed, width)
        i = 1 - i


# --- sequences that are sure of themselves ------------------------------------------------------------------


def sure(room: Any, z: Array, length: Number, labels: Array, count: Number, blank: Number, doubt: Number) -> Number:
    """Return -log P in logarithms: P is near 1, and what counts is how near."""
    frames, closed, x = room.frames, room.closed, room.x
    a = np.full((2, 2, x.size), NEVER)
    a[0, BLANK, MARGIN] = 0.0
    i = 0
    for t in range(length):
        gather(z, t, labels, count, blank, frames[t, TOP], x)
        sure_forward(a, x, closed, i, filled_up(count), max(x[count], NEVER))
        i = 1 - i
    value = doubt - log_sum(a[i, BLANK, count + MARGIN], a[i, LABEL, count + MARGIN - 1], NEVER)
    return where(value < 0.0, 0.0, value)


# --- a share of the batch -----------------------------------------------------------------------------------


class _Kept(threading.local):
    """The room of the latest call of a thread: memory that is touched for the first time costs more than a sequence."""

    size: tuple[int, int, int] = (0, 0, 0)
    room: Room | None = None


_KEPT = _Kept()
# Frames times labels of the largest room that is kept: 8 MB.
_MOST_KEPT = 2**17


def room_for(frames: int, classes: int, count: int) -> Room:
    """Return this thread's arrays for sequences of so many frames, classes and labels."""
    size = (frames, classes, count)
    if _KEPT.room is not None and _KEPT.size == size:
        return _KEPT.room
    room = _room(frames, classes, filled_up(count) + MARGIN)
    if frames * filled_up(count) + classes <= _MOST_KEPT:
        _KEPT.size, _KEPT.room = size, room
    return room


def _room(frames: int, classes: int, size: int) -> Room:
    m, k = np.empty((frames + 1, 2, size)), np.empty((frames + 1, 2, size))
    m[:, :, :MARGIN], k[:, :, :MARGIN] = 1.0, NEVER
    return Room(
        m,
        k,
        np.empty((2, 2, size)),
        np.empty((2, 2, size)),
        np.ones((frames, size)),
        np.full((frames, size), NEVER),
        np.empty((frames, 4)),
        np.empty(size),
        np.empty(size),
        np.empty(classes),
    )


def sweep(
    room: Any,
    z: Array,
    labels: Array,
    lengths: Array,
    share: Array,
    blank: Number,
    found: Array,
    faults: Array,
    place: Array,
    start: Number,
    stop: Number,
) -> None:
    """Compute the sequences start ... stop - 1 of a batch.

    Parameters
    ----------
    room : Room
        What this thread works with.
    z : ndarray of float32 or float64, shape (N, T, C)
        Logits.
    labels : ndarray of int, shape (N, S)
        Classes.
    lengths : ndarray of int, shape (2, N)
        Labels and frames of each sequence.
    share : ndarray, shape (N,)
        What the gradient of each is to be multiplied with; where it is 0 nothing is looked at.
    blank : int
        The class of the blank.
    found, faults : ndarrays, shape (N,)
        For -log P, and for the first frame that is -inf throughout, -1 where there is none.
    place : ndarray, shape (N, T, C)
        For the gradient; empty if it is not wanted.
    start, stop : int
        Which sequences.
    """
    for n in range(start, stop):
        count, frames = lengths[0, n], lengths[1, n]
        found[n], faults[n] = 0.0, -1
        if share[n] > 0.0:
            prepare(room, labels[n], count)
            found[n], faults[n] = alone(room, z[n], frames, labels[n], count, blank)
        if place.size > 0:
            place[n, frames:] = 0.0
            if share[n] > 0.0 and found[n] < _INF:
                differences(room, z[n], frames, labels[n], count, blank, share[n], place[n])
            else:
                place[n, :frames] = found[n] if found[n] != found[n] else 0.0  # NaN spoils its own sequence


sweep_double = compiled()(sweep)
sweep_single = compiled(grade="single")(sweep)
