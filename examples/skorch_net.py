"""skorch networks with losses of Lossmith as criterion, judged by Lossmith's scorers in scikit-learn's own tools.

pip install 'lossmith[torch]' skorch
python examples/skorch_net.py
"""

from functools import partial

import numpy as np
import torch
from sklearn.datasets import load_diabetes, load_digits
from sklearn.model_selection import GridSearchCV, cross_validate
from skorch import NeuralNetClassifier, NeuralNetRegressor

import lossmith as lm


def network(inputs: int, outputs: int) -> torch.nn.Module:
    """Return a network with one hidden layer."""
    return torch.nn.Sequential(torch.nn.Linear(inputs, 32), torch.nn.SiLU(), torch.nn.Linear(32, outputs))


TRAINING = {"optimizer": torch.optim.Adam, "lr": 0.01, "batch_size": 64, "max_epochs": 15}
OPTIONS = {"module": network, "train_split": None, "verbose": 0, **TRAINING}


def classify() -> None:
    """Ten digits. The criterion takes logits, so skorch is told how they become probabilities."""
    x, y = load_digits(return_X_y=True)
    net = NeuralNetClassifier(
        **OPTIONS,
        module__inputs=64,
        module__outputs=10,
        criterion=lm.to_torch,
        criterion__loss=lm.CategoricalFocal(gamma=1.0),
        predict_nonlinearity=partial(torch.softmax, dim=1),
    )
    scoring = {"accuracy": "accuracy", "cce": lm.to_sklearn("cce"), "focal": lm.to_sklearn("categorical_focal")}
    found = cross_validate(net, (x / 16).astype(np.float32), y, scoring=scoring, cv=2, error_score="raise")
    for name in scoring:
        print(f"digits, held-out score {name}: {found[f'test_{name}'].mean():.3f}")


def regress() -> None:
    """Progression of diabetes; a search chooses the loss as it chooses any other parameter."""
    x, y = load_diabetes(return_X_y=True)
    x, y = x / x.std(0), (y - y.mean()) / y.std()
    net = NeuralNetRegressor(**OPTIONS, module__inputs=10, module__outputs=1, criterion=lm.to_torch)
    losses = ["mse", "huber(delta=0.5)", "mae"]
    grid = {"criterion__loss": losses}
    search = GridSearchCV(net, grid, scoring=lm.to_sklearn("mae"), cv=3, error_score="raise")
    search.fit(x.astype(np.float32), y.astype(np.float32)[:, None])
    for loss, score in zip(losses, search.cv_results_["mean_test_score"], strict=True):
        print(f"diabetes, trained by {loss}: held-out absolute error {-score:.3f} standard deviations")


def main() -> None:
    """Print held-out scores of both nets."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    classify()
    regress()


if __name__ == "__main__":
    main()
