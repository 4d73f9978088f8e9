"""The network of NumPy under five losses: bicycles rented per hour, from the weather and the clock.

Counts whose spread grows with their height, on five random splits: half of the hours to train on (a tenth of these held
out for early stopping), half to judge. The same network, two hidden layers, under each loss; then once more with one
training count in fifty mistyped, a hundred times too large. ``scikit-learn`` is its own network, which knows the
squared error (and the Poisson loss since 1.7).

Printed, mean and standard error over the splits, on held-out hours: ``absolute error`` in bicycles, ``deviance``
(Poisson, per hour) where predictions are rates, ``below``, the share of hours under the predicted quantile, and the
share of hours inside the 90 % band of the Gaussian likelihood, whose width the network predicts. About 10 s on one
core.
"""

from __future__ import annotations

import pathlib
import warnings

import numpy as np
import pandas as pd
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import mean_poisson_deviance
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPRegressor
from sklearn.preprocessing import StandardScaler

import lossmith as lm

LOSSES = {
    "squared": "mse",
    "absolute": "mae",
    "huber": "huber(delta=20)",
    "poisson": "poisson",
    "normal": "gaussian_nll",
}
SETTINGS = {"hidden_layer_sizes": (64, 32), "early_stopping": True, "random_state": 0}
OURS = {"learning_rate": 0.003, "batch_size": 64, "max_epochs": 150, "n_iter_no_change": 15}


def data() -> tuple[np.ndarray, np.ndarray]:
    """Return what is known of the hours, and their counts."""
    table = pd.read_csv(pathlib.Path(__file__).parent / "data" / "bikes.csv")
    features = table.drop(columns="bikers").astype({"hr": "category", "weekday": "category"})
    return pd.get_dummies(features, dtype=float).to_numpy(), table["bikers"].to_numpy(float)


def network(loss: str) -> lm.LossMLPRegressor:
    """Return the network to be trained under a loss."""
    return lm.LossMLPRegressor(loss, **SETTINGS, **OURS)


def mistyped(y: np.ndarray) -> np.ndarray:
    """Return the counts with every fiftieth a hundred times too large."""
    return np.where(np.arange(len(y)) % 50 == 0, 100 * y, y)


def trial(seed: int) -> dict[str, float]:
    """Train and judge on one split."""
    X, X_new, y, y_new = train_test_split(*data(), test_size=0.5, random_state=seed)
    scale = StandardScaler().fit(X)
    X, X_new = scale.transform(X), scale.transform(X_new)
    found = {}
    for name, loss in LOSSES.items():
        model = network(loss).fit(X, y)
        found[f"absolute error, {name}"] = np.abs(model.predict(X_new) - y_new).mean()
        if name == "poisson":
            found["deviance, poisson"] = mean_poisson_deviance(y_new, model.predict(X_new))
        if name == "normal":
            inside = np.abs(model.predict(X_new) - y_new) < 1.645 * model.predict_std(X_new)
            found["inside the 90 % band, normal"] = inside.mean()
    for name in ("squared", "huber"):
        wrong = network(LOSSES[name]).fit(X, mistyped(y)).predict(X_new)
        found[f"absolute error with mistyped counts, {name}"] = np.abs(wrong - y_new).mean()
    for q in (0.1, 0.9):
        found[f"below, quantile {q}"] = (y_new < network(f"quantile(q={q})").fit(X, y).predict(X_new)).mean()
    theirs = MLPRegressor(**SETTINGS, learning_rate_init=0.003, batch_size=64, max_iter=150, n_iter_no_change=15)
    found["absolute error, scikit-learn"] = np.abs(theirs.fit(X, y).predict(X_new) - y_new).mean()
    found["deviance, a constant"] = mean_poisson_deviance(y_new, np.full(len(y_new), y.mean()))
    return found


def main() -> None:
    """Print means over the splits."""
    warnings.simplefilter("ignore", ConvergenceWarning)  # scikit-learn says so at the last epoch, whatever it brought
    trials = [trial(seed) for seed in range(5)]
    for name in trials[0]:
        found = [results[name] for results in trials]
        print(f"{name}: {np.mean(found):.3f} +- {np.std(found, ddof=1) / len(found) ** 0.5:.3f}")


if __name__ == "__main__":
    main()
