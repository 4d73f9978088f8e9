"""Every loss of the catalogue as torch users call it."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

import lossmith as lm
from catalogue import CASES, ElementwiseCase, RowCase
from structured.cases import CASES as STRUCTURED

Array = Any


@dataclasses.dataclass(frozen=True, eq=False)
class TorchCase:
    """A loss, its NumPy arguments, and the same arguments laid out for its module.

    Attributes
    ----------
    y, f : array
        As the NumPy call takes them.
    arguments : tuple of arrays
        As the module takes them, predictions first.
    axes : tuple of int
        The transposition that makes the module's predictions from f.
    """

    name: str
    loss: Any
    y: Any
    f: Array
    arguments: tuple[Array, ...]
    axes: tuple[int, ...]
    tier: str

    def numpy(self, f: Array, reduction: str = "mean", weight: Array = None) -> Array:
        """NumPy's value at predictions in the module's layout."""
        return self.loss(self.y, np.transpose(f, np.argsort(self.axes)), weight, reduction)

    def gradient(self, f: Array, reduction: str = "mean") -> Array:
        """NumPy's gradient of the mean or sum at predictions in the module's layout."""
        f = np.transpose(f, np.argsort(self.axes))
        if self.tier == "structured":
            return np.transpose(self.loss.gradient(self.y, f, None, reduction), self.axes)
        values, slope = self.loss.value_and_gradient(self.y, f)
        total, mean = (float(self.loss(self.y, f.astype(np.float64), None, r)) for r in ("sum", "mean"))
        mass = 1.0 if reduction == "sum" else total / mean if total else values.size
        return np.transpose(slope / mass, self.axes)

    def rounded(self, dtype: Any) -> TorchCase:
        """The same with floating-point numbers in a dtype."""

        def cast(x: Any) -> Any:
            if isinstance(x, tuple):
                return type(x)(*map(cast, x)) if hasattr(x, "_fields") else tuple(map(cast, x))
            return x.astype(dtype) if np.asarray(x).dtype.kind == "f" else x

        return dataclasses.replace(self, y=cast(self.y), f=cast(self.f), arguments=cast(self.arguments))

    @property
    def on_simplex(self) -> bool:
        """Its predictions are distributions, and only changes that keep their sum mean something."""
        return self.tier == "row-wise" and self.loss.inputs == "probabilities"

    def mild(self) -> tuple[Array, ...]:
        """The module's arguments with probabilities away from 0 and 1, where differences of values mean nothing."""
        f = self.arguments[0]
        if getattr(self.loss, "inputs", "") != "probabilities" or self.tier == "structured":
            return self.arguments
        share = 0.5 if self.tier == "elementwise" else 1.0 / f.shape[1]
        return (0.5 * f + 0.5 * share, *self.arguments[1:])

    def tensors(self, torch: Any, dtype: Any = None) -> tuple[Any, ...]:
        """The module's arguments; floating ones in a dtype."""
        return as_tensors(torch, self.arguments, dtype)


def as_tensors(torch: Any, arrays: tuple[Array, ...], dtype: Any = None) -> tuple[Any, ...]:
    """Tensors of arrays; floating ones in a dtype."""
    made = [torch.tensor(np.ascontiguousarray(a)) for a in arrays]
    return tuple(t.to(dtype) if dtype is not None and t.is_floating_point() else t for t in made)


def close(got: Any, want: Any, rtol: float) -> None:
    """Demand equality up to rtol of each number, or of the largest."""
    want = np.asarray(want)
    got = got.numpy(force=True) if hasattr(got, "detach") else got
    np.testing.assert_allclose(got, want, rtol=rtol, atol=rtol * np.abs(want).max(initial=0.0))


def _rows(case: RowCase) -> list[TorchCase]:
    y, f = case.sample(4, seed=21)
    name = f"{case.id}-{case.draw.__name__}"
    found = [TorchCase(name, case.loss, y, f, (f, y), (0, 1), "row-wise")]
    grid_y, grid_f = (np.stack([a, b]) for a, b in zip(case.sample(3, seed=22), case.sample(3, seed=23), strict=True))
    target = np.moveaxis(grid_y, -1, 1) if grid_y.ndim == 3 else grid_y
    found.append(
        TorchCase(
            f"{name}-grid", case.loss, grid_y, grid_f, (np.moveaxis(grid_f, -1, 1), target), (0, 2, 1), "row-wise"
        )
    )
    return found


def _structured(case: Any) -> TorchCase:
    f, y = case.f, case.y
    if not isinstance(y, tuple):
        return TorchCase(case.name, case.loss, y, f, (f, np.asarray(y)), tuple(range(f.ndim)), "structured")
    arguments = (f.transpose(1, 0, 2), y.labels, y.input_lengths, y.target_lengths)
    return TorchCase(case.name, case.loss, y, f, arguments, (1, 0, 2), "structured")


def _all() -> list[TorchCase]:
    found = []
    for case in CASES:
        if isinstance(case, ElementwiseCase):
            y, f = case.sample(6, seed=20)
            found.append(TorchCase(case.id, case.loss, y, f, (f, y), (0,), "elementwise"))
        elif isinstance(case, RowCase) and not case.differences:
            found += _rows(case)
    composed = lm.WeightedSum(("mse", "huber"), (1.0, 0.5))
    y, f = CASES[0].sample(6, seed=20)
    found.append(TorchCase(repr(composed), composed, y, f, (f, y), (0,), "composed"))
    return found + [_structured(case) for case in STRUCTURED]


EVERY = tuple(_all())
