"""Rows and columns that look wrong: outliers, labels in dispute, columns that know too much.

Each rule says its numbers, because a suspicion is only as good as the rule a person can check.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from lossmith.select.quickfit import FOLDS, Table, screen
from lossmith.select.records import Leak, RowSuspects
from lossmith.select.shape import NORMAL_MAD, mad, medcouple

Array = np.ndarray[Any, Any]

_CUT = 6.0  # robust standard deviations; a normal sample of a million rows has none beyond
_SHOWN = 20
_LEAST_CLASS = 10
_SURE = 0.8
_LEAK = 0.98
_SIEVE = 0.2  # far below _LEAK: a rare class is a thin slice of one coarse group
_SCALE_BINS = 10


def steady_scale(y: Array, count: bool) -> str:
    """Name the scale on which a target is least skewed, so that a long honest tail is no crowd of outliers.

    Parameters
    ----------
    y : ndarray, shape (n,)
        A numeric target.
    count : bool
        Whether it is a count: then the square root, which steadies a Poisson's variance, or the logarithm.

    Returns
    -------
    str
        ``"identity"``, ``"square root"`` (y >= 0) or ``"logarithm"`` (y > 0).
    """
    names = [] if count else ["identity"]
    names += ["square root"] if y.min() >= 0 else []
    names += ["logarithm"] if y.min() > 0 else []
    return min(names, key=lambda name: round(abs(medcouple(to_scale(y, name))), 3))


def to_scale(y: Array, name: str) -> Array:
    """Bring a target to the scale that `steady_scale` names."""
    forward: dict[str, Callable[[Array], Array]] = {"identity": np.asarray, "square root": np.sqrt, "logarithm": np.log}
    return np.asarray(forward[name](y), dtype=np.float64)


def from_scale(z: Array, name: str) -> Array:
    """Bring values on a scale back to the target's units; increasing, so that medians stay medians."""
    back: dict[str, Callable[[Array], Array]] = {
        "identity": np.asarray,
        "square root": lambda v: np.square(np.maximum(v, 0)),
        "logarithm": np.exp,
    }
    return np.asarray(back[name](z), dtype=np.float64)


def target_outliers(y: Array, scale: str) -> RowSuspects | None:
    """Find values too far from the median by the median absolute deviation of their own side.

    Parameters
    ----------
    y : ndarray, shape (n,)
        A numeric target in file order.
    scale : str
        The scale to judge on, from `steady_scale`.

    Returns
    -------
    RowSuspects or None
        None if a side has no width (at least half of its values equal the median).
    """
    away = to_scale(y, scale)
    away = away - np.median(away)
    right, left = (NORMAL_MAD * np.median(side) for side in (away[away >= 0], -away[away <= 0]))
    if right == 0 or left == 0:
        return None
    z = np.abs(away) / np.where(away > 0, right, left)
    rule = f"more than {_CUT:.0f} robust standard deviations of their side from the median ({scale} scale)"
    return _suspects(z, z > _CUT, np.arange(y.size), rule)


def residual_outliers(z: Array, fitted: Array, position: Array, scale: str) -> RowSuspects | None:
    """Find residuals too large for the robust scale of rows with similar fitted values.

    Parameters
    ----------
    z, fitted : ndarray, shape (n,)
        The target and its out-of-fold fitted median, on the scale named.
    position : ndarray of int, shape (n,)
        Where each row stands in the data.
    scale : str
        Its name, for the rule's text.

    Returns
    -------
    RowSuspects or None
        None if the residuals have no width to measure by.
    """
    residual = z - fitted
    overall = mad(residual)
    if overall == 0:
        return None
    size = np.abs(residual) / np.maximum(_local_scale(residual, fitted), overall / 2)
    rule = f"residual of a quick robust fit beyond {_CUT:.0f} local robust standard deviations ({scale} scale)"
    return _suspects(size, size > _CUT, position, rule)


def _local_scale(residual: Array, fitted: Array) -> Array:
    order = np.argsort(fitted, kind="stable")
    pieces = np.array_split(order, max(1, min(_SCALE_BINS, residual.size // 50)))
    scale = np.empty(residual.size)
    for piece in pieces:
        scale[piece] = NORMAL_MAD * np.median(np.abs(residual[piece]))
    return scale


def _suspects(size: Array, found: Array, position: Array, rule: str) -> RowSuspects:
    where = np.flatnonzero(found)
    worst = where[np.lexsort((position[where], -size[where]))][:_SHOWN]
    return RowSuspects(
        count=int(where.size),
        share=float(where.size / found.size),
        rows=tuple(int(position[at]) for at in worst),
        rule=rule,
    )


def label_noise(codes: Array, probability: Array, judged: Array, position: Array) -> RowSuspects:
    """Find labels that a cross-validated learner confidently disputes (confident learning).

    The published rule flags every row near a border that classes share. Wrong labels also stand where the
    learner is sure, honest overlap does not: so the rival class must have a probability of 0.8 besides.

    Parameters
    ----------
    codes : ndarray of int, shape (n,)
        The given classes.
    probability : ndarray, shape (n, k)
        Out-of-fold probabilities.
    judged : ndarray of bool, shape (k,)
        Classes with enough rows to learn from; rows of the others are not looked at.
    position : ndarray of int, shape (n,)
        Where each row stands in the data.

    Returns
    -------
    RowSuspects

    References
    ----------
    Northcutt, Jiang, Chuang (2021), Confident learning: estimating uncertainty in dataset labels.
    """
    looked = judged[codes]
    codes, p, position = codes[looked], probability[looked], position[looked]
    rows = np.arange(codes.size)
    # A class's threshold is the mean probability that its own rows get: confident is "as sure as usual".
    own = np.bincount(codes, p[rows, codes], minlength=judged.size)
    threshold = np.where(judged, own / np.maximum(np.bincount(codes, minlength=judged.size), 1), np.inf)
    confident = np.where(p >= threshold, p, -1.0)
    rival = confident.argmax(axis=1)
    disputed = (confident[rows, rival] >= _SURE) & (rival != codes)
    rule = f"out of fold another class is as probable as for its own rows on average, and at least {_SURE}"
    return _suspects(p[rows, rival] - p[rows, codes], disputed, position, rule)


def noise_floor(codes: Array, probability: Array) -> tuple[float, float]:
    """Share of labels that differ from the prediction, over all and where the prediction is surest.

    The surest fifth of each predicted class's rows.
    Where classes overlap honestly errors fall away there; wrong labels are as many there as anywhere.

    Parameters
    ----------
    codes : ndarray of int, shape (n,)
        The given classes.
    probability : ndarray, shape (n, k)
        Out-of-fold probabilities.

    Returns
    -------
    error, floor : float
        Over all rows and over the surest, in [0, 1].
    """
    guess, sure = probability.argmax(axis=1), probability.max(axis=1)
    wrong = total = 0
    for code in np.unique(guess):
        rows = np.flatnonzero(guess == code)
        top = rows[np.argsort(-sure[rows], kind="stable")[: max(1, rows.size // 5)]]
        wrong += int((codes[top] != code).sum())
        total += top.size
    return float(np.mean(guess != codes)), wrong / total


def classes_to_judge(codes: Array, learn: Array, classes: int) -> Array:
    """Mark the classes with at least 10 rows to learn from."""
    return np.bincount(codes[learn], minlength=classes) >= _LEAST_CLASS


def leaks(table: Table, aim: Array, codes: Array | None) -> tuple[Leak, ...]:
    """Find single columns that predict the target nearly perfectly out of fold.

    Parameters
    ----------
    table : Table
        The features.
    aim : ndarray, shape (rows,) or (rows, k)
        Ranks of a numeric target, or an indicator per class, in the table's row order.
    codes : ndarray of int, shape (rows,), or None
        The classes, if the target is one.

    Returns
    -------
    tuple of Leak
        The strongest first: R2 of the ranks or balanced accuracy of at least 0.98.
    """
    goal = aim.reshape(len(aim), -1)
    found = []
    for at in np.flatnonzero((screen(table, aim) > _SIEVE) | table.text).tolist():
        guess = _guess_by_level(table, at, goal) if table.text[at] else _guess_by_tree(table, at, goal)
        score = _score(goal, guess, codes, table.learn)
        if score >= _LEAK:
            measure = "R2 of ranks" if codes is None else "balanced accuracy"
            found.append(Leak(table.names[at], score, measure))
    return tuple(sorted(found, key=lambda leak: (-leak.score, leak.column)))


def _guess_by_tree(table: Table, at: int, goal: Array) -> Array:
    from sklearn.tree import DecisionTreeRegressor

    column = np.nan_to_num(table.values[:, [at]], nan=np.nanmin(table.values[:, at]) - 1)
    guess = np.zeros_like(goal)
    for fold in range(FOLDS):
        train, test = table.learn & (table.fold != fold), table.learn & (table.fold == fold)
        tree = DecisionTreeRegressor(max_leaf_nodes=64, random_state=0).fit(column[train], goal[train])
        guess[test] = tree.predict(column[test]).reshape(-1, goal.shape[1])
    return guess


def _guess_by_level(table: Table, at: int, goal: Array) -> Array:
    """Mean of the aim over the other folds' rows of the same level; no tree can cut thousands of codes."""
    column = table.values[:, at]
    level = np.where(np.isnan(column), np.nanmax(column) + 1, column).astype(np.int64)
    guess = np.zeros_like(goal)
    for fold in range(FOLDS):
        train, test = table.learn & (table.fold != fold), table.learn & (table.fold == fold)
        size = np.bincount(level[train], minlength=level.max() + 1)
        for k, part in enumerate(goal.T):
            sums = np.bincount(level[train], part[train], minlength=size.size)
            means = np.where(size > 0, sums / np.maximum(size, 1), part[train].mean())
            guess[test, k] = means[level[test]]
    return guess


def _score(goal: Array, guess: Array, codes: Array | None, learn: Array) -> float:
    if codes is None:
        error, spread = goal[learn] - guess[learn], goal[learn] - goal[learn].mean()
        return float(1 - (error**2).sum() / (spread**2).sum())
    hit = guess[learn].argmax(axis=1) == codes[learn]
    sizes = np.bincount(codes[learn], minlength=goal.shape[1])
    hits = np.bincount(codes[learn], hit, minlength=goal.shape[1])
    return float(np.mean(hits[sizes > 0] / sizes[sizes > 0]))
