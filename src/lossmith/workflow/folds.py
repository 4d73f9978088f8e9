"""Which row is held out when, and how many rows the trials can afford."""

from __future__ import annotations

from typing import Any

import numpy as np

from lossmith.core.errors import InputError
from lossmith.select.columns import quoted
from lossmith.select.facts import Facts

Array = np.ndarray[Any, Any]
FOLDS = 5
_ROWS_A_SECOND = 500  # of budget; so many rows leave time for about ten candidates on two slow cores


def fold_of(y: Array, facts: Facts, seed: int) -> tuple[Array, tuple[str, ...]]:
    """Assign each row to the fold in which it is held out; classes are spread evenly.

    Parameters
    ----------
    y : ndarray, shape (n,)
        Numbers or class codes.
    facts : Facts
        Problem analysis.
    seed : int
        Of the shuffle.

    Returns
    -------
    fold : ndarray of int, shape (n,)
        0 to k - 1.
    notes : tuple of str
        Why there are fewer folds than usual.

    Raises
    ------
    InputError
        With fewer rows than folds, or a class with a single row.
    """
    from sklearn.model_selection import KFold, StratifiedKFold

    if y.size < FOLDS:
        raise InputError(f"{y.size} rows are fewer than the {FOLDS} folds of cross-validation; give more rows")
    count, notes = _count(y, facts)
    splitter = (StratifiedKFold if facts.classes else KFold)(count, shuffle=True, random_state=seed)
    fold = np.empty(y.size, dtype=np.int64)
    for number, (_, held) in enumerate(splitter.split(np.zeros((y.size, 1)), y)):
        fold[held] = number
    return fold, notes


def _count(y: Array, facts: Facts) -> tuple[int, tuple[str, ...]]:
    if facts.classes:
        smallest = min(facts.class_counts)
        if smallest < 2:
            label = facts.classes[facts.class_counts.index(smallest)]
            raise InputError(
                f"class {quoted(label)} has one row, which cannot be both trained on and tested; "
                "give more rows of it, merge it with another class, or remove it"
            )
        if smallest < FOLDS:
            return smallest, (f"{smallest} folds instead of {FOLDS}: the smallest class has {smallest} rows",)
    elif y.size < 2 * FOLDS:
        count = max(2, y.size // 2)
        return count, (f"{count} folds instead of {FOLDS}: there are only {y.size} rows",)
    return FOLDS, ()


def affordable(rows: int, facts: Facts, budget: float, y: Array, seed: int) -> tuple[Array, tuple[str, ...]]:
    """Choose the rows that trials use; how many depends on the budget, never on the speed of the machine.

    Parameters
    ----------
    rows : int
        Rows of the data.
    facts : Facts
        Problem analysis.
    budget : float
        Seconds.
    y : ndarray, shape (rows,)
        Numbers or class codes.
    seed : int
        Of the choice.

    Returns
    -------
    positions : ndarray of int
        Sorted; all rows when they are affordable.
    notes : tuple of str
        What was left out.
    """
    from sklearn.model_selection import train_test_split

    most = max(2000, int(_ROWS_A_SECOND * budget))
    everything = np.arange(rows)
    if rows <= most:
        return everything, ()
    few = bool(facts.classes) and min(facts.class_counts) * most / rows < FOLDS
    groups = y if facts.classes and not few else None
    kept, _ = train_test_split(everything, train_size=most, random_state=seed, stratify=groups)
    note = f"trials use {most} of {rows} rows, as the budget of {budget:g} s affords; the final model uses all"
    return np.sort(kept), (note,)
