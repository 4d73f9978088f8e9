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


@pytest.mark.parametrize("k", [2, 3, 7])
@exact
def test_infinite_logits_have_limits(case: RowCase, k: int) -> None:
    """A logit at +inf takes all the mass, one at -inf takes none; nothing becomes NaN."""
    if case.loss.inputs != "logits" or case.draw.__name__ != "draw_labels" or getattr(case.loss, "class_weights", None):
        pytest.skip("labels on logits, any number of classes")
    z = np.zeros((4, k))
    z[0, 0], z[1, 1], z[2, 0], z[3, 1] = np.inf, np.inf, -np.inf, -np.inf
    value, gradient, hessian = case.loss.value_gradient_hessian(np.zeros(4, int), z)
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
