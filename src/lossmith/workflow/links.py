"""The link of a learner: that of the loss, with the target's robust centre and scale for losses of the residual."""

from __future__ import annotations

from typing import Any

import numpy as np

from lossmith.core.loss import Loss
from lossmith.frameworks.links import (
    Affine,
    BinaryProbability,
    Exponential,
    Link,
    Margin,
    RowProbability,
    output_link,
)
from lossmith.optimize import best_constant

Array = np.ndarray[Any, Any]


def link_for(loss: Loss, y: Array, weight: Array | None = None) -> Link:
    """Return the link that suits a loss, with the target's robust centre and scale for losses of the residual.

    Parameters
    ----------
    loss : Loss
        On raw scores.
    y : ndarray, shape (n,)
        Targets; numbers, or class codes.
    weight : ndarray, shape (n,), optional
        Sample weights.

    Raises
    ------
    ValueError
        For a loss that no learner can train; says which inputs it should take.
    """
    link = output_link(loss)
    return Affine(*robust_units(y, weight)) if isinstance(link, Affine) else link


def robust_units(y: Array, weight: Array | None = None) -> tuple[float, float]:
    """Return the weighted median and 1.4826 times the median absolute deviation from it.

    More than half of the targets equal: 1.2533 times the mean absolute deviation; all equal: 1.
    """
    from lossmith.losses import MeanAbsoluteError

    y = np.asarray(y, np.float64)
    centre = best_constant(MeanAbsoluteError(), y, weight)
    away = np.abs(y - centre)
    scale = 1.4826 * best_constant(MeanAbsoluteError(), away, weight)
    if not scale > 0:
        scale = 1.2533 * float(np.average(away, weights=weight))
    return centre, scale if scale > 0 else 1.0


def has_unit(loss: Any) -> bool:
    """Tell whether a loss of the residual has a scale of its own, such as Huber's delta.

    The others (squared, absolute, pinball) only change by a factor when the unit of the target changes.
    """
    r = np.array([-8.0, -4.0, -2.0, -1.0, -0.5, 0.5, 1.0, 2.0, 4.0, 8.0])
    y = np.zeros_like(r)
    ratio = loss(y, 2.0 * r, reduction="none") / loss(y, r, reduction="none")
    return bool(np.ptp(ratio) > 1e-9 * ratio.max())


def link_from_config(config: dict[str, Any], loss: Loss) -> Link:
    """Make a link from what ``to_config`` returned.

    Raises
    ------
    ValueError
        For an unknown kind.
    """
    kind = config.get("kind")
    if kind == "affine":
        return Affine(float(config["centre"]), float(config["scale"]))
    if kind == "exponential":
        return Exponential()
    if kind == "binary_probability":
        return BinaryProbability(loss)
    if kind == "margin":
        return Margin()
    if kind == "row_probability":
        return RowProbability(loss)
    raise ValueError(f"no link is called {kind!r}; this model was written by another version of lossmith")
