"""The structured tier: losses of pairs, sequences, masks and sets, whose samples are not single numbers.

Three words mean the same in all of them:

* A *value* belongs to one sample: a sequence, a mask, a given pair or triplet, or an anchor with all the
  pairs or triplets it stands in. A sample may count more than once in the mean (its *measure*: the number
  of triplets of an anchor), so that "mean" is sum(w * l) / sum(w * m) as everywhere, 0 when nothing counts.
* The *gradient* is that of the reduced loss, "mean" unless said otherwise, and has the shape of y_pred:
  values of different samples may lean on the same prediction, so there is no unreduced gradient in general.
* *Weights* are one number for each sample; weight 0 deletes it.

NumPy computes in float64 whatever the dtype of y_pred, which the results have. A loss may bring a kernel for large
inputs of float32 and float64 (``_cells``, ``_sweep``); which of the two computes depends on shapes and dtype only, so
that the same call always gives the same bits.
"""

from __future__ import annotations

import dataclasses
import functools
from abc import abstractmethod
from typing import Any, ClassVar, NamedTuple

import numpy as np
import numpy.typing as npt

from ..engine import jit
from ..ops import is_numpy, namespace
from . import contract, host
from .attach import attach, stop_gradient
from .loss import Loss
from .reduce import check_reduction, reduce

Array = Any
Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
Targets = tuple[Array, ...]
# Below this many cells NumPy takes a few milliseconds: nobody should wait for a compiler.
KERNEL_FROM = 32_768


class Evaluation(NamedTuple):
    """What a structured loss computes in one go; without a gradient if only values were asked for.

    Attributes
    ----------
    values : ndarray, shape (m,)
        One for each sample, not weighted.
    measure : ndarray, shape (m,), or None
        What a sample counts in the mean besides its weight; 1 if None.
    gradient : ndarray of y_pred's shape, or None
        Of sum(weight * values).
    """

    values: Floats
    measure: Floats | None
    gradient: Array | None = None


@dataclasses.dataclass(frozen=True)
class StructuredLoss(Loss):
    """Base of the structured tier.

    Subclasses say what their targets are (``_parts``), check them (``_checked``) and compute values and
    gradient together (``_value_and_gradient``), or values alone (``_value``) where that is less work; ``separate``
    tells whether value i depends on y_pred[i] only. A kernel is two more methods, ``_cells`` and ``_sweep``.
    A loss that ``takes_float32`` is given float32 predictions as they are, not to be overwritten.
    """

    tier: ClassVar[str] = "structured"
    separate: ClassVar[bool] = False
    takes_float32: ClassVar[bool] = False

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
            Arrays to fill (NumPy only): the value's shape, () if reduced, and y_pred's shape, both of y_pred's
            dtype. The gradient may take the place of y_pred.
        reduction : {"mean", "sum", "none"}
            "none" gives a value for each sample, with the gradient of their sum.

        Returns
        -------
        tuple of arrays
            Value and gradient, in y_pred's dtype.
        """
        check_reduction(reduction)
        parts, f, weight = self._accept(y_true, y_pred, sample_weight, False)
        if out is None:
            value, gradient = self._run(parts, f, weight, reduction)
            return value, gradient
        values, place = _checked_out(out, self._shape(parts, f, reduction), f)
        value, gradient = self._run(parts, f, weight, reduction, place=place)
        values[...] = value
        if gradient is not place:
            place[...] = gradient
        filled: tuple[Array, Array] = out
        return filled

    # --- what a loss of this tier provides ------------------------------------------------------------

    @abstractmethod
    def _parts(self, y_true: Any) -> Targets:
        """Take the targets apart into arrays."""

    def _check_shapes(self, parts: Targets, f: Array) -> None:
        """Raise a ValueError for targets whose shapes do not go with the predictions'."""
        return

    @abstractmethod
    def _checked(self, parts: Targets, f: Floats, weight: Floats | None) -> Any:
        """Check the targets against the predictions; what comes back is given to ``_value_and_gradient``."""

    @abstractmethod
    def _count(self, parts: Targets, f: Array) -> int:
        """How many values there are, by the shapes alone."""

    @abstractmethod
    def _value_and_gradient(self, y: Any, f: Floats, weight: Floats) -> Evaluation:
        """Compute values, and the gradient of sum(weight * values); f may be overwritten."""

    def _value(self, y: Any, f: Floats, weight: Floats) -> Evaluation:
        """Compute the same values alone, to the bit; f may be overwritten."""
        return self._value_and_gradient(y, f, weight)

    def _cells(self, parts: Targets, f: Array) -> int:
        """Say how many numbers a kernel would compute, by the shapes alone; 0 where there is no kernel."""
        return 0

    def _sweep(self, parts: Targets, f: Array, share: Floats, place: Array | None) -> Evaluation:
        """Check and compute by the kernel, for a loss that is ``separate``.

        ``f`` is float32 or float64, in C order, and not to be written to, unless it is ``place``. ``share`` is what the
        reduced loss gains by each value; where it is 0 nothing is looked at. ``place``, None if only values are
        wanted, is to be filled with the gradient of sum(share * values).
        """
        raise NotImplementedError(f"{type(self).__name__} has no kernel")

    def _formula(self, parts: Targets, f: Array, weight: Array | None) -> tuple[Array, Array | None]:
        """Compute the same values, and what each counts, in operations of f's library, which then differentiates them.

        It serves programs that cannot call the host and second derivatives. Nothing is checked. Lengths may be unknown;
        where the weight, of f's dtype, is 0 anything may stand.
        """
        raise NotImplementedError(
            f"{type(self).__name__} computes on the host only: no second derivatives, and no XLA for TensorFlow "
            "(give jit_compile=False)"
        )

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
            return self._run(y, f, weight, reduction, gradient=False)[0]
        if host.is_torch(f):
            return host.torch_structured(self, y, f, weight, reduction)
        if host.is_jax(f):
            host.check_libraries(f, y)
            return host.jax_chain().structured(self, y, f, weight, reduction)
        if host.is_tensorflow(f):
            return host.tensorflow_structured().reduced(self, y, f, weight, reduction)
        constant = stop_gradient(f)
        value, gradient = self._run(y, f if constant is None else constant, weight, reduction)
        return attach(f, lambda a: value, lambda a, d: self._total(d * gradient, reduction))

    def _by_formula(self, parts: Targets, f: Array, weight: Array | None, reduction: str) -> Array:
        """Compute the reduced loss in operations of f's library, in float64 where it has that."""
        if all(None not in tuple(array.shape) for array in (f, *parts)):
            self._check_shapes(parts, f)
        dtype, x = f.dtype, host.wide(f)
        mass = None if weight is None else namespace(x).astype(host.alike(x, weight), x.dtype)
        if mass is not None and (len(mass.shape) != 1 or None not in (*mass.shape, *self._shape(parts, f, "none"))):
            mass = contract.weights(mass, self._shape(parts, f, "none"), x, numbers=False)
        values, measure = self._formula(tuple(host.alike(x, part) for part in parts), x, mass)
        found = reduce(values, mass, reduction, measure)
        return found if found.dtype == dtype else namespace(found).astype(found, dtype)

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

    def _shape(self, parts: Targets, f: Array, reduction: str) -> tuple[Any, ...]:
        if reduction != "none":
            return ()
        known = None not in (*f.shape[:1], *parts[0].shape[:1])  # TensorFlow's graphs may not know a length yet
        return (self._count(parts, f) if known else None,)

    def _run(
        self,
        parts: Targets,
        f: Array,
        weight: Any,
        reduction: str,
        *,
        gradient: bool = True,
        place: Array | None = None,
    ) -> tuple[Array, ...]:
        if gradient and host.is_tensorflow(f) and host.tensorflow_structured().in_xla():
            found: tuple[Array, ...] = host.tensorflow_structured().both(self, parts, f, weight, reduction)
            return found
        others = parts if weight is None else (*parts, weight)
        work = functools.partial(
            self._compute, weighted=weight is not None, reduction=reduction, gradient=gradient, place=place
        )
        shapes = (self._shape(parts, f, reduction), tuple(f.shape))[: 1 + gradient]
        value, *slope = host.run(work, f, others, shapes)
        return value[()], *slope

    def _compute(
        self,
        f: Any,
        *others: Any,
        weighted: bool,
        reduction: str,
        gradient: bool = True,
        place: Array | None = None,
    ) -> tuple[Array, ...]:
        """Compute on NumPy arrays: the value and, if wanted, the gradient, which may lie in ``place``."""
        if f.dtype.kind != "f":
            raise TypeError(f"y_pred has dtype {f.dtype}; give floating-point numbers")
        contract.refuse_empty(f, "y_pred")
        parts = others[:-1] if weighted else others
        given = contract.weights(others[-1], (self._count(parts, f),), f) if weighted else None
        weight = None if given is None else given.astype(np.float64)
        with np.errstate(all="ignore"):
            if self._worth_compiling(parts, f):
                return self._by_kernel(parts, f, weight, reduction, _place(f, place) if gradient else None)
            kept = self.takes_float32 and f.dtype == np.float32
            return self._by_numpy(parts, f if kept else f.astype(np.float64), weight, reduction, gradient)

    def _worth_compiling(self, parts: Targets, f: Array) -> bool:
        return f.dtype in (np.float32, np.float64) and self._cells(parts, f) >= KERNEL_FROM and jit.available()

    def _by_numpy(
        self, parts: Targets, x: Floats, weight: Floats | None, reduction: str, gradient: bool
    ) -> tuple[Array, ...]:
        y = self._checked(parts, x, weight)
        counts = np.ones(self._count(parts, x)) if weight is None else weight
        found = self._value_and_gradient(y, x, counts) if gradient else self._value(y, x, counts)
        value = np.asarray(reduce(found.values, weight, reduction, found.measure))
        if not gradient:
            return (value,)
        if reduction == "mean":
            _divide(found.gradient, _mass(found, weight))
        return value, found.gradient

    def _by_kernel(
        self, parts: Targets, f: Array, weight: Floats | None, reduction: str, place: Array | None
    ) -> tuple[Array, ...]:
        share = np.ones(self._count(parts, f)) if weight is None else weight
        if reduction == "mean":
            share = share / (share.sum() or 1.0)
        found = self._sweep(parts, np.ascontiguousarray(f), share, place)
        value = np.asarray(reduce(found.values, weight, reduction, found.measure))
        if place is None:
            return (value,)
        if reduction == "mean" and found.measure is not None:
            _divide(place, float((share * found.measure).sum()))
        return value, place


def _mass(found: Evaluation, weight: Floats | None) -> float:
    counts = np.ones(found.values.shape) if found.measure is None else found.measure
    return float(reduce(counts, weight, "sum"))


def _divide(gradient: Array, mass: float) -> None:
    gradient /= mass if mass > 0.0 else 1.0


def _place(f: Array, given: Array | None) -> Array:
    """Return an array for the gradient: the caller's, unless a kernel could not fill it while it reads f."""
    if given is not None and given.flags.c_contiguous and (given is f or not np.may_share_memory(given, f)):
        return given
    return np.empty(f.shape, f.dtype)


def _checked_out(out: Any, shape: tuple[int, ...], f: Array) -> tuple[Array, Array]:
    if not isinstance(out, tuple) or len(out) != 2:
        raise TypeError("out must be a tuple of 2 arrays to fill: the value and the gradient")
    if not is_numpy(f):
        raise TypeError("out works for NumPy arrays; other libraries return new arrays")
    values, gradient = out
    contract.check_out((values,), 1, np.broadcast_to(f.dtype.type(0), shape))
    contract.check_out((gradient,), 1, f)
    return values, gradient


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
