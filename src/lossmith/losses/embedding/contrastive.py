"""Contrastive loss, from labels or from given pairs."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from ...core.parameters import choice, flag, positive
from ...core.registry import register
from ...core.structured import Evaluation, Targets
from ...core.traits import NOT_STATED, About, Traits
from . import formulas, labelled, pairs_once
from .classes import Classes
from .distances import DISTANCES
from .geometry import Floats, Integers
from .inputs import Array, EmbeddingLoss, check_embeddings, check_rows, stack
from .pair_judges import contrastive
from .prices import contrast, contrast_slope
from .tiles import Judge


@register("contrastive", aliases=("contrastive_loss", "siamese"))
@dataclass(frozen=True)
class Contrastive(EmbeddingLoss):
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

    columns: ClassVar[tuple[str, ...]] = ("first row", "second row", "label 0 or 1")
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
        rows, embeddings = stack(first=first, second=second)
        labels = np.asarray(y)
        if labels.shape != rows.shape[:1]:
            raise ValueError(f"y has shape {labels.shape} for {len(rows)} pairs; give one label a pair")
        if not np.isin(labels, (0, 1)).all():
            raise ValueError("y holds other labels than 0 and 1; give 0 or 1 for each pair")
        return np.column_stack([rows, labels.astype(np.int64)]), embeddings

    def _checked(self, parts: Targets, f: Floats, weight: Floats | None) -> Integers:
        y = self._read(parts, f)
        if y.ndim == 2:
            check_rows(y[:, :2], len(f), "Contrastive")
            if not np.isin(y[:, 2], (0, 1)).all():
                raise ValueError("Contrastive: the third column of y_true holds other labels than 0 and 1")
        check_embeddings(y if y.ndim == 1 else y[:, :2], f, weight, "Contrastive")
        return y

    def _evaluate(self, y: Integers, f: Floats, weight: Floats, wanted: bool) -> Evaluation:
        if y.ndim == 1:
            metric = DISTANCES[self.distance]
            fast = functools.partial(pairs_once.evaluate, metric, margin=self.margin)
            return labelled.evaluate(metric, y, f, weight, self._judge, wanted=wanted, mirrored=True, shortcut=fast)
        return self._from_rows(y, f, weight, wanted)

    def _formula(self, parts: Targets, f: Array, weight: Array | None) -> tuple[Array, Array | None]:
        (y,), between = parts, DISTANCES[self.distance].formula
        if len(y.shape) == 1:
            return formulas.all_pairs(between, formulas.labelled(y, f, weight), self.margin)
        first, second = formulas.rows(y, f, weight, 2)
        return formulas.contrasted(between(first, second), y[:, 2] == int(self.similar_is_one), self.margin), None

    def _judge(self, classes: Classes, fast: bool) -> Judge:
        """Return what prices the pairs of some embeddings."""
        return functools.partial(contrastive, classes=classes, margin=self.margin)

    def _from_rows(self, y: Integers, f: Floats, weight: Floats, wanted: bool) -> Evaluation:
        here = weight > 0.0
        first, second, label = y[here].T
        metric = DISTANCES[self.distance]
        points = metric.points(np.ascontiguousarray(f))
        distance, similar = metric.pairs(points, first, second), label == int(self.similar_is_one)
        values = np.zeros(len(y))
        values[here] = contrast(distance, similar, self.margin)
        if not wanted:
            return Evaluation(values, None)
        pull = weight[here] * contrast_slope(distance, similar, self.margin)
        gradient = metric.pairs_gradient(points, first, second, distance, pull)
        return Evaluation(values, None, metric.back(points, gradient))
