"""scikit-learn's own checks of estimators."""

from __future__ import annotations

from typing import Any

import pytest
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils.estimator_checks import parametrize_with_checks

import lossmith as lm

COLUMNS = "predict gives one column for each quantile; sparse features are tested in test_estimators_quantiles.py"
# Strengths at which L-BFGS reaches digits enough for the law of weights.
STRENGTHS = [0.1, 0.01]
ESTIMATORS = [
    lm.LossRegressor(),
    lm.LossRegressor("mae"),
    lm.LossRegressor("log_cosh", "elasticnet", 0.05),
    lm.LossRegressor("poisson", alpha=0.01),
    lm.LossClassifier(),
    lm.LossClassifier("hinge"),
    lm.LossClassifier("binary_focal", alpha=0.01),
    lm.LossClassifier("cross_entropy", alpha=0.01),
    lm.QuantileLossRegressor(),
    lm.LossRegressorCV(alphas=3, cv=3),
    lm.LossClassifierCV(alphas=STRENGTHS, cv=3),
]


def _expected(estimator: Any) -> dict[str, str]:
    if not isinstance(estimator, lm.QuantileLossRegressor):
        return {}
    checks = ("check_regressors_train", "check_estimator_sparse_array", "check_estimator_sparse_matrix")
    return dict.fromkeys(checks, COLUMNS)


@pytest.mark.filterwarnings(f"ignore::{ConvergenceWarning.__module__}.{ConvergenceWarning.__name__}")
@pytest.mark.filterwarnings("ignore:The least populated class:UserWarning")
@parametrize_with_checks(ESTIMATORS, expected_failed_checks=_expected)
def test_scikit_learn_checks(estimator: Any, check: Any) -> None:
    check(estimator)
