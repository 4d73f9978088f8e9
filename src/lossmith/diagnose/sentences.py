"""What each number that speaks for a cause means: a sentence with a place for the number. Data, hardly any code."""

from __future__ import annotations

from collections.abc import Mapping

from lossmith.diagnose.telling import Tell, count, doubling, exponential, percent, plain, power, power_percent

Sentence = tuple[str, Tell]

_STEPS: dict[str, Sentence] = {
    "moved": ("one training step changes the parameters by {} of their size", power_percent),
    "unmoved_share": ("a training step leaves {} of the parameter tensors as they were", percent),
    "unmoved_although_pulled": ("{} of the parameter tensors do not move although a gradient pulls them", percent),
    "no_gradient_share": ("no gradient reaches {} of the parameter tensors", percent),
    "covered": ("the optimiser holds {} of the parameters", percent),
    "frozen": ("{} of the parameters ask for no gradient", percent),
    "accumulates": ("{} of the first step's gradient is still there in the second", percent),
    "half_gradients": ("{} of the gradients are numbers of 16 bits", percent),
    "half_parameters": ("{} of the parameters are numbers of 16 bits", percent),
    "lost_share": ("{} of the gradient's entries are rounded to zero", percent),
    "overflow": ("the step's gradient overflows (1: yes, 0: no): {}", plain),
    "gradient_size": ("the norm of the gradient is {}", power),
    "gradient_ratio": ("the step's gradient is {} times as long as that of its batch", power),
    "gradient_cosine": ("the step's gradient points as its batch's does with cosine {}", plain),
    "penalty_pull": ("a penalty pulls {} times as hard as the data", power),
    "decay": ("the weight decay is {}", power),
    "memory": ("momentum adds up about {} steps", power),
    "rate_left": ("the learning rate is now {} of its peak", power_percent),
    "dropout": ("dropout removes {} of a layer's units", percent),
    "penalised": ("a penalty is part of the loss (1: yes, 0: no): {}", plain),
}
_LINES: dict[str, Sentence] = {
    "best_fall": ("the best step along the gradient lowers the loss by {} of itself", percent),
    "best_step": ("the best step along the gradient is {} of the parameters' size", power_percent),
    "own_step": ("the training's own step is {} of the parameters' size", power_percent),
    "own_fall": ("five of the training's own steps lower the loss by {} of itself", percent),
    "step_excess": ("the training's own step is {} times the best one along the gradient", power),
    "memorised": ("40 steps by the book on 16 rows bring their loss to {} times what it was", power),
    "memorised_right": ("40 steps by the book make {} of 16 rows right (of their variance, for numbers)", percent),
    "gradient_slope": ("the gradient grows {} times from each layer to the next", power),
    "gradient_first_last": ("the first layer's gradient is {} times the last one's", power),
}
_NETWORK: dict[str, Sentence] = {
    "twin_units": ("{} of a hidden layer's units are copies of another", percent),
    "zero_weights": ("{} of a layer's weights are exactly zero", percent),
    "dead_max": ("{} of a layer's units are zero for every row", percent),
    "zero_max": ("{} of a layer's activations are exactly zero", percent),
    "saturated_max": ("{} of a layer's activations sit at the flat ends of their function", percent),
    "squashing_layers": ("{} layers squash with a sigmoid", count),
    "spread_first": ("the first layer's activations spread over {}", power),
    "spread_last": ("the last hidden layer's activations spread over {}", power),
    "spread_decay": ("activations spread {} times as far in the last hidden layer as in the first", power),
    "output_spread": ("the outputs spread over {}", power),
    "output_varies": ("the outputs vary by {} of their size from row to row", power_percent),
    "weight_scale_max": ("the largest layer's weights are {} times one over the root of their inputs", power),
    "weight_scale_min": ("the smallest layer's weights are {} times one over the root of their inputs", power),
    "bias_max": ("the largest bias is {}", power),
    "narrowest": ("the narrowest hidden layer has {} units", doubling),
    "parameters_per_row": ("the model has {} parameters for each training row", power),
    "depth": ("the model has {} layers with weights", count),
    "finite_parameters": ("all parameters are finite (1: yes, 0: no): {}", plain),
    "norms": ("the model has {} batch normalisations", count),
    "norm_mean_gap": ("remembered means of a batch normalisation are off by {} standard deviations", power),
    "norm_spread_gap": ("remembered variances of a batch normalisation are off by a factor of {}", power),
    "mode_gap": ("rows cost {} times as much in training mode as in evaluation mode", power),
    "own_mode_gap": ("rows cost {} times as much in the user's evaluation as in evaluation mode", power),
    "chance_in_own": ("two evaluations of the same rows differ by {} of the outputs' spread", power_percent),
    "chance_in_eval": ("two passes in evaluation mode differ by {} of the outputs' spread", power_percent),
    "evaluates_in_training": ("evaluation leaves the model in training mode (1: yes, 0: no): {}", plain),
    "step_in_training": ("steps are taken in training mode (1: yes, 0: no): {}", plain),
}
_LOSS: dict[str, Sentence] = {
    "loss_cosine": ("on made-up outputs the loss pulls as the usual one does with cosine {}", plain),
    "loss_cosine_low": ("for some made-up outputs the loss pulls as the usual one does only with cosine {}", plain),
    "loss_asymmetry": ("the loss pulls {} times as hard on one side of the target as on the other", power),
    "loss_scale": ("the loss pulls {} times as hard as the usual one", power),
    "loss_flat_share": ("the loss is flat for {} of the made-up outputs", percent),
    "loss_growth": ("large mistakes pull {} times as hard as small ones", power),
    "loss_negative_share": ("the loss is below zero for {} of the made-up outputs", percent),
    "loss_sum_of_slopes": ("the slopes of a row's outputs add up to {} of their size (0 for a softmax)", percent),
    "class_weight_spread": ("the loss weighs one class {} times as much as another", exponential),
    "class_weight_slope": ("class weights grow with the size of the class to the power {}", plain),
    "outputs_within_unit": ("{} of the outputs lie between 0 and 1", percent),
    "outputs_within_one": ("{} of the outputs lie between -1 and 1", percent),
    "outputs_outside_unit": ("{} of the outputs lie outside 0 to 1", percent),
    "outputs_nonnegative": ("{} of the outputs are not negative", percent),
    "outputs_zero": ("{} of the outputs are exactly zero", percent),
    "outputs_sum_to_one": ("the outputs sum to 1 in {} of the rows", percent),
    "outputs_cover": ("the outputs range over {} times the range of the targets", power),
    "outputs_outside": ("the outputs lie {} standard deviations of the target beside it on average", power),
    "wrong_and_still": ("{} of the wrong rows hardly pull", percent),
    "wrong_share": ("{} of the rows are clearly wrong", percent),
    "initial_loss": ("a new start costs {} times what theory says", power),
    "initial_loss_negative": ("the loss of a new start is below zero (1: yes): {}", plain),
    "top_loss_share": ("1 % of the rows carry {} of the loss", percent),
    "top_gradient_share": ("1 % of the rows carry {} of the gradient", percent),
    "recall_low": ("{} of the worst class's training rows are found", percent),
    "held_recall_low": ("{} of the worst class's held-out rows are found", percent),
    "recall_gap": ("the largest class is found more often than the rarest by {}", percent),
    "favourite": ("the model names one class too often, in {} of the rows", percent),
    "rare_gradient": ("a row of the rarest class pulls {} times as hard as the average row", plain),
    "restart_gain": ("the training ended at a loss {} times that of a new start after 40 steps by the book", power),
    "onward_gain": ("the training ended at a loss {} times that after 40 more steps by the book", power),
    "restart_spread": ("two new starts end at losses that differ by {} of their mean", percent),
    "restart_skill": (
        "a new start after 40 steps by the book is right on {} of the held-out rows or variance",
        percent,
    ),
    "starts": ("{} short trainings were made from new initialisations", count),
    "starts_own": ("the training ended at a loss {} times that of the best of several short ones", power),
    "starts_spread": ("short trainings from new initialisations end apart by {} of the best one's way down", percent),
    "starts_median": ("the median of several short trainings ends {} of the best one's way above it", percent),
    "starts_trapped": ("{} of several short trainings from new initialisations hardly began to learn", percent),
    "own_skill": ("the model is right on {} of the held-out rows (of their variance, for numbers)", percent),
    "own_skill_train": ("the model is right on {} of the training rows (of their variance, for numbers)", percent),
}
_ROWS: dict[str, Sentence] = {
    "bad_inputs": ("{} of the input cells are not finite", power_percent),
    "bad_targets": ("{} of the targets are not finite", power_percent),
    "input_mean": ("the largest mean of an input column is {}", power),
    "input_offset": ("the typical input column lies {} standard deviations from zero", power),
    "input_std_max": ("the largest standard deviation of an input column is {}", power),
    "input_std_median": ("the typical standard deviation of an input column is {}", power),
    "input_std_ratio": ("wide input columns spread {} times as far as narrow ones", power),
    "far_row": ("the farthest row lies {} times as far out as the typical one", power),
    "far_rows_share": ("{} of the rows lie more than 8 times as far out as the typical one", percent),
    "rows": ("there are {} training rows", power),
    "class_ratio": ("the largest class has {} times as many rows as the smallest", power),
    "target_mean": ("the mean of the target is {}", power),
    "target_std": ("the standard deviation of the target is {}", power),
    "target_ratio": ("the ranges of held-out and training targets differ by a factor of {}", power),
    "far_target": ("the farthest target lies {} robust standard deviations from the median", power),
    "target_gap": ("beyond a gap, some targets lie {} times as far from the median as the next nearer", power),
    "batch_order": ("{} of the targets' variance lies between batches", percent),
    "batch_size": ("a batch has {} rows", doubling),
    "shift_median": ("the typical held-out column is shifted by {} of its interquartile range", power_percent),
    "shift_max": ("the most shifted held-out column is shifted by {} of its interquartile range", power_percent),
    "ratio_median": ("spreads of held-out and training columns differ by a factor of {} (typical column)", power),
    "ratio_max": ("spreads of held-out and training columns differ by a factor of {} (worst column)", power),
    "seen_before": ("{} of the held-out rows are also among the training rows", percent),
    "top_column": ("one input column alone explains {} of the target", percent),
    "top_column_lead": ("the best input column alone explains {} more of the target than the next", percent),
    "told_column": ("a column that shares nothing with others but the target explains {} of it", percent),
    "told_lead": ("such columns explain {} more of the target than the next does", percent),
    "neighbours_train": ("among training rows, nearest neighbours err {} times as much as a constant", plain),
    "neighbours_held": ("among held-out rows, nearest neighbours err {} times as much as a constant", plain),
    "neighbours_cross": ("on held-out rows, nearest training rows err {} times as much as a constant", plain),
    "neighbours_doubt": ("training labels contradict their neighbours more than held-out ones, by {}", percent),
    "line_train": ("on training rows, a straight-line model errs {} times as much as a constant", plain),
    "line_held": ("fitted to held-out rows, a straight-line model errs {} times as much as a constant", plain),
    "line_cross": ("on held-out rows, a straight-line model errs {} times as much as a constant", plain),
    "renaming_gain": ("renaming the classes would right {} of the held-out rows", percent),
    "cross_slope": ("held-out targets spread {} times as far as training rows say", power),
    "cross_correlation": ("held-out targets correlate by {} with what training rows say of them", plain),
}
_CURVE: dict[str, Sentence] = {
    "bad_share": ("{} of the {of} losses are NaN or infinite", percent),
    "bad_from": ("NaN or infinite {of} losses begin after {} of the run (100 %: never)", percent),
    "first": ("the first {of} loss is {}", power),
    "last": ("the last {of} loss is {}", power),
    "negative": ("{} of the {of} losses are below zero", percent),
    "fall": ("the {of} loss ended at {} of its start", power_percent),
    "best_fall": ("the lowest {of} loss is {} of its start", power_percent),
    "last_over_min": ("the {of} loss ended at {} times its minimum", power),
    "min_at": ("the {of} loss is lowest after {} of the run", percent),
    "late_share": ("{} of the {of} loss's fall came in the last fifth of the run", percent),
    "half_share": ("{} of the {of} loss's fall came in the first half of the run", percent),
    "ending": ("in the last tenth of the run the {of} loss fell by {} of itself", power_percent),
    "peak": ("the largest {of} loss is {} times the first", power),
    "peak_over_last": ("the largest {of} loss is {} times the last", power),
    "noise": ("the {of} loss scatters by {} of its level late in the run", power_percent),
    "spike": ("the largest late jump of the {of} loss is {} times its typical one", power),
    "echo": ("the {of} loss repeats itself with correlation {}", plain),
    "next": ("neighbouring {of} losses are alike with correlation {}", plain),
    "jump": ("the largest jump of the {of} loss from one to the next is {} of its level", power_percent),
    "constant": ("the {of} loss does not change in {} of the steps", percent),
}
_LAYERS: dict[str, Sentence] = {
    "dead_share": ("{of} {} of a hidden layer's units are zero for every row", percent),
    "zero_share": ("{of} {} of a hidden layer's activations are exactly zero", percent),
    "saturated_share": ("{of} {} of a hidden layer's activations sit at the flat ends", percent),
    "spread_first": ("{of} the first layer's activations spread over {}", power),
    "spread_last": ("{of} the last hidden layer's activations spread over {}", power),
    "spread_decay": ("{of} activations spread {} times as far in the last hidden layer as in the first", power),
    "output_zero_share": ("{of} {} of the outputs are exactly zero", percent),
    "output_dead_share": ("{of} {} of the outputs are zero for every row", percent),
    "output_activation_mean": ("{of} the mean output is {} in size", power),
    "output_activation_std": ("{of} the outputs spread over {}", power),
    "depth_slope": ("{of} the relative gradient grows {} times from each layer to the next", power),
    "depth_first_last": ("{of} the first layer's relative gradient is {} times the last one's", power),
    "still_layers": ("{of} {} of the layers do not move", percent),
    "still_hidden": ("{of} {} of the hidden layers do not move", percent),
    "weight_size_max": ("{of} the largest norm of a layer's weights is {}", power),
    "weight_size_min": ("{of} the smallest norm of a layer's weights is {}", power),
}
_RECORD: dict[str, Sentence] = {
    "steps": ("the run has {} steps", power),
    "gap_last": ("at the end held-out rows cost {} times as much as training rows", power),
    "gap_first": ("at the start held-out rows cost {} times as much as training rows", power),
    "gap_best": ("the lowest held-out loss is {} times the lowest training loss", power),
    "gradient_bad": ("{} of the gradient norms are not finite", percent),
    "gradient_first": ("the first gradient norms are {}", power),
    "gradient_last": ("the last gradient norms are {}", power),
    "gradient_growth": ("the gradient norm ended at {} times its start", power),
    "gradient_peak": ("the largest gradient norm is {} times the typical one", power),
    "gradient_peak_first": ("the largest gradient norm is {} times the first ones", power),
    "gradient_zero": ("the gradient is exactly zero in {} of the steps", percent),
    "gradient_noise": ("the gradient norm changes from step to step by {} of its size", power_percent),
    "rate_top": ("the largest learning rate is {}", power),
    "rate_adaptive": ("the largest learning rate, of an adaptive optimiser, is {}", power),
    "rate_descent": ("the largest learning rate, of gradient descent, is {}", power),
    "rate_last": ("the last learning rate is {} of its peak", power_percent),
    "rate_first": ("the first learning rate is {} of its peak", power_percent),
    "rate_gone": ("the learning rate is below 1 % of its peak in {} of the steps", percent),
    "update_median": ("the typical step changes the parameters by {} of their size", power_percent),
    "update_first": ("the first steps change the parameters by {} of their size", power_percent),
    "update_last": ("the last steps change the parameters by {} of their size", power_percent),
    "update_zero": ("{} of the steps moved nothing", percent),
    "update_over_step": ("a step is {} times learning rate times gradient", power),
    "path": ("all steps together are {} times as long as the parameters are large", power),
    "size_change": ("the parameters ended {} times as large as they were", power),
    "size_first": ("the norm of the first parameters is {}", power),
    "first_over_theory": ("the first loss is {} times what theory says for knowing nothing", power),
    "held_over_theory": ("the last held-out loss is {} times the cost of knowing nothing", power),
    "held_best_over_theory": ("the lowest held-out loss is {} times the cost of knowing nothing", power),
    "rmse_over_std": ("held-out errors are {} of the target's standard deviation", power_percent),
    "accuracy_last": ("{} of the held-out rows are right at the end", percent),
    "accuracy_best": ("{} of the held-out rows were right at best", percent),
    "accuracy_first": ("{} of the held-out rows were right at first", percent),
    "accuracy_noise": ("the share of held-out rows that are right changes by {} from check to check", percent),
    "accuracy_over_constant": ("the held-out accuracy exceeds that of naming the largest class by {}", percent),
    "recall_low": ("{} of the worst class's held-out rows are found", percent),
    "recall_high": ("{} of the best class's held-out rows are found", percent),
    "recall_spread": ("the shares found of the classes differ by {} (standard deviation)", percent),
    "recall_with_size": ("the share found of a class grows by {} when the class is e times as large", percent),
    "top1_share_last": ("one row carried {} of the last batch's loss", percent),
    "top1_share_median": ("one row carries {} of a typical batch's loss", percent),
    "reservoir_top1_share_last": ("at the end 1 % of the rows carry {} of the loss", percent),
    "reservoir_top1_share_median": ("1 % of the rows carry {} of the loss", percent),
    "worst_over_median": ("the worst row of a batch costs {} times its median one", power),
    "fact_target_mean": ("the mean of the target is {} in size", power),
    "fact_target_std": ("the standard deviation of the target is {}", power),
    "fact_input_mean": ("the largest mean of an input column is {}", power),
    "fact_input_std_max": ("the largest standard deviation of an input column is {}", power),
    "fact_input_std_min": ("the smallest standard deviation of an input column is {}", power),
    "fact_input_bad": ("input columns are not finite (1: yes): {}", plain),
    "fact_rows": ("there are {} training rows", power),
    "fact_batch": ("a batch has {} rows", doubling),
    "fact_class_ratio": ("the largest class has {} times as many rows as the smallest", power),
    "fact_half": ("training runs in half precision (1: yes, 0: no): {}", plain),
    "fact_usual_loss": ("the loss is the usual one for the task (1: yes, 0: no): {}", plain),
    "pair.first_over_best": ("the first steps are {} times the best one from a new start", power),
    "pair.median_over_best": ("the typical step is {} times the best one along the gradient", power),
    "pair.last_over_best": ("the last steps are {} times the best one along the gradient", power),
    "pair.path_over_best": ("all steps together are {} times the best single step from a new start", power),
    "pair.restart_over_onward": ("40 steps by the book end {} times as high from here as from a new start", power),
    "pair.now_over_fresh_start": ("the last loss is {} times that of a new start over theory", power),
    "pair.update_over_now": ("the last recorded steps are {} times those measured now", power),
    "pair.skill_gap": ("the model is right on {} more of the training rows than of the held-out ones", percent),
    "pair.memory_from_here": ("16 rows are learned by heart from here better than from a new start by {}", percent),
    "pair.steps_agree": ("from here and from a new start, the training's step is at most {} times the best one", power),
    "pair.steps_least": ("from here or from a new start, the training's step is {} times the best one", power),
}


def _of(family: Mapping[str, Sentence], prefix: str, words: str) -> dict[str, Sentence]:
    return {f"{prefix}{name}": (text.replace("{of}", words), tell) for name, (text, tell) in family.items()}


SENTENCES: dict[str, Sentence] = {
    **_RECORD,
    **_of(_CURVE, "loss_", "training"),
    **_of(_CURVE, "eval_", "held-out"),
    **_of(_LAYERS, "start_", "at the start"),
    **_of(_LAYERS, "end_", "at the end"),
    **_of(_STEPS | _LINES | _NETWORK | _LOSS | _ROWS, "probe.", ""),
    **{f"probe.fresh_{name}": (f"from a new start, {text}", tell) for name, (text, tell) in _LINES.items()},
}
"""By the number's name: a sentence with a place for the number, and how the number is told."""


def told(name: str, value: float, healthy: tuple[float, float]) -> str:
    """Tell a number in a sentence, beside its range in healthy runs.

    Parameters
    ----------
    name : str
        Of the number.
    value : float
        The number.
    healthy : tuple of float
        5 % and 95 % quantile in healthy runs.

    Returns
    -------
    str
        One line.

    Examples
    --------
    >>> told("probe.moved", -6.0, (-4.0, -3.0))
    'one training step changes the parameters by 0.0001 % of their size (healthy runs: 0.01 % to 0.1 %)'
    """
    text, tell = SENTENCES.get(name, (name.replace("probe.", "").replace("_", " ") + " is {}", plain))
    low, high = (tell(edge) for edge in healthy)
    return f"{text.format(tell(value))} (healthy runs: {low if low == high else f'{low} to {high}'})"
