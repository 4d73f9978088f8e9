"""The records that the problem analysis hands on: plain data, so ``dataclasses.asdict`` gives JSON."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from lossmith.select.columns import ColumnFacts

Task = Literal["regression", "count", "binary", "multiclass", "ordinal"]
Label = str | int | float | bool


@dataclass(frozen=True)
class TargetShape:
    """The shape of a numeric target, in the target's own units where it has any.

    Attributes
    ----------
    minimum, maximum, mean, median, std : float
        In the target's units.
    mad : float
        1.4826 times the median absolute deviation: the robust standard deviation, in the target's units.
    distinct : int
        Different values.
    zero_share, negative_share : float
        Share of rows in [0, 1].
    positive, nonnegative, integer : bool
        Every value is > 0, every value is >= 0, every value is whole.
    skew : float
        Third standardised moment, no unit; 0 for a symmetric target, 2 for an exponential one.
    excess_kurtosis : float
        Fourth standardised moment minus 3, no unit.
    medcouple : float
        Robust skewness in [-1, 1]; at most a quarter of the rows can move it at will.
    tail_weight : float or None
        Central 95 % range over central 50 % range, divided by that of the normal (2.906): 1 normal, 0.65
        uniform, 1.5 Laplace, 4.4 Cauchy. None if the central half of the rows is one single value.
    left_tail_weight, right_tail_weight : float or None
        The same for each side of the median.
    dispersion_ratio : float or None
        Variance over mean (in the target's units) for a target >= 0; 1 for a Poisson count without features.
    """

    minimum: float
    maximum: float
    mean: float
    median: float
    std: float
    mad: float
    distinct: int
    zero_share: float
    negative_share: float
    positive: bool
    nonnegative: bool
    integer: bool
    skew: float
    excess_kurtosis: float
    medcouple: float
    tail_weight: float | None
    left_tail_weight: float | None
    right_tail_weight: float | None
    dispersion_ratio: float | None


@dataclass(frozen=True)
class ResidualShape:
    """What is left of a numeric target after a quick cross-validated fit (gradient-boosted trees).

    Attributes
    ----------
    r2 : float
        Out-of-fold share of the target's variance that the features explain; about 0, or below with few rows,
        if they say nothing.
    scale : float
        1.4826 times the median absolute residual around the fitted median, in the target's units; 0 if half of
        the rows are fitted exactly, as in a target with more than half zeros.
    medcouple : float
        Robust skewness of those residuals in [-1, 1].
    tail_weight : float or None
        As `TargetShape.tail_weight`, of those residuals.
    hill_index : float or None
        Tail index of the largest 5 % of the absolute residuals; below 2 the variance is infinite, a normal
        gives more than 5. None with fewer than 20 residuals that far out.
    variance_power, variance_power_error : float or None
        p of Var(y | x) ~ E(y | x)^p and its standard error, from the slope of log variance over log mean in
        bins of the fitted mean: 0 constant variance, 1 Poisson, 2 gamma, 3 inverse Gaussian. For a
        target >= 0.
    conditional_dispersion : float or None
        Mean of (y - mean(x))^2 / mean(x): 1 for a Poisson count; above about 1.3 over-dispersed. The error of
        the fit adds to it, about 0.2 with a few hundred rows. For a target >= 0.
    expected_zero_share : float or None
        Share of zeros that a Poisson with the fitted means would show; to hold against
        `TargetShape.zero_share`. For counts.
    """

    r2: float
    scale: float
    medcouple: float
    tail_weight: float | None
    hill_index: float | None
    variance_power: float | None
    variance_power_error: float | None
    conditional_dispersion: float | None
    expected_zero_share: float | None


@dataclass(frozen=True)
class RowSuspects:
    """Rows that a rule points at.

    Attributes
    ----------
    count : int
        How many rows.
    share : float
        The same as a share of the rows looked at, in [0, 1].
    rows : tuple of int
        Positions of up to 20 of them, the most suspect first; the first row of the data is 0.
    rule : str
        The rule in words, with its numbers.
    """

    count: int
    share: float
    rows: tuple[int, ...]
    rule: str


@dataclass(frozen=True)
class Leak:
    """A single column that predicts the target nearly perfectly.

    Attributes
    ----------
    column : str
        The column.
    score : float
        Its out-of-fold score, at most 1.
    measure : str
        ``"R2 of ranks"`` or ``"balanced accuracy"``.
    """

    column: str
    score: float
    measure: str


@dataclass(frozen=True)
class Check:
    """Whether a check could run.

    Attributes
    ----------
    name : str
        What was checked.
    ran : bool
        False if it could not.
    note : str
        Why it did not run, or on how much of the data it did; empty if on all of it.
    """

    name: str
    ran: bool
    note: str


@dataclass(frozen=True)
class Facts:
    """Everything the problem analysis found out; what could not be found out is None and said in `checks`.

    Attributes
    ----------
    task : str
        ``"regression"``, ``"count"``, ``"binary"``, ``"multiclass"`` or ``"ordinal"``.
    task_reason : str
        Why this task, and how to say otherwise.
    target : str
        Name of the target column.
    rows : int
        Rows of the data.
    shape : TargetShape or None
        For regression and count.
    residuals : ResidualShape or None
        For regression and count with enough rows.
    classes : tuple of str, int, float or bool
        For class tasks: the labels in the order of their codes 0, 1, ...; empty otherwise.
    class_counts : tuple of int
        Rows of each class.
    imbalance_ratio : float or None
        Rows of the largest class over rows of the smallest.
    minority_share : float or None
        Share of the smallest class, in [0, 1].
    columns : tuple of ColumnFacts
        The features, in file order.
    missing_share : float
        Missing cells over all cells of the features.
    rows_with_missing : int
        Rows with at least one missing feature.
    constant_columns, identifying_columns, high_cardinality_columns : tuple of str
        Names. High cardinality: a text with more than 50 levels that is not identifying.
    target_outliers, residual_outliers : RowSuspects or None
        For regression and count.
    label_noise : RowSuspects or None
        For class tasks: rows whose label a cross-validated learner confidently disputes.
    label_error, label_noise_floor : float or None
        For class tasks: share of labels that differ from the quick learner's out-of-fold prediction, over all
        rows and over the fifth where it is surest. The floor is near 0 if classes merely overlap; if labels are
        wrong it is near their share, and not far below `label_error`.
    leaks : tuple of Leak
        Columns that predict the target nearly perfectly on their own.
    checks : tuple of Check
        Every check and whether it ran.
    warnings : tuple of str
        What a person should look at, a sentence each.
    """

    task: Task
    task_reason: str
    target: str
    rows: int
    shape: TargetShape | None
    residuals: ResidualShape | None
    classes: tuple[Label, ...]
    class_counts: tuple[int, ...]
    imbalance_ratio: float | None
    minority_share: float | None
    columns: tuple[ColumnFacts, ...]
    missing_share: float
    rows_with_missing: int
    constant_columns: tuple[str, ...]
    identifying_columns: tuple[str, ...]
    high_cardinality_columns: tuple[str, ...]
    target_outliers: RowSuspects | None
    residual_outliers: RowSuspects | None
    label_noise: RowSuspects | None
    label_error: float | None
    label_noise_floor: float | None
    leaks: tuple[Leak, ...]
    checks: tuple[Check, ...]
    warnings: tuple[str, ...]
