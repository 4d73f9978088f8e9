"""How the arrays that Keras hands to a loss become those that the loss takes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar, NamedTuple

import keras
import numpy as np
from keras import ops

from ..core import host
from ..core.attach import attach, stop_gradient
from ..core.domain import SIGNS
from ..core.loss import Loss
from ..core.reduce import reduce
from ..losses.likelihood import NegativeLogLikelihood
from ..losses.segmentation import Dice
from ..losses.sequence import CTC
from ..ops.arrays import row_sum

Tensor = Any


class Given(NamedTuple):
    """What a loss is called with.

    Attributes
    ----------
    y, f : tensor
        Targets, and predictions in the dtype to compute in.
    mask, weight : tensor or None
        The mask that Keras has put on the predictions; sample weights.
    """

    y: Any
    f: Tensor
    mask: Any
    weight: Any


class Layout(ABC):
    """A loss, with the way Keras's users lay out its arguments.

    Parameters
    ----------
    loss : Loss
        Which one.

    Attributes
    ----------
    averages : bool
        Whether Keras takes a value for each number to be a mean over the last axis, if there are two or more.
    """

    averages: ClassVar[bool] = False

    def __init__(self, loss: Loss | Densities) -> None:
        self.loss: Any = loss

    def value(self, given: Given, reduction: str) -> Tensor:
        """Compute the loss.

        Parameters
        ----------
        given : Given
            The arguments.
        reduction : {"mean", "sum", "none", "sum_over_batch_size"}
            How values are combined.
        """
        y, f = self.arguments(ops.convert_to_tensor(given.y), given.f)
        samples = ops.ones_like(self.samples(y, f))
        y, mask = self.masked(y, given.mask)
        weight = _product(_spread(mask, samples, "the mask"), _spread(given.weight, samples, "sample_weight"))
        if reduction == "sum_over_batch_size":
            count = ops.sum(samples if mask is None else _spread(mask, samples, "the mask"))
            return self.loss(y, f, weight, "sum") / ops.where(count == 0, 1, count)
        found = self.loss(y, f, weight, reduction)
        if reduction == "mean" or not self.averages or len(f.shape) < 2:
            return found
        return ops.mean(found, -1) if reduction == "none" else found / ops.cast(ops.shape(f)[-1], found.dtype)

    @abstractmethod
    def arguments(self, y: Tensor, f: Tensor) -> tuple[Tensor, Tensor]:
        """Bring targets and predictions into the shapes and dtypes that the loss takes."""

    @abstractmethod
    def samples(self, y: Tensor, f: Tensor) -> Tensor:
        """Return numbers of predictions' dtype, one for each value of the loss."""

    def masked(self, y: Any, mask: Any) -> tuple[Any, Any]:
        """Return the targets that the loss takes, and what is left of the mask for weights."""
        return y, mask


class Elementwise(Layout):
    """Of losses on single numbers."""

    averages = True

    def arguments(self, y: Tensor, f: Tensor) -> tuple[Tensor, Tensor]:
        """Give y_true the axis of length 1 that y_pred has, or take it away; read a 0 as -1 where signs are asked."""
        if self.loss.domain == SIGNS:
            y = ops.cast(y, f.dtype)
            y = ops.where(y == 0, -1, y)
        return _agreeing(_like(y, f), f)

    def samples(self, y: Tensor, f: Tensor) -> Tensor:
        """Return the predictions."""
        return f


class Rows(Layout):
    """Of losses on rows of predictions."""

    def arguments(self, y: Tensor, f: Tensor) -> tuple[Tensor, Tensor]:
        """Take an axis of length 1 from labels, make them integers, and give rows the predictions' dtype."""
        if len(y.shape) == len(f.shape) and y.shape[-1] == 1 and f.shape[-1] != 1:
            y = ops.squeeze(y, -1)
        if len(y.shape) == len(f.shape):
            return _agreeing(ops.cast(y, f.dtype), f)
        y = _labels(y) if self.loss.traits.task == "multiclass" else ops.cast(y, f.dtype)
        return y, f

    def samples(self, y: Tensor, f: Tensor) -> Tensor:
        """Return the first of each row."""
        return f[..., 0]


class Sequences(Layout):
    """Of CTC."""

    def arguments(self, y: Tensor, f: Tensor) -> tuple[Tensor, Tensor]:
        """Turn blanks, which are no labels, into padding."""
        return ops.where(y == self.loss.blank, ops.cast(-1, y.dtype), y), f

    def samples(self, y: Tensor, f: Tensor) -> Tensor:
        """Return one number of each sequence."""
        return f[:, 0, 0]

    def masked(self, y: Any, mask: Any) -> tuple[Any, Any]:
        """Let a mask of frames be the lengths; -1, which is refused, where what is masked is not at the end."""
        if mask is None or len(mask.shape) < 2:
            return y, mask
        here = ops.cast(mask, "int32")
        again = ops.any(here[:, 1:] > here[:, :-1], axis=1)
        return CTC.targets(y, None, ops.where(again, -1, ops.sum(here, axis=1))), None


class Samples(Layout):
    """Of other losses that take samples as a whole."""

    def arguments(self, y: Tensor, f: Tensor) -> tuple[Tensor, Tensor]:
        """Leave out the axis of length 1 that labels may have."""
        if isinstance(self.loss, Dice):
            return _masks(y, f, self.loss.class_axis), f
        if self.loss.traits.task == "embedding" and len(y.shape) == 2 and y.shape[1] == 1:
            return ops.squeeze(y, 1), f
        return y, f

    def samples(self, y: Tensor, f: Tensor) -> Tensor:
        """Return one number of each target: a label, a pair, a mask."""
        return ops.cast(y[(slice(None), *(0,) * (len(y.shape) - 1))], f.dtype)


class Densities:
    """The likelihood of a SciPy distribution, which only NumPy computes, called as a loss.

    Parameters
    ----------
    loss : NegativeLogLikelihood
        Which one.
    """

    def __init__(self, loss: NegativeLogLikelihood) -> None:
        self.loss, self.traits = loss, loss.traits

    def __call__(self, y: Tensor, f: Tensor, weight: Tensor | None, reduction: str) -> Tensor:
        """Compute values and gradient on the host, and attach the one to the other."""

        def both(f: Any, y: Any, *weight: Any) -> tuple[Any, Any]:
            here = np.ones(y.shape, bool) if not weight else weight[0] > 0
            values, slope = np.zeros(y.shape), np.zeros(f.shape)
            if here.any():  # what does not count may be anything
                values[here], slope[here] = self.loss.value_and_gradient(y[here], f[here])
            return values, slope

        shape = tuple(f.shape)
        given = [y] if weight is None else [y, weight]
        values, slope = host.run(both, stop_gradient(f), given, (shape[:-1], shape))
        return reduce(attach(f, lambda a: values, lambda a, d: row_sum(d * slope)), weight, reduction)


def layout(loss: Loss) -> Layout:
    """Return the layout of a loss."""
    if isinstance(loss, CTC):
        return Sequences(loss)
    if isinstance(loss, NegativeLogLikelihood):
        return Rows(Densities(loss))
    return {"elementwise": Elementwise, "row-wise": Rows}.get(loss.tier, Samples)(loss)


def mask_of(y_pred: Any) -> Any:
    """Return the mask that Keras has put on predictions, or None."""
    from keras.src.backend import get_keras_mask

    return get_keras_mask(y_pred)


def shared_among_replicas(value: Tensor) -> Tensor:
    """Divide a mean by the number of replicas of ``tf.distribute``, which adds up their gradients."""
    if keras.backend.backend() != "tensorflow":
        return value
    import tensorflow as tf

    replicas = tf.distribute.get_strategy().num_replicas_in_sync
    return value / replicas if replicas > 1 else value


# --- shapes; TensorFlow's graphs have axes of unknown length, None --------------------------------------------


def _like(y: Tensor, f: Tensor) -> Tensor:
    if len(y.shape) == len(f.shape) - 1 and f.shape[-1] == 1:
        return ops.expand_dims(y, -1)
    if len(y.shape) == len(f.shape) + 1 and y.shape[-1] == 1:
        return ops.squeeze(y, -1)
    return y


def _agreeing(y: Tensor, f: Tensor) -> tuple[Tensor, Tensor]:
    """Tell each of two tensors the lengths that only the other knows."""
    ours, theirs = tuple(y.shape), tuple(f.shape)
    if ours == theirs or len(ours) != len(theirs) or not _fits(ours, theirs):
        return y, f
    both = [-1 if a is None and b is None else (b if a is None else a) for a, b in zip(ours, theirs, strict=True)]
    return ops.reshape(y, both), ops.reshape(f, both)


def _fits(given: tuple[Any, ...], wanted: tuple[Any, ...]) -> bool:
    """Tell whether lengths are those at the front of others, as far as they are known."""
    pairs = zip(given, wanted[: len(given)], strict=False)
    return len(given) <= len(wanted) and all(a is None or b is None or a == b for a, b in pairs)


def _spread(given: Any, samples: Tensor, what: str) -> Tensor | None:
    """Return weights or a mask with one number for each sample."""
    if given is None:
        return None
    weight = ops.cast(ops.convert_to_tensor(given), samples.dtype)
    wanted = tuple(samples.shape)
    while len(weight.shape) > 1 and weight.shape[-1] == 1 and not _fits(tuple(weight.shape), wanted):
        weight = ops.squeeze(weight, -1)
    if not weight.shape or not _fits(tuple(weight.shape), wanted):
        raise ValueError(
            f"{what} has shape {tuple(weight.shape)}; give one number for each of the values {wanted} or for each "
            f"sample ({wanted[0]},)"
        )
    for _ in range(len(wanted) - len(weight.shape)):
        weight = ops.expand_dims(weight, -1)
    return weight * samples


def _product(mask: Tensor | None, weight: Tensor | None) -> Tensor | None:
    return mask * weight if mask is not None and weight is not None else (weight if mask is None else mask)


def _labels(y: Tensor) -> Tensor:
    """Return labels as integers; what is no whole number becomes no label."""
    if "float" not in keras.backend.standardize_dtype(y.dtype):
        return ops.cast(y, "int32") if keras.backend.standardize_dtype(y.dtype) == "bool" else y
    whole = ops.cast(y, "int32")
    return ops.where(ops.cast(whole, y.dtype) == y, whole, -(2**31) + 1)


def _masks(y: Tensor, f: Tensor, class_axis: int | None) -> Tensor:
    if class_axis is None:
        return _like(y, f)
    if len(y.shape) == len(f.shape) and y.shape[class_axis] == 1 and f.shape[class_axis] != 1:
        return ops.squeeze(y, class_axis)
    return y
