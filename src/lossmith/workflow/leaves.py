"""Leaf values of trees grown for a loss without curvature: the exact minimiser of the loss in each leaf."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from lossmith.optimize.piecewise import piecewise_minimum
from lossmith.optimize.smoothing import Kink, kinks

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class LeafRenewal:
    """Renews leaf values under a loss made of straight lines with one kink (absolute, pinball, hinge).

    Attributes
    ----------
    kink : Kink
        Of each training sample, as a function of its prediction.
    weight : ndarray, shape (n,)
        Sample weights.
    """

    kink: Kink
    weight: Array

    @classmethod
    def build(cls, loss: Any, target: Array, weight: Array) -> LeafRenewal:
        """Make it for a loss, targets in its coding and weights."""
        (kink,) = kinks(loss, target)
        return cls(kink, weight)

    def values(self, score: Array, leaf: Array, count: int) -> Array:
        """Return what to add to the scores of each leaf's samples.

        Parameters
        ----------
        score : ndarray, shape (n,)
            Present raw scores.
        leaf : ndarray of int, shape (n,)
            Leaf of each sample, 0 ... count - 1.
        count : int
            Number of leaves.

        Returns
        -------
        ndarray, shape (count,)
            Minimisers of the weighted loss, such as a weighted quantile of the residuals.
        """
        moved = replace(self.kink, place=self.kink.place - score)
        return piecewise_minimum(leaf, moved, self.weight, count)
