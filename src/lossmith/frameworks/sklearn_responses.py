"""What a scorer asks an estimator for, and how the answer and the labels become what the loss takes."""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..core.domain import SIGNS, UNIT, check
from ..core.elementwise import ElementwiseLoss
from ..core.loss import Loss
from ..losses.compose import WeightedSum, parts_of

Array = np.ndarray[Any, Any]
METHODS = ("predict", "predict_proba", "decision_function")
_REMEDIES = {
    "predict": "give a fitted estimator",
    "predict_proba": "wrap it in CalibratedClassifierCV, or say response_method='decision_function' if its scores are "
    "logits",
    "decision_function": "take a loss on probabilities, such as BinaryCrossEntropy",
}


@dataclass(frozen=True)
class Response(ABC):
    """One output of estimators, read for one loss.

    Attributes
    ----------
    loss : Loss
        On what ``read`` returns.
    method : str
        The estimator's method.
    """

    loss: Loss
    method: str

    def ask(self, estimator: Any, X: Any) -> Array:
        """Return the estimator's output.

        Raises
        ------
        TypeError
            When it lacks the method.
        """
        try:
            method = getattr(estimator, self.method)
        except AttributeError:
            name = type(self.loss).__name__
            raise TypeError(
                f"{type(estimator).__name__} has no {self.method}, on which {name} is scored; {_REMEDIES[self.method]}"
            ) from None
        return np.asarray(method(X))

    @abstractmethod
    def read(self, y: Array, output: Array, estimator: Any) -> tuple[Array, Array]:
        """Return targets and predictions as the loss takes them."""


class Numbers(Response):
    """``predict``, with nothing to translate."""

    def read(self, y: Array, output: Array, estimator: Any) -> tuple[Array, Array]:
        """Return both as they are."""
        return y, output


@dataclass(frozen=True)
class TwoClasses(Response):
    """One number for each row, which speaks for one of two classes.

    Attributes
    ----------
    pos_label : int, float, bool, str or None
        That class; None: the second one.
    codes : tuple of float
        What the loss calls the other class and this one.
    odds : bool
        Whether probabilities are read as logits.
    """

    pos_label: Any
    codes: tuple[float, float]
    odds: bool

    def read(self, y: Array, output: Array, estimator: Any) -> tuple[Array, Array]:
        """Return coded labels, and the score, logit or probability of the positive class."""
        classes = _classes(estimator)
        if len(classes) != 2:
            raise ValueError(
                f"{type(self.loss).__name__} is for two classes; {type(estimator).__name__} knows {len(classes)}: "
                "take a loss for more, such as CategoricalCrossEntropy"
            )
        positive = 1 if self.pos_label is None else int(indices(np.array([self.pos_label]), classes, "pos_label")[0])
        y = np.where(indices(y, classes) == positive, self.codes[1], self.codes[0])
        if self.method == "predict_proba":
            return y, self._column(output, positive)
        if output.ndim != 1:
            raise ValueError(f"decision_function gave shape {output.shape} for two classes; one score a row is read")
        return y, output if positive == 1 else -output

    def _column(self, output: Array, positive: int) -> Array:
        if output.ndim != 2 or output.shape[1] != 2:
            raise ValueError(f"predict_proba gave shape {output.shape} for two classes; two columns are read")
        rows = output.astype(np.float64)
        check(rows, UNIT, "predict_proba", type(self.loss).__name__, nan_allowed=True)
        if not self.odds:
            return np.asarray(rows[:, positive])
        # Both columns: where one rounds to 1, the other one still holds the digits.
        with np.errstate(divide="ignore", invalid="ignore"):
            logs = np.log(rows)
            return np.asarray(logs[:, positive] - logs[:, 1 - positive])


class ClassRows(Response):
    """One row for each sample, with a column for each class."""

    def read(self, y: Array, output: Array, estimator: Any) -> tuple[Array, Array]:
        """Return the labels' columns, and the rows."""
        classes = _classes(estimator)
        if output.shape[1:] != (len(classes),):
            hint = "; for two classes take BinaryCrossEntropy or Hinge" if output.ndim == 1 else ""
            raise ValueError(
                f"{self.method} gave shape {output.shape} for {len(classes)} classes; "
                f"{type(self.loss).__name__} reads one column for each class{hint}"
            )
        return indices(y, classes), output


def _classes(estimator: Any) -> Array:
    try:
        classes = estimator.classes_
    except AttributeError:
        raise TypeError(f"{type(estimator).__name__} has no classes_; give a fitted classifier") from None
    if isinstance(classes, list):
        raise ValueError(f"{type(estimator).__name__} predicts {len(classes)} outputs; score them one by one")
    return np.asarray(classes)


def indices(y: Array, classes: Array, argument: str = "y_true") -> Array:
    """Return the place of each label among an estimator's classes.

    Parameters
    ----------
    y : ndarray, shape (n,)
        Labels of any kind.
    classes : ndarray, shape (k,)
        In the order of the estimator's columns.
    argument : str
        Name for messages.

    Returns
    -------
    ndarray of int64, shape (n,)

    Raises
    ------
    ValueError
        For labels that are not among them, and tables of labels.
    """
    if y.ndim != 1:
        raise ValueError(f"{argument} has shape {y.shape}; give one label for each row, shape (n,)")
    places = {label: place for place, label in enumerate(classes.tolist())}
    labels, inverse = np.unique(y, return_inverse=True)
    found = [places.get(label, -1) for label in labels.tolist()]
    if -1 in found:
        raise ValueError(
            f"{argument} holds the label {labels.tolist()[found.index(-1)]!r}; the estimator was fitted with "
            f"{', '.join(map(repr, classes.tolist()[:10]))}{' ...' if len(classes) > 10 else ''}"
        )
    return np.array(found, np.int64)[inverse]


# --- which response suits a loss ----------------------------------------------------------------------


def response(loss: Loss, method: str | None, pos_label: Any) -> Response:
    """Return how a loss is scored.

    Parameters
    ----------
    loss : Loss
        Which one.
    method : str or None
        What estimators are asked for; None: what suits the loss.
    pos_label : int, float, bool, str or None
        Two classes: the one that is 1.

    Raises
    ------
    ValueError
        Says which losses or methods there are.
    """
    if method is not None and method not in METHODS:
        raise ValueError(f"response_method={method!r} is not accepted; give {', '.join(map(repr, METHODS))}")
    parts = parts_of(loss)
    for part in parts:
        if part.tier not in ("elementwise", "row-wise"):
            task = part.traits.task
            raise ValueError(f"{part!r} is no scorer: it takes {task} targets, and scikit-learn scores row by row")
    chosen = method or _own_method(loss, parts)
    made = _built(loss, parts, chosen, pos_label)
    if pos_label is not None and not isinstance(made, TwoClasses):
        raise ValueError(f"pos_label={pos_label!r} has no meaning for {loss!r} on {chosen}; leave it out")
    return made


def _own_method(loss: Loss, parts: tuple[Loss, ...]) -> str:
    """Return the method that suits all parts of a loss."""
    found = {_method(part) for part in parts}
    if len(found) > 1:
        raise ValueError(f"{loss!r} has parts that are scored on {' and '.join(sorted(found))}; say response_method")
    return found.pop()


def _method(loss: Loss) -> str:
    if _inputs(loss) == "log_rate":
        raise ValueError(
            f"{loss!r} takes log-rates, and estimators usually predict rates; give inputs='rate', or say "
            "response_method='predict' if yours predicts log-rates"
        )
    if _of_classes(loss):
        return "predict_proba"
    return "decision_function" if _of_margin(loss) else "predict"


def _inputs(loss: Loss) -> str:
    return str(getattr(loss, "inputs", "raw"))


def _of_classes(loss: Loss) -> bool:
    """Tell whether a loss has a form on probabilities of classes, and one on logits."""
    return loss.traits.task in ("binary", "multiclass") and _inputs(loss) in ("logits", "probabilities")


def _of_margin(loss: Loss) -> bool:
    return _inputs(loss) == "scores" or (isinstance(loss, ElementwiseLoss) and loss.domain == SIGNS)


def _built(loss: Loss, parts: tuple[Loss, ...], method: str, pos_label: Any) -> Response:
    if method == "predict":
        return Numbers(loss, method)
    for part in parts:
        _refuse(part, method)
    if len({(part.tier, _of_margin(part)) for part in parts}) > 1:
        raise ValueError(f"{loss!r} has parts that code classes in different ways; score them one by one")
    odds = method == "predict_proba" and all(map(_of_classes, parts)) and parts[0].tier == "elementwise"
    if method == "predict_proba":
        loss = _told(loss, "logits" if odds else "probabilities")
    if parts[0].tier == "row-wise":
        return ClassRows(loss, method)
    return TwoClasses(loss, method, pos_label, (-1.0, 1.0) if _of_margin(parts[0]) else (0.0, 1.0), odds)


def _refuse(loss: Loss, method: str) -> None:
    """Raise where ``predict_proba`` or ``decision_function`` do not give what a loss takes."""
    task, kind = loss.traits.task, _inputs(loss)
    scores = _of_margin(loss) or kind == "logits"
    fits = {
        "predict_proba": _of_classes(loss) or (task == "regression" and loss.tier == "elementwise"),
        "decision_function": task in ("binary", "multiclass") and scores,
    }
    if not fits[method]:
        takes = {"raw": "scores" if scores else "numbers"}.get(kind, kind.replace("_", "-"))
        raise ValueError(f"{loss!r} takes {takes} for {task} targets, which {method} does not give")


def _told(loss: Loss, inputs: str) -> Loss:
    """Return the same loss on another kind of prediction, its parts too; others stay as they are."""
    if isinstance(loss, WeightedSum):
        return WeightedSum(tuple(_told(part, inputs) for part in loss.losses), loss.weights)
    return dataclasses.replace(loss, inputs=inputs) if _of_classes(loss) else loss  # type: ignore[call-arg]
