"""The records of a run: ``run.json`` is exactly ``dataclasses.asdict(RunRecord)``.

The report is drawn from it. Numbers that are not finite are written as null. ``timing``, ``seconds`` and
``reused`` of trials are the only values that differ between two runs with the same data, settings and seed, as
long as the budget cut neither short (``budget.cut`` says whether it did).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from lossmith.workflow.outcomes import Calibration, Curve, Evaluation, LossCard, Score, TrialRecord

__all__ = [
    "SCHEMA",
    "Attempt",
    "Budget",
    "Calibration",
    "Curve",
    "DataRecord",
    "Evaluation",
    "FinalModel",
    "LossCard",
    "PredictionSample",
    "RunRecord",
    "Score",
    "Settings",
    "TrialRecord",
]

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
        The same learner with the default loss, with default settings or with those kept in step 7, whichever is
        better.
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
        Steps 3 to 8; ``findings`` are ``asdict`` of :class:`lossmith.workflow.findings.Finding`: keys
        ``id``, ``name``, ``severity``, ``seen`` (true, false or null), ``evidence``, ``cause``, ``remedy``,
        ``could_not_run``, ``article``.
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
