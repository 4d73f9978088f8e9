"""The pictures of a benchmark, from its records."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from ..plots.style import ACCENT, GRID, INK, MUTED, PALETTE, dress, legend_above, new_figure
from .families import ELEMENTWISE, FAMILIES, GRADIENT, OPERATION_TITLES
from .record import MEMORY, OURS, OURS_IN_TORCH, Cell, Results

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Colour and marker of each contender, the same in every picture.
_LOOKS = {
    OURS: (ACCENT, "o"),
    OURS_IN_TORCH: ("#4aa3df", "h"),
    "numpy": (PALETTE[6], "s"),
    "sklearn": (PALETTE[4], "D"),
    "torch": (PALETTE[1], "^"),
    "torch.compile": ("#8c3b00", "<"),
    "optax": (PALETTE[2], "v"),
    "keras": (PALETTE[3], "P"),
    "pytorch-metric-learning": ("#7b4fb5", "X"),
}
_COLUMNS = 3


def _look(contender: str) -> tuple[str, str]:
    return _LOOKS.get(contender, (MUTED, "x"))


def plot_sizes(results: Results, dtype: str, operation: str = GRADIENT) -> Figure:
    """Draw time per element against size, one panel a loss, with the memory limit.

    Parameters
    ----------
    results : Results
        Of a run.
    dtype, operation : str
        Which cells.

    Returns
    -------
    Figure
        Both axes logarithmic.

    Raises
    ------
    ValueError
        When no loss was measured at two sizes.
    """
    families = [name for name, f in FAMILIES.items() if f.tier == ELEMENTWISE]
    groups = {name: _sizes(results, name, dtype, operation) for name in families}
    groups = {name: cells for name, cells in groups.items() if len(cells) > 1}
    if not groups:
        raise ValueError(f"no loss was measured at two sizes in {dtype}")
    rows = math.ceil(len(groups) / _COLUMNS)
    figure = new_figure(10.2, 0.7 + 2.35 * rows)
    axes = figure.subplots(rows, _COLUMNS, sharex=True, sharey=True, squeeze=False)
    handles: dict[str, object] = {}
    for place, (name, cells) in enumerate(groups.items()):
        panel = axes[place // _COLUMNS][place % _COLUMNS]
        handles |= _lines(panel, cells)
        left, lowest = place % _COLUMNS == 0, place + _COLUMNS >= len(groups)
        dress(panel, title=FAMILIES[name].title, x="elements" if lowest else "", y="ns / element" if left else "")
        panel.tick_params(labelbottom=lowest)
    for place in range(len(groups), rows * _COLUMNS):
        axes[place // _COLUMNS][place % _COLUMNS].set_visible(False)
    legend_above(figure, list(handles.values()), list(handles), 4)  # type: ignore[arg-type]
    return figure


def _sizes(results: Results, family: str, dtype: str, operation: str) -> list[Cell]:
    found = [c for c in results.cells if (c.family, c.dtype, c.operation) == (family, dtype, operation)]
    return sorted(found, key=lambda cell: cell.elements)


def _lines(panel: Axes, cells: Sequence[Cell]) -> dict[str, object]:
    panel.set_xscale("log")
    panel.set_yscale("log")
    handles: dict[str, object] = {}
    for name in dict.fromkeys(timing.contender for cell in cells for timing in cell.timings):
        points = [(c.elements, 1e9 * t / c.elements) for c in cells if (t := c.seconds(name)) is not None]
        if not points or (name not in _LOOKS and name != MEMORY):
            continue
        (handles[name],) = panel.plot(*zip(*points, strict=True), **_style(name))  # type: ignore[arg-type]
    return handles


def _style(name: str) -> dict[str, object]:
    if name == MEMORY:
        return {"color": INK, "linewidth": 1.2, "linestyle": (0, (4, 2))}
    colour, marker = _look(name)
    ours = name == OURS
    return {
        "color": colour,
        "marker": marker,
        "markersize": 5.5 if ours else 4.0,
        "linewidth": 2.4 if ours else 1.1,
        "zorder": 3 if ours else 2,
    }


def plot_speedups(results: Results, dtype: str) -> Figure:
    """Draw how many times faster than each peer we are: value and gradient, each loss at its largest shape.

    Parameters
    ----------
    results : Results
        Of a run.
    dtype : str
        Precision.

    Returns
    -------
    Figure
        One row a loss, one dot a peer; left of the line at 1 the peer is faster.

    Raises
    ------
    ValueError
        When there is nothing to compare.
    """
    rows = [(cell, _ratios(cell)) for cell in _largest(results, dtype)]
    rows = [(cell, ratios) for cell, ratios in rows if ratios]
    if not rows:
        raise ValueError(f"no peer was measured in {dtype}")
    figure = new_figure(10.2, 1.3 + 0.36 * len(rows))
    axes = figure.subplots()
    axes.set_xscale("log")
    handles: dict[str, object] = {}
    for place, (_, ratios) in enumerate(rows):
        low, high = min(1.0, *ratios.values()), max(1.0, *ratios.values())
        axes.plot([low, high], [place, place], color=GRID, linewidth=6, solid_capstyle="round", zorder=1)
        for name, ratio in ratios.items():
            colour, marker = _look(name)
            dot = axes.scatter([ratio], [place], s=46, color=colour, marker=marker, zorder=3, linewidths=0)
            handles.setdefault(name, dot)
    axes.axvline(1.0, color=INK, linewidth=1.2, zorder=2)
    dress(axes, x="times faster than the peer (left of 1: the peer is faster)", grid="x")
    _name_rows(axes, [_said(cell) for cell, _ in rows])
    _plain_ticks(axes, [ratio for _, ratios in rows for ratio in ratios.values()])
    legend_above(figure, list(handles.values()), list(handles), 6)  # type: ignore[arg-type]
    return figure


def _largest(results: Results, dtype: str) -> list[Cell]:
    found = []
    for name, family in FAMILIES.items():
        cells = _sizes(results, name, dtype, GRADIENT)
        if cells:
            found += cells[-1:] if family.tier == ELEMENTWISE else cells
    return found


def _ratios(cell: Cell) -> dict[str, float]:
    mine = cell.seconds(OURS)
    if not mine:
        return {}
    names = dict.fromkeys(timing.contender for timing in cell.peers)
    return {name: (cell.seconds(name) or 0.0) / mine for name in names}


def _said(cell: Cell) -> str:
    shape = "x".join(f"{n:,}" if len(cell.shape) == 1 else str(n) for n in cell.shape)
    return f"{FAMILIES[cell.family].title}  {shape}"


def _name_rows(axes: Axes, names: Sequence[str]) -> None:
    axes.set_yticks(range(len(names)), list(names), color=INK)
    axes.set_ylim(len(names) - 0.4, -0.6)


def _plain_ticks(axes: Axes, values: Sequence[float]) -> None:
    from matplotlib.ticker import NullFormatter, NullLocator

    steps = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000)
    low, high = min(1.0, *values) / 1.5, max(1.0, *values) * 1.5
    ticks = [tick for tick in steps if low <= tick <= high]
    axes.set_xlim(low, high)
    axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_minor_formatter(NullFormatter())


def plot_limit(results: Results, dtype: str) -> Figure:
    """Draw each loss's time over the time of moving the same bytes, ours and the fastest peer's.

    Parameters
    ----------
    results : Results
        Of a run.
    dtype : str
        Precision.

    Returns
    -------
    Figure
        Bars; elementwise losses at their largest size.

    Raises
    ------
    ValueError
        When there is nothing to draw.
    """
    cells = [cell for cell in _largest(results, dtype) if FAMILIES[cell.family].tier == ELEMENTWISE]
    rows = [(cell, cell.seconds(OURS), cell.seconds(MEMORY)) for cell in cells]
    drawn = [(cell, mine, limit) for cell, mine, limit in rows if mine and limit]
    if not drawn:
        raise ValueError(f"no elementwise loss was measured in {dtype}")
    figure = new_figure(10.2, 1.3 + 0.42 * len(drawn))
    axes = figure.subplots()
    for place, (cell, mine, limit) in enumerate(drawn):
        pairs = [(mine / limit, ACCENT, -0.19)]
        if cell.peers:
            rival = cell.peers[0]
            pairs.append(((rival.median or 0.0) / limit, _look(rival.contender)[0], 0.19))
        for (ratio, colour, shift), name in zip(pairs, (OURS, *(t.contender for t in cell.peers[:1])), strict=True):
            axes.barh(place + shift, ratio, height=0.34, color=colour)
            # Right of the limit's line, which would go through the text of a shorter bar.
            end = (max(ratio, 1.0), place + shift)
            axes.annotate(
                f"{ratio:.2g}  {name}", end, (4, 0), textcoords="offset points", va="center",
                fontsize=8.5, color=MUTED,
            )  # fmt: skip
    axes.axvline(1.0, color=INK, linewidth=1.2)
    axes.margins(x=0.14)
    dress(axes, x="time over the time of moving the same bytes; 1 is the memory limit", grid="x")
    _name_rows(axes, [_said(cell) for cell, *_ in drawn])
    return figure


def caption(dtype: str, operation: str = GRADIENT) -> str:
    """Return what a picture shows.

    Examples
    --------
    >>> caption("float64")
    'value + gradient, float64'
    """
    return f"{OPERATION_TITLES[operation]}, {dtype}"
