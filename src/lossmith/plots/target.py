"""The target: a histogram of numbers, bars of classes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from .style import ACCENT, INK, PALETTE, dress, new_figure, plain

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_MOST_CLASSES = 15


def plot_numbers(values: Sequence[float], name: str, mean: float | None, median: float | None) -> Figure:
    """Draw a histogram of a numeric target.

    Parameters
    ----------
    values : sequence of float
        The target, or a sample of it.
    name : str
        The column's name, shown as it is.
    mean, median : float or None
        Marked where they are known.

    Returns
    -------
    Figure

    Raises
    ------
    ValueError
        For fewer than two values.
    """
    if len(values) < 2:
        raise ValueError("a histogram needs two values or more")
    figure = new_figure(5.6, 3.2)
    axes = figure.subplots()
    numbers = np.asarray(values, dtype=float)
    bins = int(np.clip(2.0 * np.sqrt(numbers.size), 8, 40))
    axes.hist(numbers, bins=bins, color=ACCENT, alpha=0.8, edgecolor="white", linewidth=0.6)
    for place, text, tint, dash in ((mean, "mean", PALETTE[1], "-"), (median, "median", INK, (0, (4, 2)))):
        if place is not None:
            axes.axvline(place, color=tint, linestyle=dash, linewidth=1.6, label=f"{text} {place:.4g}")
    dress(axes, x=plain(name), y="rows")
    if mean is not None or median is not None:
        figure.legend(loc="outside upper left", ncols=2, frameon=False, fontsize=9, labelcolor=INK)
    return figure


def plot_classes(labels: Sequence[object], counts: Sequence[int], name: str) -> Figure:
    """Draw a bar for each class of a target.

    Parameters
    ----------
    labels : sequence
        The classes in the order of their codes, shown as they are.
    counts : sequence of int
        Rows of each.
    name : str
        The column's name.

    Returns
    -------
    Figure

    Raises
    ------
    ValueError
        Without classes.
    """
    if not labels:
        raise ValueError("there are no classes to draw")
    shown = list(zip(labels, counts, strict=True))[:_MOST_CLASSES]
    figure = new_figure(5.6, 0.9 + 0.36 * len(shown))
    axes = figure.subplots()
    bars = axes.barh(range(len(shown)), [count for _, count in shown], color=ACCENT, alpha=0.85, height=0.66)
    axes.bar_label(bars, padding=4, fontsize=9, color=INK)
    axes.set_yticks(range(len(shown)), [plain(label, 24) for label, _ in shown], parse_math=False)
    axes.invert_yaxis()
    axes.margins(x=0.12)
    more = f" (first {_MOST_CLASSES} of {len(labels)} classes)" if len(labels) > _MOST_CLASSES else ""
    dress(axes, x="rows", y=plain(name) + more, grid="x")
    return figure
