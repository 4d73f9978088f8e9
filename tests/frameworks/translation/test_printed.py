"""Printed translations run, and give the numbers of the loss they were made from."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest

import lossmith as lm
from frameworks.translation.samples import KINKS, sample
from frameworks.translation.sources import SOURCES, distinct, executed

every = pytest.mark.parametrize("source", SOURCES)
# torch's and optax's guards in the distances of triplets and in rates.
LOOSE = {lm.Triplet: 2e-5, lm.PoissonNLL: 1e-6, lm.CTC: 1e-6}


def parts(source: str, to: str) -> tuple[Any, Any, Any, float]:
    """Return the translation, inputs without kinks, and the tolerance."""
    found = lm.translate(source, to=to)
    y, f = sample(found.loss)
    if f.ndim == 1 and len(f) > len(KINKS):
        y, f = y[len(KINKS) :], f[len(KINKS) :]
    inner = found.loss.losses[0] if isinstance(found.loss, lm.WeightedSum) else found.loss
    return found, y, f, LOOSE.get(type(inner), 1e-9) if found.native else 1e-9


def inner(loss: Any) -> Any:
    return loss.losses[0] if isinstance(loss, lm.WeightedSum) and len(loss.losses) == 1 else loss


def wanted(loss: Any, y: Any, f: Any) -> tuple[float, Any]:
    """Mean and its gradient in NumPy."""
    value, gradient = float(loss(y, f)), loss.gradient(y, f)
    if inner(loss).tier == "structured":
        return value, gradient
    ignored = getattr(loss, "ignore_index", None)
    counted = len(y) if ignored is None else np.count_nonzero(y != ignored)
    weights = getattr(loss, "class_weights", None)
    if weights is not None and not isinstance(loss, lm.MultiMargin):
        smoothing = loss.label_smoothing
        used = [weights[label] for label in y if label != ignored]
        counted = (1 - smoothing) * sum(used) + smoothing * np.mean(weights) * len(used)
    return value, gradient / counted


@pytest.mark.parametrize("source", distinct("lossmith"))
def test_for_lossmith(source: str) -> None:
    found = lm.translate(source)
    made = executed(found.code)["loss"]
    y, f = sample(found.loss)
    np.testing.assert_array_equal(made(y, f), found.loss(y, f, reduction=found.reduction))


@pytest.mark.parametrize("source", distinct("torch"))
def test_for_torch(source: str) -> None:
    torch = pytest.importorskip("torch")
    found, y, f, rtol = parts(source, "torch")
    made = executed(found.code)["loss"].double()
    target, score = torch.tensor(y), torch.tensor(f, requires_grad=True)
    value = _torch(torch, found, made, target, score).mean()
    value.backward()
    close(found.loss, y, f, value.detach(), score.grad, rtol)


def _torch(torch: Any, found: Any, made: Any, y: Any, f: Any) -> Any:
    """Call torch's loss, or ours, in torch's layout."""
    loss = inner(found.loss)
    if isinstance(loss, lm.CTC):
        lengths = torch.full((len(f),), f.shape[1]), torch.full((len(f),), y.shape[1])
        return made(f.transpose(0, 1).log_softmax(-1) if found.native else f.transpose(0, 1), y, *lengths)
    if found.native and isinstance(loss, lm.GaussianNLL):
        return made(f[:, 0], y, f[:, 1])
    if found.native and isinstance(loss, lm.Triplet):
        return made(*f.reshape(3, -1, f.shape[-1]))
    return made(f, y)


@pytest.mark.parametrize("source", distinct("optax"))
def test_for_optax(source: str) -> None:
    jax = pytest.importorskip("jax")
    pytest.importorskip("optax")
    if not jax.config.jax_enable_x64:
        pytest.skip("needs 64-bit numbers")
    found, y, f, rtol = parts(source, "optax")
    loss = inner(found.loss)
    made, jnp = executed(found.code)["loss"], jax.numpy

    def mean(f: Any) -> Any:
        if isinstance(loss, lm.CTC):
            return made(f, jnp.zeros(f.shape[:2]), jnp.asarray(y), jnp.zeros(y.shape)).mean()
        if isinstance(loss, lm.Triplet):
            return made(*f.reshape(3, -1, f.shape[-1])).mean()
        if "binary_dice" in found.code:
            return made(f.reshape(3, -1), y.reshape(3, -1)).mean()
        rows = "losses.softmax_cross_entropy" in found.code and "integer" not in found.code
        return made(f, jnp.asarray(np.eye(f.shape[-1])[y] if rows and y.ndim == 1 else y)).mean()

    if weighted(loss):
        pytest.skip("a mean over weights is the user's in JAX")
    value, gradient = jax.value_and_grad(mean)(jnp.asarray(f))
    close(found.loss, y, f, value, gradient, rtol)


def weighted(loss: Any) -> bool:
    """Tell whether samples count unevenly in the mean."""
    return getattr(loss, "class_weights", None) is not None or getattr(loss, "ignore_index", None) is not None


def refused(source: str, to: str) -> str:
    """Return why there is no translation; empty where there is one."""
    try:
        lm.translate(source, to=to)
    except ValueError as problem:
        return str(problem)
    return ""


@every
def test_for_scikit_learn(source: str) -> None:
    pytest.importorskip("sklearn")
    if refused(source, "sklearn"):
        loss = inner(lm.translate(source).loss)
        assert loss.tier == "structured" or getattr(loss, "inputs", "") == "log_rate"
        return
    found, y, f, rtol = parts(source, "sklearn")
    made = executed(found.code)["loss"]
    np.testing.assert_allclose(made(y, f), found.loss(y, f), rtol=rtol)


def close(loss: Any, y: Any, f: Any, value: Any, gradient: Any, rtol: float) -> None:
    """Demand the mean and the gradient of the loss."""
    want, slope = wanted(loss, y, f)
    np.testing.assert_allclose(float(value), want, rtol=rtol)
    np.testing.assert_allclose(np.asarray(gradient), slope, rtol=rtol, atol=rtol if rtol > 1e-9 else 1e-12)


KEYS = {"xgboost": "objective", "lightgbm": "objective", "catboost": "loss_function"}


@pytest.mark.parametrize("to", KEYS)
@every
def test_for_boosters(source: str, to: str) -> None:
    """Parameters mean the loss, but for a constant factor; and the booster takes them."""
    module = pytest.importorskip(to)
    plain = inner(lm.translate(source).loss)
    if why := refused(source, to):
        assert "cannot train these learners" in why
        trained = plain.tier == "elementwise" and plain.traits.task in ("regression", "binary")
        assert not trained or getattr(plain, "inputs", "logits") != "logits"
        return
    found = lm.translate(source, to=to)
    names = executed(found.code)
    if not found.native:
        assert names["booster"].loss == plain
        return
    back = getattr(lm, f"from_{to}")(names["params"])
    plain = dataclasses.replace(plain, ignore_index=None) if weighted(plain) else plain
    assert back == plain
    y, f = sample(plain)
    y = (y + 1) / 2 if isinstance(plain, lm.Hinge) else y
    _TRAIN[to](module, {**names["params"], **({"num_class": 4} if f.ndim == 2 else {})}, np.arange(len(y))[:, None], y)


def _xgboost(module: Any, params: Any, X: Any, y: Any) -> None:
    module.train({**params, "nthread": 1}, module.DMatrix(X, y), 1)


def _lightgbm(module: Any, params: Any, X: Any, y: Any) -> None:
    options = {**params, "verbosity": -1, "num_threads": 1}
    module.train(options, module.Dataset(X, y, params=options), 1)


def _catboost(module: Any, params: Any, X: Any, y: Any) -> None:
    own = {key: value for key, value in params.items() if key != "num_class"}
    module.CatBoost({**own, "iterations": 1, "verbose": 0, "thread_count": 1, "allow_writing_files": False}).fit(X, y)


_TRAIN = {"xgboost": _xgboost, "lightgbm": _lightgbm, "catboost": _catboost}


def test_a_wrong_translation_is_noticed() -> None:
    """Negative control: the code of another delta, and of another factor."""
    y, f = sample(lm.Huber())
    with pytest.raises(AssertionError):
        close(lm.Huber(delta=1.0), y, f, lm.Huber(delta=2.0)(y, f), lm.Huber().gradient(y, f) / len(y), 1e-9)
    with pytest.raises(AssertionError):
        close(lm.Huber(), y, f, lm.Huber()(y, f), 2 * lm.Huber().gradient(y, f) / len(y), 1e-9)


@pytest.mark.parametrize(
    ("source", "to", "words"),
    [
        ("torch.nn.SmoothL1Loss(beta=2)", "keras", ["lm.to_keras(lm.WeightedSum((lm.Huber(delta=2.0),), (0.5,)))"]),
        ("torch.nn.SmoothL1Loss(beta=2)", "torch", ["torch.nn.SmoothL1Loss(beta=2.0)"]),
        ("0.5 * huber(delta=2)", "torch", ["torch.nn.SmoothL1Loss(beta=2.0)"]),
        ("optax.l2_loss", "xgboost", ["'objective': 'reg:squarederror'"]),
        ("mse", "optax", ["optax.losses.squared_error"]),
        ("0.5 * mse", "optax", ["optax.losses.l2_loss"]),
        ("0.25 * huber", "xgboost", ["to_xgboost(lm.Huber())", "# the factor 0.25 is left out"]),
        ("torch.nn.HuberLoss(reduction='sum')", "keras", ["keras.losses.Huber(reduction='sum')"]),
        ("torch.nn.HuberLoss(reduction='sum')", "lossmith", ["functools.partial(lm.Huber(), reduction='sum')"]),
        ("torch.nn.CrossEntropyLoss()", "optax", ["softmax_cross_entropy_with_integer_labels", "labelled -100"]),
        ("torch.nn.CrossEntropyLoss()", "lossmith", ["lm.CategoricalCrossEntropy(ignore_index=-100)"]),
        ("keras.losses.CategoricalFocalCrossentropy(from_logits=True)", "lossmith", ["(0.25,)"]),
        ("torch.nn.HuberLoss(reduction='sum')", "jax", ["take the sum of what this returns"]),
        ("torch.nn.MSELoss(reduction='sum')", "scikit-learn", ["this is their mean", "mean_squared_error"]),
        ("torch.nn.TripletMarginLoss()", "optax", ["# called as loss(anchors, positives, negatives)"]),
        ("torch.nn.GaussianNLLLoss()", "torch", ["# called as loss(mean, target, variance)"]),
        ("quantile(q=0.9)", "catboost", ["{'loss_function': 'Quantile:alpha=0.9'}"]),
        ("quantile(q=0.9)", "lightgbm", ["{'objective': 'quantile', 'alpha': 0.9}"]),
        ("torch.nn.SoftMarginLoss()", "keras", ["BinaryCrossentropy(from_logits=True)", "labels are -1 and +1"]),
        ("dice(smooth=1)", "optax", ["lm.to_jax(lm.Dice(smooth=1.0))"]),
        ("dice(smooth=1, inputs='logits')", "optax", ["binary_dice_loss, smooth=0.5"]),
    ],
)  # fmt: skip
def test_what_is_printed(source: str, to: str, words: list[str]) -> None:
    code = lm.translate(source, to=to).code
    for word in words:
        assert word in code, code
