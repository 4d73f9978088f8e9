"""Losses of masks: overlap of a predicted with a true region."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np

from ..core import contract
from ..core.domain import EXTENDED_REAL, UNIT, check
from ..core.parameters import Check, choice, custom, flag, non_negative
from ..core.registry import register
from ..core.structured import Evaluation, Floats, StructuredLoss, Targets, whole_numbers
from ..core.traits import NOT_STATED, About, Traits
from ..ops import sigmoid
from ..ops.arrays import softmax

Array = Any


def _axis(value: Any) -> int | None:
    if value is None:
        return None
    if isinstance(value, bool) or int(value) != value or value == 0:
        raise ValueError
    return int(value)


def _nothing(value: Any) -> tuple[float, ...]:
    return ()


class _Overlap(NamedTuple):
    """Sums over the pixels of each sample and class, (N, C, 1).

    ``difference`` is |A| + |B| - 2 |A and B|, summed from terms >= 0; ``agreement`` is 2 |A and B| + smooth.
    """

    difference: Floats
    agreement: Floats
    size: Floats


@register("dice", aliases=("dice_loss", "soft_dice", "sorensen_dice"))
@dataclass(frozen=True)
class Dice(StructuredLoss):
    """Dice loss, 1 - (2 |A and B| + smooth) / (|A| + |B| + smooth), for each sample of a batch.

    The first axis of ``y_pred`` counts samples; a value is that of one sample, so it never depends on what else is
    in the batch. Without ``class_axis`` there is one mask a sample: y_true, of y_pred's shape, holds 0 and 1 or
    soft labels in [0, 1]. With ``class_axis`` a value is the mean over the classes; y_true holds class indices
    (y_pred's shape without that axis), or one-hot or soft labels of y_pred's shape.

    Empty masks: with ``smooth=0``, both empty costs 0 with gradient 0, for a class as for a sample. A true mask that
    is empty while the prediction is not costs 1 with gradient 0 (the ratio is 1 however small the prediction);
    ``smooth > 0`` gives it a gradient, at the price of a loss that depends on the number of pixels.

    Parameters
    ----------
    smooth : float, default 0.0
        Pixels added to both sides of the ratio; >= 0.
    inputs : {"probabilities", "logits"}
        What y_pred holds; logits go through the sigmoid, or with class_axis through the softmax over it.
    squared : bool, default False
        Sizes as sums of squares, |A| = sum p^2 (Milletari et al.).
    class_axis : int, optional
        The axis of y_pred that counts classes, such as 1 or -1; None for one mask a sample.

    References
    ----------
    Milletari, Navab and Ahmadi (2016), V-Net, 3DV. Drozdzal et al. (2016), DLMIA.

    Examples
    --------
    >>> import lossmith as lm
    >>> lm.Dice()([[1, 1, 0], [0, 0, 0]], [[1.0, 0.0, 0.0], [0.0, 0.0, 0.0]], reduction="none").round(4).tolist()
    [0.3333, 0.0]
    >>> float(lm.Dice(class_axis=-1)([[0, 1]], [[[1.0, 0.0], [0.5, 0.5]]]).round(4))
    0.2667
    """

    smooth: float = non_negative(0.0)
    inputs: str = choice("probabilities", ("probabilities", "logits"))
    squared: bool = flag(False)
    class_axis: int | None = custom(None, Check("None or a whole number other than 0", _axis, _nothing))
    separate: ClassVar[bool] = True
    claims = Traits("segmentation", lipschitz=NOT_STATED, smooth=NOT_STATED, strong=NOT_STATED, robust="bounded")
    about = About(
        formula=r"\ell(A, B) = 1 - \frac{2 |A \cap B| + s}{|A| + |B| + s},"
        r"\quad |A \cap B| = \sum_i y_i p_i",
        gradient=r"\frac{1}{|A| + |B| + s} \left( \frac{2 |A \cap B| + s}{|A| + |B| + s} - 2 y_i \right)"
        r" \text{ by } p_i",
        pros="handles class imbalance: the size of the background does not matter",
        cons="not a proper score, its probabilities are not calibrated; unstable for tiny and empty masks",
        best_for="image segmentation, often added to cross-entropy",
        reference="Milletari, Navab and Ahmadi (2016), V-Net, 3DV",
        note="smoothing by 1 in a flattened batch makes an empty true mask cost P / (P + 1) for predicted size P, so "
        "the cost of a stray pixel depends on resolution and batch; reshape(1, -1) both arrays for that form",
    )

    def _parts(self, y_true: Any) -> Targets:
        return (contract.as_array(y_true, "y_true"),)

    def _count(self, parts: Targets, f: Array) -> int:
        return int(f.shape[0]) if len(f.shape) else 0

    def _checked(self, parts: Targets, f: Floats, weight: Floats | None) -> Floats:
        self._check_axes(f)
        y = np.asarray(parts[0])
        if self.class_axis is not None and y.ndim == f.ndim - 1:
            y = _one_hot(y, f.shape, self.class_axis % f.ndim, weight)
        if y.shape != f.shape:
            raise ValueError(
                f"Dice: y_true has shape {y.shape} and y_pred has shape {f.shape}; they must be equal"
                + ("" if self.class_axis is None else ", or y_true holds class indices without the class axis")
            )
        y = y.astype(np.float64)
        used = slice(None) if weight is None else weight > 0.0
        check(y[used], UNIT, "y_true", "Dice", nan_allowed=False)
        check(f[used], UNIT if self.inputs == "probabilities" else EXTENDED_REAL, "y_pred", "Dice", nan_allowed=True)
        return y

    def _check_axes(self, f: Floats) -> None:
        if f.ndim < 2:
            raise ValueError(
                f"Dice: y_pred has shape {f.shape}; the first axis counts samples, so give (1, ...) for one mask"
            )
        axis = self.class_axis
        if axis is not None and not (-f.ndim <= axis < f.ndim and axis % f.ndim != 0):
            raise ValueError(f"Dice: class_axis={axis} is no axis of y_pred {f.shape} besides that of the samples")

    def _value_and_gradient(self, y: Any, f: Floats, weight: Floats) -> Evaluation:
        values, gradient = np.zeros(len(f)), np.zeros_like(f)
        here = np.flatnonzero(weight > 0.0)
        if not here.size:
            return Evaluation(values, None, gradient)
        axis = self.class_axis
        moved = f[here] if axis is None else np.moveaxis(f[here], axis, -1)
        target = y[here] if axis is None else np.moveaxis(y[here], axis, -1)
        values[here], found = self._of_masks(target, moved)
        found *= weight[here].reshape(-1, *(1,) * (f.ndim - 1))
        gradient[here] = found if axis is None else np.moveaxis(found, -1, axis)
        return Evaluation(values, None, gradient)

    def _of_masks(self, y: Floats, f: Floats) -> tuple[Floats, Floats]:
        """Return values (N,) and d(value) / df, with the classes on the last axis if there are any."""
        count, classes = len(f), 1 if self.class_axis is None else f.shape[-1]
        p, q = self._probabilities(f)
        shape = (count, -1, classes)
        y, a, b = (x.reshape(shape) for x in (y, p, q))
        overlap = self._overlap(y, a, b)
        empty = overlap.size == 0.0
        size = np.where(empty, 1.0, overlap.size)
        ratio = overlap.agreement / size
        slope = 2.0 * (ratio * a - y) if self.squared else ratio - 2.0 * y
        slope = np.where(empty, 0.0, slope / size).reshape(f.shape) / classes
        values = np.where(empty, 0.0, overlap.difference / size).mean(axis=(1, 2))
        return values, self._through_link(slope, p, q)

    def _probabilities(self, f: Floats) -> tuple[Floats, Floats]:
        """Return p and 1 - p, the latter without cancellation."""
        if self.inputs == "probabilities":
            return f, 1.0 - f
        if self.class_axis is None:
            return np.asarray(sigmoid(f)), np.asarray(sigmoid(-f))
        found = softmax(f)
        return found.probability, found.complement

    def _overlap(self, y: Floats, p: Floats, q: Floats) -> _Overlap:
        both = (y * p).sum(axis=1, keepdims=True)
        if self.squared:
            apart = ((y * q - p * (1.0 - y)) ** 2).sum(axis=1, keepdims=True)
            size = (y * y + p * p).sum(axis=1, keepdims=True)
        else:
            apart = (y * q + p * (1.0 - y)).sum(axis=1, keepdims=True)
            size = (y + p).sum(axis=1, keepdims=True)
        return _Overlap(apart, 2.0 * both + self.smooth, size + self.smooth)

    def _through_link(self, slope: Floats, p: Floats, q: Floats) -> Floats:
        if self.inputs == "probabilities":
            return slope
        if self.class_axis is None:
            return slope * p * q
        return np.asarray(p * (slope - (slope * p).sum(axis=-1, keepdims=True)))


def _one_hot(y: Array, shape: tuple[int, ...], axis: int, weight: Floats | None) -> Array:
    """Return class indices as zeros and ones of y_pred's shape."""
    expected = shape[:axis] + shape[axis + 1 :]
    if y.shape != expected:
        raise ValueError(f"Dice: y_true has shape {y.shape}; class indices for y_pred {shape} have shape {expected}")
    labels = whole_numbers(y, "y_true", "Dice")
    wrong = (labels < 0) | (labels >= shape[axis])
    if weight is not None:
        wrong[weight == 0.0] = False
    if wrong.any():
        place = tuple(int(i) for i in np.argwhere(wrong)[0])
        where = place[0] if len(place) == 1 else place
        raise ValueError(
            f"Dice: y_true holds class {labels[place]} at index {where}; y_pred has classes 0 to {shape[axis] - 1}"
        )
    return np.moveaxis(labels[..., None] == np.arange(shape[axis]), -1, axis)
