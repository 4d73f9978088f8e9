"""The look of every picture: palette, sizes, quiet axes. Nothing here touches matplotlib's global state."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe and Ito's colours, told apart with any colour vision; the darkest first, for contrast on white.
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#6B6B6B")
# Lines also differ in their dashes, so that a grey print still tells them apart.
DASHES: tuple[tuple[float, ...], ...] = ((), (6, 2), (2, 1.6), (7, 2, 1.5, 2), (4, 1.5), (1, 1.2), (10, 3))

INK = "#1f2933"
MUTED = "#5f6b7a"
GRID = "#e3e8ee"
PAPER = "#ffffff"
ACCENT = PALETTE[0]

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ufffe\uffff]")


def new_figure(width: float, height: float) -> Figure:
    """Return an empty figure that belongs to no window and no global list.

    Parameters
    ----------
    width, height : float
        Size in inches.
    """
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), facecolor=PAPER, layout="constrained")


def colour(index: int) -> str:
    """Return the colour of the n-th line; it repeats after seven, where the dashes differ."""
    return PALETTE[index % len(PALETTE)]


def dashes(index: int) -> tuple[float, tuple[float, ...] | None]:
    """Return the line style of the n-th line as matplotlib's ``(offset, on-off sequence)``."""
    lap, place = divmod(index, len(DASHES))
    pattern = DASHES[(place + lap) % len(DASHES)]
    return (0.0, pattern or None)


def plain(text: object, limit: int = 60) -> str:
    """Return text from outside as one safe line: no control characters, no direction marks, not too long.

    Parameters
    ----------
    text : object
        A column's name, a label; anything ``str`` takes.
    limit : int
        Longer text is cut, with an ellipsis.

    Examples
    --------
    >>> plain("a" * 70, limit=5)
    'aaaa…'
    """
    line = _CONTROL.sub(" ", str(text)).encode("utf-8", "replace").decode("utf-8")
    return line if len(line) <= limit else line[: limit - 1] + "…"


def dress(axes: Axes, *, title: str = "", x: str = "", y: str = "", grid: str = "y") -> None:
    """Give axes the house look and their labels.

    Parameters
    ----------
    axes : Axes
        Where.
    title, x, y : str
        Texts; shown as they are, dollar signs included (never read as formulas).
    grid : {"y", "x", "both", ""}
        Along which axis lines help to read values.
    """
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axes.spines[side].set_color(MUTED)
        axes.spines[side].set_linewidth(0.8)
    axes.tick_params(colors=MUTED, labelsize=9, width=0.8, length=3)
    axes.set_axisbelow(True)
    if grid:
        axes.grid(True, axis=grid, color=GRID, linewidth=0.8)  # type: ignore[arg-type]
    lines = "\n".join(plain(line) for line in title.split("\n"))
    axes.set_title(lines, loc="left", fontsize=11, fontweight="bold", color=INK, pad=8, parse_math=False)
    axes.set_xlabel(plain(x, 110), fontsize=9.5, color=INK, parse_math=False)
    axes.set_ylabel(plain(y, 110), fontsize=9.5, color=INK, parse_math=False)


def legend_above(
    figure: Figure,
    handles: Sequence[Artist],
    labels: Sequence[str],
    columns: int,
    side: Literal["left", "right"] = "left",
) -> None:
    """Put one legend above all axes, where it covers no data."""
    legend = figure.legend(
        list(handles),
        [plain(label) for label in labels],
        loc=f"outside upper {side}",
        ncols=max(1, columns),
        frameon=False,
        fontsize=9.5,
        labelcolor=INK,
        handlelength=2.6,
        columnspacing=1.6,
    )
    for text in legend.get_texts():
        text.set_parse_math(False)
