"""From scores to probabilities: what a loss elicits, inverted."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import expit

import lossmith as lm
from lossmith.optimize import best_constant
from lossmith.workflow.learners import LinearLearner
from lossmith.workflow.links import link_for

BIT, CLASS = np.arange(30) % 2, np.arange(30) % 3


@pytest.mark.parametrize(
    "loss", [lm.BinaryCrossEntropy(), lm.BinaryFocal(gamma=2.0), lm.BinaryFocal(gamma=0.5, alpha=0.25)], ids=repr
)
def test_binary_probability_inverts_the_expected_loss(loss) -> None:
    for p in (0.02, 0.3, 0.5, 0.9):
        score = best_constant(loss, np.array([0.0, 1.0]), np.array([1.0 - p, p]))
        assert link_for(loss, BIT).decode(np.array([score]))[0, 1] == pytest.approx(p, rel=1e-5)


@pytest.mark.parametrize(
    "loss",
    [
        lm.CategoricalCrossEntropy(),
        lm.CategoricalCrossEntropy(class_weights=(1.0, 2.0, 5.0)),
        lm.CategoricalFocal(gamma=2.0),
        lm.CategoricalFocal(gamma=1.0, alpha=(1.0, 0.5, 3.0)),
    ],
    ids=repr,
)
def test_row_probability_inverts_the_expected_loss(loss) -> None:
    p = np.array([0.5, 0.45, 0.05])
    scores = best_constant(loss, np.arange(3), p)
    np.testing.assert_allclose(link_for(loss, CLASS).decode(scores[None])[0], p, rtol=1e-4)


def test_focal_sigmoid_is_no_probability() -> None:
    """The map matters: the plain sigmoid of a focal score is far from the probability."""
    score = best_constant(lm.BinaryFocal(gamma=2.0), np.array([0.0, 1.0]), np.array([0.1, 0.9]))
    assert abs(expit(score) - 0.9) > 0.1


@pytest.mark.parametrize("loss", [lm.CategoricalCrossEntropy(), lm.CategoricalFocal(gamma=2.0)], ids=repr)
def test_extreme_scores_give_probabilities(loss) -> None:
    rows = link_for(loss, CLASS).decode(np.array([[1e4, 0.0, -1e4], [0.0, 0.0, 0.0], [-800.0, 0.0, 5.0]]))
    assert np.isfinite(rows).all()
    np.testing.assert_allclose(rows.sum(axis=1), 1.0)
    assert rows[0, 0] == pytest.approx(1.0)
    np.testing.assert_allclose(rows[1], 1 / 3)
    binary = link_for(lm.BinaryFocal(), BIT).decode(np.array([1e4, -1e4, 0.0]))
    np.testing.assert_allclose(binary[:, 1], [1.0, 0.0, 0.5], atol=1e-30)


@pytest.mark.parametrize(
    "loss", [lm.BinaryCrossEntropy(inputs="probabilities"), lm.PoissonNLL(inputs="rate"), lm.KLDivergence()]
)
def test_losses_without_raw_scores_are_refused(loss) -> None:
    with pytest.raises(ValueError, match="cannot train"):
        LinearLearner(loss).fit(np.ones((BIT.size, 1)), BIT)
