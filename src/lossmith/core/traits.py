"""What a loss claims about itself: a closed record, each field of which a verifier can refute."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from typing import Any

# A number that nothing has verified is not stated; for the fields lipschitz, smooth and strong.
NOT_STATED = math.nan
Number = float | Callable[[Any], float]
Flag = bool | Callable[[Any], bool]
Word = str | Callable[[Any], str]


@dataclasses.dataclass(frozen=True)
class Traits:
    """Claims about a loss as a function of the prediction f for a fixed target y.

    In a class they may be functions of the loss (so of its hyper-parameters); ``loss.traits`` holds plain
    values. For row-wise losses |gradient| is the Euclidean norm and curvature the eigenvalues.

    Every field is a statement, its default too: False says that the property does not hold, inf that there
    is no bound, "" that no functional with a name is elicited. Suprema run over all targets and predictions
    that the loss accepts (for rows, over all numbers of classes) and are attained or approached. NaN states
    no number. :func:`lossmith.core.verify.verify` tries to refute each field.

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
        Where the gradient jumps: values of f - y for regression, of y * f for margin losses, of f_y - f_j for
        losses on scores of classes; the same for every target.
    symmetric : bool
        l(y, y + r) = l(y, y - r) in the prediction of y; for classes, that relabelling them changes
        nothing: l(y, f) = l(-y, -f), l(y, p) = l(1 - y, 1 - p), or a permutation of a row.
    robust : str
        "no" (gradient unbounded as the residual grows or the score speaks ever louder for the wrong
        class), "bounded", or "redescending" (gradient returns to 0).
    proper : bool
        Minimised in expectation, through the link, by the true probability (or the true distribution's
        parameters, the rate of counts). Margin losses are judged through the logistic link. False for
        regression, whose predictions are no probabilities.
    calibrated : bool
        Only predictions with the sign (argmax) of the Bayes rule minimise the expectation. False where a
        prediction names no class.
    elicits : str
        The functional of y that minimises the expected loss, through the link: "mean", "median",
        "quantile" and "expectile" (of level q), "mode", "sign" (the minimiser is the label of the likelier
        class and knows no more), "distribution" (its parameters) or "" (none with a name).
    constant_hessian : bool
        The curvature is one number (one matrix) for all y and f, kinks apart.
    """

    task: str
    convex: Flag = False
    lipschitz: Number = math.inf
    smooth: Number = math.inf
    strong: Number = 0.0
    kinks: tuple[float, ...] | Callable[[Any], tuple[float, ...]] = ()
    symmetric: Flag = False
    robust: Word = "no"
    proper: Flag = False
    calibrated: Flag = False
    elicits: Word = ""
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
