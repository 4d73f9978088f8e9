"""From labels to the evaluation of a loss: embeddings of weight 0 are left out, classes put together."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ...core.structured import Evaluation
from .classes import Classes, by_class
from .geometry import Floats, Geometry, Integers, Points
from .tiles import Judge, Swept, compiles, sweep

JudgeOf = Callable[[Classes, bool], Judge]
Shortcut = Callable[[Points, Classes, bool], Swept]


def evaluate(
    geometry: Geometry,
    labels: Integers,
    f: Floats,
    weight: Floats,
    judge_of: JudgeOf,
    *,
    wanted: bool,
    mirrored: bool = False,
    shortcut: Shortcut | None = None,
) -> Evaluation:
    """Evaluate a loss on all pairs or triplets of a batch.

    Parameters
    ----------
    geometry : Geometry
        What lies between two embeddings.
    labels : ndarray of int, shape (n,)
        Classes.
    f : ndarray, shape (n, d)
        Embeddings.
    weight : ndarray, shape (n,)
        Their weights; an embedding of weight 0 is not there.
    judge_of : callable
        Makes the judge of a batch, given whether to use compiled loops.
    wanted, mirrored : bool
        See :func:`~.tiles.sweep`.
    shortcut : callable, optional
        What takes the place of the sweep where compiled loops pay.
    """
    here = np.flatnonzero(weight > 0.0)
    values, counts = np.zeros(len(f)), np.zeros(len(f))
    if np.isnan(f[here]).any():
        return Evaluation(values + np.nan, None, np.full_like(f, np.nan))
    gradient = np.zeros_like(f) if wanted else None
    if here.size:
        classes = by_class(labels[here], weight[here])
        here = here[classes.order]
        points = geometry.points(np.ascontiguousarray(f[here]))
        fast = compiles(*points.u.shape)
        if fast and shortcut is not None:
            found = shortcut(points, classes, wanted)
        else:
            judge = judge_of(classes, fast)
            found = sweep(geometry, points, points, judge, fast=fast, wanted=wanted, mirrored=mirrored)
        values[here], counts[here] = found.values, found.counts
        if gradient is not None:
            gradient[here] = geometry.back(points, found.row_gradient + found.column_gradient)
    return Evaluation(values, counts, gradient)
