"""Time of an epoch of the same network: Lossmith's (NumPy), scikit-learn's, and a plain PyTorch loop.

CPU time of one thread, the smallest of several rounds in turn; the cost of starting is taken off by the difference
between a long and a short training. ``python benchmarks/networks.py`` takes about a minute.
"""

from __future__ import annotations

import functools
import itertools
import time
import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import threadpoolctl
from sklearn.neural_network import MLPClassifier, MLPRegressor

import lossmith as lm

ROUNDS, EPOCHS = 5, 3


class Setting(NamedTuple):
    rows: int
    features: int
    hidden: tuple[int, ...]
    activation: str
    batch: int
    dtype: str
    classes: int  # 0: numbers


SETTINGS = (
    Setting(2000, 10, (32,), "relu", 32, "float64", 0),
    Setting(10000, 20, (100,), "relu", 200, "float64", 0),
    Setting(10000, 20, (100,), "relu", 200, "float32", 0),
    Setting(10000, 20, (64, 64), "tanh", 64, "float64", 0),
    Setting(10000, 50, (100,), "relu", 200, "float64", 2),
    Setting(10000, 50, (256, 128), "relu", 200, "float32", 10),
    Setting(5000, 784, (128,), "relu", 128, "float32", 10),
)


def ours(s: Setting, X: Any, y: Any, epochs: int) -> None:
    kind = lm.LossMLPClassifier if s.classes else lm.LossMLPRegressor
    kind(
        hidden_layer_sizes=s.hidden,
        activation=s.activation,
        batch_size=s.batch,
        max_epochs=epochs,
        n_iter_no_change=None,
        random_state=0,
    ).fit(X, y)


def scikit(s: Setting, X: Any, y: Any, epochs: int) -> None:
    kind = MLPClassifier if s.classes else MLPRegressor
    kind(
        hidden_layer_sizes=s.hidden,
        activation=s.activation,
        batch_size=s.batch,
        max_iter=epochs,
        n_iter_no_change=10**6,
        random_state=0,
    ).fit(X, y)


def plain_torch(s: Setting, X: Any, y: Any, epochs: int) -> None:
    import torch

    torch.set_num_threads(1)
    sizes, layers = (s.features, *s.hidden, s.classes if s.classes > 2 else 1), []
    for a, b in itertools.pairwise(sizes):
        layers += [torch.nn.Linear(a, b), torch.nn.ReLU() if s.activation == "relu" else torch.nn.Tanh()]
    rows = torch.tensor(X)
    model = torch.nn.Sequential(*layers[:-1]).to(rows.dtype)
    loss: Any = torch.nn.MSELoss()
    targets = torch.tensor(y)
    if s.classes > 2:
        loss = torch.nn.CrossEntropyLoss()
    else:
        loss = torch.nn.BCEWithLogitsLoss() if s.classes else loss
        targets = targets.to(rows.dtype)[:, None]
    optimizer = torch.optim.Adam(model.parameters())
    for _ in range(epochs):
        for part in torch.randperm(len(rows)).split(s.batch):
            optimizer.zero_grad()
            loss(model(rows[part]), targets[part]).backward()
            optimizer.step()


def cpu(run: Callable[[int], None], epochs: int) -> float:
    began = time.process_time()
    run(epochs)
    return time.process_time() - began


def main() -> None:
    warnings.simplefilter("ignore")
    print("ms an epoch: rows features hidden activation batch dtype classes | ours, scikit-learn, torch")
    threadpoolctl.threadpool_limits(1)
    for s in SETTINGS:
        rng = np.random.default_rng(0)
        X = rng.normal(size=(s.rows, s.features)).astype(s.dtype)
        score = X[:, 0] ** 2 + X[:, 1]
        edges = np.quantile(score, np.arange(1, s.classes or 1) / (s.classes or 1))
        y = np.searchsorted(edges, score) if s.classes else score
        found = []
        for _ in range(ROUNDS):
            runs = [functools.partial(way, s, X, y) for way in (ours, scikit, plain_torch)]
            found.append([(cpu(run, EPOCHS + 1) - cpu(run, 1)) / EPOCHS for run in runs])
        print(*s, "|", *(f"{1e3 * value:.1f}" for value in np.min(found, axis=0)), flush=True)


if __name__ == "__main__":
    main()
