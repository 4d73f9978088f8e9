"""The pictures of a report: from the run's record to ``<svg>`` elements, or a word on why there is none."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_MOST_LINES = 7
_NO_CALIBRATION = "No calibration: this run has none (scores without probabilities, or a run cut short)."


@dataclass(frozen=True)
class Picture:
    """A picture or its absence.

    Attributes
    ----------
    svg : str
        The element; empty when there is none.
    caption : str
        What one sees, or why there is nothing to see.
    wide : bool
        Whether it wants the page's width.
    """

    svg: str
    caption: str
    wide: bool = True


def picture(draw: Callable[[], Figure], title: str, caption: str, prefix: str, wide: bool = True) -> Picture:
    """Draw one picture, or say why it cannot be drawn.

    Parameters
    ----------
    draw : callable
        Returns the figure, or raises ValueError with the reason.
    title, caption, prefix : str
        For those who do not see it, for those who do, and for the ids in the page.
    wide : bool
        Whether it wants the page's width.

    Returns
    -------
    Picture
    """
    from ..plots.svg import inline

    try:
        return Picture(inline(draw(), title, caption, prefix), caption, wide)
    except ValueError as reason:
        return Picture("", f"No picture: {reason}.", wide)


def target(record: Mapping[str, Any]) -> Picture:
    """Draw the target: classes from their counts, numbers from the sample of held-out rows."""
    from ..plots.target import plot_classes, plot_numbers

    facts, name = record.get("facts") or {}, str((record.get("settings") or {}).get("target", "target"))
    if facts.get("classes"):
        caption = "Rows of each class."
        return picture(
            lambda: plot_classes(facts["classes"], facts["class_counts"], name), "Target", caption, "target", False
        )
    shape = facts.get("shape") or {}
    values = _numbers((record.get("predictions") or {}).get("actual") or ())
    caption = f"Histogram of the target: {len(values)} rows spread evenly over the data."
    return picture(
        lambda: plot_numbers(values, name, shape.get("mean"), shape.get("median")), "Target", caption, "target", False
    )


def _numbers(values: Sequence[Any]) -> list[float]:
    return [float(value) for value in values if isinstance(value, int | float) and not isinstance(value, bool)]


def losses(record: Mapping[str, Any]) -> list[Picture]:
    """Draw the candidates' losses, those with one axis in one picture."""
    from ..core.registry import from_config
    from ..plots.losses import plot
    from ..plots.slices import slice_of

    groups: dict[str, list[Any]] = {}
    for card in record.get("implementation") or ():
        try:
            loss = from_config(card["config"])
            groups.setdefault(slice_of(loss).axis, []).append(loss)
        except (ValueError, TypeError, KeyError):
            continue
    return [
        picture(
            lambda group=group: plot(*group[:_MOST_LINES]),  # type: ignore[misc]
            "Losses",
            f"Loss, pull and curvature of one sample against the {axis.partition('  ')[0]}.",
            f"losses{index}",
        )
        for index, (axis, group) in enumerate(groups.items())
    ]


def curves(record: Mapping[str, Any]) -> Picture:
    """Draw training and validation curves."""
    from ..plots.curves import plot_curves

    caption = "Mean loss over training, one line a fold; the dot marks the first fold's best held-out iteration."
    return picture(lambda: plot_curves(record.get("curves") or ()), "Training curves", caption, "curves")


def scores(record: Mapping[str, Any]) -> Picture:
    """Draw paired differences from the best candidate."""
    from ..plots.scores import plot_scores

    evaluation, metric = record.get("evaluation") or {}, record.get("metric") or {}
    caption = (
        "How much worse than the best each candidate is on the same folds. Blue, filled: within one standard "
        "error of the best, which is an honest tie; grey, hollow: worse; green diamond: the best."
    )
    return picture(
        lambda: plot_scores(evaluation.get("scores") or (), metric.get("name", "metric"), evaluation.get("chosen")),
        "Candidates compared",
        caption,
        "scores",
    )


def calibration(record: Mapping[str, Any]) -> Picture:
    """Draw the reliability diagram or the coverage."""
    from ..plots.calibration import plot_calibration

    found = record.get("calibration")
    if not found:
        return Picture("", _NO_CALIBRATION, False)
    name = str((record.get("settings") or {}).get("target", ""))
    caption = "What was predicted against what happened, on held-out rows; below, the rows of each bin."
    return picture(lambda: plot_calibration(found, name), "Calibration", caption, "calibration", False)


def predictions(record: Mapping[str, Any]) -> Picture | None:
    """Draw held-out predictions against the target; None for classes."""
    from ..plots.predictions import plot_predictions

    if (record.get("facts") or {}).get("classes"):
        return None
    sample = record.get("predictions") or {}
    pairs = [
        (a, p)
        for a, p in zip(sample.get("actual") or (), sample.get("predicted") or (), strict=False)
        if a is not None and p is not None
    ]
    name = str((record.get("settings") or {}).get("target", "target"))
    caption = f"Held-out predictions of {len(pairs)} rows; a perfect model lies on the dashed line."
    return picture(
        lambda: plot_predictions([a for a, _ in pairs], [p for _, p in pairs], name),
        "Predictions",
        caption,
        "predictions",
        False,
    )
