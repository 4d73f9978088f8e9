"""Targets and predictions of every loss that has a translation, in Lossmith's layout, kinks among them."""

from __future__ import annotations

from typing import Any

import numpy as np

import lossmith as lm

N, K = 24, 4
# Residuals and margins at which losses bend for the parameters that are tried.
KINKS = np.array([0.0, 0.5, -0.5, 1.0, -1.0, 2.0, -2.0, 0.1, -0.1])


def sample(loss: Any, seed: int = 0, *, soft: bool = False) -> tuple[Any, Any]:
    """Return (y_true, y_pred) in float64 for a loss; soft: rows of targets instead of labels."""
    loss = loss.losses[0] if isinstance(loss, lm.WeightedSum) else loss
    rng = np.random.default_rng(seed)
    maker = _MAKERS.get(type(loss), _residuals)
    y, f = maker(loss, rng)
    if soft and y.ndim == 1 and f.ndim == 2:
        y = 0.9 * np.eye(f.shape[1])[y] + 0.1 / f.shape[1]
    return y, f


def named(given: Any) -> str:
    """Name a case; texts that hold an address differ between the processes that collect tests."""
    text = str(given)
    return getattr(given, "__name__", type(given).__name__) if " at 0x" in text else text


def smooth(f: Any) -> Any:
    """Weights of values for the comparison of gradients: 0 at the kinks, where each library has its own."""
    weights = np.random.default_rng(9).uniform(0.5, 2.0, f.shape[:1])
    weights[: len(KINKS)] = 0.0
    return weights


def _residuals(loss: Any, rng: Any) -> tuple[Any, Any]:
    y = np.r_[np.zeros(len(KINKS)), rng.normal(0, 2, N)]
    return y, y + np.r_[KINKS, rng.normal(0, 2, N)]


def _binary(loss: Any, rng: Any) -> tuple[Any, Any]:
    f = np.r_[KINKS, rng.normal(0, 3, N)]
    y = (rng.random(len(f)) < 0.5).astype(float)
    return y, 1 / (1 + np.exp(-f)) if loss.inputs == "probabilities" else f


def _signs(loss: Any, rng: Any) -> tuple[Any, Any]:
    f = np.r_[KINKS, rng.normal(0, 2, N)]
    return np.where(rng.random(len(f)) < 0.5, -1.0, 1.0), f


def _counts(loss: Any, rng: Any) -> tuple[Any, Any]:
    f = np.r_[KINKS, rng.normal(0.5, 1, N)]
    return rng.poisson(2.0, len(f)).astype(float), np.exp(f) if loss.inputs == "rate" else f


def _positive(loss: Any, rng: Any) -> tuple[Any, Any]:
    y, f = rng.gamma(2.0, 1.5, N) + 0.01, rng.normal(0.5, 1, N)
    return np.where(np.arange(N) % 4 == 0, 0.0, y) if isinstance(loss, lm.Tweedie) else y, f


def _softmax(z: Any) -> Any:
    e = np.exp(z - z.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def _labels(loss: Any, rng: Any) -> tuple[Any, Any]:
    z = rng.normal(0, 2, (N, K))
    y = rng.integers(0, K, N)
    # A sample that is left out, but where every label counts.
    ignored = getattr(loss, "ignore_index", None)
    if ignored is not None:
        y[::5] = ignored
    return y, _softmax(z) if getattr(loss, "inputs", "") == "probabilities" else z


def _rows(loss: Any, rng: Any) -> tuple[Any, Any]:
    p, z = rng.dirichlet(np.ones(K), N), rng.normal(0, 2, (N, K))
    return p, {"logits": z, "probabilities": _softmax(z)}.get(loss.inputs, np.log(_softmax(z)))


def _gaussian(loss: Any, rng: Any) -> tuple[Any, Any]:
    return rng.normal(0, 2, N), np.stack([rng.normal(0, 2, N), rng.uniform(0.2, 3, N)], -1)


def _triplets(loss: Any, rng: Any) -> tuple[Any, Any]:
    return lm.Triplet.given(*rng.normal(0, 1, (3, N, K)))


def _embedded(loss: Any, rng: Any) -> tuple[Any, Any]:
    return rng.integers(0, 3, N), rng.normal(0, 1, (N, K))


def _sequences(loss: Any, rng: Any) -> tuple[Any, Any]:
    labels = rng.integers(0, K - 1, (5, 3))
    return labels + (labels >= loss.blank), rng.normal(0, 1, (5, 8, K))


def _masks(loss: Any, rng: Any) -> tuple[Any, Any]:
    z = rng.normal(0, 1, (3, 4, 5, K))
    if loss.class_axis is None:
        y = (rng.random(z.shape) < 0.4).astype(float)
        return y, 1 / (1 + np.exp(-z)) if loss.inputs == "probabilities" else z
    y = np.eye(K)[rng.integers(0, K, z.shape[:-1])]
    return y, _softmax(z) if loss.inputs == "probabilities" else z


_MAKERS = {
    lm.BinaryCrossEntropy: _binary,
    lm.BinaryFocal: _binary,
    lm.Hinge: _signs,
    lm.SquaredHinge: _signs,
    lm.PoissonNLL: _counts,
    lm.GammaNLL: _positive,
    lm.Tweedie: _positive,
    lm.CategoricalCrossEntropy: _labels,
    lm.CategoricalFocal: _labels,
    lm.MultiMargin: _labels,
    lm.KLDivergence: _rows,
    lm.GaussianNLL: _gaussian,
    lm.Triplet: _triplets,
    lm.NTXent: _embedded,
    lm.CTC: _sequences,
    lm.Dice: _masks,
}
