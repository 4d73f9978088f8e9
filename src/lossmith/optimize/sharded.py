"""Fits over shards: few passes over rows that are never in memory together, same coefficients as if they were.

A fit of a sample says where to start; it is off by sampling only, so that Newton's method needs a handful of passes.
Each pass brings value, gradient and curvature at once; where a step was too long, one pass tries a ladder of shorter
ones.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ..core.loss import Loss
from .bars import Bar
from .constant import best_constant
from .objective import Objective
from .passes import Model, Passes
from .penalties import Penalty
from .progress import Descent, Progress
from .result import Solution, Step
from .shards.blocks import Shards
from .smoothing import is_piecewise_linear
from .solvers.automatic import made_solver, must_fit, sweep_of
from .survey import Survey, survey
from .sweeps import MATRIX_UP_TO, Sweep, Swept

Array = npt.NDArray[np.float64]

# Numbers in the sample (16 MB) at most, and its share of what may be held.
_SAMPLE = 2**21
_SAMPLE_SHARE = 8
# How well the problem of the sample is solved: its solution is off by sampling anyway.
_ROUGHLY = 1e-4


@dataclass(frozen=True)
class Settings:
    """What a fit over shards is told.

    Attributes
    ----------
    penalty : Penalty or None
        On the coefficients.
    intercept : bool
        Whether to fit one.
    outputs : int or None
        Number of classes for row-wise losses.
    start : (coefficients, intercept) or None
        Where to start; None for the solution of a sample.
    solver : Solver or str
        "auto", or one that has a way down over shards.
    tolerance, max_iterations, max_seconds, watch, bar
        As in :func:`lossmith.optimize.solve`.
    """

    penalty: Penalty | None = None
    intercept: bool = True
    outputs: int | None = None
    start: tuple[Any, Any] | None = None
    solver: Any = "auto"
    tolerance: float = 1e-8
    max_iterations: int = 1000
    max_seconds: float = float("inf")
    watch: Callable[[Step], Any] | None = None
    bar: bool = False


def solve_shards(loss: Loss, shards: Shards, settings: Settings, known: Survey | None = None) -> Solution:
    """Minimise the mean loss over shards plus a penalty.

    Parameters
    ----------
    loss : Loss
        Elementwise or row-wise, on raw scores.
    shards : Shards
        The rows, with their targets and weights.
    settings : Settings
        Everything else.
    known : Survey, optional
        Of these shards, if there is one already.

    Returns
    -------
    Solution
        Its history counts how often the rows were read.

    Raises
    ------
    ValueError
        For data or arguments that do not fit.
    """
    from .solve import told

    began = time.perf_counter()
    sweep = _must_fit(loss, shards, settings)
    seen = survey(shards, loss, settings.outputs, sample_numbers(shards)) if known is None else known
    passes = Passes(shards, Model(loss, settings.intercept, settings.outputs, seen.weight), settings.penalty)
    passes.count = 1  # the survey, here or before
    sample = _sampled(loss, seen, settings)

    with Bar.shown(settings.bar, settings.tolerance) as line:
        progress = Progress(settings.tolerance, settings.max_iterations, began + settings.max_seconds)
        progress.watch = told(sample, progress, settings.watch, line)
        progress.unit = _unit(sample)
        progress.count(passes)
        theta = _start(sample, settings, progress)
        descent = sweep.descend(Swept(passes, theta, seen, sample, progress))
    return _solution(sample, descent, sweep.title(loss, settings.penalty), progress, began)


def sample_numbers(shards: Shards) -> int:
    """Return how many numbers the sample of a survey may hold."""
    return min(_SAMPLE, shards.memory // (8 * _SAMPLE_SHARE))


def _must_fit(loss: Loss, shards: Shards, settings: Settings) -> Sweep:
    """Return the way down, or say what does not fit."""
    name, size = type(loss).__name__, shards.features * (settings.outputs or 1)
    if loss.tier not in ("elementwise", "row-wise"):
        raise ValueError(f"{name} is of the {loss.tier} tier; a linear model takes the others")
    if (settings.outputs is None) != (loss.tier == "elementwise"):
        raise ValueError(
            f"outputs={settings.outputs} does not fit the {loss.tier} loss {name}; "
            "row-wise losses need a number of columns, elementwise ones None"
        )
    if loss.traits.kinks and (loss.tier == "row-wise" or not is_piecewise_linear(loss)):
        raise ValueError(f"{name} has kinks that no method takes over shards; give a smooth loss, or fit in memory")
    if loss.traits.kinks and size > MATRIX_UP_TO:
        raise ValueError(f"{name} over shards takes up to {MATRIX_UP_TO} features, not {size}; give a smooth loss")
    smooth = settings.penalty is None or settings.penalty.smooth
    if size > MATRIX_UP_TO and not smooth and loss.tier == "row-wise":
        raise ValueError(
            f"{settings.penalty!r} with {name} over shards takes up to {MATRIX_UP_TO} coefficients, not {size}; give L2"
        )
    solver = made_solver(settings.solver)
    must_fit(solver, loss, settings.penalty)
    return sweep_of(solver, loss, settings.penalty, size + (settings.outputs or 1) * int(settings.intercept))


def _sampled(loss: Loss, seen: Survey, settings: Settings) -> Objective:
    block = seen.sample
    return Objective.build(
        loss, block.X, block.y, block.weights, settings.penalty, settings.intercept, settings.outputs
    )


def _unit(sample: Objective) -> float:
    """The largest component of the gradient at the best constant, at least 1: what a tolerance is relative to."""
    theta = np.zeros(sample.size)
    if sample.intercept:
        theta[-(sample.outputs or 1) :] = best_constant(sample.loss, sample.y, sample.share, sample.outputs)
    return max(1.0, float(np.abs(sample.value_and_gradient(theta)[1]).max(initial=0.0)))


def _start(sample: Objective, settings: Settings, progress: Progress) -> Array:
    """Flatten the given start, or solve the problem of the sample."""
    start = settings.start
    if start is None:
        from .solve import solve

        found = solve(
            sample.loss,
            sample.X,
            sample.y,
            penalty=sample.penalty,
            sample_weight=sample.share,
            intercept=sample.intercept,
            outputs=sample.outputs,
            tolerance=max(_ROUGHLY, settings.tolerance),
            max_seconds=max(progress.deadline - time.perf_counter(), 0.0),
        )
        start = found.coefficients, found.intercept
    coefficients, intercept = (np.asarray(part, np.float64).reshape(-1) for part in start)
    theta = np.concatenate([coefficients, intercept if sample.intercept else intercept[:0]])
    if theta.shape != (sample.size,):
        raise ValueError(f"start holds {theta.size} numbers; this problem has {sample.size}")
    return theta


def _solution(sample: Objective, descent: Descent, method: str, progress: Progress, began: float) -> Solution:
    from .solve import MESSAGES

    coefficients, intercept = sample.split(descent.theta)
    return Solution(
        coefficients,
        intercept,
        descent.status,
        float(min(progress.history)) if descent.gap is None else progress.history[-1],
        descent.optimality,
        0.0,
        progress.steps,
        time.perf_counter() - began,
        progress.recorded(descent),
        f"{method} over shards",
        MESSAGES[descent.status].format(optimality=descent.optimality, steps=progress.steps),
        descent.gap,
    )
