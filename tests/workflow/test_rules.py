"""Selection: the whole catalogue is divided, for reasons that theory gives."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from lossmith.core.errors import InputError
from lossmith.core.registry import from_config, names
from lossmith.select.facts import analyse, encode_target
from lossmith.select.metrics import METRICS, metric_for
from lossmith.select.rules import candidates, contaminated, residual_scale
from lossmith.workflow.links import link_for

N = 240


def _target(task: str) -> np.ndarray:
    rng = np.random.default_rng(5)
    x = np.linspace(-1, 1, N)
    return {
        "regression": 3.0 * x + rng.normal(0, 0.5, N),
        "positive": np.exp(x + rng.normal(0, 0.3, N)) + 0.123,
        "outliers": 3.0 * x + rng.normal(0, 0.5, N) + 40.0 * (np.arange(N) % 25 == 0),
        "count": rng.poisson(np.exp(1.0 + x)).astype(float),
        "binary": (x + rng.normal(0, 0.5, N) > 0).astype(int),
        "rare": (x + rng.normal(0, 0.3, N) > 0.9).astype(int),
        "multiclass": np.digitize(x + rng.normal(0, 0.3, N), [-0.4, 0.4]),
    }[task]


@pytest.fixture(scope="module")
def facts():
    X = pd.DataFrame({"x": np.linspace(-1, 1, N), "z": np.random.default_rng(0).normal(size=N)})
    kinds = ("regression", "positive", "outliers", "count", "binary", "rare", "multiclass")
    wanted = {"positive": "regression", "outliers": "regression", "rare": "binary"}
    found = {k: analyse(X, pd.Series(_target(k), name="y"), wanted.get(k, k)) for k in kinds}
    ordinal = analyse(X, pd.Series(_target("multiclass"), name="y"), "ordinal")
    return {**found, "ordinal": ordinal}


CASES = [
    (kind, metric)
    for kind, task in {
        "regression": "regression",
        "positive": "regression",
        "outliers": "regression",
        "count": "count",
        "binary": "binary",
        "rare": "binary",
        "multiclass": "multiclass",
        "ordinal": "ordinal",
    }.items()
    for metric, record in METRICS.items()
    if task in record.tasks and not (metric == "poisson_deviance" and kind in ("regression", "outliers"))
]


@pytest.mark.parametrize(("kind", "metric"), CASES)
def test_every_loss_is_admissible_or_excluded_with_a_reason(facts, kind, metric):
    selection = candidates(facts[kind], metric_for(metric, facts[kind]))
    used = {c.config["loss"] for c in selection.admissible}
    left = [e.loss for e in selection.excluded]
    assert sorted([*used, *left]) == sorted(names())
    assert len(left) == len(set(left))
    for text in [e.reason for e in selection.excluded] + [c.reason for c in selection.admissible]:
        assert len(text) > 15
        assert "\n" not in text
    assert all(c.risk and c.elicits and c.source for c in selection.admissible)


@pytest.mark.parametrize(("kind", "metric"), CASES)
def test_candidates_are_trainable_and_one_is_the_default(facts, kind, metric):
    found = facts[kind]
    y = encode_target(pd.Series(_target("multiclass" if kind == "ordinal" else kind), name="y"), found)
    selection = candidates(found, metric_for(metric, found))
    assert sum(c.reference for c in selection.admissible) == 1
    assert len({c.label for c in selection.admissible}) == len(selection.admissible)
    for candidate in selection.admissible:
        loss = from_config(candidate.config)
        assert link_for(loss, y).encode(y).shape == y.shape


def _names(facts, kind, metric):
    return [c.config["loss"] for c in candidates(facts[kind], metric_for(metric, facts[kind])).admissible]


def test_outliers_admit_robust_losses_and_clean_data_do_not(facts):
    assert contaminated(facts["outliers"])
    assert not contaminated(facts["regression"])
    assert {"mae", "tukey", "log_cosh"} <= set(_names(facts, "outliers", "rmse"))
    assert not {"mae", "tukey", "log_cosh"} & set(_names(facts, "regression", "rmse"))


def test_the_functional_comes_first(facts):
    assert _names(facts, "regression", "rmse")[0] == "mse"
    assert _names(facts, "regression", "mae")[0] == "mae"
    assert _names(facts, "regression", "pinball@0.9") == ["quantile", "mse"]
    quantile = candidates(facts["regression"], metric_for("pinball@0.9", facts["regression"])).admissible[0]
    assert quantile.config["params"] == {"q": 0.9}


def test_poisson_wants_targets_that_are_not_negative(facts):
    assert "poisson_nll" in _names(facts, "positive", "rmse")
    assert "poisson_nll" in _names(facts, "count", "auto")
    assert "poisson_nll" not in _names(facts, "regression", "rmse")


def test_margin_losses_only_where_no_probability_is_asked_for(facts):
    assert "hinge" in _names(facts, "binary", "auc")
    assert "hinge" in _names(facts, "binary", "accuracy")
    assert "hinge" not in _names(facts, "binary", "log_loss")
    assert "hinge" not in _names(facts, "multiclass", "accuracy")


def test_imbalance_keeps_the_proper_loss_first(facts):
    selection = candidates(facts["rare"], metric_for("log_loss", facts["rare"]))
    assert selection.admissible[0].config["loss"] == "bce"
    assert "threshold" in selection.admissible[0].reason


def test_residual_scale_is_that_of_the_noise(facts):
    assert residual_scale(facts["outliers"]) == pytest.approx(0.5, rel=0.6)  # the target's own spread is 1.7


@pytest.mark.parametrize(
    ("kind", "metric", "words"),
    [
        ("regression", "auc", "does not fit a regression"),
        ("binary", "rmse", "does not fit a binary"),
        ("multiclass", "auc", "does not fit"),
        ("regression", "rsme", "did you mean rmse"),
        ("regression", "pinball@1.5", "between 0 and 1"),
        ("regression", "pinball@x", "between 0 and 1"),
        ("regression", "rmse@2", "only pinball"),
        ("regression", "poisson_deviance", "negative values"),
        ("regression", "<script>", "unknown"),
    ],
)
def test_a_metric_that_does_not_fit_is_refused_in_one_line(facts, kind, metric, words):
    with pytest.raises(InputError, match=words) as caught:
        metric_for(metric, facts[kind])
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("kind", "name"),
    [("regression", "rmse"), ("count", "poisson_deviance"), ("binary", "log_loss"), ("ordinal", "log_loss")],
)
def test_auto_takes_the_task_s_default(facts, kind, name):
    assert metric_for("auto", facts[kind]).name == name
