"""Pieces of the logistic function as sums of two numbers, on NumPy and compiled."""

from __future__ import annotations

import mpmath as mp
import numpy as np
import pytest

from lossmith import ops
from lossmith.engine.compiled import compiled as compiled_loop

pytest.importorskip("numba")

RNG = np.random.default_rng(0)
N = 3000
SMALL = 10.0 ** RNG.uniform(-300, 0, N)
NORMAL = RNG.normal(size=N)
ways = pytest.mark.parametrize("way", ["NumPy", "compiled"])


@compiled_loop()
def _logistic_parts(x, parts):
    for i in range(x.size):
        for k, part in enumerate(ops.logistic_parts(x[i])):
            parts[k, i] = part


def _in_logistic_parts(x: np.ndarray, way: str) -> tuple[np.ndarray, ...]:
    if way == "NumPy":
        return ops.logistic_parts(x)
    parts = np.empty((8, x.size))
    _logistic_parts(x, parts)
    return tuple(parts)


def worst_sum_ulp(high: np.ndarray, low: np.ndarray, exact: list[mp.mpf]) -> float:
    units = [mp.mpf(float(np.spacing(float(abs(c))))) for c in exact]
    pairs = zip(high, low, exact, units, strict=True)
    return float(max(abs(mp.mpf(a) + mp.mpf(b) - c) / unit for a, b, c, unit in pairs))


@ways
def test_logistic_in_two_parts(way: str) -> None:
    x = np.r_[RNG.uniform(-670, 670, N), NORMAL, SMALL, 3.0 * NORMAL, 0.0, 1e308]
    q, q_low, p, p_low, other, other_low, bent, bent_low = _in_logistic_parts(x, way)
    with mp.workprec(250):
        falls = [mp.exp(-abs(mp.mpf(v))) for v in x]
        assert worst_sum_ulp(q[:-1], q_low[:-1], falls[:-1]) <= 0.2
        assert worst_sum_ulp(q[:-1], 0.0 * q_low[:-1], falls[:-1]) > 0.4  # one part alone is not that good
        assert worst_sum_ulp(p, p_low, [1 / (1 + v) for v in falls]) <= 0.2
        assert worst_sum_ulp(p, 0.0 * p_low, [1 / (1 + v) for v in falls]) > 0.4
        assert worst_sum_ulp(other[:-1], other_low[:-1], [v / (1 + v) for v in falls[:-1]]) <= 0.25
        logs = [mp.log1p(v) if v > 1e-30 else v for v in falls[:-1]]
        assert worst_sum_ulp(bent[:-1], bent_low[:-1], logs) <= 1.5
    assert (q[-1], q_low[-1], p[-1], p_low[-1], bent[-1]) == (0.0, 0.0, 1.0, 0.0, 0.0)


@ways
def test_logistic_in_two_parts_at_its_ends(way: str) -> None:
    x = np.array([np.inf, -np.inf, np.nan, 740.0, 746.0])
    with np.errstate(all="ignore"):
        q, q_low, p, p_low, _, _, bent, _ = _in_logistic_parts(x, way)
    np.testing.assert_allclose(q, [0.0, 0.0, np.nan, np.exp(-740.0), 0.0], rtol=0, atol=5e-324)
    np.testing.assert_array_equal(p, [1.0, 1.0, np.nan, 1.0, 1.0])
    np.testing.assert_allclose(bent, q)
    np.testing.assert_allclose(q_low + p_low, [0.0, 0.0, np.nan, 0.0, 0.0], rtol=0, atol=1e-16)


@compiled_loop()
def _products_and_roots(x, x_low, y, y_low, product, product_low, root, root_low, total):
    for i in range(x.size):
        product[i], product_low[i] = ops.product_parts(x[i], x_low[i], y[i], y_low[i])
        root[i], root_low[i] = ops.root_parts(x[i], x_low[i])
        total[i] = ops.product_of_sums(x[i], x_low[i], y[i], y_low[i])


@ways
def test_products_and_roots_in_two_parts(way: str) -> None:
    x, y = RNG.uniform(0.0, 2.0, N), 10.0 ** RNG.uniform(-30, 30, N)
    x_low, y_low = (v * RNG.uniform(-1, 1, N) * 2.0**-54 for v in (x, y))
    if way == "NumPy":
        found = (
            *ops.product_parts(x, x_low, y, y_low),
            *ops.root_parts(x, x_low),
            ops.product_of_sums(x, x_low, y, y_low),
        )
    else:
        found = tuple(np.empty_like(x) for _ in range(5))
        _products_and_roots(x, x_low, y, y_low, *found)
    with mp.workprec(250):
        left, right = ([mp.mpf(a) + mp.mpf(b) for a, b in zip(*pair, strict=True)] for pair in ((x, x_low), (y, y_low)))
        products = [a * b for a, b in zip(left, right, strict=True)]
        assert worst_sum_ulp(found[0], found[1], products) <= 1e-10
        assert worst_sum_ulp(found[2], found[3], [mp.sqrt(a) for a in left]) <= 1e-10
        assert worst_sum_ulp(found[4], 0.0 * found[4], products) <= 1.02
        assert worst_sum_ulp(found[0], 0.0 * found[1], products) > 0.5


@compiled_loop()
def _sums(a, x, x_low, y, y_low, scale, raised, raised_low, total, total_low):
    for i in range(x.size):
        raised[i], raised_low[i] = ops.raised_parts(a[i], x[i], x_low[i], y[i], y_low[i], scale)
        total[i], total_low[i] = ops.sum_parts(x[i], y[i], x_low[i])


@ways
@pytest.mark.parametrize("scale", [0.0, 0.5, 2.5, 3.5, 4.0])
def test_sums_in_two_parts(way: str, scale: float) -> None:
    """NumPy carries all of them; a kernel's fused sum of a product rounds once or twice, and it leaves the rest."""
    a, x, y = RNG.uniform(-3.0, 3.0, N), RNG.uniform(0.0, 1.0, N), RNG.uniform(-2.0, 9.0, N)
    a[::4] = -scale * x[::4] * y[::4]  # they cancel
    x_low, y_low = (v * RNG.uniform(-1, 1, N) * 2.0**-54 for v in (x, y))
    if way == "NumPy":
        found = (*ops.raised_parts(a, x, x_low, y, y_low, scale), *ops.sum_parts(x, y, x_low))
    else:
        found = tuple(np.empty_like(x) for _ in range(4))
        _sums(a, x, x_low, y, y_low, scale, *found)
    with mp.workprec(250):
        left, right = ([mp.mpf(p) + mp.mpf(q) for p, q in zip(*pair, strict=True)] for pair in ((x, x_low), (y, y_low)))
        products = [scale * p * q for p, q in zip(left, right, strict=True)]
        sums = [mp.mpf(p) + q for p, q in zip(a, products, strict=True)]
        units = [
            mp.mpf(2) ** -52 * max(abs(mp.mpf(p)), abs(q), mp.mpf(2) ** -60) for p, q in zip(a, products, strict=True)
        ]
        errors = [abs(mp.mpf(p) + mp.mpf(q) - s) / u for p, q, s, u in zip(*found[:2], sums, units, strict=True)]
        assert max(errors) <= (1e-6 if way == "NumPy" else 2.01)
        errors = [
            abs(mp.mpf(p) + mp.mpf(q) - (u + v)) for p, q, u, v in zip(*found[2:], left, map(mp.mpf, y), strict=True)
        ]
        assert max(errors) <= (1e-25 if way == "NumPy" else 2.0**-49)
