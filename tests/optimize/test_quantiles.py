"""Quantiles of groups against NumPy's."""

from __future__ import annotations

import numpy as np
import pytest

from lossmith.engine import jit
from lossmith.optimize import quantiles
from lossmith.optimize.quantiles import group_quantiles


def numbers(kind: str, n: int, count: int):
    rng = np.random.default_rng(3)
    place, score = rng.standard_normal((2, n))
    groups = rng.integers(0, count, n)
    if kind == "ties":
        place, score = np.round(place), np.round(score)
    if kind == "one group":
        groups = np.zeros(n, int)
    if kind == "sorted, uneven":
        groups = (rng.exponential(count / 8, n)).astype(int) % count
        place, score = np.sort(place), np.zeros(n)
    return groups.astype(np.int32), place, score


def true(groups, place, score, level, count):
    own = [(place - score)[groups == g] for g in range(count)]
    return [np.quantile(x, level) if x.size else 0.0 for x in own]


@pytest.mark.parametrize("kind", ["usual", "ties", "one group", "sorted, uneven"])
@pytest.mark.parametrize(("n", "count"), [(1, 1), (100, 7), (40_000, 31), (40_000, 3000)])
def test_they_are_numpys(n, count, kind):
    given = numbers(kind, n, count)
    for level in (0.0, 1e-4, 0.1, 0.5, 0.9, 1.0):
        found = group_quantiles(*given, level, count + 1)
        np.testing.assert_allclose(found, true(*given, level, count + 1), rtol=1e-13, atol=1e-15)


@pytest.mark.skipif(not jit.available(), reason="numba compiles nothing here")
def test_brackets_that_miss_are_repaired(monkeypatch):
    """The sample sees every thirtieth row only: here those are all large, or far above all others."""
    given = numbers("usual", 60_000, 5)
    for shift in (2.0, 1e6, -1e6):
        place = given[1].copy()
        place[::30] += shift
        found = group_quantiles(given[0], place, given[2], 0.5, 5)
        np.testing.assert_allclose(found, true(given[0], place, given[2], 0.5, 5), rtol=1e-13)
    calls = []
    work = quantiles._sift_and_pick
    monkeypatch.setattr(quantiles, "_sift_and_pick", lambda *a: calls.append(work(*a)))
    group_quantiles(given[0], place, given[2], 0.5, 5)
    assert len(calls) == 2, "the first guess was wrong"
