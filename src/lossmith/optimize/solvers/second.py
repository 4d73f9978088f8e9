"""Solvers that see curvature."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from ..curvature import brake, reweighting
from ..descents import Curvature, Stepper, newton
from ..lines import strong_wolfe
from ..objective import Objective
from ..penalties import L2, Penalty
from ..progress import Descent, Progress
from ..sampled import pays, sampled_newton
from ..searches import Constant, Search, searched
from ..sweeps import NewtonSweep, Sweep
from ..working_sets import working_sets
from .base import SOLVERS, Solver
from .needs import Needs

Array = npt.NDArray[np.float64]

# Newton's matrix costs n d^2 a step; beyond this L-BFGS is quicker.
NEWTON_UP_TO = 500


def hessian_of(loss: Any) -> Curvature:
    """Return the loss's second derivative in the form that descents take."""
    return lambda y, raw, slope: loss.hessian(y, raw)


def steps_of(loss: Any) -> Curvature:
    """Return the curvature for Newton-like steps: exact for convex losses, else of parabolas above them."""
    return hessian_of(loss) if loss.traits.convex else reweighting(loss).compute


def _stepper(search: Search | None, objective: Objective) -> Stepper:
    return strong_wolfe if search is None else search.begin(objective, 1.0)


def _small(objective: Objective) -> bool:
    return objective.outputs is None and objective.size <= NEWTON_UP_TO


@SOLVERS.register("newton")
@dataclass(frozen=True)
class Newton(Solver):
    """Newton's method: each step solves a linear system with the matrix of second derivatives.

    Where that matrix is singular a small multiple of another one is added (Levenberg-Marquardt), so that steps stay
    finite. Losses with kinks have no second derivatives that help: those of the absolute error are 0 wherever they
    exist, and a matrix of zeros plus 1e-5 on its diagonal is gradient descent with a step of 100,000.

    Parameters
    ----------
    search : Search or str, optional
        How much of a step is taken. None: strong Wolfe conditions from the full step. ``Constant()`` is the full step.

    References
    ----------
    Nocedal and Wright (2006), Numerical Optimization, chapters 3 and 10.

    Examples
    --------
    >>> import lossmith as lm
    >>> found = lm.solve(lm.MeanSquaredError(), [[0.0], [1.0], [2.0]], [1.0, 3.0, 5.0], solver="newton")
    >>> found.status, found.iterations
    ('converged', 2)
    """

    search: Search | None = searched()  # noqa: RUF009

    @property
    def needs(self) -> Needs:
        """Second derivatives >= 0 of a loss with one number a sample."""
        return Needs(convex=True, hessian=True, one_output=True)

    def suits(self, objective: Objective) -> bool:
        """Tell whether the matrix is small."""
        return _small(objective)

    def sweep(self, loss: Any, penalty: Penalty | None, size: int) -> Sweep | None:
        """Return its way down over shards."""
        return NewtonSweep() if self.search is None else None

    def descend(self, objective: Objective, theta: Array, progress: Progress) -> Descent:
        """Minimise; see :class:`Solver`."""
        stepper, loss = _stepper(self.search, objective), objective.loss
        plain = isinstance(self.search, Constant)
        return newton(objective, theta, hessian_of(loss), brake(loss), progress, stepper, plain)


@SOLVERS.register("sampled_newton", aliases=("subsampled_newton",))
@dataclass(frozen=True)
class SampledNewton(Solver):
    """Newton's method for many samples: its matrix from some of them, corrected by limited-memory BFGS.

    References
    ----------
    Byrd, Chin, Neveitt and Nocedal (2011), On the use of stochastic Hessian information in optimization methods for
    machine learning, SIAM J. Optim. 21.

    Examples
    --------
    >>> import lossmith as lm
    >>> import numpy as np
    >>> x = np.linspace(-1.0, 1.0, 10_000)[:, None]
    >>> lm.solve(lm.LogCosh(), x, 2.0 * x[:, 0] + 1.0, solver="sampled_newton").coefficients.round(6).tolist()
    [2.0]
    """

    @property
    def needs(self) -> Needs:
        """As Newton's method."""
        return Needs(convex=True, hessian=True, one_output=True)

    def suits(self, objective: Objective) -> bool:
        """Tell whether a part of the samples says enough."""
        return _small(objective) and pays(objective)

    def descend(self, objective: Objective, theta: Array, progress: Progress) -> Descent:
        """Minimise; see :class:`Solver`."""
        loss = objective.loss
        way = sampled_newton if pays(objective) else newton
        return way(objective, theta, hessian_of(loss), brake(loss), progress)


@SOLVERS.register("irls", aliases=("gauss_newton",))
@dataclass(frozen=True)
class GaussNewton(Solver):
    """Reweighted least squares: each step minimises a parabola above every sample's loss.

    For losses of the residual the parabola's curvature is slope over residual (IRLS), for losses on a logit that of the
    cross-entropy times a frozen weight (Gauss-Newton). It is >= 0 also where a loss is not convex.

    Parameters
    ----------
    search : Search or str, optional
        How much of a step is taken; None: strong Wolfe conditions from the full step.

    References
    ----------
    Holland and Welsch (1977), Robust regression using iteratively reweighted least-squares, Comm. Statist. A 6.

    Examples
    --------
    >>> import lossmith as lm
    >>> X, y = [[0.0], [1.0], [2.0], [3.0], [4.0]], [1.0, 3.0, 5.0, 70.0, 9.0]
    >>> lm.solve(lm.Tukey(), X, y, solver="irls").coefficients.round(6).tolist()
    [2.0]
    """

    search: Search | None = searched()  # noqa: RUF009

    @property
    def needs(self) -> Needs:
        """A gradient of a loss with one number a sample."""
        return Needs(one_output=True)

    def suits(self, objective: Objective) -> bool:
        """Tell whether the matrix is small."""
        return _small(objective)

    def sweep(self, loss: Any, penalty: Penalty | None, size: int) -> Sweep | None:
        """Return its way down over shards."""
        return NewtonSweep()

    def descend(self, objective: Objective, theta: Array, progress: Progress) -> Descent:
        """Minimise; see :class:`Solver`."""
        stepper, loss = _stepper(self.search, objective), objective.loss
        plain = isinstance(self.search, Constant)
        return newton(objective, theta, reweighting(loss).compute, brake(loss), progress, stepper, plain)


def _penalised(objective: Objective) -> Objective:
    return objective if objective.penalty is not None else replace(objective, penalty=L2(0.0))


@SOLVERS.register("proximal_newton", aliases=("working_sets",))
@dataclass(frozen=True)
class ProximalNewton(Solver):
    """Newton steps on a working set of coefficients, each solved under the penalty by coordinate descent.

    Coefficients that are 0 and want to stay there cost one look at all features now and then.

    References
    ----------
    Friedman, Hastie and Tibshirani (2010), Regularization paths for generalized linear models via coordinate descent,
    J. Stat. Softw. 33. Johnson and Guestrin (2015), Blitz, ICML.

    Examples
    --------
    >>> import lossmith as lm
    >>> X, y = [[0.0, 1.0], [1.0, 0.0], [2.0, 1.0]], [1.0, 3.0, 5.0]
    >>> lm.solve(lm.Huber(), X, y, penalty=lm.MCP(0.5), solver="proximal_newton").status
    'converged'
    """

    @property
    def needs(self) -> Needs:
        """A gradient of a loss with one number a sample, a penalty on single coefficients."""
        return Needs(one_output=True, penalty="separable")

    @property
    def looks(self) -> bool:
        """The first gradient tells."""
        return True

    def suits(self, objective: Objective) -> bool:
        """Tell whether the penalty holds coefficients anywhere."""
        return objective.penalty is not None and not objective.penalty.smooth

    def sweep(self, loss: Any, penalty: Penalty | None, size: int) -> Sweep | None:
        """Return its way down over shards."""
        return NewtonSweep()

    def descend(self, objective: Objective, theta: Array, progress: Progress) -> Descent:
        """Minimise; see :class:`Solver`."""
        return working_sets(_penalised(objective), theta, steps_of(objective.loss), progress)


@SOLVERS.register("coordinate_descent", aliases=("cd",))
@dataclass(frozen=True)
class CoordinateDescent(Solver):
    """Coordinate descent on a parabola above the loss, on a working set of coefficients.

    For the squared error this is the classical coordinate descent of the lasso.

    References
    ----------
    Friedman, Hastie, Hoefling and Tibshirani (2007), Pathwise coordinate optimization, Ann. Appl. Stat. 1.

    Examples
    --------
    >>> import lossmith as lm
    >>> X, y = [[0.0, 1.0], [1.0, 0.0], [2.0, 1.0]], [1.0, 3.0, 5.0]
    >>> lm.solve(lm.MeanSquaredError(), X, y, penalty=lm.L1(0.5), solver="cd").coefficients.round(6).tolist()
    [1.625, 0.0]
    """

    @property
    def needs(self) -> Needs:
        """Bounded curvature of a loss with one number a sample, a penalty on single coefficients."""
        return Needs(bounded=True, one_output=True, penalty="separable")

    @property
    def looks(self) -> bool:
        """The first gradient tells."""
        return True

    def suits(self, objective: Objective) -> bool:
        """Tell that Newton steps are quicker, except for the squared error, for which they are the same."""
        return False

    def descend(self, objective: Objective, theta: Array, progress: Progress) -> Descent:
        """Minimise; see :class:`Solver`."""
        most = float(objective.loss.traits.smooth)
        return working_sets(_penalised(objective), theta, lambda y, raw, slope: np.full_like(raw, most), progress)
