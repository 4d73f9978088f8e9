"""best_constant and piecewise_minimum against brute force."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize

import lossmith as lm
from lossmith.optimize import best_constant, constant, piecewise, smoothing
from lossmith.optimize.piecewise import piecewise_minimum
from lossmith.optimize.smoothing import kinks

RNG = np.random.default_rng(7)
N = 201
REAL = np.concatenate([RNG.standard_t(2, N - 6) * 2 + 1, [40.0, 41, 42, -60, 43, 44]])
SIGN = np.where(RNG.random(N) < 0.3, 1.0, -1.0)
BIT = (SIGN > 0) * 1.0
COUNT = RNG.poisson(2.5, N).astype(float)
WEIGHT = RNG.integers(0, 4, N).astype(float)
CASES = [
    (lm.MeanSquaredError(), REAL),
    (lm.MeanAbsoluteError(), REAL),
    (lm.Quantile(q=0.9), REAL),
    (lm.Quantile(q=0.05), REAL),
    (lm.Huber(delta=1.345), REAL),
    (lm.LogCosh(), REAL),
    (lm.Tukey(), REAL),
    (lm.BinaryCrossEntropy(), BIT),
    (lm.BinaryFocal(gamma=2.0), BIT),
    (lm.BinaryFocal(gamma=2.0, alpha=0.25), BIT),
    (lm.Hinge(), SIGN),
    (lm.SquaredHinge(), SIGN),
    (lm.PoissonNLL(), COUNT),
]


@pytest.mark.parametrize(("loss", "y"), CASES, ids=lambda case: repr(case) if isinstance(case, lm.Huber) else None)
@pytest.mark.parametrize("weight", [None, WEIGHT], ids=["unweighted", "weighted"])
def test_no_other_constant_is_better(loss, y, weight) -> None:
    def total(c: float) -> float:
        return float(loss(y, np.full_like(y, c), weight))

    found = best_constant(loss, y, weight)
    grid = np.concatenate([np.linspace(y.min() - 1, y.max() + 1, 801), np.linspace(-6, 6, 801), y])
    brute = min(total(c) for c in grid)
    assert total(found) <= brute + 1e-12
    assert total(found + 0.3) > total(found) or total(found - 0.3) > total(found)


def test_elicited_functionals() -> None:
    w = np.ones(N)
    assert best_constant(lm.MeanSquaredError(), REAL) == pytest.approx(REAL.mean())
    assert best_constant(lm.MeanAbsoluteError(), REAL) == np.median(REAL)
    assert best_constant(lm.Quantile(q=0.9), REAL, w) == np.sort(REAL)[int(np.ceil(0.9 * N)) - 1]
    p = BIT.mean()
    assert best_constant(lm.BinaryCrossEntropy(), BIT) == pytest.approx(np.log(p / (1 - p)), abs=1e-10)
    assert best_constant(lm.PoissonNLL(), COUNT) == pytest.approx(np.log(COUNT.mean()), abs=1e-10)


def test_middle_of_an_interval_of_medians() -> None:
    assert best_constant(lm.MeanAbsoluteError(), [0.0, 1.0, 3.0, 9.0]) == 2.0


@pytest.mark.parametrize("loss", [lm.CategoricalCrossEntropy(), lm.CategoricalFocal(gamma=1.5)])
def test_rows(loss) -> None:
    y = RNG.integers(0, 3, 300) // 1
    y[:120] = 1
    found = best_constant(loss, y, outputs=3)
    assert np.logaddexp.reduce(found) == pytest.approx(0.0, abs=1e-12)

    def total(c):
        return float(loss(y, np.tile(c, (y.size, 1))))

    brute = minimize(total, np.zeros(3), method="Nelder-Mead", options={"xatol": 1e-10, "fatol": 1e-14}).fun
    assert total(found) <= brute + 1e-10
    if isinstance(loss, lm.CategoricalCrossEntropy):
        np.testing.assert_allclose(np.exp(found), np.bincount(y) / y.size, rtol=1e-8)


@pytest.mark.parametrize(
    ("loss", "y"),
    [
        (lm.BinaryCrossEntropy(), np.ones(10)),
        (lm.BinaryCrossEntropy(), np.zeros(10)),
        (lm.PoissonNLL(), np.zeros(10)),
        (lm.BinaryFocal(), np.ones(10)),
        (lm.Hinge(), np.ones(10)),
    ],
)
def test_one_kind_only_stays_finite_and_points_the_right_way(loss, y) -> None:
    found = best_constant(loss, y)
    assert np.isfinite(found)
    assert abs(found) < 10
    assert (found > 0) == (y[0] == 1)


def test_a_class_that_is_absent_gets_a_finite_score() -> None:
    found = best_constant(lm.CategoricalCrossEntropy(), np.array([0, 0, 2, 2]), outputs=4)
    assert np.isfinite(found).all()
    assert found[1] == found[3] < found[0]


def test_two_wells_of_a_redescending_loss() -> None:
    y = np.concatenate([np.full(30, -50.0), np.full(31, 50.0)]) + RNG.normal(0, 0.5, 61)
    assert best_constant(lm.Tukey(), y) == pytest.approx(50.0, abs=0.5)


def test_bad_arguments() -> None:
    with pytest.raises(ValueError, match="weight"):
        best_constant(lm.Huber(), [1.0, 2.0], [0.0, 0.0])


@pytest.mark.parametrize("loss", [lm.MeanAbsoluteError(), lm.Quantile(q=0.8), lm.Hinge()])
def test_leaf_values_against_brute_force(loss) -> None:
    y = SIGN if isinstance(loss, lm.Hinge) else REAL
    score = RNG.normal(size=N)
    groups = RNG.integers(0, 7, N)
    groups[groups == 5] = 4
    weight = RNG.integers(1, 4, N).astype(float)
    (kink,) = kinks(loss, y)
    moved = type(kink)(kink.place - score, kink.left, kink.jump)
    found = piecewise_minimum(groups, moved, weight, 8)
    assert found[5] == found[7] == 0.0
    for g in np.unique(groups):
        own = groups == g

        def total(c: float, own=own) -> float:
            return float(loss(y[own], score[own] + c, weight[own]))

        assert total(found[g]) <= min(total(c) for c in np.linspace(-60, 60, 1201)) + 1e-12


def test_a_leaf_of_one_class_moves_only_to_the_margin() -> None:
    y, score = np.ones(3), np.array([0.0, 0.5, 2.0])
    (kink,) = kinks(lm.Hinge(), y)
    moved = type(kink)(kink.place - score, kink.left, kink.jump)
    assert piecewise_minimum(np.zeros(3, int), moved, np.ones(3), 1).tolist() == [1.0]


@pytest.mark.parametrize("q", [0.5, 0.9, 0.003])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("digits", [12, 0], ids=["distinct", "ties"])
@pytest.mark.parametrize("count", [1, 40, 3000])
def test_narrowing_gives_what_sorting_gives(q, weighted, digits, count) -> None:
    """Many functions are not all sorted; with and without ties, in groups of very unequal size."""
    rng = np.random.default_rng(3)
    n = piecewise.NARROW_FROM + 1001
    groups = np.minimum(rng.zipf(1.3, n) - 1, count - 1)
    place = np.round(rng.standard_t(2, n) + 0.01 * groups, digits)
    weight = rng.integers(0, 5, n).astype(float) if weighted else np.ones(n)
    kink = smoothing.Kink(place, np.full(n, -q), np.ones(n))
    totals = piecewise._Totals.of(groups, weight * kink.left, weight * kink.jump, count)
    expected = piecewise._by_sorting(groups, place, weight * kink.jump, totals)[0]
    np.testing.assert_array_equal(piecewise_minimum(groups, kink, weight, count), expected)


def test_a_bracket_that_missed_is_repaired(monkeypatch) -> None:
    n = piecewise.NARROW_FROM
    kink = smoothing.Kink(RNG.normal(size=n), np.full(n, -0.7), np.ones(n))
    monkeypatch.setattr(piecewise, "_brackets", lambda *arguments: (np.array([2.0]), np.array([3.0])))
    found = piecewise_minimum(np.zeros(n, int), kink, np.ones(n), 1)
    assert found[0] == np.sort(kink.place)[int(np.ceil(0.7 * n)) - 1]
    monkeypatch.setattr(piecewise, "_by_sorting", lambda *a: (np.array([2.5]), np.array([2.1]), np.array([2.9])))
    assert piecewise_minimum(np.zeros(n, int), kink, np.ones(n), 1)[0] == 2.5  # control: nothing else repairs it


@pytest.mark.parametrize(
    ("loss", "draw"),
    [
        (lm.Huber(delta=0.7), lambda rng, n: rng.standard_t(2, n)),
        (lm.BinaryCrossEntropy(), lambda rng, n: (rng.random(n) < 0.01) * 1.0),
        (lm.PoissonNLL(), lambda rng, n: rng.poisson(0.01, n).astype(float)),
        (lm.PoissonNLL(), lambda rng, n: np.sort(rng.poisson(300, n)).astype(float)),
        (lm.SquaredHinge(), lambda rng, n: np.sign(rng.random(n) - 0.7)),
    ],
)
def test_many_samples_have_the_same_constant_as_their_distinct_values(loss, draw, monkeypatch) -> None:
    y = draw(np.random.default_rng(0), 40_001)
    quick = best_constant(loss, y)
    monkeypatch.setattr(constant, "_FEW", 10**9)
    assert quick == pytest.approx(best_constant(loss, y), rel=1e-11, abs=1e-11)
