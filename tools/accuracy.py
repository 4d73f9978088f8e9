"""Print the largest error of every elementwise loss against the oracle: `python tools/accuracy.py --help`.

The points are those of the tests' catalogue; ``--dense N`` adds N random predictions for each hard target.
Both ways of evaluation are measured, NumPy and the compiled kernel.
"""

from __future__ import annotations

import argparse
import pathlib
import sys
from collections.abc import Iterator
from typing import Any

import numpy as np

ROOT = pathlib.Path(__file__).parents[1]
sys.path[:0] = [str(ROOT / "src"), str(ROOT / "tests")]

from catalogue import ELEMENTWISE, ElementwiseCase  # noqa: E402
from checks import Worst, orders_of, worst_error  # noqa: E402
from lossmith.engine import fused  # noqa: E402


def dense_points(case: ElementwiseCase, n: int, dtype: Any) -> tuple[Any, Any]:
    """Random predictions where a formula is at work: around the target, or over the whole unit interval."""
    rng = np.random.default_rng(0)
    unit = case.loss.prediction_domain.contains(np.array([1.5, -0.5]))
    targets = np.repeat(np.asarray(case.targets[:3], dtype), n)
    if not unit.any():
        return targets, rng.random(len(targets)).astype(dtype)
    f = rng.normal(0, 1, len(targets)) * 10.0 ** rng.uniform(-2, 1.5, len(targets))
    near = case.loss.traits.task == "regression"
    f = targets + f if near else f
    return targets, (np.abs(f) if not unit[1] else f).astype(dtype)


def measure(case: ElementwiseCase, dtype: Any, path: str, dense: int) -> Iterator[tuple[str, Worst]]:
    """Yield the largest error of value, gradient and Hessian."""
    fused.KERNEL_FROM = 1 if path == "kernel" else 2**62
    y, f = case.points(dtype)
    if dense:
        more_y, more_f = dense_points(case, dense, dtype)
        y, f = np.r_[y, more_y], np.r_[f, more_f]
    for order, got in orders_of(case.loss, y, f).items():
        yield order, worst_error(case, order, y, f, got)


def main() -> None:
    """Measure, print a line for each case, and a summary."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--dense", type=int, default=0, help="random predictions for each of three targets")
    parser.add_argument("--only", default="", help="losses whose text holds this")
    options = parser.parse_args()
    dense, cases = options.dense, [case for case in ELEMENTWISE if options.only in case.id]
    largest: dict[tuple[str, str], tuple[Worst, str]] = {}
    count = 0
    for case in cases:
        for dtype in (np.float64, np.float32):
            name = np.dtype(dtype).name
            for path in ("numpy", "kernel"):
                for order, worst in measure(case, dtype, path, dense):
                    count += worst.count
                    print(f"{case.id:60} {path:6} {name} {order:8} {worst}", flush=True)
                    if (name, order) not in largest or worst.ulps > largest[name, order][0].ulps:
                        largest[name, order] = (worst, f"{case.id}, {path}")
    print(f"\n{count} numbers of {len(cases)} losses. Largest errors:")
    for (name, order), (worst, where) in sorted(largest.items()):
        print(f"{name} {order:8} {worst.ulps:.2f} ulp: {where}, {worst}")


if __name__ == "__main__":
    main()
