"""The check of derivatives on given data passes right losses, finds wrong ones, and is honest about kinks."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import catalogue
import lossmith as lm
from lossmith.core.elementwise import Elementwise
from lossmith.core.traits import About, Traits
from lossmith.core.verify import check_derivatives

_RNG = np.random.default_rng(7)
_LABELS = np.repeat(np.arange(4), 3)
STRUCTURED = (
    (lm.get("dice", inputs="probabilities"), (_RNG.random((4, 6)) < 0.4) * 1.0, _RNG.random((4, 6))),
    (lm.get("dice", inputs="logits"), (_RNG.random((4, 6)) < 0.4) * 1.0, _RNG.normal(size=(4, 6))),
    (lm.get("triplet"), _LABELS, _RNG.normal(size=(12, 4))),
    (lm.get("contrastive"), _LABELS, _RNG.normal(size=(12, 4))),
    (lm.get("ctc"), np.array([[1, 2], [3, 1]]), _RNG.normal(size=(2, 6, 5))),
)


class _Huber(Elementwise):
    """Base of Huber's loss with one mistake each; delta is 1."""

    claims = Traits("regression")
    about = About("", "", "", "", "", "")

    @staticmethod
    def value(y: Any, f: Any) -> Any:
        return np.where(np.abs(f - y) <= 1, 0.5 * (f - y) ** 2, np.abs(f - y) - 0.5)

    @staticmethod
    def slope(y: Any, f: Any) -> Any:
        return np.clip(f - y, -1, 1)

    @staticmethod
    def curvature(y: Any, f: Any) -> Any:
        return np.where(np.abs(f - y) <= 1, 1.0, 0.0)


class Turned(_Huber):
    @staticmethod
    def slope(y: Any, f: Any) -> Any:
        return np.clip(y - f, -1, 1)


class TooSteep(_Huber):
    """One part in ten thousand, on one side only."""

    @staticmethod
    def slope(y: Any, f: Any) -> Any:
        return np.clip(f - y, -1, 1.0001)


class Surrogate(_Huber):
    """1 called a Hessian."""

    @staticmethod
    def curvature(y: Any, f: Any) -> Any:
        return np.ones_like(f)


class WrongAtOnePoint(_Huber):
    @staticmethod
    def slope(y: Any, f: Any) -> Any:
        return np.where(f == 0.25, 0.2500025, np.clip(f - y, -1, 1))


class NotANumber(_Huber):
    @staticmethod
    def slope(y: Any, f: Any) -> Any:
        return np.where(f > 40, np.nan, np.clip(f - y, -1, 1))


class Subgradient(_Huber):
    """|r| with the impossible subgradient 1.5 at its kink."""

    @staticmethod
    def value(y: Any, f: Any) -> Any:
        return np.abs(f - y)

    @staticmethod
    def slope(y: Any, f: Any) -> Any:
        return np.where(f == y, 1.5, np.sign(f - y))

    @staticmethod
    def curvature(y: Any, f: Any) -> Any:
        return 0.0 * f


class WrongRows(lm.CategoricalCrossEntropy):
    """Softmax cross-entropy whose gradient forgets the target in the last column."""

    def gradient(self, y_true: Any, y_pred: Any) -> Any:
        found = super().gradient(y_true, y_pred).copy()
        found[:, -1] = np.abs(found[:, -1])
        return found


class WrongProduct(lm.CategoricalCrossEntropy):
    def hessian_vector_product(self, y_true: Any, y_pred: Any, vector: Any) -> Any:
        return 1.01 * super().hessian_vector_product(y_true, y_pred, vector)


RESIDUALS = np.r_[np.linspace(-3, 3, 49), 50.0, -1e5, 1e-7]


def _residuals(loss: Any) -> dict[str, Any]:
    return {v.trait: v for v in check_derivatives(loss, 0.0 * RESIDUALS, RESIDUALS)}


@pytest.mark.parametrize("case", catalogue.CASES, ids=lambda case: case.id)
def test_right_derivatives_pass(case: catalogue.Case) -> None:
    slow = getattr(case, "differences", False) or case.loss.tier == "structured"
    n = 6 if slow else 300
    verdicts = check_derivatives(case.loss, *case.sample(n, seed=3))
    assert [v.trait for v in verdicts] == ["gradient", "hessian"]
    assert all(v.held for v in verdicts), verdicts
    assert verdicts[0].checked
    assert verdicts[0].error < 1e-4, verdicts[0].evidence


@pytest.mark.parametrize("case", catalogue.ELEMENTWISE, ids=lambda case: case.id)
def test_hard_points_raise_no_false_alarm(case: catalogue.ElementwiseCase) -> None:
    """Subnormal values, one ulp beside a kink, 1e4 away: undecided perhaps, wrong never."""
    y, f = case.points(np.float64)
    for start in range(0, f.size, 2000):
        verdicts = check_derivatives(case.loss, y[start : start + 2000], f[start : start + 2000])
        assert all(v.held for v in verdicts), verdicts


@pytest.mark.parametrize(("loss", "y", "f"), STRUCTURED, ids=lambda value: getattr(value, "name", ""))
def test_right_gradients_of_structured_losses_pass(loss: Any, y: Any, f: Any) -> None:
    gradient, hessian = check_derivatives(loss, y, f)
    assert gradient.checked
    assert gradient.held, gradient.evidence
    assert not hessian.checked


@pytest.mark.parametrize(
    ("loss", "wrong"),
    [(Turned(), "gradient"), (TooSteep(), "gradient"), (WrongAtOnePoint(), "gradient"), (NotANumber(), "gradient"),
     (Subgradient(), "gradient"), (Surrogate(), "hessian")],
    ids=lambda value: type(value).__name__ if isinstance(value, Elementwise) else "",
)  # fmt: skip
def test_wrong_derivatives_are_found(loss: Any, wrong: str) -> None:
    assert all(v.held for v in _residuals(_Huber()).values())
    verdict = _residuals(loss)[wrong]
    assert not verdict.held, verdict.evidence
    assert "wrong" in verdict.evidence


def test_the_place_of_a_wrong_number_is_named() -> None:
    assert "y=0, f=0.25;" in _residuals(WrongAtOnePoint())["gradient"].evidence


def test_wrong_rows_are_found() -> None:
    y, f = catalogue.draw_labels(np.random.default_rng(0), 50)
    assert not check_derivatives(WrongRows(), y, f)[0].held
    assert not check_derivatives(WrongProduct(), y, f)[1].held


def test_a_wrong_structured_gradient_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    loss, y, f = STRUCTURED[0]
    kind = type(loss)
    right = kind.gradient
    monkeypatch.setattr(kind, "gradient", lambda self, *arguments: -right(self, *arguments))
    assert not check_derivatives(loss, y, f)[0].held


@pytest.mark.parametrize("side", [-1.0, 1.0])
def test_huber_has_no_second_derivative_at_either_bend(side: float) -> None:
    """A well-known library says that it has one at -delta."""
    gradient, hessian = check_derivatives(lm.Huber(), [0.0], [side])
    assert gradient.held
    assert not hessian.checked


def test_kinks_are_counted_not_compared() -> None:
    gradient, _ = check_derivatives(lm.Quantile(q=0.9), [0.0, 1.0, 2.0], [0.0, 3.0, 2.0])
    assert gradient.held
    assert "1 samples decided, 2 on a kink" in gradient.evidence


def test_small_features_are_not_stepped_over() -> None:
    """Differences with a wide step see a flat function where Tukey's loss has its whole dent."""
    r = np.linspace(-0.004, 0.004, 41)
    verdicts = check_derivatives(lm.Tukey(c=0.003), 5.0 + 0 * r, 5.0 + r)
    assert all(v.held and v.checked for v in verdicts), verdicts


def test_borders_of_the_domain_are_left_alone() -> None:
    loss = lm.BinaryCrossEntropy(inputs="probabilities")
    gradient, hessian = check_derivatives(loss, [1.0, 0.0, 1.0], [1.0, 0.0, 0.5])
    assert gradient.held
    assert hessian.held
    assert "1 samples decided, 2 undecided" in gradient.evidence


def test_many_samples_are_thinned() -> None:
    y = np.zeros(100_000)
    gradient, _ = check_derivatives(lm.LogCosh(), y, np.linspace(-5, 5, y.size))
    assert "2000 samples decided" in gradient.evidence
