"""The sparse models that benchmarks/lasso.py solves: designs, targets, penalties, and how near a solution is."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

import lossmith as lm
from lossmith.optimize import Objective


@dataclass(frozen=True)
class Problem:
    """A design, targets and a penalty: strength times (share |w| + (1 - share) w^2 / 2), to half the mean square."""

    name: str
    design: str
    kind: str
    y: Any
    strength: float
    share: float = 1.0
    intercept: bool = True

    def objective(self, X: Any) -> Objective:
        """What is minimised; twice theirs for squares."""
        if self.kind == "logistic":
            return Objective.build(lm.BinaryCrossEntropy(), X, self.y, None, lm.L1(self.strength), self.intercept)
        penalty = lm.ElasticNet(self.strength * (1 + self.share), 2 * self.share / (1 + self.share))
        return Objective.build(lm.MeanSquaredError(), X, self.y, None, penalty, self.intercept)


def dense() -> tuple[Any, Any]:
    """Correlated normal features in columns, and a signal of 100 of them."""
    rng = np.random.default_rng(3)
    X = rng.standard_normal((10_000, 10_000))
    X[:, 1:] += 0.5 * X[:, :-1]
    truth = np.zeros(10_000)
    truth[rng.choice(10_000, 100, replace=False)] = rng.standard_normal(100)
    return X, X @ truth


def texts(n: int, d: int, words: int) -> Any:
    """Sparse features like those of rcv1: words of frequencies that fall as a power, rows of length 1."""
    from scipy.sparse import coo_array, csc_matrix, diags_array

    rng = np.random.default_rng(0)
    often = np.cumsum(1.0 / (np.arange(d) + 30.0))
    column = np.searchsorted(often / often[-1], rng.random(n * words))
    row = np.repeat(np.arange(n), words)
    counts = coo_array((rng.lognormal(0.0, 0.5, n * words), (row, rng.permutation(d)[column])), (n, d)).tocsr()
    size = np.sqrt(np.asarray(counts.multiply(counts).sum(axis=1)).reshape(-1))
    found = csc_matrix(diags_array(1.0 / size) @ counts)
    found.indices, found.indptr = found.indices.astype(np.int32), found.indptr.astype(np.int32)  # as peers want them
    return found


def sparse() -> tuple[Any, Any]:
    """Texts, and a signal of 300 frequent words."""
    rng = np.random.default_rng(3)
    X = texts(20_000, 47_000, 75)
    truth = np.zeros(47_000)
    frequent = np.argsort(-np.diff(X.indptr))[:5000]  # what decides is often there, as in texts
    truth[rng.choice(frequent, 300, replace=False)] = 10 * rng.standard_normal(300)
    return X, np.asarray(X @ truth)


def problems(design: str, X: Any, signal: Any) -> Iterator[Problem]:
    """Yield what is solved on a design."""
    n, rng = X.shape[0], np.random.default_rng(4)
    noise = 0.3 * signal.std()
    y = signal + noise * rng.standard_normal(n)
    most = float(np.abs(X.T @ (y - y.mean())).max() / n)
    for share in (0.1, 0.02):
        yield Problem(f"lasso, {share} of alpha_max", design, "squares", y, share * most)
    yield Problem("elastic net, 0.1 of alpha_max", design, "squares", y, 0.1 * most, 0.5)
    bits = (signal + noise * rng.logistic(size=n) > np.median(signal)).astype(float)
    for share in (0.1, 0.02):
        most = float(np.abs(X.T @ (bits - bits.mean())).max() / n)
        yield Problem(f"logistic, {share} of alpha_max", design, "logistic", bits, share * most)
        most = float(np.abs(X.T @ (bits - 0.5)).max() / n)
        name = f"logistic without intercept, {share} of alpha_max"
        yield Problem(name, design, "logistic", bits, share * most, intercept=False)


def judged(problem: Problem, X: Any, found: tuple[Any, float]) -> tuple[float, float]:
    """Objective and slope."""
    objective = problem.objective(X)
    d = X.shape[1]
    theta = np.append(found[0], found[1]) if problem.intercept else np.asarray(found[0])
    gradient = objective.bare().value_and_gradient(theta)[1]
    wrong = objective.penalty.distance(theta[:d], gradient[:d]).max()  # type: ignore[union-attr]
    center = problem.y.mean() if problem.intercept else (0.5 if problem.kind == "logistic" else 0.0)
    start = np.abs(X.T @ (problem.y - center)).max() / X.shape[0] * (1 if problem.kind == "logistic" else 2)
    return objective.value(theta), float(max(wrong, np.abs(gradient[d:]).max(initial=0.0)) / start)


def warming(X: Any) -> list[tuple[Any, Problem]]:
    """Return a small piece of a design with a problem of each kind."""
    table = X[:200, :300]
    table = np.asfortranarray(table) if isinstance(table, np.ndarray) else table.tocsc()
    signal = np.asarray(table @ np.linspace(-1, 1, 300)).reshape(-1) + np.linspace(0, 1, 200)
    return [(table, problem) for problem in problems("", table, signal)]
