"""What is recorded of a network in training."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning

import lossmith as lm

RNG = np.random.default_rng(0)
X = RNG.normal(size=(120, 3))
Y = np.sin(X[:, 0])


def watched(model: Any, y: Any = Y, **more: Any) -> lm.NetworkMonitor:
    monitor = lm.NetworkMonitor(live=False, **more)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(X, y, watch=monitor)
    return monitor


def test_the_record_holds_what_the_history_says() -> None:
    model = lm.LossMLPRegressor("huber", (8,), batch_size=30, max_epochs=5, early_stopping=True, random_state=0)
    record = watched(model, every=4).record
    steps, losses = record.column("loss")
    np.testing.assert_array_equal(steps, np.arange(20))
    np.testing.assert_allclose(losses.reshape(5, 4) @ [30, 30, 30, 18] / 108, model.history_.train_loss)
    ends, valid = record.column("eval_loss")
    np.testing.assert_array_equal(ends, [3, 7, 11, 15, 19])
    np.testing.assert_allclose(valid, model.history_.valid_loss)
    seen, norms = record.layer_column("hidden_1", "gradient_norm")
    np.testing.assert_array_equal(seen, [0, 4, 8, 12, 16])
    assert norms[0] < 0.5 * norms[1]  # the last layer's weights begin at 0: only the penalty pulls at the first
    assert record.facts.steps_per_epoch == 4
    assert record.facts.target_std == pytest.approx(Y.std(), rel=0.1)


def test_classes_are_counted_and_a_number_that_is_not_finite_is_seen() -> None:
    model = lm.LossMLPClassifier(hidden_layer_sizes=(4,), max_epochs=2, random_state=0)
    facts = watched(model, Y > 0.5).record.facts
    assert facts.class_counts == ((Y <= 0.5).sum(), (Y > 0.5).sum())
    wild = lm.LossMLPRegressor(solver="sgd", learning_rate=1e6, random_state=0)
    norms = watched(wild).record.column("grad_norm")[1]
    assert not np.isfinite(norms[-1])
    assert np.isfinite(norms[:-1]).all()


def test_a_wrong_pace_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        lm.NetworkMonitor(every=0)
