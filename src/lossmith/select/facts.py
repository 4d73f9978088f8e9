"""Step 1, problem analysis: what the data say before any loss is tried."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from lossmith.core.errors import InputError
from lossmith.select import quickfit, suspects
from lossmith.select.advice import warnings_of
from lossmith.select.columns import HIGH_CARDINALITY, ColumnFacts, describe_column, quoted
from lossmith.select.quickfit import Table
from lossmith.select.records import Check, Facts, Label, Leak, ResidualShape, RowSuspects, Task
from lossmith.select.residuals import look_at_residuals
from lossmith.select.shape import target_shape
from lossmith.select.task import (
    check_target,
    choose_task,
    class_labels,
    encode_labels,
    encode_numbers,
    encode_target,
)

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Facts", "analyse", "encode_target"]

Array = np.ndarray[Any, Any]

_MOST_NOISE_CLASSES = 30


@dataclass(frozen=True)
class _Target:
    task: Task
    reason: str
    classes: tuple[Label, ...]
    values: Array

    @property
    def numeric(self) -> bool:
        return self.task in ("regression", "count")

    @property
    def counts(self) -> tuple[int, ...]:
        return tuple(int(n) for n in np.bincount(self.values)) if self.classes else ()


@dataclass(frozen=True)
class _Findings:
    residuals: ResidualShape | None = None
    target_outliers: RowSuspects | None = None
    residual_outliers: RowSuspects | None = None
    label_noise: RowSuspects | None = None
    label_error: float | None = None
    label_noise_floor: float | None = None
    leaks: tuple[Leak, ...] = ()
    checks: tuple[Check, ...] = ()

    def plus(self, check: Check, **found: Any) -> _Findings:
        return dataclasses.replace(self, checks=(*self.checks, check), **found)


def analyse(X: pd.DataFrame, y: pd.Series, task: str = "auto", seed: int = 0) -> Facts:
    """Find out what the data say: the task, the target's shape, the columns, and what looks wrong.

    Parameters
    ----------
    X : pandas.DataFrame, shape (rows, columns)
        The features, one value per cell; missing cells are welcome.
    y : pandas.Series, shape (rows,)
        The raw target: numbers, text or booleans, none missing.
    task : str
        ``"auto"``, ``"regression"``, ``"count"``, ``"binary"``, ``"multiclass"`` or ``"ordinal"`` (an order
        of classes cannot be seen in the data, so ordinal is never chosen by itself).
    seed : int
        Draws the folds and samples of the quick fits; the same seed gives the same facts.

    Returns
    -------
    Facts
        The same for any order of the rows and columns, but for positions of rows, and for whole numbers that
        only rise or fall down the file and are therefore taken for row numbers.

    Raises
    ------
    InputError
        If the target cannot be used, does not fit the task, or a cell is no single value.

    Examples
    --------
    >>> import numpy as np, pandas as pd
    >>> rng = np.random.default_rng(0)
    >>> X = pd.DataFrame({"a": rng.normal(size=200), "b": 1.0})
    >>> facts = analyse(X, pd.Series(rng.poisson(np.exp(X["a"])), name="visits"))
    >>> facts.task, facts.constant_columns
    ('count', ('b',))
    """
    _refuse_shapes(X, y)
    target = _read_target(y, task)
    columns = tuple(describe_column(X[name]) for name in X.columns)
    facts = _facts(X, y, target, columns, _search(X, columns, target, seed))
    return dataclasses.replace(facts, warnings=warnings_of(facts))


def _refuse_shapes(X: pd.DataFrame, y: pd.Series) -> None:
    if len(X) != len(y):
        raise InputError(f"X has {len(X)} rows and y has {len(y)}; give one target per row")
    if not all(isinstance(name, str) for name in X.columns):
        raise InputError("column names must be text; rename them, for example with X.columns.astype(str)")
    twice = X.columns[X.columns.duplicated()]
    if len(twice):
        raise InputError(f"column {quoted(twice[0])} occurs more than once; rename or drop one of them")


def _read_target(y: pd.Series, wanted: str) -> _Target:
    check_target(y)
    task, reason = choose_task(y, wanted)
    if task in ("regression", "count"):
        return _Target(task, reason, (), encode_numbers(y))
    classes = class_labels(y)
    return _Target(task, reason, classes, encode_labels(y, classes))


def _facts(X: pd.DataFrame, y: pd.Series, target: _Target, columns: tuple[ColumnFacts, ...], found: _Findings) -> Facts:
    counts = target.counts
    gaps = [c.missing for c in columns]
    return Facts(
        task=target.task,
        task_reason=target.reason,
        target=str(y.name),
        rows=len(y),
        shape=target_shape(target.values) if target.numeric else None,
        residuals=found.residuals,
        classes=target.classes,
        class_counts=counts,
        imbalance_ratio=max(counts) / min(counts) if counts else None,
        minority_share=min(counts) / len(y) if counts else None,
        columns=columns,
        missing_share=sum(gaps) / max(X.size, 1),
        rows_with_missing=int(X.isna().any(axis=1).sum()),
        constant_columns=tuple(c.name for c in columns if c.constant),
        identifying_columns=tuple(c.name for c in columns if c.identifying),
        high_cardinality_columns=tuple(c.name for c in columns if _many_levels(c)),
        target_outliers=found.target_outliers,
        residual_outliers=found.residual_outliers,
        label_noise=found.label_noise,
        label_error=found.label_error,
        label_noise_floor=found.label_noise_floor,
        leaks=found.leaks,
        checks=found.checks,
        warnings=(),
    )


def _many_levels(column: ColumnFacts) -> bool:
    return column.kind == "text" and column.distinct > HIGH_CARDINALITY and not column.identifying


def _search(X: pd.DataFrame, columns: tuple[ColumnFacts, ...], target: _Target, seed: int) -> _Findings:
    found = _far_values(target) if target.numeric else _Findings()
    table = quickfit.build_table(X, columns, target.values, not target.numeric, seed)
    names = ("residuals" if target.numeric else "label noise", "leaks")
    reason = _too_little(table)
    if reason:
        return dataclasses.replace(found, checks=(*found.checks, *(Check(n, False, reason) for n in names)))
    note = _how_much(table, len(X))
    found = _residuals(table, target, seed, note, found) if target.numeric else _noise(table, target, seed, note)
    aim, codes = _aim(target, table)
    return found.plus(Check("leaks", True, note), leaks=suspects.leaks(table, aim, codes))


def _too_little(table: Table) -> str:
    if table.position.size < quickfit.LEAST_ROWS:
        return f"{table.position.size} rows are too few for a cross-validated look (least {quickfit.LEAST_ROWS})"
    return "" if table.names else "no column carries anything that could be learnt from"


def _how_much(table: Table, rows: int) -> str:
    learnt, looked = int(table.learn.sum()), table.position.size
    return "" if learnt == rows else f"learnt from {learnt} and looked at {looked} of {rows} rows"


def _far_values(target: _Target) -> _Findings:
    y = target.values
    outliers = suspects.target_outliers(y, suspects.steady_scale(y, target.task == "count"))
    note = "" if outliers else "half of the rows or more hold one single value, so there is no width to judge by"
    return _Findings().plus(Check("target outliers", outliers is not None, note), target_outliers=outliers)


def _residuals(table: Table, target: _Target, seed: int, note: str, found: _Findings) -> _Findings:
    y = target.values[table.position]
    narrow = quickfit.strongest(table, _aim(target, table)[0])
    shape, outliers = look_at_residuals(narrow, y, target.task == "count", seed)
    return found.plus(Check("residuals", True, note), residuals=shape, residual_outliers=outliers)


def _noise(table: Table, target: _Target, seed: int, note: str) -> _Findings:
    aim, codes = _aim(target, table)
    assert codes is not None
    classes = len(target.classes)
    judged = suspects.classes_to_judge(codes, table.learn, classes)
    if judged.sum() < 2 or classes > _MOST_NOISE_CLASSES:
        why = f"needs 2 to {_MOST_NOISE_CLASSES} classes of 10 rows; {int(judged.sum())} of {classes} have them"
        return _Findings().plus(Check("label noise", False, why))
    probability = quickfit.predict_classes(quickfit.strongest(table, aim), codes, classes, seed)
    noise = suspects.label_noise(codes, probability, judged, table.position)
    error, floor = suspects.noise_floor(codes, probability)
    return _Findings(label_noise=noise, label_error=error, label_noise_floor=floor).plus(
        Check("label noise", True, note)
    )


def _aim(target: _Target, table: Table) -> tuple[Array, Array | None]:
    """Ranks of a numeric target, or an indicator per class; and the classes' codes."""
    y = target.values[table.position]
    if target.numeric:
        ordered = np.sort(y)
        return (np.searchsorted(ordered, y) + np.searchsorted(ordered, y, side="right")) / (2.0 * y.size), None
    return np.eye(len(target.classes))[y], y
