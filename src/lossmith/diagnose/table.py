"""The troubleshooting table: name, cause, remedy, and where the common table misleads. Data, no code."""

from __future__ import annotations

from typing import NamedTuple


class Row(NamedTuple):
    """One trouble as it stands in guides, and as it is."""

    name: str
    cause: str
    remedy: str
    article: str


SLOW = Row(
    "slow convergence",
    "the iterations ended while the objective was still falling: badly scaled features, a kinked or flat loss, "
    "or steps that are too small",
    "allow more iterations, scale the features, or take a smooth loss of the same functional",
    "says: poor loss function, try another. Another loss estimates something else; more iterations or scaling "
    "come first",
)
VANISHING = Row(
    "vanishing gradients",
    "the loss is flat where the prediction is wrong, so those rows pull no more: a saturated or redescending loss",
    "use a loss merged with its link (cross-entropy on logits), or a wider robust loss",
    "says: saturated loss, use a bounded loss. A bounded loss is flat far out, which is the cause, not the cure; "
    "the cure is the loss merged with its link on logits",
)
EXPLODING = Row(
    "exploding gradients",
    "the gradient or the objective grows during training: steps too long for the curvature, or an unbounded "
    "gradient met by extreme values",
    "clip gradients, shorten the steps, scale the target, or take a loss with a bounded gradient",
    "says: clip gradients. Clipping the residual's gradient is Huber's loss, and moves the estimate from the mean",
)
IMBALANCE = Row(
    "class imbalance",
    "the rare class is missed although the probabilities may be right: a threshold of 1/2 serves equal costs only",
    "keep the proper loss and move the decision threshold; weights only if the metric needs them, then recalibrate",
    "says: weighted or focal loss. Both spoil calibration and hardly help the ranking; the threshold costs nothing",
)
OUTLIERS = Row(
    "outlier sensitivity",
    "few rows carry a large part of the gradient, so they steer the fit",
    "if the values are errors: a robust loss with a MAD scale; if they are real and the mean is wanted: keep "
    "squared error or a log link, and restore the mean after a robust fit",
    "says: robust loss. Right for errors; for a real heavy tail it changes what is estimated",
)
MINIMA = Row(
    "local minima",
    "the objective is not convex: where training ends depends on where it began",
    "start from a convex fit (Huber before Tukey), or take the best of several starts",
    "says: non-convex landscape, better initialisation. Right; with a convex loss and a linear model there are none",
)
OVERFITTING = Row(
    "overfitting",
    "what was learned from the training rows does not carry over to held-out rows: too much freedom for the data",
    "more regularisation, fewer rounds, fewer features, more rows",
    "says: loss function too complex, add regularisation. The model is too free, not the loss; the remedy is right",
)
