"""What a diagnosis looks at, and what it says."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from lossmith.core.loss import Loss

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Training:
    """How one training went.

    Attributes
    ----------
    train, valid : tuple of float
        Mean loss after each iteration on the rows learned from, and on rows held out (empty if none were).
    gradient_norm : tuple of float
        Size of the gradient at the same iterations; empty when not recorded.
    hit_limit : bool
        Whether it ended because no more iterations were allowed.
    """

    train: tuple[float, ...]
    valid: tuple[float, ...] = ()
    gradient_norm: tuple[float, ...] = ()
    hit_limit: bool = False


@dataclass(frozen=True)
class Evidence:
    """A trained model and how it was trained, as far as it is known.

    Attributes
    ----------
    loss : Loss
        What it was trained with.
    learner : str
        "linear" (convex in its coefficients if the loss is convex) or "boosted".
    y : ndarray, shape (n,)
        Targets as the loss takes them (-1/+1 for margin losses).
    raw : ndarray, shape (n,) or (n, k)
        Held-out raw scores.
    fitted : ndarray, shape (n,), optional
        Held-out predictions in the unit of ``y``, where they differ from raw scores (log links).
    decided : ndarray of int, shape (n,), optional
        Held-out decisions, class codes; None for numeric targets.
    codes : ndarray of int, shape (n,), optional
        True class codes; None for numeric targets.
    probability : ndarray, shape (n,), optional
        Held-out probability of the true class; None when there are none.
    trainings : tuple of Training
        One for each fold.
    train_errors, valid_errors : tuple of float
        The metric, turned so that smaller is better, on the rows trained on and held out; one for each fold.
    trivial_error : float or None
        The same metric of the best constant prediction.
    restarts : tuple of float
        Final objective from several starting points; empty if that was not tried.
    """

    loss: Loss
    learner: str
    y: Array
    raw: Array
    fitted: Array | None = None
    decided: Array | None = None
    codes: Array | None = None
    probability: Array | None = None
    trainings: tuple[Training, ...] = ()
    train_errors: tuple[float, ...] = ()
    valid_errors: tuple[float, ...] = ()
    trivial_error: float | None = None
    restarts: tuple[float, ...] = ()


@dataclass(frozen=True)
class Finding:
    """One row of the troubleshooting table, tested.

    Attributes
    ----------
    name : str
        The trouble.
    seen : bool or None
        Whether the evidence shows it; None when the test could not run.
    evidence : str
        The measured number and the threshold it is held against.
    cause : str
        Where it comes from.
    remedy : str
        What to do about it.
    could_not_run : str
        Why, when ``seen`` is None; empty otherwise.
    article : str
        What the common troubleshooting table says, and where that is wrong.
    """

    name: str
    seen: bool | None
    evidence: str
    cause: str
    remedy: str
    could_not_run: str
    article: str
