"""What a loss claims about itself: a closed record, each field of which a verifier can refute."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from typing import Any

Number = float | Callable[[Any], float]
Flag = bool | Callable[[Any], bool]


@dataclasses.dataclass(frozen=True)
class Traits:
    """Claims about a loss as a function of the prediction f for a fixed target y.

    In a class they may be functions of the loss (so of its hyper-parameters); ``loss.traits`` holds plain
    values. For row-wise losses |gradient| is the Euclidean norm and curvature the eigenvalues.

    Attributes
    ----------
    task : str
        "regression", "count", "binary", "multiclass", "distribution", "embedding", "sequence",
        "segmentation".
    convex : bool
        Convex in f.
    lipschitz : float
        sup |gradient|; inf when unbounded.
    smooth : float
        sup curvature; inf when unbounded or when there is a kink.
    strong : float
        inf curvature where it exists; 0 when not strongly convex.
    kinks : tuple of float
        Where the gradient jumps: values of f - y for regression, of y * f for margin losses.
    symmetric : bool
        l(y, y + r) = l(y, y - r), or for labels l(y, f) = l(-y, -f).
    robust : str
        "no" (gradient unbounded in the residual), "bounded", or "redescending" (gradient returns to 0).
    proper : bool
        Minimised in expectation by the true probability (or the true distribution's parameters).
    calibrated : bool
        Minimised in expectation by a prediction with the sign (argmax) of the Bayes rule.
    elicits : str
        The functional of y that minimises the expected loss: "mean", "median", "quantile", "expectile",
        "mode", "sign", "distribution" or "" (none with a name).
    constant_hessian : bool
        The curvature is one number for all y and f.
    """

    task: str
    convex: Flag = False
    lipschitz: Number = math.inf
    smooth: Number = math.inf
    strong: Number = 0.0
    kinks: tuple[float, ...] | Callable[[Any], tuple[float, ...]] = ()
    symmetric: Flag = False
    robust: str = "no"
    proper: Flag = False
    calibrated: Flag = False
    elicits: str = ""
    constant_hessian: Flag = False

    def resolve(self, loss: Any) -> Traits:
        """Return the record with every function of the loss replaced by its value."""
        values = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        return Traits(**{name: value(loss) if callable(value) else value for name, value in values.items()})


@dataclasses.dataclass(frozen=True)
class About:
    """What a person choosing a loss wants to read.

    Attributes
    ----------
    formula, gradient : str
        LaTeX, for one sample.
    pros, cons, best_for : str
        One phrase each, as in a selection guide.
    reference : str
        Paper or textbook.
    note : str
        Where a reader of common texts would stumble.
    """

    formula: str
    gradient: str
    pros: str
    cons: str
    best_for: str
    reference: str
    note: str = ""
