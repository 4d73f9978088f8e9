"""A run's record, small and made up, in the form of ``run.json``."""

from __future__ import annotations

import copy
from typing import Any

NASTY = "<script>alert(1)</script> \"quoted\" 'single' & $x$ \x00\x1b[31m ]]> --> </style></svg>"


def example() -> dict[str, Any]:
    """Return a fresh copy of a finished regression run."""
    return copy.deepcopy(_RUN)


def classes() -> dict[str, Any]:
    """Return a finished binary run."""
    run = example()
    run["task"] = run["facts"]["task"] = "binary"
    run["facts"] |= {"classes": ["no", "yes"], "class_counts": [70, 30], "shape": None, "residuals": None}
    run["facts"] |= {"imbalance_ratio": 2.3, "minority_share": 0.3}
    run["predictions"] |= {"actual": ["no", "yes"], "predicted": ["no", "no"], "probability": [0.2, 0.4]}
    run["predictions"]["row"] = [0, 1]
    run["calibration"]["kind"] = "probability"
    run["calibration"] |= {"predicted": [0.1, 0.8], "observed": [0.2, 0.7], "brier": 0.1, "reliability": 0.01}
    run["final"]["threshold"] = 0.4
    return run


def _score(label: str, learner: str, mean: float, behind: float, **more: Any) -> dict[str, Any]:
    return {
        "label": label,
        "config": {"loss": label, "params": {}},
        "learner": learner,
        "settings": {},
        "folds": [mean - 0.1, mean + 0.1],
        "mean": mean,
        "standard_error": 0.1,
        "train_mean": mean - 0.2,
        "behind": behind,
        "behind_error": 0.05 if behind else 0.0,
        "tied": behind <= 0.05,
        "reference": label == "mse",
        "elicits": "mean",
        "bias": 0.01,
    } | more


def _card(label: str, formula: str, gradient: str, **traits: Any) -> dict[str, Any]:
    return {
        "label": label,
        "config": {"loss": label, "params": {}},
        "formula": formula,
        "gradient": gradient,
        "traits": {"convex": True, "lipschitz": "inf", "kinks": [], "proper": False, "robust": "no"} | traits,
        "points": 300,
        "gradient_error": 1e-12,
        "hessian_error": None,
        "passed": True,
        "note": "",
    }


_CURVE = {
    "label": "huber",
    "learner": "boosted",
    "fold": 0,
    "iterations": [0, 1, 2, 3],
    "train": [4.0, 2.0, 1.0, 0.5],
    "valid": [4.1, 2.2, 1.4, None],
    "gradient_norm": [],
    "stopped": "early stopping",
}
_TRIAL = {
    "key": "k",
    "label": "huber",
    "config": {"loss": "huber", "params": {}},
    "learner": "boosted",
    "settings": {},
    "fold": 0,
    "score": 1.0,
    "train_score": 0.8,
    "seconds": 1.5,
    "failure": "",
    "reused": False,
}
_FINDING = {
    "id": "LM-OUTLIERS",
    "severity": "warning",
    "name": "outlier sensitivity",
    "seen": True,
    "evidence": "12% of the gradient comes from 1% of the rows",
    "cause": "few rows carry it",
    "remedy": "a robust loss",
    "could_not_run": "",
    "article": "",
}
_RUN: dict[str, Any] = {
    "schema": 1,
    "version": "9.8.7",
    "versions": {"python": "3.11", "numpy": "2.0"},
    "settings": {
        "path": "my data.csv",
        "target": "price",
        "task": "auto",
        "metric": "rmse",
        "budget_s": 60.0,
        "seed": 3,
        "jobs": 2,
    },
    "data": {"path": "my data.csv", "sha256": "ab" * 32, "rows": 100, "columns": ["a", "b"], "notes": []},
    "task": "regression",
    "metric": {"name": "rmse", "greater_is_better": False, "functional": "mean", "about": "root", "level": None},
    "facts": {
        "task": "regression",
        "task_reason": "the target is a number",
        "target": "price",
        "rows": 100,
        "shape": {"minimum": 1.0, "median": 2.0, "mean": 2.5, "maximum": 9.0, "skew": 1.2, "zero_share": 0.0},
        "residuals": {"r2": 0.9},
        "classes": [],
        "class_counts": [],
        "columns": [
            {"name": "a", "kind": "number", "missing": 0, "distinct": 90, "constant": False, "identifying": False},
            {"name": "b", "kind": "text", "missing": 3, "distinct": 4, "constant": False, "identifying": False},
        ],
        "missing_share": 0.015,
        "rows_with_missing": 3,
        "constant_columns": [],
        "leaks": [{"column": "a", "score": 0.999, "measure": "R2 of ranks"}],
        "checks": [{"name": "label noise", "ran": False, "note": "the target is a number"}],
        "warnings": ["column 'a' predicts the target nearly perfectly"],
    },
    "selection": {
        "metric": "rmse",
        "functional": "mean",
        "admissible": [
            {"label": "mse", "elicits": "mean", "reason": "r1", "risk": "k1", "source": "s1", "reference": True},
            {"label": "huber", "elicits": "", "reason": "r2", "risk": "k2", "source": "s2", "reference": False},
        ],
        "excluded": [{"loss": "bce", "reason": "for two classes"}],
    },
    "implementation": [
        _card("mse", r"\ell(y, f) = (f - y)^2", "2 (f - y)"),
        _card("huber", r"\tfrac12 r^2", r"\max(-\delta, \min(\delta, f - y))", lipschitz=1.0),
    ],
    "trials": [_TRIAL, _TRIAL | {"fold": 1, "failure": "it broke", "score": None, "reused": True}],
    "evaluation": {
        "scores": [_score("huber", "boosted", 1.0, 0.0), _score("mse", "boosted", 1.04, 0.04)],
        "best": 0,
        "chosen": 0,
        "reference": 1,
        "rule": "huber is best",
        "incomplete": ["mae, linear: not finished"],
        "folds": 2,
    },
    "findings": [
        _FINDING,
        _FINDING | {"id": "LM-OVERFIT", "name": "overfitting", "seen": False, "evidence": ""},
        _FINDING
        | {
            "id": "LM-IMBALANCE",
            "name": "class imbalance",
            "seen": None,
            "evidence": "",
            "could_not_run": "it is numeric",
        },
    ],
    "attempts": [
        {
            "remedy": "regularisation 10 times stronger",
            "because": "it was a default",
            "label": "huber",
            "learner": "boosted",
            "settings": {},
            "before": 1.0,
            "after": 0.9,
            "gain": 0.1,
            "gain_error": 0.03,
            "kept": True,
            "note": "kept",
        }
    ],
    "final": {
        "label": "huber",
        "config": {"loss": "huber", "params": {}},
        "learner": "boosted",
        "settings": {"regularisation": 10.0},
        "adjustment": {"kind": "scale", "by": 1.02},
        "threshold": None,
        "score": 0.9,
        "standard_error": 0.05,
        "reference_score": 1.04,
        "reference_error": 0.06,
        "rows": 100,
        "files": ["model.json"],
    },
    "calibration": {
        "kind": "mean",
        "predicted": [1.0, 2.0, 3.0],
        "observed": [1.1, 2.0, 2.8],
        "observed_error": [0.1, None, 0.1],
        "counts": [33, 33, 34],
        "expected_error": 0.1,
        "brier": None,
        "level": None,
    },
    "curves": [_CURVE, _CURVE | {"fold": 1}],
    "predictions": {"row": [0, 1, 2], "actual": [1.0, 2.0, 9.0], "predicted": [1.1, 2.2, 7.0], "probability": []},
    "budget": {"seconds": 60.0, "cut": False, "planned": 4, "finished": 4, "note": ""},
    "interrupted": False,
    "notes": ["predictions are adjusted after the model"],
    "timing": {"Training": 12.0, "total": 20.0},
}
