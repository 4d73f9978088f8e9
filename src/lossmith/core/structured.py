"""The structured tier: losses of pairs, sequences, masks and sets, whose samples are not single numbers.

Three words mean the same in all of them:

* A *value* belongs to one sample: a sequence, a mask, a given pair or triplet, or an anchor with all the
  pairs or triplets it stands in. A sample may count more than once in the mean (its *measure*: the number
  of triplets of an anchor), so that "mean" is sum(w * l) / sum(w * m) as everywhere, 0 when nothing counts.
* The *gradient* is that of the reduced loss, "mean" unless said otherwise, and has the shape of y_pred:
  values of different samples may lean on the same prediction, so there is no unreduced gradient in general.
* *Weights* are one number for each sample; weight 0 deletes it.

NumPy computes in float64 whatever the dtype of y_pred, which the results have.
"""

from __future__ import annotations

import dataclasses
import functools
from abc import abstractmethod
from typing import Any, ClassVar, NamedTuple

import numpy as np
import numpy.typing as npt

from ..ops import is_numpy, namespace
from . import contract, host
from .attach import attach, stop_gradient
from .loss import Loss
from .reduce import check_reduction, reduce

Array = Any
Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
Targets = tuple[Array, ...]


class Evaluation(NamedTuple):
    """What a structured loss computes in one go.

    Attributes
    ----------
    values : ndarray, shape (m,)
        One for each sample, not weighted.
    measure : ndarray, shape (m,), or None
        What a sample counts in the mean besides its weight; 1 if None.
    gradient : ndarray of y_pred's shape
        Of sum(weight * values).
    """

    values: Floats
    measure: Floats | None
    gradient: Floats


@dataclasses.dataclass(frozen=True)
class StructuredLoss(Loss):
    """Base of the structured tier.

    Subclasses say what their targets are (``_parts``), check them (``_checked``) and compute values and
    gradient together (``_value_and_gradient``); ``separate`` tells whether value i depends on y_pred[i] only.
    """

    tier: ClassVar[str] = "structured"
    separate: ClassVar[bool] = False

    def gradient(self, y_true: Any, y_pred: Any, sample_weight: Any = None, reduction: str = "mean") -> Array:
        """Compute the gradient of the reduced loss by y_pred.

        Parameters
        ----------
        y_true, y_pred, sample_weight
            As in the call.
        reduction : {"mean", "sum", "none"}
            Which number to differentiate. "none" differentiates the sum; for losses whose value i depends on
            y_pred[i] only (CTC, Dice) that is d(value i) / d(y_pred[i]).

        Returns
        -------
        array of y_pred's shape and dtype
            At a kink the subgradient nearest to 0; no NaN unless y_pred holds one.
        """
        return self.value_and_gradient(y_true, y_pred, None, sample_weight, reduction)[1]

    def value_and_gradient(
        self,
        y_true: Any,
        y_pred: Any,
        out: Any = None,
        sample_weight: Any = None,
        reduction: str = "mean",
    ) -> tuple[Array, Array]:
        """Compute the loss and the gradient of that same number in one pass.

        Parameters
        ----------
        y_true, y_pred, sample_weight
            As in the call.
        out : tuple of two ndarrays, optional
            Arrays to fill (NumPy only): the value's shape, () if reduced, and y_pred's shape.
        reduction : {"mean", "sum", "none"}
            "none" gives a value for each sample, with the gradient of their sum.

        Returns
        -------
        tuple of arrays
            Value and gradient, in y_pred's dtype.
        """
        check_reduction(reduction)
        parts, f, weight = self._accept(y_true, y_pred, sample_weight, False)
        found = self._run(parts, f, weight, reduction)
        return found if out is None else _fill(out, found)

    # --- what a loss of this tier provides ------------------------------------------------------------

    @abstractmethod
    def _parts(self, y_true: Any) -> Targets:
        """Take the targets apart into arrays."""

    @abstractmethod
    def _checked(self, parts: Targets, f: Floats, weight: Floats | None) -> Any:
        """Check the targets against the predictions; what comes back is given to ``_value_and_gradient``."""

    @abstractmethod
    def _count(self, parts: Targets, f: Array) -> int:
        """How many values there are, by the shapes alone."""

    @abstractmethod
    def _value_and_gradient(self, y: Any, f: Floats, weight: Floats) -> Evaluation:
        """Compute values, and the gradient of sum(weight * values); f may be overwritten."""

    # --- the tier's own work --------------------------------------------------------------------------

    def _accept(
        self, y_true: Any, y_pred: Any, sample_weight: Any, broadcast: bool
    ) -> tuple[Targets, Array, Array | None]:
        if broadcast:
            raise ValueError(f"{type(self).__name__} does not broadcast; broadcast=True is for elementwise losses")
        f = contract.predictions(y_pred)
        weight = None if sample_weight is None else contract.as_array(sample_weight, "sample_weight")
        return self._parts(y_true), f, weight

    def _values(self, y: Targets, f: Array) -> Array:
        return self._reduced(y, f, None, "none")

    def _reduced(self, y: Targets, f: Array, weight: Any, reduction: str) -> Array:
        if is_numpy(f):
            return self._run(y, f, weight, reduction)[0]
        if host.is_torch(f):
            return host.torch_structured(self, y, f, weight, reduction)
        constant = stop_gradient(f)
        value, gradient = self._run(y, f if constant is None else constant, weight, reduction)
        return attach(f, lambda a: value, lambda a, d: self._total(d * gradient, reduction))

    def _total(self, change: Array, reduction: str) -> Array:
        xp = namespace(change)
        if reduction != "none":
            return xp.sum(change)
        if self.separate:
            return xp.sum(change, axis=tuple(range(1, len(change.shape))))
        raise ValueError(
            f"{type(self).__name__}: its values share predictions, so reduction='none' has no gradient to attach; "
            "give 'mean' or 'sum' (with sample_weight), or NumPy arrays if only the values are wanted"
        )

    def _run(self, parts: Targets, f: Array, weight: Any, reduction: str) -> tuple[Array, Array]:
        others = parts if weight is None else (*parts, weight)
        work = functools.partial(self._compute, weighted=weight is not None, reduction=reduction)
        shape = (self._count(parts, f),) if reduction == "none" else ()
        value, gradient = host.run(work, f, others, (shape, tuple(f.shape)))
        return value[()], gradient

    def _compute(self, f: Any, *others: Any, weighted: bool, reduction: str) -> tuple[Floats, Floats]:
        if f.dtype.kind != "f":
            raise TypeError(f"y_pred has dtype {f.dtype}; give floating-point numbers")
        contract.refuse_empty(f, "y_pred")
        parts = others[:-1] if weighted else others
        count = (self._count(parts, f),)
        given = contract.weights(others[-1], count, f) if weighted else None
        x = f.astype(np.float64)
        weight = None if given is None else given.astype(np.float64)
        with np.errstate(all="ignore"):
            y = self._checked(parts, x, weight)
            found = self._value_and_gradient(y, x, np.ones(count) if weight is None else weight)
            return _reduce(found, weight, reduction)


def _reduce(found: Evaluation, weight: Floats | None, reduction: str) -> tuple[Floats, Floats]:
    value = np.asarray(reduce(found.values, weight, reduction, found.measure))
    if reduction != "mean":
        return value, found.gradient
    counts = np.ones(found.values.shape) if found.measure is None else found.measure
    mass = float(reduce(counts, weight, "sum"))
    found.gradient[...] /= mass if mass > 0 else 1.0
    return value, found.gradient


def _fill(out: Any, found: tuple[Array, Array]) -> tuple[Array, Array]:
    if not isinstance(out, tuple) or len(out) != 2:
        raise TypeError("out must be a tuple of 2 arrays to fill: the value and the gradient")
    for target, result in zip(out, found, strict=True):
        contract.check_out((target,), 1, result)
        target[...] = result
    return out


def whole_numbers(value: Array, argument: str, loss: str) -> Integers:
    """Return integers, also from floats that hold whole numbers.

    Parameters
    ----------
    value : ndarray
        What was given.
    argument, loss : str
        Names for the message.

    Raises
    ------
    ValueError
        For fractions, NaN and infinities.
    """
    if value.dtype.kind in "biu":
        return np.asarray(value, np.int64)
    if value.dtype.kind != "f" or not (np.isfinite(value).all() and (value == np.floor(value)).all()):
        raise ValueError(f"{loss}: {argument} must hold whole numbers; got dtype {value.dtype} with other values")
    return np.asarray(value, np.int64)
