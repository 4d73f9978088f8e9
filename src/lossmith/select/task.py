"""Which task is it? The rules are few and each says why it fired, so that a person can overrule it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, get_args

import numpy as np

from lossmith.core.errors import InputError
from lossmith.select.columns import Kind, as_numbers, as_text, infinite_cells, kind_of, quoted
from lossmith.select.records import Facts, Label, Task

if TYPE_CHECKING:
    import pandas as pd

_MOST_CLASSES = 100
_MOST_CODES = 10  # whole numbers with more different values than this are amounts, not codes of classes
_COUNTS_START = 10  # a count comes near zero ...
_COUNTS_MEDIAN = 1000  # ... and is not in the thousands, where it is as good as continuous


def check_target(y: pd.Series) -> None:
    """Refuse a target that no learner can use.

    Parameters
    ----------
    y : pandas.Series
        The raw target.

    Raises
    ------
    InputError
        If it has fewer than two rows, missing or infinite values, or one single value.
    """
    name = quoted(y.name)
    if len(y) < 2:
        raise InputError(f"the data has {len(y)} row; a loss cannot be chosen from fewer than two: give more rows")
    kind = kind_of(y)
    if kind == "date":
        raise InputError(f"target {name} holds dates; give a number or a class (for example the days since a start)")
    _refuse_gaps(y, name, kind)
    values = as_numbers(y) if kind in ("number", "boolean") else as_text(y)
    if (values == values[0]).all():
        raise InputError(f"target {name} is constant: every row holds {quoted(y.iloc[0])}; choose a column that varies")


def _refuse_gaps(y: pd.Series, name: str, kind: Kind) -> None:
    missing = np.asarray(y.isna(), dtype=bool)
    infinite = infinite_cells(y) if kind == "number" else np.zeros(len(y), dtype=bool)
    for what, where in (("no value", missing), ("an infinite value (or one beyond 1e150)", infinite)):
        if where.any():
            raise InputError(
                f"target {name} has {what} in {int(where.sum())} of {len(y)} rows, first in data row "
                f"{int(where.argmax()) + 1}; remove those rows or fill in the values"
            )


def choose_task(y: pd.Series, wanted: str = "auto") -> tuple[Task, str]:
    """Detect the task, or check the one that was asked for against the target.

    Parameters
    ----------
    y : pandas.Series
        The raw target, as `check_target` lets it through.
    wanted : str
        ``"auto"`` or a task.

    Returns
    -------
    task : str
    reason : str
        One sentence.

    Raises
    ------
    InputError
        If the wanted task is unknown or does not fit the target, or no task fits it.
    """
    if wanted == "auto":
        return _detect(y)
    for task in get_args(Task):
        if wanted == task:
            _refuse_misfit(y, task)
            return task, "asked for"
    raise InputError(f"task {quoted(wanted)} is unknown; choose auto, {', '.join(get_args(Task))}")


def _detect(y: pd.Series) -> tuple[Task, str]:
    name, kind = quoted(y.name), kind_of(y)
    if kind == "boolean":
        return "binary", f"target {name} is true or false"
    if kind == "text":
        return _detect_text(y, name)
    values, counts = np.unique(as_numbers(y), return_counts=True)
    if values.size == 2:
        return "binary", f"target {name} has two different values"
    if not _whole(values):
        return "regression", f"target {name} is numeric with {values.size} different values, not all whole"
    if _class_codes(values, counts):
        return "multiclass", (
            f"target {name} has {values.size} consecutive whole values of similar frequency; "
            "if they count something say --task count, if they are grades say --task ordinal"
        )
    if (
        0 <= values[0] <= _COUNTS_START
        and np.median(as_numbers(y)) <= _COUNTS_MEDIAN
        and np.gcd.reduce(values.astype(int)) == 1
    ):
        return "count", (
            f"target {name} is whole numbers from {values[0]:.0f} up; "
            "if they are amounts say --task regression, if they are codes of classes say --task multiclass"
        )
    return (
        "regression",
        f"target {name} is whole numbers that do not look like counts of events; else say --task count",
    )


def _detect_text(y: pd.Series, name: str) -> tuple[Task, str]:
    _refuse_misfit(y, "multiclass")
    classes = len(set(as_text(y)))
    task: Task = "binary" if classes == 2 else "multiclass"
    return task, f"target {name} is text with {classes} different values"


def _whole(values: np.ndarray[Any, Any]) -> bool:
    return bool(np.array_equal(values, np.rint(values)))


def _class_codes(values: np.ndarray[Any, Any], counts: np.ndarray[Any, Any]) -> bool:
    """Whole codes 0..k-1 or 1..k, none rarer than a quarter of the fair share: counts thin out upwards."""
    consecutive = values[0] in (0, 1) and np.array_equal(np.diff(values), np.ones(values.size - 1))
    return bool(values.size <= _MOST_CODES and consecutive and counts.min() >= 0.25 * counts.mean())


def _refuse_misfit(y: pd.Series, task: Task) -> None:
    name, kind = quoted(y.name), kind_of(y)
    if task in ("regression", "count"):
        _refuse_text(y, name, kind, task)
        values = as_numbers(y)
        if task == "count" and (values.min() < 0 or not _whole(values)):
            raise InputError(
                f"target {name} holds negative or fractional values; a count is 0, 1, 2, ...: use regression"
            )
        return
    labels = as_text(y)
    classes = len(set(labels))
    if task == "binary" and classes != 2:
        raise InputError(f"target {name} has {classes} different values; binary needs two: use multiclass")
    if classes > _MOST_CLASSES or (kind == "text" and classes > 10 and classes > len(y) / 3):
        raise InputError(
            f"target {name} has {classes} different values in {len(y)} rows, too many for classes"
            f"{_first_text(labels, kind)}; choose another target, or regression if it is a number"
        )


def _refuse_text(y: pd.Series, name: str, kind: Kind, task: Task) -> None:
    if kind == "text" and np.isnan(as_numbers(y)).any():
        row = int(np.isnan(as_numbers(y)).argmax())
        raise InputError(
            f"target {name} holds text, first {quoted(y.iloc[row])} in data row {row + 1}; "
            f"{task} needs numbers: clean it or choose multiclass"
        )


def _first_text(labels: np.ndarray[Any, Any], kind: Kind) -> str:
    import pandas as pd

    if kind != "text":
        return ""
    numbers = pd.to_numeric(pd.Series(labels, dtype=object), errors="coerce").isna().to_numpy()
    row = int(numbers.argmax())
    return (
        f" (text, such as {quoted(labels[row])} in data row {row + 1})" if numbers.any() else " (numbers kept as text)"
    )


def class_labels(y: pd.Series) -> tuple[Label, ...]:
    """List the labels of a class target in the order of their codes: False, True; by size; by letter.

    An ordered pandas categorical keeps its own order.

    Parameters
    ----------
    y : pandas.Series
        The raw target.

    Returns
    -------
    tuple of str, int, float or bool
    """
    kind = kind_of(y)
    if kind == "boolean":
        return (False, True)
    if kind == "text":
        present = set(as_text(y))
        if getattr(y.dtype, "ordered", False):
            return tuple(str(level) for level in y.cat.categories if str(level) in present)
        return tuple(sorted(present))
    return tuple(int(v) if float(v).is_integer() else float(v) for v in np.unique(as_numbers(y)))


def encode_target(y: pd.Series, facts: Facts) -> np.ndarray[Any, Any]:
    """Turn a raw target into what the losses take.

    Parameters
    ----------
    y : pandas.Series
        The raw target, of the training data or of new rows.
    facts : Facts
        The analysis of the training data.

    Returns
    -------
    ndarray, shape (rows,)
        float64 for regression and count; int64 codes 0..k-1 in the order of `facts.classes` for classes.

    Raises
    ------
    InputError
        If a label is none of `facts.classes`, or a number is missing.

    Examples
    --------
    >>> import pandas as pd
    >>> from lossmith.select.facts import analyse
    >>> y = pd.Series(["no", "yes", "no", "yes"], name="bought")
    >>> encode_target(y, analyse(pd.DataFrame({"a": [1.0, 2.0, 3.0, 4.0]}), y))
    array([0, 1, 0, 1])
    """
    return encode_numbers(y) if facts.task in ("regression", "count") else encode_labels(y, facts.classes)


def encode_numbers(y: pd.Series) -> np.ndarray[Any, Any]:
    """Turn a numeric target into float64, refusing what is no number (see `encode_target`)."""
    values = as_numbers(y)
    if np.isnan(values).any():
        row = int(np.isnan(values).argmax())
        value = quoted(y.iloc[row])
        raise InputError(f"target {quoted(y.name)} is no number in data row {row + 1}: {value}; correct it")
    return values


def encode_labels(y: pd.Series, classes: tuple[Label, ...]) -> np.ndarray[Any, Any]:
    """Turn labels into codes 0..k-1, refusing labels that are none of the classes (see `encode_target`)."""
    words = as_text(y)
    codes = {str(label): code for code, label in enumerate(classes)}
    unknown = np.array([word not in codes for word in words], dtype=bool)
    if unknown.any():
        row = int(unknown.argmax())
        known = ", ".join(quoted(label, 20) for label in classes[:5])
        raise InputError(
            f"label {quoted(words[row])} in data row {row + 1} is no known class ({known} ...); correct it"
        )
    return np.array([codes[word] for word in words], dtype=np.int64)
