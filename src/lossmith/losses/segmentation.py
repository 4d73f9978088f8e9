"""Losses of masks: overlap of a predicted with a true region."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from ..core import contract
from ..core.attach import present
from ..core.domain import EXTENDED_REAL, UNIT, check
from ..core.parameters import Check, choice, custom, flag, non_negative
from ..core.registry import register
from ..core.structured import Evaluation, Floats, StructuredLoss, Targets, whole_numbers
from ..core.traits import NOT_STATED, About, Traits
from ..ops import namespace
from ..ops.arrays import column, moved, one_hot, whole
from . import segmentation_sweep as tiled
from .segmentation_overlap import Overlap, logistic, overlap, shares
from .segmentation_work import Masks, Tiled, Work

Array = Any
# Bytes of samples that are summed up together before their gradient is taken: they are then still in the cache.
_GROUP = 4_000_000


def _axis(value: Any) -> int | None:
    if value is None:
        return None
    if isinstance(value, bool) or int(value) != value or value == 0:
        raise ValueError
    return int(value)


def _nothing(value: Any) -> tuple[float, ...]:
    return ()


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
        y = self._masks(parts, f)
        if y.shape != f.shape:
            y = _one_hot(y, f.shape, self._class_axis(f), weight)
        masks: Floats = y.astype(np.float64)
        used = slice(None) if weight is None else weight > 0.0
        check(masks[used], UNIT, "y_true", "Dice", nan_allowed=False)
        check(f[used], UNIT if self.inputs == "probabilities" else EXTENDED_REAL, "y_pred", "Dice", nan_allowed=True)
        return masks

    def _masks(self, parts: Targets, f: Array) -> Array:
        """Return y_true, of y_pred's shape or without the class axis."""
        self._check_shapes(parts, f)
        return np.asarray(parts[0])

    def _check_shapes(self, parts: Targets, f: Array) -> None:
        self._check_axes(f)
        given, whole_shape, axis = tuple(parts[0].shape), tuple(f.shape), self._class_axis(f)
        if self.class_axis is not None and len(given) == len(whole_shape) - 1:
            expected = whole_shape[:axis] + whole_shape[axis + 1 :]
            if given != expected:
                raise ValueError(
                    f"Dice: y_true has shape {given}; class indices for y_pred {whole_shape} have shape {expected}"
                )
        elif given != whole_shape:
            raise ValueError(
                f"Dice: y_true has shape {given} and y_pred has shape {whole_shape}; they must be equal"
                + ("" if self.class_axis is None else ", or y_true holds class indices without the class axis")
            )

    def _class_axis(self, f: Array) -> int:
        return len(f.shape) if self.class_axis is None else self.class_axis % len(f.shape)

    def _check_axes(self, f: Array) -> None:
        rank, shape = len(f.shape), tuple(f.shape)
        if rank < 2:
            raise ValueError(
                f"Dice: y_pred has shape {shape}; the first axis counts samples, so give (1, ...) for one mask"
            )
        axis = self.class_axis
        if axis is not None and not (-rank <= axis < rank and axis % rank != 0):
            raise ValueError(f"Dice: class_axis={axis} is no axis of y_pred {shape} besides that of the samples")

    # --- in NumPy ---------------------------------------------------------------------------------------

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

    def _value(self, y: Any, f: Floats, weight: Floats) -> Evaluation:
        values = np.zeros(len(f))
        here = np.flatnonzero(weight > 0.0)
        if here.size:
            axis = self.class_axis
            moved = f[here] if axis is None else np.moveaxis(f[here], axis, -1)
            target = y[here] if axis is None else np.moveaxis(y[here], axis, -1)
            p, q = self._probabilities(moved)
            values[here] = self._overlap(*self._pixels(target, p, q)).values
        return Evaluation(values, None)

    def _pixels(self, *arrays: Floats) -> tuple[Floats, ...]:
        """Return arrays as (samples, pixels, classes)."""
        classes = 1 if self.class_axis is None else arrays[0].shape[-1]
        return tuple(x.reshape(len(x), -1, classes) for x in arrays)

    def _of_masks(self, y: Floats, f: Floats) -> tuple[Floats, Floats]:
        """Return values (N,) and d(value) / df, with the classes on the last axis if there are any."""
        p, q = self._probabilities(f)
        y, a, b = self._pixels(y, p, q)
        overlap = self._overlap(y, a, b)
        ratio, gain = (x[:, None] for x in overlap.slopes)
        slope = 2.0 * (ratio * a - y) if self.squared else ratio - 2.0 * y
        return overlap.values, self._through_link((slope * gain).reshape(f.shape), p, q)

    def _probabilities(self, f: Array) -> tuple[Array, Array]:
        """Return p and 1 - p, the latter without cancellation; classes are on the last axis."""
        if self.inputs == "probabilities":
            return f, 1.0 - f
        return logistic(f) if self.class_axis is None else shares(f)

    def _overlap(self, y: Array, p: Array, q: Array, axes: Any = 1) -> Overlap:
        return overlap(y, p, q, axes, squared=self.squared, smooth=self.smooth)

    def _through_link(self, slope: Floats, p: Floats, q: Floats) -> Floats:
        if self.inputs == "probabilities":
            return slope
        if self.class_axis is None:
            return slope * p * q
        return np.asarray(p * (slope - (slope * p).sum(axis=-1, keepdims=True)))

    # --- in any library ---------------------------------------------------------------------------------

    def _formula(self, parts: Targets, f: Array, weight: Array | None) -> tuple[Array, Array | None]:
        if self.class_axis is None:
            f, y = column(f), column(parts[0])
        else:
            same = len(parts[0].shape) == len(f.shape)
            f = moved(f, self.class_axis, -1)
            y = moved(parts[0], self.class_axis, -1) if same else one_hot(whole(parts[0]), f)
        f, y = present(f, weight, 0.5), present(namespace(f).astype(y, f.dtype), weight, 0.0)
        return self._overlap(y, *self._probabilities(f), tuple(range(1, len(f.shape) - 1))).values, None

    # --- by the kernel ----------------------------------------------------------------------------------

    def _cells(self, parts: Targets, f: Array) -> int:
        return int(f.size)

    def _sweep(self, parts: Targets, f: Array, share: Floats, place: Array | None) -> Evaluation:
        y = self._masks(parts, f)
        indices = y.shape != f.shape
        values = np.zeros(len(f))
        here = np.flatnonzero(share > 0.0)
        if place is not None and here.size < len(f):
            place[share == 0.0] = 0.0
        folded = self._folded(_plain(y, f, indices), f, indices), self._folded(f, f)
        work = self._work(indices, *folded, None if place is None else self._folded(place, f))
        per_group = max(1, _GROUP * len(f) // (f.nbytes + y.nbytes)) if place is not None else max(1, here.size)
        for start in range(0, here.size, per_group):
            samples = here[start : start + per_group]
            overlap = work.sums(samples)
            if overlap is None:
                self._checked(parts, f.astype(np.float64), share)  # says what is wrong, and where
                raise AssertionError("a kernel found numbers outside the domain that the checks accept")
            values[samples] = overlap.values
            if place is not None:
                ratio, gain = overlap.slopes
                work.gradient(samples, ratio, gain * share[samples, None])
        return Evaluation(values, None)

    def _work(self, indices: bool, y: Array, f: Array, place: Array | None) -> Work:
        if self.class_axis is None and self.inputs == "logits" and not self.squared:
            return Masks(y, f, place, self.smooth)
        of_logits = tiled.SIGMOID if self.class_axis is None else tiled.SOFTMAX
        link = tiled.PROBABILITIES if self.inputs == "probabilities" else of_logits
        return Tiled(y, f, place, self.smooth, indices, link, self.squared)

    def _folded(self, x: Array, f: Array, indices: bool = False) -> Array:
        """View an array as (samples, before, classes, behind)."""
        axis = self._class_axis(f)
        before, behind = math.prod(f.shape[1:axis]), math.prod(f.shape[axis + 1 :])
        classes = 1 if self.class_axis is None or indices else f.shape[axis]
        folded = x.reshape(len(f), before, classes, behind)
        return folded if behind > 1 else folded.transpose(0, 3, 2, 1)


def _plain(y: Array, f: Array, indices: bool) -> Array:
    """Return targets in C order and one of the few dtypes that kernels are compiled for."""
    if y.dtype == np.bool_:
        y = y.view(np.uint8)
    if indices:
        y = whole_numbers(y, "y_true", "Dice") if y.dtype != np.uint8 else y
    elif y.dtype not in (np.uint8, np.float32, np.float64):
        y = y.astype(f.dtype)
    return np.ascontiguousarray(y)


def _one_hot(y: Array, shape: tuple[int, ...], axis: int, weight: Floats | None) -> Array:
    """Return class indices as zeros and ones of y_pred's shape."""
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
