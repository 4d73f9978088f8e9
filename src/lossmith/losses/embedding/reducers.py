"""From distances to the loss of an anchor: the price of a violation, and sums over all triplets.

The hinge's sum over all positives and negatives of an anchor needs no P x N table: with the negatives
sorted, the ones that violate a positive are a prefix, and prefix sums give value and gradient.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ...ops import sigmoid, softplus

Floats = npt.NDArray[np.float64]


class AnchorSum(NamedTuple):
    """Weighted sums over the triplets of one anchor.

    Attributes
    ----------
    value : float
        Of the triplets' losses.
    active : float
        Weight of the triplets with a loss above 0.
    positive, negative : ndarray, shapes (P,) and (N,)
        Derivatives of the value by the distances of the positives and of the negatives.
    """

    value: float
    active: float
    positive: Floats
    negative: Floats


class Side(NamedTuple):
    """Distances of an anchor's positives (or negatives) and their weights."""

    distance: Floats
    weight: Floats


def price(violation: Floats, soft: bool) -> Floats:
    """max(v, 0), or log(1 + exp(v)); NaN stays NaN."""
    return np.asarray(softplus(violation)) if soft else np.maximum(violation, 0.0)


def price_slope(violation: Floats, soft: bool) -> Floats:
    """Derivative of :func:`price`; 0 at the hinge's kink."""
    if soft:
        return np.asarray(sigmoid(violation))
    return np.where(np.isnan(violation), violation, violation > 0.0)


def all_triplets(positive: Side, negative: Side, margin: float, soft: bool) -> AnchorSum:
    """Sum price(d_p - d_n + margin) over all positives p and negatives n, weighted by w_p w_n."""
    return (_soft_table if soft else _sorted_hinge)(positive, negative, margin)


def _sorted_hinge(positive: Side, negative: Side, margin: float) -> AnchorSum:
    # Distances count from the nearest negative, so that prefix sums do not cancel.
    origin = negative.distance.min()
    limit = positive.distance - origin + margin
    order = np.argsort(negative.distance, kind="stable")
    far, mass = negative.distance[order] - origin, negative.weight[order]
    count = np.searchsorted(far, limit, side="left")
    heads = np.concatenate([[0.0], np.cumsum(mass)])[count]
    sums = np.concatenate([[0.0], np.cumsum(mass * far)])[count]
    value = float(positive.weight @ (limit * heads - sums))
    rank = np.argsort(limit, kind="stable")
    tails = np.concatenate([np.cumsum(positive.weight[rank][::-1])[::-1], [0.0]])
    pushed = np.empty_like(far)
    pushed[order] = -mass * tails[np.searchsorted(limit[rank], far, side="right")]
    return AnchorSum(value, float(positive.weight @ heads), positive.weight * heads, pushed)


def _soft_table(positive: Side, negative: Side, margin: float) -> AnchorSum:
    violation = positive.distance[:, None] - negative.distance + margin
    value = positive.weight @ price(violation, True) @ negative.weight
    slope = positive.weight[:, None] * price_slope(violation, True) * negative.weight
    mass = positive.weight.sum() * negative.weight.sum()
    return AnchorSum(float(value), float(mass), slope.sum(axis=1), -slope.sum(axis=0))
