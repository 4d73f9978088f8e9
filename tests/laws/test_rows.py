"""Row-wise losses: value, gradient, Hessian and product against the textbook and each other."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import lossmith as lm
import oracle_rows
from catalogue import ROWS, RowCase

every = pytest.mark.parametrize("case", ROWS, ids=[f"{case.id}-{case.draw.__name__}" for case in ROWS])
exact = pytest.mark.parametrize(
    "case", [c for c in ROWS if not c.differences], ids=lambda case: f"{case.id}-{case.draw.__name__}"
)


def _close(got: Any, want: Any, rtol: float, label: str) -> None:
    """Relative to the largest entry of each sample's result."""
    want = np.array([[float(v) for v in np.ravel(row)] for row in want])
    got = np.asarray(got).reshape(want.shape)
    scale = np.abs(want).max(-1, keepdims=True)
    assert (np.abs(got - want) <= rtol * scale + 1e-40).all(), f"{label}: got {got}, want {want}"


def check_row_derivatives(loss: Any, truth: Any, y: Any, f: Any, rtol: float) -> None:
    """Value, gradient and Hessian of each sample are the textbook's."""
    pairs = list(zip(y.tolist(), f.tolist(), strict=True))
    value, gradient, hessian = loss.value_gradient_hessian(y, f)
    # 1e-15 absolute: a divergence of two close distributions is a difference of numbers near 1
    want = np.array([float(oracle_rows.exact_row(truth, *pair)) for pair in pairs])
    np.testing.assert_allclose(value, want, rtol=min(rtol, 4e-15), atol=1e-15, err_msg=repr(loss))
    _close(gradient, [oracle_rows.gradient(truth, *pair) for pair in pairs], rtol, f"{loss} gradient")
    wide = rtol if rtol < 1e-10 else 1e-4
    _close(hessian, [np.array(oracle_rows.hessian(truth, *pair)) for pair in pairs], wide, f"{loss} Hessian")


@every
def test_textbook(case: RowCase) -> None:
    y, f = case.sample(6, seed=1)
    check_row_derivatives(case.loss, case.truth, y, f, 1e-7 if case.differences else 2e-14)


@every
def test_hessian_is_symmetric_and_is_the_product(case: RowCase) -> None:
    y, f = case.sample(12, seed=2)
    v = np.random.default_rng(0).normal(size=f.shape)
    hessian = case.loss.hessian(y, f)
    assert hessian.shape == (*f.shape, f.shape[-1])
    np.testing.assert_allclose(hessian, np.swapaxes(hessian, -1, -2), rtol=1e-12, atol=1e-14)
    product = case.loss.hessian_vector_product(y, f, v)
    np.testing.assert_allclose(product, np.einsum("nij,nj->ni", hessian, v), rtol=1e-9, atol=1e-11)


@every
def test_one_pass_is_the_same(case: RowCase) -> None:
    y, f = case.sample(9, seed=4)
    value, gradient, hessian = case.loss.value_gradient_hessian(y, f)
    np.testing.assert_array_equal(value, case.loss(y, f, reduction="none"))
    np.testing.assert_array_equal(gradient, case.loss.gradient(y, f))
    np.testing.assert_array_equal(hessian, case.loss.hessian(y, f))
    for got, want in zip(case.loss.value_and_gradient(y, f), (value, gradient), strict=True):
        np.testing.assert_array_equal(got, want)


# --- confident predictions ----------------------------------------------------------------------------

MARGINS = (0.0, 1e-9, 1.0, 9.0, 17.0, 20.0, 36.7, 40.0, 88.0, 200.0, 700.0)
CONFIDENT = [
    (lm.CategoricalCrossEntropy(), oracle_rows.cross_entropy()),
    (lm.CategoricalFocal(gamma=2.0), oracle_rows.cross_entropy(gamma=2.0)),
    (lm.CategoricalFocal(gamma=0.5), oracle_rows.cross_entropy(gamma=0.5)),
]


@pytest.mark.parametrize(("loss", "truth"), CONFIDENT, ids=lambda item: repr(item) if hasattr(item, "name") else "")
@pytest.mark.parametrize("offset", [0.0, 1e4])
@pytest.mark.parametrize("right", [True, False])
def test_confident_rows_keep_every_digit(loss: Any, truth: Any, offset: float, right: bool) -> None:
    """Each entry of the gradient, however small, has its relative accuracy: right by a margin, or wrong by it."""
    z = np.array([[m, 0.0, -0.5] for m in MARGINS]) + offset
    label = 0 if right else 1
    value, gradient = loss.value_and_gradient(np.full(len(z), label), z)
    for row, got, slopes in zip(z.tolist(), value, gradient, strict=True):
        want = float(oracle_rows.exact_row(truth, label, row))
        assert got == pytest.approx(want, rel=1e-14, abs=1e-320)
        for one, true in zip(slopes, oracle_rows.gradient(truth, label, row), strict=True):
            assert one == pytest.approx(float(true), rel=2e-14, abs=1e-320)


def test_float32_rows_are_rounded_once() -> None:
    """A margin of 20 in float32: torch, Keras and optax answer 0 (peer cases T11-T14)."""
    z = np.array([[20.0, 0.0, 0.0]], np.float32)
    value, gradient = lm.CategoricalCrossEntropy().value_and_gradient([0], z)
    assert value.dtype == gradient.dtype == np.float32
    q = 2 * np.exp(-20.0)
    assert value[0] == np.float32(np.log1p(q))
    assert gradient[0, 0] == np.float32(-q / (1 + q))


ANY_WIDTH = (lm.CategoricalCrossEntropy(), lm.CategoricalFocal(gamma=2.0), lm.CategoricalFocal(gamma=0.5))


@pytest.mark.parametrize("k", [2, 3, 7])
@pytest.mark.parametrize("loss", ANY_WIDTH, ids=repr)
def test_infinite_logits_have_limits(loss: Any, k: int) -> None:
    """A logit at +inf takes all the mass, one at -inf takes none; nothing becomes NaN."""
    z = np.zeros((4, k))
    z[0, 0], z[1, 1], z[2, 0], z[3, 1] = np.inf, np.inf, -np.inf, -np.inf
    value, gradient, hessian = loss.value_gradient_hessian(np.zeros(4, int), z)
    assert not np.isnan(value).any()
    assert not np.isnan(gradient).any()
    assert not np.isnan(hessian).any()
    assert value[0] == 0
    assert value[1] == value[2] == np.inf
    np.testing.assert_array_equal(gradient[0], 0)
    np.testing.assert_allclose(gradient[1], [-1, 1] + [0] * (k - 2), rtol=1e-15)
    assert gradient[2, 0] == -1
    assert gradient[3, 1] == 0


def test_checker_refuses_a_wrong_gradient() -> None:
    """(p - y) / p is often given as the gradient by the probabilities; it is not."""

    class Wrong:
        def value_gradient_hessian(self, y: Any, f: Any) -> tuple[Any, ...]:
            right = lm.CategoricalCrossEntropy()
            value, gradient, hessian = right.value_gradient_hessian(y, f)
            return value, gradient / np.exp(f), hessian

    y, f = ROWS[0].sample(5)
    with pytest.raises(AssertionError):
        check_row_derivatives(Wrong(), oracle_rows.cross_entropy(), y, f, 2e-14)


# --- finite in, numbers out ---------------------------------------------------------------------------

EDGE = np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.5, 0.5, 0.0], [1 - 2e-16, 2e-16, 0.0], [5e-324, 1.0, 0.0]])


def _hard_rows(case: RowCase) -> tuple[Any, Any]:
    name = case.loss.inputs
    if case.loss.name == "gaussian_nll":
        spread = np.array([-1e4, -1500.0, -700.0, -1.0, 0.0, 700.0, 1500.0, 1e4])
        if name == "variance":
            spread = np.array([5e-324, 1e-300, 1e-160, 1e-8, 1.0, 1e160, 1e300])
        mean = np.array([0.0, 1e-300, 1e-5, 1.0, 1e5, -1e150])
        pairs = np.array([(m, s) for m in mean for s in spread])
        return np.zeros(len(pairs)), pairs
    if name == "probabilities":
        f = EDGE
    elif name == "log_probabilities":
        f = np.log(np.maximum(EDGE, 5e-324))
    else:
        f = np.array([[1e4, 0.0, -1e4], [-1e4, 1e4, 1e4], [1e300, -1e300, 0.0], [745.2, 0.0, 0.0], [0.0, 36.8, -0.0]])
    targets = np.arange(3) if case.draw.__name__ == "draw_labels" or case.sample(1)[0].ndim == 1 else EDGE[:3]
    return np.repeat(targets, len(f), 0), np.tile(f, (len(targets), 1))


@exact
def test_finite_predictions_make_no_nan(case: RowCase) -> None:
    y, f = _hard_rows(case)
    for order, got in zip(("value", "gradient", "Hessian"), case.loss.value_gradient_hessian(y, f), strict=True):
        where = np.flatnonzero(np.isnan(got.reshape(len(f), -1)).any(-1))
        assert where.size == 0, f"{case.id} {order}: NaN at y={y[where[0]]} f={f[where[0]]} ({where.size} rows)"


@pytest.mark.parametrize("form", ["log_variance", "variance"])
def test_gaussian_far_from_one(form: str) -> None:
    """Variances far from 1 keep value and gradient to a few units in the last place."""
    truth = oracle_rows.gaussian_log_variance if form == "log_variance" else oracle_rows.gaussian_variance
    spread = (-600.0, -40.0, 0.5, 40.0, 600.0) if form == "log_variance" else (1e-150, 1e-8, 0.3, 1e8, 1e150)
    for s in spread:
        for mean in (0.0, 1e-3, 2.0, 1e6):
            value, gradient = lm.GaussianNLL(form).value_and_gradient([0.5], [[mean, s]])
            want = [oracle_rows.exact_row(truth, 0.5, (mean, s)), *_gaussian_gradient(form, 0.5, mean, s)]
            terms = max(abs(want[0]), 300.0)  # the logarithm and the square can cancel
            assert abs(value[0] - want[0]) <= 4e-16 * float(terms) or value[0] == float(want[0])
            for got, true in zip(gradient[0], want[1:], strict=True):
                # exp of a log-variance of 600 carries the rounding of 600 / 2
                assert got == pytest.approx(float(true), rel=2e-13, abs=1e-15 * 0.5)


def _gaussian_gradient(form: str, y: float, mean: float, s: float) -> list[Any]:
    with oracle_rows.mp.workdps(60):
        e, v = oracle_rows.mpf(mean) - y, oracle_rows.mpf(s)
        if form == "log_variance":
            return [e / oracle_rows.mp.exp(v), (1 - e**2 / oracle_rows.mp.exp(v)) / 2]
        return [e / v, (1 - e**2 / v) / (2 * v)]
