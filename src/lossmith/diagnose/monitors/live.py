"""Drawing a run while it goes on: sparklines on a terminal, curves in a notebook."""

from __future__ import annotations

import importlib
import math
import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any, Protocol, final

import numpy as np

from ..record import Record

Array = np.ndarray[Any, Any]

_BARS = "▁▂▃▄▅▆▇█"
_EVERY = 0.5
_SHOWN = ("loss", "eval_loss", "grad_norm", "learning_rate")
_SAID = {"loss": "training loss", "eval_loss": "held-out loss", "grad_norm": "gradient norm"}


def sparkline(values: Sequence[float] | Array, width: int = 40, places: Array | None = None) -> str:
    """Draw numbers as one line of bars; its height is linear in the logarithm where all are positive.

    Parameters
    ----------
    values : sequence of float
        What to draw, in order.
    width : int, default 40
        Characters; where there are more values, each bar is the mean of some.
    places : ndarray of float, optional
        Where each value lies, from 0 (left) to 1 (right); by default they fill the line, or its start if they are few.
        Between two values the bar of the earlier one goes on.

    Returns
    -------
    str
        At most ``width`` characters; "!" stands where a value is not finite.

    Examples
    --------
    >>> sparkline([1, 2, 4, 8])
    '▁▃▆█'
    >>> sparkline([1.0, float("nan")])
    '▁!'
    >>> sparkline([1, 8], 6, np.array([0.0, 0.9]))
    '▁▁▁▁▁█'
    """
    if not len(values):
        return ""
    array = np.asarray(values, dtype=np.float64)
    bins = min(width, len(array)) if places is None else width
    where = np.arange(len(array)) / len(array) if places is None else places
    cell = np.clip((where * bins).astype(int), 0, bins - 1)
    count = np.bincount(cell, minlength=bins)
    with np.errstate(over="ignore", invalid="ignore"):
        means = np.bincount(cell, weights=array, minlength=bins) / np.maximum(count, 1)
    latest = np.maximum.accumulate(np.where(count > 0, np.arange(bins), -1))
    bars = _bars(means[count > 0])
    filled = dict(zip(np.flatnonzero(count > 0).tolist(), bars, strict=True))
    return "".join(filled.get(i, " ") for i in latest[: int(cell.max()) + 1].tolist())


def _bars(means: Array) -> str:
    finite = np.isfinite(means)
    if not finite.any():
        return "!" * len(means)
    # Losses fall by orders of magnitude: on a linear scale all but the start would be flat.
    shown = np.log(np.where(finite, means, 1.0)) if (means[finite] > 0).all() else np.where(finite, means, 0.0)
    low, high = shown[finite].min(), shown[finite].max()
    span = high - low if high > low else 1.0
    level = np.clip(np.rint((shown - low) / span * (len(_BARS) - 1)), 0, len(_BARS) - 1).astype(int)
    return "".join(_BARS[i] if ok else "!" for i, ok in zip(level, finite, strict=True))


def figure(value: float) -> str:
    """Write a number in at most ten characters.

    Parameters
    ----------
    value : float
        Any number.

    Returns
    -------
    str
        Four significant digits.

    Examples
    --------
    >>> figure(0.000123456), figure(float("inf"))
    ('0.0001235', 'inf')
    """
    return f"{value:.4g}" if math.isfinite(value) else str(value)


def lines(record: Record, width: int = 80) -> list[tuple[str, str, str]]:
    """Lay out the state of a run.

    Parameters
    ----------
    record : Record
        So far.
    width : int, default 80
        Characters of a whole line.

    Returns
    -------
    list of (str, str, str)
        Name, curve and last value of each quantity recorded.
    """
    rows = []
    first, last = (record.steps[0].step, record.steps[-1].step) if len(record) else (0, 0)
    for name in _SHOWN:
        steps, values = record.column(name)
        if len(values):
            # All curves share one axis of steps.
            places = (steps - first) / max(1, last - first + 1)
            rows.append((name, sparkline(values, max(8, width - 28), places), figure(float(values[-1]))))
    return rows


class Screen(Protocol):
    """Something that shows a run."""

    def update(self, record: Record) -> None:
        """Show the run as it stands, if it is time to."""

    def close(self, record: Record) -> None:
        """Show it for the last time."""


@final
class Nothing:
    """Shows nothing."""

    def update(self, record: Record) -> None:
        """Do nothing."""

    def close(self, record: Record) -> None:
        """Do nothing."""


def _rest(begun: float) -> float:
    """Return when to draw next: drawing is to take at most a hundredth of the time."""
    now = time.monotonic()
    return now + max(_EVERY, 100 * (now - begun))


@final
class Terminal:
    """Sparklines that stay at the foot of the terminal, at most twice a second.

    Parameters
    ----------
    console : rich.console.Console, optional
        Where to; standard output by default.
    """

    def __init__(self, console: Any = None) -> None:
        from rich.console import Console
        from rich.live import Live

        self._console = Console(highlight=False) if console is None else console
        # No thread of its own: drawing happens inside a step, where its cost is counted.
        self._live = Live(console=self._console, auto_refresh=False, transient=False)
        self._next = 0.0
        self._started = False

    def update(self, record: Record) -> None:
        """Redraw if half a second has passed, or longer where drawing itself takes long."""
        begun = time.monotonic()
        if begun < self._next:
            return
        if not self._started:
            self._live.start()
            self._started = True
        self._live.update(self.table(record), refresh=True)
        self._next = _rest(begun)

    def close(self, record: Record) -> None:
        """Leave the last state on the screen."""
        if self._started:
            self._live.update(self.table(record), refresh=True)
            self._live.stop()
            self._started = False

    def table(self, record: Record) -> Any:
        """Draw the run.

        Parameters
        ----------
        record : Record
            So far.

        Returns
        -------
        rich.table.Table
            One row for each quantity.
        """
        from rich.table import Table
        from rich.text import Text

        table = Table.grid(padding=(0, 1))
        last = record.steps[-1].step if len(record) else 0
        for name, curve, value in lines(record, self._console.width):
            table.add_row(Text(name, "bold"), Text(curve, "cyan"), Text(value))
        table.add_row(Text("step", "bold"), Text(str(last), "dim"))
        return table


@final
class Notebook:
    """Curves of matplotlib in a notebook's cell, redrawn at most twice a second and in at most 1 % of the time."""

    def __init__(self) -> None:
        self._next = 0.0
        self._handle: Any = None

    def update(self, record: Record) -> None:
        """Redraw if it is time to."""
        begun = time.monotonic()
        if begun >= self._next:
            self._draw(record)
            self._next = _rest(begun)

    def close(self, record: Record) -> None:
        """Draw the last state."""
        self._draw(record)

    def _draw(self, record: Record) -> None:
        display = importlib.import_module("IPython.display").display
        drawn = curves(record)
        if self._handle is None:
            self._handle = display(drawn, display_id=True)
        else:
            self._handle.update(drawn)


def curves(record: Record) -> Any:
    """Draw the losses, and the gradient norm under them where there is one, with matplotlib.

    Parameters
    ----------
    record : Record
        The run.

    Returns
    -------
    matplotlib.figure.Figure
        Not tied to a window.
    """
    from matplotlib.figure import Figure

    panels = [
        (ratio, held)
        for ratio, names in ((3, ("loss", "eval_loss")), (1, ("grad_norm",)))
        if (held := {n: c for n in names if np.isfinite((c := record.column(n))[1]).any()})
    ]
    drawn = Figure(figsize=(7, 4.2), layout="constrained")
    if not panels:
        return drawn
    ratios = [ratio for ratio, _ in panels]
    below = drawn.subplots(len(panels), 1, sharex=True, squeeze=False, height_ratios=ratios)[:, 0]
    for axes, (_, held) in zip(below, panels, strict=True):
        _panel(axes, held)
    below[-1].set_xlabel("step")
    return drawn


def _panel(axes: Any, held: Mapping[str, tuple[Array, Array]]) -> None:
    from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

    for name, (steps, values) in held.items():
        finite, said = np.isfinite(values), _SAID[name]
        # A line through one point cannot be seen.
        axes.plot(steps[finite], values[finite], marker="." if finite.sum() == 1 else "", label=said, linewidth=1.2)
        if not finite.all():
            axes.axvline(steps[~finite][0], color="tab:red", linestyle=":", label=f"{said} not finite")
    # One number that is not positive would vanish from a logarithmic axis.
    if all((values[np.isfinite(values)] > 0).all() for _, values in held.values()):
        axes.set_yscale("log")
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5), numticks=6))
        axes.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
        axes.yaxis.set_minor_formatter(NullFormatter())
    axes.legend(frameon=False, fontsize=8)
    axes.grid(alpha=0.25)


def screen(live: bool | None) -> Screen:
    """Choose how to show a run.

    Parameters
    ----------
    live : bool or None
        None draws in a notebook and on a terminal, and nowhere else; True draws lines even into a pipe.

    Returns
    -------
    Screen
        What fits the place the program runs in.
    """
    if live is False:
        return Nothing()
    if _in_notebook():
        return Notebook()
    return Terminal() if live or sys.stdout.isatty() else Nothing()


def _in_notebook() -> bool:
    if "IPython" not in sys.modules:
        return False
    shell = importlib.import_module("IPython.core.getipython").get_ipython()
    return shell is not None and type(shell).__name__ == "ZMQInteractiveShell"
