"""The Kullback-Leibler divergence of distributions that nearly agree: its digits do not cancel."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from mpmath import mp, mpf

import lossmith as lm
from lossmith.bench.parity.instances import Instance
from lossmith.bench.parity.libraries import LIBRARIES, VALUE

DISTANCES = (1.0, 0.1, 1e-2, 1e-3, 1e-5)
CLASSES = (2, 5, 40)


def pair(distance: float, k: int, inputs: str, dtype: Any = np.float64) -> tuple[Any, Any]:
    """Six targets and predictions, which are about ``distance`` apart in logits, in a precision."""
    rng = np.random.default_rng(3)
    z = 2.0 * rng.normal(size=(6, k))
    f = z + distance * rng.normal(size=z.shape)
    y, q = (np.exp(x) / np.exp(x).sum(1, keepdims=True) for x in (z, f))
    return y.astype(dtype), (f if inputs == "logits" else q).astype(dtype)


def exact(y: Any, f: Any, inputs: str) -> Any:
    """Sums of P log(P / Q) - P + Q in 60 digits."""
    with mp.workdps(60):
        return np.array([float(_sum(p, _distribution(x, inputs))) for p, x in zip(y, f, strict=True)])


def _distribution(x: Any, inputs: str) -> list[Any]:
    numbers = [mpf(float(v)) for v in x]
    if inputs == "probabilities":
        return numbers
    total = sum(map(mp.exp, numbers))
    return [mp.exp(v) / total for v in numbers]


def _sum(p: Any, q: list[Any]) -> Any:
    return sum(mpf(float(a)) * mp.log(mpf(float(a)) / b) - mpf(float(a)) + b for a, b in zip(p, q, strict=True))


def error(found: Any, true: Any) -> float:
    return float(np.max(np.abs(np.asarray(found, float) - true) / true))


@pytest.mark.parametrize("k", CLASSES)
@pytest.mark.parametrize("distance", DISTANCES)
def test_numpy_and_kernel_on_probabilities(distance: float, k: int, path: str, monkeypatch: Any) -> None:
    _by(path, monkeypatch)
    for dtype, bound in ((np.float64, 5e-14), (np.float32, 1e-7)):
        y, q = pair(distance, k, "probabilities", dtype)
        found = lm.KLDivergence(inputs="probabilities")(y, q, reduction="none")
        assert error(found, exact(y, q, "probabilities")) < bound


@pytest.mark.parametrize("k", CLASSES)
@pytest.mark.parametrize("distance", DISTANCES)
def test_numpy_and_kernel_on_logits(distance: float, k: int, path: str, monkeypatch: Any) -> None:
    """A probability has its last digit in the softmax: the error grows as 1 / distance, not as its square."""
    _by(path, monkeypatch)
    for dtype, bound in ((np.float64, 1e-14 + 4e-15 / distance), (np.float32, 1e-7 + 5e-10 / distance)):
        y, z = pair(distance, k, "logits", dtype)
        found = lm.KLDivergence()(y, z, reduction="none")
        assert error(found, exact(y, z, "logits")) < bound


def _by(path: str, monkeypatch: Any) -> None:
    from lossmith.engine import rows

    monkeypatch.setattr(rows, "KERNEL_FROM", 1 if path == "kernel" else 2**62)


@pytest.mark.parametrize("library", ["torch.func", "jax", "tensorflow"])
def test_frameworks_in_float32(library: str) -> None:
    pytest.importorskip(LIBRARIES[library].module)
    cast = LIBRARIES[library]()
    for distance in DISTANCES[:-1]:
        for inputs, bound in (("probabilities", 1e-5), ("logits", 1e-6 + 1e-6 / distance)):
            y, f = pair(distance, 40, inputs, np.float32)
            loss = lm.KLDivergence(inputs=inputs)
            found = cast.compute(Instance(loss, y, f), "float32", np.ones_like(f), (VALUE,))[VALUE]
            assert error(found, exact(y, f, inputs)) < bound, (distance, inputs)


def test_plain_sums_would_fail() -> None:
    y, q = pair(1e-3, 5, "probabilities")
    true = exact(y, q, "probabilities")
    assert error((y * np.log(y / q)).sum(1), true) > 5e-14
    assert error((y * np.log(y / q) - y + q).sum(1), true) > 5e-14


@pytest.mark.parametrize("inputs", ["logits", "probabilities"])
def test_never_negative_and_zero_where_they_agree(inputs: str, path: str, monkeypatch: Any) -> None:
    _by(path, monkeypatch)
    y, f = pair(1e-7, 40, inputs, np.float32)
    loss = lm.KLDivergence(inputs=inputs)
    assert (loss(y, f, reduction="none") >= 0.0).all()
    half = [[0.5, 0.5]]
    assert loss(half, half if inputs == "probabilities" else [[3.0, 3.0]]) == 0.0


@pytest.mark.parametrize("inputs", ["logits", "probabilities"])
def test_ends(inputs: str, path: str, monkeypatch: Any) -> None:
    """Missed mass costs infinity, or its logarithm where logits know it; what is not there costs nothing."""
    _by(path, monkeypatch)
    loss = lm.KLDivergence(inputs=inputs)
    far = [[0.0, -800.0]]
    assert loss([[1.0, 0.0]], far if inputs == "logits" else [[1.0, 0.0]]) == 0.0
    missed = loss([[0.5, 0.5]], far if inputs == "logits" else [[1.0, 0.0]])
    assert missed == (pytest.approx(400.0 - np.log(2.0), rel=1e-15) if inputs == "logits" else np.inf)
    for z in (-60.0, -75.0, -300.0):  # also in float32, where 1e-30 divides another way
        found = loss(np.float32([[0.5, 0.5]]), np.float32([[0.0, z]])) if inputs == "logits" else None
        assert found is None or found == pytest.approx(-z / 2 - np.log(2.0), rel=1e-6)
