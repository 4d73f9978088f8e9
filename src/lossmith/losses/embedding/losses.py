"""Triplet and contrastive loss, from labels or from given triplets and pairs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ...core import contract
from ...core.domain import Interval, check
from ...core.parameters import choice, flag, non_negative, positive
from ...core.registry import register
from ...core.structured import Evaluation, Floats, Integers, StructuredLoss, Targets
from ...core.traits import NOT_STATED, About, Traits
from ...ops import namespace
from .distances import DISTANCES, Distance, Points
from .pairs import MINERS, Index, anchors, check_rows, labels_or_rows
from .reducers import Side, all_triplets, price, price_slope

Array = Any
Mask = npt.NDArray[np.bool_]

# Beyond this the square of a difference overflows.
_EMBEDDING = Interval(-1e150, 1e150, "both")
# Elements of a block of distances (16 MB).
_TILE = 2**21


@register("triplet", aliases=("triplet_margin", "triplet_loss"))
@dataclass(frozen=True)
class Triplet(StructuredLoss):
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

    margin: float = non_negative(0.2)
    distance: str = choice("squared_euclidean", DISTANCES)
    selection: str = choice("all", ("all", *MINERS))
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
        return _stack({"anchor": anchor, "positive": positive, "negative": negative})

    def _parts(self, y_true: Any) -> Targets:
        return (contract.as_array(y_true, "y_true"),)

    def _count(self, parts: Targets, f: Array) -> int:
        return int(parts[0].shape[0]) if len(parts[0].shape) else 0

    def _checked(self, parts: Targets, f: Floats, weight: Floats | None) -> Integers:
        y = labels_or_rows(parts[0], f, "Triplet", "anchor, positive, negative")
        if y.ndim == 2:
            check_rows(y, len(f), "Triplet")
        _check_embeddings(y, f, weight, "Triplet")
        return y

    def _value_and_gradient(self, y: Any, f: Floats, weight: Floats) -> Evaluation:
        return (self._from_labels if y.ndim == 1 else self._from_rows)(y, f, weight)

    def _from_rows(self, rows: Integers, f: Floats, weight: Floats) -> Evaluation:
        here = weight > 0.0
        metric = DISTANCES[self.distance]
        points, index = metric.points(f), Index(*rows[here].T)
        near = metric.pairs(points, index.anchor, index.positive)
        far = metric.pairs(points, index.anchor, index.negative)
        values, active = np.zeros(len(rows)), np.zeros(len(rows))
        values[here] = price(near - far + self.margin, self.soft)
        active[here] = values[here] > 0.0
        pull = weight[here] * price_slope(near - far + self.margin, self.soft)
        gradient = metric.pairs_gradient(points, index.anchor, index.positive, near, pull)
        gradient -= metric.pairs_gradient(points, index.anchor, index.negative, far, pull)
        return Evaluation(values, active if self.average == "active" else None, metric.back(points, gradient))

    def _from_labels(self, labels: Integers, f: Floats, weight: Floats) -> Evaluation:
        here = np.flatnonzero(weight > 0.0)
        values, measure, gradient = np.zeros(len(f)), np.zeros(len(f)), np.zeros_like(f)
        if not here.size:
            return Evaluation(values, measure, gradient)
        if np.isnan(f[here]).any():
            return Evaluation(np.full(len(f), np.nan), None, np.full_like(f, np.nan))
        metric = DISTANCES[self.distance]
        points = metric.points(f[here])
        distance = metric.rows(points, slice(None))
        same = labels[here, None] == labels[here]
        work = self._all if self.selection == "all" else self._mined
        values[here], measure[here], pull = work(distance, same, weight[here])
        part = metric.rows_gradient(points, slice(None), distance, pull + pull.T)
        gradient[here] = metric.back(points, part)
        return Evaluation(values, measure, gradient)

    def _all(self, distance: Floats, same: Mask, weight: Floats) -> tuple[Floats, Floats, Floats]:
        """Return values and measures of anchors, and d(sum(weight * values)) / d(distance)."""
        values, measure, pull = np.zeros(len(weight)), np.zeros(len(weight)), np.zeros_like(distance)
        for anchor, alike, other in anchors(same):
            near = Side(distance[anchor, alike], weight[alike])
            far = Side(distance[anchor, other], weight[other])
            found = all_triplets(near, far, self.margin, self.soft)
            values[anchor] = found.value
            whole = near.weight.sum() * far.weight.sum()
            measure[anchor] = found.active if self.average == "active" else whole
            pull[anchor, alike] = weight[anchor] * found.positive
            pull[anchor, other] = weight[anchor] * found.negative
        return values, measure, pull

    def _mined(self, distance: Floats, same: Mask, weight: Floats) -> tuple[Floats, Floats, Floats]:
        """Return the same for triplets chosen by distance."""
        index = MINERS[self.selection](distance, same)
        violation = distance[index.anchor, index.positive] - distance[index.anchor, index.negative] + self.margin
        cost = price(violation, self.soft)
        mass = weight[index.positive] * weight[index.negative]
        counted = np.where(cost > 0.0, mass, 0.0) if self.average == "active" else mass
        pull = np.zeros_like(distance)
        strength = weight[index.anchor] * mass * price_slope(violation, self.soft)
        np.add.at(pull, (index.anchor, index.positive), strength)
        np.subtract.at(pull, (index.anchor, index.negative), strength)
        values, measure = np.zeros(len(weight)), np.zeros(len(weight))
        np.add.at(values, index.anchor, mass * cost)
        np.add.at(measure, index.anchor, counted)
        return values, measure, pull


@register("contrastive", aliases=("contrastive_loss", "siamese"))
@dataclass(frozen=True)
class Contrastive(StructuredLoss):
    """Contrastive loss of pairs, d^2 for similar ones and max(margin - d, 0)^2 for dissimilar ones.

    With given pairs, y_true (p, 3) holds two rows of y_pred and the pair's label: 0 similar, 1 dissimilar,
    as in the paper (see :meth:`given` for two separate arrays). Values and weights are one for each pair.

    With labels, y_true (n,) holds one whole number for each embedding of y_pred (n, d): all pairs count, those
    with equal labels as similar. A value is half the sum over the pairs of one embedding, so that the
    values' sum is the sum over pairs; the mean is over pairs. A sample_weight (n,) weighs embeddings, a
    pair by the product of its two. Without any pair loss and gradient are 0.

    Parameters
    ----------
    margin : float, default 1.0
        Distance beyond which dissimilar pairs cost nothing; > 0.
    distance : {"euclidean", "cosine"}
        At distance 0 the gradient is 0: coinciding dissimilar embeddings have no direction to part in.
    similar_is_one : bool, default False
        Read the labels of given pairs the other way round: 1 similar, 0 dissimilar.

    References
    ----------
    Hadsell, Chopra and LeCun (2006), Dimensionality Reduction by Learning an Invariant Mapping, CVPR.

    Examples
    --------
    >>> import lossmith as lm
    >>> y_true, y_pred = lm.Contrastive.given([0, 1], [[0.0], [0.0]], [[0.5], [0.5]])
    >>> lm.Contrastive(margin=2.0)(y_true, y_pred, reduction="none").tolist()
    [0.25, 2.25]
    """

    margin: float = positive(1.0)
    distance: str = choice("euclidean", ("euclidean", "cosine"))
    similar_is_one: bool = flag(False)
    claims = Traits(
        "embedding",
        lipschitz=NOT_STATED,
        smooth=NOT_STATED,
        strong=NOT_STATED,
        robust=lambda loss: "bounded" if loss.distance == "cosine" else "no",
    )
    about = About(
        formula=r"\ell = (1 - y)\, d^2 + y \max(m - d, 0)^2",
        gradient=r"\bigl(2 (1 - y)\, d - 2 y \max(m - d, 0)\bigr) \nabla d",
        pros="pulls similar pairs together and pushes dissimilar pairs apart up to a margin; needs pairs only",
        cons="an absolute margin for all classes; most dissimilar pairs soon cost nothing",
        best_for="Siamese networks, verification",
        reference="Hadsell, Chopra and LeCun (2006), CVPR",
        note="y = 0 means similar here and in the paper (which has a factor 1/2 before both terms); "
        "torch's cosine loss codes similar as 1 and dissimilar as -1, sentence-transformers similar as 1",
    )

    @staticmethod
    def given(y: Any, first: Any, second: Any) -> tuple[Integers, Array]:
        """Return (y_true, y_pred) for pairs in two arrays.

        Parameters
        ----------
        y : array_like, shape (p,)
            0 or 1 for each pair.
        first, second : array_like, shape (p, d)
            Row i of each makes pair i.

        Returns
        -------
        tuple
            The rows with labels (p, 3) and the embeddings (2 p, d): all the first, then all the second.
        """
        rows, embeddings = _stack({"first": first, "second": second})
        labels = np.asarray(y)
        if labels.shape != rows.shape[:1]:
            raise ValueError(f"y has shape {labels.shape} for {len(rows)} pairs; give one label a pair")
        if not np.isin(labels, (0, 1)).all():
            raise ValueError("y holds other labels than 0 and 1; give 0 or 1 for each pair")
        return np.column_stack([rows, labels.astype(np.int64)]), embeddings

    def _parts(self, y_true: Any) -> Targets:
        return (contract.as_array(y_true, "y_true"),)

    def _count(self, parts: Targets, f: Array) -> int:
        return int(parts[0].shape[0]) if len(parts[0].shape) else 0

    def _checked(self, parts: Targets, f: Floats, weight: Floats | None) -> Integers:
        y = labels_or_rows(parts[0], f, "Contrastive", "first row, second row, label 0 or 1")
        if y.ndim == 2:
            check_rows(y[:, :2], len(f), "Contrastive")
            if not np.isin(y[:, 2], (0, 1)).all():
                raise ValueError("Contrastive: the third column of y_true holds other labels than 0 and 1")
        _check_embeddings(y if y.ndim == 1 else y[:, :2], f, weight, "Contrastive")
        return y

    def _value_and_gradient(self, y: Any, f: Floats, weight: Floats) -> Evaluation:
        return (self._from_labels if y.ndim == 1 else self._from_rows)(y, f, weight)

    def _price(self, distance: Floats, similar: Mask) -> tuple[Floats, Floats]:
        """Return loss and derivative by the distance."""
        gap = np.maximum(self.margin - distance, 0.0)
        return np.where(similar, distance**2, gap**2), np.where(similar, 2.0 * distance, -2.0 * gap)

    def _from_rows(self, y: Integers, f: Floats, weight: Floats) -> Evaluation:
        here = weight > 0.0
        first, second, label = y[here].T
        metric = DISTANCES[self.distance]
        points = metric.points(f)
        distance = metric.pairs(points, first, second)
        values = np.zeros(len(y))
        values[here], slope = self._price(distance, label == int(self.similar_is_one))
        gradient = metric.pairs_gradient(points, first, second, distance, weight[here] * slope)
        return Evaluation(values, None, metric.back(points, gradient))

    def _from_labels(self, labels: Integers, f: Floats, weight: Floats) -> Evaluation:
        here = np.flatnonzero(weight > 0.0)
        values, measure, gradient = np.zeros(len(f)), np.zeros(len(f)), np.zeros_like(f)
        if not here.size:
            return Evaluation(values, measure, gradient)
        if np.isnan(f[here]).any():
            return Evaluation(np.full(len(f), np.nan), None, np.full_like(f, np.nan))
        metric = DISTANCES[self.distance]
        points = metric.points(f[here])
        part = np.zeros_like(points.u)
        height = max(1, _TILE // max(1, len(here)))
        for start in range(0, len(here), height):
            tile = slice(start, start + height)
            values[here[tile]], measure[here[tile]], part[tile] = self._tile(
                metric, points, tile, labels[here], weight[here]
            )
        gradient[here] = metric.back(points, part)
        return Evaluation(values, measure, gradient)

    def _tile(
        self, metric: Distance, points: Points, tile: slice, labels: Integers, weight: Floats
    ) -> tuple[Floats, Floats, Floats]:
        """Return values, measures and gradient by u for some rows; memory stays below a tile."""
        distance = metric.rows(points, tile)
        cost, slope = self._price(distance, labels[tile, None] == labels)
        partner = np.broadcast_to(weight, distance.shape).copy()
        np.fill_diagonal(partner[:, tile], 0.0)
        gradient = metric.rows_gradient(points, tile, distance, weight[tile, None] * partner * slope)
        return 0.5 * (partner * cost).sum(axis=1), 0.5 * partner.sum(axis=1), gradient


def _check_embeddings(rows: Integers, f: Floats, weight: Floats | None, loss: str) -> None:
    """Check the embeddings that count; those of weight 0 may hold anything."""
    if weight is None:
        used = f
    elif rows.ndim == 1:
        used = f[weight > 0.0]
    else:
        used = f[np.unique(rows[weight > 0.0])]
    check(used, _EMBEDDING, "y_pred", loss, nan_allowed=True)


def _stack(arrays: dict[str, Any]) -> tuple[Integers, Array]:
    """Return row numbers (t, k) and the k arrays of shape (t, d) one after the other."""
    checked = [contract.predictions(array, name) for name, array in arrays.items()]
    shapes = [tuple(array.shape) for array in checked]
    if len(shapes[0]) != 2 or any(shape != shapes[0] for shape in shapes):
        said = ", ".join(f"{name} {shape}" for name, shape in zip(arrays, shapes, strict=True))
        raise ValueError(f"shapes {said}; they must be equal, one embedding a row, (t, d)")
    t = shapes[0][0]
    rows = np.arange(len(checked) * t).reshape(len(checked), t).T
    return rows.astype(np.int64), namespace(*checked).concat(checked, axis=0)
