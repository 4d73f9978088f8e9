"""The multi-class hinge as lines: one for each sample and each wrong class, on the difference of two scores."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from ...losses.margin import MultiMargin
from ..interior import interior
from ..objective import Objective, is_sparse
from ..penalties import Penalty
from ..progress import Descent, Progress
from ..smoothing import Kink
from .base import SOLVERS, Solver
from .needs import Needs
from .second import NEWTON_UP_TO

Array = npt.NDArray[np.float64]


@SOLVERS.register("margin_lines")
@dataclass(frozen=True)
class MarginLines(Solver):
    """Interior point method for the multi-class hinge; it ends with a duality gap.

    Each sample has a hinge for each wrong class j, max(0, margin - f_y + f_j): a line on a difference of scores, as the
    method for two straight lines wants it.

    References
    ----------
    Weston and Watkins (1999), Support Vector Machines for Multi-Class Pattern Recognition, ESANN.

    Examples
    --------
    >>> import lossmith as lm
    >>> X, y = [[0.0], [1.0], [2.0], [3.0], [4.0], [5.0]], [0, 1, 0, 1, 2, 2]
    >>> found = lm.solve(lm.MultiMargin(), X, y, outputs=3, penalty=lm.L2(0.01))
    >>> found.method, found.status, found.gap < 1e-7
    ('margin_lines', 'converged', True)
    """

    @property
    def needs(self) -> Needs:
        """A multi-class hinge; none, L1, L2 or both."""
        return Needs(kinks="rows", convex=True, penalty="elastic")

    def missing(self, loss: Any, penalty: Penalty | None) -> tuple[str, ...]:
        """Return what a loss and a penalty lack, in words; empty if they fit."""
        if not (isinstance(loss, MultiMargin) and loss.p == 1):
            return (f"multi_margin with p = 1 ({getattr(loss, 'name', type(loss).__name__)} is another)",)
        return self.needs.missing(loss, penalty)

    def suits(self, objective: Objective) -> bool:
        """Tell whether the normal equations are small."""
        return objective.size <= NEWTON_UP_TO

    def descend(self, objective: Objective, theta: Array, progress: Progress) -> Descent:
        """Minimise; see :class:`Solver`."""
        progress.begin(objective, theta)
        lines, kink = expanded(objective)
        lines = replace(lines, tally=objective.tally)
        return interior(lines, kink, theta, progress, penalised=objective.X.shape[1] * (objective.outputs or 1))


@dataclass(frozen=True)
class Shortfall:
    """max(0, y - f): how much a difference of scores falls short."""

    def value_and_gradient(self, y: Array, f: Array) -> tuple[Array, Array]:
        """Per-sample values and slopes."""
        short = y - f
        return np.maximum(short, 0.0), np.where(short > 0.0, -1.0, 0.0)


def expanded(objective: Objective) -> tuple[Objective, Kink]:
    """Write a multi-class hinge as a sum of hinges.

    Parameters
    ----------
    objective : Objective
        Its loss is ``MultiMargin(p=1)``.

    Returns
    -------
    tuple of Objective and Kink
        Its features are those of the differences of scores, columns of intercepts included: its parameters are the
        given objective's.
    """
    from scipy.sparse import coo_array

    loss, k = objective.loss, objective.outputs or 1
    X = objective.X.tocoo() if is_sparse(objective.X) else coo_array(objective.X)
    n, d = X.shape
    labels = np.asarray(objective.loss.read_targets(objective.y, np.zeros((n, k)))).astype(np.intp)
    wrong = np.arange(k - 1)[None, :] + (np.arange(k - 1)[None, :] >= labels[:, None])  # all classes but the label
    number = np.arange(n * (k - 1)).reshape(n, k - 1)
    # x at the label, -x at the wrong class; likewise 1 for the intercepts, behind the coefficients.
    rows, columns, values = [], [], []
    for turn in range(k - 1):
        for sign, place in ((1.0, labels), (-1.0, wrong[:, turn])):
            rows += [number[X.row, turn], number[:, turn]]
            columns += [X.col * k + place[X.row], d * k + place]
            values += [sign * X.data, np.full(n, sign)]
    shape = (n * (k - 1), d * k + k)
    table = coo_array((np.concatenate(values), (np.concatenate(rows), np.concatenate(columns))), shape).tocsr()
    table = table if objective.intercept else table[:, : d * k]
    weights = np.ones(k) if loss.class_weights is None else np.asarray(loss.class_weights)
    share = np.repeat(objective.share * weights[labels] / k, k - 1)
    size = share.size
    features = table if is_sparse(objective.X) or table.nnz < 0.2 * np.prod(table.shape) else table.toarray()
    at: Array = np.full(size, float(loss.margin))
    lines = Objective(Shortfall(), features, at, share, objective.penalty, intercept=False)
    return lines, Kink(at, np.full(size, -1.0), np.ones(size))
