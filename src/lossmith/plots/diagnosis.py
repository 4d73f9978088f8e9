"""The curves of a record with what was found marked on them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any, final

import numpy as np

from .style import INK, MUTED, PALETTE, colour, dashes, dress, legend_above, new_figure, plain

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from ..diagnose.record import Record
    from ..diagnose.symptoms import Symptom

Array = np.ndarray[Any, Any]

_POINTS = 900  # of a line: more than a screen is wide
_LAYERS = 7
_ORDERS = 30.0  # highest over lowest from which an axis is logarithmic
_WORTH = 0.02  # a share that never reaches this needs no picture
_MARKS = {"error": "#C1272D", "warning": PALETTE[1], "info": MUTED}


@final
@dataclass(frozen=True)
class Mark:
    """A place on the time axis.

    Attributes
    ----------
    step : int
        Where.
    label : str
        What is there.
    severity : str
        Chooses the colour.
    """

    step: int
    label: str
    severity: str


def marks_of(symptoms: Sequence[Symptom], columns: Sequence[str]) -> list[Mark]:
    """Return where symptoms show, those of some columns.

    Parameters
    ----------
    symptoms : sequence of Symptom
        All.
    columns : sequence of str
        Columns of the picture; "" takes in those that belong to no column.

    Returns
    -------
    list of Mark
        In the order of time; those of one step are joined.
    """
    places: dict[int, list[Symptom]] = {}
    for symptom in symptoms:
        if symptom.step is not None and symptom.column in columns:
            places.setdefault(symptom.step, []).append(symptom)
    return [
        Mark(step, ", ".join(s.id.removeprefix("LM-") for s in found), found[0].severity)
        for step, found in sorted(places.items())
    ]


def plot_losses(record: Record, symptoms: Sequence[Symptom] = ()) -> Figure:
    """Draw training and held-out loss over the steps.

    Parameters
    ----------
    record : Record
        What happened.
    symptoms : sequence of Symptom
        Marked where they show.

    Returns
    -------
    Figure
        Batch losses pale, their running median strong; places without a finite number are shaded.

    Raises
    ------
    ValueError
        When no loss has two finite values.
    """
    lines = [("loss", "training loss", 0), ("eval_loss", "held-out loss", 1)]
    drawn = [(name, label, index) for name, label, index in lines if _finite(record, name)[0].size > 1]
    if not drawn:
        raise ValueError("no loss has two finite values")
    figure = new_figure(9.2, 4.0)
    axes = figure.subplots()
    for name, label, index in drawn:
        steps, values = _finite(record, name)
        noisy = values.size > 60
        if noisy:
            axes.plot(*_thin(steps, values), color=colour(index), linewidth=0.7, alpha=0.28)
        middle = _median(values, max(1, values.size // 40)) if noisy else values
        marker = "o" if values.size <= 60 else ""
        axes.plot(*_thin(steps, middle), color=colour(index), linewidth=1.8, marker=marker, markersize=3, label=label)
    _logarithmic(axes, [_finite(record, name)[1] for name, _, _ in drawn])
    _shade(axes, record, [name for name, _, _ in drawn])
    _mark(axes, marks_of(symptoms, ("loss", "eval_loss", "update_norm", "parameter_norm", "")))
    dress(axes, x="step", y="loss")
    _legend(figure, axes)
    return figure


def plot_columns(record: Record, names: Sequence[str], symptoms: Sequence[Symptom], y: str, log: bool) -> Figure:
    """Draw some recorded columns over the steps.

    Parameters
    ----------
    record : Record
        What happened.
    names : sequence of str
        Columns; those never recorded are left out, and at most seven are drawn.
    symptoms : sequence of Symptom
        Marked where they show in these columns.
    y : str
        What is drawn.
    log : bool
        Whether orders of magnitude matter.

    Returns
    -------
    Figure

    Raises
    ------
    ValueError
        When none has two finite values.
    """
    drawn = [name for name in names if _finite(record, name)[0].size > 1][:_LAYERS]
    if not drawn:
        raise ValueError(f"no {y} was recorded")
    curves = {name.replace("_", " "): _finite(record, name) for name in drawn}
    return _curves(curves, marks_of(symptoms, drawn), y, log)


def plot_layers(record: Record, quantity: str, y: str, log: bool) -> Figure:
    """Draw one quantity of the layers over the steps.

    Parameters
    ----------
    record : Record
        What happened.
    quantity : str
        A field of :class:`lossmith.diagnose.record.Layer`.
    y : str
        What is drawn.
    log : bool
        Whether orders of magnitude matter.

    Returns
    -------
    Figure
        At most seven layers, evenly over the depth.

    Raises
    ------
    ValueError
        When no layer has two finite values.
    """
    curves = {}
    for layer in record.layer_names:
        steps, values = record.layer_column(layer, quantity)
        kept = np.isfinite(values)
        if kept.sum() > 1 and (log or values[kept].max() > _WORTH):
            curves[f"layer {plain(layer, 24)}"] = (steps[kept], values[kept])
    if not curves:
        raise ValueError(f"no {y} was recorded")
    names = list(curves)
    picked = sorted({round(i * (len(names) - 1) / max(1, min(_LAYERS, len(names)) - 1)) for i in range(_LAYERS)})
    return _curves({names[i]: curves[names[i]] for i in picked if i < len(names)}, [], y, log)


def _curves(curves: dict[str, tuple[Array, Array]], marks: Sequence[Mark], y: str, log: bool) -> Figure:
    figure = new_figure(9.2, 2.9)
    axes = figure.subplots()
    for index, (label, (steps, values)) in enumerate(curves.items()):
        if values.size > 150:
            axes.plot(*_thin(steps, values), color=colour(index), linewidth=0.6, alpha=0.25)
            values = _median(values, max(1, values.size // 60))
        axes.plot(*_thin(steps, values), linewidth=1.6, color=colour(index), linestyle=dashes(index), label=label)
    if log:
        _logarithmic(axes, [values for _, values in curves.values()])
    _mark(axes, marks)
    dress(axes, x="step", y=y)
    _legend(figure, axes)
    return figure


def _finite(record: Record, name: str) -> tuple[Array, Array]:
    steps, values = record.column(name)
    kept = np.isfinite(values) & (np.abs(values) < 1e100)
    return steps[kept], values[kept]


def _thin(steps: Array, values: Array) -> tuple[Array, Array]:
    """Lowest and highest of each bin, so that no spike is lost."""
    if values.size <= _POINTS:
        return steps, values
    edges = np.linspace(0, values.size, _POINTS // 2 + 1).astype(int)
    picked = sorted({a + int(k) for a, b in pairwise(edges) for k in _extremes(values[a:b])})
    return steps[picked], values[picked]


def _extremes(part: Array) -> tuple[int, int]:
    return int(part.argmin()), int(part.argmax())


def _median(values: Array, width: int) -> Array:
    from ..diagnose.symptoms.curves import smooth

    middle = smooth(values, width | 1)
    if middle is values:
        return values
    # Windows narrow towards the ends: a flat end would look like a plateau.
    for i in range(width // 2 + 1):
        middle[i] = np.median(values[: 2 * i + 1])
        middle[-1 - i] = np.median(values[values.size - 2 * i - 1 :])
    return middle


def _logarithmic(axes: Axes, columns: Sequence[Array]) -> None:
    """A logarithmic axis where numbers span orders of magnitude and are positive."""
    values = np.concatenate(columns)
    if values.min() > 0.0 and np.quantile(values, 0.99) > _ORDERS * np.quantile(values, 0.01):
        from matplotlib.ticker import NullFormatter

        axes.set_yscale("log")
        axes.yaxis.set_minor_formatter(NullFormatter())


def _shade(axes: Axes, record: Record, names: Sequence[str]) -> None:
    for name in names:
        steps, values = record.column(name)
        odd = steps[~np.isfinite(values)]
        if odd.size:
            axes.axvspan(int(odd.min()), int(odd.max()) + 1, color=_MARKS["error"], alpha=0.10, linewidth=0)


def _mark(axes: Axes, marks: Sequence[Mark]) -> None:
    """Dashed lines with their names on top; neighbours share the height in three rows."""
    low, high = axes.get_xlim()
    last = [-np.inf] * 3
    for mark in marks:
        share = (mark.step - low) / max(high - low, 1e-12)
        row = next((i for i, place in enumerate(last) if share - place > 0.02 + 0.011 * len(mark.label)), 2)
        last[row] = share + 0.004 * len(mark.label)
        tint = _MARKS[mark.severity]
        axes.axvline(mark.step, color=tint, linewidth=1.2, linestyle=(0, (4, 2.5)), zorder=1)
        late = share > 0.75
        axes.annotate(
            plain(mark.label, 48),
            (mark.step, 1.0 - 0.075 * row),
            xycoords=("data", "axes fraction"),
            xytext=(-4 if late else 4, -3),
            textcoords="offset points",
            ha="right" if late else "left",
            va="top",
            fontsize=8.5,
            fontweight="bold",
            color=tint,
            parse_math=False,
        )


def _legend(figure: Figure, axes: Axes) -> None:
    handles, labels = axes.get_legend_handles_labels()
    legend_above(figure, handles, labels, columns=min(4, len(labels)))
    axes.title.set_color(INK)
