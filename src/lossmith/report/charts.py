"""Small charts as inline SVG. Colours come from the page's CSS, so they follow light and dark mode and print."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from markupsafe import Markup, escape

Point = tuple[float, float]
_TOP, _BOTTOM, _RIGHT = 14, 44, 16


class Frame:
    """Axes of a chart: maps data to pixels and draws ticks, grid and labels.

    Parameters
    ----------
    width, height : int
        Size in pixels.
    x, y : tuple of float
        Smallest and largest value shown.
    left : int, optional
        Room for the labels of the vertical axis, in pixels; by default what its tick labels need.
    """

    def __init__(self, width: int, height: int, x: Point, y: Point, left: int | None = None) -> None:
        self.width, self.height = width, height
        self.x, self.y = _widened(x), _widened(y)
        self.left = left or 34 + 7 * max(len(number(tick)) for tick in ticks(*self.y))

    def at(self, x: float, y: float) -> Point:
        """Return the pixel of a data point."""
        across = (x - self.x[0]) / (self.x[1] - self.x[0])
        up = (y - self.y[0]) / (self.y[1] - self.y[0])
        inner = self.width - self.left - _RIGHT
        return self.left + across * inner, self.height - _BOTTOM - up * (self.height - _TOP - _BOTTOM)

    def axes(self, x_label: str, y_label: str, *, y_ticks: bool = True) -> Markup:
        """Draw grid lines, tick labels and axis titles."""
        parts = []
        base = self.height - _BOTTOM
        for tick in ticks(*self.x):
            px, _ = self.at(tick, self.y[0])
            parts.append(_tag("line", x1=px, y1=_TOP, x2=px, y2=base, class_="grid"))
            parts.append(_text(px, base + 16, number(tick), "tick", "middle"))
        for tick in ticks(*self.y) if y_ticks else ():
            _, py = self.at(self.x[0], tick)
            parts.append(_tag("line", x1=self.left, y1=py, x2=self.width - _RIGHT, y2=py, class_="grid"))
            parts.append(_text(self.left - 6, py + 4, number(tick), "tick", "end"))
        middle = (self.left + self.width - _RIGHT) / 2
        parts.append(_text(middle, self.height - 8, x_label, "label", "middle"))
        if y_label:
            parts.append(_text(-(_TOP + base) / 2, 14, y_label, "label", "middle", turn=True))
        return Markup("").join(parts)


def score_chart(scores: Sequence[dict[str, Any]], metric: str, chosen: int) -> Markup:
    """Draw the metric of each candidate with its standard error; the chosen one is filled.

    Parameters
    ----------
    scores : sequence of dict
        ``asdict`` of :class:`lossmith.workflow.records.Score`, best first.
    metric : str
        Name for the axis.
    chosen : int
        Index of the chosen one.
    """
    names = [f"{score['label']}, {score['learner']}" for score in scores]
    left = min(300, 30 + 7 * max(map(len, names)))
    low = min(score["mean"] - score["standard_error"] for score in scores)
    high = max(score["mean"] + score["standard_error"] for score in scores)
    pad = 0.06 * (high - low)
    frame = Frame(760, 26 * len(scores) + _TOP + _BOTTOM, (low - pad, high + pad), (len(scores) - 0.5, -0.5), left)
    parts = [frame.axes(f"{metric} (mean over folds, line: standard error)", "", y_ticks=False)]
    for i, (name, score) in enumerate(zip(names, scores, strict=True)):
        mean, error = score["mean"], score["standard_error"]
        x, y = frame.at(mean, i)
        x1, x2 = frame.at(mean - error, i)[0], frame.at(mean + error, i)[0]
        parts.append(_tag("line", x1=x1, y1=y, x2=x2, y2=y, class_="whisker"))
        parts.append(_tag("circle", cx=x, cy=y, r=5.5, class_="dot chosen" if i == chosen else "dot"))
        style = "tick strong" if i == chosen else "tick"
        parts.append(_text(left - 10, y + 4, name[:42], style, "end"))
    return _svg(frame, f"{metric} of {len(scores)} candidates", parts)


def curve_chart(curve: dict[str, Any]) -> Markup:
    """Draw training and held-out loss over iterations, with the kept iteration marked."""
    xs, train, valid = curve["iterations"], curve["train"], curve["valid"]
    values = [v for v in (*train, *valid) if v is not None and math.isfinite(v)]
    frame = Frame(430, 260, (min(xs), max(xs)), (min(values), max(values)))
    parts = [frame.axes("iteration", "mean loss")]
    for series, style in ((train, "series-1"), (valid, "series-2")):
        points = [(x, v) for x, v in zip(xs, series, strict=False) if v is not None and math.isfinite(v)]
        parts.append(_path(frame, points, style))
    x, _ = frame.at(curve["kept"], frame.y[0])
    parts.append(_tag("line", x1=x, y1=_TOP, x2=x, y2=frame.height - _BOTTOM, class_="kept"))
    return _svg(frame, f"Training curve of {curve['label']}, {curve['learner']}", parts)


def calibration_chart(record: dict[str, Any], x_label: str, y_label: str) -> Markup:
    """Draw mean outcome against mean prediction in bins, with the line of perfect agreement."""
    predicted, observed = record["predicted"], record["observed"]
    errors = record["observed_error"]
    kind_is_share = record["kind"] == "quantile"
    ys = [v + s * e for v, e in zip(observed, errors, strict=True) for s in (-1, 1)]
    if kind_is_share:
        frame = Frame(430, 300, (min(predicted), max(predicted)), (0.0, 1.0))
        ideal = [(frame.x[0], record["level"]), (frame.x[1], record["level"])]
    else:
        low, high = min(*predicted, *ys), max(*predicted, *ys)
        frame = Frame(430, 300, (low, high), (low, high))
        ideal = [(low, low), (high, high)]
    parts = [frame.axes(x_label, y_label), _path(frame, ideal, "ideal")]
    for p, o, e in zip(predicted, observed, errors, strict=True):
        (x, y), (_, y1), (_, y2) = frame.at(p, o), frame.at(p, o - e), frame.at(p, o + e)
        parts.append(_tag("line", x1=x, y1=y1, x2=x, y2=y2, class_="whisker"))
        parts.append(_tag("circle", cx=x, cy=y, r=4.5, class_="dot chosen"))
    return _svg(frame, "Calibration of held-out predictions", parts)


def scatter_chart(actual: Sequence[float], predicted: Sequence[float], x_label: str, y_label: str) -> Markup:
    """Draw held-out predictions against targets."""
    low, high = min(*actual, *predicted), max(*actual, *predicted)
    frame = Frame(430, 300, (low, high), (low, high))
    parts = [frame.axes(x_label, y_label), _path(frame, [(low, low), (high, high)], "ideal")]
    for a, p in zip(actual, predicted, strict=True):
        x, y = frame.at(p, a)
        parts.append(_tag("circle", cx=x, cy=y, r=2.2, class_="speck"))
    return _svg(frame, "Held-out predictions against targets", parts)


def bar_chart(names: Sequence[str], counts: Sequence[int], x_label: str) -> Markup:
    """Draw horizontal bars, for class counts."""
    left = min(260, 24 + 7 * max(len(name) for name in names))
    frame = Frame(430, 26 * len(names) + _TOP + _BOTTOM, (0.0, max(counts)), (len(names) - 0.5, -0.5), left)
    parts = [frame.axes(x_label, "", y_ticks=False)]
    for i, (name, count) in enumerate(zip(names, counts, strict=True)):
        x0, y = frame.at(0.0, i)
        x1, _ = frame.at(count, i)
        parts.append(_tag("rect", x=x0, y=y - 8, width=max(x1 - x0, 0.5), height=16, class_="bar"))
        parts.append(_text(left - 8, y + 4, name[:34], "tick", "end"))
    return _svg(frame, "Rows of each class", parts)


def histogram(values: Sequence[float], x_label: str, bins: int = 30) -> Markup:
    """Draw how values are spread."""
    low, high = _widened((min(values), max(values)))
    counts = [0] * bins
    for value in values:
        counts[min(bins - 1, int((value - low) / (high - low) * bins))] += 1
    frame = Frame(430, 240, (low, high), (0.0, max(counts)))
    parts = [frame.axes(x_label, "rows of the sample")]
    step = (high - low) / bins
    for i, count in enumerate(counts):
        (x0, y1), (x1, y0) = frame.at(low + i * step, count), frame.at(low + (i + 1) * step, 0.0)
        if count:
            parts.append(_tag("rect", x=x0 + 0.5, y=y1, width=max(x1 - x0 - 1, 0.5), height=y0 - y1, class_="bar"))
    return _svg(frame, f"Histogram of {x_label}", parts)


def ticks(low: float, high: float, wanted: int = 5) -> list[float]:
    """Return round numbers between two ends.

    Examples
    --------
    >>> ticks(0.0, 1.0)
    [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]
    """
    raw = abs(high - low) / wanted
    size = 10.0 ** math.floor(math.log10(raw))
    step = next(size * factor for factor in (1, 2, 2.5, 5, 10) if size * factor >= raw * (1 - 1e-9))
    first, last = math.ceil(min(low, high) / step - 1e-9), math.floor(max(low, high) / step + 1e-9)
    return [round(i * step, 12) for i in range(first, last + 1)]


def number(value: float | None, digits: int = 4) -> str:
    """Return a number in few characters.

    Examples
    --------
    >>> number(0.123456), number(1234567.0), number(None)
    ('0.1235', '1,234,567', '–')
    """
    if value is None:
        return "–"
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return str(value)
    if not math.isfinite(value):
        return "∞" if value > 0 else "−∞" if value < 0 else "NaN"
    if value == int(value) and abs(value) < 1e15:
        return f"{int(value):,}".replace("-", "−")
    if abs(value) >= 10**digits:
        return f"{value:,.0f}".replace("-", "−")
    return f"{value:.{digits}g}".replace("-", "−")


def _widened(ends: Point) -> Point:
    low, high = ends
    if low != high:
        return ends
    pad = abs(low) * 0.5 or 0.5
    return low - pad, high + pad


def _path(frame: Frame, points: Sequence[Point], style: str) -> Markup:
    steps = " ".join(f"{'M' if i == 0 else 'L'}{x:.1f} {y:.1f}" for i, (x, y) in enumerate(frame.at(*p) for p in points))
    return _tag("path", d=steps, class_=style) if points else Markup("")


def _tag(tag: str, **attributes: Any) -> Markup:
    written = " ".join(
        f'{escape(key.rstrip("_"))}="{escape(f"{v:.1f}" if isinstance(v, float) else v)}"' for key, v in attributes.items()
    )
    return Markup(f"<{tag} {written}/>")  # noqa: S704 - every value above is escaped


def _text(x: float, y: float, words: str, style: str, anchor: str, *, turn: bool = False) -> Markup:
    turned = Markup(' transform="rotate(-90)"') if turn else Markup("")
    return Markup('<text x="{}" y="{}" class="{}" text-anchor="{}"{}>{}</text>').format(
        f"{x:.1f}", f"{y:.1f}", style, anchor, turned, words
    )


def _svg(frame: Frame, title: str, parts: Sequence[Markup]) -> Markup:
    return Markup('<svg viewBox="0 0 {w} {h}" style="max-width:{w}px" role="img"><title>{t}</title>{p}</svg>').format(
        w=frame.width, h=frame.height, t=title, p=Markup("").join(parts)
    )
