"""The elementwise tier: one number against one number, with value, gradient and Hessian."""

from __future__ import annotations

import copy
import dataclasses
from abc import abstractmethod
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Protocol, Self

import numpy as np

from ..engine import fused
from ..ops import is_numpy
from . import contract, host
from .attach import attach, finite
from .domain import BINARY, EXTENDED_REAL, REAL, Domain, check
from .loss import Loss
from .parameters import choice, encoded
from .reduce import finished, reduce

Array = Any


class Form(Protocol):
    """The three formulas of a loss, plain functions of ``(y, f, *parameters)`` in the words of ``ops``."""

    def value(self, y: Array, f: Array, *parameters: Any) -> Array:
        """Per-sample value."""

    def slope(self, y: Array, f: Array, *parameters: Any) -> Array:
        """Derivative of the value by f."""

    def curvature(self, y: Array, f: Array, *parameters: Any) -> Array:
        """Second derivative of the value by f."""


@dataclasses.dataclass(frozen=True)
class ElementwiseLoss(Loss):
    """Base of the elementwise tier; authors derive from Elementwise or LinkedElementwise."""

    tier: ClassVar[str] = "elementwise"
    domain: ClassVar[Domain] = REAL
    curvature_kind: ClassVar[str] = "exact"

    @property
    @abstractmethod
    def form(self) -> Form:
        """The formulas in force."""

    @property
    @abstractmethod
    def prediction_domain(self) -> Domain:
        """Which predictions the formulas in force accept."""

    def __post_init__(self) -> None:
        super().__post_init__()
        # kept, not cached on demand: torch.compile cannot trace the lock of a cached property
        object.__setattr__(self, "_parameters", encoded(self))
        object.__setattr__(self, "_kernel_from", None)

    def compiled(self) -> Self:
        """Return an equal loss that computes NumPy arrays of any size by its kernels, small ones too.

        Small arrays normally go through NumPy and never wait for a compiler. For many calls on small batches a kernel
        is quicker: the first call of each kind compiles it (a second or two, or loads what an earlier process
        left on disk), the next ones take a few microseconds. Results may differ from NumPy's in the last digits.

        Returns
        -------
        Loss
            Of the same class, equal to this one.

        Examples
        --------
        >>> import lossmith as lm
        >>> loss = lm.Huber(delta=1.5).compiled()
        >>> loss == lm.Huber(delta=1.5)
        True
        """
        twin = copy.copy(self)
        object.__setattr__(twin, "_kernel_from", 1)
        return twin

    @property
    def parameters(self) -> tuple[float, ...]:
        """The numbers the formulas receive after y and f."""
        numbers: tuple[float, ...] = self._parameters  # type: ignore[attr-defined]
        return numbers

    def hessian(self, y_true: Any, y_pred: Any) -> Array:
        """Compute the second derivative by y_pred, exact almost everywhere (0 where the loss is linear).

        Parameters
        ----------
        y_true, y_pred : array_like
            As in the call.

        Returns
        -------
        array of y_pred's shape and dtype
            The diagonal of the Hessian; elements do not interact.
        """
        return self._evaluate(("curvature",), y_true, y_pred, None)[0]

    def gradient(self, y_true: Any, y_pred: Any) -> Array:
        return self._evaluate(("slope",), y_true, y_pred, None)[0]

    def value_and_gradient(self, y_true: Any, y_pred: Any, out: Any = None) -> tuple[Array, Array]:
        """Compute per-sample values and gradient in one pass.

        Parameters
        ----------
        y_true, y_pred : array_like
            As in the call.
        out : tuple of two ndarrays, optional
            Arrays to fill (NumPy only).

        Returns
        -------
        tuple of arrays
            Values and gradient, of y_pred's shape and dtype.

        Examples
        --------
        >>> import lossmith as lm
        >>> lm.Huber()([0.0, 0.0], [0.5, 3.0], reduction="none").tolist()
        [0.125, 2.5]
        """
        value, slope = self._evaluate(("value", "slope"), y_true, y_pred, out)
        return value, slope

    def value_gradient_hessian(self, y_true: Any, y_pred: Any, out: Any = None) -> tuple[Array, Array, Array]:
        """Compute per-sample values, gradient and Hessian in one pass.

        Parameters
        ----------
        y_true, y_pred : array_like
            As in the call.
        out : tuple of three ndarrays, optional
            Arrays to fill (NumPy only).

        Returns
        -------
        tuple of arrays
            Values, gradient and Hessian, of y_pred's shape and dtype.
        """
        value, slope, curvature = self._evaluate(("value", "slope", "curvature"), y_true, y_pred, out)
        return value, slope, curvature

    @host.by_kernels
    def _evaluate(self, orders: tuple[str, ...], y_true: Any, y_pred: Any, out: Any) -> tuple[Array, ...]:
        y, f, _ = self._accept(y_true, y_pred, None, False)
        given = contract.check_out(out, len(orders), f)
        if is_numpy(f):
            return self._fill(orders, y, f, None, given)
        return tuple(getattr(self._form_elsewhere, order)(y, f, *self.parameters) for order in orders)

    def _accept(
        self, y_true: Any, y_pred: Any, sample_weight: Any, broadcast: bool
    ) -> tuple[Array, Array, Array | None]:
        """Check and convert shapes and dtypes; NumPy's numbers are checked where they are read."""
        if sample_weight is None and contract.settled(y_true, y_pred):
            return y_true, y_pred, None
        f = contract.predictions(y_pred)
        y, f = contract.same_shape(contract.targets(y_true, f), f, broadcast=broadcast)
        return y, f, contract.weights(sample_weight, tuple(f.shape), f, numbers=False)

    def _check(self, y: Array, f: Array, weight: Array | None) -> None:
        """Refuse weights that are none, and numbers outside the domains in samples that count."""
        if weight is not None:
            contract.check_weights(weight)
            y, f = y[weight != 0], f[weight != 0]
        if y.size and self.domain.holds(y) and self.prediction_domain is EXTENDED_REAL:
            return  # most calls
        check(y, self.domain, "y_true", type(self).__name__, nan_allowed=False)
        check(f, self.prediction_domain, "y_pred", type(self).__name__, nan_allowed=True)

    def _by_kernel(self, f: Array) -> bool:
        return fused.compiles(f, self._kernel_from)  # type: ignore[attr-defined]

    @property
    def _label_form(self) -> Form | None:
        """Formulas that are quicker and hold for targets that are 0 or 1, where there are such."""
        return None

    @property
    def _form_elsewhere(self) -> Form:
        """The formulas for arrays of other libraries than NumPy."""
        return self.form

    def _fill(
        self,
        orders: tuple[str, ...],
        y: Array,
        f: Array,
        weight: Array | None = None,
        out: tuple[Array, ...] | None = None,
    ) -> tuple[Array, ...]:
        """Evaluate formulas on NumPy arrays, whose numbers a kernel checks on the way."""
        fast = self._by_kernel(f)
        labels = self._label_form
        simple = not fast and labels is not None and BINARY.holds(y)
        if weight is not None or not (fast or (simple and self.prediction_domain is EXTENDED_REAL)):
            self._check(y, f, weight)
        if not fast:
            form = labels if simple else self.form
            return fused.plain([getattr(form, order) for order in orders], y, f, self.parameters, out)
        # A second attempt needs what the first one read.
        overwritten = out is not None and any(np.may_share_memory(a, b) for a in out for b in (y, f))
        for form, limits in self._attempts[-1:] if overwritten else self._attempts:
            functions = [getattr(form, order) for order in orders]
            arrays, outside = fused.checked(functions, y, f, self.parameters, out, *limits)
            if not outside:
                return arrays
        self._check(y, f, weight)
        return arrays

    @property
    def _attempts(self) -> list[tuple[Form, tuple[fused.Limits, fused.Limits]]]:
        """Formulas with what they accept; where a kernel finds that not all targets were labels, the next one tries."""
        limits = self.domain.limits, self.prediction_domain.limits
        labels = self._label_form
        return [(self.form, limits)] if labels is None else [(labels, (BINARY.limits, limits[1])), (self.form, limits)]

    def _sum(
        self, y: Array, f: Array, weight: Array | None, slope: tuple[Array, float] | None = None
    ) -> tuple[float, float]:
        """Add up values and weights of NumPy arrays in one pass; ``slope`` receives a multiple of the gradient."""
        for form, limits in self._attempts:
            functions = (form.value,) if slope is None else (form.value, form.slope)
            found = fused.total(functions, y, f, weight, self.parameters, limits, slope)
            if not found.outside:
                break
        if found.outside or found.wrong:
            self._check(y, f, weight)
        return found.value, float(f.size) if weight is None else found.mass

    def _reduced(self, y: Array, f: Array, weight: Array | None, reduction: str) -> Array:
        if not is_numpy(f):
            return super()._reduced(y, f, weight, reduction)
        if reduction == "none" or not self._by_kernel(f):
            (values,) = self._fill(("value",), y, f, weight)
            return reduce(values, weight, reduction)
        return finished(*self._sum(y, f, weight), f, reduction)

    def _values(self, y: Array, f: Array) -> Array:
        form, parameters = self._form_elsewhere, self.parameters
        if is_numpy(f):
            return self._fill(("value",), y, f)[0]
        if host.is_jax(f):
            return host.jax_chain().elementwise(form, y, f, parameters)

        def rise(a: Array, d: Array) -> Array:
            slope, curvature = form.slope(y, a, *parameters), form.curvature(y, a, *parameters)
            return d * (finite(slope) + 0.5 * d * finite(curvature))

        return attach(f, lambda a: form.value(y, a, *parameters), rise)


class Elementwise(ElementwiseLoss):
    """An elementwise loss with one form: the class itself holds value, slope and curvature.

    Subclasses are frozen dataclasses with three static methods of ``(y, f, *parameters)``.
    """

    @staticmethod
    @abstractmethod
    def value(y: Array, f: Array, *parameters: Any) -> Array:
        """Per-sample value."""

    @staticmethod
    @abstractmethod
    def slope(y: Array, f: Array, *parameters: Any) -> Array:
        """Derivative of the value by f."""

    @staticmethod
    @abstractmethod
    def curvature(y: Array, f: Array, *parameters: Any) -> Array:
        """Second derivative of the value by f."""

    @property
    def form(self) -> Form:
        """The class itself."""
        return type(self)

    @property
    def prediction_domain(self) -> Domain:
        """Every number, infinities included."""
        return EXTENDED_REAL


@dataclasses.dataclass(frozen=True)
class ByParameters:
    """A place in ``forms`` where the loss's parameters decide: some of their values have quicker formulas.

    Attributes
    ----------
    choose : callable
        From the loss to its form.
    elsewhere : Form
        For arrays of other libraries than NumPy.
    """

    choose: Callable[[Any], Form]
    elsewhere: Form


@dataclasses.dataclass(frozen=True)
class LinkedElementwise(ElementwiseLoss):
    """An elementwise loss with one form for each kind of prediction: raw scores or mean-scale values.

    The form on raw scores is the merged, stable one; the link is said by ``inputs``, never guessed.
    Subclasses give ``forms`` (or :class:`ByParameters`) and ``prediction_domains``, and declare ``inputs`` with
    :func:`inputs_among`.
    ``label_forms`` are quicker formulas that hold for targets that are 0 or 1, where there are such.
    """

    forms: ClassVar[Mapping[str, Any]]
    label_forms: ClassVar[Mapping[str, Any]] = {}
    prediction_domains: ClassVar[Mapping[str, Domain]]
    inputs: str = "raw"

    @property
    def form(self) -> Form:
        """The form for the declared inputs."""
        found: Form = self._chosen(self.forms[self.inputs])
        return found

    @property
    def _form_elsewhere(self) -> Form:
        given = self.forms[self.inputs]
        found: Form = given.elsewhere if isinstance(given, ByParameters) else given
        return found

    @property
    def _label_form(self) -> Form | None:
        found: Form | None = self._chosen(self.label_forms.get(self.inputs))
        return found

    def _chosen(self, form: Any) -> Any:
        return form.choose(self) if isinstance(form, ByParameters) else form

    @property
    def prediction_domain(self) -> Domain:
        """What the declared inputs may be."""
        return self.prediction_domains[self.inputs]


def inputs_among(*options: str) -> Any:
    """Declare the kinds of prediction a linked loss accepts; the first is the default."""
    return choice(options[0], options)
