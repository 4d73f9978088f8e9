"""What probes of a live model say about its output and its loss: whether one fits the other. Data, no code.

Numbers are those of :func:`lossmith.diagnose.probes.examine` and of `probed.derived`.
"""

from __future__ import annotations

from ..telling import percent, power, power_percent
from .clue import Clue, Limit


def _clue(symptom: str, text: str, *limits: Limit) -> Clue:
    return Clue(symptom, text, limits)


OUTPUT_CLUES = (
    _clue(
        "LM-OUTPUT",
        "{0} of the targets lie beyond every output that the model can make (threshold {t0}), with any parameters: it "
        "ends in a function that confines them",
        Limit("targets_beyond", above=0.02, tell=percent),
    ),
    _clue(
        "LM-OUTPUT",
        "outputs stay as they are where all parameters grow fourfold (largest one: {0} times; threshold {t0}), and the "
        "loss takes any number: the model ends in a function that confines them",
        Limit("reach_growth", below=0.3, tell=power),
        Limit("loss_cosine", above=0.99),
        Limit("class_ratio", above=-1.0),
    ),
    _clue(
        "LM-OUTPUT",
        "{0} of the outputs lie on one side of zero (threshold {t0}), with any parameters, and the loss takes any "
        "number: the model ends in a function that confines them",
        Limit("reach_one_side", above=0.9999, tell=percent),
        Limit("reach_normalised", below=0.5),  # logarithms of probabilities are never above zero, and fit
        Limit("loss_cosine", above=0.9),
        Limit("class_ratio", above=-1.0),
    ),
    _clue(
        "LM-OUTPUT",
        "outputs that are right and sure still cost {0} of what guessing costs (threshold {t0}), and a sure mistake "
        "costs {1} times an unsure one (threshold {t1}; log loss: 4): the loss squashes what is a probability already, "
        "or has other codes in mind",
        Limit("right_cost", above=0.25, tell=percent),
        Limit("wrong_growth", below=0.2, tell=power),
    ),
    _clue(
        "LM-OUTPUT",
        "outputs that are right and sure still cost {0} of what guessing costs (threshold {t0}): the loss has other "
        "codes in mind",
        Limit("right_cost", above=0.6, tell=percent),
    ),
    _clue(
        "LM-OUTPUT",
        "the loss of right outputs falls below zero without end ({0} of what guessing costs; threshold {t0}): it takes "
        "probabilities or their logarithms, and gets any number",
        Limit("right_cost", below=-0.2, tell=percent),
        Limit("reach_normalised", below=0.5),
    ),
    _clue(
        "LM-OUTPUT",
        "of rows that are equally far off the loss pulls some {0} times as hard as others (threshold {t0}), though "
        "targets lie on both sides of zero (at most {1} on one; threshold {t1}): it is for positive numbers",
        Limit("loss_uneven", above=0.7, tell=power),
        Limit("targets_one_side", below=0.9, tell=percent),
    ),
    _clue(
        "LM-OUTPUT",
        "the outputs are probabilities already (they sum to 1 in {0} of the rows; threshold {t0}), and the loss takes "
        "raw scores",
        Limit("outputs_sum_to_one", above=0.99, tell=percent),
        Limit("loss_cosine", above=0.99),
    ),
    _clue(
        "LM-OUTPUT",
        "{0} of the outputs lie between 0 and 1 (threshold {t0}), and the loss takes any number",
        Limit("outputs_within_unit", above=0.999, tell=percent),
        Limit("loss_cosine", above=0.99),
        Limit("output_spread", above=-1.6),  # outputs that hardly vary lie between 0 and 1 by chance
        Limit("fresh_memorised_right", below=0.7),  # and a new start, too, cannot reach the targets
    ),
    _clue(
        "LM-OUTPUT",
        "no output is below zero ({0} are not; threshold {t0}), though the targets' mean is within a third of their "
        "spread from zero, and 16 rows cannot be learned by heart from a new start either: the model ends in a "
        "function that is never negative",
        Limit("outputs_nonnegative", above=0.999, tell=percent),
        Limit("target_offset", below=-0.5),
        Limit("outputs_outside", above=-1.2),
        Limit("output_spread", above=-2.0),
        Limit("fresh_memorised_right", below=0.7),
    ),
    _clue(
        "LM-OUTPUT",
        "the loss pulls elsewhere than squared error does, or not at all, for {0} of made-up outputs (threshold {t0}), "
        "and pulls outputs that lie twenty times as far off by only {1} as hard (threshold {t1}): it is another task's",
        Limit("loss_apart", above=0.1, tell=percent),
        Limit("loss_growth", below=-0.3, tell=power_percent),
        Limit("loss_growth_known", above=-3.0),  # redescending losses pull no more at all: they show as LM-VANISH
    ),
    _clue(
        "LM-OUTPUT",
        "{0} of the outputs are exactly zero (threshold {t0}), and the loss takes any number: the model ends in a ReLU",
        Limit("outputs_zero", above=0.05, tell=percent),
        Limit("output_spread", above=-6.0),
    ),
    _clue(
        "LM-OUTPUT",
        "on made-up outputs the loss pulls in another direction than log loss does (cosine {0}; threshold {t0})",
        Limit("loss_cosine", below=0.9),
        Limit("class_ratio", above=-1.0),
    ),
    _clue(
        "LM-OUTPUT",
        "for some made-up outputs the loss pulls away from the target (lowest cosine {0}; threshold {t0})",
        Limit("loss_cosine_low", below=-0.5),
    ),
    _clue(
        "LM-OUTPUT",
        "the outputs lie {0} standard deviations of the target beside it on average (threshold {t0}), and 16 rows "
        "cannot be learned by heart from a new start either (R2 {1}; threshold {t1}): the loss asks for something else",
        Limit("outputs_outside", above=-0.7, tell=power),
        Limit("fresh_memorised_right", below=-0.2),
        Limit("target_offset", below=0.3),  # targets far from zero, or of another unit, are LM-SCALE
        Limit("target_size", below=0.7),
    ),
)
