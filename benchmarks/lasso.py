"""Lasso, elastic net and sparse logistic regression against scikit-learn, skglm and celer, on large designs.

    python benchmarks/lasso.py                                         # all: 10000 x 10000 dense, 20000 x 47000 sparse
    python benchmarks/lasso.py --only sparse --repeats 5 --limit 30
    python benchmarks/lasso.py --tolerances benchmarks/results/lasso.json --output benchmarks/results/lasso.json

Everyone solves the same problem from the same arrays (dense ones in columns, as the others want them) until the
slope, the largest distance of minus the gradient from the penalty's subdifferential relative to the gradient of the
null model, is 1e-8 or less. Each solver stops by a rule of its own: its tolerance is made ten times smaller, from a
loose one, until that slope is reached; ``--tolerances`` takes those that an earlier run found. Solvers live in a
process each, compile on a small problem first, and are stopped after ``--limit`` seconds a fit, which is then the
figure. Medians of rounds in turns, more of them where fits are short; beside wall time, the least time of the process
on all its threads, which other work disturbs less.
"""

from __future__ import annotations

import argparse
import importlib
import json
import multiprocessing
import os
import platform
import statistics
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from sparse_problems import Problem, dense, judged, problems, sparse, warming

from lossmith.optimize import solve

# The slope that counts as solved; tolerances below that are not tried.
SOLVED = 1e-8
_LEAST = 1e-15
# Rounds at most, however short.
_MOST = 50


@dataclass(frozen=True)
class Peer:
    """A solver: what fits a problem at a tolerance, None if it cannot; its loosest tolerance."""

    name: str
    fit: Callable[[Problem, Any, float], tuple[Any, float] | None]
    loosest: float = 1e-5


def ours(problem: Problem, X: Any, tolerance: float) -> tuple[Any, float]:
    """Lossmith."""
    o = problem.objective(X)
    found = solve(o.loss, X, o.y, penalty=o.penalty, intercept=problem.intercept, tolerance=tolerance)
    return found.coefficients, found.intercept


def ours_in_rows(problem: Problem, X: Any, tolerance: float) -> tuple[Any, float] | None:
    """Lossmith on the same dense design in C order, which others would copy."""
    if not isinstance(X, np.ndarray) or ROWS is None:
        return None
    return ours(problem, ROWS if X.shape == ROWS.shape else np.ascontiguousarray(X), tolerance)


def scikit_learn(problem: Problem, X: Any, tolerance: float) -> tuple[Any, float] | None:
    """scikit-learn; its quick solver for logistic regression, liblinear, penalises an intercept."""
    from sklearn.linear_model import ElasticNet, Lasso, LogisticRegression

    a, many = problem.strength, 99_999
    if problem.kind == "logistic":
        if problem.intercept:
            return None
        c = 1 / (a * X.shape[0])
        model: Any = LogisticRegression(
            l1_ratio=1.0, C=c, solver="liblinear", tol=tolerance, max_iter=9999, fit_intercept=False
        )
    elif problem.share == 1.0:
        model = Lasso(alpha=a, tol=tolerance, max_iter=many)
    else:
        model = ElasticNet(alpha=a, l1_ratio=problem.share, tol=tolerance, max_iter=many)
    return coefficients(model.fit(X, problem.y))


def skglm(problem: Problem, X: Any, tolerance: float) -> tuple[Any, float]:
    """The library skglm."""
    import skglm

    a, rest = problem.strength, {"tol": tolerance, "max_iter": 200, "fit_intercept": problem.intercept}
    if problem.kind == "logistic":
        model: Any = skglm.SparseLogisticRegression(alpha=a, **rest)
    elif problem.share == 1.0:
        model = skglm.Lasso(alpha=a, **rest)
    else:
        model = skglm.ElasticNet(alpha=a, l1_ratio=problem.share, **rest)
    return coefficients(model.fit(X, problem.y))


def celer(problem: Problem, X: Any, tolerance: float) -> tuple[Any, float] | None:
    """The library celer; its logistic regression has no intercept."""
    import celer

    a = problem.strength
    if problem.kind == "logistic":
        if problem.intercept:
            return None
        model: Any = celer.LogisticRegression(C=1 / (a * X.shape[0]), tol=tolerance, max_iter=200)
    elif problem.share == 1.0:
        model = celer.Lasso(alpha=a, tol=tolerance)
    else:
        model = celer.ElasticNet(alpha=a, l1_ratio=problem.share, tol=tolerance)
    return coefficients(model.fit(X, problem.y))


def coefficients(model: Any) -> tuple[Any, float]:
    """Return those of a model, and its intercept."""
    return np.ravel(model.coef_), float(np.ravel(model.intercept_)[0])


PEERS = (
    Peer("lossmith", ours, SOLVED),
    Peer("lossmith, rows", ours_in_rows, SOLVED),
    Peer("scikit-learn", scikit_learn),
    Peer("skglm", skglm, 1e-6),
    Peer("celer", celer),
)
ROWS: Any = None


def served(fit: Any, X: Any, tasks: list[Problem], warm: list[tuple[Any, Problem]], pipe: Any) -> None:
    """Work in a process: compile, then fit what is asked for."""
    warnings.simplefilter("ignore")
    for table, problem in warm:
        fit(problem, table, 1e-6)
    pipe.send("ready")
    while True:
        place, tolerance = pipe.recv()
        began, used = time.perf_counter(), time.process_time()
        found = fit(tasks[place], X, tolerance)
        pipe.send((time.perf_counter() - began, time.process_time() - used, found))


class Server:
    """A solver in a process of its own, which is replaced when it takes too long."""

    def __init__(self, peer: Peer, X: Any, tasks: list[Problem], warm: list[tuple[Any, Problem]]) -> None:
        self.peer, self.rest = peer, (X, tasks, warm)
        self._process: Any = None

    def run(self, place: int, tolerance: float, limit: float) -> tuple[float, float, Any] | None:
        """Fit; seconds, processor seconds and what was found, None beyond the limit."""
        if self._process is None:
            self._start()
        self._pipe.send((place, tolerance))
        if self._pipe.poll(limit):
            return self._pipe.recv()  # type: ignore[no-any-return]
        self.close()
        return None

    def _start(self) -> None:
        context = multiprocessing.get_context("fork")  # the design is shared, not copied
        self._pipe, other = context.Pipe()
        self._process = context.Process(target=served, args=(self.peer.fit, *self.rest, other), daemon=True)
        self._process.start()
        other.close()  # so that its end is seen
        if not self._pipe.poll(300):
            raise SystemExit(f"{self.peer.name} did not start within 300 s")
        self._pipe.recv()

    def close(self) -> None:
        """End the process."""
        if self._process is not None:
            self._process.kill()
            self._process.join()
            self._process = None


@dataclass
class Row:
    """What is known of a solver on a problem."""

    tolerance: float
    slope: float = float("inf")
    value: float = float("inf")
    note: str = ""

    def __post_init__(self) -> None:
        self.wall: list[float] = []
        self.cpu: list[float] = []


def calibrated(
    server: Server, X: Any, tasks: list[Problem], place: int, given: float | None, limit: float
) -> Row | None:
    """Find the loosest tolerance that solves the problem; None where the solver has no such model."""
    row = Row(given or server.peer.loosest)
    while True:
        got = server.run(place, row.tolerance, limit)
        if got is None:
            row.note = f"> {limit:g} s"
            return row
        if got[2] is None:
            return None
        value, slope = judged(tasks[place], X, got[2])
        better = slope < 0.9 * row.slope
        row.value, row.slope = value, slope
        if slope <= SOLVED:
            return row
        if row.tolerance <= _LEAST or not (better or row.tolerance > 1e-10):
            row.note = "never solved"
            row.wall, row.cpu = [got[0]], [got[1]]
            return row
        row.tolerance *= 0.1


def raced(X: Any, servers: list[Server], tasks: list[Problem], place: int, known: Any, given: Any) -> dict[str, Any]:
    """Calibrate all solvers on a problem, then time them in turns."""
    rows: dict[str, Row] = {}
    for server in servers:
        row = calibrated(server, X, tasks, place, known.get(server.peer.name), given.limit)
        if row is not None:
            rows[server.peer.name] = row
    began = time.perf_counter()
    for turn in range(_MOST):
        if turn >= given.repeats and time.perf_counter() - began > given.seconds:
            break
        for server in servers:
            row = rows.get(server.peer.name)
            if row is None or row.note or (row.wall and row.wall[0] > 0.5 * given.limit):
                continue
            wall, cpu, _ = server.run(place, row.tolerance, 2 * given.limit) or (np.inf, np.inf, None)
            row.wall.append(wall)
            row.cpu.append(cpu)
    return summary(tasks[place], rows)


def summary(problem: Problem, rows: dict[str, Row]) -> dict[str, Any]:
    """Return the figures of a problem."""
    lowest = min(row.value for row in rows.values())
    contenders = {
        name: {
            "seconds": statistics.median(row.wall) if row.wall else None,
            "cpu_seconds": min(row.cpu) if row.cpu else None,
            "tolerance": row.tolerance,
            "slope": row.slope if row.slope < np.inf else None,
            "gap": (row.value - lowest) / abs(lowest) if row.value < np.inf else None,
            "rounds": len(row.wall),
            "note": row.note,
        }
        for name, row in rows.items()
    }
    ratios = {}
    for unit in ("seconds", "cpu_seconds"):
        solved = [row[unit] for name, row in contenders.items() if not name.startswith("lossmith") and not row["note"]]
        ratios[unit] = min(solved) / contenders["lossmith"][unit] if solved and rows["lossmith"].wall else None
    return {
        "problem": f"{problem.design}: {problem.name}",
        "bar": ">= 1 x",
        "times_faster": ratios,
        "contenders": contenders,
    }


def show(result: dict[str, Any]) -> None:
    """Print one problem."""
    ratios = [f"{value:.2f} x ({unit})" for unit, value in result["times_faster"].items() if value is not None]
    print(f"{result['problem']}: {', '.join(ratios) or 'no peer solved it'}", flush=True)
    for name, row in result["contenders"].items():
        wall = "         " if row["seconds"] is None else f"{row['seconds']:8.3f} s, cpu {row['cpu_seconds']:8.3f} s"
        slope = "" if row["slope"] is None else f"  slope {row['slope']:.1e}  gap {row['gap']:.1e}"
        print(f"    {name:16s}{wall}{slope}  tolerance {row['tolerance']:.0e}  {row['note']}", flush=True)


def main() -> None:
    """Run the problems."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="sparse,dense", help="of sparse, dense, with commas")
    parser.add_argument("--problems", default="", help="a part of the names of those to run")
    parser.add_argument("--repeats", type=int, default=3, help="rounds at least")
    parser.add_argument("--seconds", type=float, default=10.0, help="rounds of short fits go on for so long")
    parser.add_argument("--limit", type=float, default=60.0, help="seconds a fit may take")
    parser.add_argument("--tolerances", help="results of an earlier run, whose tolerances are tried first")
    parser.add_argument("--output", help="a JSON file to write")
    given = parser.parse_args()
    known: dict[str, Any] = {}
    if given.tolerances and os.path.exists(given.tolerances):
        with open(given.tolerances) as file:
            for result in json.load(file)["results"]:
                rows = result["contenders"].items()
                known[result["problem"]] = {name: row["tolerance"] for name, row in rows if not row["note"]}
    results = []
    for design in given.only.split(","):
        for result in designed(design, known, given):
            results.append(result)
            show(result)
            keep(results, given.output)


def keep(results: list[dict[str, Any]], output: str | None) -> None:
    """Write what is there after each problem, so that a run that is stopped loses nothing."""
    if output:
        about = {"machine": platform.platform(), "processors": os.cpu_count(), "numpy": np.__version__}
        with open(output, "w") as file:
            json.dump({"about": about, "results": results}, file, indent=1)


def designed(design: str, known: dict[str, Any], given: Any) -> Iterator[dict[str, Any]]:
    """Yield the results on one design."""
    global ROWS
    X, signal = {"dense": dense, "sparse": sparse}[design]()
    ROWS = X if isinstance(X, np.ndarray) else None
    X = np.asfortranarray(X) if isinstance(X, np.ndarray) else X
    tasks = [problem for problem in problems(design, X, signal) if given.problems in problem.name]
    servers = [Server(peer, X, tasks, warming(X)) for peer in PEERS if there(peer)]
    try:
        for place, problem in enumerate(tasks):
            yield raced(X, servers, tasks, place, known.get(f"{design}: {problem.name}", {}), given)
    finally:
        for server in servers:
            server.close()


def there(peer: Peer) -> bool:
    """Tell whether a library is installed."""
    try:
        importlib.import_module({"scikit-learn": "sklearn"}.get(peer.name, peer.name.split(",")[0]))
    except ImportError:
        return False
    return True


if __name__ == "__main__":
    main()
