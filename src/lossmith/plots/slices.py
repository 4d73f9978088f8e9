"""Along which line a loss is drawn: from one number on the x-axis to targets and predictions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ..core.domain import Labels
from ..core.elementwise import ElementwiseLoss
from ..core.loss import Loss

Array = npt.NDArray[Any]
RESIDUAL = "residual  r = prediction − target  (target's unit)"
MARGIN = "margin  m = ±score  (raw score towards the true class)"
PROBABILITY = "probability given to the true class"


@dataclass(frozen=True)
class Slice:
    """A loss seen along one axis.

    Attributes
    ----------
    axis : str
        What x is; losses with the same axis can share a picture.
    low, high : float
        The part worth seeing.
    value, gradient, curvature : callable or None
        From an array of x to per-sample numbers: the loss's own formulas. None where the loss has none.
    kinks : tuple of float
        Places on x where the gradient jumps.
    by : str
        What gradient and curvature are derivatives by.
    """

    axis: str
    low: float
    high: float
    value: Callable[[Array], Array]
    gradient: Callable[[Array], Array]
    curvature: Callable[[Array], Array] | None
    kinks: tuple[float, ...] = ()
    by: str = "prediction"


def slice_of(loss: Loss, y: float | None = None) -> Slice:
    """Choose the axis along which a loss is drawn.

    Parameters
    ----------
    loss : Loss
        Elementwise losses: the residual for regression, the margin (or the probability of the true class)
        for two classes, the prediction itself for counts. Multi-class losses: two classes, the margin
        between them.
    y : float, optional
        The target. By default 0 for regression, class 1 for classes, 3 for counts.

    Returns
    -------
    Slice
        The axis and the loss's own formulas along it.

    Raises
    ------
    ValueError
        For a loss that takes whole sequences, masks or embeddings: it has no single axis.

    Examples
    --------
    >>> import lossmith as lm
    >>> part = slice_of(lm.Huber(delta=1.0))
    >>> part.gradient(np.array([-3.0, 0.5])).tolist()
    [-1.0, 0.5]
    """
    if isinstance(loss, ElementwiseLoss):
        return _elementwise(loss, y)
    if loss.tier == "row-wise" and loss.traits.task == "multiclass":
        return _two_classes(loss)
    raise ValueError(
        f"{type(loss).__name__} compares {loss.traits.task} data as a whole and has no single axis to draw along; "
        "losses of one number or of class scores can be drawn"
    )


def _elementwise(loss: ElementwiseLoss, y: float | None) -> Slice:
    task = loss.traits.task
    if task == "binary":
        return _binary(loss, y)
    if task == "regression":
        return _residual(loss, 0.0 if y is None else y)
    return _prediction(loss, 3.0 if y is None else y)


def _residual(loss: ElementwiseLoss, y: float) -> Slice:
    width = max(3.0, 1.5 * max((abs(p) for p in loss.parameters), default=0.0))
    return _along(loss, RESIDUAL, (-width, width), lambda x: (np.full_like(x, y), y + x), _kinks(loss))


def _binary(loss: ElementwiseLoss, y: float | None) -> Slice:
    signed = isinstance(loss.domain, Labels) and -1.0 in loss.domain.codes
    target = 1.0 if y is None else y
    true = target > 0
    if not signed and target not in (0.0, 1.0):
        raise ValueError(f"{type(loss).__name__}: y={target:g} is no class; give 1 or 0")
    if _takes_probabilities(loss):
        return _along(
            loss,
            PROBABILITY,
            (0.01, 0.99),
            lambda x: (np.full_like(x, target), x if true else 1.0 - x),
            (),
            sign=1.0 if true else -1.0,
        )
    label = target if true or not signed else -1.0
    sign = 1.0 if true else -1.0
    return _along(loss, MARGIN, (-3.0, 3.0), lambda x: (np.full_like(x, label), sign * x), _kinks(loss), sign=sign)


def _prediction(loss: ElementwiseLoss, y: float) -> Slice:
    if loss.prediction_domain.contains(np.array([-1.0]))[0]:
        top = float(np.log(max(y, 1.0)))
        return _along(loss, f"raw score  (log of the prediction; target {y:g})", (top - 3.0, top + 2.0), _at(y))
    return _along(loss, f"prediction  (target {y:g})", (0.05 * max(y, 1.0), 3.0 * max(y, 1.0)), _at(y))


def _kinks(loss: ElementwiseLoss) -> tuple[float, ...]:
    kinks = loss.traits.kinks
    return () if callable(kinks) else kinks


def _at(y: float) -> Callable[[Array], tuple[Array, Array]]:
    return lambda x: (np.full_like(x, y), x)


def _takes_probabilities(loss: ElementwiseLoss) -> bool:
    return not bool(loss.prediction_domain.contains(np.array([-1.0]))[0])


def _along(
    loss: ElementwiseLoss,
    axis: str,
    limits: tuple[float, float],
    place: Callable[[Array], tuple[Array, Array]],
    kinks: tuple[float, ...] = (),
    sign: float = 1.0,
) -> Slice:
    return Slice(
        axis,
        *limits,
        value=lambda x: np.asarray(loss(*place(x), reduction="none")),
        gradient=lambda x: sign * np.asarray(loss.gradient(*place(x))),
        curvature=lambda x: np.asarray(loss.hessian(*place(x))),
        kinks=kinks,
        by=axis.partition("  ")[0],
    )


def _two_classes(loss: Loss) -> Slice:
    def place(x: Array) -> tuple[Array, Array]:
        return np.tile([1.0, 0.0], (x.size, 1)), np.column_stack([x, np.zeros_like(x)])

    def curvature(x: Array) -> Array:
        return np.asarray(loss.hessian(*place(x)))[:, 0, 0]  # type: ignore[attr-defined]

    return Slice(
        MARGIN,
        -3.0,
        3.0,
        value=lambda x: np.asarray(loss(*place(x), reduction="none")),
        gradient=lambda x: np.asarray(loss.gradient(*place(x)))[:, 0],
        curvature=curvature,
        by="margin",
    )
