"""Solvers and searches: what ``solver=`` accepts.

>>> import lossmith as lm
>>> lm.solvers.names()
('gd', 'momentum', 'nesterov', 'adam', 'lbfgs', 'proximal_gradient', 'newton', 'sampled_newton', 'irls', \
'proximal_newton', 'coordinate_descent', 'interior', 'smoothing', 'margin_lines', \
'newton_rows', 'auto')
"""

from __future__ import annotations

from typing import Any

from ..parts import revive
from ..searches import SEARCHES, Armijo, Constant, Polyak, Search, StrongWolfe
from .automatic import Automatic, fitting_solvers, made_solver, must_fit
from .base import SOLVERS, Solver
from .first import LBFGS, Adam, GradientDescent, Momentum, Nesterov, ProximalGradient
from .kinked import InteriorPoint, Smoothing
from .margins import MarginLines
from .needs import Needs
from .rows import RowNewton
from .second import CoordinateDescent, GaussNewton, Newton, ProximalNewton, SampledNewton

__all__ = [
    "LBFGS",
    "Adam",
    "Armijo",
    "Automatic",
    "Constant",
    "CoordinateDescent",
    "GaussNewton",
    "GradientDescent",
    "InteriorPoint",
    "MarginLines",
    "Momentum",
    "Needs",
    "Nesterov",
    "Newton",
    "Polyak",
    "ProximalGradient",
    "ProximalNewton",
    "RowNewton",
    "SampledNewton",
    "Search",
    "Smoothing",
    "Solver",
    "StrongWolfe",
    "fitting_solvers",
    "from_config",
    "get",
    "must_fit",
    "names",
]

get = made_solver


def names() -> tuple[str, ...]:
    """Return the names of all solvers."""
    return SOLVERS.names()


def from_config(config: dict[str, Any]) -> Any:
    """Make a solver or a search from what its ``to_config()`` returned.

    Parameters
    ----------
    config : dict
        Such as ``{"solver": "gd", "params": {"search": {"search": "armijo", "params": {}}}}``.

    Raises
    ------
    ValueError
        When the dictionary has another form.
    """
    return revive(config, {"solver": SOLVERS, "search": SEARCHES})
