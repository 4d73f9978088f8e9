"""Numbers in words: shares in percent, logarithms as the sizes they stand for."""

from __future__ import annotations

import math
from collections.abc import Callable

Tell = Callable[[float], str]
_NOTHING = -11.9  # decimal logarithms end at -12, which stands for zero


def plain(value: float) -> str:
    """Tell a number as it is."""
    return f"{value:.2g}" if abs(value) < 1e5 else f"{value:.1e}"


def count(value: float) -> str:
    """Tell how many."""
    return f"{value:,.0f}"


def percent(value: float) -> str:
    """Tell a share."""
    return f"{100.0 * value:.3g} %"


def power(value: float) -> str:
    """Tell a size of which the decimal logarithm is known.

    Examples
    --------
    >>> power(0.5), power(-12.0), power(3.3)
    ('3.2', '0', '2,000')
    """
    if value <= _NOTHING:
        return "0"
    size = float(f"{10.0 ** min(value, 30.0):.2g}")
    return f"{size:,.0f}" if 100.0 <= size < 1e6 else f"{size:g}"


def power_percent(value: float) -> str:
    """Tell a share of which the decimal logarithm is known.

    Examples
    --------
    >>> power_percent(-1.0), power_percent(-4.5)
    ('10 %', '0.0032 %')
    """
    return "0 %" if value <= _NOTHING else f"{power(value + 2.0)} %"


def doubling(value: float) -> str:
    """Tell a count of which the logarithm to base 2 is known."""
    return f"{2.0**value:.3g}"


def exponential(value: float) -> str:
    """Tell a size of which the natural logarithm is known."""
    return f"{math.exp(min(value, 60.0)):.2g}"
