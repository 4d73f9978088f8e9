"""Labelled rows of logits in every library against 40 digits: nearly sure, wrong, tied, masked and weighted ones."""

from __future__ import annotations

from typing import Any

import mpmath as mp
import numpy as np
import pytest

import lossmith as lm

from .libraries import DIFFERENTIATING, Library

WEIGHTS = (0.5, 2.0, 49.0, 1.0)
LOGITS = np.array(
    [
        [0.0, 0.0, 0.0, 0.0],
        [3.0, 3.0, -60.0, -50.0],
        [60.0, 0.0, -1.0, 20.0],
        [-45.0, 0.5, -1.0, 0.4],
        [0.1, 0.2, -0.3, 0.05],
        [-np.inf, 1.0, 0.0, 2.0],
    ]
)
LABELS = np.array([1, 0, 0, 0, 3, 2])


def _exact(z: Any, label: int, weight: float, ridge: float) -> tuple[float, list[float]]:
    """Value and gradient of weight (-log p + ridge logsumexp^2)."""
    with mp.workdps(40):
        e = [mp.exp(mp.mpf(float(x))) for x in z]
        level = mp.log(sum(e))
        value = level - mp.mpf(float(z[label])) + ridge * level**2
        press = 1 + 2 * mp.mpf(ridge) * level
        slope = [x / sum(e) * press - (j == label) for j, x in enumerate(e)]
        return float(weight * value), [float(weight * s) for s in slope]


@pytest.mark.parametrize("kind", DIFFERENTIATING, ids=lambda kind: kind.name)
@pytest.mark.parametrize("dtype", [np.float64, np.float32], ids=lambda dtype: dtype.__name__)
@pytest.mark.parametrize("ridge", [0.0, 0.125])
def test_values_and_gradients_keep_their_digits(kind: type[Library], dtype: Any, ridge: float) -> None:
    library, loss = kind(), lm.CategoricalCrossEntropy(class_weights=WEIGHTS, z_loss=ridge)
    f, y = LOGITS.astype(dtype), library.array(LABELS)
    values = library.back(loss(y, library.array(f), reduction="none"))
    slopes = library.gradient(lambda z: loss(y, z, reduction="none"), f)
    exact = [_exact(z, label, WEIGHTS[label], ridge) for z, label in zip(f, LABELS, strict=True)]
    bound = 1e-12 if dtype is np.float64 else 1e-5
    np.testing.assert_allclose(values, [value for value, _ in exact], rtol=bound)
    np.testing.assert_allclose(slopes, [slope for _, slope in exact], rtol=bound, atol=1e-30)
    with pytest.raises(AssertionError):  # what a plain log-softmax makes of the nearly sure row
        np.testing.assert_allclose(dtype(np.log1p(0.0)), exact[2][0], rtol=bound)


@pytest.mark.parametrize("kind", DIFFERENTIATING, ids=lambda kind: kind.name)
@pytest.mark.parametrize(
    "loss",
    [lm.CategoricalCrossEntropy(ignore_index=2, z_loss=0.1), lm.CategoricalFocal(gamma=1.5, ignore_index=2)],
    ids=lambda loss: loss.name,
)
def test_labels_are_one_hot_rows(kind: type[Library], loss: Any) -> None:
    library = kind()
    kept = LABELS != 2
    labels, rows, hot = library.array(LABELS), library.array(LABELS[kept]), library.array(np.eye(4)[LABELS[kept]])
    found = library.gradient(lambda z: loss(labels, z, reduction="none"), LOGITS)
    assert not found[~kept].any()
    assert not library.back(loss(labels, library.array(LOGITS), reduction="none"))[~kept].any()
    wanted = library.gradient(lambda z: loss(hot, z, reduction="none"), LOGITS[kept])
    np.testing.assert_allclose(found[kept], wanted, rtol=1e-12, atol=1e-30)
    bends = [library.hessian(lambda z, y=y: loss(y, z, reduction="none") ** 2, LOGITS[kept]) for y in (rows, hot)]
    np.testing.assert_allclose(*bends, rtol=1e-10, atol=1e-14)


@pytest.mark.parametrize("kind", DIFFERENTIATING[1:], ids=lambda kind: kind.name)
@pytest.mark.parametrize("label", [-1, 4])
def test_what_is_no_label_is_nan(kind: type[Library], label: int) -> None:
    library, loss = kind(), lm.CategoricalCrossEntropy()
    y = library.array(np.array([0, label]))
    values = library.back(loss(y, library.array(LOGITS[:2]), reduction="none"))
    slopes = library.gradient(lambda z: loss(y, z, reduction="none"), LOGITS[:2])
    assert np.isfinite(values[0])
    assert np.isnan(values[1])
    assert np.isfinite(slopes[0]).all()
    assert np.isnan(slopes[1]).all()
