"""Fits over files that are larger than the memory allowed, and time against the number of rows.

    python benchmarks/out_of_core.py --output benchmarks/results/out_of_core.json --plot benchmarks/results/scaling.png
    python benchmarks/out_of_core.py --only memory --megabytes 2000

"memory": a table in a .npy and in a Parquet file, fitted in a process of its own whose address space is limited
(RLIMIT_AS) to what it has after its imports plus a tenth of the table; the peak that it had is measured. The
coefficients are compared with those of a fit in memory. "rows": time, steps and passes for 10,000, 100,000 and
1,000,000 rows of 20 features, in memory and over shards; the slope of log(time) against log(rows) is 1 where time is
proportional to rows.
"""

from __future__ import annotations

import argparse
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time
from typing import Any

import numpy as np

import lossmith as lm
from lossmith.optimize import solve

LOSSES = ("huber", "bce", "quantile(q=0.9)")
FEATURES = 20

CHILD = """
import json, resource, sys
import numpy as np
import lossmith as lm
kind, path, loss, allowed = sys.argv[1:]

def made(memory):
    if kind == "npy":
        return lm.shards.from_memmap(path + "/X.npy", path + "/" + loss.split("(")[0] + ".npy", memory=memory)
    columns = [f"x{i}" for i in range(20)]
    return lm.shards.from_parquet(path + "/table.parquet", loss.split("(")[0], columns, memory=memory)

def peak():
    # not ru_maxrss, which starts with what the parent had
    return int(next(line for line in open("/proc/self/status") if line.startswith("VmHWM")).split()[1]) / 1024

rng = np.random.default_rng(0)
X = rng.standard_normal((40_000, 20))
y = (X[:, 0] + rng.standard_normal(40_000) > 0).astype(float)
lm.solve(lm.get(loss), lm.shards.from_arrays(X, y, rows=35_000))  # imports and compilers
table = made(int(allowed) // 8)
next(iter(table.each(lambda block: block.X.shape)))
before, size = peak(), int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
limit = size + int(allowed)
resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
found = lm.solve(lm.get(loss), table, tolerance=1e-11)
print(json.dumps([before, peak(), found.status, float(found.history.passes[-1]), found.seconds,
                  found.coefficients.tolist()]))
"""


def drawn(rows: int, seed: int = 0) -> tuple[Any, dict[str, Any]]:
    """Features, and a target for each loss."""
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((rows, FEATURES))
    signal = X @ np.linspace(-1.0, 1.0, FEATURES)
    heavy = signal + rng.standard_t(2, rows)
    return X, {"huber": heavy, "quantile": heavy, "bce": (signal + rng.logistic(size=rows) > 0).astype(float)}


def memory(megabytes: int) -> list[dict[str, Any]]:
    """Fit tables of that size with a tenth of it."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = megabytes * 1_000_000 // (8 * FEATURES)
    results = []
    with tempfile.TemporaryDirectory() as folder:
        X, targets = drawn(rows)
        np.save(f"{folder}/X.npy", X)
        columns = {f"x{i}": X[:, i] for i in range(FEATURES)} | targets
        pq.write_table(pa.table(columns), f"{folder}/table.parquet", row_group_size=50_000, compression="none")
        expected = {
            loss: solve(lm.get(loss), X, targets[loss.split("(")[0]], tolerance=1e-11).coefficients for loss in LOSSES
        }
        for name, y in targets.items():
            np.save(f"{folder}/{name}.npy", y)
        del X, targets, columns
        for kind in ("npy", "parquet"):
            for loss in LOSSES:
                results.append(limited(kind, folder, loss, megabytes * 100_000, expected[loss]))
                print(results[-1], flush=True)
    return results


def limited(kind: str, folder: str, loss: str, allowed: int, expected: Any) -> dict[str, Any]:
    """Fit in a process that may take so many bytes more than it has."""
    environment = {**os.environ, "PYTHONPATH": str(pathlib.Path(lm.__file__).parents[1])}
    environment |= dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS"), "1")
    command = [sys.executable, "-c", CHILD, kind, folder, loss, str(allowed)]
    ran = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    result: dict[str, Any] = {"file": kind, "loss": loss, "allowed_mb": allowed / 1e6}
    if ran.returncode:
        return result | {"failed": ran.stderr.strip().splitlines()[-1]}
    before, peak, status, passes, seconds, coefficients = json.loads(ran.stdout)
    difference = float(np.abs(np.array(coefficients) - expected).max())
    grown = round((peak - before) * 1.048576, 1)
    result |= {"peak_mb": round(peak * 1.048576, 1), "grown_mb": grown, "status": status, "passes": passes}
    return result | {"seconds": seconds, "difference": difference}


def rows(repeats: int) -> list[dict[str, Any]]:
    """Time against the number of rows; CPU time, the least of some."""
    results = []
    for loss in LOSSES:
        for where in ("memory", "shards"):
            line = []
            for n in (10_000, 100_000, 1_000_000):
                X, targets = drawn(n)
                y = targets[loss.split("(")[0]]
                data = (X, y) if where == "memory" else (lm.shards.from_arrays(X, y),)
                best, found = np.inf, None
                for _ in range(repeats):
                    began = time.process_time()
                    found = solve(lm.get(loss), *data)
                    best = min(best, time.process_time() - began)
                line.append({"rows": n, "seconds": best, "passes": float(found.history.passes[-1])})
            times = [one["seconds"] for one in line]
            slope = float(np.polyfit(np.log([one["rows"] for one in line]), np.log(times), 1)[0])
            results.append({"loss": loss, "where": where, "slope": slope, "sizes": line})
            print(results[-1], flush=True)
    return results


def draw(results: list[dict[str, Any]], path: str) -> None:
    """Draw time against rows."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(5, 3.6), layout="constrained")
    for one in results:
        label = f"{one['loss']}, {one['where']} (slope {one['slope']:.2f})"
        style = "-o" if one["where"] == "memory" else "--s"
        axes.loglog([s["rows"] for s in one["sizes"]], [s["seconds"] for s in one["sizes"]], style, ms=4, label=label)
    axes.set(xlabel="rows of 20 features", ylabel="CPU seconds", title="Time against the number of rows")
    axes.legend(fontsize=7)
    figure.savefig(path, dpi=110)


def main() -> None:
    """Run what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=("memory", "rows"))
    parser.add_argument("--megabytes", type=int, default=2000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--output", help="a JSON file to write")
    parser.add_argument("--plot", help="a picture to write")
    given = parser.parse_args()
    results: dict[str, Any] = {}
    if given.only != "memory":
        results["rows"] = rows(given.repeats)
        if given.plot:
            draw(results["rows"], given.plot)
    if given.only != "rows":
        results["memory"] = memory(given.megabytes)
    if given.output:
        pathlib.Path(given.output).write_text(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
