"""Formulas with NumPy's own functions behind their words give the numbers of the words."""

from __future__ import annotations

import numpy as np
import pytest

from catalogue import ELEMENTWISE, Case
from lossmith import ops
from lossmith.engine import direct
from lossmith.ops import positive_part, word


@pytest.mark.parametrize("case", ELEMENTWISE, ids=lambda case: case.id)
@pytest.mark.parametrize("order", ["value", "slope", "curvature"])
def test_the_same_numbers(case: Case, order: str) -> None:
    y, f = case.points(np.float64)
    text = getattr(case.loss.form, order)
    with np.errstate(all="ignore"):
        want = np.asarray(text(y, f, *case.loss.parameters))
        got = np.asarray(direct.direct(text)(y, f, *case.loss.parameters))
    np.testing.assert_array_equal(got, want)


def test_no_library_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also inside words that are made of words; words through their module keep asking."""

    @word
    def bent(x):
        return positive_part(x) + 1.0

    def formula(y, f):
        return bent(f) - y

    def by_module(y, f):
        return ops.exp(f)

    quick = direct.direct(formula)
    slow = direct.direct(by_module)

    def refuse(*values):
        raise AssertionError("asked")

    monkeypatch.setattr("lossmith.ops.elementwise.namespace", refuse)
    assert quick(np.array([1.0]), np.array([2.0])).tolist() == [2.0]
    for asking in (formula, slow):
        with pytest.raises(AssertionError, match="asked"):
            asking(np.array([1.0]), np.array([2.0]))


def test_a_wrong_meaning_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    def formula(y, f):
        return positive_part(f)

    monkeypatch.setitem(direct._MEANING, positive_part, lambda x: np.maximum(x, 1e-3))
    y = f = np.array([-1.0, 2.0])
    assert not np.array_equal(direct.direct(formula)(y, f), formula(y, f))


def test_weight_zero_hides_infinity_only_where_there_is_some() -> None:
    """Both ways of multiplying give the numbers of the word; one that forgets infinity does not."""
    weight = np.array([0.0, 2.0, 0.0])
    for x in (np.array([1.0, -3.0, -2.0]), np.array([np.inf, -np.inf, np.nan]), np.ones((1, 3)), np.float64(3.0)):
        np.testing.assert_array_equal(direct._MEANING[ops.times](weight, x), ops.times(weight, x))
    with np.errstate(all="ignore"):
        assert not np.array_equal(weight * np.array([np.inf, 1.0, 1.0]), [0.0, 2.0, 0.0])
