"""Losses and solvers side by side on one file: how each fit converges, what it costs, and how good it is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from lossmith._version import __version__
from lossmith.core.loss import Loss
from lossmith.optimize import Penalty, Solution
from lossmith.optimize.solvers import Solver
from lossmith.workflow.linear import LinearLearner, Posed
from lossmith.workflow.single import Question

__all__ = ["Comparison", "Refused", "Run", "compare"]

Array = np.ndarray[Any, Any]
RECORD = "compare.json"
SCHEMA = 1

# One row in so many is held out; the reference fit goes this far.
_HELD_OUT = 5
_EXACT, _LONG = 1e-12, 10_000


@dataclass(frozen=True)
class Run:
    """One loss minimised by one solver.

    Attributes
    ----------
    loss, solver : str
        Names with their settings.
    method : str
        The solver that ran.
    status, message : str
        As of a Solution.
    iterations : int
        Steps.
    passes, seconds : float
        Of the whole fit: passes over the features, wall time.
    objective : float
        Mean loss plus penalty where it ended, in the loss's own unit.
    above : float
        By how much that exceeds the lowest objective that anyone reached, as a share of that at the start.
    scores : dict
        On rows that were held out; these compare across losses.
    share : list of float
        Height above the lowest objective at the start and after each step, as a share of that at the start.
    clock : list of float
        Seconds at the same moments.
    """

    loss: str
    solver: str
    method: str
    status: str
    message: str
    iterations: int
    passes: float
    seconds: float
    objective: float
    above: float
    scores: dict[str, float | None]
    share: list[float]
    clock: list[float]


@dataclass(frozen=True)
class Refused:
    """A pair that does not fit, and why."""

    loss: str
    solver: str
    reason: str


@dataclass(frozen=True)
class Comparison:
    """All runs of a comparison.

    Attributes
    ----------
    question : Question
        Data and target.
    penalty : Penalty
        On standardised coefficients.
    rows : tuple of int
        Learned from, held out.
    runs : tuple of Run
        In the order asked for.
    refused : tuple of Refused
        Pairs that do not fit.
    """

    question: Question
    penalty: Penalty
    rows: tuple[int, int]
    runs: tuple[Run, ...]
    refused: tuple[Refused, ...]

    def record(self) -> dict[str, Any]:
        """Return all of it as plain data, for ``compare.json``."""
        dataset = self.question.dataset
        return {
            "schema": SCHEMA,
            "version": __version__,
            "data": {"path": dataset.path, "sha256": dataset.sha256, "rows": dataset.rows, "target": dataset.target},
            "task": self.question.facts.task,
            "penalty": repr(self.penalty),
            "rows": {"learned_from": self.rows[0], "held_out": self.rows[1]},
            "runs": list(self.runs),
            "refused": list(self.refused),
        }


def compare(
    question: Question,
    losses: Sequence[tuple[str, Loss]],
    solvers: Sequence[Solver],
    penalty: Penalty,
    *,
    tolerance: float = 1e-8,
    max_iterations: int = 1000,
    max_seconds: float = 60.0,
    seed: int = 0,
    tell: Callable[[str], None] | None = None,
) -> Comparison:
    """Fit every loss with every solver that fits it, from the same start.

    Parameters
    ----------
    question : Question
        Data and target; a fifth of the rows is held out.
    losses : sequence of (name, Loss)
        For its task.
    solvers : sequence of Solver
        With their settings.
    penalty : Penalty
        On the standardised coefficients.
    tolerance, max_iterations, max_seconds
        Of each fit, as of :func:`lossmith.solve`.
    seed : int
        Of the rows that are held out.
    tell : callable, optional
        Is told what is being fitted.

    Returns
    -------
    Comparison

    Raises
    ------
    ValueError
        When no solver fits any loss; says why the first does not.
    """
    train, held = _split(question, seed)
    limits = {"tolerance": tolerance, "max_iterations": max_iterations, "max_seconds": max_seconds}
    runs: list[Run] = []
    refused: list[Refused] = []
    for name, loss in losses:
        fit = [way for way in solvers if not way.missing(loss, penalty)]
        refused += [Refused(name, str(way), _why(way, loss, penalty)) for way in solvers if way not in fit]
        if not fit:
            continue
        posed = LinearLearner(loss, penalty=penalty).posed(
            question.X[train], question.y[train], classes=question.classes
        )
        found = [_told(tell, name, way, lambda w=way, p=posed: p.solve(w, **limits)) for way in fit]  # type: ignore[misc]
        lowest = _lowest(posed, found, max_seconds)
        for way, solution in zip(fit, found, strict=True):
            scores = question.scores(posed.fitted(solution), held)
            runs.append(_run(name, way, solution, lowest, scores))
    if not runs:
        raise ValueError(f"nothing to compare: {refused[0].solver} with {refused[0].loss} needs {refused[0].reason}")
    return Comparison(question, penalty, (len(train), len(held)), tuple(runs), tuple(refused))


def _told(tell: Callable[[str], None] | None, name: str, way: Solver, work: Callable[[], Solution]) -> Solution:
    if tell is not None:
        tell(f"{name} with {way}")
    return work()


def _why(way: Solver, loss: Loss, penalty: Penalty) -> str:
    return " and ".join(way.missing(loss, penalty))


def _split(question: Question, seed: int) -> tuple[Array, Array]:
    """Hold out one row in five, of every class where there are classes."""
    rng = np.random.default_rng(seed)
    order = rng.permutation(question.y.size)
    if question.classes:
        order = order[np.argsort(question.y[order], kind="stable")]
    held = np.zeros(question.y.size, bool)
    held[order[_HELD_OUT // 2 :: _HELD_OUT]] = True
    return np.flatnonzero(~held), np.flatnonzero(held)


def _lowest(posed: Posed, found: Sequence[Solution], seconds: float) -> float:
    """Return the lowest objective of all fits, and of one that goes as far as it can."""
    exact = posed.solve(tolerance=_EXACT, max_iterations=_LONG, max_seconds=seconds)
    return min(exact.objective, *(solution.objective for solution in found))


def _run(name: str, way: Solver, found: Solution, lowest: float, scores: dict[str, float | None]) -> Run:
    height = max(float(found.history.objective[0]) - lowest, 1e-300)
    return Run(
        loss=name,
        solver=str(way),
        method=found.method,
        status=found.status,
        message=found.message,
        iterations=found.iterations,
        passes=float(found.history.passes[-1]),
        seconds=found.seconds,
        objective=found.objective,
        above=(found.objective - lowest) / height,
        scores=scores,
        share=[float(max(value, 0.0)) for value in (found.history.objective - lowest) / height],
        clock=found.history.seconds.tolist(),
    )
