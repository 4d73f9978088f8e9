"""Plain CPU tensors of torch are computed by NumPy's kernels, on the same memory and with the same checks.

Three functions that torch can differentiate, one for each order: the reduced loss, whose forward pass computes
value and gradient together; the gradient (times a number for each sample); and the Hessian times a vector.
What is traced, transformed, of another device or another dtype takes the generic way (``attach``). Imported
only where torch has been imported.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch.autograd import forward_ad

from ..ops import times
from .reduce import reduce

Array = Any
Tensor = Any

_PLAIN = (torch.Tensor, torch.nn.Parameter)
_FLOATS = (torch.float32, torch.float64)
_TARGETS = (*_FLOATS, torch.bool, torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64)


def serves(f: Tensor, *constants: Tensor) -> bool:
    """Tell whether kernels can compute on predictions and on targets and weights that stay constant."""
    return f.dtype in _FLOATS and _readable(f) and all(map(_constant, constants)) and not _watched()


def _readable(x: Tensor) -> bool:
    return bool(x.is_cpu and x.layout is torch.strided and not x.is_neg())


def _constant(x: Tensor) -> bool:
    """Tell whether x holds numbers that NumPy can read and that nobody differentiates by."""
    if x is None:
        return True
    wanted = type(x) in _PLAIN and x.dtype in _TARGETS and _readable(x)
    return wanted and not (x.requires_grad and torch.is_grad_enabled())


def _watched() -> bool:
    """Tell whether torch wants to see each operation: transformations, tracing, forward mode."""
    return bool(
        torch._C._are_functorch_transforms_active()
        or torch._C._len_torch_dispatch_stack()
        or torch._C._get_tracing_state() is not None
        or forward_ad._current_level >= 0
    )


def to_numpy(x: Tensor | None) -> Array:
    """Return the same memory as an array."""
    return None if x is None else x.detach().numpy()


def to_torch(x: Array) -> Tensor:
    """Return the same memory as a tensor."""
    return torch.from_numpy(np.asarray(x))


def wants_gradient(f: Tensor) -> bool:
    """Tell whether what is computed from f will be differentiated."""
    return bool(f.requires_grad and torch.is_grad_enabled())


def on_arrays(method: Callable[..., Any], *arguments: Any) -> Any:
    """Call a method with arrays for tensors; its arrays come back as tensors."""
    found = method(*(to_numpy(a) if isinstance(a, torch.Tensor) else a for a in arguments))
    return tuple(map(to_torch, found)) if isinstance(found, tuple) else to_torch(found)


class Samples(ABC):
    """A loss at accepted targets and predictions, as arrays: what the differentiable functions ask for.

    Parameters
    ----------
    loss : Loss
        Whose formulas are evaluated.
    y, f, weight : ndarray
        As the loss accepted them; weight may be None.
    """

    def __init__(self, loss: Any, y: Array, f: Array, weight: Array | None) -> None:
        self.loss, self.y, self.f, self.weight = loss, y, f, weight

    @abstractmethod
    def priced(self, reduction: str) -> tuple[Array, Array]:
        """Return the reduced loss and the gradient of what "none" leaves apart, in an array that nobody else holds."""

    @abstractmethod
    def slope(self) -> Array:
        """Return the gradient of the values, in an array that nobody else holds."""

    @abstractmethod
    def bent(self, vector: Array) -> Array:
        """Return the Hessian times a vector of f's shape."""

    @staticmethod
    @abstractmethod
    def spread(rate: Tensor, x: Tensor) -> Tensor:
        """Return x times a number for each sample."""

    @staticmethod
    @abstractmethod
    def contract(x: Tensor, z: Tensor) -> Tensor:
        """Return the product of x and z for each sample."""

    @property
    @abstractmethod
    def shape(self) -> tuple[int, ...]:
        """Of the values."""

    def present(self, like: Tensor) -> Tensor:
        """Return 1 for each sample, 0 for those that do not count and may hold anything."""
        return torch.ones_like(like) if self.weight is None else to_torch(self.weight != 0.0).to(like.dtype)

    def share(self, reduction: str) -> Array | float:
        """Return d(reduced loss) / d(value of each sample)."""
        rate = 1.0 / self.mass(reduction)
        return rate if self.weight is None else self.weight * rate

    def mass(self, reduction: str) -> float:
        """Return what the sum of weighted values is divided by."""
        if reduction != "mean":
            return 1.0
        measure: Any = self.loss._measure(self.y, self.f)
        mass: Any = self.weight if measure is None else (measure if self.weight is None else self.weight * measure)
        if mass is None:
            return float(math.prod(self.shape))
        return float(np.sum(mass, dtype=np.float64)) or 1.0


class ElementwiseSamples(Samples):
    """Of the elementwise tier."""

    def _filled(self, *orders: str) -> tuple[Array, ...]:
        found: tuple[Array, ...] = self.loss._fill(orders, self.y, self.f, self.weight)
        return found

    def priced(self, reduction: str) -> tuple[Array, Array]:
        if reduction == "none":
            return self._weighted()
        total, slope = self._in_one_pass(1.0 / (mass := self.mass(reduction)))
        with np.errstate(over="ignore"):
            return np.asarray(total / mass, slope.dtype), slope

    def _in_one_pass(self, rate: float) -> tuple[float, Array]:
        """Return the sum of the weighted values, and rate times the weighted slope."""
        if self.loss._by_kernel(self.f):
            slope = np.empty(self.f.shape, self.f.dtype)
            return self.loss._sum(self.y, self.f, self.weight, (slope, rate))[0], slope
        value, slope = self._weighted()
        with np.errstate(all="ignore"):
            return float(value.sum(dtype=np.float64)), np.multiply(slope, rate, out=slope)

    def _weighted(self) -> tuple[Array, Array]:
        value, slope = self._filled("value", "slope")
        if self.weight is None:
            return value, slope
        with np.errstate(all="ignore"):
            return times(self.weight, value), times(self.weight, slope)

    def slope(self) -> Array:
        return self._filled("slope")[0]

    def bent(self, vector: Array) -> Array:
        with np.errstate(all="ignore"):
            return times(vector, self._filled("curvature")[0])

    @staticmethod
    def spread(rate: Tensor, x: Tensor) -> Tensor:
        return rate * x

    @staticmethod
    def contract(x: Tensor, z: Tensor) -> Tensor:
        return x * z

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.f.shape)


class RowSamples(Samples):
    """Of the row-wise tier."""

    def priced(self, reduction: str) -> tuple[Array, Array]:
        if reduction != "none" and self.loss.by_kernel(self.f) and self.loss.scales(self.y):
            scale = np.ascontiguousarray(np.broadcast_to(self.share(reduction), self.shape), np.float64)
            values, slope = self.loss._filled(self.y, self.f, scale=(scale.reshape(-1),))
            if self.weight is not None:
                slope[self.weight == 0.0] = 0.0  # their logits may be NaN
            return values.sum(dtype=np.float64).astype(values.dtype), slope
        values, slope = self.loss._pair(self.y, self.f)
        value = reduce(values, self.weight, reduction, self.loss._measure(self.y, self.f))
        share = np.asarray(self.share(reduction), slope.dtype)
        if share.ndim or share != 1.0:
            _scale(to_torch(slope), to_torch(share))
        return value, slope

    def slope(self) -> Array:
        return self.loss._compute("slope", self.y, self.f)

    def bent(self, vector: Array) -> Array:
        product: Array = self.loss._compute("product", self.y, self.f, vector)
        if self.weight is not None:
            product[self.weight == 0.0] = 0.0  # as above
        return product

    @staticmethod
    def spread(rate: Tensor, x: Tensor) -> Tensor:
        return rate[..., None] * x

    @staticmethod
    def contract(x: Tensor, z: Tensor) -> Tensor:
        return (x * z).sum(-1)

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.f.shape[:-1])


def _scale(x: Tensor, rate: Tensor) -> Tensor:
    """Multiply x in place by a number, or one for each sample; 0 also removes infinity."""
    if not rate.ndim:
        factor = float(rate)
        return x.zero_() if factor == 0.0 else x if factor == 1.0 else x.mul_(factor)
    spread = rate if rate.ndim == x.ndim else rate[..., None]
    x.mul_(spread)
    gone = spread == 0.0
    return x.masked_fill_(gone, 0.0) if gone.any() else x


_TIERS: dict[str, type[Samples]] = {"elementwise": ElementwiseSamples, "row-wise": RowSamples}


def reduced(loss: Any, y_true: Any, f: Tensor, weight: Any, reduction: str, broadcast: bool) -> Tensor | None:
    """Compute a loss on tensors, with backward and double backward; None where the generic way must do it.

    Parameters
    ----------
    loss : Loss
        Of any tier.
    y_true, f, weight, reduction, broadcast
        As in the call of a loss; f is a plain tensor.

    Returns
    -------
    tensor or None
        In f's dtype.
    """
    tier = _TIERS.get(loss.tier)
    if tier is None or type(y_true) not in _PLAIN or not (weight is None or type(weight) in _PLAIN):
        return None
    if not serves(f, y_true, weight):
        return None
    if broadcast and y_true.shape != f.shape:
        y_true, f = torch.broadcast_tensors(y_true, f)
    samples = tier(loss, *loss._accept(to_numpy(y_true), to_numpy(f), to_numpy(weight), False))
    if not wants_gradient(f):
        return to_torch(loss._reduced(samples.y, samples.f, samples.weight, reduction))
    return _Reduced.apply(f, samples, reduction, y_true, weight)


# --- what torch differentiates ------------------------------------------------------------------------


class _Reduced(torch.autograd.Function):  # type: ignore[misc]
    """The reduced loss; its gradient is computed along with it, and handed over to the first who asks."""

    @staticmethod
    def forward(ctx: Any, f: Tensor, samples: Samples, reduction: str, *constants: Tensor) -> Tensor:
        value, slope = samples.priced(reduction)
        ctx.save_for_backward(f, *constants)  # torch refuses the backward pass if one was changed since
        ctx.samples, ctx.reduction, ctx.slope = samples, reduction, to_torch(slope)
        return to_torch(value)

    @staticmethod
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor | None, ...]:
        f, samples, slope = ctx.saved_tensors[0], ctx.samples, ctx.slope
        nothing = (None,) * (len(ctx.needs_input_grad) - 1)
        if slope is not None and not torch.is_grad_enabled():
            ctx.slope = None
            return _scale(slope, upstream), *nothing
        share = samples.share(ctx.reduction)
        rate = upstream * (share if isinstance(share, float) else to_torch(share))
        return _Slope.apply(rate.expand(samples.shape), f, samples), *nothing


class _Slope(torch.autograd.Function):  # type: ignore[misc]
    """The gradient times a number for each sample."""

    @staticmethod
    def forward(ctx: Any, rate: Tensor, f: Tensor, samples: Samples) -> Tensor:
        ctx.save_for_backward(rate, f)
        ctx.samples = samples
        return _scale(to_torch(samples.slope()), rate)

    @staticmethod
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor | None, ...]:
        rate, f = ctx.saved_tensors
        slope = _Slope.apply(ctx.samples.present(rate), f, ctx.samples)
        # A view, since torch cannot tell of a leaf whether somebody differentiates by it.
        bent = _Bent.apply(ctx.samples.spread(rate, upstream), f.view_as(f), ctx.samples)
        return ctx.samples.contract(upstream, slope), bent, None


class _Bent(torch.autograd.Function):  # type: ignore[misc]
    """The Hessian times a vector."""

    @staticmethod
    def forward(ctx: Any, vector: Tensor, f: Tensor, samples: Samples) -> Tensor:
        ctx.save_for_backward(f)
        ctx.samples = samples
        return to_torch(samples.bent(vector.numpy()))

    @staticmethod
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor | None, ...]:
        (f,) = ctx.saved_tensors
        if torch._C._will_engine_execute_node(ctx.next_functions[1][0]):
            name = type(ctx.samples.loss).__name__
            raise NotImplementedError(f"{name} has no third derivative; differentiate twice at most by predictions")
        return _Bent.apply(upstream, f.view_as(f), ctx.samples), None, None
