"""NT-Xent and InfoNCE: each pair of embeddings against the other pairs of the batch."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from ...core.parameters import flag, positive
from ...core.registry import register
from ...core.structured import Evaluation, Targets
from ...core.traits import NOT_STATED, About, Traits
from . import facing_single, formulas, labelled, mirrored, mirrored_single
from .classes import Classes, by_class
from .geometry import Floats, Integers, Points, work_on
from .inputs import Array, EmbeddingLoss, check_embeddings, check_rows, stack
from .pair_judges import against_negatives, against_negatives_loop
from .similarity import COSINE
from .tiles import Judge, compiles, looped, sweep

_CLAIMS = Traits("embedding", lipschitz=NOT_STATED, smooth=NOT_STATED, strong=NOT_STATED, robust="bounded")


@register("nt_xent", aliases=("ntxent", "normalized_temperature_cross_entropy"))
@dataclass(frozen=True)
class NTXent(EmbeddingLoss):
    r"""Normalised temperature-scaled cross-entropy (SimCLR) on the cosines of a batch, from labels.

    y_true (n,) holds one whole number for each embedding of y_pred (n, d): embeddings with one label are
    positives of each other, all others negatives. For two views of t things see :meth:`given`. A pair of an
    anchor a and a positive p costs -log(e^(s_ap / t) / (e^(s_ap / t) + sum_n e^(s_an / t))): other positives
    of the anchor are not in the sum. A value belongs to an anchor: the sum over its positives; the mean is
    over pairs.

    A sample_weight (n,) weighs embeddings: a pair by the product of its two, a negative in the sum by its
    own, so that weight 2 stands for two negatives and weight 0 for none. Without any positive, or with one class
    only, loss and gradient are 0. The zero vector has cosine 0 to everything and gradient 0. Memory
    grows as n.

    Parameters
    ----------
    temperature : float, default 0.07
        What cosines are divided by; small ones let the hardest negatives count alone; > 0.

    References
    ----------
    Chen, Kornblith, Norouzi and Hinton (2020), SimCLR, ICML. Sohn (2016), Multi-class N-pair Loss, NIPS.

    Examples
    --------
    >>> import lossmith as lm
    >>> embeddings = [[1.0, 0.0], [0.0, 1.0], [1.0, 0.0], [0.0, 1.0]]
    >>> round(float(lm.NTXent(temperature=0.5)([0, 1, 0, 1], embeddings)), 6)
    0.239545
    """

    takes_float32: ClassVar[bool] = True
    temperature: float = positive(0.07)
    claims = _CLAIMS
    about = About(
        formula=r"\ell(a, p) = -\log\frac{e^{s_{ap} / t}}{e^{s_{ap} / t} + \sum_n e^{s_{an} / t}}",
        gradient=r"\frac{1 - q_{ap}}{t}"
        r"\Bigl(\sum_n \frac{e^{s_{an} / t}}{\sum_m e^{s_{am} / t}} \nabla s_{an} - \nabla s_{ap}\Bigr)"
        r",\quad q_{ap} = e^{-\ell(a, p)}",
        pros="learns an embedding space from pairs of views without labels; uses all negatives of the batch",
        cons="needs large batches; negatives of the same meaning are pushed apart; the temperature matters much",
        best_for="self-supervised learning, SimCLR, retrieval",
        reference="Chen, Kornblith, Norouzi and Hinton (2020), SimCLR, ICML",
        note="with labels of more than two embeddings each positive stands alone against the negatives, as in "
        "pytorch-metric-learning; the supervised contrastive loss has all positives in the sum. Default temperatures "
        "differ: 0.07 here, in pytorch-metric-learning and optax, 0.5 in lightly and MONAI",
    )

    @staticmethod
    def given(first: Any, second: Any) -> tuple[Integers, Array]:
        """Return (y_true, y_pred) for two views of the same things.

        Parameters
        ----------
        first, second : array_like, shape (t, d)
            Row i of each is a view of thing i.

        Returns
        -------
        tuple
            The labels 0 ... t-1, 0 ... t-1 and the embeddings (2 t, d): all the first, then all the second.

        Examples
        --------
        >>> import lossmith as lm
        >>> y_true, y_pred = lm.NTXent.given([[1.0, 0.0], [0.0, 1.0]], [[1.0, 0.0], [0.0, 1.0]])
        >>> y_true.tolist()
        [0, 1, 0, 1]
        """
        rows, embeddings = stack(first=first, second=second)
        return np.tile(rows[:, 0], 2), embeddings

    def _checked(self, parts: Targets, f: Floats, weight: Floats | None) -> Integers:
        y = self._read(parts, f)
        check_embeddings(y, f, weight, "NTXent")
        return y

    def _evaluate(self, y: Integers, f: Floats, weight: Floats, wanted: bool) -> Evaluation:
        judge = functools.partial(_judge, self.temperature, False)
        shortcut = self._shortcut(weight, f.dtype == np.float32)
        return labelled.evaluate(COSINE, y, f.astype(np.float64), weight, judge, wanted=wanted, shortcut=shortcut)

    def _formula(self, parts: Targets, f: Array, weight: Array | None) -> tuple[Array, Array | None]:
        return formulas.views(formulas.labelled(parts[0], f, weight), self.temperature)

    def _shortcut(self, weight: Floats, single: bool) -> labelled.Shortcut | None:
        """Return the sweep that meets each pair once, where it keeps the digits."""
        if single and mirrored_single.serves(self.temperature, weight):
            return functools.partial(mirrored_single.nt_xent, temperature=self.temperature)
        if mirrored.serves(self.temperature):
            return functools.partial(mirrored.nt_xent, temperature=self.temperature)
        return None


@register("info_nce", aliases=("infonce", "multiple_negatives_ranking"))
@dataclass(frozen=True)
class InfoNCE(EmbeddingLoss):
    r"""InfoNCE on cosines: each query against its own key and the keys of the other rows.

    y_true (t, 2) holds rows of y_pred (n, d), a query and its key; :meth:`given` makes them from two arrays. A
    row costs -log(e^(s_qk / t) / (e^(s_qk / t) + sum_m e^(s_qm / t))) over the keys m of the rows
    with another key. Values and weights are one for each row; a weight also weighs the row's key
    among the negatives of others. Alone, a row costs 0. Memory grows as t.

    Parameters
    ----------
    temperature : float, default 0.07
        What cosines are divided by; > 0.
    symmetric : bool, default False
        The mean of both directions, queries against keys and keys against queries, as in CLIP.

    References
    ----------
    Van den Oord, Li and Vinyals (2018), Contrastive Predictive Coding, arXiv:1807.03748. Radford et al. (2021),
    CLIP, ICML.

    Examples
    --------
    >>> import lossmith as lm
    >>> y_true, y_pred = lm.InfoNCE.given([[1.0, 0.0], [0.0, 1.0]], [[1.0, 0.0], [1.0, 1.0]])
    >>> lm.InfoNCE(temperature=0.5)(y_true, y_pred, reduction="none").round(6).tolist()
    [0.442548, 0.217622]
    """

    takes_float32: ClassVar[bool] = True
    columns: ClassVar[tuple[str, ...]] = ("query", "key")
    takes_labels: ClassVar[bool] = False
    temperature: float = positive(0.07)
    symmetric: bool = flag(False)
    claims = _CLAIMS
    about = About(
        formula=r"\ell(q, k) = -\log\frac{e^{s_{qk} / t}}{e^{s_{qk} / t} + \sum_m e^{s_{qm} / t}}",
        gradient=r"\frac{1 - e^{-\ell}}{t}"
        r"\Bigl(\sum_m \frac{e^{s_{qm} / t}}{\sum_j e^{s_{qj} / t}} \nabla s_{qm} - \nabla s_{qk}\Bigr)",
        pros="matches two kinds of things (queries and keys, images and texts) from pairs alone",
        cons="needs large batches; a negative that fits as well as the key is pushed away",
        best_for="image-text models, dense retrieval, sentence embeddings, CLIP",
        reference="Van den Oord, Li and Vinyals (2018), arXiv:1807.03748",
        note="sentence-transformers writes a scale, 20 = 1 / temperature, and says multiple negatives ranking; CLIP "
        "is symmetric=True with a learned temperature",
    )

    @staticmethod
    def given(queries: Any, keys: Any) -> tuple[Integers, Array]:
        """Return (y_true, y_pred) for queries and their keys.

        Parameters
        ----------
        queries, keys : array_like, shape (t, d)
            Row i of each makes pair i.

        Returns
        -------
        tuple
            The rows (t, 2) and the embeddings (2 t, d): all queries, then all keys.
        """
        return stack(queries=queries, keys=keys)

    def _checked(self, parts: Targets, f: Floats, weight: Floats | None) -> Integers:
        y = self._read(parts, f)
        check_rows(y, len(f), "InfoNCE")
        check_embeddings(y, f, weight, "InfoNCE")
        return y

    def _evaluate(self, y: Integers, f: Floats, weight: Floats, wanted: bool) -> Evaluation:
        here = np.flatnonzero(weight > 0.0)
        holds_nan = bool(np.isnan(f).any()) and bool(np.isnan(f[y[here]]).any())
        single, f = f.dtype == np.float32, f.astype(np.float64, copy=False)
        if holds_nan:
            return Evaluation(np.full(len(y), np.nan), None, np.full_like(f, np.nan))
        values, gradient = np.zeros(len(y)), np.zeros_like(f) if wanted else None
        ways = [y[here], y[here, ::-1]] if self.symmetric else [y[here]]
        for pairs in ways if here.size else []:
            self._add(pairs, f, weight[here], here, values, gradient, single)
        return Evaluation(values / len(ways), None, None if gradient is None else gradient / len(ways))

    def _formula(self, parts: Targets, f: Array, weight: Array | None) -> tuple[Array, Array | None]:
        y, (query, key) = parts[0], formulas.rows(parts[0], f, weight, 2)
        values = formulas.keys(query, key, y[:, 1], weight, self.temperature)
        if not self.symmetric:
            return values, None
        return 0.5 * (values + formulas.keys(key, query, y[:, 0], weight, self.temperature)), None

    def _add(
        self,
        pairs: Integers,
        f: Floats,
        weight: Floats,
        here: Integers,
        values: Floats,
        gradient: Floats | None,
        single: bool,
    ) -> None:
        """Add values and gradient of one direction."""
        classes = by_class(pairs[:, 1], weight)
        query, key = pairs[classes.order].T
        fast, wanted = compiles(len(query), f.shape[1]), gradient is not None
        one, other = _points(f, (query, key), fast)
        if fast and single and mirrored_single.serves(self.temperature, weight):
            found = facing_single.info_nce(one, other, classes, wanted, self.temperature)
        else:
            judge = _judge(self.temperature, True, classes, fast)
            found = sweep(COSINE, one, other, judge, fast=fast, wanted=wanted)
        values[here[classes.order]] += found.values
        if gradient is not None:
            np.add.at(gradient, query, COSINE.back(one, found.row_gradient))
            np.add.at(gradient, key, COSINE.back(other, found.column_gradient))


def _points(f: Floats, places: tuple[Integers, ...], fast: bool) -> list[Points]:
    """Return the points of queries and of keys, each on a thread of its own."""
    found: dict[int, Points] = {}

    def some(start: int, stop: int) -> None:
        for i in range(start, stop):
            found[i] = COSINE.points(np.ascontiguousarray(f[places[i]]))

    work_on(len(places), some, fast)
    return [found[i] for i in range(len(places))]


def _judge(temperature: float, single: bool, classes: Classes, fast: bool) -> Judge:
    if fast:
        return looped(against_negatives_loop, classes, temperature, single)
    return functools.partial(against_negatives, classes=classes, temperature=temperature, single=single)
