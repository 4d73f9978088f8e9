"""Held-out predictions against the target."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from .style import ACCENT, MUTED, dress, new_figure, plain

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def plot_predictions(actual: Sequence[float], predicted: Sequence[float], name: str) -> Figure:
    """Draw held-out predictions against what happened; a perfect model lies on the line.

    Parameters
    ----------
    actual, predicted : sequence of float
        Same length, in the target's unit.
    name : str
        The column's name, shown as it is.

    Returns
    -------
    Figure

    Raises
    ------
    ValueError
        Without rows.
    """
    if not actual:
        raise ValueError("there are no predictions to draw")
    figure = new_figure(4.6, 4.2)
    axes = figure.subplots()
    low, high = min(*actual, *predicted), max(*actual, *predicted)
    axes.plot([low, high], [low, high], color=MUTED, linewidth=1.2, linestyle=(0, (4, 2)), zorder=2)
    axes.scatter(predicted, actual, s=14, color=ACCENT, alpha=0.45, linewidths=0, zorder=3)
    dress(axes, title="Held-out rows", x=f"predicted {plain(name, 40)}", y=f"actual {plain(name, 40)}", grid="both")
    return figure
