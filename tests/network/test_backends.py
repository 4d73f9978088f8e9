"""torch and Keras train the same networks: the same weights and batches go the same way."""

from __future__ import annotations

import importlib.util
import pickle
import warnings
from typing import Any

import numpy as np
import pytest
from scipy.sparse import csr_array
from sklearn.exceptions import ConvergenceWarning

import lossmith as lm

# Keras's, about arrays of the library below it.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept:DeprecationWarning")
Array = np.ndarray[Any, Any]
RNG = np.random.default_rng(0)
X = RNG.normal(size=(70, 3))
Y = 50.0 * np.sin(X[:, 0]) + RNG.normal(size=70)
WEIGHT = RNG.integers(0, 3, 70).astype(float)
COUNTS = RNG.poisson(np.exp(X[:, 0])).astype(float)
SETTINGS = {
    "hidden_layer_sizes": (6, 5),
    "batch_size": 32,
    "max_epochs": 4,
    "n_iter_no_change": None,
    "random_state": 0,
}
# Estimator, loss, targets, settings: each pairs a kind of loss with other settings.
CASES: list[tuple[Any, str, Array, dict[str, Any]]] = [
    (lm.LossMLPRegressor, "huber(delta=5)", Y, {"activation": "tanh", "penalty": None}),
    (
        lm.LossMLPRegressor,
        "mse",
        Y,
        {"activation": "gelu", "solver": "nesterov", "penalty": "elasticnet", "alpha": 0.01},
    ),
    (lm.LossMLPRegressor, "log_cosh", np.c_[Y, X], {"activation": "sigmoid", "solver": "adamw", "clip_norm": 0.1}),
    (lm.LossMLPRegressor, "poisson", COUNTS, {"solver": "sgd", "schedule": "cosine", "activation": "identity"}),
    (lm.LossMLPRegressor, "gaussian_nll", Y, {"early_stopping": True}),
    (lm.LossMLPClassifier, "log_loss", Y > 0, {"class_weight": "balanced", "penalty": "l1"}),
    (lm.LossMLPClassifier, "categorical_focal", np.digitize(Y, [-20, 20]), {"solver": "momentum"}),
]


def ready(backend: str) -> None:
    pytest.importorskip(backend)
    if backend == "keras" and not any(importlib.util.find_spec(name) for name in ("tensorflow", "jax", "torch")):
        pytest.skip("Keras needs TensorFlow, JAX or torch")


def fitted(kind: Any, loss: str, y: Array, **more: Any) -> Any:
    X_here = more.pop("X", X)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return kind(loss, **{**SETTINGS, **more}).fit(X_here, y, WEIGHT)


# Each of Keras's takes a second or two of CPU to compile.
RUNS = [
    (*case, backend) for i, case in enumerate(CASES) for backend in ("torch", "keras")[: 2 if i in (1, 2, 4, 6) else 1]
]


@pytest.mark.parametrize(("kind", "loss", "y", "more", "backend"), RUNS, ids=[f"{r[1]}-{r[4]}" for r in RUNS])
def test_the_same_trajectory(kind: Any, loss: str, y: Array, more: dict[str, Any], backend: str) -> None:
    ready(backend)
    ours, theirs = (fitted(kind, loss, y, backend=name, **more) for name in ("numpy", backend))
    # Keras keeps its learning rate in float32.
    near = 1e-12 if backend == "torch" else 1e-6
    np.testing.assert_allclose(theirs.network_.theta, ours.network_.theta, rtol=near, atol=near)
    for column in ("train_loss", "valid_loss", "gradient_norm", "learning_rate"):
        right = getattr(ours.history_, column)
        np.testing.assert_allclose(getattr(theirs.history_, column), right, rtol=1e-5, err_msg=column)
    assert (theirs.status_, theirs.best_epoch_, theirs.n_iter_) == (ours.status_, ours.best_epoch_, ours.n_iter_)
    other = fitted(kind, loss, y, backend="numpy", **{**more, "random_state": 1})
    assert np.abs(theirs.network_.theta - other.network_.theta).max() > 1e-3  # control


@pytest.mark.parametrize("backend", ["torch", "keras"])
def test_the_model_of_the_library_predicts_the_same(backend: str) -> None:
    ready(backend)
    model = fitted(lm.LossMLPRegressor, "huber", Y, backend=backend, dropout=0.2, X=X.astype(np.float32))
    if backend == "torch":
        import torch

        found = model.model_(torch.tensor(X, dtype=torch.float32)).detach().numpy()[:, 0]
        assert {type(layer).__module__.split(".")[0] for layer in model.model_} == {"torch"}
        again = pickle.loads(pickle.dumps(model)).partial_fit(X.astype(np.float32), Y)
        assert again.history_.train_loss != model.history_.train_loss
    else:
        found = model.model_.predict(X.astype(np.float32), verbose=0)[:, 0]
    np.testing.assert_allclose(found, model.predict(X.astype(np.float32)), rtol=1e-4, atol=1e-4)


@pytest.mark.filterwarnings(f"ignore::{ConvergenceWarning.__module__}.{ConvergenceWarning.__name__}")
@pytest.mark.parametrize("backend", ["torch", "keras"])
def test_epochs_one_by_one_sparse_rows_and_a_huge_rate(backend: str) -> None:
    ready(backend)
    whole, parts = (lm.LossMLPRegressor("huber", backend=backend, **SETTINGS) for _ in range(2))
    whole.set_params(max_epochs=2).fit(X, Y)
    for _ in range(2):
        parts.partial_fit(csr_array(X), Y)
    np.testing.assert_allclose(parts.network_.theta, whole.network_.theta, atol=1e-6)
    with pytest.warns(ConvergenceWarning, match="lower the learning rate"):
        wild = lm.LossMLPRegressor(solver="sgd", learning_rate=1e9, backend=backend, **SETTINGS).fit(X, Y)
    assert np.isfinite(wild.predict(X)).all()


def test_torch_drops_out_the_same_units_and_tells_the_same_norms() -> None:
    ready("torch")
    seen: dict[str, list[Any]] = {"numpy": [], "torch": []}
    for name, events in seen.items():
        model = lm.LossMLPRegressor("huber", dropout=0.4, backend=name, **SETTINGS)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            model.fit(
                X, Y, watch=lambda e, to=events: to.append(e.layers()["hidden_2"]) if hasattr(e, "layers") else None
            )
    for one, other in zip(seen["numpy"], seen["torch"], strict=True):
        for field in ("gradient_norm", "parameter_norm", "update_norm"):
            assert getattr(one, field) == pytest.approx(getattr(other, field), rel=1e-9)


def test_a_missing_library_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    for backend in ("torch", "keras"):
        with pytest.raises(ImportError, match=rf"pip install 'lossmith\[{backend}\]'"):
            lm.LossMLPRegressor(backend=backend).fit(X, Y)
