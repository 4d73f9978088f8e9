"""Triplet loss, from labels or from given triplets."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from ...core.parameters import choice, flag, non_negative
from ...core.registry import register
from ...core.structured import Evaluation, Targets
from ...core.traits import NOT_STATED, About, Traits
from ...ops import full_like
from . import formulas, labelled, triplet_loops, triplets
from .classes import Classes
from .distances import DISTANCES
from .geometry import Floats, Integers
from .inputs import Array, EmbeddingLoss, check_embeddings, check_rows, stack
from .prices import violated, violated_slope
from .tiles import Judge, looped


@register("triplet", aliases=("triplet_margin", "triplet_loss"))
@dataclass(frozen=True)
class Triplet(EmbeddingLoss):
    """Triplet loss, max(d(a, p) - d(a, n) + margin, 0), from labels or from given triplets.

    With labels, y_true (n,) holds one whole number for each embedding of y_pred (n, d), and ``selection`` says
    which triplets of the batch count. A value belongs to an anchor: the sum over its triplets; the mean is
    over triplets. A sample_weight (n,) weighs embeddings, a triplet by the product of its three; an embedding
    of weight 0 is not there for the selection either.

    With given triplets, y_true (t, 3) holds the rows of y_pred that are anchor, positive and negative (see
    :meth:`given` for three separate arrays). Values and weights are one for each triplet, (t,).

    Without any triplet (one class only, no class with two members) loss and gradient are 0.

    Parameters
    ----------
    margin : float, default 0.2
        How much farther the negative should be, in units of the distance; >= 0.
    distance : {"squared_euclidean", "euclidean", "cosine"}
        At a zero distance, and for zero vectors under "cosine" (distance 1), the gradient is 0.
    selection : {"all", "hard", "semi_hard"}
        All triplets; for each anchor its farthest positive and nearest negative; for each anchor and positive
        the nearest negative that is farther, or the farthest where none is.
    soft : bool, default False
        log(1 + exp(d(a, p) - d(a, n) + margin)) instead of the hinge; Hermans et al. use it with margin 0.
    average : {"all", "active"}
        Whether the mean is over all selected triplets or over those with a loss above 0.

    References
    ----------
    Schroff, Kalenichenko and Philbin (2015), FaceNet, CVPR. Hermans, Beyer and Leibe (2017), In Defense of
    the Triplet Loss, arXiv:1703.07737.

    Examples
    --------
    >>> import lossmith as lm
    >>> embeddings = [[0.0, 0.0], [1.0, 0.0], [0.0, 0.5]]
    >>> float(lm.Triplet(distance="euclidean")([[0, 1, 2]], embeddings))
    0.7
    >>> float(lm.Triplet(distance="euclidean", selection="hard")([7, 7, 8], embeddings))
    0.3909830056250525
    """

    columns: ClassVar[tuple[str, ...]] = ("anchor", "positive", "negative")
    margin: float = non_negative(0.2)
    distance: str = choice("squared_euclidean", DISTANCES)
    selection: str = choice("all", ("all", *triplets.MINERS))
    soft: bool = flag(False)
    average: str = choice("all", ("all", "active"))
    claims = Traits(
        "embedding",
        lipschitz=NOT_STATED,
        smooth=NOT_STATED,
        strong=NOT_STATED,
        robust=lambda loss: "no" if loss.distance == "squared_euclidean" else "bounded",
    )
    about = About(
        formula=r"\ell(a, p, n) = \max\bigl(d(a, p) - d(a, n) + m, 0\bigr)",
        gradient=r"\nabla d(a, p) - \nabla d(a, n) \text{ where the loss is above } 0",
        pros="learns an embedding space from relative similarity alone, for classes never seen before",
        cons="most triplets soon cost nothing: results hang on the selection; one more hyperparameter",
        best_for="metric learning, face recognition, retrieval",
        reference="Schroff, Kalenichenko and Philbin (2015), FaceNet, CVPR",
        note="margin 0.2 on squared distances is FaceNet's; torch has 1 on distances with 1e-6 added to each "
        "coordinate, optax 1 with 1e-6 under the root, pytorch-metric-learning 0.05 on unit vectors. A Keras "
        "Lambda hands its function one list, so triplet_loss(anchor, positive, negative) in a Lambda fails",
    )

    @staticmethod
    def given(anchor: Any, positive: Any, negative: Any) -> tuple[Integers, Array]:
        """Return (y_true, y_pred) for triplets in three arrays.

        Parameters
        ----------
        anchor, positive, negative : array_like, shape (t, d)
            Row i of each makes triplet i.

        Returns
        -------
        tuple
            The rows (t, 3) and the embeddings (3 t, d): anchors, positives, negatives. The gradient has that
            shape too; ``gradient.reshape(3, t, d)`` takes it apart.

        Examples
        --------
        >>> import lossmith as lm
        >>> y_true, y_pred = lm.Triplet.given([[0.0]], [[1.0]], [[1.5]])
        >>> lm.Triplet(margin=2.0).gradient(y_true, y_pred).ravel().tolist()
        [1.0, 2.0, -3.0]
        """
        return stack(anchor=anchor, positive=positive, negative=negative)

    def _checked(self, parts: Targets, f: Floats, weight: Floats | None) -> Integers:
        y = self._read(parts, f)
        if y.ndim == 2:
            check_rows(y, len(f), "Triplet")
        check_embeddings(y, f, weight, "Triplet")
        return y

    def _evaluate(self, y: Integers, f: Floats, weight: Floats, wanted: bool) -> Evaluation:
        if y.ndim == 1:
            return labelled.evaluate(DISTANCES[self.distance], y, f, weight, self._judge, wanted=wanted)
        return self._from_rows(y, f, weight, wanted)

    def _formula(self, parts: Targets, f: Array, weight: Array | None) -> tuple[Array, Array | None]:
        (y,), between = parts, DISTANCES[self.distance].formula
        price = formulas.Price(self.margin, self.soft, self.average == "active")
        if len(y.shape) == 1:
            batch = formulas.labelled(y, f, weight)
            near = between(batch.x[:, None, :], batch.x[None, :, :])
            return formulas.SELECTIONS[self.selection](near, batch, price)
        anchor, positive, negative = formulas.rows(y, f, weight, 3)
        cost = price.cost(between(anchor, positive), between(anchor, negative))
        return cost, price.counted(full_like(cost, 1.0), cost)

    def _judge(self, classes: Classes, fast: bool) -> Judge:
        """Return what prices the triplets of some anchors."""
        margin, soft, active = self.margin, self.soft, self.average == "active"
        if self.selection != "all":
            if fast:
                return looped(triplet_loops.MINED[self.selection], classes, margin, soft, active)
            miner = triplets.MINERS[self.selection]
            return functools.partial(
                triplets.mined_triplets, classes=classes, miner=miner, margin=margin, soft=soft, active=active
            )
        if fast:
            return looped(triplet_loops.all_soft if soft else triplet_loops.all_hinge, classes, margin, active)
        return functools.partial(triplets.all_triplets, classes=classes, margin=margin, soft=soft, active=active)

    def _from_rows(self, rows: Integers, f: Floats, weight: Floats, wanted: bool) -> Evaluation:
        here = weight > 0.0
        metric = DISTANCES[self.distance]
        points, (anchor, positive, negative) = metric.points(np.ascontiguousarray(f)), rows[here].T
        near, far = metric.pairs(points, anchor, positive), metric.pairs(points, anchor, negative)
        violation = near - far + self.margin
        values, active = np.zeros(len(rows)), np.zeros(len(rows))
        values[here] = violated(violation, self.soft)
        active[here] = values[here] > 0.0
        measure = active if self.average == "active" else None
        if not wanted:
            return Evaluation(values, measure)
        pull = weight[here] * violated_slope(violation, self.soft)
        gradient = metric.pairs_gradient(points, anchor, positive, near, pull)
        gradient -= metric.pairs_gradient(points, anchor, negative, far, pull)
        return Evaluation(values, measure, metric.back(points, gradient))
