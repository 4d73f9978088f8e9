"""Values and gradients against textbook loops in 60 digits, and controls that a wrong gradient is caught."""

from __future__ import annotations

import numpy as np
import pytest

import lossmith as lm
from structured import obvious
from structured.cases import CASES, Case

VALUE, GRADIENT = 4e-15, 2e-14


def distance(found, true):
    """Largest error relative to the largest true number."""
    true = np.asarray(true, np.float64)
    return np.abs(np.asarray(found, np.float64) - true).max() / max(np.abs(true).max(), 1e-300)


def weights_of(case):
    return np.random.default_rng(1).integers(1, 4, case.count).astype(float)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("case", CASES, ids=lambda c: c.name)
def test_value_is_the_textbooks(case: Case, weighted):
    weight = weights_of(case) if weighted else None
    terms = case.terms(obvious.exact(case.f), weight)
    assert distance(case.loss(case.y, case.f, weight), obvious.mean(terms)) < VALUE
    assert distance(case.loss(case.y, case.f, weight, "sum"), obvious.total(terms)) < VALUE


@pytest.mark.parametrize("case", CASES, ids=lambda c: c.name)
def test_gradient_is_the_textbooks(case: Case):
    true = obvious.gradient(case.terms, case.f)
    assert distance(case.loss.gradient(case.y, case.f), true) < GRADIENT


@pytest.mark.parametrize("case", CASES[::4], ids=lambda c: c.name)
def test_weighted_gradient_is_the_textbooks(case: Case):
    weight = weights_of(case)
    true = obvious.gradient(lambda x: case.terms(x, weight), case.f)
    assert distance(case.loss.gradient(case.y, case.f, weight), true) < GRADIENT
    whole = obvious.gradient(lambda x: case.terms(x, weight), case.f, obvious.total)
    assert distance(case.loss.gradient(case.y, case.f, weight, "sum"), whole) < GRADIENT


@pytest.mark.parametrize("case", CASES[::6], ids=lambda c: c.name)
def test_the_check_rejects_a_wrong_gradient(case: Case):
    true = obvious.gradient(case.terms, case.f)
    right = case.loss.gradient(case.y, case.f)
    entry = np.unravel_index(np.abs(right).argmax(), right.shape)
    slightly = right.copy()
    slightly[entry] *= 1 + 1e-12
    for wrong in (slightly, -right, np.roll(right, 1, axis=-1), case.loss.gradient(case.y, case.f, None, "sum") * 0):
        assert distance(wrong, true) > GRADIENT


def test_the_check_rejects_a_neighbouring_loss():
    case = next(c for c in CASES if c.loss == lm.Triplet(distance="euclidean") and c.by_label)
    terms = case.terms(obvious.exact(case.f))
    for other in (lm.Triplet(), lm.Triplet(distance="euclidean", margin=0.2 + 1e-12), lm.Triplet(selection="hard")):
        assert distance(other(case.y, case.f), obvious.mean(terms)) > VALUE
