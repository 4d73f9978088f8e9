"""LightGBM and XGBoost trained with our objective, against their own: time and held-out score.

    python benchmarks/boosters.py                     # a million rows, 100 rounds, two threads
    python benchmarks/boosters.py --rows 1e5 --rounds 20 --threads 1 --only lightgbm --loss quantile

Both train on one dataset object, in turns, each time in the other order; times are medians of whole trainings (for
ours: label check and best constant included, compiling not), "cpu" is the ratio of medians of CPU time. The score is
our loss on rows that nobody saw. About six minutes on two quiet cores; --json is written after each contest.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np

import lossmith as lm

DELTA, QUANTILE = 0.9, 0.9
LOSSES: dict[str, Any] = {
    "logistic": lm.BinaryCrossEntropy(),
    "huber": lm.Huber(delta=DELTA),
    "pseudo-huber": lm.PseudoHuber(delta=DELTA),
    "quantile": lm.Quantile(q=QUANTILE),
    "poisson": lm.PoissonNLL(),
    "softmax": lm.CategoricalCrossEntropy(),
    "squared": lm.MeanSquaredError(),
    "absolute": lm.MeanAbsoluteError(),
}
# LightGBM has no pseudo-Huber loss, and XGBoost no other Huber loss.
BAR = ("logistic", "huber", "pseudo-huber", "quantile", "poisson")
OWN = {
    "lightgbm": {
        "logistic": {"objective": "binary"},
        "huber": {"objective": "huber", "alpha": DELTA},
        "quantile": {"objective": "quantile", "alpha": QUANTILE},
        "poisson": {"objective": "poisson"},
        "softmax": {"objective": "multiclass", "num_class": 3},
        "squared": {"objective": "regression"},
        "absolute": {"objective": "regression_l1"},
    },
    "xgboost": {
        "logistic": {"objective": "binary:logistic"},
        "pseudo-huber": {"objective": "reg:pseudohubererror", "huber_slope": DELTA},
        "quantile": {"objective": "reg:quantileerror", "quantile_alpha": QUANTILE},
        "poisson": {"objective": "count:poisson"},
        "softmax": {"objective": "multi:softprob", "num_class": 3},
        "squared": {"objective": "reg:squarederror"},
        "absolute": {"objective": "reg:absoluteerror"},
    },
}
SETTINGS = {
    "lightgbm": {"learning_rate": 0.1, "verbosity": -1, "force_row_wise": True, "deterministic": True, "seed": 0},
    "xgboost": {"learning_rate": 0.1, "max_depth": 0, "grow_policy": "lossguide", "tree_method": "hist", "seed": 0},
}


@dataclasses.dataclass(frozen=True)
class Contest:
    """One library and loss, on one dataset: two ways of training, and how a model predicts raw scores."""

    builtin: Callable[[int], Any]
    ours: Callable[[int], Any]
    raw: Callable[[Any], np.ndarray]


def rows(name: str, n: int, d: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Features and targets with something to learn."""
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, d), np.float32)
    signal = np.sin(2 * X[:, 0]) + X[:, 1] * X[:, 2] + 1.5 * X[:, 3]
    if name == "logistic":
        y = signal + rng.logistic(size=n) > 0
    elif name == "poisson":
        y = rng.poisson(np.exp(0.4 * signal))
    elif name == "softmax":
        y = np.digitize(signal + rng.logistic(size=n), [-1.0, 1.0])
    else:
        y = 5 + signal + 0.5 * rng.standard_t(3, n)
    return X, y.astype(np.float32)


def with_lightgbm(name: str, params: dict[str, Any], train: Any, test: Any) -> Contest:
    import lightgbm

    params = {**SETTINGS["lightgbm"], **params}
    data = lightgbm.Dataset(*train, params=params).construct()
    booster = lm.to_lightgbm(LOSSES[name])
    return Contest(
        lambda rounds: lightgbm.train({**params, **OWN["lightgbm"][name]}, data, rounds),
        lambda rounds: booster.train(params, data, rounds),
        lambda model: model.predict(test, raw_score=True),
    )


def with_xgboost(name: str, params: dict[str, Any], train: Any, test: Any) -> Contest:
    import xgboost

    params = {**SETTINGS["xgboost"], "nthread": params["num_threads"], "max_leaves": params["num_leaves"]}
    data, held_out = xgboost.QuantileDMatrix(*train), xgboost.DMatrix(test)
    booster = lm.to_xgboost(LOSSES[name])
    # Its own estimate of the start of a pseudo-Huber loss is far off, and training diverges from there.
    start = {"base_score": booster.init_score(train[1])} if name == "pseudo-huber" else {}
    return Contest(
        lambda rounds: xgboost.train({**params, **start, **OWN["xgboost"][name]}, data, rounds),
        lambda rounds: booster.train(params, data, rounds),
        lambda model: model.predict(held_out, output_margin=True),
    )


LIBRARIES = {"lightgbm": with_lightgbm, "xgboost": with_xgboost}


def timed(work: Callable[[int], Any], rounds: int) -> tuple[tuple[float, float], Any]:
    """Return wall and CPU seconds, and the model."""
    began, busy = time.perf_counter(), time.process_time()
    result = work(rounds)
    return (time.perf_counter() - began, time.process_time() - busy), result


def measure(library: str, name: str, options: argparse.Namespace) -> dict[str, Any]:
    """Train in turns; return times, scores and the largest difference of raw scores."""
    params = {"num_threads": options.threads, "num_leaves": options.leaves}
    train, test = (rows(name, n, options.features, seed) for n, seed in ((options.rows, 0), (options.test_rows, 1)))
    contest = LIBRARIES[library](name, params, train, test[0])
    contest.builtin(2), contest.ours(2)  # compiles
    times: dict[str, list[tuple[float, float]]] = {"builtin": [], "ours": []}
    scores: dict[str, np.ndarray] = {}
    for turn in range(options.repeats):
        for side in ("builtin", "ours") if turn % 2 == 0 else ("ours", "builtin"):
            seconds, model = timed(getattr(contest, side), options.rounds)
            times[side].append(seconds)
            scores[side] = contest.raw(model)
    (builtin, busy), (ours, our_busy) = (map(statistics.median, zip(*times[side], strict=True)) for side in times)
    loss, other, raw = LOSSES[name], scores["builtin"], scores["ours"]
    return {
        "library": library, "loss": name, "builtin_s": builtin, "ours_s": ours, "ratio": ours / builtin,
        "ratio_of_best": min(times["ours"])[0] / min(times["builtin"])[0], "cpu_ratio": our_busy / busy,
        "builtin_score": float(loss(test[1], other)), "our_score": float(loss(test[1], raw)),
        "largest_difference": float(np.abs(other - raw).max()),
    }  # fmt: skip


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in (("rows", 1e6), ("features", 20), ("rounds", 100), ("leaves", 31), ("threads", 2)):
        parser.add_argument(f"--{name}", type=lambda text: int(float(text)), default=int(default))
    parser.add_argument("--test-rows", type=lambda text: int(float(text)), default=200_000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--only", choices=LIBRARIES, nargs="*", default=list(LIBRARIES))
    parser.add_argument("--loss", choices=LOSSES, nargs="*", default=list(BAR))
    parser.add_argument("--json", help="write the figures to this file")
    return parser.parse_args()


def main() -> None:
    import numba

    options = arguments()
    numba.set_num_threads(min(options.threads, numba.config.NUMBA_NUM_THREADS))
    print(f"{options.rows} rows, {options.features} features, {options.rounds} rounds, {options.threads} threads")
    print(
        f"{'':20}{'built-in s':>12}{'ours s':>10}{'ratio':>8}{'(best)':>8}{'cpu':>8}"
        f"{'built-in':>12}{'ours':>12}{'differ by':>11}"
    )
    found = []
    for library in options.only:
        for name in [name for name in options.loss if name in OWN[library]]:
            found.append(row := measure(library, name, options))
            print(
                f"{library + ' ' + name:20}{row['builtin_s']:12.2f}{row['ours_s']:10.2f}{row['ratio']:8.3f}"
                f"{row['ratio_of_best']:8.3f}{row['cpu_ratio']:8.3f}{row['builtin_score']:12.6f}{row['our_score']:12.6f}"
                f"{row['largest_difference']:11.1e}",
                flush=True,
            )
            if options.json:  # after each contest: a run that is stopped keeps what it has
                with open(options.json, "w") as file:
                    json.dump({"settings": vars(options), "figures": found}, file, indent=1)


if __name__ == "__main__":
    main()
