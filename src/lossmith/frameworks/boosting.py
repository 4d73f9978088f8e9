"""What gradient boosters ask of a loss: six hooks on raw scores, and arrays that are checked once a training.

1. gradient and curvature of each raw score (:class:`Derivatives`), 2. is the curvature one constant? 3. are leaf
values refitted to the loss once a tree is grown? 4. the initial score, 5. the link from raw scores to predictions,
6. the check of the labels.
"""

from __future__ import annotations

import threading
import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from ..core.domain import SIGNS, check
from ..core.elementwise import ElementwiseLoss
from ..core.loss import Loss
from ..engine import fused
from ..engine.pool import take_turns
from ..optimize import best_constant
from ..optimize.curvature import WorkingCurvature, working_curvature
from .links import Link, output_link

Array = np.ndarray[Any, Any]

# A leaf whose samples all have no curvature must not divide by 0; exact curvatures are handed over as they are.
_FLOOR = 1e-6
# Rows of a piece of work that threads take turns at: the engine computes so many on the thread that asks.
_PIECE = 65_536
# A start whose loss is this much higher than that of the best constant is worth a warning.
_FAR = 1.1


@dataclass(frozen=True, eq=False)
class Sample:
    """The rows of one training, checked, in the loss's coding.

    Attributes
    ----------
    target : ndarray
        (n,) numbers or class codes. Later kinds of labels fit in here: (n, 2) for a time and what is known of it.
    weight : ndarray of float32, shape (n,), or None
        Numbers >= 0.
    outputs : int or None
        Raw scores a row; None for one.
    group : ndarray of int or None
        Sizes of consecutive groups of rows, for losses that compare rows of a group.
    """

    target: Array
    weight: Array | None = None
    outputs: int | None = None
    group: Array | None = None


@dataclass(frozen=True)
class Hooks:
    """The six hooks of a loss.

    Parameters
    ----------
    loss : Loss
        On raw scores: of the residual, on a logit or a log-rate, or on rows of logits.
    factor : callable
        What the diagonal of the Hessian is multiplied by for k classes, whose trees are grown one by one although
        scores of a row move together. Each booster has its own.
    choose : callable
        Chooses the curvature for a loss.

    Raises
    ------
    ValueError
        For a loss that takes something else than raw scores.

    Examples
    --------
    >>> import lossmith as lm
    >>> hooks = Hooks(lm.Quantile(q=0.9))
    >>> hooks.refits_leaves, hooks.start(hooks.sample([1.0, 2.0, 3.0]))
    (True, 3.0)
    """

    loss: Loss
    factor: Callable[[int], float] = float
    choose: Callable[[Any], WorkingCurvature] = working_curvature

    def __post_init__(self) -> None:
        output_link(self.loss)

    @property
    def curvature(self) -> WorkingCurvature:
        """How the second-order number of each score is made, and its name."""
        return self.choose(self.loss)

    @property
    def refits_leaves(self) -> bool:
        """Whether a tree's leaf values only make sense once they are refitted: the loss has no curvature."""
        return self.curvature.kind == "surrogate"

    @property
    def link(self) -> Link:
        """From raw scores to predictions."""
        return output_link(self.loss)

    def sample(self, label: Any, weight: Any = None, outputs: int | None = None, group: Any = None) -> Sample:
        """Check labels and weights once, and bring them into the loss's coding.

        Parameters
        ----------
        label : array_like, shape (n,)
            Numbers, labels 0/1 (or -1/+1 for losses of the margin), or class codes 0 ... k-1.
        weight : array_like, shape (n,), optional
            Numbers >= 0. The label of a row of weight 0 may be anything.
        outputs : int, optional
            Number of classes; the largest code + 1 by default.
        group : array_like of int, optional
            Sizes of groups.

        Returns
        -------
        Sample
            What the other hooks take.

        Raises
        ------
        ValueError
            Names the first label the loss does not accept, or the shapes.
        """
        y = np.asarray(label)
        y = y if y.dtype in (np.float32, np.float64) else y.astype(np.float64)
        w = None if weight is None else np.asarray(weight, np.float32)
        if y.ndim != 1 or y.size == 0 or (w is not None and w.shape != y.shape):
            raise ValueError(f"labels have shape {y.shape}, weights {None if w is None else w.shape}; give (n,), n > 0")
        if w is not None:
            y, w = self._without_weightless(y, w)
        coded, classes = self._coded(y, outputs)
        return Sample(coded, w, classes, None if group is None else np.asarray(group))

    def _without_weightless(self, y: Array, w: Array) -> tuple[Array, Array]:
        if not (w.min() >= 0 and np.isfinite(w.max()) and w.max() > 0):
            raise ValueError("weights hold negative, infinite or NaN numbers, or only zeros; give finite numbers >= 0")
        return np.where(w == 0, y[np.argmax(w > 0)], y), w

    def _coded(self, y: Array, outputs: int | None) -> tuple[Array, int | None]:
        name = type(self.loss).__name__
        if self.loss.tier == "row-wise":
            top = y.max()
            classes = outputs or (int(top) + 1 if np.isfinite(top) else 0)
            if not (y.min() >= 0 and top < max(classes, 2) and (y == np.floor(y)).all()):
                raise ValueError(f"{name}: labels reach from {y.min():g} to {top:g}; give class codes 0 ... k-1")
            return y.astype(np.intp), max(classes, 2)
        domain = self.loss.domain if isinstance(self.loss, ElementwiseLoss) else None
        if domain == SIGNS and (y == 0).any():
            y = 2 * y - 1
        if domain is not None:
            check(y, domain, "label", name, nan_allowed=False)
        return np.ascontiguousarray(y), None

    def start(self, sample: Sample) -> Any:
        """Return the raw score all rows start from: the loss's best constant, a float or (k,)."""
        return best_constant(self.loss, sample.target, sample.weight, sample.outputs)

    def predict(self, raw: Any) -> Array:
        """Turn raw scores into predictions: the target's scale, the probability of class 1, or all of them (n, k)."""
        raw = np.asarray(raw, np.float64)
        found = self.link.decode(raw)
        return found[:, 1] if found.ndim > raw.ndim else found

    def value(self, sample: Sample, raw: Array) -> float:
        """Return the weighted mean loss."""
        return float(self.loss(sample.target, np.ascontiguousarray(raw), sample.weight))


class Derivatives:
    """Weighted gradient and curvature in float32, in two buffers that each call fills again.

    Parameters
    ----------
    hooks : Hooks
        Of the loss.
    sample : Sample
        The rows.
    order : {"C", "F"}
        How (n, k) arrays lie in memory.

    Examples
    --------
    >>> import lossmith as lm
    >>> hooks = Hooks(lm.MeanSquaredError())
    >>> gradient, curvature = Derivatives(hooks, hooks.sample([0.0, 1.0], [1.0, 3.0]))([0.5, 0.5])
    >>> gradient.tolist(), curvature.tolist()
    ([0.5, -1.5], [1.0, 3.0])
    """

    def __init__(self, hooks: Hooks, sample: Sample, order: Literal["C", "F"] = "C") -> None:
        self._loss: Any = hooks.loss
        self._sample, self._working = sample, hooks.curvature
        shape = (sample.target.shape[0],) if sample.outputs is None else (sample.target.shape[0], sample.outputs)
        self.gradient = np.empty(shape, np.float32, order=order)
        self.curvature = np.ones(shape, np.float32, order=order)
        weight = None if sample.weight is None else sample.weight.reshape((-1,) + (1,) * (len(shape) - 1))
        if (constant := self._working.constant) is not None and weight is not None:
            self.curvature *= weight
        unit = 1.0 / constant if constant is not None else 1.0
        self._gradient_factor: Any = unit if weight is None else weight * np.float32(unit)
        self._curvature_factor: Any = 1.0 if weight is None else weight
        if sample.outputs is not None:
            self._curvature_factor = self._curvature_factor * np.float32(hooks.factor(sample.outputs))
        self._fused = isinstance(self._loss, ElementwiseLoss) and (
            constant is not None or self._working.formula is not None
        )

    def __call__(self, raw: Any) -> tuple[Array, Array]:
        """Return both at raw scores (n,) or (n, k)."""
        raw = np.asarray(raw)
        constant = self._working.constant is not None
        if self._fused:
            self._evaluate(raw)
        else:
            self._compute(np.ascontiguousarray(raw, np.float64))
        _scale(self.gradient, self._gradient_factor)
        if not constant:
            _scale(self.curvature, self._curvature_factor)
        return self.gradient, self.curvature

    def _evaluate(self, raw: Array) -> None:
        """One pass of the engine straight into the buffers."""
        slope, formula = self._loss.form.slope, self._working.formula
        functions = (slope,) if formula is None else (slope, formula)
        buffers, target = (self.gradient, self.curvature)[: len(functions)], self._sample.target

        def work(start: int, stop: int) -> None:
            rows = slice(start, stop)
            out = tuple(buffer[rows] for buffer in buffers)
            fused.evaluate(functions, target[rows], raw[rows], self._loss.parameters, out)

        take_turns(len(target), work, _PIECE)

    def _compute(self, raw: Array) -> None:
        slope = self._loss.gradient(self._sample.target, raw)
        self.gradient[...] = slope
        if self._working.constant is None:
            curvature = self._working.compute(self._sample.target, raw, slope)
            floor = 0.0 if self._working.kind == "exact" else _FLOOR
            np.maximum(curvature, floor, out=self.curvature, casting="same_kind")


def _scale(array: Array, factor: Any) -> None:
    if isinstance(factor, np.ndarray) or factor != 1.0:
        np.multiply(array, factor, out=array, casting="same_kind")


class Callback:
    """What objectives and metrics handed to a booster share: rows are checked once, not every round.

    Each thread has its own rows and buffers, and a copy or pickle has none.
    """

    def __init__(self, hooks: Hooks) -> None:
        self.hooks = hooks
        self._own = threading.local()

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.hooks,)

    def _sample(self, label: Any, weight: Any, outputs: int | None) -> tuple[Sample, bool]:
        """Return the rows, and whether they are others than in the call before."""
        known = getattr(self._own, "key", None)
        if known is not None and _same(known[0], label) and _same(known[1], weight) and known[2] == outputs:
            return self._own.sample, False
        self._own.sample = self.hooks.sample(label, weight, outputs)
        self._own.key = (label, weight, outputs)
        return self._own.sample, True


def _same(known: Any, given: Any) -> bool:
    return known is given or (known is not None and given is not None and np.array_equal(known, given))


class Objective(Callback, ABC):
    """Gradient and curvature as a plain callable.

    ``objective(raw, dataset)`` as LightGBM's and XGBoost's ``train`` call it, or
    ``objective(label, raw, sample_weight)`` as their estimators do.
    """

    order: Literal["C", "F"] = "C"

    @abstractmethod
    def rows(self, dataset: Any) -> tuple[Any, Any]:
        """Return labels and weights of a booster's dataset."""

    def __call__(self, first: Any, second: Any, sample_weight: Any = None) -> tuple[Array, Array]:
        """Compute gradient and curvature."""
        if isinstance(second, np.ndarray):
            label, raw = first, second
        else:
            (label, sample_weight), raw = self.rows(second), first
        sample, fresh = self._sample(label, sample_weight, raw.shape[1] if raw.ndim == 2 else None)
        if fresh:
            self._own.derivatives = Derivatives(self.hooks, sample, self.order)
            self._warn(sample, raw)
        gradient, curvature = self._own.derivatives(raw)
        return gradient, curvature

    def _warn(self, sample: Sample, raw: Array) -> None:
        """Say when a training starts far from the best constant: nobody but the user can set its start here."""
        if (raw != raw[:1]).any():
            return
        start = self.hooks.start(sample)
        ideal = np.broadcast_to(np.asarray(start, raw.dtype), raw.shape)
        if self.hooks.value(sample, raw) > _FAR * self.hooks.value(sample, ideal):
            warnings.warn(
                f"{self.hooks.loss!r}: training starts at the raw score {np.round(raw[0], 4)}, the best constant is "
                f"{np.round(start, 4)}; call train() of what lossmith returned, or set the initial score",
                UserWarning,
                stacklevel=3,
            )


def absent(package: str, extra: str) -> ImportError:
    """Return the error for a booster that is not installed."""
    return ImportError(f"{package} is not installed; pip install 'lossmith[{extra}]' (or: pip install {package})")
