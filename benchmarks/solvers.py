"""Penalised linear models: our solver against the specialised ones, to the same optimality, verified for both sides.

    python benchmarks/solvers.py                        # all problems, two threads, medians of three
    python benchmarks/solvers.py --only quantile,smooth --repeats 5

Each contender solves the problem from the same arrays, in turns. "gap" is its objective above the lowest that anyone
found, relative; "slope" the distance of minus the gradient from the penalty's subdifferential, relative to the gradient
of the null model (not given for losses with kinks). A peer that is not installed is left out. Penalties that hold
coefficients at 0 are raced by ``lasso.py``.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import platform
import statistics
import time
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

import lossmith as lm
from lossmith.optimize import Objective, solve

Fit = Callable[[], tuple[Any, float]]


@dataclasses.dataclass
class Problem:
    """A problem, and who solves it: functions that return coefficients and intercept."""

    name: str
    objective: Objective
    contenders: dict[str, Fit]
    bar: str = ""


def ours(objective: Objective, tolerance: float = 1e-8) -> Fit:
    """Our own contender."""

    def fit() -> tuple[Any, float]:
        found = solve(objective.loss, objective.X, objective.y, penalty=objective.penalty, tolerance=tolerance)
        return found.coefficients, found.intercept

    return fit


def fitted(make: Callable[[], Any], X: Any, y: Any) -> Fit:
    """Return a contender with scikit-learn's manners."""

    def fit() -> tuple[Any, float]:
        model = make().fit(X, y)
        return np.ravel(model.coef_), float(np.ravel(model.intercept_)[0])

    return fit


def features(n: int, d: int, seed: int = 0) -> tuple[Any, Any]:
    """Correlated normal features of unequal scale, and a signal of variance about 1."""
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, d))
    X[:, 1:] += 0.5 * X[:, :-1]
    w = rng.standard_normal(d) / d**0.5
    return X * np.geomspace(0.5, 2.0, d), X @ w


def quantile() -> Iterator[Problem]:
    from sklearn.linear_model import QuantileRegressor

    rng = np.random.default_rng(1)
    for n, d in ((10_000, 20), (1_000_000, 50)):
        X, signal = features(n, d)
        y = signal + rng.standard_t(1.5, n)
        objective = Objective.build(lm.Quantile(q=0.9), X, y)
        contenders = {"lossmith": ours(objective)}
        if n <= 10_000:
            make = lambda: QuantileRegressor(quantile=0.9, alpha=0.0)  # noqa: E731
            contenders["scikit-learn"] = fitted(make, X, y)
            contenders |= statsmodels_quantile(X, y)
        yield Problem(f"quantile 0.9, {n} x {d}", objective, contenders, ">= 50 x" if n <= 10_000 else "<= 60 s")


def statsmodels_quantile(X: Any, y: Any) -> dict[str, Fit]:
    try:
        from statsmodels.regression.quantile_regression import QuantReg
    except ImportError:
        return {}

    def fit() -> tuple[Any, float]:
        found = QuantReg(y, np.c_[X, np.ones(len(y))]).fit(q=0.9, p_tol=1e-10, max_iter=10_000).params
        return found[:-1], float(found[-1])

    return {"statsmodels": fit}


def smooth() -> Iterator[Problem]:
    from sklearn.linear_model import HuberRegressor, LogisticRegression, PoissonRegressor

    n, d = 200_000, 50
    X, signal = features(n, d)
    rng = np.random.default_rng(2)
    y = (signal + rng.logistic(size=n) > 0).astype(float)
    objective = Objective.build(lm.BinaryCrossEntropy(), X, y, penalty=lm.L2(1 / (2 * n)))
    peers = {
        f"scikit-learn {name}": fitted(lambda s=name, t=tol: LogisticRegression(solver=s, tol=t, max_iter=9999), X, y)
        for name, tol in (("lbfgs", 1e-9), ("newton-cholesky", 1e-8))
    }
    yield Problem(f"logistic, {n} x {d}", objective, {"lossmith": ours(objective)} | peers, ">= 2 x")

    y = signal + rng.standard_t(2, n)
    objective = Objective.build(lm.Huber(delta=1.35), X, y, penalty=lm.L2(1e-6))
    # It also estimates a scale: another objective, so that only its time is compared.
    peers = {
        "scikit-learn (with a scale)": fitted(lambda: HuberRegressor(alpha=n * 1e-6, tol=1e-8, max_iter=9999), X, y)
    }
    yield Problem(f"Huber, {n} x {d}", objective, {"lossmith": ours(objective)} | peers, ">= 3 x")

    y = rng.poisson(np.exp(0.5 * signal)).astype(float)
    objective = Objective.build(lm.PoissonNLL(), X, y, penalty=lm.L2(0.5 / n))
    peers = {
        f"scikit-learn {name}": fitted(
            lambda s=name: PoissonRegressor(alpha=1 / n, solver=s, tol=1e-9, max_iter=9999), X, y
        )
        for name in ("lbfgs", "newton-cholesky")
    }
    yield Problem(f"Poisson, {n} x {d}", objective, {"lossmith": ours(objective)} | peers, ">= 1.5 x")


def rates() -> Iterator[Problem]:
    """Gamma and Tweedie, on logarithms of rates."""
    from sklearn.linear_model import GammaRegressor, TweedieRegressor

    n, d = 200_000, 50
    X, signal = features(n, d)
    rng = np.random.default_rng(5)
    size = rng.gamma(2.0, np.exp(0.5 * signal) / 2.0)
    some = np.where(rng.random(n) < 0.3, 0.0, size)
    penalty = lm.L2(0.5 / n)
    for loss, y, make in (
        (lm.GammaNLL(), size + 1e-3, lambda s: GammaRegressor(alpha=1 / n, solver=s, tol=1e-9, max_iter=9999)),
        (
            lm.Tweedie(power=1.5),
            some,
            lambda s: TweedieRegressor(power=1.5, link="log", alpha=1 / n, solver=s, tol=1e-9, max_iter=9999),
        ),
    ):
        objective = Objective.build(loss, X, y, penalty=penalty)
        peers = {
            f"scikit-learn {s}": fitted(lambda make=make, s=s: make(s), X, y) for s in ("lbfgs", "newton-cholesky")
        }
        yield Problem(f"{type(loss).__name__}, {n} x {d}", objective, {"lossmith": ours(objective)} | peers, ">= 1.5 x")


def judged(objective: Objective, found: tuple[Any, float]) -> tuple[float, float | None]:
    """Objective, and the distance from stationarity where there is a gradient."""
    theta = np.append(found[0], found[1])
    if objective.loss.traits.kinks:
        return objective.value(theta), None
    gradient = objective.bare().value_and_gradient(theta)[1]
    wrong = objective.penalty.distance(theta[:-1], gradient[:-1]) if objective.penalty else np.abs(gradient[:-1])
    null = np.append(
        np.zeros(theta.size - 1), solve(objective.loss, np.zeros((len(objective.y), 1)), objective.y).intercept
    )
    start = np.abs(objective.bare().value_and_gradient(null)[1]).max()
    return objective.value(theta), float(max(wrong.max(), abs(gradient[-1])) / start)


def raced(problem: Problem, repeats: int) -> dict[str, Any]:
    """Time all contenders in turns, after one round that does not count (it compiles)."""
    times: dict[str, list[float]] = {name: [] for name in problem.contenders}
    results: dict[str, Any] = {}
    for turn in range(repeats + 1):
        for name, fit in problem.contenders.items():
            if turn and times[name] and times[name][0] > 30.0:
                continue
            began = time.perf_counter()
            results[name] = fit()
            seconds = time.perf_counter() - began
            if turn or seconds > 30.0:
                times[name].append(seconds)
    judgements = {name: judged(problem.objective, found) for name, found in results.items()}
    lowest = min(value for value, _ in judgements.values())
    rows = {
        name: {
            "seconds": statistics.median(times[name]),
            "gap": (judgements[name][0] - lowest) / abs(lowest),
            "slope": judgements[name][1],
        }
        for name in problem.contenders
    }
    best = min((row["seconds"] for name, row in rows.items() if name != "lossmith"), default=None)
    ratio = None if best is None else best / rows["lossmith"]["seconds"]
    return {"problem": problem.name, "bar": problem.bar, "times_faster_than_best_peer": ratio, "contenders": rows}


def show(result: dict[str, Any]) -> None:
    """Print one problem."""
    ratio = result["times_faster_than_best_peer"]
    print(
        f"{result['problem']}: " + ("no peer" if ratio is None else f"{ratio:.2f} x (bar {result['bar']})"), flush=True
    )
    for name, row in result["contenders"].items():
        slope = "" if row["slope"] is None else f", slope {row['slope']:.1e}"
        print(f"    {name:28s} {row['seconds']:9.3f} s   gap {row['gap']:.1e}{slope}", flush=True)


def main() -> None:
    """Run the problems."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    kinds = {"quantile": quantile, "smooth": smooth, "rates": rates}
    parser.add_argument("--only", default=",".join(kinds), help=f"of {', '.join(kinds)}, with commas")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--output", help="a JSON file to write")
    given = parser.parse_args()
    warnings.simplefilter("ignore")
    results = []
    for kind in given.only.split(","):
        for problem in kinds[kind]():
            results.append(raced(problem, given.repeats))
            show(results[-1])
    if given.output:
        about = {"machine": platform.platform(), "processors": os.cpu_count(), "numpy": np.__version__}
        with open(given.output, "w") as file:
            json.dump({"about": about, "results": results}, file, indent=1)


if __name__ == "__main__":
    main()
