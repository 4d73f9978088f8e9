"""Losses as scorers and metrics of scikit-learn."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..core.loss import Loss
from ..core.registry import get
from .sklearn_responses import Response, response

Array = np.ndarray[Any, Any]


def to_sklearn(loss: Loss | str, *, response_method: str | None = None, pos_label: Any = None) -> LossScorer:
    """Make a loss a scorer, for ``scoring=`` in cross-validation and searches, with its metric at ``.metric``.

    A scorer comes out, not a metric, since ``scoring=`` is where scikit-learn takes losses, and since only a scorer
    sees the estimator: which output to ask for, and in which order it holds the classes.

    Parameters
    ----------
    loss : Loss or str
        A loss of the catalogue, or its name.
    response_method : {"predict", "predict_proba", "decision_function"}, optional
        What to ask estimators for. By default:

        * ``predict`` for losses on numbers: regression, rates, rows of a distribution's parameters;
        * ``predict_proba`` for cross-entropies and focal losses, whatever their ``inputs``: what it holds is known,
          whereas ``decision_function`` holds logits in some estimators and margins in others;
        * ``decision_function`` for losses of the margin (hinge ...).

        What ``predict`` and ``decision_function`` hold is what the loss's ``inputs`` says: with
        ``response_method="decision_function"`` a cross-entropy on logits takes the scores for logits, which keeps
        the digits of probabilities that round to 0 or 1.
    pos_label : int, float, bool or str, optional
        Two classes: the one that is 1 (or +1); ``classes_[1]`` by default.

    Returns
    -------
    LossScorer
        Called as ``scorer(estimator, X, y, sample_weight=None)``: minus the mean loss, so that greater is better.

    Raises
    ------
    TypeError
        When ``loss`` is no loss.
    ValueError
        For losses that do not score rows one by one, a method that does not give what the loss takes, and
        ``PoissonNLL`` on log-rates unless the method is said: estimators usually predict rates.

    Examples
    --------
    >>> import lossmith as lm
    >>> from sklearn.datasets import load_breast_cancer, load_diabetes
    >>> from sklearn.linear_model import LogisticRegression, Ridge
    >>> from sklearn.model_selection import GridSearchCV, cross_val_score
    >>> X, y = load_diabetes(return_X_y=True)
    >>> cross_val_score(Ridge(), X, y, cv=3, scoring=lm.to_sklearn(lm.Huber(delta=50.0))).round(1).tolist()
    [-1448.0, -1548.9, -1363.6]

    Classes of any coding; a search, with log-loss as its criterion:

    >>> X, y = load_breast_cancer(return_X_y=True)
    >>> names = load_breast_cancer().target_names[y]
    >>> search = GridSearchCV(LogisticRegression(max_iter=50), {"C": [1e-4, 1.0]}, scoring=lm.to_sklearn("bce"), cv=3)
    >>> search.fit((X - X.mean(0)) / X.std(0), names).best_params_
    {'C': 1.0}

    The metric alone, lower is better:

    >>> metric = lm.to_sklearn("huber(delta=1)").metric
    >>> metric([0.0, 0.0], [0.5, 3.0], sample_weight=[1.0, 0.0])
    0.125
    """
    made = get(loss) if isinstance(loss, str) else loss
    if not isinstance(made, Loss):
        raise TypeError(f"to_sklearn takes a loss or its name; got {type(loss).__name__}")
    return LossScorer(made, response_method, pos_label)


@dataclass(frozen=True)
class LossMetric:
    """The mean of a loss as a metric function; the attribute ``metric`` of what ``to_sklearn`` returns.

    Attributes
    ----------
    loss : Loss
        Which one.
    """

    loss: Loss

    @property
    def __name__(self) -> str:
        return self.loss.name

    def __call__(self, y_true: Any, y_pred: Any, *, sample_weight: Any = None) -> float:
        """Compute sum(w l) / sum(w); lower is better.

        Parameters
        ----------
        y_true, y_pred : array_like
            As the loss takes them: its ``inputs`` says what predictions hold, its docstring how labels are coded.
        sample_weight : array_like, shape (n,), optional
            Numbers >= 0.

        Returns
        -------
        float
            Computed in float64.

        Raises
        ------
        ValueError
            For what the loss refuses, and when nothing has weight.
        """
        weight = None if sample_weight is None else np.asarray(sample_weight, np.float64)
        if weight is not None and not weight.any():
            raise ValueError(
                f"sample_weight is 0 for all {weight.size} samples; a score needs at least one that counts"
            )
        return float(self.loss(np.asarray(y_true), np.asarray(y_pred, np.float64), weight))


@dataclass(frozen=True)
class LossScorer:
    """A loss as scikit-learn's scorers are; :func:`lossmith.to_sklearn` makes it.

    It pickles, copies and compares by its fields, and follows metadata routing.

    Attributes
    ----------
    loss : Loss
        Which one.
    response_method : str or None
        What estimators are asked for; None: what suits the loss.
    pos_label : int, float, bool, str or None
        Two classes: the one that is 1.
    """

    loss: Loss
    response_method: str | None = None
    pos_label: Any = None
    _requested: dict[str, Any] = field(default_factory=dict, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        _ = self._response  # refuses what cannot be scored

    @property
    def _response(self) -> Response:
        return response(self.loss, self.response_method, self.pos_label)

    @property
    def metric(self) -> LossMetric:
        """The loss as ``metric(y_true, y_pred, *, sample_weight=None)``; lower is better."""
        return LossMetric(self.loss)

    def __repr__(self) -> str:
        given = {"response_method": self.response_method, "pos_label": self.pos_label}
        said = "".join(f", {name}={value!r}" for name, value in given.items() if value is not None)
        return f"to_sklearn({self.loss!r}{said})"

    def __call__(self, estimator: Any, X: Any, y_true: Any, *, sample_weight: Any = None) -> float:
        """Score a fitted estimator; greater is better.

        Parameters
        ----------
        estimator : object
            Fitted, with the method that ``response_method`` names.
        X : array_like
            Features, as the estimator takes them.
        y_true : array_like
            Targets or labels, as it was fitted with.
        sample_weight : array_like, shape (n,), optional
            Numbers >= 0.

        Returns
        -------
        float
            Minus the mean loss.

        Raises
        ------
        TypeError
            When the estimator lacks the method.
        ValueError
            For classes that it was not fitted with, or outputs that the loss does not take.
        """
        asked = self._response
        y, f = asked.read(np.asarray(y_true), asked.ask(estimator, X), estimator)
        return -LossMetric(asked.loss)(y, f, sample_weight=sample_weight)

    def set_score_request(self, *, sample_weight: bool | str | None) -> LossScorer:
        """Say whether to be given sample weights, and under which name; the scorer itself changes.

        Parameters
        ----------
        sample_weight : bool, str or None
            As in scikit-learn: True, False, None (an error if given), or the name it is passed under.

        Returns
        -------
        LossScorer
            The scorer itself.

        Raises
        ------
        RuntimeError
            When metadata routing is not enabled, as scikit-learn's own scorers do.
        """
        import sklearn

        if not sklearn.get_config()["enable_metadata_routing"]:
            raise RuntimeError("metadata routing is off; call sklearn.set_config(enable_metadata_routing=True) first")
        self._requested["sample_weight"] = sample_weight
        return self

    def get_metadata_routing(self) -> Any:
        """Return the request for sample weights, which scikit-learn asks scorers for."""
        from sklearn.utils.metadata_routing import MetadataRequest

        request = MetadataRequest(owner=repr(self))
        request.score.add_request(param="sample_weight", alias=self._requested.get("sample_weight"))
        return request

    def _accept_sample_weight(self) -> bool:
        """Tell that weights are taken; without routing, searches with several scorers ask each by this name."""
        return True
