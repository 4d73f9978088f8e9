"""The records of a run: ``run.json`` is exactly ``dataclasses.asdict(RunRecord)``.

The report is drawn from it. Numbers that are not finite are written as null. ``timing``, ``seconds`` and
``reused`` of trials are the only values that differ between two runs with the same data, settings and seed, as
long as the budget cut neither short (``budget.cut`` says whether it did).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

SCHEMA = 1


@dataclass(frozen=True)
class Settings:
    """What the user asked for.

    Attributes
    ----------
    path : str
        The data file as given.
    target : str
        Name of the target column.
    task, metric : str
        As given; "auto" lets the run decide (see ``RunRecord.task`` and ``RunRecord.metric``).
    budget_s : float
        Wall time for the whole command, in seconds.
    seed, jobs : int
        Seed of folds and learners; worker processes.
    """

    path: str
    target: str
    task: str
    metric: str
    budget_s: float
    seed: int
    jobs: int


@dataclass(frozen=True)
class DataRecord:
    """The data file: its name, content hash, size and what was noted when it was read."""

    path: str
    sha256: str
    rows: int
    columns: tuple[str, ...]
    notes: tuple[str, ...]


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


@dataclass(frozen=True)
class Attempt:
    """Step 7: one remedy that was tried.

    Attributes
    ----------
    remedy : str
        What was done, in words.
    because : str
        The finding or fact that made it apply.
    label, learner, settings
        What it was applied to or trained with.
    before, after : float or None
        The metric, mean over the same held-out folds, without and with the remedy.
    gain, gain_error : float or None
        Mean and standard error of the paired improvement (positive is better).
    kept : bool
        Gain above one standard error.
    note : str
        What happened, one line.
    """

    remedy: str
    because: str
    label: str
    learner: str
    settings: dict[str, Any]
    before: float | None
    after: float | None
    gain: float | None
    gain_error: float | None
    kept: bool
    note: str


@dataclass(frozen=True)
class FinalModel:
    """Step 8: the model in ``model/``.

    Attributes
    ----------
    label, config, learner, settings
        What was refitted on all rows.
    adjustment : dict
        What happens to predictions after the model: ``{"kind": "none"}``, ``{"kind": "shift", "by": ...}``,
        ``{"kind": "scale", "by": ...}``, ``{"kind": "platt", "slope": ..., "intercept": ...}``,
        ``{"kind": "temperature", "by": ...}``.
    threshold : float or None
        Binary tasks: class 1 is predicted from this probability on.
    score, standard_error : float
        The metric on held-out folds, remedies included.
    reference_score, reference_error : float or None
        The same learner with the default loss.
    rows : int
        Rows refitted on.
    files : tuple of str
        Files of ``model/``.
    """

    label: str
    config: dict[str, Any]
    learner: str
    settings: dict[str, Any]
    adjustment: dict[str, Any]
    threshold: float | None
    score: float
    standard_error: float
    reference_score: float | None
    reference_error: float | None
    rows: int
    files: tuple[str, ...]


@dataclass(frozen=True)
class PredictionSample:
    """Held-out predictions of the chosen model for at most 400 rows, spread evenly over the data.

    ``actual`` are numbers, or class labels as text; ``predicted`` numbers, or the predicted class as text;
    ``probability`` of class 1 (binary) or of the predicted class (multi-class), empty otherwise.
    """

    row: tuple[int, ...]
    actual: tuple[Any, ...]
    predicted: tuple[Any, ...]
    probability: tuple[float, ...]


@dataclass(frozen=True)
class Budget:
    """Where the time went and whether it cut anything."""

    seconds: float
    cut: bool
    planned: int
    finished: int
    note: str


@dataclass(frozen=True)
class RunRecord:
    """Everything a run found out: the content of ``run.json``.

    Attributes
    ----------
    schema : int
        Version of this form.
    version : str
        lossmith's version.
    versions : dict
        Versions of Python and of the packages that compute.
    settings, data
        What was asked, and of which data.
    task : str
        regression, count, binary, multiclass or ordinal.
    metric : dict
        ``{"name", "greater_is_better", "functional", "about"}``.
    facts : dict
        Step 1: ``asdict`` of :class:`lossmith.select.records.Facts`.
    selection : dict
        Step 2: ``asdict`` of :class:`lossmith.select.rules.Selection`: keys ``functional``, ``metric``,
        ``admissible`` (config, label, reason, risk, elicits, source, reference) and ``excluded`` (loss,
        reason).
    implementation, trials, evaluation, findings, attempts, final
        Steps 3 to 8; ``findings`` are ``asdict`` of :class:`lossmith.diagnose.evidence.Finding`: keys
        ``name``, ``seen`` (true, false or null), ``evidence``, ``cause``, ``remedy``, ``could_not_run``, ``article``.
    calibration
        Of the chosen model on held-out rows, remedies included; None for tasks without one.
    curves, predictions
        For drawing.
    interrupted : bool
        Whether the user ended the training early.
    notes : tuple of str
        What a reader of the result must know, a sentence each.
    timing : dict
        Seconds of each step, and "total".
    """

    schema: int
    version: str
    versions: dict[str, str]
    settings: Settings
    data: DataRecord
    task: str
    metric: dict[str, Any]
    facts: dict[str, Any]
    selection: dict[str, Any]
    implementation: tuple[LossCard, ...]
    trials: tuple[TrialRecord, ...]
    evaluation: Evaluation
    findings: tuple[dict[str, Any], ...]
    attempts: tuple[Attempt, ...]
    final: FinalModel
    calibration: Calibration | None
    curves: tuple[Curve, ...]
    predictions: PredictionSample
    budget: Budget
    interrupted: bool
    notes: tuple[str, ...]
    timing: dict[str, float] = field(default_factory=dict)
