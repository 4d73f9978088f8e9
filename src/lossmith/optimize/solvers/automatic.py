"""Which solver suits a problem, and one line where none or a given one does not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ..objective import Objective
from ..parts import parse
from ..penalties import Penalty
from ..progress import Descent, Progress
from ..searches import SEARCHES
from ..sweeps import Sweep, suited
from .base import SOLVERS, Solver
from .first import LBFGS, ProximalGradient
from .kinked import InteriorPoint, Smoothing
from .margins import MarginLines
from .needs import Needs
from .rows import RowNewton
from .second import GaussNewton, Newton, ProximalNewton, SampledNewton

Array = npt.NDArray[np.float64]

# The first that fits and suits the size is taken: those that prove most and cost least come first.
_ORDER: tuple[Solver, ...] = (
    InteriorPoint(),
    MarginLines(),
    RowNewton(),
    Smoothing(),
    ProximalNewton(),
    SampledNewton(),
    Newton(),
    GaussNewton(),
    LBFGS(),
    ProximalGradient(),
)
# Losses that are named where one does not fit.
_EXAMPLES = 4


@SOLVERS.register("auto")
@dataclass(frozen=True)
class Automatic(Solver):
    """The solver that suits loss, penalty and size.

    Examples
    --------
    >>> import lossmith as lm
    >>> X, y = [[0.0], [1.0], [2.0]], [1.0, 3.0, 5.0]
    >>> [lm.solve(loss, X, y).method for loss in (lm.Huber(), lm.MeanAbsoluteError(), lm.Tukey())]
    ['newton', 'interior', 'irls']
    """

    @property
    def needs(self) -> Needs:
        """Nothing that all others would not need."""
        return Needs(kinks="any", penalty="proximal")

    def missing(self, loss: Any, penalty: Penalty | None) -> tuple[str, ...]:
        """Return what is lacking if no solver fits."""
        lacking = None
        for solver in reversed(_ORDER):
            found = solver.missing(loss, penalty)
            if not found:
                return ()
            lacking = found if lacking is None or len(found) < len(lacking) else lacking
        return lacking or ()

    def suits(self, objective: Objective) -> bool:
        """Tell that it is a choice among others."""
        return False

    def sweep(self, loss: Any, penalty: Penalty | None, size: int) -> Sweep | None:
        """Return the way down over shards that suits."""
        return suited(loss, penalty, size)

    def chosen(self, objective: Objective) -> Solver:
        """Return the solver that runs.

        Parameters
        ----------
        objective : Objective
            Of a pair that fits.
        """
        loss, penalty = objective.loss, objective.penalty
        suited = (solver for solver in _ORDER if solver.suits(objective) and not solver.missing(loss, penalty))
        fitting = (solver for solver in reversed(_ORDER) if not solver.missing(loss, penalty))
        return next(suited, None) or next(fitting)

    def descend(self, objective: Objective, theta: Array, progress: Progress) -> Descent:
        """Minimise; see :class:`Solver`."""
        return self.chosen(objective).descend(objective, theta, progress)


def made_solver(spec: Any) -> Solver:
    """Return the solver behind a Solver or its name.

    Parameters
    ----------
    spec : Solver or str
        A solver, a name, or a call in text such as ``"gd(search=constant(step=0.1))"``.

    Raises
    ------
    TypeError, ValueError
        For anything else; names what there is.

    Examples
    --------
    >>> made_solver("gd(search=armijo)")
    GradientDescent(search=Armijo(decrease=0.0001, shrink=0.5))
    """
    found = parse(spec, SOLVERS, (SEARCHES,)) if isinstance(spec, str) else spec
    if not isinstance(found, Solver):
        raise TypeError(f"solver={spec!r} is not accepted; give a Solver, or the name of one: {_list(SOLVERS.names())}")
    return found


def must_be_penalty(penalty: Any) -> None:
    """Refuse what is no penalty, such as the name of one, which says nothing of its strength.

    Raises
    ------
    TypeError
        One line.
    """
    if penalty is not None and not isinstance(penalty, Penalty):
        raise TypeError(f"penalty={penalty!r} is not accepted; give None or a Penalty, such as L1(alpha=0.1)")


def must_fit(solver: Solver, loss: Any, penalty: Penalty | None) -> None:
    """Refuse a pair that a solver cannot minimise.

    Raises
    ------
    ValueError
        One line: what is missing, which solvers fit, and which losses.
    TypeError
        For what is no penalty.
    """
    must_be_penalty(penalty)
    lacking = solver.missing(loss, penalty)
    if not lacking:
        return
    fit = fitting_solvers(loss, penalty)
    instead = f"solver={fit[0]!r} fits" if len(fit) == 1 else f"solvers that fit: {', '.join(fit)}"
    name = getattr(loss, "name", type(loss).__name__)
    under = f" under {penalty!r}" if penalty is not None else ""
    who = "no solver minimises" if isinstance(solver, Automatic) else f"{solver} cannot minimise"
    parts = [f"{who} {name}{under}: it needs {' and '.join(lacking)}"]
    parts += [instead] if fit else []
    losses = fitting_losses(solver, loss, penalty)
    parts += [f"losses that {solver.name} takes: {', '.join(losses)}"] if losses else []
    raise ValueError("; ".join(parts))


def sweep_of(solver: Solver, loss: Any, penalty: Penalty | None, size: int) -> Sweep:
    """Return a solver's way down over shards.

    Raises
    ------
    ValueError
        One line where it has none, or none for this penalty or size.
    """
    found = solver.sweep(loss, penalty, size)
    if found is None:
        everyone = (SOLVERS.build(name, {}) for name in SOLVERS.names())
        names = (
            other.name
            for other in everyone
            if (way := other.sweep(loss, penalty, size)) is not None
            and not (way.lacking(penalty, size) or other.missing(loss, penalty))
        )
        raise ValueError(f"{solver} does not work over shards; solvers that do, for these: {_list(tuple(names))}")
    if line := found.lacking(penalty, size):
        raise ValueError(f"{solver} over shards {line}")
    return found


def fitting_solvers(loss: Any, penalty: Penalty | None) -> tuple[str, ...]:
    """Return the names of the solvers that fit a loss and a penalty, without "auto".

    Parameters
    ----------
    loss : Loss
        On raw scores.
    penalty : Penalty or None
        On the coefficients.
    """
    everyone = (SOLVERS.build(name, {}) for name in SOLVERS.names() if name != Automatic.name)
    return tuple(solver.name for solver in everyone if not solver.missing(loss, penalty))


def fitting_losses(solver: Solver, like: Any, penalty: Penalty | None) -> tuple[str, ...]:
    """Return names of losses for the same task that fit a solver and a penalty; a few."""
    from ...core.registry import find

    found = [
        loss.name
        for loss in find(task=like.traits.task)
        if loss.tier == like.tier and not solver.missing(loss, penalty)
    ]
    return tuple(name for name in found if name != getattr(like, "name", ""))[:_EXAMPLES]


def _list(names: tuple[str, ...]) -> str:
    return ", ".join(names)
