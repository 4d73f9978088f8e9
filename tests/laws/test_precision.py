"""Elementwise losses are right to a few ulp, everywhere, on the NumPy path and in compiled kernels."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
from mpmath import mp, mpf

import lossmith as lm
import oracle
from catalogue import ELEMENTWISE, ElementwiseCase, draw_real, logits, residuals
from checks import check_limits, check_no_nan, check_precision, orders_of, worst_error
from lossmith.ops import exp, full_like, log, log1p, softplus, square

both = pytest.mark.parametrize("dtype", [np.float64, np.float32], ids=["float64", "float32"])
every = pytest.mark.parametrize("case", ELEMENTWISE, ids=lambda case: case.id)


@both
@every
@pytest.mark.usefixtures("path")
def test_a_few_ulp(case: ElementwiseCase, dtype: Any) -> None:
    """At most 4 ulp in float64 and 2 in float32: value, gradient and Hessian."""
    check_precision(case, dtype)


@both
@every
@pytest.mark.usefixtures("path")
def test_limits(case: ElementwiseCase, dtype: Any) -> None:
    """Infinite predictions give the limits of the formulas."""
    check_limits(case, dtype)


@both
@every
@pytest.mark.usefixtures("path")
def test_no_nan(case: ElementwiseCase, dtype: Any) -> None:
    """Only NaN makes NaN."""
    check_no_nan(case, dtype)


@every
def test_float16_is_correctly_rounded(case: ElementwiseCase) -> None:
    """Half precision is computed in double and rounded once."""
    y, f = case.sample(40, dtype=np.float16)
    wide = case.loss.value_gradient_hessian(y.astype(float), f.astype(float))
    with np.errstate(over="ignore"):
        for got, want in zip(case.loss.value_gradient_hessian(y, f), wide, strict=True):
            assert got.dtype == np.float16
            np.testing.assert_array_equal(got, want.astype(np.float16))


# --- the oracle itself --------------------------------------------------------------------------------


@every
def test_oracle_derivatives(case: ElementwiseCase) -> None:
    """The textbook's closed forms are the derivatives of the textbook's value."""
    y, f = case.sample(8, seed=3)
    for one_y, one_f in zip(y.tolist(), f.tolist(), strict=True):
        arguments = [mpf(p) for p in case.loss.parameters]
        with mp.workdps(50):
            for order, name in ((1, "gradient"), (2, "hessian")):
                found = mp.diff(lambda x, y=one_y, a=arguments: case.truth.value(mpf(y), x, *a), one_f, order)
                want = oracle.true_number(case.truth, name, one_y, one_f, *case.loss.parameters)
                assert abs(found - want) <= mpf(10) ** -15 * (1 + abs(want)), (name, one_y, one_f)


# Of a million random logits a setting, those at which roundings add up worst: they did to more than 4 ulp when the
# sums and products within a term were not carried along.
WORST_OF_FOCAL = {
    (2.5, 0.9): [(0, 18.19131339698402), (0, 0.6411972278544965), (0, 29.11777048792173), (0, -20.06147810081968),
                 (0, -0.6508486599549496), (1, 26.047874034311604)],
    (3.0, 0.9): [(0, 27.799741862622213), (0, 24.965249380469714), (1, 13.166163161988294), (1, -0.504306168521267)],
    (3.5, 0.9): [(0, 0.6607996106897996), (1, 4.333755994586088), (0, 20.711924332972337)],
}  # fmt: skip


@pytest.mark.parametrize(("gamma", "alpha"), WORST_OF_FOCAL)
@pytest.mark.usefixtures("path")
def test_worst_points_of_focal(gamma: float, alpha: float) -> None:
    case = _focal(gamma, alpha)
    y, f = np.array(WORST_OF_FOCAL[gamma, alpha]).T
    for order, got in orders_of(case.loss, y, f).items():
        worst = worst_error(case, order, y, f, got)
        assert worst.ulps < 3.5, f"{order}: {worst}"


def test_the_measure_of_errors_sees_one_unit() -> None:
    """The control: the next number in one of the two directions errs by more."""
    case = _focal(2.5, 0.9)
    y, f = np.array(WORST_OF_FOCAL[2.5, 0.9]).T
    for order, got in orders_of(case.loss, y, f).items():
        low, high = (worst_error(case, order, y, f, np.nextafter(got, end)).ulps for end in (-np.inf, np.inf))
        assert max(low, high) > worst_error(case, order, y, f, got).ulps + 0.5


def _focal(gamma: float, alpha: float) -> ElementwiseCase:
    loss = lm.BinaryFocal(gamma=gamma, alpha=alpha)
    return ElementwiseCase(loss, draw_real, oracle.focal_logits, (0.0, 1.0), logits())


def test_ulp_of_the_oracle() -> None:
    """Units in the last place agree with NumPy's spacing, subnormals and the largest numbers included."""
    for dtype in (np.float64, np.float32):
        info = np.finfo(dtype)
        for x in (info.smallest_subnormal, info.tiny, dtype(0.1), dtype(1.0), dtype(3.7), info.max / 2):
            assert float(oracle.ulp(mpf(float(x)), dtype)) == float(np.spacing(dtype(x)))
    assert oracle.error_in_ulp(np.inf, mpf(10) ** 400, np.float64) == 0
    assert oracle.error_in_ulp(1.0, mpf(1) + mpf(2) ** -52, np.float64) == 1
    assert oracle.error_in_ulp(np.nan, mpf(0), np.float64) == np.inf


# --- negative controls --------------------------------------------------------------------------------


class _NaiveLogCosh:
    """log(cosh) of the textbook: overflows, and loses small residuals."""

    value = staticmethod(lambda y, f: log(0.5 * (exp(f - y) + exp(y - f))))
    slope = lm.LogCosh.slope
    curvature = lm.LogCosh.curvature


class _ClampedBce:
    """Softplus without care for the sign: it cancels for a confident right answer."""

    value = staticmethod(lambda y, f: softplus(f) - y * f)
    slope = staticmethod(lambda y, f: 1.0 / (1.0 + exp(-f)) - y)
    curvature = staticmethod(lambda y, f: full_like(f, 0.25))


class _Nan:
    """inf - inf."""

    value = staticmethod(lambda y, f: log1p(exp(f)) + square(f) - square(f))
    slope = staticmethod(lambda y, f: f - f)
    curvature = staticmethod(lambda y, f: full_like(f, 0.0))


@dataclasses.dataclass(frozen=True)
class _Wrong:
    """Just enough of a loss to put wrong formulas to the checkers."""

    form: Any
    model: Any
    parameters: tuple[float, ...] = ()

    @property
    def prediction_domain(self) -> Any:
        return self.model.prediction_domain

    def value_gradient_hessian(self, y: Any, f: Any) -> tuple[Any, ...]:
        with np.errstate(all="ignore"):
            return tuple(
                getattr(self.form, order)(y.astype(float), f.astype(float)).astype(f.dtype)
                for order in ("value", "slope", "curvature")
            )


def _case(form: Any, model: Any, truth: oracle.Truth, where: Any, targets: tuple[float, ...]) -> ElementwiseCase:
    return ElementwiseCase(_Wrong(form, model), draw_real, truth, targets, where)


LOG_COSH = _case(_NaiveLogCosh, lm.LogCosh(), oracle.log_cosh, residuals(), (0.0,))
CLAMPED = _case(_ClampedBce, lm.BinaryCrossEntropy(), oracle.bce_logits, logits(), (0.0, 1.0))
NAN = _case(_Nan, lm.MeanSquaredError(), oracle.mse, residuals(), (0.0,))


@both
@pytest.mark.parametrize("case", [LOG_COSH, CLAMPED], ids=["log cosh", "bce"])
def test_precision_refuses_naive_formulas(case: ElementwiseCase, dtype: Any) -> None:
    with pytest.raises(AssertionError):
        check_precision(case, dtype)


def test_limits_and_nan_refuse_wrong_formulas() -> None:
    with pytest.raises(AssertionError):
        check_limits(NAN, np.float64)
    with pytest.raises(AssertionError):
        check_no_nan(NAN, np.float64)
    with pytest.raises(AssertionError):
        check_limits(CLAMPED, np.float64)
