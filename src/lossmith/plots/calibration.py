"""Calibration: what was predicted against what happened."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from .style import ACCENT, GRID, MUTED, dress, new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_WORDS = {
    "probability": ("predicted probability of class 1", "share of class 1", "Calibration"),
    "confidence": ("probability of the predicted class", "share predicted rightly", "Calibration"),
    "mean": ("mean prediction of the bin", "mean target of the bin", "Calibration of the mean"),
    "quantile": ("mean prediction of the bin", "share of targets at or below", "Coverage"),
}


def plot_calibration(calibration: Mapping[str, Any], unit: str = "") -> Figure:
    """Draw a reliability diagram: a dot for each bin, the line of perfection, and how many rows a bin has.

    Parameters
    ----------
    calibration : mapping
        As in ``run.json``: ``kind``, ``predicted``, ``observed``, ``observed_error``, ``counts``, ``level``.
    unit : str
        Name of the target, shown with means.

    Returns
    -------
    Figure
        Bars of one standard error stand on the dots.

    Raises
    ------
    ValueError
        When there are no bins.
    """
    if not calibration["predicted"]:
        raise ValueError("the calibration has no bins to draw")
    x, y, title = _WORDS[calibration["kind"]]
    figure = new_figure(4.8, 4.6)
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=[4, 1])
    _draw_perfection(upper, calibration)
    upper.errorbar(
        calibration["predicted"],
        calibration["observed"],
        yerr=[error or 0.0 for error in calibration["observed_error"]],
        fmt="o",
        color=ACCENT,
        markersize=5.5,
        elinewidth=1.6,
        capsize=2.5,
        zorder=3,
        label="held-out rows ± 1 standard error",
    )
    upper.legend(loc="upper left", frameon=False, fontsize=8.5, labelcolor=MUTED)
    tail = f" ({unit})" if unit and calibration["kind"] == "mean" else ""
    dress(upper, title=title, y=y + tail, grid="both")
    _draw_counts(lower, calibration)
    dress(lower, x=x + tail, y="rows", grid="")
    return figure


def _draw_perfection(axes: Axes, calibration: Mapping[str, Any]) -> None:
    style: dict[str, Any] = {"color": MUTED, "linewidth": 1.2, "linestyle": (0, (4, 2)), "zorder": 2}
    if calibration["kind"] == "quantile":
        axes.axhline(calibration["level"], label=f"wanted: {calibration['level']:g}", **style)
        axes.set_ylim(0.0, 1.25)
        axes.set_yticks([0.0, 0.25, 0.5, 0.75, 1.0])
        return
    values = [*calibration["predicted"], *calibration["observed"]]
    low, high = (0.0, 1.0) if calibration["kind"] != "mean" else (min(values), max(values))
    axes.plot([low, high], [low, high], label="perfect", **style)
    if (low, high) == (0.0, 1.0):
        axes.set_yticks([0.0, 0.2, 0.4, 0.6, 0.8, 1.0])
    axes.set_ylim(low - 0.04 * (high - low), high + 0.22 * (high - low))


def _draw_counts(axes: Axes, calibration: Mapping[str, Any]) -> None:
    places = calibration["predicted"]
    axes.vlines(places, 0, calibration["counts"], color=ACCENT, linewidth=5, alpha=0.75)
    axes.axhline(0.0, color=GRID, linewidth=0.8)
    axes.set_ylim(0, 1.15 * max(calibration["counts"]))
