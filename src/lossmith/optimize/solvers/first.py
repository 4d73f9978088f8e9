"""Solvers that see gradients only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ...core.parameters import flag, optional, positive, share, whole
from ..descents import lbfgs
from ..gradient import Adaptive, along, gradient_descent, heavy_ball
from ..objective import Objective
from ..penalties import Penalty
from ..progress import Descent, Progress
from ..proximal import proximal_gradient
from ..searches import Armijo, Polyak, Search, largest_curvature, searched
from ..sweeps import ProximalSweep, QuasiNewtonSweep, Sweep
from .base import SOLVERS, Solver
from .needs import Needs

Array = npt.NDArray[np.float64]


@SOLVERS.register("gd", aliases=("gradient_descent", "subgradient"))
@dataclass(frozen=True)
class GradientDescent(Solver):
    """Gradient descent; on losses with kinks, subgradient descent.

    Parameters
    ----------
    search : Search or str, optional
        How long a step is. None: Armijo's rule where there is a gradient everywhere, Polyak's step where a loss has
        kinks. The textbook's learning rate is ``Constant(0.01)``.

    References
    ----------
    Cauchy (1847), Methode generale pour la resolution des systemes d'equations simultanees. Shor (1985), Minimization
    Methods for Non-Differentiable Functions.

    Examples
    --------
    >>> import lossmith as lm
    >>> X, y = [[0.0], [1.0], [2.0]], [1.0, 3.0, 5.0]
    >>> found = lm.solve(lm.Huber(), X, y, solver=lm.solvers.GradientDescent(search=lm.solvers.Armijo()))
    >>> found.status, found.coefficients.round(6).tolist()
    ('converged', [2.0])
    """

    search: Search | None = searched()  # noqa: RUF009

    @property
    def needs(self) -> Needs:
        """A gradient, or a search for subgradients."""
        if self.search is not None and self.search.takes_kinks:
            return Needs(kinks="any", penalty="elastic")
        return Needs(kinks="any" if self.search is None else "none")

    def missing(self, loss: Any, penalty: Penalty | None) -> tuple[str, ...]:
        """Return what is lacking, for the search, too."""
        lacking = "" if self.search is None else self.search.missing(loss)
        return (*self.needs.missing(loss, penalty), *([lacking] if lacking else []))

    def suits(self, objective: Objective) -> bool:
        """Tell that others are quicker."""
        return False

    def descend(self, objective: Objective, theta: Array, progress: Progress) -> Descent:
        """Minimise; see :class:`Solver`."""
        smooth = not objective.loss.traits.kinks and (objective.penalty is None or objective.penalty.smooth)
        search = self.search or (Armijo() if smooth else Polyak())
        return gradient_descent(objective, theta, progress, along(search.begin(objective, 0.0)), smooth)


@SOLVERS.register("momentum", aliases=("heavy_ball",))
@dataclass(frozen=True)
class Momentum(Solver):
    """Gradient descent that repeats a share of its last move (Polyak's heavy ball).

    Parameters
    ----------
    step : float, optional
        Factor on the gradient; None: 1 over the largest curvature of the objective.
    momentum : float
        The share, in [0, 1).

    References
    ----------
    Polyak (1964), Some methods of speeding up the convergence of iteration methods, USSR Comput. Math. Math. Phys. 4.

    Examples
    --------
    >>> import lossmith as lm
    >>> lm.solve(lm.LogCosh(), [[0.0], [1.0], [2.0]], [1.0, 3.0, 5.0], solver="momentum").status
    'converged'
    """

    step: float | None = optional(positive(1.0))
    momentum: float = share(0.9)

    @property
    def needs(self) -> Needs:
        """A gradient, and bounded curvature unless a step is given."""
        return Needs(bounded=self.step is None)

    def suits(self, objective: Objective) -> bool:
        """Tell that others are quicker."""
        return False

    def descend(self, objective: Objective, theta: Array, progress: Progress) -> Descent:
        """Minimise; see :class:`Solver`."""
        step = self.step or 1.0 / largest_curvature(objective)
        return gradient_descent(objective, theta, progress, heavy_ball(step, self.momentum))


@SOLVERS.register("nesterov", aliases=("accelerated_gradient",))
@dataclass(frozen=True)
class Nesterov(Solver):
    """Accelerated gradient descent: momentum, dropped whenever it points uphill, and steps by backtracking.

    References
    ----------
    Nesterov (1983), A method for solving the convex programming problem with convergence rate O(1/k^2), Soviet Math.
    Dokl. 27.

    Examples
    --------
    >>> import lossmith as lm
    >>> lm.solve(lm.LogCosh(), [[0.0], [1.0], [2.0]], [1.0, 3.0, 5.0], solver="nesterov").status
    'converged'
    """

    @property
    def needs(self) -> Needs:
        """A gradient."""
        return Needs()

    def suits(self, objective: Objective) -> bool:
        """Tell that others are quicker."""
        return False

    def sweep(self, loss: Any, penalty: Penalty | None, size: int) -> Sweep | None:
        """Return its way down over shards."""
        return ProximalSweep()

    def descend(self, objective: Objective, theta: Array, progress: Progress) -> Descent:
        """Minimise; see :class:`Solver`."""
        return proximal_gradient(objective, theta, progress)


@SOLVERS.register("adam")
@dataclass(frozen=True)
class Adam(Solver):
    """Adam on all samples: each parameter's step is its mean gradient in units of the gradient's size.

    With a step of one length Adam circles around the minimum for ever; here it is halved whenever the objective has not
    fallen for a while.

    Parameters
    ----------
    step : float
        First length of a step, in units of the parameters.
    first : float
        Decay of the mean of gradients, in [0, 1).
    second : float
        Decay of the mean of their squares, in [0, 1).
    patience : int
        Steps without a new lowest objective before the step is halved.

    References
    ----------
    Kingma and Ba (2015), Adam: a method for stochastic optimization, ICLR.

    Examples
    --------
    >>> import lossmith as lm
    >>> found = lm.solve(lm.Huber(), [[0.0], [1.0], [2.0]], [1.0, 3.0, 5.0], solver="adam(step=0.5)", tolerance=1e-6)
    >>> found.coefficients.round(4).tolist()
    [2.0]
    """

    step: float = positive(0.1)
    first: float = share(0.9)
    second: float = share(0.999)
    patience: int = whole(10, at_least=1)

    @property
    def needs(self) -> Needs:
        """A gradient, or a subgradient."""
        return Needs(kinks="any", penalty="elastic")

    def suits(self, objective: Objective) -> bool:
        """Tell that others are quicker."""
        return False

    def descend(self, objective: Objective, theta: Array, progress: Progress) -> Descent:
        """Minimise; see :class:`Solver`."""
        smooth = not objective.loss.traits.kinks and (objective.penalty is None or objective.penalty.smooth)
        move = Adaptive(self.step, (self.first, self.second), self.patience)
        return gradient_descent(objective, theta, progress, move, smooth)


@SOLVERS.register("lbfgs", aliases=("l_bfgs", "l_bfgs_b"))
@dataclass(frozen=True)
class LBFGS(Solver):
    """Limited-memory BFGS, by SciPy; under L1 on the positive and negative parts of the coefficients.

    Parameters
    ----------
    memory : int
        Steps that are remembered.

    References
    ----------
    Byrd, Lu, Nocedal and Zhu (1995), A limited memory algorithm for bound constrained optimization, SIAM J. Sci.
    Comput. 16.

    Examples
    --------
    >>> import lossmith as lm
    >>> lm.solve(lm.LogCosh(), [[0.0], [1.0], [2.0]], [1.0, 3.0, 5.0], solver="lbfgs").method
    'lbfgs'
    """

    memory: int = whole(20, at_least=1)

    @property
    def needs(self) -> Needs:
        """A gradient; losses on rows of scores may have kinks."""
        return Needs(kinks="rows", penalty="elastic")

    def sweep(self, loss: Any, penalty: Penalty | None, size: int) -> Sweep | None:
        """Return its way down over shards."""
        return QuasiNewtonSweep()

    def descend(self, objective: Objective, theta: Array, progress: Progress) -> Descent:
        """Minimise; see :class:`Solver`."""
        return lbfgs(objective, theta, progress, self.memory)


@SOLVERS.register("proximal_gradient", aliases=("fista",))
@dataclass(frozen=True)
class ProximalGradient(Solver):
    """Gradient steps on the loss, each followed by a step towards the penalty: any penalty will do.

    Parameters
    ----------
    accelerate : bool
        Whether to add momentum (FISTA), dropped whenever it points uphill; False: ISTA.

    References
    ----------
    Beck and Teboulle (2009), A fast iterative shrinkage-thresholding algorithm, SIAM J. Imaging Sci. 2.

    Examples
    --------
    >>> import lossmith as lm
    >>> X, y = [[0.0, 1.0], [1.0, 0.0], [2.0, 1.0]], [1.0, 3.0, 5.0]
    >>> found = lm.solve(lm.MeanSquaredError(), X, y, penalty=lm.L1(0.5), solver="fista")
    >>> round(float(found.coefficients[0]), 6), bool(found.coefficients[1] == 0.0)
    (1.625, True)
    """

    accelerate: bool = flag(True)

    @property
    def needs(self) -> Needs:
        """A gradient of the loss, a proximal step of the penalty."""
        return Needs(penalty="proximal")

    def sweep(self, loss: Any, penalty: Penalty | None, size: int) -> Sweep | None:
        """Return its way down over shards."""
        return ProximalSweep(self.accelerate)

    def descend(self, objective: Objective, theta: Array, progress: Progress) -> Descent:
        """Minimise; see :class:`Solver`."""
        return proximal_gradient(objective, theta, progress, self.accelerate)
