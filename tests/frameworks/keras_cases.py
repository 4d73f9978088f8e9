"""Every loss of the catalogue as Keras's users call it, and derivatives on whichever backend Keras has started with.

Only for processes that ``test_keras.py`` starts: it hides TensorFlow from the other backends.
"""

from __future__ import annotations

import dataclasses
import os
import sys
from typing import Any

import numpy as np
import pytest

BACKEND = os.environ["KERAS_BACKEND"]
if BACKEND != "tensorflow":
    sys.modules["tensorflow"] = None  # type: ignore[assignment]  # Keras would import it if it were there

import keras  # noqa: E402

import lossmith as lm  # noqa: E402
from catalogue import CASES, ElementwiseCase  # noqa: E402

Array = Any
lm.register_keras()


@dataclasses.dataclass(frozen=True, eq=False)
class KerasCase:
    """A loss, what NumPy's call takes, and the shapes in which Keras's users have it."""

    name: str
    loss: Any
    y: Array
    f: Array
    column: bool

    def to_keras(self, array: Array) -> Array:
        """Predictions as a model gives them."""
        return array[:, None] if self.column else array

    def count(self) -> int:
        return len(np.atleast_1d(self.loss(self.y, self.f, reduction="none")))

    def rounded(self, dtype: str) -> KerasCase:
        """The same with floats of a dtype."""
        y = self.y.astype(dtype) if self.y.dtype.kind == "f" else self.y
        return dataclasses.replace(self, y=y, f=self.f.astype(dtype))

    def gradient(self, weight: Array) -> Array:
        """NumPy's gradient of the weighted mean."""
        if self.loss.tier == "structured":
            return self.loss.gradient(self.y, self.f, weight)
        slope = self.loss.gradient(self.y, self.f)
        total, mean = (float(self.loss(self.y, self.f, weight, r)) for r in ("sum", "mean"))
        shape = weight.shape + (1,) * (slope.ndim - 1)
        return weight.reshape(shape) * slope * (mean / total)


def _cases() -> list[KerasCase]:
    """One for each class, kind of predictions and kind of targets."""
    found: dict[str, KerasCase] = {}
    for case in CASES:
        name = f"{case.loss.name}-{getattr(case.loss, 'inputs', 'raw')}-{np.asarray(case.sample(2)[0]).ndim}"
        if name not in found:
            y, f = case.sample(6, seed=31)
            found[name] = KerasCase(name, case.loss, y, f, isinstance(case, ElementwiseCase) or f.ndim == 1)
    return list(found.values())


EVERY = _cases()
every = pytest.mark.parametrize("case", EVERY, ids=lambda case: case.name)


def tensor(array: Array) -> Any:
    return keras.ops.convert_to_tensor(array)


def back(value: Any) -> Array:
    return keras.ops.convert_to_numpy(value)


def differentiated(function: Any, f: Array) -> tuple[Array, Array]:
    """A number and the backend's own derivative of it."""
    if BACKEND == "torch":
        x = tensor(f).requires_grad_(True)
        value = function(x)
        value.backward()
        return back(value), back(x.grad)
    if BACKEND == "jax":
        import jax

        value, slope = jax.jit(jax.value_and_grad(function))(tensor(f))  # one program compiles sooner than its parts
        return back(value), back(slope)
    import tensorflow as tf

    x = tensor(f)
    with tf.GradientTape() as tape:
        tape.watch(x)
        value = function(x)
    return back(value), back(tape.gradient(value, x))


def close(got: Any, want: Any, rtol: float) -> None:
    want = np.asarray(want, np.float64)
    np.testing.assert_allclose(np.asarray(got, np.float64), want, rtol, rtol * np.abs(want).max(initial=0.0))
