"""How long a step is: constant, Armijo, strong Wolfe, Polyak."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from ..core.parameters import Check, custom, fraction, optional, positive
from .descents import Stepper
from .lines import CURVATURE, DECREASE, Line, strong_wolfe
from .objective import Objective
from .parts import Part, Registry, parse
from .penalties import Elastic

Array = npt.NDArray[np.float64]
SEARCHES = Registry("search")

# Numbers of parameters up to which the largest eigenvalue is computed; beyond, it is iterated, and this much is added.
_EXACT = 500
_ITERATIONS = 60
_SAFETY = 1.05
# Halvings of a step before a line is given up.
_HALVINGS = 60


@dataclass(frozen=True)
class Search(Part, ABC):
    """A rule for the length of steps; :meth:`begin` makes what remembers the steps of one fit."""

    takes_kinks: ClassVar[bool] = False

    @abstractmethod
    def begin(self, objective: Objective, first: float) -> Stepper:
        """Return a function from a line to the length of a step, None where no step descends.

        Parameters
        ----------
        objective : Objective
            What will be minimised.
        first : float
            Length to try first; 0 where nothing suggests one.
        """

    def missing(self, loss: Any) -> str:
        """Return what the search needs and the loss lacks, in words; empty if nothing."""
        return ""


@SEARCHES.register("constant", aliases=("fixed",))
@dataclass(frozen=True)
class Constant(Search):
    """Steps of one length, the learning rate of textbooks.

    Parameters
    ----------
    step : float, optional
        Factor on the direction. None: for gradients 1 over the largest curvature of the objective, with which gradient
        descent on a convex loss cannot rise; for Newton directions 1. A step more than twice that diverges.

    Examples
    --------
    >>> import lossmith as lm
    >>> found = lm.solve(
    ...     lm.MeanSquaredError(), [[0.0], [1.0], [2.0]], [1.0, 3.0, 5.0], solver="gd(search=constant(step=9))"
    ... )
    >>> found.status, found.message
    ('diverged', 'steps led away from the minimum; take a shorter step, or search=armijo')
    """

    step: float | None = optional(positive(1.0))
    takes_kinks: ClassVar[bool] = True

    def begin(self, objective: Objective, first: float) -> Stepper:
        """Return the same step for every line."""
        step = self.step or first or 1.0 / largest_curvature(objective)
        return lambda line: step

    def missing(self, loss: Any) -> str:
        """Return that a length must be given where curvature has no bound."""
        if self.step is not None or np.isfinite(loss.traits.smooth):
            return ""
        return f"a loss of bounded curvature, or a step (the curvature of {loss.name} has no bound)"


@SEARCHES.register("armijo", aliases=("backtracking",))
@dataclass(frozen=True)
class Armijo(Search):
    """Backtracking: the step shrinks until a share of the promised decrease is there.

    Parameters
    ----------
    decrease : float
        The share, in (0, 1).
    shrink : float
        Factor on a step that was too long, in (0, 1). The next line starts from the last step over this factor.

    References
    ----------
    Armijo (1966), Minimization of functions having Lipschitz continuous first partial derivatives, Pacific J. Math. 16.

    Examples
    --------
    >>> import lossmith as lm
    >>> lm.solvers.GradientDescent(search=lm.solvers.Armijo(shrink=0.3))
    GradientDescent(search=Armijo(decrease=0.0001, shrink=0.3))
    """

    decrease: float = fraction(DECREASE)
    shrink: float = fraction(0.5)

    def begin(self, objective: Objective, first: float) -> Stepper:
        """Return a search that starts from the last step, a little longer."""
        last = 0.0

        def search(line: Line) -> float | None:
            nonlocal last
            # Close to the minimum the objective is flat to the last bit, and only the slope still tells.
            slack = 2.0 * float(np.finfo(np.float64).eps) * abs(line.value)
            t = first or (last / self.shrink if last else first_guess(line))
            for _ in range(_HALVINGS):
                there, slope = line.at(t)
                lower = there <= line.value + self.decrease * t * line.slope
                flat = there <= line.value + slack and abs(slope) <= abs(line.slope)
                if line.slope < 0 and (lower or flat):
                    last = t
                    return t
                t *= self.shrink
            return None

        return search


@SEARCHES.register("strong_wolfe", aliases=("wolfe",))
@dataclass(frozen=True)
class StrongWolfe(Search):
    """Steps after which the objective is lower and little slope is left along the line.

    Parameters
    ----------
    decrease : float
        Share of the promised decrease that must be there, in (0, 1).
    curvature : float
        Share of the slope that may be left, in (0, 1).

    References
    ----------
    Wolfe (1969), Convergence conditions for ascent methods, SIAM Review 11.

    Examples
    --------
    >>> import lossmith as lm
    >>> lm.solve(lm.LogCosh(), [[0.0], [1.0], [2.0]], [1.0, 3.0, 5.0], solver="gd(search=wolfe)").status
    'converged'
    """

    decrease: float = fraction(DECREASE)
    curvature: float = fraction(CURVATURE)

    def begin(self, objective: Objective, first: float) -> Stepper:
        """Return a search that starts from the last step, or from the one that was suggested."""
        last = first

        def search(line: Line) -> float | None:
            nonlocal last
            t = strong_wolfe(line, first or last or first_guess(line), self.decrease, self.curvature)
            last = t or last
            return t

        return search


@SEARCHES.register("polyak")
@dataclass(frozen=True)
class Polyak(Search):
    """Steps as long as the distance from the lowest objective and the gradient say; for losses with kinks, too.

    The step is (objective - lowest) / |gradient|^2. Where the lowest objective is not known it is taken to lie a little
    below the best so far, and that little is halved whenever it does not come true.

    Parameters
    ----------
    lowest : float, optional
        The lowest objective there is, such as 0 for a perfect fit; None: unknown.

    References
    ----------
    Polyak (1969), Minimization of unsmooth functionals, USSR Comput. Math. Math. Phys. 9. Nedic and Bertsekas (2001),
    Incremental subgradient methods for nondifferentiable optimization, SIAM J. Optim. 12.

    Examples
    --------
    >>> import lossmith as lm
    >>> X, y = [[0.0], [1.0], [2.0], [3.0], [4.0]], [1.0, 3.0, 5.0, 70.0, 9.0]
    >>> found = lm.solve(lm.MeanAbsoluteError(), X, y, solver="gd(search=polyak)", max_iterations=2000)
    >>> round(found.objective, 4)
    12.6
    """

    lowest: float | None = optional(custom(0.0, Check("a number", float, lambda v: (v,))))
    takes_kinks: ClassVar[bool] = True

    def begin(self, objective: Objective, first: float) -> Stepper:
        """Return steps towards the level that is known, or towards one that is sought."""
        if self.lowest is not None:
            known = self.lowest
            return lambda line: (line.value - known) / _square(line) if line.value > known else None
        return _Level()


class _Level:
    """Polyak's steps towards a level below the best objective so far, which comes nearer where it is not reached."""

    # Steps that a level is sought for, relative to the way that they go.
    _PATIENCE = 20

    def __init__(self) -> None:
        self._best, self._below, self._count, self._reference = np.inf, 0.0, 0, np.inf

    def __call__(self, line: Line) -> float | None:
        if not self._below:
            self._below, self._reference = 0.5 * abs(line.value) or 1.0, line.value
        self._best = min(self._best, line.value)
        self._count += 1
        if self._best <= self._reference - 0.5 * self._below:
            self._reference, self._count = self._best, 0
        elif self._count > self._PATIENCE:
            self._below, self._count, self._reference = 0.5 * self._below, 0, self._best
        if self._below < 1e-15 * (1.0 + abs(self._best)):
            return None
        return (line.value - self._best + self._below) / _square(line)


def _square(line: Line) -> float:
    return float(line.gradient @ line.gradient) or 1.0


def first_guess(line: Line) -> float:
    """Return the step to the minimum of a parabola with the slope here and a short way ahead; 1 if there is none."""
    nudge = 1e-4 / max(float(np.abs(line.change).max(initial=0.0)), 1e-300)
    curvature = (line.at(nudge)[1] - line.slope) / nudge
    guess = -line.slope / curvature if curvature > 0.0 else np.inf
    return guess if 0.0 < guess < np.inf else 1.0


def largest_curvature(objective: Objective) -> float:
    """Return a bound on the curvature of an objective with a loss of bounded curvature.

    Parameters
    ----------
    objective : Objective
        Of any number of outputs; an L2 part of the penalty counts.
    """
    from dataclasses import replace

    single = replace(objective, outputs=None, penalty=None)
    if single.size <= _EXACT:
        from scipy.linalg import eigvalsh

        k = single.size
        spread = float(eigvalsh(single.gram(objective.share), subset_by_index=[k - 1, k - 1])[0]) if k else 0.0
    else:
        spread = _SAFETY * _power_iteration(single)
    ridge = 2.0 * objective.penalty.parts[1] if isinstance(objective.penalty, Elastic) else 0.0
    return (float(objective.loss.traits.smooth) * spread + ridge) or 1.0


def _power_iteration(objective: Objective) -> float:
    v = np.random.default_rng(0).standard_normal(objective.size)
    size = 0.0
    for _ in range(_ITERATIONS):
        v = objective.pull(objective.share * objective.raw(v / np.linalg.norm(v)))
        size = float(np.linalg.norm(v))
    return size


def _search(value: Any) -> Search:
    found = parse(value, SEARCHES) if isinstance(value, str) else value
    if not isinstance(found, Search):
        raise TypeError
    return found


def searched() -> Any:
    """Declare a field for a search, None for the solver's own choice."""
    rule = f"a search, or the name of one: {', '.join(SEARCHES.names())}"
    return optional(custom(None, Check(rule, _search, lambda v: ())))
