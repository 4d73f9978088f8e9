"""How fits converge: one fit's objective and optimality, losses side by side, solvers side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from .style import INK, MUTED, PALETTE, colour, dashes, dress, legend_above, new_figure, plain

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Below this share of the way from the start to the minimum only rounding is left.
_FLOOR = 1e-13
_MOST = 6
# Up to so many steps an axis counts them evenly.
_FEW = 20
_TITLES = {"solver": "Convergence with different losses", "loss": "Comparison of optimisation methods"}


def plot_convergence(fit: Mapping[str, Any]) -> Figure:
    """Draw how one fit converged.

    Parameters
    ----------
    fit : mapping
        As in ``fit.json``: ``history`` with ``objective``, ``gradient_norm``, ``passes`` and perhaps ``gap``;
        ``method``, ``status``, ``tolerance``.

    Returns
    -------
    Figure
        Left the objective above its lowest value, right the largest component of the gradient relative to the start,
        both over the steps.
    """
    history = fit["history"]
    figure = new_figure(8.6, 3.6)
    left, right = figure.subplots(1, 2)
    objective = _numbers(history["objective"])
    steps = np.arange(objective.size)
    _line(left, steps, objective - np.nanmin(objective), 0, "objective above its lowest")
    norms = _numbers(history["gradient_norm"])
    unit = max(1.0, float(norms[0]))
    _line(right, steps, norms / unit, 0, "largest component of the gradient, relative to the start")
    if history.get("gap") is not None:
        gap = _numbers(history["gap"]) / np.maximum(np.abs(objective), 1e-300)
        _line(right, steps, gap, 1, "duality gap, relative to the objective")
    right.axhline(fit["tolerance"], color=MUTED, linewidth=1.0, linestyle=(0, (4, 2)), zorder=1)
    right.annotate(
        f"tolerance {fit['tolerance']:.0e}",
        xy=(0.0, fit["tolerance"]),
        xycoords=("axes fraction", "data"),
        xytext=(4, 3),
        textcoords="offset points",
        fontsize=8.5,
        color=MUTED,
    )
    word = str(fit["status"]).replace("_", " ")
    dress(left, title=f"{plain(fit['method'], 34)}: {word}", x="step", y="objective above its lowest")
    dress(right, title="How far from optimal", x="step", y="relative to the start")
    for axes in (left, right):
        _whole_steps(axes)
    handles, labels = right.get_legend_handles_labels()
    legend_above(figure, handles, labels, columns=1, side="right")
    return figure


def plot_comparison(
    runs: Sequence[Mapping[str, Any]], panels: str, lines: str, refused: Sequence[Mapping[str, Any]] = ()
) -> Figure:
    """Draw convergence side by side: a panel for each loss and a line for each solver, or the other way round.

    Values of different losses do not compare. So each run's objective is shown as its height above the lowest that
    anyone reached for that loss, as a share of the height at the start: 1 at the start, 0 at the minimum.

    Parameters
    ----------
    runs : sequence of mapping
        As in ``compare.json``: ``loss``, ``solver``, ``status``, ``share`` (the heights), ``clock`` (the seconds).
    panels, lines : {"loss", "solver"}
        What each panel and each line stand for.
    refused : sequence of mapping
        Pairs of ``loss`` and ``solver`` that do not fit; their panel says so.

    Returns
    -------
    Figure
        The upper row over the steps, the lower one over seconds. Faint: where a method goes up on its way; strong: the
        lowest point so far, which is what it returns. A disc where a fit converged, a cross where it was cut short.

    Raises
    ------
    ValueError
        For no run at all, and for more than six panels.
    """
    from matplotlib.font_manager import FontProperties

    places = list(dict.fromkeys(run[panels] for run in runs))
    kinds = list(dict.fromkeys(run[lines] for run in runs))
    if not places or len(places) > _MOST:
        raise ValueError(f"{len(places)} panels; give runs of 1 to {_MOST} {panels}s")
    figure = new_figure(max((2.9 if len(places) < 5 else 2.5) * len(places), 6.4), 6.2)
    grid = figure.subplots(2, len(places), squeeze=False, sharey=True)
    for column, place in enumerate(places):
        own = [run for run in runs if run[panels] == place]
        for run in own:
            for axes, x in ((grid[0, column], range(len(run["share"]))), (grid[1, column], run["clock"])):
                _run(axes, np.asarray(x, np.float64), run, kinds.index(run[lines]), run[lines])
        _dress_column(grid[:, column], plain(place, 26), first=column == 0)
        _say_absent(grid[0, column], [str(pair[lines]) for pair in refused if pair[panels] == place])
    handles = {label: handle for axes in grid.flat for handle, label in zip(*axes.get_legend_handles_labels())}  # noqa: B905
    ordered = [kind for kind in kinds if kind in handles]
    legend_above(figure, [handles[kind] for kind in ordered], ordered, columns=min(len(ordered), 4))
    figure.legends[0].set_title(_TITLES[panels], prop=FontProperties(size=12.5, weight="bold"))
    figure.legends[0].set_alignment("left")
    return figure


def _run(axes: Axes, x: np.ndarray[Any, Any], run: Mapping[str, Any], index: int, label: str) -> None:
    share = np.maximum(_numbers(run["share"]), _FLOOR)
    done = run["status"] in ("converged", "stalled")
    lowest = np.minimum.accumulate(share)
    if (share > 1.001 * lowest).any():
        axes.plot(x, share, color=colour(index), linewidth=0.8, alpha=0.3, zorder=2)
    axes.plot(x, lowest, color=colour(index), linestyle=dashes(index), linewidth=1.8, label=label, zorder=3)
    axes.plot(
        x[-1:],
        lowest[-1:],
        "o" if done else "x",
        color=colour(index),
        markersize=5.5,
        markeredgewidth=1.6,
        zorder=4,
        clip_on=False,
    )


def _say_absent(axes: Axes, names: list[str]) -> None:
    if names:
        axes.annotate(
            "not for\n" + "\n".join(plain(name, 22) for name in names),
            xy=(0.04, 0.04),
            xycoords="axes fraction",
            fontsize=8,
            color=MUTED,
            parse_math=False,
        )


def _dress_column(column: Any, title: str, first: bool) -> None:
    from matplotlib.ticker import MaxNLocator

    steps, seconds = column
    if steps.dataLim.x1 > _FEW:
        steps.set_xscale("symlog", linthresh=1.0, linscale=0.35)
    else:
        steps.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    steps.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    steps.set_xlim(left=0.0)
    seconds.set_xscale("log")
    seconds.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    y = "share of the way still to go"
    dress(steps, title=title, x="steps", y=y if first else "", grid="both")
    dress(seconds, x="seconds", y=y if first else "", grid="both")
    for axes in column:
        axes.set_yscale("log")
        axes.set_ylim(_FLOOR, 3.0)
        axes.set_yticks([1e-12, 1e-9, 1e-6, 1e-3, 1.0])
        axes.minorticks_off()


def _line(axes: Axes, x: Any, y: np.ndarray[Any, Any], index: int, label: str) -> None:
    shown = y > 0.0
    few = int(shown.sum()) <= 40
    axes.plot(
        x[shown],
        y[shown],
        color=PALETTE[index],
        linestyle=dashes(index),
        linewidth=1.8,
        marker="o" if few else None,
        markersize=4,
        label=label,
    )
    axes.set_yscale("log")


def _whole_steps(axes: Axes) -> None:
    from matplotlib.ticker import LogLocator, MaxNLocator

    axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    axes.yaxis.set_major_locator(LogLocator(numticks=7))
    axes.minorticks_off()
    axes.tick_params(labelcolor=INK)


def _numbers(values: Any) -> np.ndarray[Any, Any]:
    return np.array([np.nan if value is None else value for value in values], np.float64)
