"""Overlap of masks given as logits, without classes: one exponential a pixel serves the sums and the gradient.

The first pass leaves p (1 - p) where the gradient will lie, and the second multiplies. Arrays and tiles are those of
:mod:`.segmentation_sweep`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..engine.compiled import Compiled, completed
from ..ops import exp, where, word
from .segmentation_sweep import APART, BOTH, SIZE

Array = Any
Number = Any

# What the loops are completed with.
add_up: Any = None  # add_up_pixels, compiled to add in several lanes
leave: Any = None  # leave_slopes, likewise


@word
def halves(x: Number) -> tuple[Number, Number, Number]:
    """Return the sigmoid of -|x|, that of |x|, and their product."""
    e = exp(-abs(x))
    high = 1.0 / (1.0 + e)
    return e * high, high, high * (e * high)


def add_up_pixels(f: Array, y: Array) -> tuple[Number, Number, Number]:
    """Sum y p and what is in one mask only; count the targets that are no shares."""
    both, apart, strange = 0.0, 0.0, 0.0
    for i in range(f.size):
        x, t = np.float64(f[i]), np.float64(y[i])
        low, high, _ = halves(x)
        p, q = where(x >= 0.0, high, low), where(x >= 0.0, low, high)
        both += t * p
        apart += t * q + p * (1.0 - t)
        strange += where((t >= 0.0) & (t <= 1.0), 0.0, 1.0)
    return both, apart, strange


def leave_slopes(f: Array, y: Array, slope: Array) -> tuple[Number, Number, Number]:
    """Do the same, and leave the slope of the sigmoid; ``slope`` may be the memory of f."""
    both, apart, strange = 0.0, 0.0, 0.0
    for i in range(f.size):
        x, t = np.float64(f[i]), np.float64(y[i])
        low, high, bent = halves(x)
        p, q = where(x >= 0.0, high, low), where(x >= 0.0, low, high)
        slope[i] = bent
        both += t * p
        apart += t * q + p * (1.0 - t)
        strange += where((t >= 0.0) & (t <= 1.0), 0.0, 1.0)
    return both, apart, strange


def sum_masks(
    f: Array,
    y: Array,
    cut: Any,
    samples: Array,
    found: Array,
    faults: Array,
    slopes: Array,
    start: Number,
    stop: Number,
) -> None:
    """Take the sums of tiles start ... stop - 1; parameters as for :func:`.segmentation_sweep.sum_up`.

    ``slopes`` has f's shape, or no samples if no gradient is wanted.
    """
    for job in range(start, stop):
        j, tile = job // cut.per_sample, job % cut.per_sample
        n, a, first = samples[j], tile // cut.chunks, tile % cut.chunks * cut.width
        last = min(first + cut.width, f.shape[3])
        pixels, targets = f[n, a, 0, first:last], y[n, a, 0, first:last]
        if slopes.shape[0] > 0:
            both, apart, strange = leave(pixels, targets, slopes[n, a, 0, first:last])
        else:
            both, apart, strange = add_up(pixels, targets)
        faults[j, tile] = strange
        # |A| + |B| from terms >= 0, too
        found[j, tile, 0, BOTH], found[j, tile, 0, APART], found[j, tile, 0, SIZE] = both, apart, apart + 2.0 * both


def descend_masks(
    y: Array, cut: Any, samples: Array, ratio: Array, gain: Array, place: Array, start: Number, stop: Number
) -> None:
    """Turn the slopes of tiles start ... stop - 1 into the gradient."""
    for job in range(start, stop):
        j, tile = job // cut.per_sample, job % cut.per_sample
        n, a, first = samples[j], tile // cut.chunks, tile % cut.chunks * cut.width
        last = min(first + cut.width, place.shape[3])
        multiply(y[n, a, 0, first:last], ratio[j, 0], gain[j, 0], place[n, a, 0, first:last])


@word
def multiply(y: Array, ratio: Number, gain: Number, slope: Array) -> None:
    """Multiply by gain (ratio - 2 y)."""
    for i in range(slope.size):
        slope[i] = np.float64(slope[i]) * (gain * (ratio - 2.0 * np.float64(y[i])))


def _summing(grade: str) -> Compiled:
    steps: dict[str, Any] = {"add_up": add_up_pixels, "leave": leave_slopes}
    names = {name: Compiled(step, grade, _LANES) for name, step in steps.items()}
    return Compiled(completed(sum_masks, names), grade, _CONTRACT)


_CONTRACT = frozenset({"contract"})
_LANES = frozenset({"contract", "reassoc", "nsz"})
sum_double, sum_single = _summing("double"), _summing("single")
descend = Compiled(descend_masks, "double", _CONTRACT)
