"""What probes of a live model say about symptoms, each in one sentence with its threshold. Data, no code.

Numbers are those of :func:`lossmith.diagnose.probes.examine` and of `probed.derived`; sizes are decimal logarithms
there, and told as sizes.
"""

from __future__ import annotations

from ..telling import doubling, exponential, percent, power, power_percent
from .clue import Clue, Limit
from .clues_output import OUTPUT_CLUES


def _clue(symptom: str, text: str, *limits: Limit) -> Clue:
    return Clue(symptom, text, limits)


CLUES = (
    _clue(
        "LM-MODE",
        "the model is still in training mode when it is evaluated: dropout drops and batch normalisation uses the "
        "batch at hand",
        Limit("evaluates_in_training", above=0.5),
    ),
    _clue(
        "LM-MODE",
        "two evaluations of the same rows differ by {0} of the outputs' spread (threshold {t0}): something random is "
        "on during evaluation",
        Limit("chance_in_own", above=-3.0, tell=power_percent),
    ),
    _clue(
        "LM-MODE",
        "training steps are taken in evaluation mode, so batch normalisation never learns its statistics",
        Limit("step_in_training", below=0.5),
        Limit("norms", above=0.5),
    ),
    _clue(
        "LM-MODE",
        "training steps are taken in evaluation mode, so dropout never drops anything",
        Limit("step_in_training", below=0.5),
        Limit("dropout", above=0.0),
    ),
    _clue(
        "LM-MODE",
        "the variances that a batch normalisation remembers are wrong by a factor of {0} (threshold {t0}): evaluation "
        "and training compute different things",
        Limit("norm_spread_gap", above=0.3, tell=power),
    ),
    _clue(
        "LM-MODE",
        "the memory of a batch normalisation is to {0} the last batch (threshold {t0}): evaluation goes by a few rows; "
        "PyTorch's momentum is one less that of Keras",
        Limit("norm_forgets", above=0.7, tell=percent),
    ),
    _clue(
        "LM-LABELS",
        "the nearest neighbours of a training row contradict its label more often than those of a held-out row do: "
        "their error, as a share of what a constant guess costs, is larger by {0} (threshold {t0}), and by {1} more "
        "than chance explains with so few rows",
        Limit("neighbours_doubt", above=0.15, tell=percent),
        Limit("neighbours_doubt_excess", above=0.0, tell=percent),
    ),
    _clue(
        "LM-OVERFIT",
        "the training rows are learned to {0} (threshold {t0}), and held-out rows to {1} less (share of rows that are "
        "right, or of the variance; threshold {t1})",
        Limit("own_skill_train", above=0.9, tell=percent),
        Limit("skill_lost", above=0.3, tell=percent),
    ),
    _clue(
        "LM-LEAK",
        "one input column alone explains {0} of the target (threshold {t0}): it seems to hold the answer",
        Limit("top_column", above=0.985, tell=percent),
    ),
    _clue(
        "LM-LEAK",
        "{0} of the held-out rows are also among the training rows (threshold {t0})",
        Limit("seen_before", above=0.2, tell=percent),
    ),
    _clue(
        "LM-LEAK",
        "held-out rows lie {0} times as far from their nearest training row as training rows lie from each other "
        "(threshold {t0}): they are copies of training rows, or nearly so",
        Limit("copies_apart", below=-0.5, tell=power),
    ),
    _clue(
        "LM-LEAK",
        "columns that share nothing with the others but the target explain {0} of it (threshold {t0}), and {1} more "
        "than the next column does (threshold {t1}): they seem to be made from the answer",
        Limit("told_column", above=0.75, tell=percent),
        Limit("told_lead", above=0.2, tell=percent),
    ),
    _clue(
        "LM-SLOW",
        "five more steps of the training still lower the loss by {0} of what knowing nothing costs (threshold {t0})",
        Limit("fall_left", above=0.018, tell=percent),
    ),
    _clue(
        "LM-SLOW",
        "a new start that is trained for 40 steps by the book is right on {0} more of the held-out rows (or of their "
        "variance) than this training at its end (threshold {t0}), and {1} more than chance explains with so few rows",
        Limit("restart_lead", above=0.1, tell=percent),
        Limit("restart_lead_excess", above=0.0, tell=percent),
    ),
    _clue(
        "LM-PLATEAU",
        "the training ended at a loss {0} times that of a new start trained for 40 steps by the book (threshold {t0})",
        Limit("restart_gain", above=0.3, tell=power),
        Limit("own_skill_train", below=0.98),  # where all is learned, ratios of losses say nothing
    ),
    _clue(
        "LM-PLATEAU",
        "{0} of a hidden layer's units are copies of another unit (threshold {t0}): they get the same gradient and "
        "learn as one",
        Limit("twin_units", above=0.9, tell=percent),
    ),
    _clue(
        "LM-PLATEAU",
        "the narrowest hidden layer has {0} unit (threshold: fewer than 2): all that is learned must pass through one "
        "number",
        Limit("narrowest", below=0.5, tell=doubling),
    ),
    _clue(
        "LM-PLATEAU",
        "dropout removes {0} of a layer's units (threshold {t0}): its noise holds the loss up",
        Limit("dropout", above=0.7, tell=percent),
    ),
    _clue(
        "LM-PLATEAU",
        "the penalty pulls {0} times as hard as the data (threshold {t0}), and has shrunk a layer's weights to {1} of "
        "the usual size of new ones (threshold {t1})",
        Limit("penalty_pull", above=-1.0, tell=power),
        Limit("weight_shrunk", below=-0.4, tell=power),
    ),
    _clue(
        "LM-PLATEAU",
        "a weight decay of {0} (threshold {t0}) has shrunk a layer's weights to {1} of the usual size of new ones "
        "(threshold {t1})",
        Limit("decay", above=-1.5, tell=power),
        Limit("weight_shrunk", below=-0.4, tell=power),
    ),
    Clue(
        "LM-MINIMA",
        "{0} of several short trainings from new initialisations got less than a tenth of the way of the best one "
        "(threshold {t0}), and their last losses lie {1} of that way apart (threshold {t1})",
        (Limit("starts_trapped", above=0.15, tell=percent), Limit("starts_spread", above=0.5, tell=percent)),
        "info",  # not yet held against enough healthy runs to warn
    ),
    _clue(
        "LM-VANISH",
        "{0} of the wrong rows pull no more (threshold {t0}): the loss is flat there",
        Limit("wrong_and_still", above=0.1, tell=percent),
    ),
    _clue(
        "LM-IMBALANCE",
        "the loss gives larger classes larger weights (they grow with the class's size to the power {0}; "
        "threshold {t0})",
        Limit("class_weight_slope", above=0.5),
    ),
    _clue(
        "LM-IMBALANCE",
        "the loss weighs one class {0} times as much as the sizes of the classes call for (threshold {t0})",
        Limit("class_weight_excess", above=1.6, tell=exponential),
    ),
    _clue(
        "LM-IMBALANCE",
        "the rarest classes lack {0} of the held-out recall of the commonest ones (threshold {t0}), and classes differ "
        "in size {1} times (threshold {t1})",
        Limit("rare_missed", above=0.67, tell=percent),
        Limit("class_ratio", above=0.477, tell=power),
    ),
    _clue(
        "LM-IMBALANCE",
        "the rarest classes lack {0} of the held-out recall of the commonest ones (threshold {t0}), and classes differ "
        "in size {1} times (threshold {t1})",
        Limit("rare_missed", above=0.3, tell=percent),
        Limit("class_ratio", above=1.0, tell=power),
    ),
    _clue(
        "LM-IMBALANCE",
        "the largest class has {0} times as many rows as the smallest (threshold {t0}), and a row of the smallest "
        "pulls {1} times as hard as the average row (threshold {t1}): it is learned worse",
        Limit("class_ratio", above=0.7, tell=power),
        Limit("rare_gradient", above=3.0),
    ),
    _clue(
        "LM-DISAGREE",
        "renaming the classes would right {0} of the held-out rows (threshold {t0}): they are coded differently",
        Limit("renaming_gain", above=0.1, tell=percent),
    ),
    _clue(
        "LM-DISAGREE",
        "the spreads of held-out and training columns differ by a factor of {0} (median column; threshold {t0})",
        Limit("ratio_median", above=0.25, tell=power),
    ),
    _clue(
        "LM-DISAGREE",
        "held-out columns are shifted by {0} of their interquartile range (median column; threshold {t0})",
        Limit("shift_median", above=-0.3, tell=power),
    ),
    _clue(
        "LM-DISAGREE",
        "the ranges of held-out and training targets differ by a factor of {0} (threshold {t0})",
        Limit("target_ratio", above=0.3, tell=power),
    ),
    _clue(
        "LM-SCALE",
        "a layer's weights are {0} times the usual size of new ones (threshold {t0})",
        Limit("weight_grown", above=1.1, tell=power),
    ),
    _clue(
        "LM-OUTLIERS",
        "the farthest target lies {0} robust standard deviations from the median (threshold {t0})",
        Limit("far_target", above=1.2, tell=power),
    ),
    _clue(
        "LM-NOZERO",
        "{0} of the first step's gradient is still there in the second (threshold {t0})",
        Limit("accumulates", above=0.5, tell=percent),
        Limit("accumulated_alike", below=0.5),
    ),
    _clue(
        "LM-SORTED",
        "the rows of a batch are alike: {0} of the targets' variance lies between batches (shuffled batches of this "
        "size stay below {1})",
        Limit("batch_order", above=0.25, tell=percent),
        Limit("batch_order_chance", above=0.0, tell=percent),
        Limit("batch_order_excess", above=0.0),
    ),
    _clue(
        "LM-FROZEN",
        "{0} of the parameters are frozen (threshold {t0})",
        Limit("frozen", above=0.01, tell=percent),
    ),
    _clue(
        "LM-FROZEN",
        "{0} of the parameter tensors do not move in a step although a gradient pulls them (threshold {t0})",
        Limit("unmoved_although_pulled", above=0.3, tell=percent),
        Limit("rate_left", above=-3.0, tell=power_percent),  # else the learning rate is at zero, which is LM-LRZERO
    ),
    _clue(
        "LM-FROZEN",
        "{0} of the parameters lie in tensors that a step moves by less than a hundredth of what it moves the fastest "
        "one (threshold {t0}; each as a share of its size): they are left as they began",
        Limit("left_behind", above=0.2, tell=percent),
        Limit("rate_left", above=-3.0, tell=power_percent),
    ),
    _clue(
        "LM-FROZEN",
        "the optimiser holds only {0} of the parameters (threshold {t0})",
        Limit("covered", below=0.99, tell=percent),
    ),
    _clue(
        "LM-EXPLODE",
        "five of the training's own steps, taken from a new start, raise the loss by {0} of what knowing nothing costs "
        "(threshold {t0})",
        Limit("fresh_own_rise", above=0.1, tell=percent),
    ),
    _clue(
        "LM-DEAD",
        "{0} of a layer's units are zero for every row (threshold {t0})",
        Limit("dead_max", above=0.7, tell=percent),
    ),
    _clue(
        "LM-SATURATED",
        "{0} of a layer's activations sit at the flat ends of their function (threshold {t0})",
        Limit("saturated_max", above=0.7, tell=percent),
    ),
    _clue(
        "LM-OSCILLATE",
        "the training's own step is {0} times the best step along the gradient (threshold {t0}), and five of them "
        "change the loss by {1} of what knowing nothing costs (threshold {t1}): it jumps over the minimum",
        Limit("step_excess", above=0.1, tell=power),
        Limit("change_left", above=0.03, tell=percent),
    ),
    _clue(
        "LM-OSCILLATE",
        "batches of {0} rows (threshold: 3 or fewer) move the parameters by {1} of their size a step (threshold {t1}): "
        "chance decides where the loss goes",
        Limit("batch_size", below=1.9, tell=doubling),
        Limit("own_step", above=-2.0, tell=power_percent),
    ),
    _clue(
        "LM-UNDERFLOW",
        "{0} of the gradient's entries are rounded to zero (threshold {t0})",
        Limit("lost_share", above=0.05, tell=percent),
        Limit("half_gradients", above=0.5),
    ),
    _clue(
        "LM-LRZERO",
        "the learning rate is {0} of its peak (threshold {t0})",
        Limit("rate_left", below=-3.0, tell=power_percent),
    ),
    _clue(
        "LM-MODE",
        "as the user evaluates, outputs differ from those in evaluation mode by {0} of their spread (threshold {t0}), "
        "on the same rows with the same parameters: buffers or modes are others there",
        Limit("own_apart", above=-2.0, tell=power_percent),
    ),
    _clue(
        "LM-PLATEAU",
        "the model is a straight line through its inputs (outputs half-way between rows lie {0} of the spread beside "
        "the middle; threshold {t0}), though it has {1} layers of weights (threshold: more than {t1}): nothing bends "
        "between them",
        Limit("bend", below=-4.0, tell=power_percent),
        Limit("depth", above=1.5),
    ),
    _clue(
        "LM-PLATEAU",
        "in training mode outputs differ from those in evaluation by {0} of their spread (threshold {t0}): what "
        "dropout lets through is mostly noise, and holds the loss up",
        Limit("training_noise", above=-0.3, tell=power_percent),
        Limit("dropout", above=0.0),
    ),
    _clue(
        "LM-PLATEAU",
        "least squares on random features of the same rows is right on {0} more of the held-out rows (or of their "
        "variance) than this training at its end (threshold {t0}), and {1} more than chance explains with so few rows",
        Limit("yardstick_lead", above=0.1, tell=percent),
        Limit("yardstick_lead_excess", above=0.0, tell=percent),
    ),
    _clue(
        "LM-DISAGREE",
        "{0} of the columns that vary in training are constant in held-out rows (threshold {t0})",
        Limit("columns_gone", above=0.2, tell=percent),
    ),
    _clue(
        "LM-OSCILLATE",
        "a batch holds {0} different rows (threshold: 3 or fewer), and moves the parameters by {1} of their size a "
        "step (threshold {t1}): chance decides where the loss goes",
        Limit("batch_different", below=1.9, tell=doubling),
        Limit("own_step", above=-2.6, tell=power_percent),
    ),
    _clue(
        "LM-OSCILLATE",
        "a batch holds {0} different rows (threshold: 6 or fewer), each several times: chance decides where the loss "
        "goes",
        Limit("batch_different", below=2.7, tell=doubling),
        Limit("batch_copies", above=1.0),
    ),
    *OUTPUT_CLUES,
)
