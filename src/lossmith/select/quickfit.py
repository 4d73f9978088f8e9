"""A quick cross-validated look through the features: what they leave of the target once they had their say.

Everything here depends on the rows' contents, never on their order or on the order of the columns: rows are
put into the order of a hash of their features (then of the target), columns into that of their names, and folds
and samples are drawn from there.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from lossmith.select.columns import ColumnFacts, as_dates, as_numbers, as_text

if TYPE_CHECKING:
    import pandas as pd

Array = np.ndarray[Any, Any]

FOLDS = 3
LEAST_ROWS = 60  # three folds of twenty
MOST_ROWS = 50_000  # rows looked at
_FIT_ROWS = 5_000  # rows a quick model learns from
_FIT_COLUMNS = 100
_TEXT_CODES = 250  # histogram trees keep 255 bins
_SCREEN_BINS = 32
_TREES = {"max_leaf_nodes": 8, "min_samples_leaf": 20, "early_stopping": False}


@dataclass(frozen=True)
class Table:
    """The features as numbers, rows and columns in an order that depends on their contents alone.

    Attributes
    ----------
    names : tuple of str
        The columns, sorted by name; constant and identifying ones are left out.
    text : ndarray of bool, shape (columns,)
        Which of them are codes of text levels.
    values : ndarray of float64, shape (rows, columns)
        NaN where missing; numbers as ranks, since trees see no more and huge numbers do no harm; text as codes
        by falling frequency.
    position : ndarray of int, shape (rows,)
        Where each row stands in the data.
    fold : ndarray of int, shape (rows,)
        Its fold, 0 to FOLDS - 1.
    learn : ndarray of bool, shape (rows,)
        The sample that quick models learn from.
    """

    names: tuple[str, ...]
    text: Array
    values: Array
    position: Array
    fold: Array
    learn: Array


def build_table(X: pd.DataFrame, columns: tuple[ColumnFacts, ...], y: Array, stratify: bool, seed: int) -> Table:
    """Turn features into a `Table`.

    Parameters
    ----------
    X : pandas.DataFrame
        The features.
    columns : tuple of ColumnFacts
        What is known of them.
    y : ndarray, shape (rows,)
        The encoded target; orders the rows that have equal features.
    stratify : bool
        Whether each value of the target is spread evenly over the folds (for classes).
    seed : int
        Draws folds and samples.

    Returns
    -------
    Table
    """
    used = sorted((c for c in columns if not (c.constant or c.identifying or c.kind == "empty")), key=lambda c: c.name)
    position = _row_order(X, [c.name for c in columns], y, seed)[:MOST_ROWS]
    rows = X.iloc[position]
    values = np.empty((position.size, len(used)))
    for at, column in enumerate(used):
        values[:, at] = _codes(rows[column.name], column)
    rank = np.arange(position.size)
    fold = np.empty_like(rank)
    fold[np.argsort(y[position], kind="stable") if stratify else rank] = rank % FOLDS
    return Table(
        names=tuple(c.name for c in used),
        text=np.array([c.kind == "text" for c in used], dtype=bool),
        values=values,
        position=position,
        fold=fold,
        learn=rank < _FIT_ROWS,
    )


def _row_order(X: pd.DataFrame, names: list[str], y: Array, seed: int) -> Array:
    import pandas as pd

    key = np.zeros(len(X), dtype=np.uint64)
    for name in sorted(names):
        key = (key * np.uint64(1_000_003)) ^ pd.util.hash_pandas_object(X[name], index=False).to_numpy()
    order = np.lexsort((y, key))
    return np.asarray(order[np.random.default_rng(seed).permutation(order.size)])


def _codes(column: pd.Series, facts: ColumnFacts) -> Array:
    import pandas as pd

    if facts.kind != "text":
        numbers = as_numbers(as_dates(column) if facts.kind == "date" else column)
        return np.where(np.isnan(numbers), np.nan, _ranks(numbers))
    codes, levels = pd.factorize(as_text(column))
    counts = np.bincount(codes[codes >= 0], minlength=len(levels))
    rank = np.empty(len(levels) + 1)
    rank[np.lexsort((levels.astype(str), -counts))] = np.arange(len(levels))
    rank[-1] = np.nan  # code -1 is missing
    return np.asarray(rank[codes])


def screen(table: Table, aim: Array) -> Array:
    """Share of the aim's variance that each column's 32 groups explain, in sample: a quick first sieve.

    Parameters
    ----------
    table : Table
        The features.
    aim : ndarray, shape (rows,) or (rows, k)
        Numbers, or an indicator per class.

    Returns
    -------
    ndarray, shape (columns,)
        In [0, 1].
    """
    learn = np.flatnonzero(table.learn)
    goal = aim[learn].reshape(learn.size, -1)
    goal = goal - goal.mean(axis=0)
    total = float((goal**2).sum())
    return np.array([_explained(table.values[learn, at], goal) for at in range(len(table.names))]) / total


def _explained(column: Array, goal: Array) -> float:
    groups = np.minimum(_ranks(column) * _SCREEN_BINS // max(column.size, 1), _SCREEN_BINS - 1)
    groups = np.where(np.isnan(column), _SCREEN_BINS, groups).astype(np.int64)
    sizes = np.bincount(groups, minlength=_SCREEN_BINS + 1)
    sums = np.stack([np.bincount(groups, g, minlength=_SCREEN_BINS + 1) for g in goal.T])
    return float((sums**2 / np.maximum(sizes, 1)).sum())


def _ranks(column: Array) -> Array:
    """First rank of each value, so that equal values share a group."""
    return np.asarray(np.searchsorted(np.sort(column), column))


def strongest(table: Table, aim: Array) -> Table:
    """Keep the 100 columns that `screen` ranks highest, so that wide data stay quick."""
    if len(table.names) <= _FIT_COLUMNS:
        return table
    keep = np.sort(np.argsort(-screen(table, aim), kind="stable")[:_FIT_COLUMNS])
    names = tuple(table.names[at] for at in keep)
    return Table(names, table.text[keep], table.values[:, keep], table.position, table.fold, table.learn)


def predict_numbers(table: Table, z: Array, loss: str, seed: int) -> Array:
    """Out-of-fold predictions of a small gradient-boosted model.

    Parameters
    ----------
    table : Table
        The features.
    z : ndarray, shape (rows,)
        The target in the table's row order.
    loss : str
        ``"absolute_error"``, ``"squared_error"`` or ``"poisson"`` (then z >= 0).
    seed : int
        Seed of the learner.

    Returns
    -------
    ndarray, shape (rows,)
    """
    from sklearn.ensemble import HistGradientBoostingRegressor

    features, out = _pooled(table), np.empty(z.size)
    for fold in range(FOLDS):
        train, test = table.learn & (table.fold != fold), table.fold == fold
        model = HistGradientBoostingRegressor(loss=loss, max_iter=60, learning_rate=0.12, random_state=seed, **_TREES)
        with _one_thread():
            out[test] = model.fit(features[train], z[train]).predict(features[test])
    return out


def predict_classes(table: Table, codes: Array, classes: int, seed: int) -> Array:
    """Out-of-fold probabilities of a small gradient-boosted model.

    Parameters
    ----------
    table : Table
        The features.
    codes : ndarray of int, shape (rows,)
        The classes in the table's row order; at least two of them in each two folds.
    classes : int
        How many there are.
    seed : int
        Seed of the learner.

    Returns
    -------
    ndarray, shape (rows, classes)
    """
    from sklearn.ensemble import HistGradientBoostingClassifier

    features, out = _pooled(table), np.zeros((codes.size, classes))
    rounds = int(np.clip(150 // classes, 15, 40))  # a round grows a tree per class
    for fold in range(FOLDS):
        train, test = table.learn & (table.fold != fold), table.fold == fold
        model = HistGradientBoostingClassifier(max_iter=rounds, learning_rate=6.0 / rounds, random_state=seed, **_TREES)
        with _one_thread():
            model.fit(features[train], codes[train])
            out[np.ix_(test, model.classes_)] = model.predict_proba(features[test])
    return _tempered(out, codes)


def _tempered(probability: Array, codes: Array) -> Array:
    """Sharpen or soften probabilities by the one exponent that makes them honest (temperature scaling)."""
    from scipy.special import log_softmax

    logs = np.log(np.maximum(probability, 1e-12))
    rows = np.arange(codes.size)
    tempers = np.geomspace(0.2, 3.0, 25)
    fits = [log_softmax(temper * logs, axis=1)[rows, codes].mean() for temper in tempers]
    return np.asarray(np.exp(log_softmax(tempers[int(np.argmax(fits))] * logs, axis=1)))


def _one_thread() -> AbstractContextManager[Any]:
    """Keep trees on one thread: on a busy machine their threads wait for each other 20 times longer."""
    from threadpoolctl import threadpool_limits

    return cast("AbstractContextManager[Any]", threadpool_limits(limits=1, user_api="openmp"))


def _pooled(table: Table) -> Array:
    return np.where(table.text, np.minimum(table.values, _TEXT_CODES), table.values)
