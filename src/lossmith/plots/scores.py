"""Scores of candidates: how far each is behind the best, with standard errors, and which are tied."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from .style import INK, MUTED, PALETTE, dress, new_figure, plain

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_MOST = 14
_BEST, _TIED, _WORSE = PALETTE[2], PALETTE[0], PALETTE[6]


def plot_scores(scores: Sequence[Mapping[str, Any]], metric: str, chosen: int | None = None) -> Figure:
    """Draw the paired differences of candidates from the best one.

    Parameters
    ----------
    scores : sequence of mapping
        As in ``run.json``, best first: ``label``, ``learner``, ``behind``, ``behind_error``, ``tied``,
        ``reference``.
    metric : str
        Name of the metric, for the axis.
    chosen : int, optional
        Index of the chosen candidate.

    Returns
    -------
    Figure
        A row for each candidate: a dot for the mean difference, a bar of one standard error each side.

    Raises
    ------
    ValueError
        For an empty sequence.
    """
    if not scores:
        raise ValueError("there are no scores to draw")
    shown = _kept(scores, chosen)
    figure = new_figure(7.8, 1.0 + 0.34 * len(shown))
    axes = figure.subplots()
    for row, (index, score) in enumerate(shown):
        _draw_row(axes, row, score)
        _name_row(axes, row, score, index == chosen)
    axes.axvline(0.0, color=MUTED, linewidth=0.9, zorder=1)
    axes.set_ylim(len(shown) - 0.4, -0.6)
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    dress(axes, x=f"{metric}: worse than the best by (± 1 standard error)", grid="x")
    axes.spines["left"].set_visible(False)
    _see_the_near(axes, [score for _, score in shown])
    return figure


def _kept(scores: Sequence[Mapping[str, Any]], chosen: int | None) -> list[tuple[int, Mapping[str, Any]]]:
    """Keep the best ones; the chosen and the default losses stay in sight even when far behind."""
    rows = list(enumerate(scores))
    late = [row for row in rows[_MOST:] if row[0] == chosen or row[1]["reference"]]
    return rows[: _MOST - len(late)] + late if len(rows) > _MOST else rows


def _draw_row(axes: Axes, row: int, score: Mapping[str, Any]) -> None:
    best = score["behind"] == 0.0 and score["behind_error"] == 0.0
    tint = _BEST if best else _TIED if score["tied"] else _WORSE
    axes.errorbar(
        score["behind"],
        row,
        xerr=score["behind_error"] or 0.0,
        fmt="D" if best else "o",
        color=tint,
        markersize=6.5,
        markerfacecolor=tint if best or score["tied"] else "white",
        elinewidth=2.0,
        capsize=3,
        zorder=3,
    )


def _name_row(axes: Axes, row: int, score: Mapping[str, Any], is_chosen: bool) -> None:
    marks = [word for word, on in (("default loss", score["reference"]), ("chosen", is_chosen)) if on]
    tail = f"  ({', '.join(marks)})" if marks else ""
    axes.annotate(
        f"{plain(score['label'], 34)}, {score['learner']}{tail}",
        xy=(0.0, row),
        xycoords=("axes fraction", "data"),
        xytext=(-8, 0),
        textcoords="offset points",
        horizontalalignment="right",
        verticalalignment="center",
        fontsize=9,
        fontweight="bold" if is_chosen else "normal",
        color=INK,
        parse_math=False,
    )


def _short(value: float) -> str:
    return f"{value:,.0f}" if 1000.0 <= abs(value) < 1e9 else f"{value:.3g}"


def _see_the_near(axes: Axes, scores: Sequence[Mapping[str, Any]]) -> None:
    """Cut the axis where one candidate is so far behind that the rest could not be told apart."""
    ends = sorted(score["behind"] + (score["behind_error"] or 0.0) for score in scores)
    middle = ends[(2 * len(ends)) // 3]
    far = [row for row, score in enumerate(scores) if score["behind"] > 6.0 * middle > 0.0]
    starts = [score["behind"] - (score["behind_error"] or 0.0) for score in scores]
    if not far:
        return
    limit = 1.25 * max(end for end in ends if end <= 6.0 * middle)
    axes.set_xlim(min(0.0, *starts) - 0.04 * limit, limit)
    for row in far:
        axes.annotate(
            f"{_short(scores[row]['behind'])} →",
            xy=(0.99, row),
            xycoords=("axes fraction", "data"),
            horizontalalignment="right",
            verticalalignment="center",
            fontsize=9,
            color=MUTED,
        )
