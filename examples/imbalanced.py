"""An imbalanced problem: focal loss against log-loss with a chosen threshold, on LightGBM's trees.

Which diamonds are of the cut "Fair" (2.6 % of 3,596)? Ten random splits: half to train on, a quarter to choose the
number of trees and the threshold of the best F1, a quarter to judge.

Printed, mean and standard error over the splits: ``F1`` when cut at 0.5 and at the chosen threshold, ``AP`` (average
precision: the ranking alone), ``log-loss``, and ``mean chance / base rate`` (1 where probabilities are right on
average); then each focal loss minus the log-loss, split by split. The log-loss is best or level in all of them: what
few positives need is a probability and a threshold. About 10 s on one core.
"""

from __future__ import annotations

import pathlib

import lightgbm
import numpy as np
import pandas as pd
from sklearn.metrics import average_precision_score, f1_score, log_loss, precision_recall_curve
from sklearn.model_selection import train_test_split

import lossmith as lm

LOSSES = {
    "log-loss": lm.BinaryCrossEntropy(),
    "focal": lm.BinaryFocal(gamma=2.0),
    "focal 0.75": lm.BinaryFocal(gamma=2.0, alpha=0.75),
}
PARAMS = {"learning_rate": 0.05, "num_leaves": 8, "min_data_in_leaf": 10, "verbosity": -1, "num_threads": 1}
METRICS = ("F1 at 0.5", "F1 at the threshold", "AP", "log-loss", "mean chance / base rate")


def data() -> tuple[np.ndarray, np.ndarray]:
    """Return what is known of the diamonds, and whether their cut is "Fair"."""
    table = pd.read_csv(pathlib.Path(__file__).parent / "data" / "diamonds.csv")
    features = pd.get_dummies(table.drop(columns="cut"), dtype=float)
    return features.to_numpy(), (table["cut"] == "Fair").to_numpy(int)


def threshold(labels: np.ndarray, chances: np.ndarray) -> float:
    """Return the cut of the best F1."""
    precision, recall, cuts = precision_recall_curve(labels, chances)
    return float(cuts[np.argmax((precision * recall / np.maximum(precision + recall, 1e-9))[:-1])])


def trial(seed: int) -> dict[str, list[float]]:
    """Judge each loss on one split."""
    X, y = data()
    X, X_rest, y, y_rest = train_test_split(X, y, test_size=0.5, stratify=y, random_state=seed)
    halves = train_test_split(X_rest, y_rest, test_size=0.5, stratify=y_rest, random_state=seed)
    X_valid, X_test, y_valid, y_test = halves
    results = {}
    for name, loss in LOSSES.items():
        booster = lm.to_lightgbm(loss)
        train_set, stop = lightgbm.Dataset(X, y), lightgbm.early_stopping(30, verbose=False)
        valid_set = lightgbm.Dataset(X_valid, y_valid, reference=train_set)
        model = booster.train(PARAMS, train_set, 300, valid_sets=[valid_set], callbacks=[stop])
        chances = booster.predict(model, X_test)
        cut = threshold(y_valid, booster.predict(model, X_valid))
        cuts = [f1_score(y_test, chances >= level, zero_division=0) for level in (0.5, cut)]
        rank, surprise = average_precision_score(y_test, chances), log_loss(y_test, chances)
        results[name] = [*cuts, rank, surprise, chances.mean() / y_test.mean()]
    return results


def main() -> None:
    """Print means over the splits."""
    trials = np.array([list(trial(seed).values()) for seed in range(10)])
    trials = np.concatenate([trials, trials[:, 1:] - trials[:, :1]], axis=1)
    mean, error = trials.mean(axis=0), trials.std(axis=0, ddof=1) / len(trials) ** 0.5
    for i, name in enumerate((*LOSSES, "focal minus log-loss", "focal 0.75 minus log-loss")):
        for j, metric in enumerate(METRICS):
            print(f"{metric}, {name}: {mean[i, j]:.3f} +- {error[i, j]:.3f}")


if __name__ == "__main__":
    main()
