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


# Of a million random points a setting, those at which roundings add up worst: they did to more than 4 ulp (2 in the
# one that is float32) before the sums, products and quotients on the way were carried along.
WORST: list[tuple[Any, oracle.Truth, list[tuple[float, float]]]] = [
    (lm.BinaryFocal(gamma=2.5, alpha=0.9), oracle.focal_logits, [
        (0, 18.19131339698402), (0, 0.6411972278544965), (0, 29.11777048792173), (0, -20.06147810081968),
        (0, -0.6508486599549496), (1, 26.047874034311604)]),
    (lm.BinaryFocal(gamma=3.0, alpha=0.9), oracle.focal_logits, [
        (0, 27.799741862622213), (0, 24.965249380469714), (1, 13.166163161988294), (1, -0.504306168521267)]),
    (lm.BinaryFocal(gamma=3.5, alpha=0.9), oracle.focal_logits, [
        (0, 0.6607996106897996), (1, 4.333755994586088), (0, 20.711924332972337)]),
    (lm.BinaryFocal(gamma=5.0, alpha=0.9), oracle.focal_logits, [
        (0, 0.015344247440996214), (0, -5.537846434856711), (0.00604829157772413, 0.2882037093303742),
        (0.11780892465340542, -0.6891862656454864), (0.6999797830364226, 0.5437440805001046),
        (0.7472310454054041, 0.6472792929710447)]),
    (lm.BinaryFocal(gamma=30.0, alpha=0.9), oracle.focal_logits, [
        (0, -10.23212148891556), (0, -6.8349184645302685), (1, 20.635433886142145)]),
    (lm.BinaryFocal(inputs="probabilities", alpha=None), oracle.focal_probabilities, [
        (0.16255038850051218, 0.36834229846265165), (0.8073843264862527, 0.999999973246367)]),
    (lm.BinaryFocal(inputs="probabilities", gamma=0.0), oracle.focal_probabilities, [(0, 0.36110809227430013)]),
    (lm.BinaryFocal(inputs="probabilities", gamma=30.0), oracle.focal_probabilities, [
        (0, 2.5758525961871826e-11), (0, 1.4886892876205038e-11)]),
    (lm.LogCosh(), oracle.log_cosh, [
        (-0.48765589578295937, -0.9929121277790269), (0.3115737182629125, 0.819026745147718)]),
    (lm.PseudoHuber(), oracle.pseudo_huber, [(-0.12028940095036107, 3.8430767219597923)]),
    (lm.PseudoHuber(delta=0.03), oracle.pseudo_huber, [
        (-4.817759486175718, -5.057439860985302), (0.0027457677158732033, -0.007866835815052781)]),
    (lm.PseudoHuber(delta=50.0), oracle.pseudo_huber, [
        (-1.7833100168420923, -17.811940465567837), (3.3335361414919964, -88.8062462464676)]),
    (lm.Tukey(), oracle.tukey, [
        (0.6355582170140924, 1.656239389346509), (-0.16953888879443846, 2.918168571607943)]),
    (lm.Tukey(c=0.3), oracle.tukey, [
        (-0.04592731249786656, -0.10860823748748102), (-0.022614008437241335, 0.23889099122485616)]),
]  # fmt: skip


def _found(loss: Any, truth: oracle.Truth, points: list[tuple[float, float]], dtype: Any) -> list[float]:
    case = ElementwiseCase(loss, draw_real, truth, (), residuals())
    y, f = np.array(points, dtype).T.copy()
    return [worst_error(case, order, y, f, got).ulps for order, got in orders_of(loss, y, f).items()]


@pytest.mark.parametrize(
    ("loss", "truth", "points"), WORST, ids=lambda part: repr(part) if hasattr(part, "form") else ""
)
@pytest.mark.usefixtures("path")
def test_worst_points(loss: Any, truth: oracle.Truth, points: list[tuple[float, float]]) -> None:
    assert max(_found(loss, truth, points, np.float64)) < 3.8


@pytest.mark.usefixtures("path")
def test_worst_points_in_float32() -> None:
    points = [(0.4731846749782562, 2.9125726222991943)]
    assert max(_found(lm.BinaryCrossEntropy(), oracle.bce_logits, points, np.float32)) < 1.9


def test_the_measure_sees_one_unit() -> None:
    """The control: the next number in one of the two directions errs by more."""
    loss, truth, points = WORST[0]
    case = ElementwiseCase(loss, draw_real, truth, (), residuals())
    y, f = np.array(points).T.copy()
    for order, got in orders_of(loss, y, f).items():
        low, high = (worst_error(case, order, y, f, np.nextafter(got, end)).ulps for end in (-np.inf, np.inf))
        assert max(low, high) > worst_error(case, order, y, f, got).ulps + 0.5


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
