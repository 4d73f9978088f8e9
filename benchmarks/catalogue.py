"""Every loss that a linear model takes x {no penalty, L2, L1} on ten real data sets, against SciPy.

    python benchmarks/catalogue.py --output benchmarks/results/catalogue.json
    python benchmarks/catalogue.py --sets diabetes,wine --only huber,quantile

SciPy's optimum is that of L-BFGS-B on the same objective (L1: in the positive and negative parts of the coefficients),
of HiGHS where the problem is a linear programme, and of SLSQP on the dual where a loss of straight lines meets L2. For
convex losses "excess" is our objective above SciPy's, relative: at most 1e-6 is asked for, less than 0 says that
SciPy's is not the optimum. A loss that is not convex must end at a stationary point, or say that it did not.
"""

from __future__ import annotations

import argparse
import functools
import json
import pathlib
import time
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
from scipy.optimize import linprog, minimize

import lossmith as lm
from lossmith.optimize import Objective, solve
from lossmith.optimize.smoothing import is_piecewise_linear, kinks

DATA = pathlib.Path(__file__).parents[1] / "examples" / "data"
PENALTIES = {"none": None, "l2": lm.L2(0.01), "l1": lm.L1(0.01)}
ROWS = 200
CLASSES = 3
MOST = 1e-6


def losses() -> Iterator[Any]:
    """The losses of the catalogue that a linear model can be trained with, on raw scores."""
    yield from (lm.MeanSquaredError(), lm.MeanAbsoluteError(), lm.Huber(delta=0.5), lm.Huber(delta=1.35), lm.LogCosh())
    yield from (lm.PseudoHuber(delta=0.3), lm.Quantile(q=0.1), lm.Quantile(q=0.9), lm.BinaryCrossEntropy(), lm.Hinge())
    yield from (lm.SquaredHinge(), lm.BinaryFocal(gamma=0.0, alpha=0.25), lm.PoissonNLL(), lm.GammaNLL())
    yield from (lm.Tweedie(power=1.2), lm.Tweedie(power=1.8), lm.CategoricalCrossEntropy())
    yield from (lm.CategoricalCrossEntropy(class_weights=(1.0, 3.0, 0.5)), lm.MultiMargin(p=1), lm.MultiMargin(p=2))
    yield from (lm.Tukey(c=4.685), lm.BinaryFocal(), lm.CategoricalFocal())


def sets() -> dict[str, Any]:
    """Loaders of the data sets: features and a number to predict."""
    import sklearn.datasets

    found: dict[str, Any] = {}
    for name in ("diabetes", "breast_cancer", "wine", "iris"):
        load = getattr(sklearn.datasets, f"load_{name}")
        found[name] = functools.partial(load, return_X_y=True)
    for name in ("randhie", "fair", "star98"):
        found[name] = functools.partial(packaged, name)
    for name, target in (("diamonds", "price"), ("bikes", "cnt"), ("abalone", "rings")):
        found[name] = functools.partial(table, name, target)
    return found


def packaged(name: str) -> tuple[Any, Any]:
    """A data set of statsmodels."""
    import statsmodels.api

    data = getattr(statsmodels.api.datasets, name).load_pandas()
    return data.exog, data.endog.to_numpy(float).reshape(len(data.endog), -1)[:, 0]


def table(name: str, target: str) -> tuple[Any, Any]:
    """The columns of a file of the examples that are numbers."""
    frame = pd.read_csv(DATA / f"{name}.csv").select_dtypes("number").dropna()
    wanted = target if target in frame.columns else frame.columns[-1]
    return frame.drop(columns=[wanted]), frame[wanted].to_numpy(float)


def standardised(load: Any, rows: int = ROWS) -> tuple[Any, Any]:
    """Some rows of a data set, features and target of mean 0 and size 1; constant columns stay, as zeros."""
    X, y = load()
    X, y = np.asarray(X, float), np.asarray(y, float)
    chosen = np.sort(np.random.default_rng(0).choice(len(y), min(rows, len(y)), replace=False))
    X, y = X[chosen], y[chosen]
    spread = X.std(axis=0)
    return (X - X.mean(axis=0)) / np.where(spread > 1e-9, spread, 1.0), (y - y.mean()) / y.std()


def targets(loss: Any, y: Any) -> Any:
    """The number as the loss wants it: a class above the mean, thirds, or counts about 3."""
    if loss.tier == "row-wise":
        return np.searchsorted(np.quantile(y, [1 / 3, 2 / 3]), y)
    high = (y > y.mean()).astype(float)
    if isinstance(loss, lm.Hinge | lm.SquaredHinge):
        return 2 * high - 1
    if loss.traits.task == "count":
        return np.round(3 * np.exp(0.5 * y)) + isinstance(loss, lm.GammaNLL)
    return high if loss.traits.task == "binary" else y


def least(objective: Objective) -> float:
    """SciPy's optimum."""
    l1, ridge = (0.0, 0.0) if objective.penalty is None else objective.penalty.parts
    if objective.loss.tier == "elementwise" and is_piecewise_linear(objective.loss):
        return dual(objective, ridge) if ridge else programme(objective, l1)
    if objective.loss.traits.kinks:
        return rows_programme(objective, l1) if not ridge else float("nan")
    return smooth(objective, l1)


def smooth(objective: Objective, l1: float) -> float:
    """L-BFGS-B, on the parts of the coefficients under L1; started again where it stops."""
    bare, p = objective.bare(), objective.size
    free = (objective.outputs or 1) * int(objective.intercept)
    m = p - free if l1 else 0

    def function(parts: Any) -> tuple[float, Any]:
        theta = np.concatenate([parts[:m] - parts[m : 2 * m], parts[2 * m :]])
        if l1:
            value, slope = bare.value_and_gradient(theta)
            return value + l1 * parts[: 2 * m].sum(), np.concatenate([slope[:m] + l1, l1 - slope[:m], slope[m:]])
        return objective.value_and_gradient(theta)

    bounds = [(0, None)] * (2 * m) + [(None, None)] * (p - m)
    options = {"ftol": 0.0, "gtol": 1e-11, "maxiter": 20_000, "maxfun": 100_000, "maxcor": 30}
    x = np.zeros(p + m)
    lowest = np.inf
    for _ in range(3):
        found = minimize(function, x, jac=True, method="L-BFGS-B", bounds=bounds, options=options)
        x, before, lowest = found.x, lowest, float(found.fun)
        if lowest >= before * (1 - 1e-12):
            break
    return lowest


def lines(objective: Objective) -> tuple[Any, Any, Any, Any]:
    """Features with a column of ones, the places of the kinks, and the slopes on both sides, weighted."""
    (kink,) = kinks(objective.loss, np.asarray(objective.y, float))
    low = objective.share * kink.left
    A = np.c_[objective.X, np.ones(len(low))]
    return A, kink.place, low, low + objective.share * kink.jump


def programme(objective: Objective, l1: float) -> float:
    """The linear programme, by HiGHS: raw = place + u - v."""
    A, place, low, high = lines(objective)
    n, d = objective.X.shape
    equations = np.hstack([A, -A[:, :d], -np.eye(n), np.eye(n)])
    cost = np.concatenate([np.full(d, l1), [0.0], np.full(d, l1), high, -low])
    bounds = [(0, None)] * d + [(None, None)] + [(0, None)] * (d + 2 * n)
    return float(linprog(cost, A_eq=equations, b_eq=place, bounds=bounds, method="highs").fun)


def rows_programme(objective: Objective, l1: float) -> float:
    """The linear programme of the multiclass hinge: a slack for each sample and each wrong class."""
    X, y, k = objective.X, np.asarray(objective.y), objective.outputs or 1
    n, d = X.shape
    blocks = []
    for i in range(n):
        for j in range(k):
            if j != y[i]:
                row = np.zeros((d, k))
                row[:, j], row[:, y[i]] = X[i], -X[i]
                ends = np.zeros(k)
                ends[j], ends[y[i]] = 1.0, -1.0
                blocks.append(np.concatenate([row.reshape(-1), -row.reshape(-1), ends]))
    A, m = np.array(blocks), d * k
    slack = len(A)
    cost = np.concatenate([np.full(2 * m, l1), np.zeros(k), np.full(slack, 1.0 / (n * k))])
    bounds = [(0, None)] * (2 * m) + [(None, None)] * k + [(0, None)] * slack
    right = np.full(slack, -objective.loss.margin)
    return float(linprog(cost, A_ub=np.hstack([A, -np.eye(slack)]), b_ub=right, bounds=bounds, method="highs").fun)


def dual(objective: Objective, ridge: float) -> float:
    """The dual under L2, by SLSQP: a number between its slopes for each sample, which sum to 0; a lower bound."""
    A, place, low, high = lines(objective)
    X = A[:, :-1]

    def function(g: Any) -> tuple[float, Any]:
        pulled = X.T @ g
        return float(pulled @ pulled / (4 * ridge) + g @ place), X @ pulled / (2 * ridge) + place

    scale = len(low)
    start = np.clip(0.0, low, high) * scale
    found = minimize(
        lambda g: (scale * function(g / scale)[0], function(g / scale)[1]),
        start,
        jac=True,
        method="SLSQP",
        bounds=list(zip(low * scale, high * scale, strict=True)),
        constraints={"type": "eq", "fun": np.sum, "jac": np.ones_like},
        options={"maxiter": 500, "ftol": 1e-12},
    )
    return -float(found.fun) / scale


def cell(loss: Any, penalty: Any, X: Any, y: Any) -> dict[str, Any]:
    """Our fit beside SciPy's."""
    outputs = CLASSES if loss.tier == "row-wise" else None
    objective = Objective.build(loss, X, targets(loss, y), penalty=penalty, outputs=outputs)
    began = time.process_time()
    found = solve(loss, X, objective.y, penalty=penalty, outputs=outputs)
    seconds = time.process_time() - began
    start = float(found.history.objective[0])
    convex = bool(loss.traits.convex)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        oracle = least(objective) if convex else float("nan")
    result = {"status": found.status, "objective": found.objective, "optimality": found.optimality, "seconds": seconds}
    return result | {"convex": convex, "scipy": oracle, "excess": excess(found.objective, oracle, start)}


def excess(ours: float, theirs: float, start: float) -> float:
    """How much higher our objective is, relative; to the start's where classes can be separated and the least is 0."""
    return (ours - theirs) / (abs(theirs) if abs(theirs) > 1e-4 * abs(start) else abs(start) or 1.0)


def good(result: dict[str, Any]) -> bool:
    """Whether a cell holds what is claimed."""
    if not np.isfinite(result["objective"]):
        return False
    if result["convex"] and np.isfinite(result["scipy"]):
        return bool(result["excess"] <= MOST)
    return bool(result["optimality"] <= 1e-6 or result["status"] != "converged")


def main() -> None:
    """Run all cells."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sets", help="names, with commas")
    parser.add_argument("--only", help="parts of names of losses, with commas")
    parser.add_argument("--rows", type=int, default=ROWS)
    parser.add_argument("--output", help="a JSON file to write")
    given = parser.parse_args()
    results, bad = {}, 0
    for name, load in sets().items():
        if given.sets and name not in given.sets.split(","):
            continue
        X, y = standardised(load, given.rows)
        for loss in losses():
            if given.only and not any(part in repr(loss).lower() for part in given.only.lower().split(",")):
                continue
            for kind, penalty in PENALTIES.items():
                one = results[f"{name} | {loss!r} | {kind}"] = cell(loss, penalty, X, y)
                if not good(one):
                    bad += 1
                    words = f"{one['status']:15s} excess {one['excess']:.1e}"
                    print(f"{name:14s} {loss!r:60.60s} {kind:5s} {words}", flush=True)
        print(f"{name}: {len(results)} cells so far, {bad} not as they should be", flush=True)
    if given.output:
        pathlib.Path(given.output).write_text(
            json.dumps({"cells": len(results), "bad": bad, "results": results}, indent=1)
        )


if __name__ == "__main__":
    main()
