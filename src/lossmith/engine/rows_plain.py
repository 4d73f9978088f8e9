"""Loops over rows of probabilities: each class adds its own term, and each row must be a distribution."""

from __future__ import annotations

from typing import Any

import numpy as np

Array = Any
Number = Any

# What the loops are completed with.
term: Any = None  # term(c, p, *parameters): what a class adds to the value
pull: Any = None  # pull(c, p, *parameters): its derivative by p
census: Any = None  # rows_soft.census_of_row, compiled to add in several lanes
mix: Any = None  # rows_soft.mix_rows or mix_labels
total: Any = None  # total_of_row, likewise
spread: Any = None  # spread_over_row


def total_of_row(p: Array, c: Array, parameters: Any) -> Number:
    """Sum the terms of a row."""
    value = 0.0
    for j in range(c.size):
        value += term(c[j], np.float64(p[j]), *parameters)
    return value


def spread_over_row(p: Array, c: Array, out: Array, parameters: Any) -> None:
    """Fill the gradient of a row, which may be the memory of p."""
    for j in range(c.size):
        c[j] = pull(c[j], np.float64(p[j]), *parameters)
    for j in range(c.size):
        out[j] = c[j]


def improper(p: Array) -> bool:
    """Tell whether a row without NaN is no distribution."""
    whole, outside = census(p)
    if np.isnan(whole):
        return False
    return bool(outside > 0.0 or abs(whole - 1.0) > 1e-3)


def label_rows(
    p: Array,
    y: Array,
    keep: Number,
    even: Number,
    weights: Array,
    some_ignored: bool,
    ignored: Number,
    values: Array,
    slopes: Array,
    parameters: Any,
) -> Number:
    """Fill values and slopes for labels, whose class alone counts; return the first row that is no distribution."""
    for r in range(values.size):
        if improper(p[r]):
            return r
        label, c = y[r], 0.0
        if some_ignored and label == ignored:
            label = 0
        else:
            c = keep * weights[label]
        at = np.float64(p[r, label])
        values[r] = term(c, at, *parameters)
        if slopes.size > 0:
            slopes[r] = 0.0
            slopes[r, label] = pull(c, at, *parameters)
    return -1


def mixed_rows(
    p: Array,
    y: Array,
    keep: Number,
    even: Number,
    weights: Array,
    some_ignored: bool,
    ignored: Number,
    values: Array,
    slopes: Array,
    parameters: Any,
) -> Number:
    """Fill values and slopes where many classes count; return the first row without two distributions, or -1."""
    c = np.empty(weights.size)
    for r in range(values.size):
        if improper(p[r]) or mix(y, r, keep, even, weights, some_ignored, ignored, c) < 0.0:
            return r
        values[r] = total(p[r], c, parameters)
        if slopes.size > 0:
            spread(p[r], c, slopes[r], parameters)
    return -1
