"""The records of steps 3 to 5: what was trained and how it compares."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class LossCard:
    """Step 3: what a candidate claims, and whether its derivatives hold on this data's values.

    Attributes
    ----------
    label : str
        Short text that names the candidate everywhere in the record, such as "huber(delta=1.35)".
    config : dict
        ``{"loss": ..., "params": {...}}``.
    formula, gradient : str
        LaTeX, one sample.
    traits : dict
        The trait claims; infinite numbers as the text "inf".
    points : int
        Values of this data on which the derivatives were compared with finite differences.
    gradient_error, hessian_error : float or None
        Largest relative error seen; None when the loss has no such derivative or nothing could be compared.
    passed : bool or None
        None when the check could not run.
    note : str
        What the check says in words: the worst place, points on kinks, or why it could not run.
    """

    label: str
    config: dict[str, Any]
    formula: str
    gradient: str
    traits: dict[str, Any]
    points: int
    gradient_error: float | None
    hessian_error: float | None
    passed: bool | None
    note: str


@dataclass(frozen=True)
class Curve:
    """How one training went: the training objective after each iteration.

    Attributes
    ----------
    label, learner : str
        Candidate and "linear" or "boosted".
    fold : int
        Fold it was measured on; -1 for the final refit.
    iterations : tuple of int
        Iteration numbers (thinned to at most 200 points).
    train, valid : tuple of float
        Mean loss on the rows it learned from and on rows held out of that training (empty if none were).
    gradient_norm : tuple of float
        Size of the gradient at the same iterations; empty when not recorded.
    kept : int
        The iteration whose model was kept.
    stopped : str
        Why training ended, such as "converged", "iteration limit", "early stopping".
    """

    label: str
    learner: str
    fold: int
    iterations: tuple[int, ...]
    train: tuple[float, ...]
    valid: tuple[float, ...]
    gradient_norm: tuple[float, ...]
    kept: int
    stopped: str


@dataclass(frozen=True)
class TrialRecord:
    """Step 4: one candidate with one learner on one fold.

    Attributes
    ----------
    key : str
        Content key; ``trials/<key>.json`` holds the trial.
    label, config, learner
        The candidate and its learner ("linear" or "boosted").
    settings : dict
        Learner settings that differ from the default (regularisation, rounds, class weights).
    fold : int
        0-based.
    score, train_score : float or None
        The metric on the held-out fold and on the rows trained on; None when the trial failed.
    seconds : float
        Wall time of the trial.
    failure : str
        Empty, or one line.
    reused : bool
        True when the result was found on disk from an earlier, interrupted run.
    """

    key: str
    label: str
    config: dict[str, Any]
    learner: str
    settings: dict[str, Any]
    fold: int
    score: float | None
    train_score: float | None
    seconds: float
    failure: str
    reused: bool


@dataclass(frozen=True)
class Score:
    """Step 5: one candidate with one learner over all folds, on the metric.

    Attributes
    ----------
    label, config, learner, settings
        As in :class:`TrialRecord`.
    folds : tuple of float
        The metric on each fold.
    mean, standard_error : float
        Over folds.
    train_mean : float or None
        The metric on the rows trained on, mean over folds; the gap to ``mean`` shows overfitting.
    behind, behind_error : float
        How much worse than the best: mean and standard error of the paired differences over folds, 0 and 0
        for the best. Positive means worse, whether the metric is to be large or small.
    tied : bool
        Within one standard error of the paired difference from the best (the best itself is tied).
    reference : bool
        Trained with the default loss of the task (squared error, log-loss).
    elicits : str
        What the loss estimates.
    bias : float or None
        mean(prediction) - mean(target) over held-out rows, in the target's unit (regression and counts).
    """

    label: str
    config: dict[str, Any]
    learner: str
    settings: dict[str, Any]
    folds: tuple[float, ...]
    mean: float
    standard_error: float
    train_mean: float | None
    behind: float
    behind_error: float
    tied: bool
    reference: bool
    elicits: str
    bias: float | None


@dataclass(frozen=True)
class Calibration:
    """Held-out predictions against what happened, for the chosen model of step 5.

    Attributes
    ----------
    kind : str
        "probability" (binary), "confidence" (multi-class, probability of the predicted class), "mean"
        (regression and counts: mean target in bins of the prediction) or "quantile" (share of targets at or
        below the prediction in bins of the prediction).
    predicted, observed : tuple of float
        Mean prediction and mean outcome of each bin.
    observed_error : tuple of float
        Standard error of the outcome.
    counts : tuple of int
        Rows of each bin.
    expected_error : float
        Mean |predicted - observed| weighted by counts (ECE for probabilities).
    brier, reliability, resolution, uncertainty : float or None
        Brier score and its decomposition on these bins (probabilities only).
    coverage, coverage_error, level : float or None
        Share of targets at or below the predicted quantile, its standard error, and the wanted level.
    """

    kind: str
    predicted: tuple[float, ...]
    observed: tuple[float, ...]
    observed_error: tuple[float, ...]
    counts: tuple[int, ...]
    expected_error: float
    brier: float | None = None
    reliability: float | None = None
    resolution: float | None = None
    uncertainty: float | None = None
    coverage: float | None = None
    coverage_error: float | None = None
    level: float | None = None


@dataclass(frozen=True)
class Evaluation:
    """Step 5 as a whole; ``scores`` is sorted best first.

    Attributes
    ----------
    best, chosen, reference : int or None
        Indices into ``scores``: the best mean; the one chosen by the rule; the chosen learner with the
        default loss.
    rule : str
        The rule in words with the numbers of this choice.
    incomplete : tuple of str
        Candidates ("label, learner") that did not finish all folds, with the reason.
    folds : int
        Number of folds.
    """

    scores: tuple[Score, ...]
    best: int
    chosen: int
    reference: int | None
    rule: str
    incomplete: tuple[str, ...]
    folds: int
