"""scikit-learn's own checks of the network estimators."""

from __future__ import annotations

from typing import Any

import pytest
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils.estimator_checks import parametrize_with_checks

import lossmith as lm

ESTIMATORS = [
    lm.LossMLPRegressor(hidden_layer_sizes=(16,), learning_rate=0.02, max_epochs=150),
    lm.LossMLPRegressor("huber", (16,), "tanh", learning_rate=0.02, max_epochs=60),
    lm.LossMLPClassifier(hidden_layer_sizes=(16,), learning_rate=0.02, max_epochs=100),
    lm.LossMLPClassifier("hinge", (16,), "tanh", solver="momentum", learning_rate=0.1, max_epochs=60),
]


@pytest.mark.filterwarnings(f"ignore::{ConvergenceWarning.__module__}.{ConvergenceWarning.__name__}")
@parametrize_with_checks(ESTIMATORS)
def test_scikit_learn_checks(estimator: Any, check: Any) -> None:
    check(estimator)
