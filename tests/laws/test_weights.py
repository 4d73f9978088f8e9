"""What a sample weight means: unit weights are none, an integer is repetition, zero is deletion."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import lossmith as lm
from catalogue import CASES, ROWS, Case, ElementwiseCase

# Losses of pairs, sequences and masks have laws of their own.
SAMPLES = tuple(case for case in CASES if case.loss.tier in ("elementwise", "row-wise", "composed"))
every = pytest.mark.parametrize("case", SAMPLES, ids=[f"{c.id}-{c.draw.__name__}" for c in SAMPLES])
Call = Callable[..., Any]


def _close(got: Any, want: Any, label: str) -> None:
    np.testing.assert_allclose(got, want, rtol=1e-12, atol=1e-13, err_msg=label)


def check_unit(loss: Call, y: Any, f: Any) -> None:
    for reduction in ("mean", "sum", "none"):
        plain = loss(y, f, reduction=reduction)
        _close(loss(y, f, np.ones(len(y)), reduction), plain, f"unit weights, {reduction}")


def check_repetition(loss: Call, y: Any, f: Any) -> None:
    times = np.arange(len(y)) % 4
    for reduction in ("mean", "sum"):
        repeated = loss(np.repeat(y, times, 0), np.repeat(f, times, 0), reduction=reduction)
        _close(loss(y, f, times.astype(float), reduction), repeated, f"repetition, {reduction}")


def check_deletion(loss: Call, y: Any, f: Any, bad: float) -> None:
    """A sample of weight 0 may hold NaN, infinity or anything, and counts nowhere."""
    weight = np.array([1.0, 0.0] * (len(y) // 2))
    y, f = y[: len(weight)].copy(), f[: len(weight)].copy()
    keep = weight > 0
    wanted = {reduction: loss(y[keep], f[keep], reduction=reduction) for reduction in ("mean", "sum")}
    f[~keep] = bad
    if y.dtype.kind == "f":
        y[~keep] = bad
    for reduction, want in wanted.items():
        _close(loss(y, f, weight, reduction), want, f"weight 0 against {bad}, {reduction}")
    values = loss(y, f, weight, "none")
    _close(values[~keep], np.zeros_like(values[~keep]), f"weight 0 against {bad}, per sample")


def check_scale(loss: Call, y: Any, f: Any) -> None:
    """The mean does not change when all weights are multiplied; the sum does."""
    weight = np.random.default_rng(7).uniform(0.1, 2, len(y))
    _close(loss(y, f, 1000 * weight), loss(y, f, weight), "mean under a common factor")
    _close(loss(y, f, 1000 * weight, "sum"), 1000 * loss(y, f, weight, "sum"), "sum under a common factor")


@every
def test_unit_weights_are_none(case: Case) -> None:
    check_unit(case.loss, *case.sample(11))


@every
def test_integer_weight_is_repetition(case: Case) -> None:
    check_repetition(case.loss, *case.sample(13))


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, -7.5])
@every
def test_weight_zero_is_deletion(case: Case, bad: float) -> None:
    check_deletion(case.loss, *case.sample(12), bad)


@every
def test_mean_is_the_weighted_mean(case: Case) -> None:
    y, f = case.sample(10)
    check_scale(case.loss, y, f)
    if getattr(case.loss, "class_weights", None) or getattr(case.loss, "alpha", None):
        return
    weight = np.random.default_rng(1).uniform(0, 3, 10)
    values = case.loss(y, f, reduction="none")
    _close(case.loss(y, f, weight), (weight * values).sum() / weight.sum(), "sum(w l) / sum(w)")
    _close(case.loss(y, f, weight, "sum"), (weight * values).sum(), "sum(w l)")


@every
def test_all_weights_zero_cost_nothing(case: Case) -> None:
    y, f = case.sample(4)
    assert case.loss(y, f, np.zeros(4)) == 0
    assert case.loss(y, f, np.zeros(4), "sum") == 0


@pytest.mark.parametrize("case", [c for c in CASES if isinstance(c, ElementwiseCase)], ids=lambda c: c.id)
def test_weights_of_samples_weigh_their_columns(case: Case) -> None:
    """(n,) weights against (n, 3) values weigh whole samples."""
    y, f = (a.reshape(8, 3) for a in case.sample(24))
    weight = np.random.default_rng(2).uniform(0, 1, 8)
    full = np.repeat(weight[:, None], 3, 1)
    _close(case.loss(y, f, weight), case.loss(y, f, full), "sample weights")


def test_class_weights_divide_labels_and_rows_alike() -> None:
    """The mean divides by the sum of the targets' weights for labels and for the same one-hot rows."""
    for case in ROWS:
        if not (getattr(case.loss, "class_weights", None) and case.draw.__name__ == "draw_labels"):
            continue
        labels, f = case.sample(9)
        assert case.loss(labels, f) == pytest.approx(float(case.loss(np.eye(3)[labels], f)), rel=1e-14)
    plain = lm.CategoricalCrossEntropy(class_weights=(1.0, 3.0))
    z = np.array([[2.0, 0.0], [1.0, 0.5]])
    values = lm.CategoricalCrossEntropy()([0, 1], z, reduction="none")
    assert float(plain([0, 1], z)) == pytest.approx(float(values @ [1, 3]) / 4)


def test_ignored_labels_count_nowhere() -> None:
    loss = lm.CategoricalCrossEntropy(ignore_index=-100)
    z = np.random.default_rng(0).normal(size=(4, 3))
    assert float(loss([0, -100, 2, -100], z)) == pytest.approx(float(loss([0, 2], z[[0, 2]])))
    np.testing.assert_array_equal(loss.gradient([0, -100, 2, -100], z)[[1, 3]], 0)
    assert float(loss([-100, -100], z[:2])) == 0


# --- negative controls --------------------------------------------------------------------------------


def _forgets_the_mass(y: Any, f: Any, w: Any = None, reduction: str = "mean") -> Any:
    """Keras' sum_over_batch_size: divides by n whatever the weights."""
    values = (f - y) ** 2 * (1.0 if w is None else w)
    return values.mean() if reduction == "mean" else values.sum() if reduction == "sum" else values


def _multiplies_nan(y: Any, f: Any, w: Any = None, reduction: str = "mean") -> Any:
    w = np.ones(len(y)) if w is None else w
    values = (f - y) ** 2 * w
    return values.sum() / w.sum() if reduction == "mean" else values.sum() if reduction == "sum" else values


def _squares_weights(y: Any, f: Any, w: Any = None, reduction: str = "mean") -> Any:
    return _multiplies_nan(y, f, None if w is None else 1.5 * w**2, reduction)


def test_checkers_refuse_wrong_weighting() -> None:
    y, f = SAMPLES[0].sample(12)
    with pytest.raises(AssertionError):
        check_repetition(_forgets_the_mass, y, f)
    with pytest.raises(AssertionError):
        check_scale(_forgets_the_mass, y, f)
    with pytest.raises(AssertionError):
        check_deletion(_multiplies_nan, y, f, np.nan)
    with pytest.raises(AssertionError):
        check_repetition(_squares_weights, y, f)
    with pytest.raises(AssertionError):
        check_unit(_squares_weights, y, f)
