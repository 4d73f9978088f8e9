"""Small data for the boosters, and the losses that have a built-in counterpart."""

from __future__ import annotations

from typing import Any

import numpy as np

import lossmith as lm

N, TRAIN = 3000, 2000
RNG = np.random.default_rng(5)
X = RNG.standard_normal((N, 5))
SIGNAL = np.sin(2 * X[:, 0]) + X[:, 1] * X[:, 2] + 1.5 * X[:, 3]
REAL = 20 + SIGNAL + 0.5 * RNG.standard_t(3, N)
BIT = (SIGNAL + 2 + RNG.logistic(size=N) > 0) * 1.0
COUNT = RNG.poisson(np.exp(2 + 0.4 * SIGNAL)).astype(float)
CLASS = np.digitize(SIGNAL + RNG.logistic(size=N), [-2.0, 1.0]).astype(float)
WEIGHT = RNG.integers(1, 4, N).astype(float)
TARGETS = {"regression": REAL, "binary": BIT, "count": COUNT, "multiclass": CLASS}
TRAINABLE = [
    lm.MeanSquaredError(),
    lm.MeanAbsoluteError(),
    lm.Huber(delta=0.9),
    lm.LogCosh(),
    lm.Tukey(),
    lm.Quantile(q=0.9),
    lm.BinaryCrossEntropy(),
    lm.BinaryFocal(gamma=2.0, alpha=0.25),
    lm.Hinge(),
    lm.SquaredHinge(),
    lm.PoissonNLL(),
    lm.CategoricalCrossEntropy(),
    lm.CategoricalFocal(gamma=1.0),
]
REFUSED = [lm.BinaryCrossEntropy(inputs="probabilities"), lm.PoissonNLL(inputs="rate"), lm.KLDivergence(), lm.Dice()]


def target(loss: Any) -> Any:
    """Targets of the loss's task, all rows."""
    return TARGETS[loss.traits.task]


def score(loss: Any, raw: Any, rows: slice = slice(TRAIN, None)) -> float:
    """Mean loss of raw scores on rows held out."""
    y = target(loss)[rows]
    y = 2 * y - 1 if isinstance(loss, (lm.Hinge, lm.SquaredHinge)) else y
    return float(loss(y.astype(int) if loss.tier == "row-wise" else y, np.asarray(raw, float)))
