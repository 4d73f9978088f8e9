"""Pictures of losses: value, gradient and curvature of one or several, from their own formulas."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ..core.loss import Loss
from ..core.registry import get
from .slices import Slice, slice_of
from .style import INK, MUTED, PAPER, colour, dashes, dress, legend_above, new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Array = npt.NDArray[Any]
_POINTS = 1201
_ORDERS = ("value", "gradient", "curvature")
_TITLES = {"value": "Loss", "gradient": "Gradient (pull)", "curvature": "Curvature"}


def plot(*losses: Loss | str, y: float | None = None) -> Figure:
    """Draw value, gradient and curvature of one or several losses side by side.

    Parameters
    ----------
    *losses : Loss or str
        Losses or their names, such as ``"huber(delta=1.35)"``. All must share an axis: the residual
        (regression), the margin (two classes; multi-class losses between two classes), the probability of
        the true class, or the prediction (counts).
    y : float, optional
        The target; by default 0 for regression, class 1 for classes, 3 for counts.

    Returns
    -------
    matplotlib.figure.Figure
        It belongs to no window: ``figure.savefig("losses.png")``, or let a notebook show it.

    Raises
    ------
    ValueError
        For no loss at all, losses without a common axis, or a loss that has no single axis.

    Examples
    --------
    >>> import lossmith as lm
    >>> figure = plot(lm.MeanSquaredError(), lm.Huber(delta=1.35))
    >>> [axes.get_title(loc="left") for axes in figure.axes]
    ['Loss', 'Gradient (pull)', 'Curvature']
    """
    chosen = [get(loss) for loss in losses]
    slices = _common([slice_of(loss, y) for loss in chosen], chosen)
    figure = new_figure(11.0, 4.1)
    low, high = min(part.low for part in slices), max(part.high for part in slices)
    panels = figure.subplots(1, len(_ORDERS), sharex=True)
    for axes, order in zip(panels, _ORDERS, strict=True):
        _draw_panel(axes, order, slices, chosen, (low, high))
    figure.supxlabel(slices[0].axis, fontsize=9.5, color=INK)
    legend_above(figure, *_handles(panels[0]), columns=min(4, len(chosen)))
    return figure


def _common(slices: list[Slice], losses: list[Loss]) -> list[Slice]:
    if not slices:
        raise ValueError("give at least one loss to draw, such as 'huber'")
    for part, loss in zip(slices, losses, strict=True):
        if part.axis != slices[0].axis:
            raise ValueError(
                f"{losses[0]!r} is drawn against the {slices[0].axis.partition('  ')[0]} and {loss!r} against the "
                f"{part.axis.partition('  ')[0]}; draw them in two pictures"
            )
    return slices


def _draw_panel(axes: Axes, order: str, slices: list[Slice], losses: list[Loss], limits: tuple[float, float]) -> None:
    dress(axes, title=_TITLES[order], y=_unit(order, slices[0]))
    axes.axhline(0.0, color=MUTED, linewidth=0.8, zorder=1)
    drawn: list[Array] = []
    for index, (part, loss) in enumerate(zip(slices, losses, strict=True)):
        function = getattr(part, order)
        if function is not None:
            x = grid(*limits, part.kinks)
            drawn.append(function(x))
            _line(axes, x, drawn[-1], index, label_of(loss))
    axes.set_xlim(*limits)
    _frame(axes, drawn)
    if order == "curvature":
        _mark_kinks(axes, slices, losses)


def _unit(order: str, part: Slice) -> str:
    if order == "value":
        return "loss of one sample"
    return f"by the {part.by}" + (", twice" if order == "curvature" else "")


def _line(axes: Axes, x: Array, values: Array, index: int, label: str) -> None:
    axes.plot(
        x,
        broken(x, values),
        color=colour(index),
        linestyle=dashes(index),
        linewidth=2.2 if index == 0 else 2.0,
        solid_capstyle="round",
        label=label,
        zorder=3 + index,
    )


def _mark_kinks(axes: Axes, slices: list[Slice], losses: list[Loss]) -> None:
    """Mark kinks in the curvature: there the gradient jumps, and the curvature is a spike, not 0."""
    for kink in sorted({kink for part in slices for kink in part.kinks}):
        names = [loss.name for part, loss in zip(slices, losses, strict=True) if kink in part.kinks]
        style = {"arrowstyle": "-|>", "color": MUTED, "linestyle": (0, (1.5, 1.5)), "linewidth": 1.2}
        axes.annotate(
            "",
            xy=(kink, 1.0),
            xytext=(kink, 0.0),
            xycoords=("data", "axes fraction"),
            textcoords=("data", "axes fraction"),
            arrowprops=style,
        )
        axes.annotate(
            f"kink: a spike\n({', '.join(names)})" if len(losses) > 1 else "kink: a spike",
            xy=(kink, 0.98),
            xycoords=("data", "axes fraction"),
            xytext=(7, 0),
            textcoords="offset points",
            verticalalignment="top",
            fontsize=8,
            color=MUTED,
            bbox={"facecolor": PAPER, "edgecolor": "none", "pad": 1.0},
        )


def _frame(axes: Axes, drawn: list[Array]) -> None:
    """Choose the visible heights so that one steep loss does not press all others flat."""
    top = _reach([np.maximum(values, 0.0) for values in drawn])
    bottom = -_reach([np.maximum(-values, 0.0) for values in drawn])
    room = 0.07 * (top - bottom or 1.0)
    axes.set_ylim(bottom - room, top + room)


def _reach(sides: list[Array]) -> float:
    rest = [peak for side in sides if (peak := _peak(side)) > 0.0]
    typical = [float(np.nanmedian(side[side > 0.0])) for side in sides if np.any(side > 0.0)]
    # Cut what towers over the others, but never so low that a line leaves the picture.
    return max(min(max(rest), 4.0 * float(np.median(rest))), *typical) if rest else 0.0


def _peak(side: Array) -> float:
    """Return the height worth seeing: the greatest, unless it belongs to a pole at the end of the axis."""
    usual = float(np.nanpercentile(side, 90))
    return min(float(np.nanmax(side)), 4.0 * usual) if usual > 0.0 else float(np.nanmax(side))


def label_of(loss: Loss) -> str:
    """Return a loss's text for legends: its class and its numbers.

    Parameters
    ----------
    loss : Loss
        The loss.

    Examples
    --------
    >>> import lossmith as lm
    >>> label_of(lm.BinaryFocal(gamma=2.0))
    'BinaryFocal(gamma=2)'
    """
    numbers = {field.name: getattr(loss, field.name) for field in dataclasses.fields(loss)}
    told = ", ".join(f"{key}={value:g}" for key, value in numbers.items() if isinstance(value, float) and value)
    return f"{type(loss).__name__}({told})" if told else type(loss).__name__


def grid(low: float, high: float, kinks: tuple[float, ...] = ()) -> Array:
    """Return the points of the x-axis: even, with both sides of every kink.

    Parameters
    ----------
    low, high : float
        The ends.
    kinks : tuple of float
        Where the gradient jumps.

    Returns
    -------
    ndarray of shape (n,), float64
        Increasing, without repeats.
    """
    sides = [np.nextafter(kink, end) for kink in kinks if low < kink < high for end in (-np.inf, np.inf)]
    return np.unique(np.concatenate([np.linspace(low, high, _POINTS), np.array(sides, dtype=float)]))


def broken(x: Array, values: Array) -> Array:
    """Return the values with NaN where they jump, so that no line pretends to pass between.

    A jump is a step that is a visible share of the whole height and far steeper than the steps beside it.

    Parameters
    ----------
    x, values : ndarray of shape (n,)
        Points and values.

    Returns
    -------
    ndarray of shape (n,)
        NaN at the first point after each jump.
    """
    result = np.array(values, dtype=float)
    finite = result[np.isfinite(result)]
    if finite.size < 3 or np.ptp(finite) == 0.0:
        return result
    steps = np.abs(np.diff(result))
    beside = np.minimum(np.r_[steps[1], steps[:-1]], np.r_[steps[1:], steps[-2]])
    jumps = (steps > 0.02 * np.ptp(finite)) & (steps > 10.0 * beside)
    result[1:][jumps] = np.nan
    return result


def _handles(axes: Axes) -> tuple[list[Any], list[str]]:
    handles, labels = axes.get_legend_handles_labels()
    return list(handles), list(labels)
