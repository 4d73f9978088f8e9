"""What usually stands behind each symptom and what to do; and where the common troubleshooting table misleads."""

from __future__ import annotations

from typing import NamedTuple


class Advice(NamedTuple):
    """Words on a symptom.

    Attributes
    ----------
    cause : str
        Where it usually comes from.
    remedy : str
        What to do first.
    article : str
        What the common troubleshooting table says and where that is wrong; empty where it has no such row.
    """

    cause: str
    remedy: str
    article: str = ""


ADVICE = {
    "LM-NAN": Advice(
        "a logarithm or root of zero, steps that are too long, half precision, or data that hold NaN",
        "look at the step and layer named; check the batch for NaN, merge the loss with its link, shorten the steps",
    ),
    "LM-EXPLODE": Advice(
        "the gradient or the objective grows during training: steps too long for the curvature, or an unbounded "
        "gradient met by extreme values",
        "clip gradients, shorten the steps, scale the target, or take a loss with a bounded gradient",
        "says: clip gradients. Clipping the residual's gradient is Huber's loss, and moves the estimate from the mean",
    ),
    "LM-DIVERGE": Advice(
        "the learning rate rises or was at its limit all along; a batch threw the parameters off",
        "go back to the last good parameters and continue with a lower learning rate and clipped gradients",
    ),
    "LM-OSCILLATE": Advice(
        "steps too long for the curvature, or batches too small for the learning rate",
        "a lower learning rate, a schedule that fades out, or larger batches",
    ),
    "LM-SPIKE": Advice("single batches that throw the parameters off", "clip gradients; look at the batch of the step"),
    "LM-VANISH": Advice(
        "the loss is flat where the prediction is wrong, so those rows pull no more: a saturated or redescending loss; "
        "in deep networks, layers that shrink what flows back",
        "use a loss merged with its link (cross-entropy on logits), or a wider robust loss; ReLU, normalisation and "
        "a proper initialisation in deep networks",
        "says: saturated loss, use a bounded loss. A bounded loss is flat far out, which is the cause, not the cure; "
        "the cure is the loss merged with its link on logits",
    ),
    "LM-FROZEN": Advice(
        "the optimiser holds other parameters, is never stepped, or layers were frozen or cut from the graph",
        "make the optimiser from this model's parameters, call step(), look for detach() and requires_grad",
    ),
    "LM-NOZERO": Advice("gradients are not set to zero between steps", "call zero_grad() before each backward pass"),
    "LM-UNDERFLOW": Advice(
        "gradients below the smallest number of half precision", "scale the loss (GradScaler), or use bfloat16"
    ),
    "LM-SLOW": Advice(
        "the iterations ended while the objective was still falling: badly scaled features, a kinked or flat loss, "
        "or steps that are too small",
        "allow more iterations, scale the features, or take a smooth loss of the same functional",
        "says: poor loss function, try another. Another loss estimates something else; more iterations or scaling "
        "come first",
    ),
    "LM-PLATEAU": Advice(
        "nothing but a constant is learned: units dead or all alike, too strong a penalty, features without a signal",
        "overfit one batch first; if that works look at the data, if not at initialisation, activations and rate",
    ),
    "LM-MINIMA": Advice(
        "the objective is not convex: where training ends depends on where it began",
        "start from a convex fit (Huber before Tukey), or take the best of several starts",
        "says: non-convex landscape, better initialisation. Right; a convex loss and a linear model have none",
    ),
    "LM-LRZERO": Advice(
        "the schedule was made for fewer steps than the run has", "give the schedule the number of steps, or restart it"
    ),
    "LM-OVERFIT": Advice(
        "what was learned from the training rows does not carry over to held-out rows: too much freedom for the data",
        "more regularisation, fewer rounds, fewer features, more rows",
        "says: loss function too complex, add regularisation. The model is too free, not the loss; the remedy is right",
    ),
    "LM-LEAK": Advice(
        "a feature knows the target, or held-out rows are among the training rows",
        "drop the feature that alone predicts the target; split before anything else, by group or time",
    ),
    "LM-LABELS": Advice(
        "labels of the training rows are wrong or shifted against their features",
        "look at the rows that the model is surest are wrong; a loss that tolerates noise if they cannot be mended",
    ),
    "LM-MODE": Advice(
        "batch normalisation or dropout in the wrong mode, or held-out rows prepared differently",
        "model.train() before training, model.eval() before evaluation; one preparation for all rows",
    ),
    "LM-DISAGREE": Advice(
        "held-out rows are prepared or labelled in another way, or the loss does not measure what the metric does",
        "run the training rows through the evaluation; if they fail too, the evaluation is wrong",
    ),
    "LM-DEAD": Advice(
        "ReLU units pushed below zero by long steps or a bad bias",
        "a lower learning rate, leaky ReLU, new initialisation",
    ),
    "LM-SATURATED": Advice(
        "inputs or weights too large for sigmoid or tanh", "scale inputs, initialise smaller, normalise, or use ReLU"
    ),
    "LM-IMBALANCE": Advice(
        "the rare class is missed although the probabilities may be right: a threshold of 1/2 serves equal costs only",
        "keep the proper loss and move the decision threshold; weights only if the metric needs them, then recalibrate",
        "says: weighted or focal loss. Both spoil calibration and hardly help the ranking; the threshold costs nothing",
    ),
    "LM-OUTLIERS": Advice(
        "few rows carry a large part of the gradient, so they steer the fit",
        "if the values are errors: a robust loss with a MAD scale; if they are real and the mean is wanted: keep "
        "squared error or a log link, and restore the mean after a robust fit",
        "says: robust loss. Right for errors; for a real heavy tail it changes what is estimated",
    ),
    "LM-SCALE": Advice(
        "raw columns or targets with large numbers, or weights that start too large",
        "standardise inputs and target on the training rows; keep the layers' own initialisation",
    ),
    "LM-SORTED": Advice("rows are sorted and never shuffled", "shuffle the training rows before each epoch"),
    "LM-OUTPUT": Advice(
        "softmax or sigmoid applied twice or not at all, or a loss for another kind of target",
        "give raw scores to the loss that is merged with its link; squared error for numbers only",
    ),
}
