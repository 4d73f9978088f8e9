"""Every loss of the catalogue as users of JAX call it."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

import lossmith as lm
from catalogue import CASES, ElementwiseCase, RowCase
from structured.cases import CASES as STRUCTURED

Array = Any


@dataclasses.dataclass(frozen=True, eq=False)
class JaxCase:
    """A loss, its NumPy arguments, and the same arguments laid out for its function.

    Attributes
    ----------
    y, f : array
        As the NumPy call takes them.
    arguments : tuple of arrays
        As the function takes them, predictions first.
    tier : str
        The loss's.
    rough : bool
        The loss's own derivatives are differences.
    """

    name: str
    loss: Any
    y: Any
    f: Array
    arguments: tuple[Array, ...]
    tier: str
    rough: bool = False

    @property
    def per_sample(self) -> bool:
        """Whether Optax would return a value for each sample."""
        return self.tier != "structured" or self.loss.separate

    def numpy(self, reduction: str = "mean", weight: Array = None) -> Array:
        """NumPy's value."""
        return self.loss(self.y, self.f, weight, reduction)

    def value_and_gradient(self) -> tuple[Array, Array]:
        """NumPy's sum of what the function returns, with its gradient."""
        reduction = "sum" if self.per_sample else "mean"
        if self.tier == "structured":
            return self.loss.value_and_gradient(self.y, self.f, None, None, reduction)
        return self.numpy("sum"), self.loss.gradient(self.y, self.f)

    def rounded(self, dtype: Any) -> JaxCase:
        """The same with floating-point numbers in a dtype."""

        def cast(x: Any) -> Any:
            if isinstance(x, tuple):
                return type(x)(*map(cast, x)) if hasattr(x, "_fields") else tuple(map(cast, x))
            return x.astype(dtype) if np.asarray(x).dtype.kind == "f" else x

        return dataclasses.replace(self, y=cast(self.y), f=cast(self.f), arguments=cast(self.arguments))


def close(got: Any, want: Any, rtol: float) -> None:
    """Demand equality up to rtol of each number, or of the largest."""
    want = np.asarray(want)
    np.testing.assert_allclose(np.asarray(got), want, rtol=rtol, atol=rtol * np.abs(want).max(initial=0.0))


def _paddings(lengths: Array, width: int) -> Array:
    """Optax's paddings: 1 behind so many zeros."""
    return (np.arange(width) >= np.asarray(lengths)[:, None]).astype(float)


def _structured(case: Any) -> JaxCase:
    f, y = case.f, case.y
    if not isinstance(y, tuple):
        return JaxCase(case.name, case.loss, y, f, (f, np.asarray(y)), "structured")
    labels = np.where(y.labels < 0, 0, y.labels)  # Optax does not look at what is padded
    frames, counts = _paddings(y.input_lengths, f.shape[1]), _paddings(y.target_lengths, labels.shape[1])
    return JaxCase(case.name, case.loss, y, f, (f, frames, labels, counts), "structured")


# Structured cases by their loss; of each kind every third will do, since all go the same way.
KINDS: dict[type, list[Any]] = {}
for _case in STRUCTURED:
    KINDS.setdefault(type(_case.loss), []).append(_case)


def _all() -> list[JaxCase]:
    found = []
    for case in CASES:
        if isinstance(case, (ElementwiseCase, RowCase)):
            y, f = case.sample(4, seed=20)
            name = f"{case.id}-{case.draw.__name__}" if isinstance(case, RowCase) else case.id
            rough = isinstance(case, RowCase) and case.differences
            found.append(JaxCase(name, case.loss, y, f, (f, y), case.loss.tier, rough))
    composed = lm.WeightedSum(("mse", "huber"), (1.0, 0.5))
    y, f = CASES[0].sample(4, seed=20)
    found.append(JaxCase(repr(composed), composed, y, f, (f, y), "composed"))
    return found + [_structured(case) for kind in KINDS for case in KINDS[kind][::3]]


EVERY = tuple(_all())
SMOOTH = tuple(case for case in EVERY if case.tier != "structured")
STRUCTURED_CASES = tuple(case for case in EVERY if case.tier == "structured")
# One case of each loss for each kind of inputs or layout.
SOME_SMOOTH = tuple({(type(c.loss), c.loss.to_config()["params"].get("inputs")): c for c in SMOOTH}.values())
SOME_STRUCTURED = tuple({(type(c.loss), np.ndim(c.arguments[1])): c for c in STRUCTURED_CASES}.values())
SOME = (*SOME_SMOOTH, *SOME_STRUCTURED)
