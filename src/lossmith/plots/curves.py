"""Training curves: the training objective over the iterations, on rows learned from and rows held out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from .style import PALETTE, colour, dress, legend_above, new_figure, plain

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_MOST = 3


def plot_curves(curves: Sequence[Mapping[str, Any]]) -> Figure:
    """Draw training and validation curves, a panel for each candidate, a line for each fold.

    Parameters
    ----------
    curves : sequence of mapping
        As in ``run.json``: ``label``, ``learner``, ``fold``, ``iterations``, ``train``, ``valid``,
        ``stopped``. The first three candidates are drawn.

    Returns
    -------
    Figure
        Loss over iteration. Heights of different panels do not compare: the losses differ.

    Raises
    ------
    ValueError
        When no curve has two points.
    """
    groups: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for curve in curves:
        if len(curve["iterations"]) > 1:
            groups.setdefault((curve["label"], curve["learner"]), []).append(curve)
    if not groups:
        raise ValueError("no training curve has two points or more")
    shown = list(groups.items())[:_MOST]
    figure = new_figure(3.9 * max(len(shown), 2), 3.5)
    panels = figure.subplots(1, len(shown), squeeze=False)[0]
    for axes, ((label, learner), folds) in zip(panels, shown, strict=True):
        _draw(axes, folds)
        dress(axes, title=f"{plain(label, 30)}\n{learner}", x="iteration", y="mean loss")
    handles = {label: handle for axes in panels for handle, label in zip(*axes.get_legend_handles_labels())}  # noqa: B905
    legend_above(figure, list(handles.values()), list(handles), columns=2)
    return figure


def _draw(axes: Axes, folds: Sequence[Mapping[str, Any]]) -> None:
    from matplotlib.ticker import MaxNLocator

    for number, curve in enumerate(folds):
        first = number == 0
        for key, text, index in (("train", "rows learned from", 0), ("valid", "rows held out", 1)):
            if len(curve[key]) == len(curve["iterations"]):
                axes.plot(
                    curve["iterations"],
                    [float("nan") if value is None else value for value in curve[key]],
                    color=colour(index),
                    linestyle="-" if index == 0 else (0, (5, 1.8)),
                    linewidth=1.6,
                    alpha=1.0 if first else 0.45,
                    label=text if first else "_",
                )
    axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    last = folds[0]["valid"]
    if last and None not in last:
        best = min(range(len(last)), key=last.__getitem__)
        axes.plot(folds[0]["iterations"][best], last[best], "o", color=PALETTE[1], markersize=5, zorder=5)
