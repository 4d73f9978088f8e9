"""What the estimators share: checks of their input, and raw scores."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data

from ...core.domain import NON_NEGATIVE
from ...core.loss import Loss
from ...optimize.shards import Shards
from ...optimize.shards.dask import is_dask
from ...optimize.solvers.automatic import made_solver
from ..links import Link, Margin
from .fitting import Fit
from .settings import link_of, made_loss, made_penalty
from .sharded import raw_scores

Array = np.ndarray[Any, Any]


def checked(
    estimator: Any, X: Any, y: Any, sample_weight: Any, *, numeric: bool, dtype: Any = np.float64, **more: Any
) -> tuple[Any, Array, Array | None]:
    """Check training data as scikit-learn does.

    Parameters
    ----------
    estimator : BaseEstimator
        Learns the number and names of the features.
    X, y, sample_weight
        As given to ``fit``.
    numeric : bool
        Whether targets are numbers.
    dtype : dtype or sequence of them
        Of X; the first one is what others are turned into.
    **more
        As ``validate_data`` takes them, such as ``multi_output``.

    Returns
    -------
    tuple
        X as float64, dense or CSR; y; weights or None.
    """
    try:
        X, y = validate_data(estimator, X, y, accept_sparse="csr", dtype=dtype, y_numeric=numeric, **more)
    except ValueError as error:
        if "could not convert string to float" not in str(error):
            raise
        raise ValueError(
            f"X or y holds text ({error}); encode it, for instance by sklearn's OneHotEncoder, or leave it out"
        ) from None
    if sample_weight is None:
        return X, y, None
    weight = _check_sample_weight(sample_weight, X, dtype=np.float64, ensure_non_negative=True)
    if not weight.any():
        raise ValueError("Sample weights must contain at least one non-zero number; all are 0.")
    return X, y, weight


def counting(X: Any, y: Array, weight: Array | None) -> tuple[Any, Array, Array | None]:
    """Leave out rows of weight 0."""
    if weight is None or (kept := weight > 0).all():
        return X, y, weight
    return X[kept], y[kept], weight[kept]


class Scored(BaseEstimator):  # type: ignore[misc]
    """An estimator whose predictions follow from raw scores."""

    @abstractmethod
    def _raw(self, X: Any) -> Array:
        """Return raw scores of unchecked features: (n,), or one row for each sample."""

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags


class LinearModel(Scored):
    """What the settings ask for, and raw scores of fitted coefficients."""

    def _posed(self, loss: Loss, X: Any, y: Array, weight: Array | None, outputs: int | None = None) -> Fit:
        """Return the fit of checked data that the estimator's settings ask for."""
        return Fit(
            loss,
            X,
            y,
            weight,
            made_penalty(self.penalty, self.alpha, self.l1_ratio),
            self.fit_intercept,
            outputs,
            self.tol,
            self.max_iter,
            self.max_seconds,
            made_solver(self.solver),
            self.verbose,
        )

    def _raw(self, X: Any) -> Array:
        check_is_fitted(self)
        if isinstance(X, Shards) or is_dask(X):
            return raw_scores(X, self.coef_.T, self.intercept_)
        X = validate_data(self, X, accept_sparse="csr", dtype=np.float64, reset=False)
        return np.asarray(X @ self.coef_.T + self.intercept_)


class Regression(RegressorMixin, Scored):  # type: ignore[misc]
    """Predictions of one number a row; the attribute ``_link`` comes from the fit."""

    _link: Link

    def predict(self, X: Any) -> Array:
        """Predict.

        Parameters
        ----------
        X : array_like or sparse matrix, shape (n, d)
            Features.

        Returns
        -------
        ndarray, shape (n,)
            In the target's unit; for losses on log-rates the rates.
        """
        raw = self._raw(X)
        return self._link.decode(raw)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.positive_only = getattr(_loss_or_none(self.loss), "domain", None) == NON_NEGATIVE
        return tags


def _loss_or_none(spec: Any) -> Loss | None:
    """Return the loss; None while the argument is one that ``fit`` will refuse."""
    try:
        return made_loss(spec)
    except (TypeError, ValueError):
        return None


def _has_probabilities(estimator: Any) -> bool:
    loss = _loss_or_none(estimator.loss)
    if loss is None:
        return False
    try:
        return link_of(loss).probabilities
    except ValueError:
        return False


class Classification(ClassifierMixin, Scored):  # type: ignore[misc]
    """Classes by their scores or, where the loss has a link to them, by their probabilities."""

    _link: Link
    classes_: Array

    def decision_function(self, X: Any) -> Array:
        """Compute raw scores.

        Parameters
        ----------
        X : array_like or sparse matrix, shape (n, d)
            Features.

        Returns
        -------
        ndarray, shape (n,) for two classes, else (n, k)
            Two classes: what speaks for ``classes_[1]``, for a row-wise loss the difference of its two scores.
        """
        raw = self._raw(X)
        if raw.shape[1] == 1:
            return np.asarray(raw[:, 0])
        return np.asarray(raw[:, 1] - raw[:, 0]) if raw.shape[1] == 2 else raw

    @available_if(_has_probabilities)  # type: ignore[untyped-decorator]
    def predict_proba(self, X: Any) -> Array:
        """Compute probabilities of the classes, for losses on logits only.

        Parameters
        ----------
        X : array_like or sparse matrix, shape (n, d)
            Features.

        Returns
        -------
        ndarray, shape (n, k)
            In the order of ``classes_``. They undo what a focal loss does to scores.
        """
        return self._probabilities(self._raw(X))

    @available_if(_has_probabilities)  # type: ignore[untyped-decorator]
    def predict_log_proba(self, X: Any) -> Array:
        """Compute the logarithms of ``predict_proba``.

        Parameters
        ----------
        X : array_like or sparse matrix, shape (n, d)
            Features.

        Returns
        -------
        ndarray, shape (n, k)
        """
        return np.asarray(np.log(self.predict_proba(X)))

    def predict(self, X: Any) -> Array:
        """Predict classes: the most probable, or that of the highest score.

        Parameters
        ----------
        X : array_like or sparse matrix, shape (n, d)
            Features.

        Returns
        -------
        ndarray, shape (n,)
            Labels as ``fit`` got them.
        """
        raw = self._raw(X)
        if self._link.probabilities:
            raw = self._probabilities(raw)
        best = (raw[:, 0] > 0).astype(np.intp) if isinstance(self._link, Margin) else raw.argmax(axis=1)
        return np.asarray(self.classes_[best])

    def _probabilities(self, raw: Array) -> Array:
        return self._link.decode(raw[:, 0] if raw.shape[1] == 1 else raw)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        loss = _loss_or_none(self.loss)
        tags.classifier_tags.multi_class = self.loss == "log_loss" or (loss is not None and loss.tier == "row-wise")
        return tags
