"""The steps of CTC's sweep as compiled loops: a frame's softmax, and one frame along the lattice.

A probability is kept as m 2^k, with m in [1, 2) and k a whole number in a float64 of its own: it cannot underflow,
however long the sequence or however large the logits, and a step costs a few multiplications where
logarithms would cost exponentials. All numbers of a frame are relative to its largest logit. "Never" is an
exponent far below any that logits give.

States are kept in two rows, blanks and labels: blank s stands before label s, and the last blank behind them
all. Rows start with a margin, so that "the state before" needs no case of its own, and are filled up with
"never" to a multiple of 8, so that loops run on whole vectors.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..engine.compiled import compiled
from ..ops import exp, log1p, where, word

Array = Any
Number = Any

MARGIN = 8
BLANK, LABEL = 0, 1
# Logits that lie further apart than 1e280 count as infinitely far; so no sum over frames comes near "never".
NEVER = -1e290
_FARTHEST = -1e280
# Below this e^x is no longer held to all its digits.
_EXACT = 1e-300
_LOG2_E = 1.4426950408889634
# log 2 in two parts; the first has 20 trailing zero bits, so k times it is exact for |k| < 2^20.
LN2_HIGH = 0.6931471804855391
LN2_LOW = 7.440617110012397e-11
_SUM = frozenset({"contract", "reassoc", "nsz"})


def filled_up(count: Number) -> Number:
    """Return how many entries of a row are looked at, for so many labels and one blank more."""
    return (count + 8) // 8 * 8


# --- numbers with an exponent of their own --------------------------------------------------------------


@word
def scale(k: Number) -> Number:
    """Return 2^k for a whole k <= 1000; 2^-1022, which adds nothing to a number of size 1, also for less."""
    return np.int64((np.int64(max(k, -1022.0)) + 1023) << 52).view(np.float64)


@word
def mantissa(x: Number) -> Number:
    """Return m of x = m 2^k, for a positive x."""
    bits = np.float64(x).view(np.int64)
    return np.int64((bits & np.int64(0x000FFFFFFFFFFFFF)) | np.int64(0x3FF0000000000000)).view(np.float64)


@word
def exponent(x: Number) -> Number:
    """Return k of x = m 2^k."""
    return np.float64((np.float64(x).view(np.int64) >> 52) - 1023)


@compiled()
def extended(x: Array, m: Array, k: Array, t: Number, width: Number) -> None:
    """Set m[t] and k[t] to e^x."""
    for s in range(width):
        never = x[s] < _FARTHEST
        near = where(never, 0.0, x[s])
        whole = math.floor(near * _LOG2_E + 0.5)
        rest = (near - whole * LN2_HIGH) - whole * LN2_LOW
        power = exp(min(max(rest, -1.0), 1.0))  # beyond 1 only where logits have no digits behind the point
        m[t, s] = mantissa(power)
        k[t, s] = where(never, NEVER, whole + exponent(power))


@compiled()
def split(e: Array, m: Array, k: Array, t: Number, width: Number) -> Number:
    """Set m[t] and k[t] to e, "never" where x is filled up; return how many are too small to be exact."""
    small = 0
    for s in range(width):
        m[t, s] = mantissa(e[s])
        k[t, s] = where(e[s] > 0.0, exponent(e[s]), NEVER)
        small += (e[s] >= 0.0) & (e[s] < _EXACT)
    return small


# --- a frame of logits ------------------------------------------------------------------------------------


@word
def gap(z: Number, top: Number) -> Number:
    """Return z - top; infinite logits share a frame, their limit."""
    return where(z >= top, 0.0, z - top)


@compiled()
def largest(z: Array, t: Number) -> Number:
    """Return the largest logit of a frame; NaN may come out where there is one.

    On integers that order as the numbers do: a maximum of floats, for which NaN has no place, does not vectorise.
    """
    best = np.int64(-0x8000000000000000)
    for c in range(z.shape[1]):
        bits = np.float64(z[t, c]).view(np.int64)
        best = max(best, np.int64(bits ^ ((bits >> 63) & np.int64(0x7FFFFFFFFFFFFFFF))))
    return np.int64(best ^ ((best >> 63) & np.int64(0x7FFFFFFFFFFFFFFF))).view(np.float64)


def falls(z: Array, t: Number, top: Number, factor: Number, e: Array) -> None:
    """Set e to factor * exp(z[t] - top)."""
    for c in range(e.size):
        e[c] = factor * exp(gap(np.float64(z[t, c]), top))


@compiled(fastmath=_SUM)
def rest(z: Array, t: Number, top: Number, e: Array) -> Number:
    """Sum e without one largest entry, so that log1p of it keeps its digits in a frame that is sure."""
    found, leaders = 0.0, 0.0
    for c in range(e.size):
        leads = np.float64(z[t, c]) >= top
        found += 0.0 if leads else e[c]
        leaders += 1.0 if leads else 0.0
    return found + (leaders - 1.0)


def pick(e: Array, labels: Array, count: Number, blank: Number, x: Array) -> None:
    """Set x to the entries of the labels and, behind them, of the blank."""
    for s in range(count):
        x[s] = e[labels[s]]
    x[count] = e[blank]


def gather(z: Array, t: Number, labels: Array, count: Number, blank: Number, top: Number, x: Array) -> None:
    """Set x to the logits of the labels and, behind them, of the blank, relative to the largest."""
    for s in range(count):
        x[s] = gap(np.float64(z[t, labels[s]]), top)
    x[count] = gap(np.float64(z[t, blank]), top)


# --- one step along the lattice ---------------------------------------------------------------------------


# Rows of one array differ in their first index only, and m and k lie apart: so the compiler sees that what is written
# is not read again, and the loops run on whole vectors.


@compiled()
def forward(
    m: Array, k: Array, t: Number, em: Array, ek: Array, blank_m: Number, blank_k: Number, closed: Array, width: Number
) -> None:
    """Set row t + 1 to the paths into each state, given row t and what states emit."""
    for s in range(width):
        b_m, b_k = m[t, BLANK, s + MARGIN], k[t, BLANK, s + MARGIN]
        l_m, l_k = m[t, LABEL, s + MARGIN], k[t, LABEL, s + MARGIN]
        p_m, p_k = m[t, LABEL, s + MARGIN - 1], k[t, LABEL, s + MARGIN - 1]
        high = max(b_k, p_k)
        found = (b_m * scale(b_k - high) + p_m * scale(p_k - high)) * blank_m
        m[t + 1, BLANK, s + MARGIN] = mantissa(found)
        k[t + 1, BLANK, s + MARGIN] = high + blank_k + exponent(found)
        p_k += closed[s]
        high = max(max(b_k, l_k), p_k)
        found = (b_m * scale(b_k - high) + l_m * scale(l_k - high) + p_m * scale(p_k - high)) * em[t, s]
        m[t + 1, LABEL, s + MARGIN] = mantissa(found)
        k[t + 1, LABEL, s + MARGIN] = high + ek[t, s] + exponent(found)


@compiled()
def backward(
    m: Array, k: Array, i: Number, o: Number, em: Array, ek: Array, t: Number, blank_m: Number, blank_k: Number,
    closed: Array, width: Number,
) -> None:  # fmt: skip
    """Set row o to the paths on from each state of frame t - 1, given row i, those on from frame t."""
    for s in range(width):
        b_m, b_k = m[i, BLANK, s] * blank_m, k[i, BLANK, s] + blank_k
        n_m, n_k = m[i, BLANK, s + 1] * blank_m, k[i, BLANK, s + 1] + blank_k
        l_m, l_k = m[i, LABEL, s] * em[t, s], k[i, LABEL, s] + ek[t, s]
        p_m, p_k = m[i, LABEL, s + 1] * em[t, s + 1], k[i, LABEL, s + 1] + ek[t, s + 1] + closed[s + 1]
        high = max(b_k, l_k)
        found = b_m * scale(b_k - high) + l_m * scale(l_k - high)
        m[o, BLANK, s] = mantissa(found)
        k[o, BLANK, s] = high + exponent(found)
        high = max(max(n_k, l_k), p_k)
        found = n_m * scale(n_k - high) + l_m * scale(l_k - high) + p_m * scale(p_k - high)
        m[o, LABEL, s] = mantissa(found)
        k[o, LABEL, s] = high + exponent(found)


@compiled(fastmath=_SUM)
def through(
    m: Array, k: Array, t: Number, kind: Number, onward_m: Array, onward_k: Array, i: Number, level: Number,
    width: Number,
) -> Number:  # fmt: skip
    """Set one row of m[t] to the paths through each state, relative to 2^level; return their sum."""
    found = 0.0
    for s in range(width):
        above = k[t, kind, s + MARGIN] + onward_k[i, kind, s] - level
        paths = m[t, kind, s + MARGIN] * (onward_m[i, kind, s] * scale(min(above, 1000.0)))
        m[t, kind, s + MARGIN] = paths
        found += paths
    return found


# --- a step in logarithms ---------------------------------------------------------------------------------


@word
def log_sum(x: Number, y: Number, z: Number) -> Number:
    """Return log(e^x + e^y + e^z), where a result near 0 keeps its digits."""
    low, high = min(x, y), max(x, y)
    top = max(high, z)
    return top + log1p(exp(low - top) + exp(min(high, z) - top))


@compiled()
def sure_forward(a: Array, x: Array, closed: Array, i: Number, width: Number, blank: Number) -> None:
    """Set row 1 - i to the logarithms of paths into each state, given row i."""
    for s in range(width):
        b, label, before = a[i, BLANK, s + MARGIN], a[i, LABEL, s + MARGIN], a[i, LABEL, s + MARGIN - 1]
        a[1 - i, BLANK, s + MARGIN] = log_sum(b, before, NEVER) + blank
        a[1 - i, LABEL, s + MARGIN] = log_sum(label, b, before + closed[s]) + max(x[s], NEVER)
