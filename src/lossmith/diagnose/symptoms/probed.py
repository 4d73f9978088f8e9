"""What probes of a live model say about symptoms: limits that each mean something, none fitted.

Numbers are those of :func:`lossmith.diagnose.probes.examine`; sizes are decimal logarithms there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import final

from .found import Seen

Numbers = Mapping[str, float]


@final
@dataclass(frozen=True)
class Limit:
    """A number and the side of it that counts.

    Attributes
    ----------
    name : str
        Of the number.
    above, below : float or None
        Where it shows; one of the two is given.
    """

    name: str
    above: float | None = None
    below: float | None = None

    def passed(self, numbers: Numbers) -> bool:
        """Whether the number is there and beyond the limit."""
        value = numbers.get(self.name)
        if value is None:
            return False
        return (self.above is None or value > self.above) and (self.below is None or value < self.below)


@final
@dataclass(frozen=True)
class Clue:
    """Limits that together show a symptom.

    Attributes
    ----------
    symptom : str
        Its id.
    text : str
        What it means, the first number as ``{0}``.
    limits : tuple of Limit
        All must be passed.
    """

    symptom: str
    text: str
    limits: tuple[Limit, ...]

    def seen(self, numbers: Numbers) -> Seen | None:
        """Return what it shows, or None."""
        if not all(limit.passed(numbers) for limit in self.limits):
            return None
        shown = {limit.name: numbers[limit.name] for limit in self.limits}
        edges = {f"{k.name}_limit": k.above if k.above is not None else k.below for k in self.limits}
        told = self.text.format(*(f"{value:.3g}" for value in shown.values()))
        first = self.limits[0]
        edge = f"above {first.above:g}" if first.above is not None else f"below {first.below:g}"
        evidence = f"{told} (probe {first.name}; threshold: {edge})"
        return Seen(evidence, shown | {name: float(edge) for name, edge in edges.items() if edge is not None})


def _clue(symptom: str, text: str, *limits: Limit) -> Clue:
    return Clue(symptom, text, limits)


CLUES = (
    _clue("LM-MODE", "the model is evaluated in training mode", Limit("evaluates_in_training", above=0.5)),
    _clue(
        "LM-MODE", "two evaluations of the same rows differ by 10^{0} of their size", Limit("chance_in_own", above=-3.0)
    ),
    _clue(
        "LM-MODE",
        "batch normalisation trains in evaluation mode",
        Limit("step_in_training", below=0.5),
        Limit("norms", above=0.5),
    ),
    _clue(
        "LM-MODE",
        "dropout trains in evaluation mode",
        Limit("step_in_training", below=0.5),
        Limit("dropout", above=0.0),
    ),
    _clue("LM-MODE", "running spreads of a batch norm are off by 10^{0}", Limit("norm_spread_gap", above=0.3)),
    _clue(
        "LM-LABELS",
        "neighbours of a training row disagree with its label more than held-out neighbours do, by {0}",
        Limit("neighbours_doubt", above=0.15),
    ),
    _clue("LM-LEAK", "one column predicts the target {0} better than any other", Limit("top_column_lead", above=0.13)),
    _clue("LM-LEAK", "{0} of the held-out rows are among the training rows", Limit("seen_before", above=0.2)),
    _clue(
        "LM-SLOW",
        "five more steps of the training still lower the loss by {0} of itself",
        Limit("own_fall", above=0.03),
    ),
    _clue(
        "LM-OUTPUT",
        "the outputs are probabilities already ({0} of the rows sum to 1), and the loss takes raw scores",
        Limit("outputs_sum_to_one", above=0.99),
        Limit("loss_cosine", above=0.99),
    ),
    _clue(
        "LM-OUTPUT",
        "all outputs lie between 0 and 1 ({0}), and the loss takes any number",
        Limit("outputs_within_unit", above=0.999),
        Limit("loss_cosine", above=0.99),
        Limit("output_spread", above=-6.0),
    ),
    _clue(
        "LM-OUTPUT",
        "{0} of the outputs are exactly zero, and the loss takes any number",
        Limit("outputs_zero", above=0.05),
        Limit("output_spread", above=-6.0),
    ),
    _clue(
        "LM-OUTPUT",
        "the loss pulls another way than log loss does (cosine {0})",
        Limit("loss_cosine", below=0.9),
        Limit("class_ratio", above=-1.0),
    ),
    _clue("LM-OUTPUT", "the loss pulls away from the target (lowest cosine {0})", Limit("loss_cosine_low", below=-0.5)),
    _clue("LM-VANISH", "{0} of the rows are wrong and pull no more", Limit("wrong_and_still", above=0.1)),
    _clue(
        "LM-IMBALANCE", "class weights grow with the class's size (slope {0})", Limit("class_weight_slope", above=0.5)
    ),
    _clue(
        "LM-IMBALANCE",
        "recall of a class is {0} although others are found, and classes differ in size by 10^{1}",
        Limit("held_recall_low", below=0.5),
        Limit("class_ratio", above=0.477),
    ),
    _clue(
        "LM-DISAGREE", "renaming the classes would right {0} of the held-out rows", Limit("renaming_gain", above=0.1)
    ),
    _clue(
        "LM-DISAGREE",
        "held-out columns have other spreads than training columns, by 10^{0}",
        Limit("ratio_median", above=0.25),
    ),
    _clue("LM-DISAGREE", "held-out columns are shifted by 10^{0} spreads", Limit("shift_median", above=-0.3)),
    _clue("LM-DISAGREE", "held-out targets have another range, by 10^{0}", Limit("target_ratio", above=0.3)),
    _clue(
        "LM-SCALE", "a layer's weights are 10^{0} times what initialisation draws", Limit("weight_scale_max", above=0.5)
    ),
    _clue("LM-OUTLIERS", "the farthest target lies 10^{0} robust ranges away", Limit("far_target", above=1.0)),
    _clue("LM-NOZERO", "gradients of earlier batches are still in the sum ({0})", Limit("accumulates", above=0.5)),
    _clue(
        "LM-SORTED",
        "a batch's rows are alike: {0} of the targets' variance lies between batches",
        Limit("batch_order", above=0.25),
    ),
    _clue("LM-FROZEN", "{0} of the parameters are frozen", Limit("frozen", above=0.01)),
    _clue(
        "LM-FROZEN",
        "{0} of the parameters do not move although they are pulled",
        Limit("unmoved_although_pulled", above=0.05),
    ),
    _clue("LM-FROZEN", "the optimiser holds only {0} of the parameters", Limit("covered", below=0.99)),
    _clue("LM-DEAD", "{0} of a layer's units are zero for every sample", Limit("dead_max", above=0.7)),
    _clue("LM-SATURATED", "{0} of a layer's activations sit at its flat ends", Limit("saturated_max", above=0.7)),
    _clue(
        "LM-UNDERFLOW",
        "{0} of the gradient's entries are lost to zero",
        Limit("lost_share", above=0.05),
        Limit("half_gradients", above=0.5),
    ),
    _clue("LM-LRZERO", "the learning rate is 10^{0} of its peak", Limit("rate_left", below=-3.0)),
)


def probed(symptom: str, numbers: Numbers) -> Seen | None:
    """Return the first clue of the live model that shows a symptom.

    Parameters
    ----------
    symptom : str
        Its id.
    numbers : mapping of str to float
        What probes measured.

    Returns
    -------
    Seen or None
        None when no clue shows it.
    """
    if not numbers:
        return None
    found = (clue.seen(numbers) for clue in CLUES if clue.symptom == symptom)
    return next((seen for seen in found if seen is not None), None)
