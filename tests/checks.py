"""What the laws demand, as functions, so that a deliberately wrong loss can be put to them too."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

import oracle

ULPS = {"float64": 4.0, "float32": 2.0}


@dataclasses.dataclass(frozen=True)
class Worst:
    """The largest error found, in ulp, and where."""

    ulps: float
    y: float
    f: float
    got: float
    want: float
    count: int

    def __str__(self) -> str:
        return f"{self.ulps:.3g} ulp at y={self.y!r} f={self.f!r}: got {self.got!r}, want {self.want!r}"


def orders_of(loss: Any, y: Any, f: Any) -> dict[str, Any]:
    """Value, gradient and Hessian of a loss by their names."""
    return dict(zip(oracle.ORDERS, loss.value_gradient_hessian(y, f), strict=True))


def worst_error(case: Any, order: str, y: Any, f: Any, got: Any) -> Worst:
    """Compare computed numbers with the oracle and return the largest error."""
    dtype, parameters = f.dtype.type, case.loss.parameters
    worst = Worst(-1.0, 0.0, 0.0, 0.0, 0.0, 0)
    for one_y, one_f, number in zip(y.tolist(), f.tolist(), got.tolist(), strict=True):
        arguments = (one_y, one_f, *parameters)
        want = oracle.true_number(case.truth, order, *arguments)
        ulps = oracle.error_in_ulp(number, want, dtype, oracle.true_term(case.truth, order, *arguments))
        if ulps > worst.ulps:
            worst = Worst(ulps, one_y, one_f, number, float(want), 0)
    return dataclasses.replace(worst, count=len(f))


def check_precision(case: Any, dtype: Any) -> dict[str, Worst]:
    """Demand a few ulp at every point of the case for value, gradient and Hessian."""
    y, f = case.points(dtype)
    found = {}
    for order, got in orders_of(case.loss, y, f).items():
        found[order] = worst = worst_error(case, order, y, f, got)
        assert worst.ulps <= ULPS[np.dtype(dtype).name], f"{case.id} {order} {np.dtype(dtype).name}: {worst}"
    return found


def check_limits(case: Any, dtype: Any) -> None:
    """Demand the declared limits at plus and minus infinity, and no NaN."""
    domain, parameters = case.loss.prediction_domain, case.loss.parameters
    for y in np.asarray(case.targets, dtype):
        for sign in (1.0, -1.0):
            f = np.array([sign * np.inf], dtype)
            if not domain.contains(f).all():
                continue
            want = np.array(case.truth.limits(float(y), sign, *parameters))
            got = np.concatenate(case.loss.value_gradient_hessian(y[None], f))
            np.testing.assert_allclose(got, want, rtol=4 * np.finfo(dtype).eps, err_msg=f"{case.id} y={y} f={f[0]}")


def check_no_nan(case: Any, dtype: Any) -> None:
    """Demand that numbers in give numbers out, and that NaN predictions give NaN values."""
    y, f = case.points(dtype)
    for order, got in orders_of(case.loss, y, f).items():
        where = np.flatnonzero(np.isnan(got))
        assert where.size == 0, f"{case.id} {order} is NaN at y={y[where[0]]} f={f[where[0]]}"
    value, gradient, _ = case.loss.value_gradient_hessian(y[[y.argmax()]], np.full(1, np.nan, dtype))
    assert np.isnan(value).all(), f"{case.id}: NaN in, {value} out"
    assert np.isnan(gradient).all(), f"{case.id}: NaN in, gradient {gradient} out"
