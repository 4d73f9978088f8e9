"""Cross-validation along a path of penalty strengths, each fit starting from the last."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from joblib import Parallel, delayed
from sklearn.base import clone

from ...optimize.penalties import Penalty
from .fitting import Fit
from .settings import made_penalty, own_strength

Array = np.ndarray[Any, Any]
Scorer = Callable[..., float] | None

# The ends of a path, relative to the strength at which all coefficients are 0, and for penalties that have none to the
# mean square of the features.
_SHRINK_TO = 1e-3
_WIDE = (10.0, 1e-6)


@dataclass(frozen=True)
class Path:
    """Scores of all strengths on all folds; greater is better.

    Attributes
    ----------
    alphas : ndarray, shape (a,)
        Strengths, descending.
    scores : ndarray, shape (a, folds)
        Of the held-out rows.
    unfinished : tuple of str
        One line for each fit that did not converge.
    """

    alphas: Array
    scores: Array
    unfinished: tuple[str, ...]

    def best(self, one_standard_error: bool) -> int:
        """Return the place of the best strength, or of the strongest within one standard error of the best."""
        means = self.scores.mean(axis=1)
        top = int(np.argmax(means))
        if not one_standard_error:
            return top
        error = self.scores[top].std(ddof=1) / np.sqrt(self.scores.shape[1])
        return int(np.flatnonzero(means >= means[top] - error)[0])

    def results(self) -> dict[str, Any]:
        """Return the table that scikit-learn's searches call ``cv_results_``."""
        means = self.scores.mean(axis=1)
        rank = np.array([1 + (means > mean).sum() for mean in means], np.int32)
        folds = {f"split{i}_test_score": column for i, column in enumerate(self.scores.T)}
        spread = self.scores.std(axis=1)
        return {
            "param_alpha": self.alphas,
            "params": [{"alpha": float(alpha)} for alpha in self.alphas],
            **folds,
            "mean_test_score": means,
            "std_test_score": spread,
            "rank_test_score": rank,
        }


# Stands for strength 0.
_TINY = 1e-300


def walk_path(
    model: Any,
    alphas: Array,
    data: tuple[Any, Array, Array | None],
    folds: list[tuple[Array, Array]],
    scorer: Scorer,
    n_jobs: int | None,
) -> Path:
    """Fit and score every strength on every fold.

    Parameters
    ----------
    model : LossRegressor or LossClassifier
        Copied for each fold, with ``warm_start``.
    alphas : ndarray
        Descending.
    data : tuple
        Checked X, y and weights or None.
    folds : list of (train, test)
        Row numbers.
    scorer : callable or None
        ``scorer(model, X, y)``, with ``sample_weight`` if there are weights; None: minus the mean loss.
    n_jobs : int or None
        Folds at a time, through joblib.
    """
    runs = Parallel(n_jobs=n_jobs)(
        delayed(_walk)(clone(model), alphas, _rows(data, train), _rows(data, test), scorer) for train, test in folds
    )
    scores = np.array([scores for scores, _ in runs]).T
    return Path(alphas, scores, tuple(line for _, lines in runs for line in lines))


def _rows(data: tuple[Any, Array, Array | None], chosen: Array) -> tuple[Any, Array, Array | None]:
    X, y, weight = data
    return X[chosen], y[chosen], None if weight is None else weight[chosen]


def _walk(model: Any, alphas: Array, train: Any, test: Any, scorer: Scorer) -> tuple[list[float], list[str]]:
    if any(part[2] is not None and not part[2].any() for part in (train, test)):
        raise ValueError("sample_weight is 0 for all rows of a fold; give fewer folds, or weights to more rows")
    model.n_features_in_ = train[0].shape[1]
    problem, scores, lines = model._problem(*train), [], []
    # Strength 0 is no penalty to an estimator, which then scales its columns; on a path it is a penalty of strength 0.
    penalties = [made_penalty(model.penalty, float(alpha) or _TINY, model.l1_ratio) for alpha in alphas]
    for alpha, found in zip(alphas, problem.path(penalties), strict=True):
        if line := model._take(problem, found):
            lines.append(f"alpha={alpha:.3g}: {line}")
        model.alpha = float(alpha)
        scores.append(_score(model, test, scorer))
    return scores, lines


def _score(model: Any, test: tuple[Any, Array, Array | None], scorer: Scorer) -> float:
    X, y, weight = test
    if scorer is None:
        return -float(model._mean_loss(X, y, weight))
    return float(scorer(model, X, y) if weight is None else scorer(model, X, y, sample_weight=weight))


def strengths(alphas: Any, penalty: Any, l1_ratio: float, problem: Fit) -> Array:
    """Return the path's strengths, descending.

    Parameters
    ----------
    alphas : int or array_like
        How many, or which.
    penalty, l1_ratio
        The estimator's arguments.
    problem : Fit
        Of all the data.

    Raises
    ------
    ValueError
        Without a penalty, or for strengths that are none.
    """
    unit = made_penalty(penalty, None if isinstance(penalty, Penalty) else 1.0, l1_ratio)
    own = None if unit is None else own_strength(unit)
    if unit is None or not own:
        raise ValueError(f"penalty={penalty!r} has no strength to search along; give 'l1', 'l2', 'elasticnet' ...")
    if np.ndim(alphas) == 1:
        given = np.sort(np.asarray(alphas, np.float64))[::-1]
        if not given.size or not (given[-1] >= 0 and given[0] < np.inf):
            raise ValueError("alphas must be finite numbers >= 0")
        return given
    if isinstance(alphas, bool) or not isinstance(alphas, (int, np.integer)) or alphas < 1:
        raise ValueError(f"alphas={alphas!r} is not accepted; give a number of strengths >= 1, or a list of them")
    top, bottom = _ends(unit, problem)
    return np.geomspace(top, bottom, int(alphas)) / own


def _ends(penalty: Penalty, problem: Fit) -> tuple[float, float]:
    strongest = penalty.alpha_max(problem.null_gradient())
    if strongest == np.inf:
        square = float(np.mean(np.square(problem.moments()[1])))
        return _WIDE[0] * square, _WIDE[1] * square
    # Where nothing has an effect, any path will do.
    strongest = strongest or 1.0
    return strongest, _SHRINK_TO * strongest
